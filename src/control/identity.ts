// Who an address is: identities with their labels, and what the ipcache says. Input: ClusterState, the prefixes that policies
// name, the numbers of the previous compile. Output: IdentityView. Identities of pods are numbered by a hash of their labels,
// those of prefixes and labelled nodes by a sticky counter. Invariant: every address of the cluster has one identity.
import { IDENTITY } from '../schema/index.ts';
import { cidrLabel, type Label, LabelSet, reservedLabel } from './labels.ts';
import { parseAddress } from './manifest/address.ts';
import { blockLabels, IP_BLOCK_SOURCE, type NodeView, readNodes } from './nodes.ts';
import { type PodView, readPods } from './pods.ts';
import { comparePrefixes, hostPrefix, type PrefixSet } from './prefix.ts';
import type { Problem } from './problem.ts';
import { LabelIndex } from './selector.ts';
import type { CompileSettings } from './settings.ts';
import type { ClusterState, IpAddress, IpPrefix } from './state.ts';
import { HashedIds, StickyIds } from './sticky-ids.ts';

/** `file` of a problem that no line of the manifests has, but all of them together. */
export const WHOLE_CLUSTER = 'cluster';

/** The numbers that stay from compile to compile. */
export class IdentityNumbers {
  readonly pods = new HashedIds(IDENTITY.CLUSTER_FIRST, IDENTITY.CLUSTER_LAST);
  readonly prefixes = new StickyIds(IDENTITY.SCOPE_LOCAL + 1, IDENTITY.SCOPE_LOCAL + 0xffffff);
  readonly nodeIdentities = new StickyIds(IDENTITY.SCOPE_REMOTE_NODE + 1, IDENTITY.SCOPE_REMOTE_NODE + 0xffffff);
  readonly nodes = new StickyIds(1, 65535);
}

/** One ipcache entry. */
export interface AddressIdentity {
  readonly prefix: IpPrefix;
  readonly identity: number;
  /** Node that the address is on or is; 0 = none. */
  readonly nodeId: number;
}

/** A pod with the identity of each of its addresses (one number for all of them in Cilium's semantics). */
export interface PodIdentity extends PodView {
  readonly identities: readonly { readonly address: IpAddress; readonly identity: number }[];
}

/** Identities of the cluster, of the world's prefixes and the reserved ones. */
export interface IdentityView {
  /** Labels of every identity that an address can have. */
  readonly labels: ReadonlyMap<number, LabelSet>;
  readonly index: LabelIndex;
  /** Sorted by prefix. */
  readonly addresses: readonly AddressIdentity[];
  readonly pods: readonly PodIdentity[];
  readonly nodes: readonly NodeView[];
}

/** Identity of the world's addresses that no prefix names: 2, or one for each family where both are on. */
export function worldIdentity(family: 4 | 6, settings: CompileSettings): number {
  const other = family === 4 ? settings.ipv6 : settings.ipv4;
  if (!other) return IDENTITY.WORLD;
  return family === 4 ? IDENTITY.WORLD_IPV4 : IDENTITY.WORLD_IPV6;
}

/** Addresses of the Kubernetes API server: facts, and the endpoints of Service `default/kubernetes`. */
export function kubeApiserverAddresses(state: ClusterState): ReadonlyMap<string, IpAddress> {
  const found = new Map<string, IpAddress>();
  for (const [text, entities] of state.facts.entities) {
    const parsed = entities.includes('kube-apiserver') ? parseAddress(text) : undefined;
    if (parsed?.ok === true) found.set(parsed.value.text, parsed.value);
  }
  for (const slice of state.endpointSlices) {
    if (slice.namespace !== 'default' || slice.serviceName !== 'kubernetes') continue;
    for (const address of slice.endpoints.flatMap(({ addresses }) => addresses)) found.set(address.text, address);
  }
  for (const endpoints of state.endpoints) {
    if (endpoints.namespace !== 'default' || endpoints.name !== 'kubernetes') continue;
    for (const { ip } of endpoints.subsets.flatMap(({ addresses }) => addresses)) found.set(ip.text, ip);
  }
  return found;
}

/** Reserved entities that a fact may give to an address that is neither pod nor node. */
const FACT_IDENTITIES: readonly (readonly [string, number])[] = [
  ['health', IDENTITY.HEALTH],
  ['ingress', IDENTITY.INGRESS],
  ['init', IDENTITY.INIT],
  ['unmanaged', IDENTITY.UNMANAGED],
];

/** All entities that a fact may give to an address; the others (`host`, `world`, …) follow from the manifests. */
export const FACT_ENTITIES: readonly string[] = ['kube-apiserver', ...FACT_IDENTITIES.map(([name]) => name)];

