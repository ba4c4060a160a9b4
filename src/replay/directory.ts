// Directory: who an address is, and which ports are declared, for everything a replay asks before the datapath is asked.
// Input: the cluster's objects and the compiled service and backend maps. Output: int32 answers from flat tables.
// Invariant: lookups allocate nothing; addresses and ports are raw (network-order bytes, little-endian load).
import type { ClusterState, IpAddress, IpPrefix, Pod } from '../control/index.ts';
import { be32, bytes, struct, u32 } from '../layout/index.ts';
import { ArrayMap, type ByteMap, Hash1, Hash2, Hash4, Hash5 } from '../maps/index.ts';
import { MAPS, type MapSpec, valueBytes } from '../schema/index.ts';

/** A pod or a node. */
export interface Owner {
  readonly kind: 'pod' | 'node';
  readonly namespace?: string;
  readonly name: string;
  /** Of a pod: the node it runs on, if the manifests say so. Of a node: its own name. */
  readonly node?: string;
  /** Canonical address texts. */
  readonly addresses: readonly string[];
  readonly labels: readonly string[];
}

/** A node's own addresses and pod networks. */
export interface NodePlace {
  readonly name: string;
  readonly prefixes: readonly IpPrefix[];
}

const word = struct('weir_directory_word', 'One number', { number: u32('index or flags') });
const key1 = struct('weir_directory_key1', 'IPv4 address', { address: be32('address') });
const key2 = struct('weir_directory_key2', 'IPv4 address and port', {
  address: be32('address'),
  port: u32('port, protocol'),
});
const key4 = struct('weir_directory_key4', 'IPv6 address', { address: bytes(16, 'address') });
const key5 = struct('weir_directory_key5', 'IPv6 address and port', {
  address: bytes(16, 'address'),
  port: u32('port, protocol'),
});

const spec = (name: string, key: MapSpec['key']): MapSpec => ({
  name: `weir_replay_${name}`,
  kind: 'hash',
  doc: 'directory of a replay',
  key,
  value: word,
  maxEntries: 1 << 22,
});

/** Bits of a port's entry. */
const FRONTEND = 1;
const BACKEND = 2;
const CONTAINER = 4;

const PROTOCOL: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

const raw32 = (b: Uint8Array, at: number): number =>
  b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24);
const rawPort = (port: number): number => ((port & 0xff) << 8) | (port >>> 8);

/** See the head of this file. Asked with four words an address; of IPv4 the last three are 0. */
export class Directory {
  /** By the number that `ownerOf` answers; 0 is nobody. */
  readonly owners: readonly (Owner | undefined)[];
  readonly nodes: readonly NodePlace[];
  /** Whether any object is known at all. */
  readonly empty: boolean;
  private readonly owners4 = new Hash1(spec('owners4', key1));
  private readonly owners6 = new Hash4(spec('owners6', key4));
  private readonly ports4 = new Hash2(spec('ports4', key2));
  private readonly ports6 = new Hash5(spec('ports6', key5));
  private readonly frontends4 = new Hash1(spec('frontends4', key1));
  private readonly frontends6 = new Hash4(spec('frontends6', key4));
  private readonly ownerIndex = new Map<string, number>();

  /**
   * @param state the cluster's objects; undefined: no manifests
   * @param maps the dataplane's maps by name, for what is a frontend or a backend
   */
  constructor(state: ClusterState | undefined, maps: ReadonlyMap<string, ByteMap>) {
    const owners: (Owner | undefined)[] = [undefined];
    this.owners = owners;
    this.empty = state === undefined;
    this.nodes = (state?.nodes ?? []).map((node) => ({ name: node.name, prefixes: node.podCIDRs }));
    for (const node of state?.nodes ?? []) {
      const addresses = node.addresses.map((entry) => entry.address);
      this.own(
        owners,
        { kind: 'node', name: node.name, node: node.name, addresses: texts(addresses), labels: [] },
        addresses,
      );
    }
    for (const pod of state?.pods ?? []) this.addPod(owners, pod);
    this.addServices(maps);
  }

