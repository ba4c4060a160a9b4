// The two ends of a question: `pod:NS/NAME`, `ip:ADDRESS`, `entity:NAME`, `service:NS/NAME`, `node:NAME`. Input: text, a world.
// Output: End, whose points are addresses or identities that the policy stage can be asked about; or why there is none.
import { parseAddress } from '../control/manifest/index.ts';
import type { CiliumEntity, IpAddress, L4Protocol, Pod, Service } from '../control/index.ts';
import { objectKey } from '../control/pods.ts';
import { type BackendIndex, backendIndexOf, backendsOfPort } from '../control/service/backends.ts';
import { BACKEND_STATE, IDENTITY } from '../schema/index.ts';
import type { PolicyWorld } from './policy-world.ts';

/** One thing that an end stands for: an address, or an identity as the other end sees it. */
export interface Point {
  readonly name: string;
  readonly address?: IpAddress;
  /** `own-node`: the node that the other end runs on. */
  readonly identity?: number | 'own-node';
  /** Of an identity that only exists in one family. */
  readonly family?: 4 | 6;
  /** Destination port behind a service, where it is not the one asked for. */
  readonly port?: number;
}

/** An end; `service` says what stands in front of its points. */
export interface End {
  readonly text: string;
  readonly points: readonly Point[];
  readonly service?: { readonly namespace: string; readonly name: string };
  /** Why there is no point to ask about. */
  readonly missing?: string;
}

/** An end, or what is wrong with its text. */
export type EndResult = { readonly end: End } | { readonly problem: string };

const FORMS = 'pod:NS/NAME, ip:ADDRESS, entity:NAME, service:NS/NAME or node:NAME';

const FIXED: ReadonlyMap<string, number> = new Map([
  ['health', IDENTITY.HEALTH],
  ['init', IDENTITY.INIT],
  ['ingress', IDENTITY.INGRESS],
  ['unmanaged', IDENTITY.UNMANAGED],
  ['remote-node', IDENTITY.REMOTE_NODE],
]);
const ENTITIES: readonly CiliumEntity[] = [
  ...['all', 'cluster', 'world', 'world-ipv4', 'world-ipv6', 'host', 'remote-node', 'kube-apiserver'],
  ...['health', 'init', 'ingress', 'unmanaged'],
] as CiliumEntity[];

/** Resolves ends, and remembers them. */
export class Ends {
  private readonly world: PolicyWorld;
  private readonly known = new Map<string, EndResult>();
  private backends: BackendIndex | undefined;
  private pods: ReadonlyMap<string, Pod> | undefined;
  private frontends: Map<string, Service> | undefined;

  constructor(world: PolicyWorld) {
    this.world = world;
  }

  /** @param port of a service: its port, which decides over the backends */
  resolve(text: string, protocol: string, port: number): EndResult {
    const byPort = text.startsWith('service:') || text.startsWith('ip:');
    const key = byPort ? `${text} ${protocol} ${port}` : text;
    let result = this.known.get(key);
    if (result === undefined) {
      result = this.find(text, protocol, port);
      if (this.known.size > 1_000_000) this.known.clear();
      this.known.set(key, result);
    }
    return result;
  }

  private find(text: string, protocol: string, port: number): EndResult {
    const colon = text.indexOf(':');
    const name = text.slice(colon + 1);
    switch (colon < 0 ? '' : text.slice(0, colon)) {
      case 'pod':
        return this.pod(text, name);
      case 'ip': {
        const parsed = parseAddress(name);
        if (!parsed.ok) return { problem: `${text}: ${parsed.reason}` };
        return this.frontend(text, parsed.value, protocol, port) ?? { end: addressEnd(text, parsed.value) };
      }
      case 'node':
        return this.node(text, name);
      case 'entity':
        return this.entity(text, name);
      case 'service':
        return this.service(text, name, protocol, port);
      default:
        return { problem: `${text === '' ? 'nothing' : text}: an end is ${FORMS}` };
    }
  }

