// A PolicyWorld from documents, for properties of questions. Input: documents as test/support/policy-arbitraries.ts makes them.
// Output: states and worlds. Invariant: some addresses carry kube-apiserver, so that entities outside policies are met.
import { PolicyWorld } from '../../src/analysis/index.ts';
import { Compiler } from '../../src/control/compile.ts';
import { readManifests } from '../../src/control/manifest/manifests.ts';
import { settingsOf } from '../../src/control/settings.ts';
import type { ClusterState } from '../../src/control/state.ts';
import type { NaiveConnection } from './naive-policy.ts';
import { asText } from './policy-arbitraries.ts';
import { configWith } from './policy-world.ts';

/** Protocols and ports that connections are tried with. */
export const CONNECTION_PORTS: readonly (readonly [NaiveConnection['protocol'], number])[] = [
  ['TCP', 80],
  ['TCP', 81],
  ['TCP', 480],
  ['UDP', 443],
  ['SCTP', 80],
  ['ICMP', 8],
  ['ICMPv6', 128],
];

/** Reads documents. */
export function loadDocuments(documents: readonly unknown[]): ClusterState {
  const { state, problems } = readManifests([{ file: 'w.yaml', text: asText(documents) }], { keepRefused: true });
  if (state === undefined) throw new Error(problems.map((p) => p.message).join('\n'));
  const entities = new Map([
    ['172.18.0.12', ['kube-apiserver']],
    ['8.8.8.8', ['kube-apiserver']],
  ]);
  return { ...state, facts: { ...state.facts, entities } };
}

/** Compiles a state into a world that can be asked. */
export function worldOf(state: ClusterState, kubernetes = false, hostFirewall = false): PolicyWorld {
  const config = configWith({ 'hostFirewall.enabled': hostFirewall });
  const options = { semantics: kubernetes ? ('kubernetes' as const) : ('cilium' as const) };
  return new PolicyWorld({
    state,
    settings: settingsOf(config, state, options),
    compiled: new Compiler(config, options).compile(state),
    dnsKnown: true,
  });
}
