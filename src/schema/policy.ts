// Policy, identities of addresses, endpoints.
// One global policy hash; a meta entry a policy tells which shapes exist, so that only those are probed.
import { array, be16, be32, bytes, pad, struct, u16, u32, u8 } from '../layout/index.ts';

export const policyKey = struct('weir_policy_key', 'One policy entry', {
  policyId: u32('policy: endpoints with the same identity and named ports share one'),
  identity: u32('peer identity, its aggregate, or 0 = any'),
  port: be16('destination port masked to the prefix length; ICMP: the type'),
  protocol: u8('IP protocol number; 0 with shape ANY_PROTOCOL'),
  shape: u8('bit 7: egress; low bits: port-prefix length 0..16, or 17 = any protocol'),
});

export const policyValue = struct('weir_policy', 'What an entry says', {
  precedence: u32('(0xffffff - priority) << 8 | verdict byte: deny 255, redirect 2..254, allow 1, pass 0'),
  cookie: u32('rule set; 0 = none'),
  proxyPort: be16('proxy port of a redirect, 0 = none'),
  flags: u16('bits 0-6 authentication type, bit 7 explicit, bit 8 audit (POLICY_ENTRY)'),
});

export const policyMetaKey = struct('weir_policy_meta_key', 'Policy id', { policyId: u32('policy id') });
export const policyMeta = struct('weir_policy_meta', 'Which shapes a policy has, and who enforces it', {
  flags: u32('POLICY_FLAG'),
  ingressShapes: array('u32', 3, 'bit per shape: for the identity itself, for its aggregate, for 0'),
  egressShapes: array('u32', 3, 'bit per shape: for the identity itself, for its aggregate, for 0'),
  ingressCookie: u32('rule set that isolates on ingress: told when nothing matched'),
  egressCookie: u32('rule set that isolates on egress: told when nothing matched'),
  pad: pad(4),
});

export const ipcacheKey4 = struct('weir_ipcache_key4', 'Prefix, IPv4', {
  prefixLength: u32('bits: 32 + mask length'),
  clusterId: u16('0 = own cluster'),
  pad: pad(2),
  address: be32('prefix'),
});
export const ipcacheKey6 = struct('weir_ipcache_key6', 'Prefix, IPv6', {
  prefixLength: u32('bits: 32 + mask length'),
  clusterId: u16('0 = own cluster'),
  pad: pad(2),
  address: bytes(16, 'prefix'),
});
export const ipcacheValue = struct('weir_ipcache', 'Who an address is', {
  identity: u32('security identity'),
  nodeId: u16('node that the address is on or is; 0 = none'),
  flags: u8('IPCACHE_FLAG'),
  key: u8('encryption key index'),
  tunnelEndpoint: bytes(16, 'tunnel endpoint; IPv4 in the first four bytes'),
});

export const endpointKey4 = struct('weir_endpoint_key4', 'Local address, IPv4', { address: be32('address') });
export const endpointKey6 = struct('weir_endpoint_key6', 'Local address, IPv6', { address: bytes(16, 'address') });
export const endpointValue = struct('weir_endpoint', 'A local pod, or the host', {
  ifindex: u32('host side of its device'),
  endpointId: u16('endpoint id'),
  nodeId: u16('node that it runs on, 1..'),
  identity: u32('security identity'),
  policyId: u32('its policy; 0 = nothing enforced'),
  epoch: u32('bumped after each change of its policy'),
  flags: u32('ENDPOINT_FLAG'),
  mac: bytes(6, 'MAC of the pod'),
  nodeMac: bytes(6, 'MAC of the host side'),
});

export const routeKey4 = struct('weir_route_key4', 'Route, IPv4', {
  prefixLength: u32('bits'),
  address: be32('prefix'),
});
export const routeKey6 = struct('weir_route_key6', 'Route, IPv6', {
  prefixLength: u32('bits'),
  address: bytes(16, 'prefix'),
});
export const routeValue = struct('weir_route', 'Where a prefix is', {
  ifindex: u32('output interface'),
  mtu: u16('0 = unlimited'),
  flags: u16('ROUTE_FLAG'),
  gateway: bytes(16, 'next hop; IPv4 in the first four bytes; zero = on link'),
});
export const vlanKey = struct('weir_vlan_key', 'VLAN that may enter', { id: u32('1..4094') });
export const neighbourKey4 = struct('weir_neighbour_key4', 'Next hop, IPv4', {
  ifindex: u32('interface'),
  address: be32('address'),
});
export const neighbourKey6 = struct('weir_neighbour_key6', 'Next hop, IPv6', {
  ifindex: u32('interface'),
  address: bytes(16, 'address'),
});
export const neighbourValue = struct('weir_neighbour', 'MACs towards a next hop', {
  destination: bytes(6, 'next hop'),
  source: bytes(6, 'own interface'),
});
