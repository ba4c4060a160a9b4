// Identities, endpoints and policies → their maps. Input: IdentityView, CompiledPolicies, the epochs of the previous compile.
// Output: entries of ipcache, endpoints, policy and policy meta. Invariant: an endpoint's epoch never goes back, not even when
// another pod takes over its address, so that an old connection's epoch can never look current again.
import {
  endpointKey4,
  endpointKey6,
  ENDPOINT_FLAG,
  endpointValue,
  IDENTITY,
  ipcacheKey4,
  ipcacheKey6,
  ipcacheValue,
  IPCACHE_FLAG,
  MAPS,
  policyMeta,
  policyMetaKey,
} from '../schema/index.ts';
import { buildLimits, type Limits } from './bandwidth.ts';
import { DesiredMap, MapBuilder } from './desired-map.ts';
import type { AddressIdentity, IdentityView, PodIdentity } from './identity.ts';
import { objectKey } from './pods.ts';
import { hostKey, type HostSubject } from './policy/subject.ts';
import type { CompiledPolicies } from './policy/compile-policies.ts';
import { ENTRY_WORDS, type PolicyBlock } from './policy/entries.ts';
import { be32Of } from './manifest/address.ts';
import type { Tunnels } from './tunnels.ts';
import type { RowRecorder } from './row-changes.ts';
import { StickyIds } from './sticky-ids.ts';

/** First interface number of an endpoint's device; below are the node's own. */
const FIRST_IFINDEX = 100;

/** When an endpoint's decisions changed last, and what that holds for. */
export interface EndpointEpoch {
  readonly policyId: number;
  readonly epoch: number;
  readonly addresses: readonly string[];
}

/** Whether an epoch may go on: not at an address that came since, where another endpoint may have had a later one. */
export const keepsEpoch = (
  before: EndpointEpoch | undefined,
  policyId: number,
  addresses: readonly string[],
): before is EndpointEpoch =>
  before !== undefined && before.policyId === policyId && addresses.every((text) => before.addresses.includes(text));

/** What must survive from compile to compile. */
export class EndpointNumbers {
  readonly ids = new StickyIds(1, 65535);
  readonly policies = new StickyIds(1, MAPS.policyMeta.maxEntries - 1);
  /** Bumped with every compile: the source of epochs. */
  generation = 0;
  /** Bumped when an address changes identity. */
  globalEpoch = 0;
  /** By policy id. */
  blocks = new Map<number, PolicyBlock>();
  /** By `namespace/name` of the pod. */
  epochs = new Map<string, EndpointEpoch>();
  /** What each prefix is, by its text. */
  identities = new Map<string, string>();
  /** Texts of the labels of every identity that was there. */
  live = new Map<number, string>();
}

/** The ipcache maps; bumps the global epoch when an address changed identity. */
export function buildIpcache(
  addresses: readonly AddressIdentity[],
  numbers: EndpointNumbers,
  tunnels: Tunnels | undefined,
): { readonly ipcache4: DesiredMap; readonly ipcache6: DesiredMap } {
  const four = new MapBuilder(MAPS.ipcache4);
  const six = new MapBuilder(MAPS.ipcache6);
  const identities = new Map<string, string>();
  for (const address of addresses) {
    const { family, key, value, place } = ipcacheRow(address, tunnels);
    (family === 4 ? four : six).set(key, value);
    identities.set(address.prefix.text, place);
  }
  const before = numbers.identities;
  const same =
    before.size === identities.size && [...identities].every(([text, identity]) => before.get(text) === identity);
  if (!same && before.size > 0) numbers.globalEpoch++;
  numbers.identities = identities;
  return { ipcache4: four.finish(), ipcache6: six.finish() };
}

/** An entry of an ipcache map. */
export interface IpcacheRow extends MapRow {
  readonly family: 4 | 6;
  /** What the address is, for comparison. The node counts, too: it decides whether an address is the endpoint's own host. */
  readonly place: string;
}

/** The ipcache entry of an address. `tunnels`: which of the nodes' addresses it is behind, in the overlay. */
export function ipcacheRow({ prefix, identity, nodeId }: AddressIdentity, tunnels: Tunnels | undefined): IpcacheRow {
  const tunnel = tunnels?.of(prefix, nodeId);
  const tunnelEndpoint = new Uint8Array(16);
  if (tunnel !== undefined) tunnelEndpoint.set(tunnel.bytes);
  const { HAS_TUNNEL_ENDPOINT, IPV6_TUNNEL_ENDPOINT } = IPCACHE_FLAG;
  const flags = tunnel === undefined ? 0 : HAS_TUNNEL_ENDPOINT | (tunnel.family === 6 ? IPV6_TUNNEL_ENDPOINT : 0);
  const value = ipcacheValue.encode({ identity, nodeId, flags, key: 0, tunnelEndpoint });
  const common = { prefixLength: 32 + prefix.prefixLen, clusterId: 0 };
  const key =
    prefix.family === 4
      ? ipcacheKey4.encode({ ...common, address: be32Of(prefix.bytes) })
      : ipcacheKey6.encode({ ...common, address: prefix.bytes });
  return { family: prefix.family, key, value, place: `${identity} ${nodeId}` };
}

