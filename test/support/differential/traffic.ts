// The packets of a sequence, one after the other: connections that live, some of them long ones of plain packets, answers made
// of what came out, fragments, errors, nonsense; and time. Input: chance, a world, what an engine made of the packet before. Output: steps.
// Invariant: depends only on its stream and on the outcomes it is told; time given as input may go back, but never below the
// first packet's.
import { ACTION, FEATURE, HOOK, META_FLAG } from '../../../src/schema/index.ts';
import { identityMark } from '../../../src/datapath/stages/identity.ts';
import { type Cast, CLIENT_PORTS, everyone, type Family, familyOf, ofFamily, TCP, UDP } from './cast.ts';
import { change, turn } from './changes.ts';
import { frame, type FrameSpec, PLAIN, transport } from './frame.ts';
import { fitting, mutated, networkOffset, noise } from './mutate.ts';
import type { Random } from './random.ts';
import type { Config } from './random-config.ts';
import { arrivingFlow, described, hostFlow, leavingFlow, randomFlow, SEGMENTS } from './random-flows.ts';
import { hasNodeAddress, openDoors, type RandomWorld, wayOut } from './random-world.ts';
import {
  ACK,
  answer,
  arpFrame,
  arpQuestion,
  ends,
  FIN,
  icmpError,
  neighbourFrame,
  parsed,
  payload,
  PSH,
  RST,
  solicitation,
  SYN,
  toZeroChecksum,
} from './replies.ts';
import { type MetaValues, NO_META, type Outcome, type PacketStep, type Step } from './step.ts';
import type { WorldEntry } from './world.ts';

const HOOKS: readonly number[] = [
  HOOK.XDP,
  HOOK.FROM_NETDEV,
  HOOK.TO_NETDEV,
  HOOK.FROM_HOST,
  HOOK.FROM_CONTAINER,
  HOOK.TO_CONTAINER,
  HOOK.TO_HOST,
];
/** Kinds of extension headers. */
const EXTENSIONS: readonly number[] = [0, 43, 44, 51, 60];
/** Seconds that a sequence lasts at most; the next one begins behind them. */
export const SPAN = 4096;
const LAST_SECOND = SPAN - 600;

interface Pending {
  readonly hook: number;
  readonly bytes: Uint8Array;
  readonly meta: MetaValues;
}

const MARK_HOST = 0xc00;
/** Makes the steps of one sequence. */
export class Traffic {
  private readonly random: Random;
  private readonly cast: Cast;
  private readonly config: Config;
  private readonly families: readonly Family[];
  private readonly entries: WorldEntry[];
  private readonly pending: Pending[] = [];
  private readonly flows: FrameSpec[] = [];
  private readonly frames: Uint8Array[] = [];
  /** Whether pods talk at length with a service in this sequence, and the connection that they have. */
  private readonly talkative: boolean;
  /** Families in which the node has no address to put in a client's place, so that what it would send on is dropped. */
  private readonly addressless: readonly Family[];
  /** What lets them, and makes services lead to backends elsewhere, by a route; empty once it is written. */
  private paving: WorldEntry[] = [];
  private talk: FrameSpec | undefined;
  private elapsed = 0;
  private nanoseconds = 0;
  private first = true;
  /** What comes next, and after how many seconds. */
  private planned: { readonly packet: Pending; readonly seconds: number } | undefined;

  /** @param flows connections that the world knows already */
  constructor(random: Random, world: RandomWorld, flows: readonly FrameSpec[]) {
    this.random = random;
    this.cast = world.cast;
    this.config = world.config;
    this.entries = [...world.entries];
    const { features } = world.config;
    const on: Family[] = [];
    if ((features & FEATURE.IPV4) !== 0) on.push(4);
    if ((features & FEATURE.IPV6) !== 0) on.push(6);
    this.families = on;
    const balances = (features & FEATURE.NODE_PORT) !== 0;
    this.addressless = balances ? on.filter((family) => !hasNodeAddress(world.entries, family)) : [];
    this.flows.push(...flows);
    this.talkative = random.chance(14);
    if (this.talkative && random.chance(50)) this.paving.push(...wayOut(random, world.cast));
    if (this.talkative && random.chance(75)) this.paving.push(...openDoors(random, world.cast));
  }

