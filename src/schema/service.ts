// Service maps: frontends and their slots, backends, reverse NAT, Maglev tables, affinity, source ranges.
// Cilium's lb4/lb6 maps with Weir's own layouts: backends and reverse NAT are arrays, since their keys are indices.
import { array, be16, be32, bytes, pad, struct, u16, u32, u8 } from '../layout/index.ts';

export const serviceKey4 = struct('weir_service_key4', 'Frontend, or one slot of it, IPv4', {
  address: be32('frontend address'),
  port: be16('frontend port; 0 with protocol 0 = wildcard entry'),
  slot: u16('0 = master, 1.. = backend slots'),
  protocol: u8('IP protocol number'),
  scope: u8('0 external, 1 internal'),
  pad: pad(2),
});

export const serviceKey6 = struct('weir_service_key6', 'Frontend, or one slot of it, IPv6', {
  address: bytes(16, 'frontend address'),
  port: be16('frontend port; 0 with protocol 0 = wildcard entry'),
  slot: u16('0 = master, 1.. = backend slots'),
  protocol: u8('IP protocol number'),
  scope: u8('0 external, 1 internal'),
  pad: pad(2),
});

export const serviceValue = struct('weir_service', 'Master entry of a frontend, or a slot', {
  target: u32('slot: backend id; master: algorithm << 24 | affinity timeout in seconds, or the L7 proxy port'),
  count: u16('master: selectable slots 1..count'),
  reverseNat: u16('reverse NAT index, 1..65535; also the Maglev key'),
  flags: u16('SERVICE_FLAG'),
  drainCount: u16('master: lookup-only slots count+1..count+drainCount (Cilium: qcount)'),
});

export const backendKey = struct('weir_backend_key', 'Backend id', { id: u32('backend id, 1..; 0 is never used') });

export const backendValue4 = struct('weir_backend4', 'Backend, IPv4', {
  address: be32('backend address'),
  port: be16('backend port'),
  protocol: u8('IP protocol number'),
  state: u8('BACKEND_STATE; 0 = no such backend'),
  nodeId: u16('node that hosts it, 0 = unknown'),
  zone: u8('topology zone index, 0 = none'),
  flags: u8('reserved, zero'),
});

export const backendValue6 = struct('weir_backend6', 'Backend, IPv6', {
  address: bytes(16, 'backend address'),
  port: be16('backend port'),
  protocol: u8('IP protocol number'),
  state: u8('BACKEND_STATE; 0 = no such backend'),
  nodeId: u16('node that hosts it, 0 = unknown'),
  zone: u8('topology zone index, 0 = none'),
  flags: u8('reserved, zero'),
});

export const reverseNatKey = struct('weir_reverse_nat_key', 'Reverse NAT index', { index: u32('1..65535') });

export const reverseNatValue4 = struct('weir_reverse_nat4', 'Frontend to restore on replies, IPv4', {
  address: be32('frontend address'),
  port: be16('frontend port'),
  flags: u16('1 = in use'),
});

export const reverseNatValue6 = struct('weir_reverse_nat6', 'Frontend to restore on replies, IPv6', {
  address: bytes(16, 'frontend address'),
  port: be16('frontend port'),
  flags: u16('1 = in use'),
});

export const maglevKey = struct('weir_maglev_key', 'Maglev table of a frontend', {
  reverseNat: u32('reverse NAT index'),
});
export const maglevSlot = struct('weir_maglev_slot', 'One slot of a Maglev table', {
  backendId: u32('backend id; bit 31 (MAGLEV_SLOT): the slot has changed and older flows are still on the move'),
});

export const flowKey4 = struct('weir_flow_key4', 'Flow through a frontend, natural order, IPv4', {
  source: be32('client address'),
  destination: be32('frontend address'),
  sourcePort: be16('client port'),
  destinationPort: be16('frontend port'),
  protocol: u8('IP protocol number'),
  pad: pad(3),
});
export const flowKey6 = struct('weir_flow_key6', 'Flow through a frontend, natural order, IPv6', {
  source: bytes(16, 'client address'),
  destination: bytes(16, 'frontend address'),
  sourcePort: be16('client port'),
  destinationPort: be16('frontend port'),
  protocol: u8('IP protocol number'),
  pad: pad(3),
});
export const flowValue = struct('weir_flow', 'Backend of a flow that xdp could not choose without memory', {
  backendId: u32('backend id'),
  lastSeen: u32('second since start; the flow lives for the configuration’s flowLifetime'),
});

export const nextHopValue = struct('weir_next_hop', 'Where xdp sends what it encapsulates, by backend id', {
  ifindex: u32('output interface'),
  mtu: u16('bytes of an outer IP packet, 0 = unlimited'),
  flags: u16('NEXT_HOP; 0 = unknown: back to the router that sent the packet'),
  destinationMac: bytes(6, 'next hop'),
  sourceMac: bytes(6, 'own interface'),
});

export const affinityKey4 = struct('weir_affinity_key4', 'Session affinity, IPv4', {
  client: array('u32', 2, 'client address (network order, second word zero), or a netns cookie'),
  reverseNat: u16('reverse NAT index'),
  isCookie: u8('1 = the client is a netns cookie'),
  pad: pad(1),
});
export const affinityKey6 = struct('weir_affinity_key6', 'Session affinity, IPv6', {
  client: bytes(16, 'client address'),
  reverseNat: u16('reverse NAT index'),
  isCookie: u8('1 = the client is a netns cookie'),
  pad: pad(1),
});
export const affinityValue = struct('weir_affinity', 'Remembered backend', {
  lastUsed: u32('seconds since start'),
  backendId: u32('backend id'),
});
export const affinityMatchKey = struct('weir_affinity_match_key', 'Backend still serves the frontend', {
  backendId: u32('backend id'),
  reverseNat: u16('reverse NAT index'),
  pad: pad(2),
});
export const presence = struct('weir_presence', 'Value of a set', { present: u32('1') });

export const scaleToZeroKey = struct('weir_scale_to_zero_key', 'Frontend whose Service may be scaled to zero', {
  reverseNat: u32('reverse NAT index'),
});

export const sourceRangeKey4 = struct('weir_source_range_key4', 'loadBalancerSourceRanges, IPv4', {
  prefixLength: u32('bits: 32 + mask length'),
  reverseNat: u16('reverse NAT index'),
  pad: pad(2),
  address: be32('prefix'),
});
export const sourceRangeKey6 = struct('weir_source_range_key6', 'loadBalancerSourceRanges, IPv6', {
  prefixLength: u32('bits: 32 + mask length'),
  reverseNat: u16('reverse NAT index'),
  pad: pad(2),
  address: bytes(16, 'prefix'),
});
