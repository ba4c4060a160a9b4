// The compiler: ClusterState and configuration → the whole desired content of the maps. Input: a state, again and again.
// Output: Compiled. Invariant: pure; equal states give equal content in any input order; what is allocated (identities,
// numbers, cookies, epochs) is kept by the Compiler from one compile to the next.
import { configKey, configValue, MAPS, presence, vlanKey } from '../schema/index.ts';
import { buildAnnouncements } from './announcements.ts';
import { readLimits } from './bandwidth.ts';
import { ClusterPlane, type ClusterParts } from './cluster-plane.ts';
import type { Config } from './config/index.ts';
import { type CompiledMapName, type DesiredMap, type DesiredMaps, MapBuilder } from './desired-map.ts';
import { buildEndpoints, buildIpcache, buildPolicies, EndpointNumbers, localPods } from './endpoint-tables.ts';
import { type MapSizes, mapSizes, sizeProblems } from './map-sizes.ts';
import { buildIdentities, IdentityNumbers, type IdentityView, WHOLE_CLUSTER } from './identity.ts';
import { type MaglevSeed, maglevSizeProblem, parseMaglevSeed } from './maglev/index.ts';
import { buildNatTables } from './nat-tables.ts';
import { type NamedRule, PolicyCompiler } from './policy/compile-policies.ts';
import { cookiesOf } from './policy/entries.ts';
import { normalisePolicies, policyPrefixes } from './policy/normalise.ts';
import type { NormalPolicies } from './policy/rule.ts';
import { hostSubjects } from './policy/subject.ts';
import { hasErrors, type Problem } from './problem.ts';
import { Provenance } from './provenance.ts';
import { buildRouteTables } from './route-tables.ts';
import type { ServiceMapName } from './service/entries.ts';
import { ServiceFeed } from './service/feed.ts';
import { type FrontendName, ServicePlane } from './service/plane.ts';
import {
  type CompileOptions,
  type CompileSettings,
  defaultAlgorithm,
  featureBits,
  hasTunnels,
  settingsOf,
} from './settings.ts';
import { Tunnels } from './tunnels.ts';
import type { ClusterState } from './state.ts';

/** What numbers in maps and records stand for. */
export interface CompiledNames {
  /** Canonical address → pod. */
  readonly pods: ReadonlyMap<string, { readonly namespace: string; readonly pod: string }>;
  /** Identity → `source:key=value` of each label. */
  readonly identities: ReadonlyMap<number, readonly string[]>;
  readonly reverseNat: ReadonlyMap<number, FrontendName>;
  /** Backend id → `10.244.2.12:8080`. */
  readonly backends: ReadonlyMap<number, string>;
  /** Node number → name. */
  readonly nodes: ReadonlyMap<number, string>;
}

/** Content of the maps that are not the services'. */
export type ClusterMaps = { readonly [M in Exclude<CompiledMapName, ServiceMapName>]: DesiredMap };

/** What a compile makes of everything but services. */
export interface CompiledCluster {
  readonly maps: ClusterMaps;
  readonly problems: readonly Problem[];
  /** Those of announcements, which may be worked out again alone. */
  readonly announcementProblems: readonly Problem[];
  readonly view: IdentityView;
  readonly namedRules: readonly NamedRule[];
  readonly policies: NormalPolicies;
  /** How many there are. */
  readonly endpoints: number;
  readonly policyBlocks: number;
}

/** How much there is. */
export interface CompileSummary {
  readonly identities: number;
  readonly endpoints: number;
  readonly policies: number;
  readonly policyEntries: number;
  readonly frontends: number;
  readonly backends: number;
}

/** The outcome of a compile. With an error among the problems the maps must not be applied. */
export interface Compiled {
  readonly maps: DesiredMaps;
  /** Sizes that the configuration asks for: for the engine that the maps are applied to. */
  readonly sizes: MapSizes;
  readonly problems: readonly Problem[];
  readonly provenance: Provenance;
  readonly names: CompiledNames;
  /** Rules whose effect depends on DNS answers. */
  readonly namedRules: readonly NamedRule[];
  readonly identities: IdentityView;
  /** The rules in normal form: what layer-7 rules are looked up in. */
  readonly policies: NormalPolicies;
  readonly summary: CompileSummary;
}

/** Cilium's loopback address for a pod that reaches itself through its service, 169.254.42.1. */
const LOOPBACK4 = 0xa9fe2a01;
/** The same for IPv6, fe80::1. */
const LOOPBACK6 = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

/** Compiles states, keeping numbers stable from one to the next. */
export class Compiler {
  readonly provenance: Provenance;
  private readonly config: Config;
  private readonly options: CompileOptions;
  private readonly identityNumbers = new IdentityNumbers();
  private readonly endpointNumbers = new EndpointNumbers();
  private readonly sizes: MapSizes;
  private parts: ClusterParts | undefined;
  private policyCompiler: PolicyCompiler | undefined;
  /** @internal The services, kept from one compile to the next. */
  readonly services: ServicePlane;
  /** @internal */
  readonly feed: ServiceFeed;

