// Connections through a ClusterIP that go on for long: opened, answered, going on while endpoints, policies, backends, routes and
// time change, closed, opened anew. They are what the quick ways of from-container are made for, and what random worlds seldom
// are. Input: chance. Output: a world, its steps. Invariant: the next step depends on chance and on where packets went only.
import { ACTION, BACKEND_STATE, FEATURE, HOOK, META_FLAG } from '../../../src/schema/index.ts';
import { DEFAULT_CONFIG } from '../datapath-world.ts';
import { type Family, TCP, UDP } from './cast.ts';
import { frame, PLAIN } from './frame.ts';
import type { Random } from './random.ts';
import { ACK, ends, FIN, parsed, PSH, RST, SYN } from './replies.ts';
import { NO_META, type Outcome, type Step } from './step.ts';
import { SPAN } from './traffic.ts';
import { config, type WorldEntry } from './world.ts';

const SERVICE_PORT = 80;
const BACKEND_PORT = 8080;
const CLIENT_IDENTITY = 1001;
const BACKEND_IDENTITY = 2001;
const POLICY = 1;

/** An address of either family: 10.0.x.n or fd00::x:n. */
const address = (family: Family, third: number, last: number): Uint8Array => {
  if (family === 4) return Uint8Array.of(10, 0, third, last);
  const bytes = new Uint8Array(16);
  bytes.set([0xfd, 0]);
  bytes.set([third, last], 14);
  return bytes;
};
const keyOf = (bytes: Uint8Array): never =>
  (bytes.length === 4 ? new DataView(bytes.buffer).getUint32(0) : bytes) as never;
const mac = (n: number): Uint8Array => Uint8Array.of(2, 0, 0, 0, 1, n);

interface Flow {
  readonly client: number;
  readonly port: number;
  readonly protocol: number;
  readonly service: number;
  /** Where its last packet went. */
  backend: Uint8Array | undefined;
}

/** The steps of one conversation, one after the other. */
export class Conversation {
  private readonly random: Random;
  private readonly family: Family;
  /** FEATURE bits of the configuration. */
  readonly features: number;
  private readonly flows: Flow[] = [];
  private epoch = 1;
  private globalEpoch = 1;
  private seconds = 0;
  /** Seconds are seldom over, and connections end and begin anew within them. */
  private readonly hurried: boolean;
  /** Where it is not hurried: seconds go by one after the other, so that entries are kept alive. */
  private readonly steady: boolean;
  /** Whether all backends are on another node, behind a route of this MTU. */
  private readonly away: boolean;
  private readonly mtu: number;
  private latest: Flow | undefined;
  /** The flow whose packet is on its way. */
  private sent: Flow | undefined;
  private readonly lifetimes: object;

  /** @param lifetimes fields of the configuration; left out: long, in some conversations so short that they run out */
  constructor(random: Random, lifetimes?: object) {
    this.random = random;
    const ctTcpLifetime = random.chance(25) ? random.pick([1, 2, 5]) : 600;
    this.lifetimes = lifetimes ?? { ctTcpLifetime, ctServiceTcpLifetime: ctTcpLifetime };
    this.hurried = random.chance(50);
    this.steady = random.chance(60);
    this.away = random.chance(35);
    this.mtu = random.pick([1500, 1500, 0, 52, 60, 72, 80, 100]);
    this.family = random.pick([4, 6]);
    const { IPV4, IPV6, NODE_PORT, EVENTS, CT_ACCOUNTING, AUDIT, SOURCE_CHECK } = FEATURE;
    const more = [EVENTS, AUDIT, SOURCE_CHECK].filter(() => random.chance(35));
    // With it every packet has something to write.
    if (random.chance(15)) more.push(CT_ACCOUNTING);
    this.features = [IPV4, IPV6, NODE_PORT, ...more].reduce((all, bit) => all | bit, 0);
  }

  private name<N extends string>(name: N): `${N}4` | `${N}6` {
    return `${name}${this.family}`;
  }

