// The objects that want frontends, and which of two that want the same address gets it. Input: Services, slices, pods, health
// facts as they come and go. Output: for each frontend key the winner. Invariant: what is worked out again is what changed;
// the winner depends on the claims alone, not on their order.
import { SCOPE } from '../../schema/index.ts';
import { objectKey } from '../pods.ts';
import type { Problem } from '../problem.ts';
import type { Endpoints, EndpointSlice, Pod, Service } from '../state.ts';
import { BackendIndex, type PortBackend } from './backends.ts';
import { compareClaims, endpointText, type Frontend } from './frontend.ts';
import { hasHostPorts, hostPortFrontends } from './host-ports.ts';
import { type FrontendWorld, NOTHING_WANTED, serviceFrontends, type Wanted } from './service-frontends.ts';
import { choosesNodes, exposedOn } from './traits.ts';

interface HeldService {
  readonly service: Service;
  readonly source: string;
  /** Whether the node exposes it, as decided when the Service was last updated; undefined: not decided. */
  exposed: boolean | undefined;
}

/** Who wants what. */
export class Owners {
  readonly backends = new BackendIndex();
  /** Owner key → Service; the same Service may come from several sources. */
  private readonly services = new Map<string, HeldService>();
  /** Service (`namespace/name`) → owner keys. */
  private readonly byName = new Map<string, Set<string>>();
  private readonly pods = new Map<string, Pod>();
  private readonly wanted = new Map<string, Wanted>();
  private readonly claims = new Map<string, Frontend[]>();
  private readonly dirty = new Set<string>();

  /** Takes a Service of a source (`k8s`, `api`), or takes it away. */
  putService(source: string, key: string, service: Service | undefined): void {
    const owner = `service ${source} ${key}`;
    this.dirty.add(owner);
    if (service === undefined) {
      this.services.delete(owner);
      const others = this.byName.get(key);
      others?.delete(owner);
      if (others?.size === 0) this.byName.delete(key);
      return;
    }
    this.services.set(owner, { service, source, exposed: undefined });
    const others = this.byName.get(key);
    if (others === undefined) this.byName.set(key, new Set([owner]));
    else others.add(owner);
  }

  putSlice(key: string, slice: EndpointSlice | undefined): void {
    for (const service of this.backends.putSlice(key, slice)) this.touchService(service);
  }

  putEndpoints(key: string, endpoints: Endpoints | undefined): void {
    for (const service of this.backends.putEndpoints(key, endpoints)) this.touchService(service);
  }

  /** Takes a pod, or takes it away. Only one with host ports is kept. */
  putPod(key: string, pod: Pod | undefined): void {
    const keep = pod !== undefined && hasHostPorts(pod);
    if (!keep && !this.pods.has(key)) return;
    this.dirty.add(`pod ${key}`);
    if (keep) this.pods.set(key, pod);
    else this.pods.delete(key);
  }

  /** Works a Service (`namespace/name`) out again. */
  touchService(key: string): void {
    for (const owner of this.byName.get(key) ?? []) this.dirty.add(owner);
  }

  /** Works out again what depends on the node. */
  touchNode(): void {
    for (const [owner, { dependsOnNode }] of this.wanted) if (dependsOnNode) this.dirty.add(owner);
    this.touchUndecided();
    // Before a node is known, its pods' ports are nobody's.
    for (const key of this.pods.keys()) this.dirty.add(`pod ${key}`);
  }

  /** Works out again the Services whose exposure waits for a node. */
  touchUndecided(): void {
    for (const [owner, held] of this.services)
      if (held.exposed === undefined && choosesNodes(held.service)) this.dirty.add(owner);
  }

  /** A node is seen for the first time: what no other exposes, it may. */
  redecide(): void {
    for (const [owner, held] of this.services) {
      if (held.exposed !== false || !choosesNodes(held.service)) continue;
      held.exposed = undefined;
      this.dirty.add(owner);
    }
  }

  /** Works everything out again: the settings have changed. */
  touchAll(): void {
    for (const owner of [...this.services.keys(), ...this.wanted.keys()]) this.dirty.add(owner);
    for (const key of this.pods.keys()) this.dirty.add(`pod ${key}`);
  }

