// Peers → identities: numbers of the identity table, aggregates where a rule means a whole class, 0 where it means everybody.
// Input: peers in normal form, the identity view. Output: identities, ascending. The own node (`reserved:host`) is asked for
// apart, since it is another node for each subject.
import { IDENTITY } from '../../schema/index.ts';
import type { IdentityView } from '../identity.ts';
import { cidrLabel, type LabelSet } from '../labels.ts';
import { IP_BLOCK_SOURCE } from '../nodes.ts';
import {
  ANY_POD,
  bothSelectors,
  EVERYTHING,
  labelExists,
  type Requirement,
  type Selector,
  selectorOf,
  selects,
} from '../selector.ts';
import type { CiliumEntity, IpPrefix } from '../state.ts';
import type { Peer, PolicyRule, Requires } from './rule.ts';

const entitySelector = (name: string): Selector => selectorOf([labelExists('reserved', name)]);

/** What an entity stands for: fixed identities, and a selector for those that cannot be listed beforehand. */
const ENTITIES: { readonly [E in CiliumEntity]: { readonly ids: readonly number[]; readonly selector?: Selector } } = {
  all: { ids: [IDENTITY.UNKNOWN] },
  none: { ids: [] },
  world: { ids: [IDENTITY.WORLD, IDENTITY.WORLD_IPV4, IDENTITY.WORLD_IPV6, IDENTITY.AGGREGATE_WORLD] },
  'world-ipv4': { ids: [], selector: entitySelector('world-ipv4') },
  'world-ipv6': { ids: [], selector: entitySelector('world-ipv6') },
  cluster: {
    ids: [
      IDENTITY.AGGREGATE_CLUSTER,
      IDENTITY.AGGREGATE_REMOTE_NODE,
      IDENTITY.REMOTE_NODE,
      IDENTITY.KUBE_APISERVER,
      IDENTITY.HEALTH,
      IDENTITY.INIT,
      IDENTITY.UNMANAGED,
      IDENTITY.INGRESS,
    ],
    selector: entitySelector('kube-apiserver'),
  },
  host: { ids: [] },
  'remote-node': { ids: [IDENTITY.REMOTE_NODE, IDENTITY.KUBE_APISERVER, IDENTITY.AGGREGATE_REMOTE_NODE] },
  'kube-apiserver': { ids: [], selector: entitySelector('kube-apiserver') },
  health: { ids: [IDENTITY.HEALTH] },
  init: { ids: [IDENTITY.INIT] },
  ingress: { ids: [IDENTITY.INGRESS] },
  unmanaged: { ids: [IDENTITY.UNMANAGED] },
};

/** Selectors of a CIDR peer: a prefix without its exceptions; an ipBlock also looks at pods' and nodes' own addresses. */
function cidrSelectors(prefix: IpPrefix, except: readonly IpPrefix[], block: boolean): Selector[] {
  return (block ? ['cidr', IP_BLOCK_SOURCE] : ['cidr']).map((source) =>
    selectorOf([
      labelExists(source, cidrLabel(prefix).key),
      ...except.map((hole): Requirement => ({
        source,
        key: cidrLabel(hole).key,
        operator: 'DoesNotExist',
        values: [],
      })),
    ]),
  );
}

/** Selectors that a peer stands for, requirements of the subject included; entities' fixed identities are not among them. */
function peerSelectors(peer: Peer, required: Selector): readonly Selector[] {
  switch (peer.kind) {
    case 'selector':
      return [peer.required && required !== EVERYTHING ? bothSelectors(peer.selector, required) : peer.selector];
    case 'cidr':
      return cidrSelectors(peer.prefix, peer.except, peer.block);
    case 'entity': {
      const { selector } = ENTITIES[peer.entity];
      return selector === undefined ? [] : [selector];
    }
  }
}

/** Everybody as a peer that can be narrowed. */
export const ANYBODY: readonly Peer[] = [{ kind: 'selector', selector: EVERYTHING, required: true }];

/** Identities of a rule's peers without the own node, ascending. 0: everybody, the own node included. */
export function peerIdentities(peers: PolicyRule['peers'], required: Selector, view: IdentityView): readonly number[] {
  if (peers === 'everybody' && required === EVERYTHING) return [IDENTITY.UNKNOWN];
  const found = new Set<number>();
  for (const peer of peers === 'everybody' ? ANYBODY : peers) {
    if (peer.kind === 'entity') for (const id of ENTITIES[peer.entity].ids) found.add(id);
    for (const selector of peerSelectors(peer, required)) {
      if (selector.text === ANY_POD.text) found.add(IDENTITY.AGGREGATE_CLUSTER);
      else for (const id of view.index.select(selector)) found.add(id);
    }
  }
  found.delete(IDENTITY.HOST);
  return [...found].sort((a, b) => a - b);
}

/** True when the peers hold the own node, whose labels are `host` (everybody does not count: identity 0 covers it). */
export function peersHoldHost(peers: PolicyRule['peers'], required: Selector, host: LabelSet): boolean {
  if (peers === 'everybody' && required === EVERYTHING) return false;
  return (peers === 'everybody' ? ANYBODY : peers).some((peer) => {
    if (peer.kind === 'entity' && (peer.entity === 'host' || peer.entity === 'cluster')) return true;
    return peerSelectors(peer, required).some((selector) => selects(selector, host));
  });
}

/**
 * True when a rule's peers may hold a pod with these labels as one of its own, neither through an aggregate nor through everybody.
 * `narrowed`: some subject requires something of its peers, who are then told apart.
 */
export function peersSelect(
  { peers, everybodyBySelector }: Pick<PolicyRule, 'peers' | 'everybodyBySelector'>,
  labels: LabelSet,
  narrowed: boolean,
): boolean {
  if (peers === 'everybody') return narrowed && everybodyBySelector === true;
  return peers.some((peer) => {
    if (peer.kind === 'cidr' && !peer.block) return false;
    const whole = peer.kind !== 'selector' || !peer.required || !narrowed;
    return peerSelectors(peer, EVERYTHING).some(
      (selector) => !(whole && selector.text === ANY_POD.text) && selects(selector, labels),
    );
  });
}

/** What a subject requires of peers that are given by selectors, in allow rules and in deny rules. */
export interface Required {
  readonly allow: Selector;
  readonly deny: Selector;
}

/** All requirements at once. */
export function requireAll(requires: readonly Requires[]): Required {
  const of = (kind: Requires['narrows']): Selector =>
    requires
      .filter(({ narrows }) => narrows === kind)
      .reduce((all, { selector }) => bothSelectors(all, selector), EVERYTHING);
  return { allow: of('allow'), deny: of('deny') };
}

/** What of it narrows this rule. */
export function requiredOf(
  { peers, everybodyBySelector, verdict }: Pick<PolicyRule, 'peers' | 'everybodyBySelector' | 'verdict'>,
  required: Required,
): Selector {
  if (peers === 'everybody' && everybodyBySelector !== true) return EVERYTHING;
  return verdict === 'deny' ? required.deny : required.allow;
}
