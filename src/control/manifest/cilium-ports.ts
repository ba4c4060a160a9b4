// toPorts and icmps of a Cilium rule item. In: a Reader and the item's tree. Out: port rules and ICMP rules.
// Invariant: layer-7 rules are kept as data and only classified; ports are numbers or lower-case names; the checks are
// those of the CRD schema and of the agent's PortRule and ICMPRule validation.
import type { CiliumData, CiliumIcmpField, CiliumIcmpRule, CiliumPort, CiliumPortRule } from '../state.ts';
import type { Reader } from './reader.ts';
import type { MapNode, TreeNode } from './tree.ts';

/** Where a port rule stands. */
interface Place {
  readonly direction: 'ingress' | 'egress';
  readonly deny: boolean;
  /** The rule selects nodes. */
  readonly host: boolean;
}

const MAX_PORTS = 40;
const MAX_ICMP_FIELDS = 40;
const protocols = ['ANY', 'TCP', 'UDP', 'SCTP', 'ICMP', 'ICMPV6', 'ICMPv6', 'VRRP', 'IGMP'] as const;

/** Type names that Cilium's API takes, by family (pkg/policy/api, ICMPField). */
const icmpTypes: { readonly [family in 4 | 6]: ReadonlyMap<string, number> } = {
  4: new Map([
    ['EchoReply', 0],
    ['DestinationUnreachable', 3],
    ['Redirect', 5],
    ['Echo', 8],
    ['EchoRequest', 8],
    ['RouterAdvertisement', 9],
    ['RouterSelection', 10],
    ['TimeExceeded', 11],
    ['ParameterProblem', 12],
    ['Timestamp', 13],
    ['TimestampReply', 14],
    ['Photuris', 40],
    ['ExtendedEchoRequest', 42],
    ['ExtendedEchoReply', 43],
  ]),
  6: new Map([
    ['DestinationUnreachable', 1],
    ['PacketTooBig', 2],
    ['TimeExceeded', 3],
    ['ParameterProblem', 4],
    ['EchoRequest', 128],
    ['EchoReply', 129],
    ['MulticastListenerQuery', 130],
    ['MulticastListenerReport', 131],
    ['MulticastListenerDone', 132],
    ['RouterSolicitation', 133],
    ['RouterAdvertisement', 134],
    ['NeighborSolicitation', 135],
    ['NeighborAdvertisement', 136],
    ['RedirectMessage', 137],
    ['RouterRenumbering', 138],
    ['ICMPNodeInformationQuery', 139],
    ['ICMPNodeInformationResponse', 140],
    ['InverseNeighborDiscoverySolicitation', 141],
    ['InverseNeighborDiscoveryAdvertisement', 142],
    ['HomeAgentAddressDiscoveryRequest', 144],
    ['HomeAgentAddressDiscoveryReply', 145],
    ['MobilePrefixSolicitation', 146],
    ['MobilePrefixAdvertisement', 147],
    ['DuplicateAddressRequestCodeSuffix', 157],
    ['DuplicateAddressConfirmationCodeSuffix', 158],
    ['ExtendedEchoRequest', 160],
    ['ExtendedEchoReply', 161],
  ]),
};

const l7Fields = {
  http: ['method', 'path', 'host', 'headers', 'headerMatches'],
  dns: ['matchName', 'matchPattern'],
  kafka: ['role', 'apiKey', 'apiVersion', 'clientID', 'topic'],
} as const;

/** The `toPorts` list of an item. */
export function readPortRules(reader: Reader, item: MapNode, path: string, place: Place): CiliumPortRule[] | undefined {
  return reader.eachMap(item, 'toPorts', path, (map, rulePath) => readPortRule(reader, map, rulePath, place));
}