  /** The next step. */
  next(): Step {
    const { random, paving } = this;
    if (paving.length > 0) {
      this.paving = [];
      return { writes: paving };
    }
    const turning = this.talk !== undefined && random.chance(3);
    if (turning || random.chance(4)) {
      const writes = turning ? turn(random, this.entries) : change(random, this.entries);
      if (writes.length > 0) return { writes };
    }
    const planned = this.planned;
    this.planned = undefined;
    const { hook, bytes, meta } = planned?.packet ?? this.choose();
    if (planned !== undefined) this.pass(planned.seconds);
    return { hook, bytes: this.kept(fitting(hook, bytes)), meta: this.disturbed(meta), ...this.time() };
  }

  /** Time goes on: mostly within a second, at times past a lifetime, seldom back. */
  private time(): { seconds: number; nanoseconds: number } {
    const { random, config } = this;
    let back = 0;
    if (this.first) this.first = false;
    else if (random.chance(this.talkative ? 10 : 30)) {
      let step = random.pick([0, 1, 1, 1, 2, 5]);
      if (random.chance(18)) {
        step = random.pick([
          config.ctAnyLifetime,
          config.ctTcpLifetime,
          config.ctSynLifetime,
          config.ctCloseLifetime,
          config.ctServiceAnyLifetime,
          config.ctServiceGrace,
          config.ctServiceGrace,
          config.flowLifetime,
          config.reportInterval,
          60,
        ]);
        step += random.pick([-1, 0, 1, 2]);
      }
      this.pass(step);
      if (random.chance(6)) back = Math.min(this.elapsed, random.pick([1, 2, 10, 100]));
    }
    this.nanoseconds = random.below(1_000_000_000);
    return { seconds: this.elapsed - back, nanoseconds: this.nanoseconds };
  }

  private pass(seconds: number): void {
    const some = seconds >= 0 && seconds <= 1000 ? seconds : 300;
    this.elapsed = Math.min(this.elapsed + some, LAST_SECOND);
  }

  private kept(bytes: Uint8Array): Uint8Array {
    if (this.frames.length < 12) this.frames.push(bytes);
    else this.frames[this.random.below(12)] = bytes;
    return bytes;
  }

  private disturbed(meta: MetaValues): MetaValues {
    const { random } = this;
    if (!random.chance(16)) return meta;
    switch (random.below(9)) {
      case 0:
        return { ...meta, flags: meta.flags ^ META_FLAG.PARTIAL_CHECKSUM };
      case 1:
        return { ...meta, flags: meta.flags ^ META_FLAG.PARTIAL_CHECKSUM };
      case 2:
        return { ...meta, flags: meta.flags | META_FLAG.PROBE };
      case 3:
        return { ...meta, flags: meta.flags ^ META_FLAG.SKIP_SERVICE };
      case 4:
        return { ...meta, flags: meta.flags ^ META_FLAG.FROM_HOST };
      case 5:
        return { ...meta, gsoSize: random.pick([1, 1400, 40, 0xffff]) };
      case 6:
        return {
          ...meta,
          mark: random.pick([MARK_HOST, identityMark(1001) | 0, identityMark(0x01000005) | 0, 0xf00, -1]),
        };
      case 7:
        return { ...meta, cb: [random.u32() | 0, 1, -1, 0, 5], xdpMetadata: random.pick([0, 1, 2, -1]) };
      default:
        return { ...meta, ifindex: random.pick([0, 3, 99, -1]) };
    }
  }

  private choose(): Pending {
    const { random, pending } = this;
    if (pending.length > 0 && random.chance(72)) {
      const at = random.chance(75) ? pending.length - 1 : random.below(pending.length);
      const taken = pending.splice(at, 1)[0]!;
      return random.chance(3) ? { ...taken, bytes: mutated(random, taken.bytes, this.anyFrame()) } : taken;
    }
    if (this.talkative && random.chance(85)) {
      const said = this.talked();
      if (said !== undefined) return said;
    }
    if ((this.config.features & FEATURE.HOST_FIREWALL) !== 0 && random.chance(20)) return this.fresh(hostFlow);
    if (this.addressless.length > 0 && random.chance(20)) return this.arriving();
    const n = random.below(100);
    if (n >= 44 && n < 61) return this.leaving();
    if (n < 61 || this.flows.length === 0) return this.fresh();
    if (n < 78) return this.again();
    if (n < 83) return { ...this.entering(this.anyFrame()), hook: random.pick(HOOKS) };
    if (n < 90) return this.entering(mutated(random, this.anyFrame(), this.anyFrame()));
    if (n < 93) return this.error();
    if (n < 96) return this.question();
    return this.odd();
  }