  /** `provenance`: a table persisted beside pinned maps, whose cookies must not be given out again. */
  constructor(config: Config, options: CompileOptions = {}, provenance: Provenance = new Provenance()) {
    this.config = config;
    this.options = options;
    this.provenance = provenance;
    this.sizes = mapSizes(config);
    this.services = new ServicePlane(this.sizes);
    this.feed = new ServiceFeed(this.services);
  }

  /** The whole content for a state. */
  compile(state: ClusterState): Compiled {
    const settings = settingsOf(this.config, state, this.options);
    const cluster = this.compileCluster(state, settings);
    const { view } = cluster;
    const problems = [...cluster.problems, ...cluster.announcementProblems];

    const { services } = this;
    services.configure(settings);
    this.feed.replaceAll(state);
    const nodeNumbers = new Map(view.nodes.map(({ name, id }) => [name, id]));
    this.feed.tellNodes(settings, (name) => nodeNumbers.get(name) ?? 0, true);
    services.renumberNodes();
    services.settle();
    for (const problem of services.problems()) problems.push(problem);

    // In the order in which people read them: services before what translates sources.
    const { config, nodes4, nodes6, noMasquerade4, noMasquerade6, ...rest } = cluster.maps;
    const { routes4, routes6, neighbours4, neighbours6, announced4, announced6, limits, ...others } = rest;
    const nat = { nodes4, nodes6, noMasquerade4, noMasquerade6 };
    const forwarding = { routes4, routes6, neighbours4, neighbours6, announced4, announced6, limits };
    const maps: DesiredMaps = { ...others, ...services.content(), ...nat, ...forwarding, config };
    problems.push(...capacityProblems(Object.values(maps)));
    if (hasErrors(problems)) this.parts = undefined;
    return {
      maps,
      sizes: this.sizes,
      problems,
      provenance: this.provenance,
      names: namesOf(view, services),
      namedRules: cluster.namedRules,
      identities: view,
      policies: cluster.policies,
      summary: {
        identities: view.labels.size,
        endpoints: cluster.endpoints,
        policies: cluster.policyBlocks,
        policyEntries: maps.policy.size,
        frontends: services.frontendCount,
        backends: maps.backends4.size + maps.backends6.size,
      },
    };
  }

  /** @internal Everything but services: identities, endpoints, policies, configuration. */
  compileCluster(state: ClusterState, settings: CompileSettings): CompiledCluster {
    const problems: Problem[] = [];
    const complain = (message: string): void =>
      void problems.push({ severity: 'error', file: WHOLE_CLUSTER, line: 0, column: 0, message });

    const normal = normalisePolicies(state, settings, problems);
    const { all: prefixes, blocks } = policyPrefixes(normal);
    const nodeLabels = settings.nodeSelectorLabels || normal.nodeLabels;
    const demand = { prefixes, blocks, nodeLabels };
    const view = buildIdentities(state, settings, demand, this.identityNumbers, problems);
    const node = view.nodes.find(({ name }) => name === settings.node);
    if (settings.node !== undefined && node === undefined) {
      problems.push({
        severity: 'error',
        file: '--node',
        line: 0,
        column: 0,
        message: `no node is named ${settings.node}`,
      });
    }

    const pods = localPods(view, settings.node);
    const compiler = new PolicyCompiler(view, normal, settings, this.provenance, problems);
    this.policyCompiler = compiler;
    const hosts = hostSubjects(view.nodes, settings);
    const policies = compiler.compile([...pods, ...hosts], this.endpointNumbers.policies);
    const limits = readLimits(pods, settings, problems);
    const endpoints = buildEndpoints(pods, hosts, policies, view.labels, this.endpointNumbers, limits);
    if (endpoints.refused > 0) complain(`no room for ${endpoints.refused} more endpoints: at most 65535`);

    const seed = parseMaglevSeed(settings.maglevSeed);
    if (typeof seed === 'string') complain(seed);
    const size = maglevSizeProblem(settings.maglevSize);
    if (size !== undefined) complain(size);
    const seeds: MaglevSeed = typeof seed === 'string' ? { murmur: 0, hash4: 0, hash6: 0 } : seed;
    for (const message of sizeProblems(this.config)) complain(message);

    const announcements = buildAnnouncements(state, settings);
    const tunnels = hasTunnels(settings) ? new Tunnels(view.nodes, node?.id ?? 0) : undefined;
    const maps = {
      ...buildIpcache(view.addresses, this.endpointNumbers, tunnels),
      ...buildPolicies(policies.blocks),
      endpoints4: endpoints.endpoints4,
      endpoints6: endpoints.endpoints6,
      ...buildNatTables(view.nodes, settings, complain),
      ...buildRouteTables(view.nodes, view.pods, settings),
      vlans: vlanMap(settings),
      limits: endpoints.limits,
      ...announcements.maps,
      config: configMap(settings, seeds, this.endpointNumbers.globalEpoch, node?.id ?? 0),
    };
    const { identityNumbers, endpointNumbers } = this;
    const config = maps.config.valueAt(0);
    const isWhole = settings.topology !== undefined || settings.hostFirewall || settings.bandwidthManager;
    this.parts =
      hasErrors(problems) || isWhole
        ? undefined
        : {
            ...{ state, settings, view, demand, compiler, policies, local: pods },
            ...{ identityNumbers, endpointNumbers, problems, tunnels, config },
          };
    return {
      maps,
      problems,
      announcementProblems: announcements.problems,
      view,
      namedRules: policies.names,
      policies: normal,
      endpoints: pods.length,
      policyBlocks: policies.blocks.length,
    };
  }