  private pod(text: string, name: string): EndResult {
    const { state } = this.world;
    const [namespace, podName] = name.includes('/') ? split(name) : ['default', name];
    this.pods ??= new Map(state.pods.map((p) => [`${p.namespace}/${p.name}`, p]));
    const pod = this.pods.get(`${namespace}/${podName}`);
    if (pod === undefined) {
      const all = state.pods.map((p) => `${p.namespace}/${p.name}`);
      return { problem: `${text}: no such pod among the manifests${suggestion(`${namespace}/${podName}`, all)}` };
    }
    let addresses = pod.podIPs;
    if (addresses.length === 0 && pod.hostNetwork) {
      addresses = this.world.nodes.get(pod.nodeName ?? '')?.addresses.map(({ address }) => address) ?? [];
    }
    const points = addresses.map((address) => ({ name: `${namespace}/${podName}`, address }));
    if (pod.phase === 'Succeeded' || pod.phase === 'Failed')
      return { end: { text, points: [], missing: `pod ${namespace}/${podName} has ended (${pod.phase})` } };
    return points.length > 0
      ? { end: { text, points } }
      : { end: { text, points, missing: `no manifest gives pod ${namespace}/${podName} an address` } };
  }

  /** A service address is translated before any policy is asked, whatever it is called. */
  private frontend(text: string, address: IpAddress, protocol: string, port: number): EndResult | undefined {
    if (this.frontends === undefined) {
      this.frontends = new Map();
      for (const service of this.world.state.services) {
        const balanced = service.loadBalancerIngress.flatMap(({ ip, ipMode }) =>
          ipMode === 'Proxy' ? [] : (ip ?? []),
        );
        for (const ip of [...service.clusterIPs, ...service.externalIPs, ...balanced]) {
          for (const { port: own, protocol: of } of service.ports)
            this.frontends.set(`${ip.text} ${own} ${of}`, service);
        }
      }
    }
    const service = this.frontends.get(`${address.text} ${port} ${protocol}`);
    return service && this.service(text, `${service.namespace}/${service.name}`, protocol, port);
  }

  private node(text: string, name: string): EndResult {
    const node = this.world.nodes.get(name);
    if (node === undefined) {
      return { problem: `${text}: no such node among the manifests${suggestion(name, [...this.world.nodes.keys()])}` };
    }
    const own = node.node?.addresses ?? [];
    const preferred = own.filter(({ type }) => type === 'InternalIP').map(({ address }) => address);
    const rest = node.addresses.map(({ address }) => address);
    const points = firstOfEachFamily([...preferred, ...rest]).map((address) => ({ name, address }));
    return points.length > 0
      ? { end: { text, points } }
      : { end: { text, points, missing: `no manifest gives node ${name} an address` } };
  }

  private entity(text: string, name: string): EndResult {
    const { view, settings } = this.world;
    const world = (family: 4 | 6): Point => ({
      name: `world (IPv${family})`,
      family,
      identity: family === 4 ? (settings.ipv6 ? IDENTITY.WORLD_IPV4 : IDENTITY.WORLD) : IDENTITY.WORLD_IPV6,
    });
    const end = (points: readonly Point[]): EndResult => ({ end: { text, points } });
    const fixed = FIXED.get(name);
    if (fixed !== undefined) return end([{ name, identity: fixed }]);
    switch (name) {
      case 'world':
        return end(settings.ipv6 && settings.ipv4 ? [world(4), world(6)] : [world(settings.ipv4 ? 4 : 6)]);
      case 'world-ipv4':
        return end([world(4)]);
      case 'world-ipv6':
        return end([world(6)]);
      case 'host':
        return end([{ name, identity: 'own-node' }]);
      case 'kube-apiserver': {
        const ids = [...view.labels].filter(([, labels]) => labels.has('reserved', 'kube-apiserver')).map(([id]) => id);
        const addresses = view.addresses.filter(
          ({ identity, prefix }) => ids.includes(identity) && prefix.prefixLen === prefix.bytes.length * 8,
        );
        const points = addresses.map(({ prefix }): Point => {
          const address = { family: prefix.family, text: prefix.text.replace(/\/\d+$/, ''), bytes: prefix.bytes };
          return { name: `kube-apiserver ${address.text}`, address };
        });
        return end(points.length > 0 ? points : [{ name, identity: IDENTITY.KUBE_APISERVER }]);
      }
      case 'all':
      case 'cluster': {
        const pods = view.pods.flatMap(({ pod, addresses }) =>
          addresses.map((address): Point => ({ name: `${pod.namespace}/${pod.name}`, address })),
        );
        const nodes: Point[] = [
          { name: 'host', identity: 'own-node' },
          ...view.nodes.flatMap((node) =>
            node.addresses.map(({ address }): Point => ({ name: `node ${node.name}`, address })),
          ),
        ];
        const reserved = [...FIXED].map(([entity, identity]): Point => ({ name: entity, identity }));
        const outside: Point[] = [
          world(4),
          ...(settings.ipv6 ? [world(6)] : []),
          ...view.addresses
            .filter(({ identity }) => identity >>> 24 === 1)
            .map(({ prefix, identity }) => ({ name: prefix.text, family: prefix.family, identity })),
        ];
        return end([...pods, ...nodes, ...reserved, ...(name === 'all' ? outside : [])]);
      }
      default:
        return { problem: `${text}: an entity is one of ${ENTITIES.join(', ')}` };
    }
  }