  private anyFrame(): Uint8Array {
    return this.frames.length === 0
      ? frame(randomFlow(this.random, this.cast, this.family()))
      : this.random.pick(this.frames);
  }

  private family(): Family {
    return this.random.chance(3) ? this.random.pick([4, 6]) : this.random.pick(this.families);
  }

  private fresh(flow: typeof randomFlow = randomFlow): Pending {
    const { random } = this;
    const drawn = flow(this.random, this.cast, this.family());
    // Pods may not send what the node would take for its own tunnel's.
    const tunnelled = (this.config.features & FEATURE.TUNNEL) !== 0 && random.chance(8);
    const spec = tunnelled ? { ...drawn, protocol: UDP, destinationPort: this.config.tunnelPort } : drawn;
    if (this.flows.length < 8) this.flows.push(spec);
    else this.flows[random.below(8)] = spec;
    return this.sent(spec);
  }

  /** What leaves the node, at its device: seen by the pod's hook before, or not. */
  private leaving(): Pending {
    const { random } = this;
    const spec = leavingFlow(random, this.cast, this.family());
    if (this.flows.length < 8) this.flows.push(spec);
    const sent = this.sent(spec);
    if (!random.chance(70)) return sent;
    const limited = random.chance(35) ? random.below(12) : 0;
    return { ...sent, hook: HOOK.TO_NETDEV, meta: { ...sent.meta, cb: [limited, 0, 0, 0, 0] } };
  }

  /** A client outside, at the device of a node that can send nothing on. */
  private arriving(): Pending {
    const { random, cast } = this;
    return { ...this.sent(arrivingFlow(random, cast, random.pick(this.addressless))), hook: HOOK.FROM_NETDEV };
  }

  /** The opener of a connection goes on: next segments, the same again. */
  private again(): Pending {
    const { random } = this;
    const spec = random.pick(this.flows);
    if (spec.protocol === TCP && random.chance(12)) {
      // Closes, and opens anew at the edge of what the configuration grants.
      const { config } = this;
      const edge = random.pick([
        config.ctServiceGrace,
        config.ctServiceGrace,
        config.ctCloseLifetime,
        config.ctSynLifetime,
      ]);
      const opening = this.entering(frame({ ...spec, tcpFlags: SYN, tags: [] }));
      this.planned = { packet: opening, seconds: edge + random.pick([0, 0, -1, 1]) };
      return this.entering(frame({ ...spec, tcpFlags: random.pick([FIN | ACK, FIN | ACK, RST]), tags: [] }));
    }
    const tcpFlags = random.chance(75) ? random.pick(SEGMENTS) : spec.tcpFlags;
    const sent = this.sent({
      ...spec,
      tcpFlags,
      payload: random.chance(60) ? spec.payload : payload(random),
      tags: [],
    });
    return random.chance(12) ? { ...sent, hook: HOOK.TO_CONTAINER } : sent;
  }

  /** The next packet of a pod to a service, without anything unusual in its headers: what the quick ways are made for. */
  private talked(): Pending | undefined {
    const { random, cast, talk } = this;
    if (talk === undefined || random.chance(4)) {
      const fronts = cast.frontends.filter(
        ({ family, protocol }) => this.families.includes(family) && (protocol === TCP || protocol === UDP),
      );
      const front = fronts.length === 0 ? undefined : random.pick(fronts);
      const pods = front === undefined ? [] : cast.pods.filter(({ family }) => family === front.family);
      if (front === undefined || pods.length === 0) return undefined;
      const source = random.pick(pods).address;
      const { address, port, protocol } = front;
      const drawn = described(random, source, address, protocol, random.pick(CLIENT_PORTS), port);
      const { tags, options, extensions } = PLAIN;
      this.talk = { ...drawn, tcpFlags: SYN, tags, options, extensions, ttl: 64, zeroLength: false };
      return this.entering(frame(this.talk));
    }
    const tcpFlags = random.chance(5) ? random.pick(SEGMENTS) : random.pick([ACK, ACK, ACK, ACK | PSH, ACK | 0x40]);
    const ttl = random.chance(4) ? random.pick([0, 1, 2, 255]) : 64;
    const tcpOptions = new Uint8Array(random.chance(15) ? random.pick([4, 12, 40]) : 0).fill(1);
    const said = this.entering(frame({ ...talk, tcpFlags, ttl, tcpOptions, payload: payload(random) }));
    const gsoSize = random.chance(10) ? random.pick([8, 20, 28, 40, 60, 1400]) : 0;
    return { ...said, meta: { ...said.meta, gsoSize } };
  }

