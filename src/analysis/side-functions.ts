// What a policy says to one identity about every protocol and port, as intervals. Input: the compiled policy map (for where
// answers can change) and the datapath's policy stage (for the answers). Output: numbered functions; equal ones share a number.
// Invariant: between two neighbouring borders no entry begins or ends, so that one question answers for the whole interval.
import { aggregateOf, SHAPE_ANY_PROTOCOL } from '../schema/index.ts';
import type { PolicyWorld } from './policy-world.ts';

/** Protocols that connections are told for: the datapath drops all others before policy. */
export const PROTOCOLS = [
  { name: 'TCP', number: 6, last: 65535, families: 3 },
  { name: 'UDP', number: 17, last: 65535, families: 3 },
  { name: 'SCTP', number: 132, last: 65535, families: 3 },
  { name: 'ICMP', number: 1, last: 255, families: 1 },
  { name: 'ICMPv6', number: 58, last: 255, families: 2 },
] as const;

/** Answers: of a side, and of a connection. UNKNOWN: it waits for a DNS name to be resolved. */
export const ANSWER = { DENIED: 0, ALLOWED: 1, REDIRECTED: 2, AUDITED: 3, UNKNOWN: 4 } as const;

/** Ports (or ICMP types) `first`..`last` with one answer. */
export interface Interval {
  readonly first: number;
  readonly last: number;
  readonly answer: number;
  /** Rule set that decided, or that isolates; 0 = none. */
  readonly cookie: number;
  /** DROP number where refused, else 0. */
  readonly reason: number;
}

/** Intervals by protocol, in the order of {@link PROTOCOLS}, each list covering everything. */
export type SideFunction = readonly (readonly Interval[])[];

/** Function number of "everything passes, nobody decided": no endpoint, no policy. */
export const OPEN = 0;

interface EntryShape {
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
}

/** What is known of one policy in one direction. */
interface KnownSide {
  /** Identities with entries of their own → function number, -1 where it was not asked for yet. */
  readonly explicit: Map<number, number>;
  /** By aggregate. */
  readonly shared: number[];
}

/** The functions of one world. */
export class SideFunctions {
  /** By number. */
  readonly functions: SideFunction[] = [];
  /** Function number → number of the same without cookies and reasons. */
  readonly plain: number[] = [];
  private readonly world: PolicyWorld;
  private readonly entries = new Map<string, EntryShape[]>();
  /** By policy and direction. */
  private readonly sides: (KnownSide | undefined)[] = [];
  private readonly byText = new Map<string, number>();
  private readonly plainStore: PlainFunctions;

  /** @param plainStore where functions without cookies are numbered; shared by worlds that are compared */
  constructor(world: PolicyWorld, plainStore: PlainFunctions) {
    this.world = world;
    this.plainStore = plainStore;
    this.number(PROTOCOLS.map(({ last }) => [{ first: 0, last, answer: ANSWER.ALLOWED, cookie: 0, reason: 0 }]));
    this.index();
  }

  /** Number of the function of a policy (-1: no endpoint) for an identity as its endpoints see it. */
  of(policyId: number, egress: boolean, identity: number): number {
    if (policyId < 0) return OPEN;
    const at = policyId * 2 + (egress ? 1 : 0);
    const side = (this.sides[at] ??= { explicit: new Map(), shared: [] });
    const explicit = side.explicit.get(identity);
    if (explicit !== undefined) {
      if (explicit >= 0) return explicit;
      const number = this.compute(policyId, egress, identity);
      side.explicit.set(identity, number);
      return number;
    }
    // Identities without entries of their own share what is said of their aggregate.
    return (side.shared[aggregateOf(identity)] ??= this.compute(policyId, egress, identity));
  }

  /** Computes what every policy says to these identities, once for those that share an answer. */
  computeAll(identities: readonly number[]): void {
    for (let at = 0; at < this.sides.length; at++) {
      if (this.sides[at] === undefined) continue;
      for (const identity of identities) this.of(at >> 1, (at & 1) !== 0, identity);
    }
  }

  private index(): void {
    const { policy } = this.world.compiled.maps;
    for (let i = 0; i < policy.size; i++) {
      const bytes = policy.keyAt(i);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const shape = bytes[11]!;
      const key = groupKey(view.getUint32(0, true), (shape & 0x80) !== 0, view.getUint32(4, true));
      let list = this.entries.get(key);
      if (list === undefined) {
        this.entries.set(key, (list = []));
        const at = view.getUint32(0, true) * 2 + (shape >>> 7);
        (this.sides[at] ??= { explicit: new Map(), shared: [] }).explicit.set(view.getUint32(4, true), -1);
      }
      const bits = shape & 0x7f;
      if (bits === SHAPE_ANY_PROTOCOL) continue;
      const first = view.getUint16(8, false);
      list.push({ protocol: bytes[10]!, first, last: first + 2 ** (16 - bits) - 1 });
    }
  }

