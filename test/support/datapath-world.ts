// A small world for datapath tests: a simulator, and its maps filled from text. Input: addresses, services, policies as a
// test would say them. Output: verdicts and records. What control will compile is written here by hand, field by field.
import { createSim, type Sim, type SimOptions } from '../../src/dataplane/sim/index.ts';
import { Meta, Packet } from '../../src/datapath/index.ts';
import type { ValueOf } from '../../src/layout/index.ts';
import { type TypedMap, typedMap, typedTables } from '../../src/maps/index.ts';
import {
  ALGORITHM,
  BACKEND_STATE,
  type configValue,
  CT_KEY,
  type ctEntry,
  aggregateOf,
  FEATURE,
  HOOK,
  IPCACHE_FLAG,
  MAPS,
  SERVICE_FLAG,
  SHAPE_ANY_PROTOCOL,
} from '../../src/schema/index.ts';
import { addressBytes, frame, type PacketSpec, type Seen, seen } from './packets.ts';

export type Config = ValueOf<typeof configValue>;
type Structs = typeof MAPS;
type Typed<N extends keyof Structs> = TypedMap<ValueOf<Structs[N]['key']>, ValueOf<Structs[N]['value']>>;

/** Small maps, so that thousands of worlds can be made in a test. */
export const SMALL: NonNullable<SimOptions['specs']> = {
  backends4: { maxEntries: 64 },
  backends6: { maxEntries: 64 },
  reverseNat4: { maxEntries: 64 },
  reverseNat6: { maxEntries: 64 },
  policyMeta: { maxEntries: 64 },
  nodes4: { maxEntries: 64 },
  nodes6: { maxEntries: 64 },
  limits: { maxEntries: 64 },
  departures: { maxEntries: 64 },
  maglev4: { innerEntries: 251 },
  maglev6: { innerEntries: 251 },
  events: { maxEntries: 64 },
};

export const LOOPBACK4 = '169.254.42.1';
export const LOOPBACK6 = 'fd00:ffff:0:0:0:0:0:1';

export const DEFAULT_FEATURES =
  FEATURE.IPV4 |
  FEATURE.IPV6 |
  FEATURE.SCTP |
  FEATURE.FRAGMENTS_V4 |
  FEATURE.FRAGMENTS_V6 |
  FEATURE.SOURCE_CHECK |
  FEATURE.NO_BACKEND_DROP |
  FEATURE.ICMP_FRAG_NEEDED;

export const DEFAULT_CONFIG: Config = {
  features: DEFAULT_FEATURES,
  globalEpoch: 1,
  algorithm: ALGORITHM.RANDOM,
  maglevSize: 251,
  hashSeed4: 0x71dcda46,
  hashSeed6: 0x92505688,
  randomSeed: 7,
  ctTcpLifetime: 8000,
  ctAnyLifetime: 60,
  ctServiceTcpLifetime: 8000,
  ctServiceAnyLifetime: 60,
  ctSynLifetime: 60,
  ctCloseLifetime: 10,
  ctServiceGrace: 60,
  reportInterval: 5,
  nodePortFirst: 30000,
  nodePortLast: 32767,
  loopback4: 0xa9fe2a01,
  loopback6: addressBytes(LOOPBACK6),
  nodeId: 1,
  tunnelPort: 8472,
  flowLifetime: 60,
  encapSource4: 0xc0a80001,
  encapSource6: addressBytes('fd00:ffff:0:0:0:0:0:2'),
  encapPrefix4: 24,
  encapPrefix6: 112,
  routerAddress4: 0x0a0000fe,
  routerAddress6: addressBytes('fd00:0:0:0:0:0:0:fe'),
  natPortFirst: 32768,
  natPortLast: 65535,
};

const PROTOCOL = { tcp: 6, udp: 17, sctp: 132, icmp: 1, icmpv6: 58, any: 0 } as const;
type ProtocolName = keyof typeof PROTOCOL;

const be32 = (text: string): number => addressBytes(text).reduce((n, b) => n * 256 + b, 0);
const isFour = (text: string): boolean => !text.includes(':');

type Kind = 'ctTcp' | 'ctAny' | 'ctTcpNew' | 'ctAnyNew';
/** A map of connections. */
export type ConntrackMap = `${Kind}${4 | 6}`;

/** One rule of a policy under test. */
export interface Rule {
  readonly identity?: number;
  readonly protocol?: ProtocolName;
  readonly port?: number;
  /** Bits of the port that count; 16 where a port is given. */
  readonly prefix?: number;
  readonly verdict?: 'allow' | 'deny' | 'redirect';
  readonly priority?: number;
  readonly cookie?: number;
  readonly proxyPort?: number;
  readonly auth?: number;
}

