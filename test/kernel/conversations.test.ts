// Connections through a ClusterIP that go on for long, in the simulator and in the kernel: opened, answered, going on while
// endpoints, policies, backends and time change, closed, opened anew. They are what the quick way of from-container is made
// for, and random packets are seldom part of one. Invariant: no difference, and the quick way was gone often enough.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { kernelUnavailable } from '../../src/dataplane/xdp/index.ts';
import {
  ACTION,
  BACKEND_STATE,
  CT_STATUS,
  decisionRecord,
  FEATURE,
  HOOK,
  META_FLAG,
  RECORD_FLAG,
} from '../../src/schema/index.ts';
import { type Family, TCP, UDP } from '../support/differential/cast.ts';
import { engineB, simulator } from '../support/differential/engines.ts';
import { frame, PLAIN } from '../support/differential/frame.ts';
import { Pair } from '../support/differential/pair.ts';
import { Random } from '../support/differential/random.ts';
import { ACK, ends, FIN, parsed, PSH, RST, SYN } from '../support/differential/replies.ts';
import { NO_META, type Step } from '../support/differential/step.ts';
import { SPAN } from '../support/differential/traffic.ts';
import { config, type WorldEntry } from '../support/differential/world.ts';
import { DEFAULT_CONFIG } from '../support/datapath-world.ts';
import { skipFor } from './kernel.ts';

const skip = skipFor(kernelUnavailable());
const seed = Number(process.env['WEIR_SEED'] ?? 1);
const SEQUENCES = Number(process.env['WEIR_SEQUENCES'] ?? 400);
const STEPS = 64;
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
class Conversation {
  private readonly random: Random;
  private readonly family: Family;
  private readonly features: number;
  private readonly flows: Flow[] = [];
  private epoch = 1;
  private globalEpoch = 1;
  private seconds = 0;
  /** Seconds are seldom over, and connections end and begin anew within them. */
  private readonly hurried: boolean;
  /** The flow whose packet is on its way. */
  private sent: Flow | undefined;
  private readonly lifetimes: object;

