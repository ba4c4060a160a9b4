// topology.yaml: what no manifest tells of the simulated node: its interfaces, routes and neighbours. Input: the file's text.
// Output: a Topology, every problem with file:line:column. Invariant: one error and there is no topology; unknown keys are
// errors that name them, since a misspelt one would change where packets go.
import { containsAddress, parseAddress } from './manifest/address.ts';
import { parseDocuments } from './manifest/documents.ts';
import { nearest, Reader, typeName } from './manifest/reader.ts';
import { LineIndex, type MapNode, type TreeNode } from './manifest/tree.ts';
import { hasErrors, type Problem } from './problem.ts';
import type { IpAddress, IpPrefix, Origin } from './state.ts';

/** One interface of the node. */
export interface Interface {
  readonly name: string;
  /** 1..100: pods' devices are numbered from 101 on. */
  readonly ifindex: number;
  /** Six bytes; undefined: frames that leave keep the source address that they have. */
  readonly mac: Uint8Array | undefined;
  /** Bytes of an IP packet; 0 = unlimited. */
  readonly mtu: number;
  /** Own addresses with the prefix that is on link. */
  readonly addresses: readonly { readonly address: IpAddress; readonly prefix: IpPrefix }[];
}

/** One route. `local` is for the node's own stack, `tunnel` for its overlay. */
export interface Route {
  readonly to: IpPrefix;
  readonly type: 'unicast' | 'local' | 'tunnel';
  /** undefined: on link (or, of the other types, of no importance). */
  readonly via: IpAddress | undefined;
  /** undefined for `local` and `tunnel` only. */
  readonly interface: Interface | undefined;
  /** Bytes; the interface's where the route names none. */
  readonly mtu: number;
}

/** One next hop's station. */
export interface Neighbour {
  readonly address: IpAddress;
  readonly interface: Interface;
  /** Six bytes. */
  readonly mac: Uint8Array;
}

/** A node's surroundings. */
export interface Topology {
  /** The node that it is about; undefined: the caller tells. */
  readonly node: string | undefined;
  /** Of `node`, else of the file. */
  readonly origin: Origin;
  readonly interfaces: readonly Interface[];
  readonly routes: readonly Route[];
  readonly neighbours: readonly Neighbour[];
}

const TOP = ['node', 'interfaces', 'routes', 'neighbours'];
const OF_INTERFACE = ['name', 'ifindex', 'mac', 'mtu', 'addresses'];
const OF_ROUTE = ['to', 'via', 'interface', 'mtu', 'type'];
const OF_NEIGHBOUR = ['address', 'interface', 'mac'];
const TYPES = ['unicast', 'local', 'tunnel'] as const;
const LAST_IFINDEX = 100;
/** Problems that are listed; the rest is counted. */
const MOST_PROBLEMS = 100;

/** Reads a topology. Pure; never throws. */
export function readTopology(
  text: string,
  file: string,
): { readonly topology?: Topology; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  let left = 0;
  const report = (problem: Problem): void =>
    void (problems.length < MOST_PROBLEMS ? problems.push(problem) : (left += 1));
  const { roots, issues } = parseDocuments(text);
  const lines = new LineIndex(text);
  for (const { severity, offset, message } of issues) report({ severity, file, ...lines.locate(offset), message });
  const reader = new Reader(file, text, report);
  const [root, second] = roots;
  let topology: Topology | undefined;
  if (root === undefined) {
    if (!hasErrors(problems)) reader.error(0, 'the file is empty; a topology names at least one interface');
  } else if (root.kind !== 'map') reader.error(root.offset, `expected an object, got ${typeName(root)}`);
  else topology = new TopologyReader(reader).read(root);
  if (second !== undefined) reader.error(second.offset, 'a topology is one document; this is a second one');
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  if (left > 0) {
    problems.push({ severity: 'warning', file, line: 0, column: 0, message: `${left} more problems are not listed` });
  }
  return topology === undefined || hasErrors(problems) ? { problems } : { topology, problems };
}

class TopologyReader {
  private readonly reader: Reader;
  private readonly byName = new Map<string, Interface>();
  private readonly byIndex = new Map<number, Interface>();
  private readonly onLink = new Map<string, Interface>();

  constructor(reader: Reader) {
    this.reader = reader;
  }