  /** A description becomes a frame, or several pieces of one, at the hook where its sender is. */
  private sent(spec: FrameSpec): Pending {
    const { random } = this;
    if (random.chance(7)) {
      const pieces = this.pieces({
        ...spec,
        payload: random.fill(new Uint8Array(random.pick([16, 40, 120]))),
        extensions: [],
      });
      const first = this.entering(pieces[0]!);
      for (const piece of pieces.slice(1)) this.pending.push({ ...first, bytes: piece });
      if (random.chance(30)) this.pending.reverse();
      return this.pending.length > 0 && random.chance(30) ? this.swapped(first) : first;
    }
    return this.entering(frame(spec));
  }

  /** Takes the last that waits and lets the given one wait: out of order. */
  private swapped(given: Pending): Pending {
    const taken = this.pending.pop()!;
    this.pending.push(given);
    return taken;
  }

  private pieces(spec: FrameSpec): Uint8Array[] {
    const { random } = this;
    const l4 = transport(spec);
    const size = random.pick([8, 24, 24, 32, 64]);
    const id = random.pick([1, 2, 0x8000]);
    const out: Uint8Array[] = [];
    for (let offset = 0; offset < l4.length && out.length < 5; offset += size) {
      out.push(frame(spec, l4, { id, offset, more: offset + size < l4.length }, size));
    }
    return out;
  }

  private error(): Pending {
    const { random, cast } = this;
    const spec = icmpError(random, this.anyFrame(), [...cast.outside, ...cast.remotes]);
    return spec === undefined ? this.fresh() : this.entering(frame(spec));
  }

  /** Somebody on a node's link asks who has an address. */
  private question(): Pending {
    const { random, cast } = this;
    const family = this.family();
    const fronts = cast.frontends.filter((front) => front.family === family).map(({ address }) => address);
    const target = ofFamily(random, random.chance(80) && fronts.length > 0 ? fronts : everyone(cast), family);
    const sender = ofFamily(random, [...cast.outside, ...cast.remotes], family);
    const bytes = family === 4 ? arpQuestion(random, sender, target) : solicitation(random, sender, target);
    const hook = random.chance(94) ? HOOK.FROM_NETDEV : random.pick(HOOKS);
    return { hook, bytes, meta: { ...NO_META, ifindex: random.pick([3, 3, 3, 4, 0]) } };
  }

  private odd(): Pending {
    const { random } = this;
    const { source, destination } = randomFlow(this.random, this.cast, this.family());
    const n = random.below(8);
    const bytes =
      n === 0 ? arpFrame(random) : n < 6 ? noise(random) : frame(neighbourFrame(random, source, destination));
    return {
      ...this.entering(bytes),
      hook: random.chance(70) ? random.pick([HOOK.FROM_CONTAINER, HOOK.TO_CONTAINER]) : random.pick(HOOKS),
    };
  }

  /** Where a frame enters: at the hook of whoever has its source address. */
  private entering(bytes: Uint8Array): Pending {
    const { random, cast } = this;
    const l3 = networkOffset(bytes);
    const six = bytes[l3]! >>> 4 === 6;
    const source = bytes.subarray(l3 + (six ? 8 : 12), l3 + (six ? 24 : 16));
    const same = (other: Uint8Array): boolean =>
      other.length === source.length && other.every((byte, i) => byte === source[i]);
    const hit = random.chance(97);
    const pod = hit ? cast.pods.find((member) => same(member.address)) : undefined;
    if (pod !== undefined) {
      const ifindex = random.chance(85) ? pod.ifindex : random.pick([0, 0, 99]);
      return { hook: HOOK.FROM_CONTAINER, bytes, meta: { ...NO_META, ifindex } };
    }
    if (hit && cast.hosts.some((member) => same(member.address))) {
      return { hook: HOOK.FROM_HOST, bytes, meta: { ...NO_META, mark: random.chance(70) ? MARK_HOST : 0 } };
    }
    const hook = hit ? random.pick([HOOK.XDP, HOOK.XDP, HOOK.FROM_NETDEV]) : random.pick(HOOKS);
    return { hook, bytes, meta: { ...NO_META, ifindex: random.pick([3, 3, 4, 0]) } };
  }