function readPortRule(reader: Reader, map: MapNode, path: string, place: Place): CiliumPortRule {
  reader.onlyFields(
    map,
    path,
    place.deny ? ['ports'] : ['ports', 'rules', 'listener', 'serverNames', 'terminatingTLS', 'originatingTLS'],
  );
  const ports = reader.eachMap(map, 'ports', path, (port, portPath) => readPort(reader, port, portPath));
  const portsNode = reader.field(map, 'ports');
  if (portsNode?.kind === 'sequence' && portsNode.items.length > MAX_PORTS)
    reader.error(portsNode.offset, `${path}.ports: ${portsNode.items.length} ports, the most is ${MAX_PORTS}`);
  const base = { origin: reader.origin(map.offset), ...(ports !== undefined && { ports }) };
  if (place.deny) return base;
  const rulesMap = reader.child(map, 'rules', path);
  const l7 = rulesMap && readL7(reader, rulesMap, `${path}.rules`, ports, place);
  const serverNames = reader.each(map, 'serverNames', path, (node, namePath) => {
    const name = reader.asText(node, namePath);
    return name === '' ? reader.error(node.offset, `${namePath}: must not be empty`) : name;
  });
  const terminatingTLS = asData(reader, map, 'terminatingTLS', path);
  const originatingTLS = asData(reader, map, 'originatingTLS', path);
  const listener = asData(reader, map, 'listener', path);
  if (serverNames !== undefined && serverNames.length > 0 && l7 !== undefined && terminatingTLS === undefined) {
    reader.error(
      reader.field(map, 'serverNames')!.offset,
      `${path}.serverNames: not allowed with layer-7 rules unless terminatingTLS is set`,
    );
  }
  if (listener !== undefined && l7 !== undefined)
    reader.error(reader.field(map, 'listener')!.offset, `${path}.listener: not allowed with layer-7 rules`);
  return {
    ...base,
    ...(l7 !== undefined && { l7 }),
    ...(rulesMap !== undefined && { rules: { value: reader.data(rulesMap), origin: reader.origin(rulesMap.offset) } }),
    ...(serverNames !== undefined && { serverNames }),
    ...(listener !== undefined && { listener }),
    ...(terminatingTLS !== undefined && { terminatingTLS }),
    ...(originatingTLS !== undefined && { originatingTLS }),
  };
}

function asData(reader: Reader, map: MapNode, key: string, path: string): CiliumData | undefined {
  const child = reader.child(map, key, path);
  return child && { value: reader.data(child), origin: reader.origin(child.offset) };
}

function readL7(
  reader: Reader,
  rules: MapNode,
  path: string,
  ports: readonly CiliumPort[] | undefined,
  place: Place,
): CiliumPortRule['l7'] {
  reader.onlyFields(rules, path, ['http', 'dns', 'kafka', 'l7proto', 'l7']);
  const used: ('http' | 'dns' | 'kafka' | 'l7')[] = (['http', 'dns', 'kafka'] as const).filter(
    (kind) =>
      reader.eachMap(rules, kind, path, (item, itemPath) => {
        reader.onlyFields(item, itemPath, l7Fields[kind]);
      }) !== undefined,
  );
  const l7proto = reader.name(rules, 'l7proto', path);
  const l7Items = reader.items(rules, 'l7', path);
  if (l7proto !== undefined) used.push('l7');
  else if (l7Items !== undefined) reader.error(reader.field(rules, 'l7')!.offset, `${path}.l7: needs l7proto`);
  if (used.length > 1)
    reader.error(
      rules.offset,
      `${path}: ${used.join(' and ')} cannot be combined; one kind of layer-7 rule for each toPorts item`,
    );
  const kind = used[0];
  if (kind === undefined) return undefined;
  if (place.host) reader.error(rules.offset, `${path}: a policy that selects nodes cannot have layer-7 rules`);
  if (kind === 'dns' && place.direction === 'ingress')
    reader.error(rules.offset, `${path}.dns: DNS rules are for egress only`);
  if (kind === 'dns' && (ports === undefined || ports.length === 0))
    reader.error(rules.offset, `${path}.dns: needs ports`);
  for (const port of ports ?? []) {
    if (port.port === 0) reader.error(rules.offset, `${path}: layer-7 rules cannot be used with port 0`);
    else if (kind !== 'dns' && port.protocol !== 'TCP')
      reader.error(rules.offset, `${path}: ${kind} rules need protocol TCP, not ${port.protocol}`);
    else if (kind === 'dns' && port.endPort !== undefined)
      reader.error(rules.offset, `${path}.dns: DNS rules do not support port ranges`);
  }
  return kind;
}