  private config(): WorldEntry {
    const { features, globalEpoch } = this;
    const lifetimes = { ctTcpLifetime: 600, ctServiceTcpLifetime: 600, ...this.lifetimes };
    return config({ ...DEFAULT_CONFIG, features, globalEpoch, ...lifetimes });
  }

  private endpoint(bytes: Uint8Array, n: number, more: object): WorldEntry {
    const value = { ifindex: 10 + n, endpointId: n, nodeId: 1, flags: 0, policyId: 0, epoch: this.epoch };
    return {
      map: this.name('endpoints'),
      key: { address: keyOf(bytes) },
      value: { ...value, identity: CLIENT_IDENTITY, mac: mac(n), nodeMac: mac(100 + n), ...more },
    } as never;
  }

  private client(n: number): WorldEntry {
    return this.endpoint(address(this.family, 1, n), n, { policyId: POLICY });
  }

  private backend(id: number, state = 1): WorldEntry {
    // The last one is on another node, with a route; the one before is the first client itself.
    const elsewhere = id === 4 || (this.away && id !== 3);
    const place = elsewhere ? address(this.family, 9, id) : id === 3 ? address(this.family, 1, 1) : this.serving(id);
    const nodeId = elsewhere ? 2 : 1;
    const value = { address: keyOf(place), port: BACKEND_PORT, protocol: TCP, state, nodeId, zone: 0, flags: 0 };
    return { map: this.name('backends'), key: { id }, value } as never;
  }

  private serving(id: number): Uint8Array {
    return address(this.family, 2, id);
  }

  private service(protocol: number, service: number, reverseNat = service): WorldEntry[] {
    const count = service === 1 ? 2 : 4;
    const key = { address: keyOf(address(this.family, 5, service)), port: SERVICE_PORT, protocol, scope: 0, slot: 0 };
    const value = { target: 0, count, reverseNat, flags: this.random.chance(10) ? 0x10 : 0, drainCount: 0 };
    const map = this.name('services');
    const slots = Array.from({ length: count }, (_, i) => ({
      map,
      key: { ...key, slot: i + 1 },
      value: { ...value, target: i + 1, count: 0 },
    }));
    return [{ map, key, value }, ...slots] as never;
  }

  private policy(cookie: number): WorldEntry[] {
    const shapes = { ingressShapes: [0, 0, 0], egressShapes: [0, 0, 1 << 17] };
    const meta = { flags: this.random.pick([2, 2, 2, 0, 3]), ingressCookie: 3, egressCookie: 4, ...shapes };
    const precedence = (0xffff << 8) | (this.random.chance(12) ? 255 : 1);
    return [
      { map: 'policyMeta', key: { policyId: POLICY }, value: meta },
      {
        map: 'policy',
        key: { policyId: POLICY, identity: 0, protocol: 0, port: 0, shape: 0x80 | 17 },
        value: { precedence, cookie, proxyPort: 0, flags: 0 },
      },
    ] as never;
  }

  world(): WorldEntry[] {
    const { family } = this;
    const gateway = new Uint8Array(16);
    gateway.set(address(family, 9, 254));
    return [
      this.config(),
      this.client(1),
      this.client(2),
      ...[1, 2].map((id) => this.endpoint(this.serving(id), 20 + id, { identity: BACKEND_IDENTITY })),
      ...[1, 2, 3, 4].map((id) => this.backend(id)),
      ...[1, 2].flatMap((n) => [
        ...this.service(TCP, n),
        ...this.service(UDP, n),
        {
          map: this.name('reverseNat'),
          key: { index: n },
          value: { address: keyOf(address(family, 5, n)), port: SERVICE_PORT, flags: 1 },
        } as never,
      ]),
      ...this.policy(7),
      {
        map: this.name('routes'),
        key: { prefixLength: family === 4 ? 24 : 120, address: keyOf(address(family, 9, 0)) },
        value: { ifindex: 3, mtu: this.mtu, flags: 0, gateway },
      } as never,
      {
        map: this.name('neighbours'),
        key: { ifindex: 3, address: keyOf(address(family, 9, 254)) },
        value: { destination: mac(200), source: mac(201) },
      } as never,
    ];
  }

