// What from-container made of a connection's last packet in this second: the kernel programs' own memory, of which the
// simulator knows nothing (native/bpf/recent.h). Input: none. Output: structs. Invariant: no contract depends on it; a
// memory without entries gives the same records, bytes and map content.
import { array, pad, struct, u16, u32, u64, u8 } from '../layout/index.ts';

const words = (family: 4 | 6): 1 | 4 => (family === 4 ? 1 : 4);
const ends = (family: 4 | 6) => ({
  source: array('u32', words(family), 'source address, raw'),
  destination: array('u32', words(family), 'frontend address, raw'),
  backend: array('u32', words(family), 'backend address, raw'),
  ports: u32('raw ports before translation, source in the low half'),
});
const outcome = {
  until: u64('time from which on it is void: jiffies, or seconds of a test run'),
  generation: u32('generation of the maps when it was made'),
  disturbed: u32('disturbances of the client’s connections when it was made'),
  ifindex: u32('interface it arrived on'),
  outIfindex: u32('interface of the delivery or redirect'),
  macs: array('u32', 3, 'next-hop MAC, own MAC; zero = unchanged'),
  sourceIdentity: u32('identity of the source'),
  port: u16('raw backend port'),
  size: u16('longest packet that may take this way: what a route’s MTU let pass'),
  protocol: u8('IP protocol number'),
  tcpFlags: u8('TCP flags that the entries have noted'),
  action: u8('ACTION: LOCAL or REDIRECT'),
};

export const recent4 = struct('weir_recent4', 'What became of a connection’s last packet, IPv4: one cache line', {
  ...ends(4),
  ...outcome,
  pad: pad(1),
});
export const recent6 = struct('weir_recent6', 'What became of a connection’s last packet, IPv6: two cache lines', {
  ...ends(6),
  gap: pad(4),
  ...outcome,
  pad: pad(25),
});
export const recentRecord = struct('weir_recent_record', 'What a decision record says besides', {
  destinationIdentity: u32('identity of the destination'),
  cookie: u32('rule set that decided'),
  backendId: u32('backend id'),
  reverseNat: u16('reverse NAT index'),
  endpointId: u16('endpoint'),
});
export const generationValue = struct('weir_generation', 'Changes so far', {
  changes: u32('writes to the maps from outside the programs'),
});
/** Bits of weir_wildcards: 2 to this power. */
export const WILDCARD_BITS = 14;
export const wildcardBits = struct('weir_wildcard_bits', 'Addresses that may have a wildcard entry, by their hash', {
  bits: u64('64 bits of 2^14; set for every address with an entry of port 0 and protocol 0, and perhaps for others'),
});
export const disturbedValue = struct('weir_disturbed', 'Disturbances so far', {
  times: u32('connections that a packet began anew or took away'),
});