  private compute(policyId: number, egress: boolean, identity: number): number {
    const borders = new Map<number, Set<number>>(PROTOCOLS.map(({ number }) => [number, new Set([0])]));
    // The overlay's own port is refused to every pod, whatever its policy says.
    if (egress) {
      borders.get(17)!.add(this.world.settings.tunnelPort);
      borders.get(17)!.add(this.world.settings.tunnelPort + 1);
    }
    for (const peer of new Set([identity, aggregateOf(identity), 0])) {
      for (const { protocol, first, last } of this.entries.get(groupKey(policyId, egress, peer)) ?? []) {
        const set = borders.get(protocol);
        set?.add(first);
        set?.add(last + 1);
      }
    }
    const { questions } = this.world;
    const lists = PROTOCOLS.map(({ number, last, families }) => {
      const starts = [...borders.get(number)!].filter((start) => start <= last).sort((a, b) => a - b);
      const intervals: Interval[] = [];
      starts.forEach((first, i) => {
        questions.byIdentity(egress, families === 2 ? 6 : 4, policyId, identity, number, first);
        const { allowed, audited, byte, cookie, reason } = questions;
        const answer = !allowed
          ? ANSWER.DENIED
          : audited !== 0
            ? ANSWER.AUDITED
            : byte > 1 && byte < 255
              ? ANSWER.REDIRECTED
              : ANSWER.ALLOWED;
        const end = i + 1 < starts.length ? starts[i + 1]! - 1 : last;
        const before = intervals.at(-1);
        if (before?.answer === answer && before.cookie === cookie && before.reason === reason) {
          intervals[intervals.length - 1] = { ...before, last: end };
        } else intervals.push({ first, last: end, answer, cookie, reason });
      });
      return intervals;
    });
    return this.number(lists);
  }

  private number(lists: SideFunction): number {
    const text = lists
      .map((list) => list.map((v) => `${v.first} ${v.answer} ${v.cookie} ${v.reason}`).join())
      .join(';');
    let number = this.byText.get(text);
    if (number === undefined) {
      number = this.functions.length;
      this.byText.set(text, number);
      this.functions.push(lists);
      this.plain.push(this.plainStore.number(lists));
    }
    return number;
  }
}

const groupKey = (policyId: number, egress: boolean, identity: number): string =>
  `${policyId} ${egress ? 1 : 0} ${identity}`;

/** Ports with one answer, nobody named. */
export interface PlainInterval {
  readonly first: number;
  readonly last: number;
  readonly answer: number;
}
export type PlainFunction = readonly (readonly PlainInterval[])[];

/** Numbers functions that only answer; combines them. */
export class PlainFunctions {
  /** By number; 0 allows everything. */
  readonly functions: PlainFunction[] = [];
  private readonly byText = new Map<string, number>();
  private readonly sums = new Map<number, number>();

  constructor() {
    this.number(PROTOCOLS.map(({ last }) => [{ first: 0, last, answer: ANSWER.ALLOWED }]));
  }

  /** The number of a function; neighbours with one answer are joined. */
  number(lists: PlainFunction): number {
    const joined = lists.map((list) => {
      const out: PlainInterval[] = [];
      for (const { first, last, answer } of list) {
        const before = out.at(-1);
        if (before?.answer === answer && before.last + 1 === first) out[out.length - 1] = { ...before, last };
        else out.push({ first, last, answer });
      }
      return out;
    });
    const text = joined.map((list) => list.map((v) => `${v.first} ${v.answer}`).join()).join(';');
    let number = this.byText.get(text);
    if (number === undefined) {
      number = this.functions.length;
      this.byText.set(text, number);
      this.functions.push(joined);
    }
    return number;
  }

  /** Both sides of a connection: refused where either refuses. */
  both(egress: number, ingress: number): number {
    if (egress === ingress || ingress === 0) return egress;
    if (egress === 0) return ingress;
    const key = egress * 0x2000000 + ingress;
    let sum = this.sums.get(key);
    if (sum === undefined) {
      const a = this.functions[egress]!;
      const b = this.functions[ingress]!;
      sum = this.number(PROTOCOLS.map((_, i) => merge(a[i]!, b[i]!, combine)));
      this.sums.set(key, sum);
    }
    return sum;
  }
}

/** The answer to a connection from the answers of its sides. */
export function combine(egress: number, ingress: number): number {
  if (egress === ANSWER.DENIED || ingress === ANSWER.DENIED) return ANSWER.DENIED;
  if (egress === ANSWER.REDIRECTED || ingress === ANSWER.REDIRECTED) return ANSWER.REDIRECTED;
  return egress === ANSWER.AUDITED || ingress === ANSWER.AUDITED ? ANSWER.AUDITED : ANSWER.ALLOWED;
}

/** Walks two lists that cover the same ports, in pieces on which neither changes. */
export function merge(
  a: readonly PlainInterval[],
  b: readonly PlainInterval[],
  answerOf: (a: number, b: number) => number,
): PlainInterval[] {
  const out: PlainInterval[] = [];
  let i = 0;
  let j = 0;
  let first = 0;
  while (i < a.length && j < b.length) {
    const last = Math.min(a[i]!.last, b[j]!.last);
    out.push({ first, last, answer: answerOf(a[i]!.answer, b[j]!.answer) });
    if (a[i]!.last === last) i++;
    if (b[j]!.last === last) j++;
    first = last + 1;
  }
  return out;
}

/** The interval that holds a port. */
export const intervalAt = <T extends PlainInterval>(list: readonly T[], port: number): T =>
  list.find(({ first, last }) => port >= first && port <= last)!;