export interface EndpointOptions {
  readonly identity?: number;
  readonly policyId?: number;
  readonly ifindex?: number;
  readonly id?: number;
  readonly node?: number;
  readonly epoch?: number;
  readonly flags?: number;
  readonly mac?: Uint8Array;
  readonly nodeMac?: Uint8Array;
  /** Leave the address out of the ipcache. */
  readonly hidden?: boolean;
}

export interface ServiceOptions {
  readonly protocol?: ProtocolName;
  readonly flags?: number;
  readonly algorithm?: number;
  readonly affinitySeconds?: number;
  readonly reverseNat?: number;
  readonly scope?: number;
  /** Backends as `address:port` (IPv6 `[address]:port`), by their ids. */
  readonly backends?: readonly number[];
  readonly target?: number;
}

/** What one run gave. */
export interface Result extends Seen {
  readonly verdict: number;
  readonly bytes: Uint8Array;
  readonly record: ReturnType<Sim['decision']>;
}

export class World {
  readonly sim: Sim;
  readonly packet = new Packet();
  readonly meta = new Meta();
  config: Config;
  /** Seconds since start for the next packets. */
  now = 100;
  nanoseconds = 0;
  /** Flags of services that are given none. */
  serviceFlags: number = SERVICE_FLAG.ROUTABLE;
  private nextReverseNat = 1;
  private nextEndpoint = 1;

  constructor(options: SimOptions = {}, config: Partial<Config> = {}) {
    this.sim = createSim({ ...options, seed: options.seed ?? 42, specs: { ...SMALL, ...options.specs } });
    this.config = { ...DEFAULT_CONFIG, ...config };
    this.configure({});
  }

  map<N extends Exclude<keyof Structs, 'events' | 'maglev4' | 'maglev6'>>(name: N): Typed<N> {
    return typedMap(MAPS[name] as never, this.sim.maps[name]) as unknown as Typed<N>;
  }

  configure(config: Partial<Config>): this {
    this.config = { ...this.config, ...config };
    this.map('config').set({ index: 0 }, this.config);
    return this;
  }

  /** Switches features on. */
  enable(...bits: number[]): this {
    return this.configure({ features: bits.reduce((all, bit) => all | bit, this.config.features) });
  }

  /** Switches features off. */
  disable(...bits: number[]): this {
    return this.configure({ features: bits.reduce((all, bit) => all & ~bit, this.config.features) });
  }

  /** Who an address is. `tunnel`: the node's address that it is behind, in the overlay. */
  identity(prefix: string, identity: number, nodeId = 0, tunnel?: string): this {
    const [address = '', bits] = prefix.split('/');
    const tunnelEndpoint = new Uint8Array(16);
    if (tunnel !== undefined) tunnelEndpoint.set(addressBytes(tunnel));
    const flags =
      tunnel === undefined
        ? 0
        : IPCACHE_FLAG.HAS_TUNNEL_ENDPOINT | (isFour(tunnel) ? 0 : IPCACHE_FLAG.IPV6_TUNNEL_ENDPOINT);
    const value = { identity, nodeId, flags, key: 0, tunnelEndpoint };
    if (isFour(address)) {
      const prefixLength = 32 + Number(bits ?? 32);
      this.map('ipcache4').set({ prefixLength, clusterId: 0, address: be32(address) }, value);
    } else {
      const prefixLength = 32 + Number(bits ?? 128);
      this.map('ipcache6').set({ prefixLength, clusterId: 0, address: addressBytes(address) }, value);
    }
    return this;
  }

  endpoint(address: string, options: EndpointOptions = {}): this {
    const id = options.id ?? this.nextEndpoint++;
    const identity = options.identity ?? 1000 + id;
    const value = {
      ifindex: options.ifindex ?? 10 + id,
      endpointId: id,
      nodeId: options.node ?? 1,
      identity,
      policyId: options.policyId ?? 0,
      epoch: options.epoch ?? 1,
      flags: options.flags ?? 0,
      mac: options.mac ?? new Uint8Array(6),
      nodeMac: options.nodeMac ?? new Uint8Array(6),
    };
    if (isFour(address)) this.map('endpoints4').set({ address: be32(address) }, value);
    else this.map('endpoints6').set({ address: addressBytes(address) }, value);
    return options.hidden === true ? this : this.identity(address, identity);
  }

  /** Changes a field of an endpoint, as control does: its policy, its epoch. */
  changeEndpoint(address: string, change: { policyId?: number; epoch?: number; identity?: number }): this {
    if (isFour(address)) {
      const map = this.map('endpoints4');
      map.set({ address: be32(address) }, { ...map.get({ address: be32(address) })!, ...change });
    } else {
      const map = this.map('endpoints6');
      const key = { address: addressBytes(address) };
      map.set(key, { ...map.get(key)!, ...change });
    }
    return this;
  }

