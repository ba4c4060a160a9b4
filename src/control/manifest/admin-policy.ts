// policy.networking.k8s.io ClusterNetworkPolicy (v1alpha2), AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1) from
// their trees. In: a Reader and the object's root. Out: AdminPolicy or undefined. Invariant: the checks are those of the
// CRDs' schemas and rules; an object without any known peer field stays, as `unknown`, since such rules fail closed.
import type { AdminPeer, AdminPods, AdminPolicy, AdminPort, AdminRule, L4Protocol, LabelSelector } from '../state.ts';
import { portNameProblem, readMeta, readProtocol, selectorField } from './object-meta.ts';
import type { Reader } from './reader.ts';
import type { MapNode, TreeNode } from './tree.ts';

type Kind = AdminPolicy['kind'];
type Direction = AdminRule['direction'];

/** What differs from one API version to the other. */
interface Version {
  readonly actions: readonly string[];
  readonly portsField: 'ports' | 'protocols';
  /** Rules of a direction; peers and ports of a rule. */
  readonly most: number;
}

const versions: { readonly [kind in Kind]: Version } = {
  ClusterNetworkPolicy: { actions: ['Accept', 'Deny', 'Pass'], portsField: 'protocols', most: 25 },
  AdminNetworkPolicy: { actions: ['Allow', 'Deny', 'Pass'], portsField: 'ports', most: 100 },
  BaselineAdminNetworkPolicy: { actions: ['Allow', 'Deny'], portsField: 'ports', most: 100 },
};

