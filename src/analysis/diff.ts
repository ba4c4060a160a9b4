// What a change of manifests changes: exactly which connections become allowed, denied or redirected. Input: two worlds.
// Output: rows: classes of ends, protocol, ports, the change, one example with the rules that decide before and after.
// Invariant: of a world with itself empty; the other way round the same rows with mirrored changes.
import { worldIdentity } from '../control/identity.ts';
import type { RuleRef } from '../control/provenance.ts';
import type { EndClass } from './end-classes.ts';
import { endClasses } from './end-classes.ts';
import { type EndUnit, endUnits } from './end-units.ts';
import type { PolicyWorld } from './policy-world.ts';
import { gather, nameSpeakers, pairFunction, rulesOfName } from './reach.ts';
import { ANSWER, intervalAt, merge, PlainFunctions, PROTOCOLS, SideFunctions } from './side-functions.ts';

/** How a connection's fate changes. `unknown` (a name not resolved) counts as allowed once it is known. */
export type Change =
  | 'newly-allowed'
  | 'newly-denied'
  | 'newly-redirected'
  | 'no-longer-redirected'
  | 'newly-audited'
  | 'no-longer-audited';

/** The same change the other way round. */
export const MIRROR: Readonly<Record<Change, Change>> = {
  'newly-allowed': 'newly-denied',
  'newly-denied': 'newly-allowed',
  'newly-redirected': 'no-longer-redirected',
  'no-longer-redirected': 'newly-redirected',
  'newly-audited': 'no-longer-audited',
  'no-longer-audited': 'newly-audited',
};

/** A concrete connection; its texts can be given to `weir verdict`. */
export interface Example {
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly port: number;
}

/** Rules that decide about the example, and where an end is missing. */
export interface Reasons {
  readonly by: readonly RuleRef[];
  readonly verdict: 'allowed' | 'denied' | 'unknown';
  readonly missing?: string;
}

/** One changed class. */
export interface ChangeRow {
  readonly change: Change;
  readonly from: readonly EndClass[];
  readonly to: readonly EndClass[];
  readonly protocol: string;
  readonly first: number;
  readonly last: number;
  readonly example: Example;
  readonly before: Reasons;
  readonly after: Reasons;
}

/** Changes, and the units of both worlds for names of sets. */
export interface PolicyDiff {
  readonly rows: readonly ChangeRow[];
  readonly units: readonly EndUnit[];
}

interface Delta {
  readonly change: Change;
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
}

/** The change between two answers. */
function changeOf(before: number, after: number): Change | undefined {
  if (before === after) return undefined;
  const { DENIED, REDIRECTED, AUDITED } = ANSWER;
  if (before === DENIED) return 'newly-allowed';
  if (after === DENIED) return 'newly-denied';
  if (after === REDIRECTED) return 'newly-redirected';
  if (before === REDIRECTED) return 'no-longer-redirected';
  if (after === AUDITED) return 'newly-audited';
  return before === AUDITED ? 'no-longer-audited' : undefined;
}

/** Compares two worlds. */
export function diffWorlds(before: PolicyWorld, after: PolicyWorld): PolicyDiff {
  const worlds = [before, after];
  const units = endUnits(worlds);
  const classes = endClasses(
    units,
    units.filter(({ kind }) => kind === 'node'),
  );
  const plain = new PlainFunctions();
  const sides = worlds.map((world) => new SideFunctions(world, plain));
  const pairs = worlds.map((world, w) => pairFunction(world, sides[w]!, plain));
  const deltas = new Deltas(plain);
  const speaks = nameSpeakers(worlds);
  const gathered = gather(classes, classes, (from, to) =>
    speaks(from, to) ? deltas.of(pairs[0]!(from, to, 0), pairs[1]!(from, to, 1)) : undefined,
  );
  const rows = gathered.flatMap(({ from, to, value, families }) =>
    deltas.lists[value]!.filter(({ protocol }) => (PROTOCOLS[protocol]!.families & families) !== 0).map((delta) => {
      const { change, protocol, first, last } = delta;
      const [source, destination] = examplePair(from, to);
      const reasons = worlds.map((world, w) => reasonsOf(world, sides[w]!, w, source, destination, delta));
      return {
        change,
        from,
        to,
        protocol: PROTOCOLS[protocol]!.name,
        first,
        last,
        example: {
          from: source.text,
          to: destination.text,
          protocol: PROTOCOLS[protocol]!.name,
          port: first === 0 && last > 0 && !PROTOCOLS[protocol]!.name.startsWith('ICMP') ? 1 : first,
        },
        before: reasons[0]!,
        after: reasons[1]!,
      };
    }),
  );
  return { rows, units };
}