  /** The address that a node puts in place of others. */
  node(id: number, address: string, gateway?: string): this {
    const other = gateway ?? (isFour(address) ? '0.0.0.0' : '::');
    if (isFour(address)) this.map('nodes4').set({ id }, { address: be32(address), gateway: be32(other) });
    else this.map('nodes6').set({ id }, { address: addressBytes(address), gateway: addressBytes(other) });
    return this;
  }

  backend(
    id: number,
    address: string,
    port: number,
    state: number = BACKEND_STATE.ACTIVE,
    protocol: ProtocolName = 'tcp',
    nodeId = 0,
  ): this {
    const value = { port, protocol: PROTOCOL[protocol], state, nodeId, zone: 0, flags: 0 };
    if (isFour(address)) this.map('backends4').set({ id }, { address: be32(address), ...value });
    else this.map('backends6').set({ id }, { address: addressBytes(address), ...value });
    return this;
  }

  /** A frontend with its slots and reverse NAT entry. Answers its index. */
  service(address: string, port: number, options: ServiceOptions = {}): number {
    const four = isFour(address);
    const protocol = PROTOCOL[options.protocol ?? 'tcp'];
    const reverseNat = options.reverseNat ?? this.nextReverseNat++;
    const backends = options.backends ?? [];
    const scope = options.scope ?? 0;
    let flags = options.flags ?? this.serviceFlags;
    if (options.affinitySeconds !== undefined) flags |= SERVICE_FLAG.AFFINITY;
    const target = options.target ?? ((options.algorithm ?? 0) << 24) | (options.affinitySeconds ?? 0);
    const put = (slot: number, value: ValueOf<Structs['services4']['value']>): void => {
      const rest = { port, slot, protocol, scope };
      if (four) this.map('services4').set({ address: be32(address), ...rest }, value);
      else this.map('services6').set({ address: addressBytes(address), ...rest }, value);
    };
    backends.forEach((id, i) => {
      put(i + 1, { target: id, count: 0, reverseNat, flags: 0, drainCount: 0 });
      if (options.affinitySeconds !== undefined) {
        this.map('affinityMatch').set({ backendId: id, reverseNat }, { present: 1 });
      }
    });
    put(0, { target, count: backends.length, reverseNat, flags, drainCount: 0 });
    if (reverseNat !== 0) {
      if (four) this.map('reverseNat4').set({ index: reverseNat }, { address: be32(address), port, flags: 1 });
      else this.map('reverseNat6').set({ index: reverseNat }, { address: addressBytes(address), port, flags: 1 });
    }
    return reverseNat;
  }

  /** An address that an interface answers for. */
  announce(address: string, ifindex: number, mac: Uint8Array): this {
    if (isFour(address)) this.map('announced4').set({ address: be32(address), ifindex }, { mac });
    else this.map('announced6').set({ address: addressBytes(address), ifindex }, { mac });
    return this;
  }

  /** A wildcard entry: drops what is for the address but for no frontend. */
  wildcard(address: string): this {
    const value = { target: 0, count: 0, reverseNat: 0, flags: 0, drainCount: 0 };
    const rest = { port: 0, slot: 0, protocol: 0, scope: 0 };
    if (isFour(address)) this.map('services4').set({ address: be32(address), ...rest }, value);
    else this.map('services6').set({ address: addressBytes(address), ...rest }, value);
    return this;
  }

  /** Fills a Maglev table with the given backend ids, repeated over the table. */
  maglev(reverseNat: number, ids: readonly number[], family: 4 | 6 = 4): this {
    const name = family === 4 ? 'maglev4' : 'maglev6';
    const map = this.sim.maps[name];
    const table = Uint32Array.from({ length: map.spec.innerEntries! }, (_, i) => ids[i % ids.length]!);
    typedTables(map.spec, map).set({ reverseNat } as never, table);
    return this;
  }