  /** Number of the owner of an address, 0 when nobody is known to have it. */
  ownerOf(family: number, a0: number, a1: number, a2: number, a3: number): number {
    const table = family === 4 ? this.owners4 : this.owners6;
    const at = family === 4 ? this.owners4.find(a0) : this.owners6.find(a0, a1, a2, a3);
    return at < 0 ? 0 : table.words[at]!;
  }

  /** Whether an address is one of a service that is no node's or pod's own. */
  isServiceAddress(family: number, a0: number, a1: number, a2: number, a3: number): boolean {
    const at = family === 4 ? this.frontends4.find(a0) : this.frontends6.find(a0, a1, a2, a3);
    return at >= 0 && this.ownerOf(family, a0, a1, a2, a3) === 0;
  }

  /** Whether a service frontend, a backend or a container declares this port. `port` is raw. */
  isDeclared(family: number, a0: number, a1: number, a2: number, a3: number, port: number, protocol: number): boolean {
    return this.portBits(family, a0, a1, a2, a3, port, protocol) !== 0;
  }

  /** Whether some service has this address and raw port as a backend. */
  isBackend(family: number, a0: number, a1: number, a2: number, a3: number, port: number, protocol: number): boolean {
    return (this.portBits(family, a0, a1, a2, a3, port, protocol) & BACKEND) !== 0;
  }

  /** Whether a service listens at this address and raw port. */
  isFrontend(family: number, a0: number, a1: number, a2: number, a3: number, port: number, protocol: number): boolean {
    return (this.portBits(family, a0, a1, a2, a3, port, protocol) & FRONTEND) !== 0;
  }

  /** Whether some node's pod network holds an address. Allocates; asked only about addresses that nobody owns. */
  inPodNetwork(family: number, a0: number, a1: number, a2: number, a3: number): boolean {
    const address = new Uint8Array(Int32Array.of(a0, a1, a2, a3).buffer);
    return this.nodes.some((node) =>
      node.prefixes.some((prefix) => prefix.family === family && covers(prefix, address)),
    );
  }

  /** The pod `NS/NAME` or node `NAME`, by its number; 0 when there is none. */
  find(kind: 'pod' | 'node', name: string): number {
    return this.ownerIndex.get(`${kind}:${name}`) ?? 0;
  }

  private portBits(
    family: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    port: number,
    protocol: number,
  ): number {
    const k = (port << 16) | protocol;
    const at = family === 4 ? this.ports4.find(a0, k) : this.ports6.find(a0, a1, a2, a3, k);
    if (at < 0) return 0;
    return family === 4 ? this.ports4.words[at]! : this.ports6.words[at]!;
  }

  private own(owners: (Owner | undefined)[], owner: Owner, addresses: readonly IpAddress[]): void {
    const number = owners.length;
    owners.push(owner);
    this.ownerIndex.set(owner.kind === 'pod' ? `pod:${owner.namespace}/${owner.name}` : `node:${owner.name}`, number);
    for (const { family, bytes: b } of addresses) {
      if (family === 4) {
        const at = this.owners4.insert(raw32(b, 0));
        if (at >= 0 && this.owners4.created) this.owners4.words[at] = number;
      } else {
        const at = this.owners6.insert(raw32(b, 0), raw32(b, 4), raw32(b, 8), raw32(b, 12));
        if (at >= 0 && this.owners6.created) this.owners6.words[at] = number;
      }
    }
  }