/** `networks` and `domainNames` of a peer. */
const MOST_NAMES = 25;
const MOST_PRIORITY = 1000;
const domainName =
  /^(?:\*\.)?(?:[a-zA-Z0-9](?:[-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9](?:[-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?$/;

/** One of the three kinds. */
export function readAdminPolicy(reader: Reader, root: MapNode, kind: Kind): AdminPolicy | undefined {
  const meta = readMeta(reader, root, kind);
  if (meta === undefined) return undefined;
  const spec = reader.child(root, 'spec', '');
  if (spec === undefined)
    return reader.field(root, 'spec') === undefined ? reader.error(root.offset, 'spec: required') : undefined;
  const version = versions[kind];
  const own =
    kind === 'ClusterNetworkPolicy' ? ['tier', 'priority'] : kind === 'AdminNetworkPolicy' ? ['priority'] : [];
  reader.onlyFields(spec, 'spec', [...own, 'subject', 'ingress', 'egress']);
  if (meta.namespace !== undefined)
    reader.warning(meta.meta.offset, `metadata.namespace: a ${kind} has no namespace, this one is ignored`);
  if (kind === 'BaselineAdminNetworkPolicy' && meta.name !== 'default')
    reader.error(reader.field(meta.meta, 'name')!.offset, 'metadata.name: there is only one, named default');
  const tier =
    kind === 'ClusterNetworkPolicy' ? readTier(reader, spec) : kind === 'AdminNetworkPolicy' ? 'admin' : 'baseline';
  const priority = own.includes('priority')
    ? required(reader, spec, 'priority', 'spec', (node, path) => reader.asInteger(node, path, 0, MOST_PRIORITY))
    : MOST_PRIORITY;
  const subjectMap = required(reader, spec, 'subject', 'spec', (node, path) => reader.asMap(node, path));
  const subject = subjectMap && readSubject(reader, subjectMap, 'spec.subject');
  const ingress = readRules(reader, spec, 'ingress', version);
  const egress = readRules(reader, spec, 'egress', version);
  if (ingress.length + egress.length === 0)
    reader.warning(spec.offset, 'spec: no ingress or egress rules, so it has no effect');
  if (tier === undefined || priority === undefined || subject === undefined) return undefined;
  const { name, labels, annotations, origin } = meta;
  return { kind, name, labels, annotations, origin, tier, priority, subject, ingress, egress };
}

function required<T>(
  reader: Reader,
  map: MapNode,
  key: string,
  path: string,
  read: (node: TreeNode, path: string) => T | undefined,
): T | undefined {
  const node = reader.field(map, key);
  return node === undefined ? reader.error(map.offset, `${path}.${key}: required`) : read(node, `${path}.${key}`);
}

function readTier(reader: Reader, spec: MapNode): AdminPolicy['tier'] | undefined {
  const tier = required(reader, spec, 'tier', 'spec', (node, path) =>
    reader.asChoice(node, path, ['Admin', 'Baseline']),
  );
  return tier === undefined ? undefined : tier === 'Admin' ? 'admin' : 'baseline';
}

function bounded(reader: Reader, map: MapNode, key: string, path: string, least: number, most: number): void {
  const node = reader.field(map, key);
  if (node?.kind !== 'sequence') return;
  const { length } = node.items;
  if (length < least) reader.error(node.offset, `${path}.${key}: must not be empty`);
  if (length > most) reader.error(node.offset, `${path}.${key}: ${length} items, the most is ${most}`);
}

/** The one field of `known` that is there; more or less than one is an error. */
function only(reader: Reader, map: MapNode, path: string, known: readonly string[]): string | undefined {
  reader.onlyFields(map, path, known);
  const used = known.filter((key) => reader.field(map, key) !== undefined);
  if (used.length === 1) return used[0];
  const found = used.length === 0 ? '' : `, got ${used.join(' and ')}`;
  return reader.error(map.offset, `${path}: exactly one of ${known.join(', ')} is needed${found}`);
}

function readSubject(reader: Reader, map: MapNode, path: string): AdminPods | undefined {
  const field = only(reader, map, path, ['namespaces', 'pods']);
  return field === undefined ? undefined : readPods(reader, map, field, path);
}

/** `namespaces` or `pods` of a subject or a peer. */
function readPods(reader: Reader, map: MapNode, field: string, path: string): AdminPods | undefined {
  const origin = reader.origin(map.offset);
  if (field === 'namespaces') {
    const namespaceSelector = selectorField(reader, map, 'namespaces', path, false);
    return namespaceSelector && { origin, namespaceSelector };
  }
  const pods = reader.child(map, 'pods', path);
  if (pods === undefined) return undefined;
  reader.onlyFields(pods, `${path}.pods`, ['namespaceSelector', 'podSelector']);
  const namespaceSelector = selectorField(reader, pods, 'namespaceSelector', `${path}.pods`, false);
  const podSelector = required(reader, pods, 'podSelector', `${path}.pods`, (): LabelSelector | undefined =>
    selectorField(reader, pods, 'podSelector', `${path}.pods`, false),
  );
  return podSelector && { origin, podSelector, ...(namespaceSelector !== undefined && { namespaceSelector }) };
}

function readRules(reader: Reader, spec: MapNode, direction: Direction, version: Version): AdminRule[] {
  bounded(reader, spec, direction, 'spec', 0, version.most);
  return (
    reader.eachMap(spec, direction, 'spec', (map, path, index) =>
      readRule(reader, map, path, index, direction, version),
    ) ?? []
  );
}

function readRule(
  reader: Reader,
  map: MapNode,
  path: string,
  index: number,
  direction: Direction,
  version: Version,
): AdminRule | undefined {
  const peersField = direction === 'ingress' ? 'from' : 'to';
  const { portsField, most } = version;
  reader.onlyFields(map, path, ['name', 'action', peersField, portsField]);
  const name = reader.name(map, 'name', path);
  if (name !== undefined && name.length > 100)
    reader.error(reader.field(map, 'name')!.offset, `${path}.name: ${name.length} characters, the most is 100`);
  const written = required(reader, map, 'action', path, (node, at) => reader.asChoice(node, at, version.actions));
  const action = written === 'Deny' ? 'deny' : written === 'Pass' ? 'pass' : 'accept';
  bounded(reader, map, peersField, path, 1, most);
  bounded(reader, map, portsField, path, portsField === 'ports' ? 0 : 1, most);
  if (reader.field(map, peersField) === undefined) reader.error(map.offset, `${path}.${peersField}: required`);
  const peers = reader.eachMap(map, peersField, path, (peer, at) => readPeer(reader, peer, at, direction, written));
  const ports = reader.eachMap(map, portsField, path, (port, at) =>
    portsField === 'ports' ? readPort(reader, port, at) : readProtocolItem(reader, port, at),
  );
  const named = ports?.find(({ kind }) => kind === 'named');
  if (named !== undefined && peers?.some(({ kind }) => kind === 'networks' || kind === 'nodes' || kind === 'domains'))
    reader.error(map.offset, `${path}: networks, nodes and domainNames have no named ports`);
  if (written === undefined || peers === undefined) return undefined;
  return {
    direction,
    index,
    origin: reader.origin(map.offset),
    action,
    peers,
    ...(name !== undefined && { name }),
    ...(ports !== undefined && ports.length > 0 && { ports }),
  };
}

function readPeer(
  reader: Reader,
  map: MapNode,
  path: string,
  direction: Direction,
  action: string | undefined,
): AdminPeer | undefined {
  const known =
    direction === 'ingress' ? ['namespaces', 'pods'] : ['namespaces', 'pods', 'nodes', 'networks', 'domainNames'];
  const used = known.filter((key) => reader.field(map, key) !== undefined);
  const origin = reader.origin(map.offset);
  reader.onlyFields(map, path, known);
  if (used.length > 1)
    return reader.error(map.offset, `${path}: only one of ${known.join(', ')} is allowed, got ${used.join(' and ')}`);
  switch (used[0]) {
    case undefined:
      reader.warning(
        map.offset,
        `${path}: no peer that Weir knows; the rule fails closed (Deny and Pass deny everybody, others allow nobody)`,
      );
      return { kind: 'unknown', origin };
    case 'nodes': {
      const selector = selectorField(reader, map, 'nodes', path, false);
      return selector && { kind: 'nodes', selector, origin };
    }
    case 'networks': {
      bounded(reader, map, 'networks', path, 1, MOST_NAMES);
      const networks = reader.each(map, 'networks', path, (node, at) => reader.asPrefix(node, at, false));
      return networks && { kind: 'networks', networks, origin };
    }
    case 'domainNames': {
      bounded(reader, map, 'domainNames', path, 1, MOST_NAMES);
      if (action === 'Deny' || action === 'Pass')
        reader.error(
          reader.field(map, 'domainNames')!.offset,
          `${path}.domainNames: not allowed with action ${action}`,
        );
      const names = reader.each(map, 'domainNames', path, (node, at) => {
        const text = reader.asText(node, at);
        if (text === undefined) return undefined;
        return text.length <= 255 && domainName.test(text)
          ? text.toLowerCase().replace(/\.$/, '')
          : reader.error(node.offset, `${at}: ${JSON.stringify(text)} is not a domain name`);
      });
      return names && { kind: 'domains', names, origin };
    }
    default: {
      const pods = readPods(reader, map, used[0]!, path);
      return pods && { kind: 'pods', pods, origin };
    }
  }
}

/** One of `ports`, v1alpha1. */
function readPort(reader: Reader, map: MapNode, path: string): AdminPort | undefined {
  const origin = reader.origin(map.offset);
  const field = only(reader, map, path, ['portNumber', 'portRange', 'namedPort']);
  if (field === undefined) return undefined;
  if (field === 'namedPort') return readName(reader, map, field, path);
  const item = reader.child(map, field, path);
  if (item === undefined) return undefined;
  const at = `${path}.${field}`;
  const number = (key: string): number | undefined =>
    required(reader, item, key, at, (node, place) => reader.asInteger(node, place, 1, 65535));
  reader.onlyFields(item, at, field === 'portNumber' ? ['protocol', 'port'] : ['protocol', 'start', 'end']);
  const protocol = readProtocol(reader, item, at);
  const first = number(field === 'portNumber' ? 'port' : 'start');
  const last = field === 'portNumber' ? first : number('end');
  return protocol && range(reader, item, at, protocol, first, last, field === 'portRange', origin);
}

/** One of `protocols`, v1alpha2. */
function readProtocolItem(reader: Reader, map: MapNode, path: string): AdminPort | undefined {
  const origin = reader.origin(map.offset);
  const field = only(reader, map, path, ['tcp', 'udp', 'sctp', 'destinationNamedPort']);
  if (field === undefined) return undefined;
  if (field === 'destinationNamedPort') return readName(reader, map, field, path);
  const at = `${path}.${field}`;
  const item = reader.child(map, field, path);
  if (item === undefined) return undefined;
  reader.onlyFields(item, at, ['destinationPort']);
  const port = required(reader, item, 'destinationPort', at, (node, place) => reader.asMap(node, place));
  if (port === undefined) return undefined;
  const place = `${at}.destinationPort`;
  const protocol = field.toUpperCase() as L4Protocol;
  const used = only(reader, port, place, ['number', 'range']);
  if (used === 'number') {
    const number = reader.integer(port, 'number', place, 1, 65535);
    return range(reader, port, place, protocol, number, number, false, origin);
  }
  const ends = used === undefined ? undefined : reader.child(port, 'range', place);
  if (ends === undefined) return undefined;
  reader.onlyFields(ends, `${place}.range`, ['start', 'end']);
  const end = (key: string): number | undefined =>
    required(reader, ends, key, `${place}.range`, (node, where) => reader.asInteger(node, where, 1, 65535));
  return range(reader, ends, `${place}.range`, protocol, end('start'), end('end'), true, origin);
}

function range(
  reader: Reader,
  map: MapNode,
  path: string,
  protocol: L4Protocol,
  first: number | undefined,
  last: number | undefined,
  isRange: boolean,
  origin: AdminPort['origin'],
): AdminPort | undefined {
  if (first === undefined || last === undefined) return undefined;
  if (isRange && first >= last) return reader.error(map.offset, `${path}: start ${first} is not below end ${last}`);
  return { kind: 'ports', protocol, first, last, origin };
}

function readName(reader: Reader, map: MapNode, field: string, path: string): AdminPort | undefined {
  const name = reader.text(map, field, path);
  if (name === undefined) return undefined;
  const problem = portNameProblem(name);
  if (problem !== undefined) return reader.error(reader.field(map, field)!.offset, `${path}.${field}: ${problem}`);
  return { kind: 'named', name: name.toLowerCase(), origin: reader.origin(map.offset) };
}