  /**
   * @internal A plane that goes on from the last compile, pod by pod; undefined where pods depend on each other, have routes or limits, or
   * the compile had errors.
   * It shares this compiler's numbers: the next compile ends it.
   */
  plane(): ClusterPlane | undefined {
    return this.parts && ClusterPlane.over(this.parts);
  }

  /** @internal Forgets cookies and rules that long are nobody’s. Only when the last compile, and what a plane has made of it, is in the maps. */
  tidy(): void {
    const { provenance, policyCompiler, endpointNumbers } = this;
    if (policyCompiler === undefined || !provenance.isFull) return;
    provenance.tidy({ cookies: cookiesOf(endpointNumbers.blocks.values()), rules: policyCompiler.refs() });
  }
}

/** What does not fit its map's bound: an error each. */
export function capacityProblems(maps: readonly DesiredMap[]): Problem[] {
  return maps
    .filter(({ spec, size }) => size > spec.maxEntries)
    .map(({ spec, size }) => {
      const option = spec.cilium === undefined ? '' : ` (${spec.cilium})`;
      const message = `${spec.name}${option} has ${spec.maxEntries} places; ${size} are needed`;
      return { severity: 'error', file: WHOLE_CLUSTER, line: 0, column: 0, message };
    });
}

function vlanMap({ vlans }: CompileSettings): DesiredMap {
  const builder = new MapBuilder(MAPS.vlans);
  for (const id of vlans) builder.set(vlanKey.encode({ id }), presence.encode({ present: 1 }));
  return builder.finish();
}

function configMap(settings: CompileSettings, seeds: MaglevSeed, globalEpoch: number, nodeId: number): DesiredMap {
  const builder = new MapBuilder(MAPS.config);
  const { ctTcpLifetime, ctAnyLifetime, ctServiceTcpLifetime, ctServiceAnyLifetime } = settings;
  const { ctSynLifetime, ctCloseLifetime, ctServiceGrace, reportInterval, nodePortFirst, nodePortLast } = settings;
  const value = configValue.encode({
    features: featureBits(settings),
    globalEpoch,
    algorithm: defaultAlgorithm(settings),
    maglevSize: settings.maglevSize,
    hashSeed4: seeds.hash4,
    hashSeed6: seeds.hash6,
    randomSeed: seeds.murmur,
    ctTcpLifetime,
    ctAnyLifetime,
    ctServiceTcpLifetime,
    ctServiceAnyLifetime,
    ctSynLifetime,
    ctCloseLifetime,
    ctServiceGrace,
    reportInterval,
    nodePortFirst,
    nodePortLast,
    loopback4: LOOPBACK4,
    loopback6: LOOPBACK6,
    nodeId,
    tunnelPort: settings.tunnelPort,
    flowLifetime: settings.flowLifetime,
    encapSource4: settings.encapSource4,
    encapSource6: settings.encapSource6,
    encapPrefix4: settings.encapPrefix4,
    encapPrefix6: settings.encapPrefix6,
    routerAddress4: settings.routerAddress4,
    routerAddress6: settings.routerAddress6,
    natPortFirst: settings.natPortFirst,
    natPortLast: 65535,
  });
  builder.set(configKey.encode({ index: 0 }), value);
  return builder.finish();
}

function namesOf(view: IdentityView, services: ServicePlane): CompiledNames {
  const pods = new Map<string, { namespace: string; pod: string }>();
  for (const { pod, addresses } of view.pods) {
    for (const { text } of addresses) pods.set(text, { namespace: pod.namespace, pod: pod.name });
  }
  const identities = new Map<number, readonly string[]>();
  for (const [identity, { labels }] of view.labels) {
    identities.set(
      identity,
      labels.map(({ source, key, value }) => (value === '' ? `${source}:${key}` : `${source}:${key}=${value}`)),
    );
  }
  return {
    pods,
    identities,
    reverseNat: services.reverseNatNames(),
    backends: services.backendNames(),
    nodes: new Map(view.nodes.map(({ id, name }) => [id, name])),
  };
}
