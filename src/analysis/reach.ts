// All connections that policies allow, exactly: classes of sources, classes of destinations, protocols, port ranges. Input: one
// world. Output: rows. Invariant: rows partition the pairs: every pair of ends that can connect is in exactly one row, which
// says the same about it as `verdict` would, port for port.
import type { IpAddress } from '../control/index.ts';
import { worldIdentity } from '../control/identity.ts';
import { mayOverrule } from '../control/name-doubt.ts';
import type { NamedRule } from '../control/policy/compile-policies.ts';
import { canConnect, type EndClass, endClasses } from './end-classes.ts';
import { addressUnit, type EndUnit, endUnits } from './end-units.ts';
import { Ends } from './ends.ts';
import type { PolicyWorld } from './policy-world.ts';
import {
  ANSWER,
  type Interval,
  intervalAt,
  type PlainFunction,
  PlainFunctions,
  PROTOCOLS,
  type SideFunction,
  SideFunctions,
} from './side-functions.ts';
import { covers, isPolicyDrop } from './verdict.ts';

/** Sources and destinations with one fate. */
export interface ReachRow {
  readonly from: readonly EndClass[];
  readonly to: readonly EndClass[];
  /** Bit 0: IPv4, bit 1: IPv6: which of ICMP and ICMPv6 can be meant. */
  readonly families: number;
  /** Answers by protocol (PROTOCOLS) and port. */
  readonly ports: PlainFunction;
}

/** What a reach is restricted to, as `--from` and `--to` have it. */
export interface ReachScope {
  readonly from?: string;
  readonly to?: string;
}

/** Rows, and the units that they are about. */
export interface Reach {
  readonly rows: readonly ReachRow[];
  /** Every end of the cluster, for names of sets. */
  readonly units: readonly EndUnit[];
}

/** Computes a reach; a problem names the end that means nothing. */
export function reach(world: PolicyWorld, scope: ReachScope = {}): Reach | { readonly problem: string } {
  const units = endUnits([world]);
  const sources = scopedClasses(world, units, scope.from);
  if ('problem' in sources) return sources;
  const destinations = scopedClasses(world, units, scope.to);
  if ('problem' in destinations) return destinations;
  const plain = new PlainFunctions();
  // A single address may be any name's, as `verdict` says, too; of the world as a whole its names stand beside it.
  const single = scope.to?.startsWith('ip:') === true;
  const pair = pairFunction(world, new SideFunctions(world, plain), plain, single);
  const speaks = nameSpeakers([world]);
  const valueOf = (from: EndClass, to: EndClass): number | undefined =>
    speaks(from, to) ? pair(from, to, 0) : undefined;
  const rows = gather(sources.classes, destinations.classes, valueOf).map(({ from, to, value, families }) => ({
    from,
    to,
    families,
    ports: plain.functions[value]!,
  }));
  return { rows, units };
}

/** Classes of the ends that a text means, or of all. */
export function scopedClasses(
  world: PolicyWorld,
  units: readonly EndUnit[],
  text: string | undefined,
): { readonly classes: EndClass[] } | { readonly problem: string } {
  const nodes = units.filter(({ kind }) => kind === 'node');
  if (text === undefined) return { classes: endClasses(units, nodes) };
  if (text.startsWith('namespace:')) {
    const prefix = `${text.slice('namespace:'.length)}/`;
    const inside = units.filter(({ kind, name }) => kind === 'pod' && name.startsWith(prefix));
    if (inside.length === 0) return { problem: `${text}: no pod with an address is in this namespace` };
    return { classes: endClasses(inside, []) };
  }
  const chosen = chooseUnits(world, units, text);
  return 'problem' in chosen ? chosen : { classes: endClasses(chosen.units, chosen.own) };
}

