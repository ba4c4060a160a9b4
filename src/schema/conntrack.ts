// Conntrack and NAT: keys and entries, fragments.
// A conntrack key is canonical: both directions of a connection meet on one key, so one probe finds either. The lower
// end comes first (addresses compared word by word as signed 32-bit loads of their bytes, then ports); a key flag says
// which end owns the entry. Connections that nobody has answered live in the `…_new` maps.
import { be16, be32, bytes, pad, struct, u16, u32, u64, u8 } from '../layout/index.ts';

export const ctKey4 = struct('weir_ct_key4', 'Connection, IPv4, canonical order', {
  lowAddress: be32('address of the lower end'),
  highAddress: be32('address of the higher end'),
  lowPort: be16('port of the lower end; ICMP: the echo id at both ends'),
  highPort: be16('port of the higher end'),
  protocol: u8('IP protocol number'),
  flags: u8('CT_KEY'),
  pad: pad(2),
});

export const ctKey6 = struct('weir_ct_key6', 'Connection, IPv6, canonical order', {
  lowAddress: bytes(16, 'address of the lower end'),
  highAddress: bytes(16, 'address of the higher end'),
  lowPort: be16('port of the lower end; ICMPv6: the echo id at both ends'),
  highPort: be16('port of the higher end'),
  protocol: u8('IP protocol number'),
  flags: u8('CT_KEY'),
  pad: pad(2),
});

export const ctEntry = struct('weir_ct_entry', 'Connection state, 64 bytes', {
  packets: u64('packets, when accounting is on'),
  bytes: u64('bytes, when accounting is on'),
  lifetime: u32('expires after this second since start'),
  flags: u16('CT_FLAG'),
  reverseNat: u16('reverse NAT index, 0 = not translated'),
  remoteIdentity: u32('identity of the peer at the last policy decision'),
  policyEpoch: u32('endpoint epoch + global epoch, read before the policy probes'),
  cookie: u32('rule set that decided'),
  backend: u32('service entries: backend id; DSR_INTERNAL: first word of the frontend’s address'),
  natAddress: bytes(12, 'rest of the frontend’s address (IPv6); zero for IPv4'),
  natPort: be16('the frontend’s port'),
  txFlags: u8('TCP flags seen from the owner'),
  rxFlags: u8('TCP flags seen towards the owner'),
  lastTxReport: u32('second of the last report or packet from the owner'),
  lastRxReport: u32('second of the last report or packet towards the owner'),
});

export const natKey4 = struct('weir_nat_key4', 'NAT tuple, natural order, IPv4', {
  source: be32('source address'),
  destination: be32('destination address'),
  sourcePort: be16('source port'),
  destinationPort: be16('destination port'),
  protocol: u8('IP protocol number'),
  flags: u8('NAT_WAY'),
  pad: pad(2),
});
export const natKey6 = struct('weir_nat_key6', 'NAT tuple, natural order, IPv6', {
  source: bytes(16, 'source address'),
  destination: bytes(16, 'destination address'),
  sourcePort: be16('source port'),
  destinationPort: be16('destination port'),
  protocol: u8('IP protocol number'),
  flags: u8('NAT_WAY'),
  pad: pad(2),
});
export const natEntry4 = struct('weir_nat_entry4', 'Translation, IPv4', {
  address: be32('address to put in place'),
  port: be16('port to put in place'),
  flags: u16('NAT_FLAG'),
  created: u32('second since start'),
  reverseNat: u16('NODE_PORT: reverse NAT index of the frontend'),
  pad: pad(2),
});
export const natEntry6 = struct('weir_nat_entry6', 'Translation, IPv6', {
  address: bytes(16, 'address to put in place'),
  port: be16('port to put in place'),
  flags: u16('NAT_FLAG'),
  created: u32('second since start'),
  reverseNat: u16('NODE_PORT: reverse NAT index of the frontend'),
  pad: pad(2),
});

export const nodeKey = struct('weir_node_key', 'Node id', {
  id: u32('node id; 0 = the node that this dataplane stands for, where it stands for the whole cluster'),
});
export const nodeValue4 = struct('weir_node4', 'Addresses that a node puts in place of others, IPv4', {
  address: be32('towards the outside; 0 = unknown'),
  gateway: be32('towards backends behind the overlay; 0 = as towards the outside'),
});
export const nodeValue6 = struct('weir_node6', 'Addresses that a node puts in place of others, IPv6', {
  address: bytes(16, 'towards the outside; zero = unknown'),
  gateway: bytes(16, 'towards backends behind the overlay; zero = as towards the outside'),
});
export const noMasqueradeKey4 = struct('weir_no_masq_key4', 'Destinations that see pods as they are, IPv4', {
  prefixLength: u32('bits of the prefix'),
  address: be32('prefix'),
});
export const noMasqueradeKey6 = struct('weir_no_masq_key6', 'Destinations that see pods as they are, IPv6', {
  prefixLength: u32('bits of the prefix'),
  address: bytes(16, 'prefix'),
});
export const noMasqueradeValue = struct('weir_no_masq', 'Why pods are not masqueraded there', {
  reason: u32('NO_MASQUERADE'),
});

export const fragmentKey4 = struct('weir_fragment_key4', 'Datagram, IPv4', {
  source: be32('source address'),
  destination: be32('destination address'),
  id: be16('identification'),
  protocol: u8('IP protocol number'),
  pad: pad(1),
});
export const fragmentKey6 = struct('weir_fragment_key6', 'Datagram, IPv6', {
  source: bytes(16, 'source address'),
  destination: bytes(16, 'destination address'),
  id: be32('identification'),
  protocol: u8('IP protocol number'),
  pad: pad(3),
});
export const fragmentValue = struct('weir_fragment', 'Ports of the first fragment', {
  sourcePort: be16('source port'),
  destinationPort: be16('destination port'),
});