  private change(): WorldEntry[] {
    const { random } = this;
    switch (random.below(6)) {
      case 0:
        this.epoch++;
        return [this.client(1), this.client(2)];
      case 1:
        this.globalEpoch++;
        return [this.config()];
      case 2:
        this.epoch++;
        return [...this.policy(random.between(7, 9)), this.client(1), this.client(2)];
      case 3:
        return [this.backend(random.between(1, 4), random.pick([0, 1, 1, 2, 3]))];
      case 4:
        return this.service(TCP, random.between(1, 2), random.between(1, 2));
      default:
        return [1, 2, 3, 4].map((id) => this.backend(id));
    }
  }

  next(): Step {
    const { random, family } = this;
    this.sent = undefined;
    if (random.chance(this.hurried ? 2 : 6)) return { writes: this.change() };
    if (!this.hurried && this.steady) this.seconds += random.chance(30) ? 1 : 0;
    else if (random.chance(this.hurried ? 3 : 30)) this.seconds += random.pick([1, 1, 2, 4, 5, 6, 7, 10, 59, 61]);
    if (random.chance(2)) this.seconds += 601;
    const time = { seconds: Math.min(this.seconds, SPAN - 700), nanoseconds: 0 };
    // Mostly the connection that had the packet before goes on.
    const last = this.flows.find((flow) => flow === this.latest);
    const opening = this.flows.length === 0 || random.chance(last === undefined ? 8 : 4);
    const flow = opening ? this.opened() : last !== undefined && random.chance(60) ? last : random.pick(this.flows);
    this.latest = flow;
    const odd = random.chance(8);
    const narrow = this.mtu !== 0 && this.mtu < 1500;
    const gsoSize = random.chance(narrow ? 20 : 8) ? random.pick([8, 20, 28, 40, 60, 1400, 1600]) : 0;
    const spec = {
      ...PLAIN,
      protocol: flow.protocol,
      payload: random.fill(new Uint8Array(random.pick([0, 1, 12, 40]))),
      ttl: odd ? random.pick([0, 1, 2, 255]) : 64,
      tos: random.pick([0, 0, 0xb8]),
      tcpOptions: new Uint8Array(random.chance(gsoSize > 0 ? 60 : 15) ? random.pick([4, 12, 40]) : 0).fill(1),
      options: odd && family === 4 && random.chance(30) ? Uint8Array.of(1, 1, 1, 1) : new Uint8Array(0),
      padding: odd ? 6 : 0,
    };
    const flags = random.chance(12) ? META_FLAG.PARTIAL_CHECKSUM : random.chance(3) ? META_FLAG.PROBE : 0;
    const meta = { ...NO_META, flags, gsoSize };
    if (!opening && flow.backend !== undefined && random.chance(30)) {
      const tcpFlags = random.chance(this.hurried ? 20 : 10)
        ? random.pick([FIN | ACK, RST, RST, SYN, SYN])
        : random.pick([SYN | ACK, SYN | ACK, ACK, ACK | PSH]);
      const bytes = frame({
        ...spec,
        tcpFlags,
        source: flow.backend,
        destination: address(family, 1, flow.client),
        sourcePort: BACKEND_PORT,
        destinationPort: flow.port,
      });
      return { hook: HOOK.TO_CONTAINER, bytes, ...time, meta };
    }
    this.sent = flow;
    const goingOn = random.chance(88)
      ? random.pick([ACK, ACK, ACK, ACK | PSH])
      : random.pick([FIN | ACK, RST, RST | ACK, SYN, SYN | ACK, ACK | 0x40]);
    const bytes = frame({
      ...spec,
      tcpFlags: opening ? SYN : goingOn,
      source: address(family, 1, flow.client),
      destination: address(family, 5, flow.service),
      sourcePort: flow.port,
      destinationPort: SERVICE_PORT,
    });
    const ifindex = random.chance(3) ? 99 : 10 + flow.client;
    return { hook: HOOK.FROM_CONTAINER, bytes, ...time, meta: { ...meta, ifindex } };
  }

