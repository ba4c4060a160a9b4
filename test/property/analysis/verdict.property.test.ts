// Verdicts against the naive evaluator: random clusters, policies, connections, in both semantics.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Judge, type SideAnswer } from '../../../src/analysis/index.ts';
import { naiveVerdict, type NaiveSide } from '../../support/naive-policy.ts';
import { cluster, OUTSIDE, policies, policiesWithHosts } from '../../support/policy-arbitraries.ts';
import { address } from '../../support/policy-world.ts';
import { CONNECTION_PORTS, loadDocuments, worldOf } from '../../support/question-world.ts';

const sideOf = ({ verdict, audit }: SideAnswer): NaiveSide =>
  audit === true ? 'audit' : verdict === 'allowed' ? 'allow' : 'deny';

test('weir verdict says what the naive evaluator says', () => {
  fc.assert(
    fc.property(
      cluster,
      fc.oneof(policies, policiesWithHosts),
      fc.boolean(),
      fc.boolean(),
      (documents, rules, kubernetes, hostFirewall) => {
        const state = loadDocuments([...documents, ...rules]);
        const judge = new Judge(worldOf(state, kubernetes, hostFirewall));
        const pods = new Map(
          state.pods
            .filter((pod) => !pod.hostNetwork)
            .flatMap((pod) => pod.podIPs.map((ip) => [ip.text, `${pod.namespace}/${pod.name}`] as const)),
        );
        const all = [...pods.keys(), ...OUTSIDE];
        for (const source of all) {
          for (const destination of all) {
            if (source === destination || address(source).family !== address(destination).family) continue;
            const ours = (end: string): boolean => pods.has(end) || (hostFirewall && end.startsWith('172.'));
            if (!ours(source) && !ours(destination)) continue;
            for (const [protocol, port] of CONNECTION_PORTS) {
              if (protocol.startsWith('ICMP') && (protocol === 'ICMP') !== (address(source).family === 4)) continue;
              const expected = naiveVerdict(
                state,
                { source: address(source), destination: address(destination), protocol, port },
                { kubernetes, enforcement: 'default', hostFirewall },
              );
              const result = judge.ask({ from: `ip:${source}`, to: `ip:${destination}`, protocol, port });
              assert.ok('answer' in result, 'problem' in result ? result.problem : '');
              const { egress, ingress } = result.answer;
              assert.deepEqual(
                { egress: sideOf(egress), ingress: sideOf(ingress) },
                expected,
                `${source} -> ${destination} ${protocol} ${port}`,
              );
            }
          }
        }
      },
    ),
    { numRuns: Number(process.env['WEIR_RUNS'] ?? 30) },
  );
});