  /** Writes a policy: its entries, and the shapes that exist. A direction that is given is enforced. */
  policy(
    policyId: number,
    policy: {
      ingress?: readonly Rule[];
      egress?: readonly Rule[];
      audit?: boolean;
      ingressCookie?: number;
      egressCookie?: number;
    },
  ): this {
    const shapes = { ingress: [0, 0, 0], egress: [0, 0, 0] };
    for (const direction of ['ingress', 'egress'] as const) {
      for (const rule of policy[direction] ?? []) {
        const identity = rule.identity ?? 0;
        const anyProtocol = rule.protocol === undefined || rule.protocol === 'any';
        const prefix = rule.prefix ?? (rule.port === undefined ? 0 : 16);
        const shape = anyProtocol ? SHAPE_ANY_PROTOCOL : prefix;
        const kind = identity === 0 ? 2 : identity >= 11 && identity <= 14 ? 1 : 0;
        shapes[direction][kind]! |= 1 << shape;
        const verdict = rule.verdict === 'deny' ? 255 : rule.verdict === 'redirect' ? 2 : 1;
        this.map('policy').set(
          {
            policyId,
            identity,
            port: anyProtocol ? 0 : (rule.port ?? 0) & (0xffff << (16 - prefix)) & 0xffff,
            protocol: anyProtocol ? 0 : PROTOCOL[rule.protocol],
            shape: shape | (direction === 'egress' ? 0x80 : 0),
          },
          {
            precedence: ((0xffffff - (rule.priority ?? 200)) * 256 + verdict) >>> 0,
            cookie: rule.cookie ?? 0,
            proxyPort: rule.proxyPort ?? 0,
            flags: rule.auth ?? 0,
          },
        );
      }
    }
    this.map('policyMeta').set(
      { policyId },
      {
        flags:
          (policy.ingress === undefined ? 0 : 1) |
          (policy.egress === undefined ? 0 : 2) |
          (policy.audit === true ? 4 : 0),
        ingressShapes: shapes.ingress,
        egressShapes: shapes.egress,
        ingressCookie: policy.ingressCookie ?? 0,
        egressCookie: policy.egressCookie ?? 0,
      },
    );
    return this;
  }

  /** Runs bytes through a hook, in a copy, with fresh meta. */
  runBytes(hook: keyof typeof HOOK, bytes: Uint8Array, meta: Partial<Meta> = {}): Result {
    Object.assign(this.meta.reset(), meta);
    return this.next(hook, bytes);
  }

  /** Runs a packet through a hook. */
  run(hook: keyof typeof HOOK, spec: PacketSpec, meta: Partial<Meta> = {}): Result {
    return this.runBytes(hook, frame(spec), meta);
  }

  /** Runs what a hook gave through the next one, with the meta that it left. */
  next(hook: keyof typeof HOOK, from: Result | Uint8Array): Result {
    const given = (from instanceof Uint8Array ? from : from.bytes).slice();
    const { packet } = this;
    const verdict = this.sim.run(HOOK[hook], packet.set(given, this.now, this.nanoseconds), this.meta);
    // A packet of another length is in the engine's own memory now, or is what another held.
    const same = packet.bytes === given && packet.offset === 0 && packet.capturedEnd === given.length;
    const bytes = same ? given : packet.bytes.slice(packet.offset, packet.capturedEnd);
    return { verdict, bytes, record: this.sim.decision(), ...safeSeen(bytes) };
  }

  /** The conntrack entries of a map, decoded. */
  entries<N extends ConntrackMap>(name: N): [ValueOf<Structs[N]['key']>, ValueOf<typeof ctEntry>][] {
    return [...(this.map(name) as Iterable<[ValueOf<Structs[N]['key']>, ValueOf<typeof ctEntry>]>)];
  }

  /** The one entry of a map whose key has neither RELATED nor, unless wanted, SERVICE or NODE. */
  connection(name: ConntrackMap, flags = 0): ValueOf<typeof ctEntry> | undefined {
    const wanted = CT_KEY.RELATED | CT_KEY.SERVICE | CT_KEY.NODE;
    return this.entries(name).find(([key]) => (key.flags & wanted) === flags)?.[1];
  }

  /** Every map that the datapath may write, counters included, as text; equal texts mean equal content. */
  snapshot(): string {
    const lines: string[] = [];
    for (const [name, map] of Object.entries(this.sim.maps)) {
      if (map.spec.kind !== 'lru-hash' || map.size === 0) continue;
      for (const [key, value] of map.entries()) lines.push(`${name} ${key.join()} ${value.join()}`);
    }
    return `${lines.sort().join('\n')}\n${this.counters().join()}`;
  }

  /** Counters that are not zero, as (index, words) of the metrics map: quicker than decoding all of them. */
  counters(): number[] {
    const { words } = this.sim.maps.metrics as unknown as { words: Int32Array };
    const found: number[] = [];
    for (let i = 0; i < words.length; i++) if (words[i] !== 0) found.push(i, words[i]!);
    return found;
  }

  /** Packets counted so far; fragments, and what NAT counts besides, not. */
  counted(): number {
    let total = 0;
    const counters = this.counters();
    for (let i = 0; i < counters.length; i += 2) {
      const reason = counters[i]! >> 4;
      if ((counters[i]! & 3) === 0 && reason !== 9 && reason !== 10 && ![100, 101, 102].includes(reason))
        total += counters[i + 1]!;
    }
    return total;
  }
}

function safeSeen(bytes: Uint8Array): Seen {
  return seen(bytes.length >= 62 ? bytes : Uint8Array.from([...bytes, ...new Uint8Array(62 - bytes.length)]));
}

/** The aggregate of an identity, for tests that write keys for it. */
export const aggregate = aggregateOf;
