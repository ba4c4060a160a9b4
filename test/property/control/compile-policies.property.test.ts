// The compiled maps, probed as the datapath probes them, against the naive evaluator: random clusters, policies, connections.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Compiler } from '../../../src/control/compile.ts';
import { readManifests } from '../../../src/control/manifest/manifests.ts';
import type { ClusterState } from '../../../src/control/state.ts';
import { naiveVerdict, type NaiveConnection, type NaiveSide } from '../../support/naive-policy.ts';
import {
  asText,
  cluster,
  OUTSIDE,
  policies,
  policiesWithHosts,
  tieredPolicies,
} from '../../support/policy-arbitraries.ts';
import { address, configWith, sideVerdict, type SideVerdict } from '../../support/policy-world.ts';

const NUMBERS = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPv6: 58 } as const;
const PORTS: readonly (readonly [NaiveConnection['protocol'], number])[] = [
  ['TCP', 80],
  ['TCP', 81],
  ['TCP', 480],
  ['UDP', 443],
  ['SCTP', 80],
  ['ICMP', 8],
  ['ICMPv6', 128],
];

function load(documents: readonly unknown[]): ClusterState {
  const { state, problems } = readManifests([{ file: 'w.yaml', text: asText(documents) }], { keepRefused: true });
  if (state === undefined) throw new Error(problems.map((p) => p.message).join('\n'));
  return {
    ...state,
    facts: {
      ...state.facts,
      entities: new Map([
        ['172.18.0.12', ['kube-apiserver']],
        ['8.8.8.8', ['kube-apiserver']],
      ]),
    },
  };
}

const said = ({ verdict }: SideVerdict): NaiveSide =>
  verdict === 'denied' ? 'deny' : verdict === 'audited' ? 'audit' : 'allow';

function agree(
  state: ClusterState,
  kubernetes: boolean,
  enforcement: 'default' | 'always' | 'never',
  hostFirewall: boolean,
): void {
  const config = configWith({ policyEnforcementMode: enforcement, 'hostFirewall.enabled': hostFirewall });
  const compiled = new Compiler(config, { semantics: kubernetes ? 'kubernetes' : 'cilium' }).compile(state);
  assert.deepEqual(
    compiled.problems.filter((p) => p.severity === 'error'),
    [],
  );
  const pods = state.pods.filter((p) => !p.hostNetwork).flatMap((p) => p.podIPs.map((ip) => ip.text));
  const all = [...pods, ...OUTSIDE];
  for (const source of all) {
    for (const destination of all) {
      if (source === destination || address(source).family !== address(destination).family) continue;
      const ours = (end: string): boolean => pods.includes(end) || (hostFirewall && end.startsWith('172.'));
      if (!ours(source) && !ours(destination)) continue;
      for (const [protocol, port] of PORTS) {
        if (protocol.startsWith('ICMP') && (protocol === 'ICMP') !== (address(source).family === 4)) continue;
        const expected = naiveVerdict(
          state,
          { source: address(source), destination: address(destination), protocol, port },
          { kubernetes, enforcement, hostFirewall },
        );
        const egress = said(sideVerdict(compiled, source, destination, true, NUMBERS[protocol], port));
        const ingress = said(sideVerdict(compiled, destination, source, false, NUMBERS[protocol], port));
        assert.deepEqual({ egress, ingress }, expected, `${source} -> ${destination} ${protocol} ${port}`);
      }
    }
  }
}

test('compiled policies say what the naive evaluator says', () => {
  fc.assert(
    fc.property(
      cluster,
      fc.oneof(policies, tieredPolicies, policiesWithHosts),
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom('default' as const, 'default' as const, 'default' as const, 'always' as const, 'never' as const),
      (world, rules, kubernetes, hostFirewall, enforcement) => {
        agree(load([...world, ...rules]), kubernetes, enforcement, hostFirewall);
      },
    ),
    { numRuns: Number(process.env['WEIR_RUNS'] ?? 50) },
  );
});

test('the order of policies, rules and pods does not change a verdict', () => {
  fc.assert(
    fc.property(
      cluster,
      fc
        .oneof(policies, tieredPolicies)
        .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray([...list], { minLength: list.length }))),
      (world, [rules, shuffled]) => {
        const first = new Compiler(configWith()).compile(load([...world, ...rules]));
        const second = new Compiler(configWith()).compile(load([...shuffled, ...[...world].reverse()]));
        for (const [name, map] of Object.entries(first.maps)) {
          assert.deepEqual([...map], [...second.maps[name as keyof typeof second.maps]], name);
        }
      },
    ),
    { numRuns: 25 },
  );
});