  private service(text: string, name: string, protocol: string, port: number): EndResult {
    const { state } = this.world;
    const [namespace, serviceName] = name.includes('/') ? split(name) : ['default', name];
    const service = state.services.find((s) => s.namespace === namespace && s.name === serviceName);
    if (service === undefined) {
      const all = state.services.map((s) => `${s.namespace}/${s.name}`);
      return {
        problem: `${text}: no such Service among the manifests${suggestion(`${namespace}/${serviceName}`, all)}`,
      };
    }
    const named = { namespace, name: serviceName };
    const wanted = service.ports.find((p) => p.port === port && p.protocol === protocol);
    if (wanted === undefined && !service.headless) {
      const ports = service.ports.map((p) => `${p.port}/${p.protocol}`).join(', ');
      return { problem: `${text} has no port ${port}/${protocol}: it has ${ports === '' ? 'none' : ports}` };
    }
    this.backends ??= backendIndexOf(state);
    const found = this.backendsOf(service, wanted, protocol as L4Protocol, port);
    const points = found.map(({ address, port: target }): Point => {
      const owner = this.world.compiled.names.pods.get(address.text);
      return { name: owner === undefined ? address.text : `${owner.namespace}/${owner.pod}`, address, port: target };
    });
    if (points.length > 0) return { end: { text, points, service: named } };
    return { end: { text, points, service: named, missing: `Service ${namespace}/${serviceName} has no backend` } };
  }

  private backendsOf(
    service: Service,
    wanted: Service['ports'][number] | undefined,
    protocol: L4Protocol,
    port: number,
  ): readonly { readonly address: IpAddress; readonly port: number }[] {
    if (wanted !== undefined && this.backends!.knows(objectKey(service))) {
      const known = this.backends!.all(objectKey(service), service.publishNotReadyAddresses);
      const all = ([4, 6] as const).flatMap((family) => backendsOfPort(known, service, wanted, family));
      const active = all.filter(({ state }) => state === BACKEND_STATE.ACTIVE);
      const chosen = active.length > 0 ? active : all.filter(({ serving }) => serving);
      // Nobody translates ports for a headless Service: its name resolves to the pods themselves.
      return chosen.map((backend) => ({ address: backend.address, port: service.headless ? port : backend.port }));
    }
    const { selector } = service;
    if (selector === undefined || selector.size === 0) return [];
    return this.world.view.pods
      .filter(({ pod }) => pod.namespace === service.namespace && carries(pod.labels, selector))
      .flatMap(({ pod, addresses }) => {
        const target = service.headless ? port : (wanted?.targetPort ?? port);
        const number =
          typeof target === 'number'
            ? target
            : pod.ports.find((p) => p.name === target && p.protocol === protocol)?.containerPort;
        return number === undefined ? [] : addresses.map((address) => ({ address, port: number }));
      });
  }
}

const addressEnd = (text: string, address: IpAddress): End => ({ text, points: [{ name: address.text, address }] });

const carries = (labels: ReadonlyMap<string, string>, wanted: ReadonlyMap<string, string>): boolean =>
  [...wanted].every(([key, value]) => labels.get(key) === value);

function split(name: string): [string, string] {
  const slash = name.indexOf('/');
  return [name.slice(0, slash), name.slice(slash + 1)];
}

function firstOfEachFamily(addresses: readonly IpAddress[]): IpAddress[] {
  return ([4, 6] as const).flatMap((family) => addresses.find((a) => a.family === family) ?? []);
}

/** `; did you mean …?` where something is close. */
function suggestion(wanted: string, all: readonly string[]): string {
  const close = all
    .slice(0, 20_000)
    .map((name) => ({ name, distance: distance(wanted, name) }))
    .filter(({ distance: d }) => d <= Math.max(2, wanted.length / 4))
    .sort((a, b) => a.distance - b.distance)[0];
  return close === undefined ? '' : `; did you mean ${close.name}?`;
}

/** Levenshtein's distance, cheap for names that differ much in length. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 8 || a.length > 200) return 99;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
