// The admin tiers of policy.networking.k8s.io → normal form. Input: the policy, learnt addresses. Output: ordered rules.
// Invariant: no isolation comes from here; a rule with an unknown peer fails closed: Deny and Pass deny everybody and
// everything, Accept allows nobody.
import { NAMESPACE_LABEL_PREFIX } from '../labels.ts';
import { hostPrefix } from '../prefix.ts';
import type { RuleRef } from '../provenance.ts';
import { ANY_POD, bothSelectors, kubernetesSelector, labelExists, type Selector, selectorOf } from '../selector.ts';
import type {
  AdminPeer,
  AdminPods,
  AdminPolicy,
  AdminPort,
  AdminRule,
  Facts,
  IpPrefix,
  LabelSelector,
} from '../state.ts';
import { isAudited } from './audit.ts';
import { namePattern } from './name-pattern.ts';
import type { NormalSink } from './normal-cilium.ts';
import {
  type FqdnPeer,
  type Peer,
  type PolicyRule,
  type PortMatch,
  PROTOCOL_NUMBER,
  type RuleVerdict,
} from './rule.ts';

const VERDICTS: { readonly [A in AdminRule['action']]: RuleVerdict } = { accept: 'allow', deny: 'deny', pass: 'pass' };

/** Adds one policy to the normal form. */
export function normaliseAdminPolicy(policy: AdminPolicy, facts: Facts, sink: NormalSink): void {
  const subject = podsSelector(policy.subject);
  for (const rule of [...policy.ingress, ...policy.egress]) {
    const ref: RuleRef = {
      kind: policy.kind,
      name: policy.name,
      rule: `${rule.direction}[${rule.index}]`,
      file: policy.origin.file,
      line: rule.origin.line,
    };
    if (rule.peers.some(({ kind }) => kind === 'nodes')) sink.nodeLabels = true;
    sink.rules.push({
      ref,
      origin: rule.origin,
      subject,
      direction: rule.direction,
      tier: policy.tier,
      priority: policy.priority,
      audited: isAudited(policy),
      position: rule.index,
      ...matchOf(rule, facts),
    });
  }
}

function matchOf(rule: AdminRule, facts: Facts): Pick<PolicyRule, 'verdict' | 'peers' | 'ports' | 'fqdns'> {
  const verdict = VERDICTS[rule.action];
  const ports: readonly PortMatch[] = rule.ports?.map(portOf) ?? [{ kind: 'all' }];
  if (rule.peers.some(({ kind }) => kind === 'unknown')) {
    return rule.action === 'accept'
      ? { verdict, peers: [], ports, fqdns: [] }
      : { verdict: 'deny', peers: 'everybody', ports: [{ kind: 'all' }], fqdns: [] };
  }
  const fqdns: FqdnPeer[] = [];
  return { verdict, peers: rule.peers.flatMap((peer) => peersOf(peer, facts, fqdns)), ports, fqdns };
}

/** Pods of namespaces that a selector selects, by label where one is given. */
function podsSelector({ namespaceSelector, podSelector }: AdminPods): Selector {
  const scope =
    namespaceSelector === undefined
      ? ANY_POD
      : bothSelectors(ANY_POD, kubernetesSelector(namespaceSelector, NAMESPACE_LABEL_PREFIX));
  return podSelector === undefined ? scope : bothSelectors(scope, kubernetesSelector(podSelector));
}

function peersOf(peer: AdminPeer, facts: Facts, fqdns: FqdnPeer[]): Peer[] {
  switch (peer.kind) {
    case 'pods':
      return [{ kind: 'selector', selector: podsSelector(peer.pods), required: false }];
    case 'nodes':
      return ['host', 'remote-node'].map((entity) => nodesSelector(peer.selector, entity));
    case 'networks':
      return peer.networks.map((prefix) => network(prefix, true));
    case 'domains':
      return peer.names.flatMap((name) => {
        // The leading `*` of these names is one or more labels, which Cilium writes `**`.
        const pattern = name.startsWith('*.') ? `*${name}` : name;
        const { matches } = namePattern(pattern);
        const learnt = [...facts.dnsNames].filter(([known]) => matches(known)).flatMap(([, list]) => [...list]);
        fqdns.push({ pattern, addresses: learnt.length });
        return learnt.map((address) => network(hostPrefix(address), false));
      });
    case 'unknown':
      return [];
  }
}

const network = (prefix: IpPrefix, block: boolean): Peer => ({ kind: 'cidr', prefix, except: [], block });

function nodesSelector(written: LabelSelector, entity: string): Peer {
  const { requirements } = kubernetesSelector(written, '', 'node');
  return {
    kind: 'selector',
    selector: selectorOf([...requirements, labelExists('reserved', entity)]),
    required: false,
  };
}

function portOf(port: AdminPort): PortMatch {
  if (port.kind === 'named') return { kind: 'named', name: port.name, protocols: ['TCP', 'UDP', 'SCTP'] };
  return { kind: 'ports', protocol: PROTOCOL_NUMBER[port.protocol], first: port.first, last: port.last };
}