  read(root: MapNode): Topology {
    const { reader } = this;
    this.only(root, '', TOP);
    const node = reader.name(root, 'node', '');
    const interfaces = reader.eachMap(root, 'interfaces', '', (item, path) => this.interface(item, path)) ?? [];
    if (reader.field(root, 'interfaces') === undefined) reader.error(root.offset, 'interfaces: required');
    const routes = this.distinct(root, 'routes', (item, path) => {
      const route = this.route(item, path);
      return route && { value: route, text: route.to.text };
    });
    const neighbours = this.distinct(root, 'neighbours', (item, path) => {
      const neighbour = this.neighbour(item, path);
      return neighbour && { value: neighbour, text: `${neighbour.address.text} on ${neighbour.interface.name}` };
    });
    const place = reader.field(root, 'node')?.offset ?? root.offset;
    return { node, origin: reader.origin(place), interfaces, routes, neighbours };
  }

  private interface(item: MapNode, path: string): Interface | undefined {
    const { reader } = this;
    this.only(item, path, OF_INTERFACE);
    const name = this.required(item, 'name', path, (at, where) => reader.asText(at, where));
    const ifindex = this.required(item, 'ifindex', path, (at, where) => reader.asInteger(at, where, 1, LAST_IFINDEX));
    const mac = this.optional(item, 'mac', path, (at, where) => this.mac(at, where));
    const mtu = this.mtu(item, path);
    const own: { address: IpAddress; prefix: IpPrefix; offset: number; path: string }[] = [];
    reader.each(item, 'addresses', path, (at, where) => {
      const found = this.interfaceAddress(at, where);
      if (found !== undefined) own.push({ ...found, offset: at.offset, path: where });
      return found;
    });
    if (name === undefined || ifindex === undefined) return undefined;
    const made: Interface = { name, ifindex, mac, mtu: mtu ?? 0, addresses: own };
    if (this.byName.has(name)) return reader.error(item.offset, `${path}: ${JSON.stringify(name)} is there already`);
    const same = this.byIndex.get(ifindex);
    if (same !== undefined) return reader.error(item.offset, `${path}: ifindex ${ifindex} is ${same.name}’s`);
    this.byName.set(name, made);
    this.byIndex.set(ifindex, made);
    for (const { prefix, offset, path: where } of own) {
      const other = this.onLink.get(prefix.text);
      if (other !== undefined && other !== made) {
        reader.error(offset, `${where}: ${prefix.text} is on link at ${other.name} already`);
      }
      this.onLink.set(prefix.text, made);
    }
    return made;
  }

  /** `address/length`: the own address, and the prefix that is on link. */
  private interfaceAddress(
    node: TreeNode,
    path: string,
  ): { readonly address: IpAddress; readonly prefix: IpPrefix } | undefined {
    const { reader } = this;
    const prefix = reader.asPrefix(node, path, false);
    if (prefix === undefined || node.kind !== 'scalar') return undefined;
    const address = parseAddress(String(node.value).split('/')[0]!);
    if (!address.ok) return reader.error(node.offset, `${path}: ${address.reason}`);
    return { address: address.value, prefix };
  }

  private route(item: MapNode, path: string): Route | undefined {
    const { reader } = this;
    this.only(item, path, OF_ROUTE);
    const to = this.required(item, 'to', path, (at, where) => reader.asPrefix(at, where, false));
    const via = reader.address(item, 'via', path);
    const given = reader.field(item, 'interface');
    const named = this.optional(item, 'interface', path, (at, where) => this.named(at, where));
    const mtu = this.mtu(item, path);
    const type = reader.choice(item, 'type', path, TYPES) ?? 'unicast';
    if (to === undefined || (given !== undefined && named === undefined)) return undefined;
    const wrong = (key: string, message: string): undefined =>
      reader.error(reader.field(item, key)?.offset ?? item.offset, `${path}.${key}: ${message}`);
    if (via !== undefined && via.family !== to.family) return wrong('via', `${via.text} is no IPv${to.family} address`);
    if (type !== 'unicast') {
      if (named !== undefined) return wrong('interface', `a ${type} route has none`);
      return { to, type, via, interface: undefined, mtu: mtu ?? 0 };
    }
    const through = named ?? (via === undefined ? undefined : this.linkOf(via));
    if (through === undefined) {
      const why = via === undefined ? '' : `, since no interface has ${via.text} on link`;
      return reader.error(item.offset, `${path}: interface: required${why}`);
    }
    return { to, type, via, interface: through, mtu: mtu ?? through.mtu };
  }

