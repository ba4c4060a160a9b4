// Kubernetes objects → what the service plane wants to know. Input: objects as they come and go. Output: calls of the plane.
// Invariant: an object counts once, by kind, namespace, name and source; a node that only pods or slices name is a node, too.
import { objectKey } from '../pods.ts';
import type { CompileSettings } from '../settings.ts';
import type { ClusterObject, ClusterState, IpAddress, Node, Pod } from '../state.ts';
import { type ServiceNode, serviceNodeOf } from './node-view.ts';
import type { ServicePlane } from './plane.ts';

/** Where objects come from: the API server, or a state file. */
export type ObjectSource = 'k8s' | 'api';
/** Kinds that the service plane reads. */
export const SERVICE_KINDS = ['Service', 'EndpointSlice', 'Endpoints', 'Pod', 'Node'] as const;
/** One of them. */
export type ServiceKind = (typeof SERVICE_KINDS)[number];
/** An object of one of these kinds. */
export type ServiceObject = Extract<ClusterObject, { readonly kind: ServiceKind }>;

/** Whether the service plane reads an object. */
export const isServiceObject = (object: ClusterObject): object is ServiceObject =>
  (SERVICE_KINDS as readonly string[]).includes(object.kind);

/** See the head of this file. */
export class ServiceFeed {
  private readonly plane: ServicePlane;
  /** `SOURCE KIND` → keys. */
  private readonly held = new Map<string, Set<string>>();
  private readonly nodes = new Map<string, Node>();
  /** Pods on the host's network, which have their node's addresses. */
  private readonly hostPods = new Map<string, Pod>();
  private readonly podAddresses = new Map<string, { readonly node: string | undefined; readonly texts: string[] }>();
  /** Address → pod → node. */
  private readonly owners = new Map<string, Map<string, string | undefined>>();
  /** Address → the node that has it. */
  private nodeAddresses = new Map<string, string>();
  private nodesChanged = true;

  constructor(plane: ServicePlane) {
    this.plane = plane;
  }

  /** Takes an object, new or changed. */
  upsert(object: ServiceObject, source: ObjectSource = 'k8s'): void {
    const key = keyOf(object);
    this.heldOf(source, object.kind).add(key);
    const { owners } = this.plane;
    if (object.kind === 'Service') owners.putService(source, key, object);
    else if (object.kind === 'EndpointSlice') owners.putSlice(`${source} ${key}`, object);
    else if (object.kind === 'Endpoints') owners.putEndpoints(key, object);
    else if (object.kind === 'Pod') this.putPod(key, object);
    else {
      this.nodes.set(key, object);
      this.nodesChanged = true;
    }
  }

  /** Takes an object away; nothing happens if it is not there. */
  remove(kind: ServiceKind, key: string, source: ObjectSource = 'k8s'): void {
    if (!this.heldOf(source, kind).delete(key)) return;
    const { owners } = this.plane;
    if (kind === 'Service') owners.putService(source, key, undefined);
    else if (kind === 'EndpointSlice') owners.putSlice(`${source} ${key}`, undefined);
    else if (kind === 'Endpoints') owners.putEndpoints(key, undefined);
    else if (kind === 'Pod') this.putPod(key, undefined);
    else {
      this.nodes.delete(key);
      this.nodesChanged = true;
    }
  }

  /** All objects of a kind at once: what is not among them is gone. */
  replace(kind: ServiceKind, objects: readonly ServiceObject[], source: ObjectSource = 'k8s'): void {
    const now = new Set(objects.map(keyOf));
    for (const key of [...this.heldOf(source, kind)]) if (!now.has(key)) this.remove(kind, key, source);
    for (const object of objects) this.upsert(object, source);
  }

  /** A whole state at once. */
  replaceAll(state: ClusterState): void {
    this.replace('Node', state.nodes);
    this.replace('Pod', state.pods);
    this.replace('EndpointSlice', state.endpointSlices);
    this.replace('Endpoints', state.endpoints);
    this.replace('Service', state.services);
  }

  /** Tells the plane of nodes, if anything about them is new. Before it settles, and when settings are others. */
  tellNodes(settings: CompileSettings, numberOf: (name: string) => number, always = false): void {
    if (!this.nodesChanged && !always) return;
    this.nodesChanged = false;
    const nodes = new Map<string, ServiceNode>();
    for (const [name, node] of this.nodes) {
      nodes.set(name, serviceNodeOf(node, settings));
    }
    this.placeNodes();
    for (const [, { nodeName, podIPs }] of this.hostPods) {
      if (nodeName === undefined) continue;
      const known = nodes.get(nodeName) ?? { name: nodeName, labels: undefined, addresses: [] };
      const own = new Set(known.addresses.map(({ address }) => address.text));
      const more = podIPs.filter(({ text }) => !own.has(text));
      nodes.set(nodeName, {
        ...known,
        addresses: [...known.addresses, ...more.map((address) => ({ address, nodePort: !this.nodes.has(nodeName) }))],
      });
    }
    this.plane.setNodes(nodes.values(), numberOf);
  }

  /** Of two nodes with one address the first by name has it. */
  private placeNodes(): void {
    const before = this.nodeAddresses;
    this.nodeAddresses = new Map();
    for (const name of [...this.nodes.keys()].sort().reverse())
      for (const { address } of this.nodes.get(name)!.addresses) this.nodeAddresses.set(address.text, name);
    for (const text of new Set([...before.keys(), ...this.nodeAddresses.keys()])) this.place(text);
  }

  /** A node's own address is on that node, whatever pods say; else it is where the first pod by name is that has it. */
  private place(text: string): void {
    const pods = this.owners.get(text);
    const first = pods === undefined ? undefined : [...pods.keys()].sort()[0];
    if (first === undefined) this.owners.delete(text);
    this.plane.setAddressNode(
      text,
      this.nodeAddresses.get(text) ?? (first === undefined ? undefined : pods!.get(first)),
    );
  }

  private heldOf(source: ObjectSource, kind: ServiceKind): Set<string> {
    const name = `${source} ${kind}`;
    let keys = this.held.get(name);
    if (keys === undefined) this.held.set(name, (keys = new Set()));
    return keys;
  }

  private putPod(key: string, pod: Pod | undefined): void {
    this.plane.owners.putPod(key, pod);
    if (this.hostPods.delete(key)) this.nodesChanged = true;
    const alive = pod !== undefined && pod.phase !== 'Succeeded' && pod.phase !== 'Failed';
    if (alive && pod.hostNetwork) {
      this.hostPods.set(key, pod);
      this.nodesChanged = true;
    }
    this.placeAddresses(key, alive && !pod.hostNetwork ? pod.nodeName : undefined, alive ? pod.podIPs : []);
  }

  private placeAddresses(key: string, node: string | undefined, addresses: readonly IpAddress[]): void {
    const before = this.podAddresses.get(key);
    const texts = node === undefined ? [] : addresses.map(({ text }) => text);
    if (before === undefined && texts.length === 0) return;
    for (const text of before?.texts ?? []) this.owners.get(text)?.delete(key);
    for (const text of texts) {
      const others = this.owners.get(text);
      if (others === undefined) this.owners.set(text, new Map([[key, node]]));
      else others.set(key, node);
    }
    if (texts.length === 0) this.podAddresses.delete(key);
    else this.podAddresses.set(key, { node, texts });
    for (const text of new Set([...(before?.texts ?? []), ...texts])) this.place(text);
  }
}

/** `namespace/name`, or a node's name. */
const keyOf = (object: ServiceObject): string => (object.kind === 'Node' ? object.name : objectKey(object));