function readPort(reader: Reader, map: MapNode, path: string): CiliumPort | undefined {
  reader.onlyFields(map, path, ['port', 'endPort', 'protocol']);
  const node = reader.field(map, 'port');
  if (node === undefined) return reader.error(map.offset, `${path}.port: required`);
  if (node.kind === 'scalar' && typeof node.value === 'number')
    return reader.error(node.offset, `${path}.port: expected a string, got number; write "${node.value}"`);
  const text = reader.asText(node, `${path}.port`);
  const endPort = reader.integer(map, 'endPort', path, 0, 65535);
  const protocolNode = reader.field(map, 'protocol');
  const unset = protocolNode === undefined || (protocolNode.kind === 'scalar' && protocolNode.value === '');
  const written = unset ? 'ANY' : reader.asChoice(protocolNode, `${path}.protocol`, protocols);
  if (text === undefined || written === undefined) return undefined;
  const protocol = written === 'ICMPV6' ? 'ICMPv6' : written;
  const origin = reader.origin(map.offset);
  if (/^[0-9]+$/.test(text)) {
    const port = Number(text);
    // A leading zero would be read as octal by the agent.
    if (port > 65535 || (text.length > 1 && text.startsWith('0')))
      return reader.error(node.offset, `${path}.port: ${JSON.stringify(text)} is not a port (0–65535)`);
    if (endPort !== undefined && endPort > 0 && endPort < port)
      reader.warning(
        reader.field(map, 'endPort')!.offset,
        `${path}.endPort: ${endPort} is below port ${port} and is ignored`,
      );
    if (endPort !== undefined && endPort > 0 && port === 0)
      reader.warning(reader.field(map, 'endPort')!.offset, `${path}.endPort: port "0" already means every port`);
    const range = endPort !== undefined && endPort > port && port > 0;
    return { origin, port, protocol, ...(range && { endPort }) };
  }
  if (!isServiceName(text))
    return reader.error(node.offset, `${path}.port: ${JSON.stringify(text)} is neither a port number nor a port name`);
  if (endPort !== undefined && endPort > 0)
    reader.warning(reader.field(map, 'endPort')!.offset, `${path}.endPort: is ignored with a named port`);
  return { origin, name: text.toLowerCase(), protocol };
}

/** IANA service name (RFC 6335 §5.1), any case: 1–15 characters, at least one letter, single inner hyphens. */
function isServiceName(text: string): boolean {
  return text.length <= 15 && /^[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*$/.test(text) && /[A-Za-z]/.test(text);
}

/** The `icmps` list of an item. */
export function readIcmps(reader: Reader, item: MapNode, path: string): CiliumIcmpRule[] | undefined {
  return reader.eachMap(item, 'icmps', path, (map, rulePath): CiliumIcmpRule => {
    reader.onlyFields(map, rulePath, ['fields']);
    const fields = reader.eachMap(map, 'fields', rulePath, (field, fieldPath) =>
      readIcmpField(reader, field, fieldPath),
    );
    const node = reader.field(map, 'fields');
    if (node?.kind === 'sequence' && node.items.length > MAX_ICMP_FIELDS)
      reader.error(node.offset, `${rulePath}.fields: ${node.items.length} items, the most is ${MAX_ICMP_FIELDS}`);
    return { fields: fields ?? [], origin: reader.origin(map.offset) };
  });
}

function readIcmpField(reader: Reader, map: MapNode, path: string): CiliumIcmpField | undefined {
  reader.onlyFields(map, path, ['type', 'family']);
  const familyNode = reader.field(map, 'family');
  const unset = familyNode === undefined || (familyNode.kind === 'scalar' && familyNode.value === '');
  const familyName = unset ? 'IPv4' : reader.asChoice(familyNode, `${path}.family`, ['IPv4', 'IPv6'] as const);
  const node = reader.field(map, 'type');
  if (node === undefined) return reader.error(map.offset, `${path}.type: required`);
  if (familyName === undefined) return undefined;
  const family = familyName === 'IPv6' ? 6 : 4;
  const type = readIcmpType(reader, node, `${path}.type`, family);
  return type === undefined ? undefined : { family, type, origin: reader.origin(map.offset) };
}

function readIcmpType(reader: Reader, node: TreeNode, path: string, family: 4 | 6): number | undefined {
  if (node.kind === 'scalar' && typeof node.value === 'number') return reader.asInteger(node, path, 0, 255);
  const text = reader.asText(node, path);
  if (text === undefined) return undefined;
  const named = icmpTypes[family].get(text);
  if (named !== undefined) return named;
  if (/^(?:0|[1-9][0-9]{0,2})$/.test(text) && Number(text) <= 255) return Number(text);
  return reader.error(node.offset, `${path}: ${JSON.stringify(text)} is not an ICMP type of IPv${family}`);
}