/** What policies ask of identities. */
export interface IdentityDemand {
  /** Every prefix that a policy names, `except` and single addresses included. */
  readonly prefixes: PrefixSet;
  /** Those that tell pods and nodes apart, too. */
  readonly blocks: PrefixSet;
  /** Nodes are told apart by their labels. */
  readonly nodeLabels: boolean;
}

/** Works out all identities. */
export function buildIdentities(
  state: ClusterState,
  settings: CompileSettings,
  { prefixes, blocks, nodeLabels }: IdentityDemand,
  numbers: IdentityNumbers,
  problems: Problem[],
): IdentityView {
  const apiservers = kubeApiserverAddresses(state);
  for (const address of apiservers.values()) prefixes.add(hostPrefix(address));
  const kubeApiservers = new Set(apiservers.keys());
  const { nodes, refused } = readNodes(
    state,
    settings,
    { prefixes, blocks, nodeLabels, kubeApiservers },
    numbers.nodes,
  );
  reportFull(problems, 'node numbers', refused.length);
  const pods = readPods(state, settings, nodes, problems);

  const labels = reservedIdentities(settings);
  const addresses = new Map<string, AddressIdentity>();
  const put = (prefix: IpPrefix, identity: number, nodeId: number): void => {
    if (!addresses.has(prefix.text)) addresses.set(prefix.text, { prefix, identity, nodeId });
  };

  const placeNode = nodeIdentities(nodes, numbers, labels, problems);
  for (const node of nodes) {
    for (const { address, labels: own } of node.addresses) put(hostPrefix(address), placeNode(own), node.id);
  }
  const numbered = podIdentities(pods, settings, blocks, numbers, labels, problems);
  for (const pod of numbered) {
    for (const { address, identity } of pod.identities) put(hostPrefix(address), identity, pod.nodeId);
  }
  for (const [text, entities] of state.facts.entities) {
    const parsed = parseAddress(text);
    const fact = FACT_IDENTITIES.find(([name]) => entities.includes(name));
    if (parsed.ok && fact !== undefined) put(hostPrefix(parsed.value), fact[1], 0);
  }
  worldPrefixes(prefixes, apiservers, settings, addresses, numbers, labels, problems);

  const index = new LabelIndex();
  for (const id of [...labels.keys()].sort((a, b) => a - b)) index.add(id, labels.get(id)!);
  const sorted = [...addresses.values()].sort((a, b) => comparePrefixes(a.prefix, b.prefix));
  return { labels, index, addresses: sorted, pods: numbered, nodes };
}

function reportFull(problems: Problem[], what: string, count: number): void {
  if (count === 0) return;
  problems.push({
    severity: 'error',
    file: WHOLE_CLUSTER,
    line: 0,
    column: 0,
    message: `no room for ${count} more ${what}`,
  });
}

function reservedIdentities(settings: CompileSettings): Map<number, LabelSet> {
  const labels = new Map<number, LabelSet>();
  const reserve = (identity: number, ...names: string[]): void =>
    void labels.set(identity, new LabelSet(names.map(reservedLabel)));
  reserve(IDENTITY.HOST, 'host');
  reserve(IDENTITY.WORLD, 'world');
  reserve(IDENTITY.UNMANAGED, 'unmanaged');
  reserve(IDENTITY.HEALTH, 'health');
  reserve(IDENTITY.INIT, 'init');
  reserve(IDENTITY.REMOTE_NODE, 'remote-node');
  reserve(IDENTITY.KUBE_APISERVER, 'remote-node', 'kube-apiserver');
  reserve(IDENTITY.INGRESS, 'ingress');
  for (const family of [4, 6] as const) {
    labels.set(worldIdentity(family, settings), new LabelSet(worldLabels(family)));
  }
  return labels;
}

const WHOLE: { readonly [family in 4 | 6]: IpPrefix } = {
  4: { family: 4, text: '0.0.0.0/0', bytes: new Uint8Array(4), prefixLen: 0 },
  6: { family: 6, text: '::/0', bytes: new Uint8Array(16), prefixLen: 0 },
};

const worldLabels = (family: 4 | 6): Label[] => [
  reservedLabel('world'),
  reservedLabel(`world-ipv${family}`),
  cidrLabel(WHOLE[family]),
];

