// What control tells the node's devices: addresses whose neighbour questions they answer, and how fast pods may send.
// Input: none. Output: structs. Invariant: what control writes (announced, limits) the datapath only reads; where a pod's next
// packet may leave (departures) is the datapath's own.
import { be32, bytes, pad, struct, u32, u64 } from '../layout/index.ts';

export const announcedKey4 = struct('weir_announced_key4', 'Address that an interface answers for, IPv4', {
  address: be32('service address'),
  ifindex: u32('interface of the question'),
});
export const announcedKey6 = struct('weir_announced_key6', 'Address that an interface answers for, IPv6', {
  address: bytes(16, 'service address'),
  ifindex: u32('interface of the question'),
  pad: pad(4),
});
export const announcedValue = struct('weir_announced', 'The answer to "who has this address?"', {
  mac: bytes(6, 'MAC of the interface'),
  pad: pad(2),
});

export const limitKey = struct('weir_limit_key', 'Endpoint', { endpointId: u32('endpoint id') });
export const limitValue = struct('weir_limit', 'How fast an endpoint may send', {
  bytesPerSecond: u64('bytes a second on the wire, below 2^53; 0 = unlimited'),
  horizon: u64('nanoseconds: what would have to wait that long is dropped'),
});
export const departureValue = struct('weir_departure', 'When the last packet of an endpoint may leave', {
  seconds: u32('second since start'),
  nanoseconds: u32('nanoseconds within the second'),
});