function chooseUnits(
  world: PolicyWorld,
  units: readonly EndUnit[],
  text: string,
): { readonly units: readonly EndUnit[]; readonly own: readonly EndUnit[] } | { readonly problem: string } {
  const of = (kind: EndUnit['kind']): EndUnit[] => units.filter((unit) => unit.kind === kind);
  switch (text) {
    case 'entity:all':
      return { units, own: of('node') };
    case 'entity:cluster':
      return { units: units.filter(({ kind }) => kind !== 'world' && kind !== 'name'), own: of('node') };
    case 'entity:world':
      return { units: [...of('world'), ...of('name')], own: [] };
    case 'entity:world-ipv4':
    case 'entity:world-ipv6':
      return { units: of('world').filter(({ families }) => families === (text.endsWith('4') ? 1 : 2)), own: [] };
    case 'entity:host':
      return { units: [], own: of('node') };
    case 'entity:remote-node':
      return { units: of('node'), own: [] };
  }
  const result = text.startsWith('service:') ? serviceEnds(world, text) : new Ends(world).resolve(text, 'TCP', 0);
  if ('problem' in result) return result;
  const found = new Map<EndUnit | string, EndUnit>();
  const own: EndUnit[] = [];
  for (const { address, identity } of result.end.points) {
    if (address === undefined) {
      for (const unit of units) if (unit.facts[0]?.identity === identity) found.set(unit, unit);
      continue;
    }
    const unit = unitOf(world, units, address);
    if (unit === undefined) continue;
    found.set(unit.kind === 'world' ? unit.name : unit, unit);
    if (unit.kind === 'node') own.push(unit);
  }
  if (found.size === 0) return { problem: `${text}: ${result.end.missing ?? 'nobody has this identity'}` };
  return { units: [...found.values()], own };
}

/** A Service in a reach is its backends, at their own ports. */
function serviceEnds(world: PolicyWorld, text: string): ReturnType<Ends['resolve']> {
  const name = text.slice('service:'.length);
  const service = world.state.services.find((s) => `${s.namespace}/${s.name}` === name);
  const [first] = service?.ports ?? [];
  return new Ends(world).resolve(text, first?.protocol ?? 'TCP', first?.port ?? 0);
}

function unitOf(world: PolicyWorld, units: readonly EndUnit[], address: IpAddress): EndUnit | undefined {
  const pod = world.compiled.names.pods.get(address.text);
  const bit = address.family === 4 ? 1 : 2;
  if (pod !== undefined) {
    const name = `${pod.namespace}/${pod.pod}`;
    return units.find((unit) => unit.kind === 'pod' && unit.name === name && (unit.families & bit) !== 0);
  }
  const node = world.view.nodes.find(({ addresses }) => addresses.some((a) => a.address.text === address.text));
  if (node !== undefined) return units.find((unit) => unit.kind === 'node' && unit.name === node.name);
  const reserved = units.find(({ kind, name }) => kind === 'reserved' && name === address.text);
  return reserved ?? addressUnit(address, units);
}

/** Whether a pair counts: a name stands beside the world only for those who have a rule about it in any of the worlds. */
export function nameSpeakers(worlds: readonly PolicyWorld[]): (from: EndClass, to: EndClass) => boolean {
  const speakers = worlds.map(({ compiled }) => {
    const byName = new Map<string, Set<number>>();
    for (const { pattern, policyId } of compiled.namedRules) {
      const known = byName.get(pattern);
      if (known === undefined) byName.set(pattern, new Set([policyId]));
      else known.add(policyId);
    }
    return byName;
  });
  return ({ facts }, to) =>
    to.kind !== 'name' ||
    speakers.some((byName, w) => byName.get(to.members[0]!.name)?.has(facts[w]?.policyId ?? -1) === true);
}

/**
 * Number of the plain function of a pair in one world. A side that does not exist there refuses everything.
 * @param single ends in the world are single addresses: any name that is not resolved may be theirs
 */
export function pairFunction(
  world: PolicyWorld,
  sides: SideFunctions,
  plain: PlainFunctions,
  single = false,
): (from: EndClass, to: EndClass, w: number) => number {
  const nothing = plain.number(PROTOCOLS.map(({ last }) => [{ first: 0, last, answer: ANSWER.DENIED }]));
  const known = new Map<string, number>();
  const named = (policyId: number, identity: number, pattern?: string): number => {
    const key = `${policyId} ${identity} ${pattern ?? ''}`;
    let number = known.get(key);
    if (number === undefined) {
      const open = sides.functions[sides.of(policyId, true, identity)]!;
      known.set(key, (number = plain.number(nameFunction(world, policyId, pattern, open))));
    }
    return number;
  };
  return (from, to, w) => {
    const source = from.facts[w];
    const destination = to.facts[w];
    if (source === undefined || destination === undefined) return nothing;
    if (to.kind === 'name') {
      return named(source.policyId, worldIdentity(4, world.settings), to.members[0]!.name);
    }
    if (single && to.kind === 'world' && !world.dnsKnown) return named(source.policyId, destination.identity);
    const egress = sides.plain[sides.of(source.policyId, true, destination.identity)]!;
    const ingress = sides.plain[sides.of(destination.policyId, false, source.identity)]!;
    return plain.both(egress, ingress);
  };
}

