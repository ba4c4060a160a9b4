// Inputs of single parts of the policy compiler, from manifests where these are the shorter way. Input: YAML, regions, names.
// Output: what the part says. Invariant: no part is told more than the compiler tells it.
import { namedPortsText } from '../../src/control/pods.ts';
import { type PortGroup, portGroups } from '../../src/control/policy/cilium-ports.ts';
import { ENTRY_WORDS, EntrySet, ShapeTable } from '../../src/control/policy/entries.ts';
import type { Region } from '../../src/control/policy/region.ts';
import { Provenance, RuleSets } from '../../src/control/provenance.ts';
import type { Pod } from '../../src/control/state.ts';
import { stateOf } from './policy-world.ts';

/** The groups of a `toPorts` item of an egress rule, without empty ones, and what is complained of. */
export function ciliumPortGroups(toPorts: string): {
  readonly groups: readonly PortGroup[];
  readonly complaints: readonly string[];
} {
  const state = stateOf(
    `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: x}, spec: {endpointSelector: {}, egress: [{toEntities: [all], toPorts: [${toPorts}]}]}}`,
  );
  const complaints: string[] = [];
  const item = state.ciliumPolicies[0]!.rules[0]!.egress![0]!;
  const groups = portGroups(item, (message) => complaints.push(message));
  return { groups, complaints };
}

/** The words of each entry of a policy that says one thing about regions. */
function rowsOf(regions: Region, precedence: number, only?: number): number[][] {
  const set = new EntrySet(new ShapeTable(), new RuleSets(), only);
  set.add(regions, precedence, [0], 0);
  const enforced = { ingress: true, egress: true, host: false };
  const { words } = set.finish(1, { ingress: 0, egress: 0 }, enforced, new Provenance());
  const rows: number[][] = [];
  for (let at = 0; at < words.length; at += ENTRY_WORDS) rows.push([...words.slice(at, at + ENTRY_WORDS)]);
  return rows;
}

/** Identity, shape word and precedence of each entry of a policy that allows regions. */
export const entriesOf = (regions: Region, only?: number): number[][] =>
  rowsOf(regions, 1, only).map((row) => row.slice(1, 4));

/** Proxy port, raw, of each entry of a policy with regions at a precedence. */
export const proxyPortsOf = (regions: Region, precedence: number): number[] =>
  rowsOf(regions, precedence).map((row) => row[5]!);

/** A pod with named TCP ports, and their signature. */
export function namedPod(ports: Readonly<Record<string, number>>): { readonly pod: Pod; readonly signature: string } {
  const list = Object.entries(ports).map(([name, number]) => `{name: ${name}, containerPort: ${number}}`);
  const state = stateOf(
    `{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: x}, spec: {containers: [{name: c, ports: [${list.join(', ')}]}]}, status: {podIP: 10.0.0.1}}`,
  );
  const pod = state.pods[0]!;
  return { pod, signature: namedPortsText(pod) };
}