  /** Works out what was touched. Returns the keys of frontends that may be different now, sorted. */
  derive(world: FrontendWorld): string[] {
    const touched = new Set<string>();
    for (const owner of [...this.dirty].sort()) {
      const before = this.wanted.get(owner);
      const now = this.wantedBy(owner, world);
      for (const frontend of before?.frontends ?? []) {
        const rest = this.claims.get(frontend.key)!.filter((claim) => claim !== frontend);
        if (rest.length === 0) this.claims.delete(frontend.key);
        else this.claims.set(frontend.key, rest);
        touched.add(frontend.key);
      }
      for (const frontend of now.frontends) {
        const others = this.claims.get(frontend.key);
        if (others === undefined) this.claims.set(frontend.key, [frontend]);
        else others.push(frontend);
        touched.add(frontend.key);
      }
      if (now === NOTHING_WANTED && !this.isHeld(owner)) this.wanted.delete(owner);
      else this.wanted.set(owner, now);
    }
    this.dirty.clear();
    return [...touched].sort();
  }

  private isHeld(owner: string): boolean {
    return this.services.has(owner) || this.pods.has(owner.slice(4));
  }

  private wantedBy(owner: string, world: FrontendWorld): Wanted {
    if (owner.startsWith('pod ')) {
      const pod = this.pods.get(owner.slice(4));
      return pod === undefined ? NOTHING_WANTED : hostPortFrontends(pod, world);
    }
    const held = this.services.get(owner);
    if (held === undefined) return NOTHING_WANTED;
    const { service, source } = held;
    if (choosesNodes(service)) {
      // Decided when the Service is updated, not when the node's labels are.
      if (held.exposed === undefined && world.nodes.labels.length > 0)
        held.exposed = world.nodes.labels.some((labels) => exposedOn(service, labels));
      if (held.exposed !== true) return NOTHING_WANTED;
    }
    const key = objectKey(service);
    return serviceFrontends(service, this.backendsOf(service), this.backends.knows(key), source, world);
  }

  private backendsOf(service: Service): PortBackend[] {
    return this.backends.all(objectKey(service), service.publishNotReadyAddresses);
  }

  /** The winner of a frontend key among those that are to be programmed, or undefined. */
  winner(key: string): Frontend | undefined {
    let best: Frontend | undefined;
    for (const claim of this.claims.get(key) ?? []) {
      if (claim.programmed && (best === undefined || compareClaims(claim, best) < 0)) best = claim;
    }
    return best;
  }

  /** Every backend behind a Service (`namespace/name`), doubles included. */
  backendsBehind(key: string): PortBackend[] {
    return this.backends.all(key, this.publishesNotReady(key));
  }

  /** Whether a Service (`namespace/name`) publishes addresses that are not ready. */
  publishesNotReady(key: string): boolean {
    return [...(this.byName.get(key) ?? [])].some(
      (owner) => this.services.get(owner)?.service.publishNotReadyAddresses === true,
    );
  }

  /** Services that are exposed, by namespace and name. */
  exposedServices(): { readonly service: Service; readonly source: string }[] {
    return [...this.services.values()]
      .filter(({ service, exposed }) => !choosesNodes(service) || exposed === true)
      .sort((a, b) => (objectKey(a.service) < objectKey(b.service) ? -1 : 1));
  }

  /** What is desired, one row a frontend: without the node's own addresses, with what is not programmed. */
  desired(): Frontend[] {
    const rows: Frontend[] = [];
    for (const claims of this.claims.values()) {
      const [best] = claims.filter(({ expanded }) => !expanded).sort(compareClaims);
      if (best !== undefined) rows.push(best);
    }
    return rows.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Warnings of all owners, and one for each address that somebody wanted and another has. */
  problems(): Problem[] {
    const problems = [...this.wanted.keys()].sort().flatMap((owner) => this.wanted.get(owner)!.problems);
    for (const [key, claims] of this.claims) {
      if (claims.length < 2) continue;
      const winner = this.winner(key);
      if (winner === undefined) continue;
      for (const { owner, address, port, protocol, scope, expanded } of claims) {
        if (owner.name === winner.owner.name && owner.namespace === winner.owner.namespace) continue;
        if (expanded || scope !== SCOPE.EXTERNAL) continue;
        const { file, line, column } = owner.origin;
        const message = `Service ${objectKey(owner)} cannot have ${endpointText(address, port)}/${protocol}: Service ${objectKey(winner.owner)} has it`;
        problems.push({ severity: 'warning', file, line, column, message });
      }
    }
    return problems;
  }
}