/**
 * What a policy says of a DNS name (undefined: of all names) whose addresses are not known: what it says of the rest of the
 * world (`open`), and "unknown" on the ports of rules about the name, unless what refuses stands above them.
 */
function nameFunction(
  world: PolicyWorld,
  policyId: number,
  pattern: string | undefined,
  open: SideFunction,
): PlainFunction {
  const words = world
    .namedRulesOf(policyId)
    .filter((rule) => isMeant(rule, pattern))
    .flatMap(({ shapes }) => shapes);
  if (words.length === 0) return open;
  return PROTOCOLS.map(({ number, last }, i) => {
    const starts = new Set(open[i]!.map(({ first }) => first));
    for (const word of words) {
      const bits = (word >>> 24) & 0x7f;
      if (bits > 16 || ((word >>> 16) & 0xff) !== number) continue;
      const first = ((word & 0xff) << 8) | ((word >>> 8) & 0xff);
      starts.add(first);
      starts.add(first + 2 ** (16 - bits));
    }
    const sorted = [...starts].filter((start) => start <= last).sort((a, b) => a - b);
    return sorted.map((first, k) => {
      const here = intervalAt(open[i]!, first);
      const hangs = rulesOfName(world, policyId, pattern, number, first, here).length > 0;
      const answer = hangs ? ANSWER.UNKNOWN : here.answer;
      return { first, last: (sorted[k + 1] ?? last + 1) - 1, answer };
    });
  });
}

const isMeant = (rule: NamedRule, pattern: string | undefined): boolean =>
  pattern === undefined ? rule.addresses === 0 : rule.pattern === pattern;

/** The rules of a policy about a name (undefined: any name) that would win, were it resolved, over what refuses a port. */
export function rulesOfName(
  world: PolicyWorld,
  policyId: number,
  pattern: string | undefined,
  protocol: number,
  port: number,
  { answer, reason, cookie }: Pick<Interval, 'answer' | 'reason' | 'cookie'>,
): NamedRule[] {
  if (answer !== ANSWER.DENIED || !isPolicyDrop(reason)) return [];
  const denying = world.rulesOf(cookie);
  return world
    .namedRulesOf(policyId)
    .filter(
      (rule) =>
        isMeant(rule, pattern) &&
        rule.shapes.some((word) => covers(word, protocol, port)) &&
        mayOverrule(world.state, rule.rule, denying),
    );
}

/** One cell of the partition. */
export interface Gathered {
  readonly from: readonly EndClass[];
  readonly to: readonly EndClass[];
  readonly value: number;
  readonly families: number;
}

/**
 * Pairs of classes with equal values as few rows: for each destination the sources by value, then destinations that share a set
 * of sources and its value. `valueOf` undefined: the pair is left out.
 */
export function gather(
  sources: readonly EndClass[],
  destinations: readonly EndClass[],
  valueOf: (from: EndClass, to: EndClass) => number | undefined,
): Gathered[] {
  const sets = new Map<string, number>();
  const lists: number[][] = [];
  const rows = new Map<string, { set: number; to: number[]; value: number; families: number }>();
  destinations.forEach((to, d) => {
    const byValue = new Map<number, number[]>();
    sources.forEach((from, s) => {
      if (!canConnect(from, to)) return;
      const value = valueOf(from, to);
      if (value === undefined) return;
      const key = value * 4 + (from.families & to.families);
      const list = byValue.get(key);
      if (list === undefined) byValue.set(key, [s]);
      else list.push(s);
    });
    for (const [key, list] of byValue) {
      const text = list.join();
      let set = sets.get(text);
      if (set === undefined) {
        set = lists.length;
        sets.set(text, set);
        lists.push(list);
      }
      const name = `${key} ${set}`;
      const row = rows.get(name);
      if (row === undefined) rows.set(name, { set, to: [d], value: Math.floor(key / 4), families: key & 3 });
      else row.to.push(d);
    }
  });
  return [...rows.values()].map(({ set, to, value, families }) => ({
    from: lists[set]!.map((s) => sources[s]!),
    to: to.map((d) => destinations[d]!),
    value,
    families,
  }));
}

/** Whether anything is let through. */
export const allowsAnything = (ports: PlainFunction): boolean =>
  ports.some((list) => list.some(({ answer }) => answer !== ANSWER.DENIED));
