// Where the fields of a conntrack entry (`weir_ct_entry`) are, in words of the maps that hold them.
// Input: schema/conntrack.ts. Output: word offsets; two u16 or u8 fields share a word.
// Invariant: derived, never written by hand.
import { ctEntry } from '../../schema/index.ts';

const E = ctEntry.at;
export const ENTRY_WORDS = ctEntry.bytes >>> 2;
export const ENTRY_PACKETS = E.packets >>> 2;
export const ENTRY_BYTES = E.bytes >>> 2;
export const ENTRY_LIFETIME = E.lifetime >>> 2;
/** Low half CT_FLAG, high half reverse NAT index. */
export const ENTRY_FLAGS = E.flags >>> 2;
export const ENTRY_IDENTITY = E.remoteIdentity >>> 2;
export const ENTRY_EPOCH = E.policyEpoch >>> 2;
export const ENTRY_COOKIE = E.cookie >>> 2;
export const ENTRY_BACKEND = E.backend >>> 2;
/** Low half NAT port, then a byte of TCP flags from the owner, a byte of those towards it. */
export const ENTRY_SEEN = E.natPort >>> 2;
export const ENTRY_LAST_TX = E.lastTxReport >>> 2;
export const ENTRY_LAST_RX = E.lastRxReport >>> 2;