/** Numbers nodes' label sets; the plain ones are 6 and 7. Returns the number of a label set. */
function nodeIdentities(
  nodes: readonly NodeView[],
  numbers: IdentityNumbers,
  labels: Map<number, LabelSet>,
  problems: Problem[],
): (own: LabelSet) => number {
  const sets = new Map(nodes.flatMap((node) => node.addresses.map(({ labels: own }) => [own.text, own] as const)));
  const known = new Map(
    [IDENTITY.REMOTE_NODE, IDENTITY.KUBE_APISERVER].map((id) => [labels.get(id)!.text, id] as const),
  );
  const { ids, refused } = numbers.nodeIdentities.assign([...sets.keys()].filter((text) => !known.has(text)));
  reportFull(problems, 'identities of nodes', refused.length);
  for (const [text, id] of ids) labels.set(id, sets.get(text)!);
  return (own) => known.get(own.text) ?? ids.get(own.text) ?? IDENTITY.REMOTE_NODE;
}

function podIdentities(
  pods: readonly PodView[],
  settings: CompileSettings,
  blocks: PrefixSet,
  numbers: IdentityNumbers,
  labels: Map<number, LabelSet>,
  problems: Problem[],
): PodIdentity[] {
  const extras = addressExtras(pods, blocks, settings.semantics === 'kubernetes');
  const sets = new Map<string, LabelSet>();
  const fixed = new Map<string, number>();
  const wanted = pods.map((pod) =>
    pod.addresses.map((address) => {
      const more = extras(pod, address);
      const own = more.length === 0 ? pod.labels : pod.labels.with(more);
      if (!sets.has(own.text)) sets.set(own.text, own);
      if (more.length === 0 && pod.fixedIdentity !== undefined) fixed.set(own.text, pod.fixedIdentity);
      return { address, text: own.text };
    }),
  );
  const init = labels.get(IDENTITY.INIT)!.text;
  const { ids, refused } = numbers.pods.assign(
    [...sets.keys()].filter((text) => text !== init),
    fixed,
  );
  reportFull(problems, 'identities of pods', refused.length);
  for (const [text, id] of ids) labels.set(id, sets.get(text)!);
  return pods.map((pod, i) => {
    const identities = wanted[i]!.map(({ address, text }) => ({
      address,
      identity: text === init ? IDENTITY.INIT : (ids.get(text) ?? IDENTITY.UNMANAGED),
    }));
    return { ...pod, identities };
  });
}

/**
 * What tells pods with equal labels apart: the blocks of addresses that cover them, and, where a NetworkPolicy reads as its
 * specification says, the named ports if pods with these labels disagree about them.
 */
function addressExtras(
  pods: readonly PodView[],
  blocks: PrefixSet,
  byPorts: boolean,
): (pod: PodView, address: IpAddress) => readonly Label[] {
  if (!byPorts && blocks.size === 0) return () => [];
  const portsOf = new Map<string, Set<string>>();
  for (const pod of pods) {
    const known = portsOf.get(pod.labels.text);
    if (known === undefined) portsOf.set(pod.labels.text, new Set([pod.namedPorts]));
    else known.add(pod.namedPorts);
  }
  return (pod, address) => {
    const more = blockLabels(address, blocks, IP_BLOCK_SOURCE);
    if (byPorts && portsOf.get(pod.labels.text)!.size > 1) {
      more.push({ source: 'weir', key: 'named-ports', value: pod.namedPorts });
    }
    return more;
  };
}

/** Identities of the world's prefixes. An address that is a pod's or a node's is never one of them. */
function worldPrefixes(
  prefixes: PrefixSet,
  apiservers: ReadonlyMap<string, IpAddress>,
  settings: CompileSettings,
  addresses: Map<string, AddressIdentity>,
  numbers: IdentityNumbers,
  labels: Map<number, LabelSet>,
  problems: Problem[],
): void {
  const apiserverPrefixes = new Set([...apiservers.values()].map((address) => hostPrefix(address).text));
  const members = prefixes.members().filter((prefix) => prefix.prefixLen > 0 && !addresses.has(prefix.text));
  const { ids, refused } = numbers.prefixes.assign(members.map(({ text }) => text));
  reportFull(problems, 'identities of prefixes', refused.length);
  for (const prefix of members) {
    const identity = ids.get(prefix.text);
    if (identity === undefined) continue;
    const own = [...worldLabels(prefix.family), ...prefixes.covering(prefix).map(cidrLabel)];
    if (apiserverPrefixes.has(prefix.text)) own.push(reservedLabel('kube-apiserver'));
    labels.set(identity, new LabelSet(own));
    addresses.set(prefix.text, { prefix, identity, nodeId: 0 });
  }
  for (const family of [4, 6] as const) {
    const prefix = WHOLE[family];
    addresses.set(prefix.text, { prefix, identity: worldIdentity(family, settings), nodeId: 0 });
  }
}
