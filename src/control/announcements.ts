// Which service addresses the node's interfaces answer for: CiliumL2AnnouncementPolicies over Services, for the node that is
// compiled for. Input: policies, Leases, Services, Nodes, the topology's interfaces. Output: entries of the announced maps.
// Invariant: an address is announced at the interfaces that some policy names, by the node that holds the Service's Lease; where
// nobody holds one, by the node that is compiled for. Nothing without a topology: nobody knows an interface then.
import { announcedKey4, announcedKey6, announcedValue, MAPS } from '../schema/index.ts';
import { type DesiredMap, MapBuilder } from './desired-map.ts';
import { matchesExpression } from './label-filter.ts';
import { LabelSet } from './labels.ts';
import { be32Of } from './manifest/address.ts';
import { LEASE_PREFIX } from './manifest/l2-announcements.ts';
import type { Problem } from './problem.ts';
import { kubernetesSelector, selects } from './selector.ts';
import { hasFrontends } from './service/traits.ts';
import type { CompileSettings } from './settings.ts';
import type { ClusterState, IpAddress, L2AnnouncementPolicy, Labels, LabelSelector, Service } from './state.ts';
import type { Interface } from './topology.ts';

/** The maps of announcements. */
export interface AnnouncedTables {
  readonly announced4: DesiredMap;
  readonly announced6: DesiredMap;
}

/** What of a state announcements are made of. */
export type AnnouncementState = Pick<ClusterState, 'services' | 'nodes' | 'l2AnnouncementPolicies' | 'leases'>;

/** The one class of load balancers besides none whose Services are announced. */
const ANNOUNCER_CLASS = 'io.cilium/l2-announcer';
/** Pseudo-labels by which a policy can select a Service. */
const SERVICE_NAMESPACE = 'io.kubernetes.service.namespace';
const SERVICE_NAME = 'io.kubernetes.service.name';

/** Builds them, and tells what is asked for and cannot be. */
export function buildAnnouncements(
  state: AnnouncementState,
  settings: CompileSettings,
): { readonly maps: AnnouncedTables; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const four = new MapBuilder(MAPS.announced4);
  const six = new MapBuilder(MAPS.announced6);
  const { node, topology } = settings;
  const wanted = settings.l2Announcements ? state.l2AnnouncementPolicies : [];
  const policies = wanted.filter((policy) => policy.externalIPs || policy.loadBalancerIPs);
  const warn = ({ origin, name }: L2AnnouncementPolicy, message: string): void =>
    void problems.push({ severity: 'warning', ...origin, message: `CiliumL2AnnouncementPolicy ${name} ${message}` });
  if (topology === undefined || node === undefined) {
    for (const policy of policies) warn(policy, 'has no effect: no interface is known without a topology');
  } else {
    const holders = new Map(state.leases.map(({ name, holder }) => [name, holder]));
    const own = labelsOf(state.nodes.find(({ name }) => name === node)?.labels ?? new Map());
    for (const policy of policies) {
      if (!isSelected(policy.nodeSelector, own)) continue;
      const interfaces = interfacesOf(policy, topology.interfaces, warn);
      for (const service of state.services) {
        if (!isAnnounced(service, policy, settings)) continue;
        const holder = holders.get(`${LEASE_PREFIX}${service.namespace}-${service.name}`);
        if (holder !== undefined && holder !== node) continue;
        for (const address of addressesOf(service, policy, settings)) {
          for (const at of interfaces) (address.family === 4 ? four : six).set(keyOf(address, at), valueOf(at));
        }
      }
    }
  }
  return { maps: { announced4: four.finish(), announced6: six.finish() }, problems };
}

const labelsOf = (labels: Labels): LabelSet =>
  new LabelSet([...labels].map(([key, value]) => ({ source: 'k8s', key, value })));

/** An absent selector selects everything. */
const isSelected = (selector: LabelSelector | undefined, labels: LabelSet): boolean =>
  selector === undefined || selects(kubernetesSelector(selector), labels);

function isAnnounced(service: Service, policy: L2AnnouncementPolicy, settings: CompileSettings): boolean {
  const { loadBalancerClass } = service;
  if (loadBalancerClass !== undefined && loadBalancerClass !== ANNOUNCER_CLASS) return false;
  if (!hasFrontends(service, settings)) return false;
  const labels = new Map(service.labels);
  labels.set(SERVICE_NAMESPACE, service.namespace).set(SERVICE_NAME, service.name);
  return isSelected(policy.serviceSelector, labelsOf(labels));
}

function addressesOf(service: Service, policy: L2AnnouncementPolicy, settings: CompileSettings): readonly IpAddress[] {
  const external = policy.externalIPs && settings.externalIPs ? service.externalIPs : [];
  const balanced =
    policy.loadBalancerIPs && service.type === 'LoadBalancer'
      ? service.loadBalancerIngress.flatMap(({ ip, ipMode }) => (ip === undefined || ipMode === 'Proxy' ? [] : [ip]))
      : [];
  return [...external, ...balanced];
}

/** The interfaces that a policy names, by expressions over their names; without any all of them. */
function interfacesOf(
  policy: L2AnnouncementPolicy,
  interfaces: readonly Interface[],
  warn: (policy: L2AnnouncementPolicy, message: string) => void,
): readonly Interface[] {
  const { interfaces: expressions } = policy;
  const named = new Set<Interface>(expressions.length === 0 ? interfaces : []);
  for (const expression of expressions) {
    const found = interfaces.map((at) => matchesExpression(expression, at.name));
    const wrong = found.find((answer) => typeof answer === 'string');
    if (wrong !== undefined) warn(policy, `has no effect at interfaces ${JSON.stringify(expression)}: ${wrong}`);
    interfaces.forEach((at, i) => {
      if (found[i] === true) named.add(at);
    });
  }
  return [...named].filter((at) => {
    if (at.mac === undefined) warn(policy, `cannot announce at ${at.name}: the topology names no mac of it`);
    return at.mac !== undefined;
  });
}

const keyOf = ({ family, bytes }: IpAddress, { ifindex }: Interface): Uint8Array =>
  family === 4
    ? announcedKey4.encode({ address: be32Of(bytes), ifindex })
    : announcedKey6.encode({ address: bytes, ifindex });

const valueOf = ({ mac }: Interface): Uint8Array => announcedValue.encode({ mac: mac ?? new Uint8Array(6) });

/** Whether a change of this object may change what is announced. */
export const concernsAnnouncements = (kind: string): boolean =>
  kind === 'Service' || kind === 'Node' || kind === 'CiliumL2AnnouncementPolicy' || kind === 'Lease';