  private plain(flow: Flow, tcpFlags: number, back: boolean): Step {
    const client = [address(this.family, 1, flow.client), flow.port] as const;
    const server = back
      ? ([flow.backend ?? client[0], BACKEND_PORT] as const)
      : ([address(this.family, 5, flow.service), SERVICE_PORT] as const);
    const [[source, sourcePort], [destination, destinationPort]] = back ? [server, client] : [client, server];
    const ends = { source, destination, sourcePort, destinationPort };
    const bytes = frame({ ...PLAIN, protocol: flow.protocol, tcpFlags, ttl: 64, ...ends });
    this.sent = back ? undefined : flow;
    const meta = { ...NO_META, ifindex: back ? 0 : 10 + flow.client };
    return { hook: back ? HOOK.TO_CONTAINER : HOOK.FROM_CONTAINER, bytes, seconds: 0, nanoseconds: 0, meta };
  }

  /** All in one second: a connection whose backend drains, so that its next SYN is given another, or that ends and opens anew. */
  *turning(port: number): Generator<Step> {
    const flow: Flow = { client: 1, port, protocol: TCP, service: 1, backend: undefined };
    yield this.plain(flow, SYN, false);
    yield this.plain(flow, SYN | ACK, true);
    for (let n = 0; n < 3; n++) yield this.plain(flow, ACK, false);
    const id = flow.backend?.at(-1) ?? 1;
    // As control does it: no slot leads there any more.
    const slots = this.service(TCP, 1).map((entry) => {
      const { key, value } = entry as unknown as { key: { slot: number }; value: object };
      return key.slot === 0 ? entry : ({ ...entry, value: { ...value, target: 3 - id } } as never);
    });
    yield { writes: [this.backend(id, BACKEND_STATE.TERMINATING), ...slots] };
    for (let n = 0; n < 3; n++) yield this.plain(flow, ACK, false);
    if (port % 3 === 0) {
      yield this.plain(flow, FIN | ACK, true);
      for (let n = 0; n < 2; n++) yield this.plain(flow, ACK, false);
    }
    if (port % 3 === 1) yield this.plain(flow, RST, true);
    yield this.plain(flow, SYN, false);
    for (let n = 0; n < 3; n++) yield this.plain(flow, ACK, false);
    yield { writes: [this.backend(id), ...this.service(TCP, 1)] };
  }

  /** All in one second: a connection that goes on, whose other end then resets it or closes its half. */
  *ending(port: number): Generator<Step> {
    const flow: Flow = { client: 1, port, protocol: TCP, service: 1, backend: undefined };
    yield this.plain(flow, SYN, false);
    yield this.plain(flow, SYN | ACK, true);
    for (let n = 0; n < 4; n++) yield this.plain(flow, ACK, false);
    yield this.plain(flow, port % 2 === 0 ? RST : FIN | ACK, true);
    for (let n = 0; n < 2; n++) yield this.plain(flow, ACK, false);
    yield this.plain(flow, FIN | ACK, false);
    for (let n = 0; n < 2; n++) yield this.plain(flow, ACK, false);
  }

  private opened(): Flow {
    const { random } = this;
    const flow = {
      client: random.between(1, 2),
      port: random.pick([1024, 1025, 0x8000, 65535]),
      protocol: random.pick([TCP, TCP, TCP, UDP]),
      service: random.between(1, 2),
      backend: undefined,
    };
    if (this.flows.length < 3) this.flows.push(flow);
    else this.flows[random.below(3)] = flow;
    return flow;
  }

  /** The packet that was just sent came out like this. */
  took({ action, bytes }: Outcome): void {
    if (this.sent === undefined || action === ACTION.DROP) return;
    const headers = parsed(bytes);
    if (headers !== undefined) this.sent.backend = ends(bytes, headers)[1];
  }
}