  /** Learns what became of a packet, and what follows from it: the next hook, or an answer of who received it. */
  took(step: PacketStep, outcome: Outcome): void {
    const { random, pending } = this;
    if (pending.length > 20) pending.splice(0, 10);
    const { action } = outcome;
    const on = (hook: number): void => {
      pending.push({ hook, bytes: outcome.bytes.slice(), meta: outcome.meta });
    };
    const sent = action === ACTION.LOCAL || action === ACTION.REDIRECT;
    const zeroing = random.chance(10) ? toZeroChecksum(step.bytes, outcome.bytes) : undefined;
    if (zeroing !== undefined) this.planned ??= { packet: { ...step, bytes: zeroing }, seconds: 0 };
    if (this.talk !== undefined && step.hook === HOOK.FROM_CONTAINER && sent && random.chance(60)) {
      // Straight back to the pod: what lies between is for other sequences.
      const spec = random.chance(50) ? answer(random, outcome.bytes) : undefined;
      if (spec !== undefined) pending.push({ hook: HOOK.TO_CONTAINER, bytes: frame(spec), meta: NO_META });
      return;
    }
    switch (action) {
      case ACTION.LOCAL:
        if (random.chance(92)) on(HOOK.TO_CONTAINER);
        return;
      case ACTION.HOST:
        if (random.chance(92)) on(HOOK.TO_HOST);
        return;
      case ACTION.DELIVER:
      case ACTION.PROXY:
        this.answered(outcome.bytes);
        return;
      case ACTION.STACK:
        if (step.hook === HOOK.XDP && random.chance(80)) on(HOOK.FROM_NETDEV);
        else if (step.hook === HOOK.FROM_CONTAINER && random.chance(60))
          on(random.chance(80) ? HOOK.TO_NETDEV : HOOK.FROM_HOST);
        else if (step.hook === HOOK.FROM_HOST && random.chance(40)) on(HOOK.TO_NETDEV);
        else this.answered(outcome.bytes);
        return;
      case ACTION.REDIRECT:
        if (step.hook === HOOK.FROM_CONTAINER && random.chance(60)) {
          on(HOOK.TO_NETDEV);
          return;
        }
        this.answered(outcome.bytes);
        return;
      case ACTION.TX:
        this.answered(outcome.bytes);
        return;
      default:
        // Nobody goes on talking where nothing passes.
        if (random.chance(60)) this.talk = undefined;
        // The sender of what was dropped tries again at times.
        if (random.chance(10)) this.kept(step.bytes);
    }
  }

  /** Whoever received the frame answers, or a router on the way complains. */
  private answered(bytes: Uint8Array): void {
    const { random, cast } = this;
    if (random.chance(12)) return;
    const routers = [...cast.outside, ...cast.remotes];
    // A quote with options or extension headers is seldom enough.
    const l3 = networkOffset(bytes);
    const first = bytes[l3]!;
    const optioned = first >>> 4 === 4 ? (first & 15) > 5 : first >>> 4 === 6 && EXTENSIONS.includes(bytes[l3 + 6]!);
    const isError = random.chance(optioned ? 60 : 7);
    const spec = isError ? icmpError(random, bytes, routers) : answer(random, bytes);
    if (spec === undefined) return;
    const { pending } = this;
    if (isError && random.chance(15)) {
      // Late: what it quotes is at the end of its lifetime.
      const { config } = this;
      const edge = random.pick([config.ctTcpLifetime, config.ctAnyLifetime, config.ctSynLifetime]);
      this.planned = { packet: this.entering(frame(spec)), seconds: edge + random.pick([0, 0, 1, 5, -1]) };
      return;
    }
    pending.push(this.sent(spec));
    // The answering end goes on as an opener would.
    const headers = parsed(bytes);
    if (headers !== undefined && random.chance(20)) {
      const [source] = ends(bytes, headers);
      if (familyOf(source) === headers.family && spec.protocol === TCP && this.flows.length < 8) this.flows.push(spec);
    }
  }
}
