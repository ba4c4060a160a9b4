// `toServices` peers: which Services they mean, and whether an object that changes is among what they stand for. Input: peers,
// objects as they come and go. Output: yes or no. Invariant: a Service with a selector stands for pods, so that its slices are
// nobody's concern; one without stands for the addresses of its slices and Endpoints.
import { LabelSet } from '../labels.ts';
import { objectKey } from '../pods.ts';
import { ciliumSelector, selectorOf, selects } from '../selector.ts';
import type { CiliumPolicy, CiliumServicePeer, ClusterObject, LabelSelector, Labels, Service } from '../state.ts';

/** True when a selector of Cilium's selects an object of the API by its labels, whose sources nobody asks for. */
export function selectsObject(selector: LabelSelector, labels: Labels): boolean {
  const own = new LabelSet([...labels].map(([key, value]) => ({ source: 'any', key, value })));
  const { requirements } = ciliumSelector(selector);
  return selects(selectorOf(requirements.map((one) => ({ ...one, source: 'any' }))), own);
}

/** True when a peer means a Service. Without a namespace it means those of every namespace, as the agent has it. */
export const meansService = (
  { serviceName, selector, namespace }: CiliumServicePeer,
  service: Pick<Service, 'namespace' | 'name' | 'labels'>,
): boolean =>
  (namespace === undefined || namespace === '' || service.namespace === namespace) &&
  (serviceName === undefined || service.name === serviceName) &&
  (selector === undefined || selectsObject(selector, service.labels));

/** True for a Service that stands for the pods it selects. */
export const selectsPods = ({ selector }: Service): boolean => selector !== undefined && selector.size > 0;

/** The peers of all policies that there are. */
export class ServicePeers {
  private readonly byPolicy = new Map<string, readonly CiliumServicePeer[]>();

  /**
   * Takes notice of an object that came, went or changed. True when some peer stands for something else since; of policies
   * themselves never. `serviceOf`: the Service of a `namespace/name` as it is now.
   */
  note(
    before: ClusterObject | undefined,
    after: ClusterObject | undefined,
    serviceOf: (key: string) => Service | undefined,
  ): boolean {
    for (const [object, held] of [
      [before, false],
      [after, true],
    ] as const) {
      if (object?.kind === 'CiliumNetworkPolicy' || object?.kind === 'CiliumClusterwideNetworkPolicy')
        this.notePolicy(object, held);
    }
    if (this.byPolicy.size === 0) return false;
    if (before?.kind === 'Service' || after?.kind === 'Service')
      return this.serviceChanges(before as Service | undefined, after as Service | undefined);
    const was = addressesOf(before);
    const is = addressesOf(after);
    return [...new Set([...was.keys(), ...is.keys()])].some((key) => {
      if (was.get(key) === is.get(key)) return false;
      const service = serviceOf(key);
      return service !== undefined && !selectsPods(service) && this.peers().some((peer) => meansService(peer, service));
    });
  }

  private notePolicy(policy: CiliumPolicy, held: boolean): void {
    const key = `${policy.kind} ${policy.namespace ?? ''}/${policy.name}`;
    const peers = held ? peersOf(policy) : [];
    if (peers.length === 0) this.byPolicy.delete(key);
    else this.byPolicy.set(key, peers);
  }

  private peers(): CiliumServicePeer[] {
    return [...this.byPolicy.values()].flat();
  }

  private serviceChanges(before: Service | undefined, after: Service | undefined): boolean {
    const same =
      before !== undefined && after !== undefined && labelText(before.selector) === labelText(after.selector);
    return this.peers().some((peer) => {
      const meant = before !== undefined && meansService(peer, before);
      const means = after !== undefined && meansService(peer, after);
      return meant !== means || (means && !same);
    });
  }
}

const peersOf = ({ rules }: CiliumPolicy): CiliumServicePeer[] =>
  rules.flatMap(({ egress = [], egressDeny = [] }) =>
    [...egress, ...egressDeny].flatMap(({ services = [] }) => services),
  );

/** True when what a policy says hangs on Services. */
export const namesServices = (policy: CiliumPolicy): boolean => peersOf(policy).length > 0;

const labelText = (labels: Labels | undefined): string => JSON.stringify([...(labels ?? [])].sort());

/** Service (`namespace/name`) → the addresses that an EndpointSlice or Endpoints object gives it, as text. */
function addressesOf(object: ClusterObject | undefined): ReadonlyMap<string, string> {
  if (object?.kind === 'EndpointSlice' && object.serviceName !== undefined) {
    const texts = object.endpoints.flatMap(({ addresses }) => addresses.map(({ text }) => text));
    return new Map([[`${object.namespace}/${object.serviceName}`, texts.sort().join()]]);
  }
  if (object?.kind !== 'Endpoints') return new Map();
  const texts = object.subsets.flatMap(({ addresses }) => addresses.map(({ ip }) => ip.text));
  return new Map([[objectKey(object), texts.sort().join()]]);
}