/** Numbers lists of changes. */
class Deltas {
  readonly lists: (readonly Delta[])[] = [];
  private readonly plain: PlainFunctions;
  private readonly known = new Map<number, number | undefined>();
  private readonly byText = new Map<string, number>();

  constructor(plain: PlainFunctions) {
    this.plain = plain;
  }

  of(before: number, after: number): number | undefined {
    if (before === after) return undefined;
    const key = before * 0x2000000 + after;
    if (this.known.has(key)) return this.known.get(key);
    const number = this.make(before, after);
    this.known.set(key, number);
    return number;
  }

  private make(before: number, after: number): number | undefined {
    const a = this.plain.functions[before]!;
    const b = this.plain.functions[after]!;
    const list: Delta[] = [];
    for (let protocol = 0; protocol < PROTOCOLS.length; protocol++) {
      for (const { first, last, answer } of merge(a[protocol]!, b[protocol]!, (x, y) => x * 16 + y)) {
        const change = changeOf(answer >> 4, answer & 15);
        if (change === undefined) continue;
        const previous = list.at(-1);
        if (previous?.protocol === protocol && previous.change === change && previous.last + 1 === first) {
          list[list.length - 1] = { ...previous, last };
        } else list.push({ change, protocol, first, last });
      }
    }
    if (list.length === 0) return undefined;
    const text = JSON.stringify(list);
    let number = this.byText.get(text);
    if (number === undefined) {
      number = this.lists.length;
      this.byText.set(text, number);
      this.lists.push(list);
    }
    return number;
  }
}

interface ExampleEnd {
  readonly text: string;
  readonly of: EndClass;
  readonly name: string;
}

/** A pair of members that can have a connection. */
function examplePair(from: readonly EndClass[], to: readonly EndClass[]): readonly [ExampleEnd, ExampleEnd] {
  for (const source of from) {
    for (const destination of to) {
      const pair = pairIn(source, destination);
      if (pair !== undefined) return pair;
    }
  }
  const end = (one: EndClass): ExampleEnd => ({ text: one.members[0]!.example, of: one, name: one.members[0]!.name });
  return [end(from[0]!), end(to[0]!)];
}

const nodeOf = ({ facts }: EndUnit): string | undefined => facts.find((fact) => fact !== undefined)?.node;

function pairIn(from: EndClass, to: EndClass): readonly [ExampleEnd, ExampleEnd] | undefined {
  if ((from.families & to.families) === 0) return undefined;
  for (const a of from.members.slice(0, 50)) {
    for (const b of to.members.slice(0, 50)) {
      if (a.name === b.name && a.kind === b.kind) continue;
      const sameNode = nodeOf(a) !== undefined && nodeOf(a) === nodeOf(b);
      const own = from.kind === 'own-node' || to.kind === 'own-node';
      const asNode = from.kind === 'nodes' || to.kind === 'nodes';
      if ((own && !sameNode) || (asNode && sameNode)) continue;
      return [
        { text: a.example, of: from, name: a.name },
        { text: b.example, of: to, name: b.name },
      ];
    }
  }
  return undefined;
}

/** Rules behind the example's fate in one world. */
function reasonsOf(
  world: PolicyWorld,
  sides: SideFunctions,
  w: number,
  from: ExampleEnd,
  to: ExampleEnd,
  { protocol, first }: Delta,
): Reasons {
  const source = from.of.facts[w];
  const destination = to.of.facts[w];
  if (source === undefined || destination === undefined) {
    return { by: [], verdict: 'denied', missing: `${source === undefined ? from.name : to.name} is not there` };
  }
  const isName = to.of.kind === 'name';
  const identity = isName ? worldIdentity(4, world.settings) : destination.identity;
  const egress = intervalAt(sides.functions[sides.of(source.policyId, true, identity)]![protocol]!, first);
  if (isName) {
    const waiting = rulesOfName(world, source.policyId, to.name, PROTOCOLS[protocol]!.number, first, egress);
    if (waiting.length > 0) return { by: waiting.map(({ rule }) => rule), verdict: 'unknown' };
  }
  const ingress = intervalAt(
    sides.functions[sides.of(destination.policyId, false, source.identity)]![protocol]!,
    first,
  );
  const refusing = [egress, ingress].filter(({ answer }) => answer === ANSWER.DENIED);
  const cookies = (refusing.length > 0 ? refusing : [egress, ingress]).map(({ cookie }) => cookie);
  const by = [...new Set(cookies)].flatMap((cookie) => world.rulesOf(cookie));
  return { by: [...new Set(by)], verdict: refusing.length > 0 ? 'denied' : 'allowed' };
}
