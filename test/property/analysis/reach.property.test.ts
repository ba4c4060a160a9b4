// Reach and diff over random clusters and policies. Reach: its rows partition the pairs of ends, and each says of its ports what
// `verdict` (hence the datapath's policy stage) says, at every border. Diff: of a world with itself empty, mirrored the other
// way round, and exactly the connections whose verdict changes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { diffWorlds, Judge, MIRROR, type PolicyWorld, reach } from '../../../src/analysis/index.ts';
import { canConnect, type EndClass } from '../../../src/analysis/end-classes.ts';
import { type EndUnit, endUnits } from '../../../src/analysis/end-units.ts';
import { scopedClasses } from '../../../src/analysis/reach.ts';
import { ANSWER, intervalAt, PROTOCOLS } from '../../../src/analysis/side-functions.ts';
import { cluster, policies, policiesWithHosts } from '../../support/policy-arbitraries.ts';
import { loadDocuments, worldOf } from '../../support/question-world.ts';

const RUNS = Number(process.env['WEIR_RUNS'] ?? 25);

/** Two concrete members of classes that can have a connection, as ends that `verdict` takes. */
function* concretePairs(from: EndClass, to: EndClass): Generator<{ from: string; to: string; family: 4 | 6 }> {
  const node = (unit: EndClass['members'][number]): string | undefined => unit.facts.find((f) => f !== undefined)?.node;
  for (const a of from.members) {
    for (const b of to.members) {
      if (a.kind === b.kind && a.name === b.name) continue;
      const sameNode = node(a) !== undefined && node(a) === node(b);
      if ((from.kind === 'own-node' || to.kind === 'own-node') && !sameNode) continue;
      if ((from.kind === 'nodes' || to.kind === 'nodes') && sameNode) continue;
      for (const family of [4, 6] as const) {
        if ((a.families & b.families & (family === 4 ? 1 : 2)) === 0) continue;
        yield { from: a.example, to: b.example, family };
      }
    }
  }
}

/** Ports at which anything may change: borders of the row, and the ends of the range. */
const portsOf = (list: readonly { first: number; last: number }[]): number[] => [
  ...new Set(list.flatMap(({ first, last }) => [first, last])),
];

function verdictAt(
  judge: Judge,
  world: PolicyWorld,
  from: string,
  to: string,
  family: 4 | 6,
  p: number,
  port: number,
): boolean {
  // By address, so that the family is the one that is meant.
  const pick = (text: string): string => {
    if (!text.startsWith('pod:')) return text;
    const pod = world.pods.get(text.slice(4))!;
    return `ip:${pod.addresses.find((address) => address.family === family)!.text}`;
  };
  const result = judge.ask({ from: pick(from), to: pick(to), protocol: PROTOCOLS[p]!.name, port });
  assert.ok('answer' in result, 'problem' in result ? result.problem : '');
  return result.answer.verdict !== 'denied';
}

test('reach partitions the pairs and says what verdict says', () => {
  fc.assert(
    fc.property(
      cluster,
      fc.oneof(policies, policiesWithHosts),
      fc.boolean(),
      fc.boolean(),
      (documents, rules, kubernetes, hosts) => {
        const world = worldOf(loadDocuments([...documents, ...rules]), kubernetes, hosts);
        const judge = new Judge(world);
        const result = reach(world);
        assert.ok('rows' in result);
        const seen = new Map<string, number>();
        for (const { from, to, families, ports } of result.rows) {
          for (const source of from) {
            for (const destination of to) {
              const key = JSON.stringify([source.kind, source.members, destination.kind, destination.members]);
              seen.set(key, (seen.get(key) ?? 0) + 1);
              assert.equal(families, source.families & destination.families);
              for (const { from: a, to: b, family } of concretePairs(source, destination)) {
                PROTOCOLS.forEach(({ families: has, name }, p) => {
                  if ((has & (family === 4 ? 1 : 2)) === 0) return;
                  for (const port of portsOf(ports[p]!)) {
                    const told = intervalAt(ports[p]!, port).answer !== ANSWER.DENIED;
                    assert.equal(told, verdictAt(judge, world, a, b, family, p, port), `${a} -> ${b} ${name} ${port}`);
                  }
                });
              }
            }
          }
        }
        const all = scopedClasses(world, endUnits([world]), undefined);
        assert.ok('classes' in all);
        const pairs = all.classes.flatMap((a) => all.classes.filter((b) => canConnect(a, b)));
        assert.equal(seen.size, pairs.length, 'every pair of classes is in a row');
        assert.ok(
          [...seen.values()].every((times) => times === 1),
          'and in only one',
        );
      },
    ),
    { numRuns: RUNS },
  );
});

