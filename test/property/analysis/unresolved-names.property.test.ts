// Verdicts where nobody told what DNS names stand for, against the same world in which every name has the asked address: what rules
// about names can still add is `unknown`, and nothing else is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Judge, PolicyWorld, type SideAnswer } from '../../../src/analysis/index.ts';
import type { ClusterState } from '../../../src/control/state.ts';
import { cluster, OUTSIDE, policies } from '../../support/policy-arbitraries.ts';
import { address } from '../../support/policy-world.ts';
import { CONNECTION_PORTS, loadDocuments, worldOf } from '../../support/question-world.ts';

const NAMES = ['one.example.com', 'two.example.com', 'deep.two.example.com'];
const ports = fc.option(
  fc.constantFrom({ port: '80', protocol: 'TCP' }, { port: '0', protocol: 'ANY' }, { port: '443', protocol: 'UDP' }),
  { nil: undefined },
);

const fqdnPolicy = fc
  .record({
    namespace: fc.constantFrom('x', 'y'),
    endpointSelector: fc.constantFrom({}, { matchLabels: { pod: 'a' } }),
    peers: fc.uniqueArray(
      fc.constantFrom(
        { matchName: 'one.example.com' },
        { matchName: 'two.example.com' },
        { matchPattern: '*.example.com' },
        { matchPattern: '*.two.example.com' },
      ),
      { minLength: 1, maxLength: 2 },
    ),
    port: ports,
    isolates: fc.boolean(),
  })
  .map(({ namespace, endpointSelector, peers, port, isolates }) => ({
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumNetworkPolicy',
    metadata: { namespace },
    spec: {
      endpointSelector,
      ...(isolates ? {} : { enableDefaultDeny: { egress: false } }),
      egress: [{ toFQDNs: peers, ...(port === undefined ? {} : { toPorts: [{ ports: [port] }] }) }],
    },
  }));

const adminRule = (passes: boolean): fc.Arbitrary<unknown> =>
  fc.oneof(
    fc
      .uniqueArray(fc.constantFrom('one.example.com', '*.example.com', '*.two.example.com'), {
        minLength: 1,
        maxLength: 2,
      })
      .map((domainNames) => ({ action: 'Accept', to: [{ domainNames }] })),
    fc
      .record({
        action: passes ? fc.constantFrom('Deny', 'Pass', 'Accept') : fc.constantFrom('Deny', 'Accept'),
        network: fc.constantFrom('0.0.0.0/0', '::/0', '203.0.113.0/24', '2001:db8::/32'),
      })
      .map(({ action, network }) => ({ action, to: [{ networks: [network] }] })),
  );
const adminPolicy = (passes: boolean): fc.Arbitrary<{ readonly metadata: object }> =>
  fc
    .record({
      tier: fc.constantFrom('Admin', 'Baseline'),
      priority: fc.constantFrom(0, 7, 7, 1000),
      egress: fc.array(adminRule(passes), { minLength: 1, maxLength: 3 }),
    })
    .map((spec) => ({
      apiVersion: 'policy.networking.k8s.io/v1alpha2',
      kind: 'ClusterNetworkPolicy',
      metadata: {},
      spec: { ...spec, subject: { namespaces: {} } },
    }));

const named = (passes: boolean): fc.Arbitrary<readonly unknown[]> =>
  fc
    .array(fc.oneof(fqdnPolicy, adminPolicy(passes)), { minLength: 1, maxLength: 3 })
    .map((list) => list.map((policy, i) => ({ ...policy, metadata: { ...policy.metadata, name: `q${i}` } })));

const judgeOf = (state: ClusterState, dnsKnown: boolean): Judge => {
  const { settings, compiled } = worldOf(state);
  return new Judge(new PolicyWorld({ state, settings, compiled, dnsKnown }));
};

interface Case {
  readonly nobody: SideAnswer;
  readonly unresolved: SideAnswer;
  readonly resolved: SideAnswer;
  readonly where: string;
}

/** Every pod to every address outside: without names, with names that nobody resolved, with names that all are that address. */
function* cases(documents: readonly unknown[]): Iterable<Case> {
  const state = loadDocuments(documents);
  const sources = state.pods.filter(({ hostNetwork }) => !hostNetwork).flatMap(({ podIPs }) => podIPs);
  const nobody = judgeOf(state, true);
  const unresolved = judgeOf(state, false);
  for (const outside of OUTSIDE) {
    const to = address(outside);
    const dnsNames = new Map(NAMES.map((name) => [name, [to]]));
    const resolved = judgeOf({ ...state, facts: { ...state.facts, dnsNames } }, true);
    for (const source of sources.filter(({ family }) => family === to.family)) {
      for (const [protocol, port] of CONNECTION_PORTS) {
        if (protocol.startsWith('ICMP') && (protocol === 'ICMP') !== (to.family === 4)) continue;
        const question = { from: `ip:${source.text}`, to: `ip:${outside}`, protocol, port };
        const side = (judge: Judge): SideAnswer => {
          const result = judge.ask(question);
          assert.ok('answer' in result, 'problem' in result ? result.problem : '');
          return result.answer.egress;
        };
        yield {
          ...{ nobody: side(nobody), unresolved: side(unresolved), resolved: side(resolved) },
          where: `${source.text} -> ${outside} ${protocol} ${port}`,
        };
      }
    }
  }
}

const runs = Number(process.env['WEIR_RUNS'] ?? 30);

test('a name that nobody resolved makes a verdict unknown where its addresses would turn it, and nowhere else', () => {
  const met = new Set<string>();
  fc.assert(
    fc.property(cluster, fc.option(policies), named(false), (documents, others, names) => {
      const rules = (others ?? []).filter(({ kind }) => kind !== 'ClusterNetworkPolicy');
      for (const { nobody, unresolved, resolved, where } of cases([...documents, ...rules, ...names])) {
        const expected = nobody.verdict === resolved.verdict ? nobody.verdict : 'unknown';
        assert.equal(unresolved.verdict, expected, where);
        met.add(expected);
      }
    }),
    { numRuns: runs },
  );
  assert.deepEqual([...met].sort(), ['allowed', 'denied', 'unknown']);
});

test('behind passes, too, no verdict is certain that the addresses of a name would turn', () => {
  fc.assert(
    fc.property(cluster, fc.option(policies), named(true), (documents, others, names) => {
      for (const { nobody, unresolved, resolved, where } of cases([...documents, ...(others ?? []), ...names])) {
        if (unresolved.verdict === 'unknown') assert.equal(nobody.verdict, 'denied', where);
        else {
          assert.equal(unresolved.verdict, nobody.verdict, where);
          assert.equal(unresolved.verdict, resolved.verdict, where);
        }
      }
    }),
    { numRuns: runs },
  );
});