/** One entry of a map as bytes. */
export interface MapRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** What the endpoint maps say of a pod. */
export interface EndpointPlace {
  readonly endpointId: number;
  readonly policyId: number;
  readonly epoch: number;
}

/** Notes that a pod's rows in the endpoint maps come (`before` undefined) or go (`after` undefined). */
export function noteEndpoint(
  changes: RowRecorder,
  pod: PodIdentity,
  before: EndpointPlace | undefined,
  after: EndpointPlace | undefined,
): void {
  const { endpointId, policyId, epoch } = (after ?? before)!;
  for (const { family, key, value } of endpointRows(pod, endpointId, policyId, epoch)) {
    const map = family === 4 ? 'endpoints4' : 'endpoints6';
    changes.note(map, key, before && value, after && value);
  }
}

/** Rows of a pod's addresses in the endpoint maps. */
function endpointRows(
  pod: PodIdentity,
  endpointId: number,
  policyId: number,
  epoch: number,
  flags = 0,
): (MapRow & { readonly family: 4 | 6 })[] {
  return pod.identities.map(({ address, identity }) => ({
    family: address.family,
    key:
      address.family === 4
        ? endpointKey4.encode({ address: be32Of(address.bytes) })
        : endpointKey6.encode({ address: address.bytes }),
    value: endpointValue.encode({
      ifindex: FIRST_IFINDEX + endpointId,
      endpointId,
      nodeId: pod.nodeId,
      identity,
      policyId,
      epoch,
      flags,
      mac: NO_MAC,
      nodeMac: NO_MAC,
    }),
  }));
}

/** Rows of a node's addresses in the endpoint maps: the stack is behind them, no device. */
export function hostRows(
  { node }: HostSubject,
  endpointId: number,
  policyId: number,
  epoch: number,
): (MapRow & { readonly family: 4 | 6; readonly text: string })[] {
  return node.addresses.map(({ address }) => ({
    family: address.family,
    text: address.text,
    key:
      address.family === 4
        ? endpointKey4.encode({ address: be32Of(address.bytes) })
        : endpointKey6.encode({ address: address.bytes }),
    value: endpointValue.encode({
      ifindex: 0,
      endpointId,
      nodeId: node.id,
      identity: IDENTITY.HOST,
      policyId,
      epoch,
      flags: ENDPOINT_FLAG.HOST,
      mac: NO_MAC,
      nodeMac: NO_MAC,
    }),
  }));
}

/** Texts of the addresses that a pod has. */
export const addressTexts = ({ identities }: PodIdentity): readonly string[] =>
  identities.map(({ address }) => address.text);

const NO_MAC = new Uint8Array(6);