test('reach from one pod is what reach of the whole says about it', () => {
  fc.assert(
    fc.property(cluster, policies, (documents, rules) => {
      const world = worldOf(loadDocuments([...documents, ...rules]));
      const [name] = world.pods.keys();
      if (name === undefined) return;
      const facts = (scope: { from?: string }): string[] => {
        const result = reach(world, scope);
        assert.ok('rows' in result);
        return result.rows
          .flatMap(({ from, to, ports }) =>
            from
              .flatMap(({ kind, members }) => members.filter((m) => kind === 'pods' && m.name === name))
              .flatMap((m) =>
                // Another node is relative: for a class of pods it is any node that is not every member's own.
                to.flatMap(({ kind, members }) =>
                  members
                    .filter((other) => other.name !== name && kind !== 'nodes')
                    .map((other) => JSON.stringify([m.families, kind, other.name, other.families, ports])),
                ),
              ),
          )
          .sort();
      };
      assert.deepEqual(facts({ from: `pod:${name}` }), facts({}));
    }),
    { numRuns: RUNS },
  );
});

test('diff: itself empty; mirrored the other way round; exactly what changes its verdict', () => {
  fc.assert(
    fc.property(
      cluster,
      cluster,
      policies,
      policies,
      fc.boolean(),
      fc.boolean(),
      (one, two, p, q, kubernetes, same) => {
        const a = worldOf(loadDocuments([...one, ...p]), kubernetes);
        const b = worldOf(loadDocuments([...(same ? one : two), ...q]), kubernetes);
        assert.deepEqual(diffWorlds(a, a).rows, []);
        const flat = (rows: ReturnType<typeof diffWorlds>['rows'], mirror: boolean): string[] =>
          rows
            .flatMap(({ change, from, to, protocol, first, last }) =>
              from.flatMap((s) =>
                to.flatMap((d) =>
                  s.members.flatMap((x) =>
                    d.members.map((y) =>
                      [
                        mirror ? MIRROR[change] : change,
                        s.kind,
                        x.name,
                        d.kind,
                        y.name,
                        x.families & y.families,
                        protocol,
                        first,
                        last,
                      ].join(' '),
                    ),
                  ),
                ),
              ),
            )
            .sort();
        const forth = diffWorlds(a, b).rows;
        assert.deepEqual(flat(forth, false), flat(diffWorlds(b, a).rows, true));
        if (!same) return;
        // What is not in a row has not changed; what is has. Ends are the same in both worlds.
        const judges = [new Judge(a), new Judge(b)];
        const rows = flatPairs(forth);
        const all = endUnits([a, b]).filter(({ kind }) => kind === 'pod' || kind === 'world');
        for (const x of all) {
          for (const y of all) {
            if (x.name === y.name || (x.kind === 'world' && y.kind === 'world')) continue;
            for (const family of [4, 6] as const) {
              if ((x.families & y.families & (family === 4 ? 1 : 2)) === 0) continue;
              for (const [index, port] of [
                [0, 80],
                [0, 81],
                [0, 480],
                [1, 443],
                [3, 8],
              ] as const) {
                if ((PROTOCOLS[index].families & (family === 4 ? 1 : 2)) === 0) continue;
                const [before, after] = [a, b].map((world, i) =>
                  verdictAt(judges[i]!, world, x.example, y.example, family, index, port),
                ) as [boolean, boolean];
                const told = rows(x, y, family, PROTOCOLS[index].name, port);
                const expected = before === after ? undefined : after ? 'newly-allowed' : 'newly-denied';
                assert.equal(told, expected, `${x.name} -> ${y.name} ${PROTOCOLS[index].name} ${port}`);
              }
            }
          }
        }
      },
    ),
    { numRuns: RUNS },
  );
});

/** What rows say about a pair at a port, redirects aside. A pod's families may have different fates. */
function flatPairs(
  rows: ReturnType<typeof diffWorlds>['rows'],
): (from: EndUnit, to: EndUnit, family: 4 | 6, protocol: string, port: number) => string | undefined {
  const holds = (classes: readonly EndClass[], unit: EndUnit, family: 4 | 6): boolean =>
    classes.some(
      ({ kind, members, families }) =>
        (kind === 'pods' || kind === 'world') &&
        (families & (family === 4 ? 1 : 2)) !== 0 &&
        members.some(({ name }) => name === unit.name),
    );
  return (from, to, family, protocol, port) =>
    rows.find(
      (row) =>
        (row.change === 'newly-allowed' || row.change === 'newly-denied') &&
        row.protocol === protocol &&
        port >= row.first &&
        port <= row.last &&
        holds(row.from, from, family) &&
        holds(row.to, to, family),
    )?.change;
}
