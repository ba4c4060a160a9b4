// A glance at a frame: what names a plain TCP segment over IPv4 and what it wants, without dissecting it.
// Input: an Ethernet frame. Output: GLANCE_WORDS words. Invariants: no byte at or behind the captured end is read; INFO is 0
// unless the frame is TCP over IPv4 without VLAN tags, IP options or fragmentation, and parseFrame would find it OK.
import * as loads from './bytes.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { readBe16, readRaw32 } = loads;

/** Words of a glance: raw addresses and ports as in Headers; then {@link GLANCE_PLAIN} | TTL << 8 | TCP flags, or 0. */
export const GLANCE = { SOURCE: 0, DESTINATION: 1, PORTS: 2, INFO: 3 } as const;
export const GLANCE_WORDS = 4;
/** Set in INFO of every frame that a glance tells. */
export const GLANCE_PLAIN = 0x10000;

const { SOURCE, DESTINATION, PORTS, INFO } = GLANCE;
const IPV4 = 0x0800;
const TCP = 6;
/** Ethernet, IPv4 and TCP without options. */
const LEAST_BYTES = 54;

/**
 * Glances at a frame.
 * @param wireBytes length on the wire, at least `capturedBytes`
 * @param out gets the words from index `at` on; where INFO is 0, the others are left as they are
 */
export function glance(
  bytes: Uint8Array,
  offset: number,
  capturedBytes: number,
  wireBytes: number,
  out: Int32Array,
  at: number,
): void {
  out[at + INFO] = 0;
  if (capturedBytes < LEAST_BYTES || readBe16(bytes, offset + 12) !== IPV4) return;
  if (bytes[offset + 14] !== 0x45 || bytes[offset + 23] !== TCP) return;
  if ((bytes[offset + 20]! & 0x3f) !== 0 || bytes[offset + 21] !== 0) return;
  // What parse would refuse: lengths that do not fit, a TCP header that is none.
  const room = readBe16(bytes, offset + 16) - 20;
  const tcpBytes = (bytes[offset + 46]! >>> 4) << 2;
  if (room > wireBytes - 34 || tcpBytes < 20 || room < tcpBytes) return;
  out[at + SOURCE] = readRaw32(bytes, offset + 26);
  out[at + DESTINATION] = readRaw32(bytes, offset + 30);
  out[at + PORTS] = readRaw32(bytes, offset + 34);
  out[at + INFO] = GLANCE_PLAIN | (bytes[offset + 22]! << 8) | bytes[offset + 47]!;
}