  /** The interface whose longest prefix covers an address. */
  private linkOf(address: IpAddress): Interface | undefined {
    let best: Interface | undefined;
    let length = -1;
    for (const candidate of this.byName.values()) {
      for (const { prefix } of candidate.addresses) {
        if (prefix.prefixLen <= length || !containsAddress(prefix, address)) continue;
        best = candidate;
        length = prefix.prefixLen;
      }
    }
    return best;
  }

  private neighbour(item: MapNode, path: string): Neighbour | undefined {
    const { reader } = this;
    this.only(item, path, OF_NEIGHBOUR);
    const address = this.required(item, 'address', path, (at, where) => reader.asAddress(at, where));
    const at = this.required(item, 'interface', path, (node, where) => this.named(node, where));
    const mac = this.required(item, 'mac', path, (node, where) => this.mac(node, where));
    return address && at && mac && { address, interface: at, mac };
  }

  private named(node: TreeNode, path: string): Interface | undefined {
    const name = this.reader.asText(node, path);
    if (name === undefined) return undefined;
    const found = this.byName.get(name);
    if (found !== undefined) return found;
    const near = nearest(name, [...this.byName.keys()]);
    const proposal = near === undefined ? '' : ` (did you mean ${near}?)`;
    return this.reader.error(node.offset, `${path}: no interface is named ${JSON.stringify(name)}${proposal}`);
  }

  /** Six bytes of one station (IEEE 802): neither zero, which maps keep for "unchanged", nor a group's. */
  private mac(node: TreeNode, path: string): Uint8Array | undefined {
    const { reader } = this;
    const text = reader.asText(node, path);
    if (text === undefined) return undefined;
    if (!/^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}$/.test(text)) {
      return reader.error(node.offset, `${path}: expected six bytes like 02:00:5e:10:00:01`);
    }
    const bytes = Uint8Array.from(text.split(':'), (byte) => Number.parseInt(byte, 16));
    if (bytes.every((byte) => byte === 0)) return reader.error(node.offset, `${path}: all zero is no station`);
    if ((bytes[0]! & 1) !== 0) return reader.error(node.offset, `${path}: ${text} is a group’s address`);
    return bytes;
  }

  private mtu(item: MapNode, path: string): number | undefined {
    return this.optional(item, 'mtu', path, (at, where) => this.reader.asInteger(at, where, 68, 65535));
  }

  /** A list whose items must differ in `text`. */
  private distinct<T>(
    root: MapNode,
    key: string,
    read: (item: MapNode, path: string) => { readonly value: T; readonly text: string } | undefined,
  ): readonly T[] {
    const seen = new Set<string>();
    return (
      this.reader.eachMap(root, key, '', (item, path) => {
        const found = read(item, path);
        if (found === undefined) return undefined;
        if (seen.has(found.text)) return this.reader.error(item.offset, `${path}: ${found.text} is there already`);
        seen.add(found.text);
        return found.value;
      }) ?? []
    );
  }

  private required<T>(
    map: MapNode,
    key: string,
    path: string,
    read: (node: TreeNode, path: string) => T | undefined,
  ): T | undefined {
    const node = this.reader.field(map, key);
    return node === undefined
      ? this.reader.error(map.offset, `${path}.${key}: required`)
      : read(node, `${path}.${key}`);
  }

  private optional<T>(
    map: MapNode,
    key: string,
    path: string,
    read: (node: TreeNode, path: string) => T | undefined,
  ): T | undefined {
    const node = this.reader.field(map, key);
    return node === undefined ? undefined : read(node, `${path}.${key}`);
  }

  private only(map: MapNode, path: string, known: readonly string[]): void {
    map.keys.forEach((key, i) => {
      if (known.includes(key)) return;
      const near = nearest(key, known);
      const where = path === '' ? key : `${path}.${key}`;
      const proposal = near === undefined ? `; known are ${known.join(', ')}` : ` (did you mean ${near}?)`;
      this.reader.error(map.keyOffsets[i]!, `${where}: unknown key${proposal}`);
    });
  }
}
