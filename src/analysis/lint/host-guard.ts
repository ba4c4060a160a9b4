// The lock-out guard: nodes whose own policies let nobody in by the doors that operators and the cluster need, or that cannot ask
// for what they need. Input: a world with a host firewall, the normal form. Output: findings at the policy that isolates.
// Invariant: who may is asked of the compiled policy for every identity that may call, so that one policy may open what another shuts.
import { hostSubjects } from '../../control/policy/subject.ts';
import { type NormalPolicies, PROTOCOL_NUMBER } from '../../control/policy/rule.ts';
import { selects } from '../../control/selector.ts';
import { IDENTITY } from '../../schema/index.ts';
import type { PolicyWorld } from '../policy-world.ts';
import type { Findings } from './finding.ts';
import { DNS_PORT, HOST_DOORS, type HostDoor } from './host-doors.ts';

/** Identities that addresses have or may have, besides those of the view. */
const OTHERS: readonly number[] = [IDENTITY.WORLD, IDENTITY.REMOTE_NODE, IDENTITY.KUBE_APISERVER];
/** Who comes to a node's doors from elsewhere: nodes and the world; a pod, or a health endpoint, keeps nobody from being locked out. */
const CALLERS: readonly string[] = ['remote-node', 'kube-apiserver', 'world'];

/** Says which doors are shut on whom, once for nodes with one policy. */
export function hostGuard(world: PolicyWorld, normal: NormalPolicies, findings: Findings): void {
  const { questions, view, settings } = world;
  const callers = new Set(OTHERS);
  for (const [id, labels] of view.labels) {
    if (id !== IDENTITY.HOST && CALLERS.some((key) => labels.has('reserved', key))) callers.add(id);
  }
  const pods = view.pods.flatMap(({ identities }) => identities.map(({ identity }) => identity));
  const resolvers = new Set([...callers, ...pods]);
  // Nodes that send pods' packets through the overlay need each other's tunnel port.
  const overlay: readonly HostDoor[] =
    settings.tunnel && view.nodes.length > 1
      ? [{ port: settings.tunnelPort, protocol: 'UDP', what: "the overlay's tunnel" }]
      : [];
  const asked = new Set<number>();
  for (const subject of hostSubjects(view.nodes, settings)) {
    const address = subject.node.addresses[0]?.address;
    const policyId = address === undefined ? 0 : (world.endpointAt(address)?.policyId ?? 0);
    if (policyId === 0 || asked.has(policyId)) continue;
    asked.add(policyId);
    for (const [direction, doors] of [
      ['ingress', [...HOST_DOORS.ingress, ...overlay]],
      ['egress', [...HOST_DOORS.egress, ...overlay]],
    ] as const) {
      const isolation = normal.isolations.find(
        (one) =>
          one.host === true && one.direction === direction && !one.audited && selects(one.subject, subject.labels),
      );
      if (isolation === undefined) continue;
      const shut = doors.filter(
        ({ port, protocol }) =>
          ![...(port === DNS_PORT ? resolvers : callers)].some((identity) => {
            questions.byIdentity(direction === 'egress', 4, policyId, identity, PROTOCOL_NUMBER[protocol], port);
            return questions.allowed;
          }),
      );
      if (shut.length === 0) continue;
      const { kind, name, file, line } = isolation.ref;
      const ports = shut.map(({ port, what }) => `${port} (${what})`).join(', ');
      const side = direction === 'ingress' ? 'in' : 'out';
      const message = `${kind} ${name} isolates node ${subject.node.name} on ${direction}, and no rule lets ${side}: ${ports}`;
      findings.add('host-lock-out', { file, line, column: 1 }, message);
    }
  }
}