/** The endpoint maps of pods and, behind them, of nodes, with epochs: an endpoint's is the generation in which its policy last changed. */
export function buildEndpoints(
  pods: readonly PodIdentity[],
  hosts: readonly HostSubject[],
  policies: CompiledPolicies,
  labels: IdentityView['labels'],
  numbers: EndpointNumbers,
  limits: Limits,
): {
  readonly endpoints4: DesiredMap;
  readonly endpoints6: DesiredMap;
  readonly limits: DesiredMap;
  readonly refused: number;
} {
  const generation = ++numbers.generation;
  const live = new Map([...labels].map(([identity, { text }]) => [identity, text]));
  const stays = (identity: number): boolean => numbers.live.get(identity) === live.get(identity);
  const changed = changedPolicies(policies.blocks, numbers.blocks, stays);
  const { ids, refused } = numbers.ids.assign([
    ...pods.map(({ pod }) => objectKey(pod)),
    ...hosts.map(({ node }) => hostKey(node.name)),
  ]);
  const epochs = new Map<string, EndpointEpoch>();
  const four = new MapBuilder(MAPS.endpoints4);
  const six = new MapBuilder(MAPS.endpoints6);
  /** Number, policy and epoch of the subject at a place of the list that was compiled. */
  const place = (
    key: string,
    i: number,
    addresses: readonly string[],
  ): readonly [number, number, number] | undefined => {
    const endpointId = ids.get(key);
    if (endpointId === undefined) return undefined;
    const policyId = policies.policyIds[i]!;
    const before = numbers.epochs.get(key);
    const epoch = keepsEpoch(before, policyId, addresses) && !changed.has(policyId) ? before.epoch : generation;
    epochs.set(key, { policyId, epoch, addresses });
    return [endpointId, policyId, epoch];
  };
  pods.forEach((pod, i) => {
    const at = place(objectKey(pod.pod), i, addressTexts(pod));
    if (at === undefined) return;
    const flags = limits.has(objectKey(pod.pod)) ? ENDPOINT_FLAG.LIMITED : 0;
    for (const { family, key, value } of endpointRows(pod, ...at, flags)) (family === 4 ? four : six).set(key, value);
  });
  const taken = new Set<string>();
  hosts.forEach((host, i) => {
    // Two nodes with one address: the first by name has it, as in the ipcache.
    const own = host.node.addresses.map(({ address }) => address.text).filter((text) => !taken.has(text));
    const at = place(hostKey(host.node.name), pods.length + i, own);
    if (at === undefined) return;
    for (const { family, text, key, value } of hostRows(host, ...at))
      if (own.includes(text)) (family === 4 ? four : six).set(key, value);
    for (const text of own) taken.add(text);
  });
  numbers.epochs = epochs;
  numbers.live = live;
  numbers.blocks = new Map(policies.blocks.map((block) => [block.policyId, block]));
  const limited = buildLimits(limits, (key) => ids.get(key));
  return { endpoints4: four.finish(), endpoints6: six.finish(), limits: limited, refused: refused.length };
}

/**
 * Policies that decide differently about an identity that was there before and still is, or whose meta entry is not what it was.
 * Of identities that come or go no connection has kept a decision: their addresses have moved the global epoch.
 */
function changedPolicies(
  blocks: readonly PolicyBlock[],
  before: ReadonlyMap<number, PolicyBlock>,
  stays: (identity: number) => boolean,
): Set<number> {
  const changed = new Set<number>();
  for (const block of blocks) {
    const old = before.get(block.policyId);
    if (old === undefined || !sameWords(old.words, block.words, stays) || !sameMeta(old, block)) {
      changed.add(block.policyId);
    }
  }
  return changed;
}

function sameWords(a: Uint32Array, b: Uint32Array, stays: (identity: number) => boolean): boolean {
  const next = (words: Uint32Array, from: number): number => {
    let at = from;
    while (at < words.length && !stays(words[at + 1]!)) at += ENTRY_WORDS;
    return at;
  };
  let i = next(a, 0);
  let j = next(b, 0);
  while (i < a.length && j < b.length) {
    for (let k = 0; k < ENTRY_WORDS; k++) if (a[i + k] !== b[j + k]) return false;
    i = next(a, i + ENTRY_WORDS);
    j = next(b, j + ENTRY_WORDS);
  }
  return i >= a.length && j >= b.length;
}

const sameMeta = (a: PolicyBlock, b: PolicyBlock): boolean =>
  a.meta.flags === b.meta.flags &&
  a.meta.ingressCookie === b.meta.ingressCookie &&
  a.meta.egressCookie === b.meta.egressCookie;

/** The policy maps. Blocks come by ascending policy id, entries in key order, so nothing is left to sort. */
export function buildPolicies(blocks: readonly PolicyBlock[]): {
  readonly policy: DesiredMap;
  readonly policyMeta: DesiredMap;
} {
  const count = blocks.reduce((sum, { words }) => sum + words.length / ENTRY_WORDS, 0);
  const keys = new Uint32Array(count * 3);
  const values = new Uint32Array(count * 3);
  const meta = new MapBuilder(MAPS.policyMeta);
  let to = 0;
  for (const block of blocks) {
    const { words } = block;
    for (let from = 0; from < words.length; from += ENTRY_WORDS, to += 3) {
      keys.set(words.subarray(from, from + 3), to);
      values.set(words.subarray(from + 3, from + ENTRY_WORDS), to);
    }
    meta.set(policyMetaKey.encode({ policyId: block.policyId }), policyMeta.encode(block.meta));
  }
  const policy = new DesiredMap(MAPS.policy, new Uint8Array(keys.buffer), new Uint8Array(values.buffer));
  return { policy, policyMeta: meta.finish() };
}

/** Whose policies a node compiles: the pods of a node, or all. */
export const localPods = (view: IdentityView, node: string | undefined): readonly PodIdentity[] =>
  node === undefined ? view.pods : view.pods.filter((pod) => pod.pod.nodeName === node);
