// Equivalence classes of ends: units that no policy of any world tells apart. Input: units. Output: EndClass[] and, for a pair of
// them, whether a connection between them can exist. Invariant: every unit is in exactly one class of a side; a pod's own node
// is a class beside the other nodes, since policies see it as `host`.
import { IDENTITY } from '../schema/index.ts';
import type { EndUnit, UnitFact } from './end-units.ts';

export type ClassKind = 'pods' | 'own-node' | 'nodes' | 'world' | 'reserved' | 'name';

/** Units with one fate. */
export interface EndClass {
  readonly kind: ClassKind;
  /** Bit 0: IPv4, bit 1: IPv6. */
  readonly families: number;
  /** By world. */
  readonly facts: readonly (UnitFact | undefined)[];
  readonly members: readonly EndUnit[];
  /** Nodes that the members run on or are. */
  readonly nodes: ReadonlySet<string>;
}

const KIND: Readonly<Record<EndUnit['kind'], ClassKind>> = {
  pod: 'pods',
  node: 'nodes',
  world: 'world',
  reserved: 'reserved',
  name: 'name',
};

/** Groups units. `ownNodes`: the nodes that may be a pod's own, as units; usually all of them. */
export function endClasses(units: readonly EndUnit[], ownNodes: readonly EndUnit[]): EndClass[] {
  const hostOf = hostPolicies(ownNodes);
  const groups = new Map<string, { kind: ClassKind; facts: readonly (UnitFact | undefined)[]; members: EndUnit[] }>();
  const put = (kind: ClassKind, unit: EndUnit, facts: readonly (UnitFact | undefined)[], more: string): void => {
    const what = facts.map((fact) => (fact === undefined ? '-' : `${fact.policyId}/${fact.identity}`)).join(' ');
    const key = `${kind} ${unit.families} ${what} ${more}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { kind, facts, members: [unit] });
    else group.members.push(unit);
  };
  for (const unit of units) {
    // Rules tell names apart by the name alone.
    const apart =
      unit.kind === 'pod'
        ? unit.facts.map((fact) => hostOf(fact?.node)).join(' ')
        : unit.kind === 'name'
          ? unit.name
          : '';
    put(KIND[unit.kind], unit, unit.facts, apart);
  }
  for (const unit of ownNodes) {
    const facts = unit.facts.map((fact) => (fact === undefined ? undefined : { ...fact, identity: IDENTITY.HOST }));
    put('own-node', unit, facts, '');
  }
  return [...groups.values()].map(({ kind, facts, members }) => ({
    kind,
    families: members[0]!.families,
    facts,
    members,
    nodes: new Set(members.flatMap(({ facts: all }) => all.flatMap((fact) => fact?.node ?? []))),
  }));
}

/** Policies of a node's own endpoint as text: pods on nodes that differ in them are told apart. */
function hostPolicies(nodes: readonly EndUnit[]): (node: string | undefined) => string {
  const texts = new Map<string, string>();
  for (const { name, facts, families } of nodes) {
    const text = `${families}:${facts.map((fact) => fact?.policyId ?? '-').join('/')}`;
    texts.set(name, `${texts.get(name) ?? ''}${text};`);
  }
  return (node) => (node === undefined ? 'none' : (texts.get(node) ?? 'none'));
}

/** Whether any connection from a member of one class to a member of the other can exist and be policed. */
export function canConnect(from: EndClass, to: EndClass): boolean {
  if ((from.families & to.families) === 0) return false;
  if (from.kind === 'name') return false;
  const gated = ({ facts }: EndClass): boolean => facts.some((fact) => fact !== undefined && fact.policyId >= 0);
  if (!gated(from) && !gated(to)) return false;
  if (from.kind === 'own-node' || to.kind === 'own-node') {
    const other = from.kind === 'own-node' ? to : from;
    const node = from.kind === 'own-node' ? from : to;
    return other.kind === 'pods' && meet(node.nodes, other.nodes);
  }
  if (from.kind === 'nodes' || to.kind === 'nodes') {
    // The same single node on both sides is its own node, not another.
    if (from.nodes.size === 1 && to.nodes.size === 1 && meet(from.nodes, to.nodes)) return false;
  }
  if (from.kind === 'pods' && to.kind === 'pods' && from.members.length === 1 && to.members.length === 1) {
    return from.members[0]!.name !== to.members[0]!.name;
  }
  return true;
}

function meet(a: ReadonlySet<string>, b: ReadonlySet<string>): boolean {
  const [small, large] = a.size < b.size ? [a, b] : [b, a];
  for (const item of small) if (large.has(item)) return true;
  return false;
}