  constructor(random: Random, lifetimes: object = {}) {
    this.random = random;
    this.lifetimes = lifetimes;
    this.hurried = random.chance(40);
    this.family = random.pick([4, 6]);
    const { IPV4, IPV6, NODE_PORT, EVENTS, CT_ACCOUNTING, AUDIT, SOURCE_CHECK } = FEATURE;
    const more = [EVENTS, CT_ACCOUNTING, AUDIT, SOURCE_CHECK].filter(() => random.chance(35));
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
    const place = id === 4 ? address(this.family, 9, 4) : id === 3 ? address(this.family, 1, 1) : this.serving(id);
    const value = { address: keyOf(place), port: BACKEND_PORT, protocol: TCP, state, nodeId: 1, zone: 0, flags: 0 };
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
        value: { ifindex: 3, mtu: 1500, flags: 0, gateway },
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
    if (random.chance(this.hurried ? 3 : 30)) this.seconds += random.pick([1, 1, 2, 4, 5, 6, 7, 10, 59, 61]);
    if (random.chance(2)) this.seconds += 601;
    const time = { seconds: Math.min(this.seconds, SPAN - 700), nanoseconds: 0 };
    const opening = this.flows.length === 0 || random.chance(8);
    const flow = opening ? this.opened() : random.pick(this.flows);
    const odd = random.chance(8);
    const spec = {
      ...PLAIN,
      protocol: flow.protocol,
      payload: random.fill(new Uint8Array(random.pick([0, 1, 12, 40]))),
      ttl: odd ? random.pick([0, 1, 2, 255]) : 64,
      tos: random.pick([0, 0, 0xb8]),
      options: odd && family === 4 && random.chance(30) ? Uint8Array.of(1, 1, 1, 1) : new Uint8Array(0),
      padding: odd ? 6 : 0,
    };
    const flags = random.chance(12) ? META_FLAG.PARTIAL_CHECKSUM : random.chance(3) ? META_FLAG.PROBE : 0;
    const meta = { ...NO_META, flags, gsoSize: random.chance(5) ? random.pick([1400, 1600]) : 0 };
    if (!opening && flow.backend !== undefined && random.chance(40)) {
      const endings = this.hurried ? [FIN | ACK, RST, RST, SYN, SYN] : [FIN | ACK, RST];
      const tcpFlags = random.pick([SYN | ACK, SYN | ACK, ACK, ACK | PSH, ACK, ACK | PSH, ...endings]);
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
    const goingOn = [
      ACK,
      ACK,
      ACK,
      ACK | PSH,
      ACK,
      ACK | PSH,
      ACK,
      ACK | PSH,
      ACK,
      ACK,
      FIN | ACK,
      RST,
      SYN,
      SYN | ACK,
    ];
    const bytes = frame({
      ...spec,
      tcpFlags: opening ? SYN : random.pick(goingOn),
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
  took(action: number, bytes: Uint8Array): void {
    if (this.sent === undefined || action === ACTION.DROP) return;
    const headers = parsed(bytes);
    if (headers !== undefined) this.sent.backend = ends(bytes, headers)[1];
  }
}

describe('long connections through a ClusterIP', { skip }, () => {
  test('the kernel and the simulator agree, on the quick way and off it', () => {
    const pair = new Pair(simulator(), engineB('xdp', process.env['WEIR_OBJECT'])(0xffffffff));
    const { flags, ctStatus } = decisionRecord.at;
    let quick = 0;
    try {
      for (let index = 0; index < SEQUENCES; index++) {
        const conversation = new Conversation(new Random(seed, 0xc0e, index));
        const steps: Step[] = [];
        let difference = pair.begin([], conversation.world(), index * SPAN);
        while (steps.length < STEPS && difference === undefined) {
          const step = conversation.next();
          steps.push(step);
          difference = pair.step(step, steps.length - 1);
          if ('writes' in step) continue;
          const outcome = pair.outcome();
          conversation.took(outcome.action, outcome.bytes);
          const { record } = pair;
          const set = new DataView(record.buffer, record.byteOffset).getUint32(flags, true);
          const translated = (set & (RECORD_FLAG.DNAT | RECORD_FLAG.POLICY_LOOKED_UP)) === RECORD_FLAG.DNAT;
          if (translated && record[ctStatus] === CT_STATUS.ESTABLISHED) quick++;
        }
        difference ??= pair.end();
        assert.equal(difference, undefined, `seed ${seed}, sequence ${index}: ${JSON.stringify(difference)}`);
      }
    } finally {
      pair.close();
    }
    assert.ok(quick > SEQUENCES * 5, `${quick} packets of established connections`);
  });

  test('within one second: another backend, a connection begun anew', () => {
    const pair = new Pair(simulator(), engineB('xdp', process.env['WEIR_OBJECT'])(0xffffffff));
    let turned = 0;
    try {
      for (let index = 0; index < 24; index++) {
        const conversation = new Conversation(new Random(seed, 0x7a2, index));
        let difference = pair.begin([], conversation.world(), index * SPAN);
        let number = 0;
        for (let port = 1024; port < 1033 && difference === undefined; port++) {
          const backends = new Set<string>();
          for (const step of conversation.turning(port)) {
            difference = pair.step(step, number++);
            if (difference !== undefined) break;
            if ('writes' in step) continue;
            const { action, bytes } = pair.outcome();
            conversation.took(action, bytes);
            if (step.hook === HOOK.FROM_CONTAINER && action !== ACTION.DROP)
              backends.add(String(ends(bytes, parsed(bytes)!)[1]));
          }
          if (backends.size > 1) turned++;
        }
        difference ??= pair.end();
        assert.equal(difference, undefined, `seed ${seed}, sequence ${index}: ${JSON.stringify(difference)}`);
      }
    } finally {
      pair.close();
    }
    assert.ok(turned > 24, `${turned} connections were given another backend`);
  });

  test('an entry that is past its lifetime as soon as it is refreshed', () => {
    const pair = new Pair(simulator(), engineB('xdp', process.env['WEIR_OBJECT'])(0xffffffff));
    const names = ['ctTcpLifetime', 'ctServiceTcpLifetime', 'ctCloseLifetime'] as const;
    try {
      for (let index = 0; index < 36; index++) {
        const lifetimes = { [names[index % 3]!]: index % 4 < 2 ? 0x80000000 : 0xffffffff };
        const conversation = new Conversation(new Random(seed, 0x3e1, index), lifetimes);
        let difference = pair.begin([], conversation.world(), index * SPAN);
        let number = 0;
        for (let port = 1024; port < 1028; port++) {
          for (const step of conversation.ending(port)) {
            difference ??= pair.step(step, number++);
            if ('writes' in step) continue;
            const { action, bytes } = pair.outcome();
            conversation.took(action, bytes);
          }
        }
        difference ??= pair.end();
        assert.equal(difference, undefined, `${JSON.stringify(lifetimes)}, ${index}: ${JSON.stringify(difference)}`);
      }
    } finally {
      pair.close();
    }
  });
});