  private addPod(owners: (Owner | undefined)[], pod: Pod): void {
    const finished = pod.phase === 'Succeeded' || pod.phase === 'Failed';
    if (finished) return;
    for (const port of pod.ports) {
      for (const { family, bytes: b } of pod.podIPs) {
        this.declare(family, b, rawPort(port.containerPort), PROTOCOL[port.protocol] ?? 0, CONTAINER);
      }
    }
    // A pod on the host's network has the node's address, and the node is its owner.
    const { namespace, name, nodeName } = pod;
    const own = pod.hostNetwork ? [] : pod.podIPs;
    const labels = [
      `k8s:io.kubernetes.pod.namespace=${namespace}`,
      ...[...pod.labels].map(([k, v]) => `k8s:${k}=${v}`),
    ];
    const owner: Owner = {
      kind: 'pod',
      namespace,
      name,
      addresses: texts(own),
      labels: labels.sort(),
      ...(nodeName === undefined ? {} : { node: nodeName }),
    };
    if (!pod.hostNetwork) this.own(owners, owner, own);
  }

  private declare(family: number, b: Uint8Array, port: number, protocol: number, bit: number): void {
    const k = (port << 16) | protocol;
    if (family === 4) {
      const at = this.ports4.insert(raw32(b, 0), k);
      if (at >= 0) this.ports4.words[at]! |= bit;
    } else {
      const at = this.ports6.insert(raw32(b, 0), raw32(b, 4), raw32(b, 8), raw32(b, 12), k);
      if (at >= 0) this.ports6.words[at]! |= bit;
    }
  }

  private addServices(maps: ReadonlyMap<string, ByteMap>): void {
    const { services4, services6, backends4, backends6 } = MAPS;
    for (const { family, services, backends } of [
      { family: 4, services: services4, backends: backends4 },
      { family: 6, services: services6, backends: backends6 },
    ] as const) {
      const { at: key } = services.key;
      for (const [k] of maps.get(services.name)?.entries() ?? []) {
        // Slots other than the master's repeat its address; a wildcard entry has no port.
        if (k[key.slot]! !== 0 || k[key.slot + 1]! !== 0 || k[key.protocol] === 0) continue;
        this.declare(family, k, k[key.port]! | (k[key.port + 1]! << 8), k[key.protocol]!, FRONTEND);
        if (family === 4) this.frontends4.insert(raw32(k, 0));
        else this.frontends6.insert(raw32(k, 0), raw32(k, 4), raw32(k, 8), raw32(k, 12));
      }
      const { at: value } = backends.value;
      const map = maps.get(backends.name);
      if (map === undefined) continue;
      for (const v of held(map, value.state))
        this.declare(family, v, v[value.port]! | (v[value.port + 1]! << 8), v[value.protocol]!, BACKEND);
    }
  }
}

/**
 * The values of an array of tens of thousands of places, most of them empty (`state`: byte of a value that is 0 there).
 * Place 0 is nobody's. Only for reading: in memory these are the map's own bytes.
 */
function* held(map: ByteMap, state: number): IterableIterator<Uint8Array> {
  const { maxEntries } = map.spec;
  if (map instanceof ArrayMap) {
    const { words, valueWords } = map;
    const all = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    for (let i = 1, at = 4 * valueWords; i < maxEntries; i++, at += 4 * valueWords)
      if (all[at + state] !== 0) yield all.subarray(at, at + 4 * valueWords);
    return;
  }
  const id = new Uint8Array(4);
  const ids = new DataView(id.buffer);
  const v = new Uint8Array(valueBytes(map.spec));
  for (let i = 1; i < maxEntries; i++) {
    ids.setUint32(0, i, true);
    if (map.lookup(id, v) && v[state] !== 0) yield v;
  }
}

/** Whether a prefix holds an address of its family. */
export function covers(prefix: Pick<IpPrefix, 'bytes' | 'prefixLen'>, address: Uint8Array): boolean {
  let bits = prefix.prefixLen;
  for (let i = 0; bits > 0; i++, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
    if (((prefix.bytes[i]! ^ address[i]!) & mask) !== 0) return false;
  }
  return true;
}

const texts = (addresses: readonly IpAddress[]): string[] => addresses.map((address) => address.text);
