// The running control plane: objects and facts come and go, settle() tells what has to be written. Input: objects, health,
// maps of a process before. Output: MapWrite[] in the order in which no reader meets a dangling reference.
// Invariant: the writes of all settles, applied in turn, lead to the content that a fresh compile of the objects would have,
// but for numbers; services, pods, namespaces and policies cost what a change touches, what reaches further is compiled whole.
import type { MapWrite } from '../maps/map-write.ts';
import type { MapSpec } from '../schema/index.ts';
import { buildAnnouncements, concernsAnnouncements } from './announcements.ts';
import { Compiler, type ClusterMaps } from './compile.ts';
import type { ClusterPlane } from './cluster-plane.ts';
import { type Config, mentionsIpv6 } from './config/index.ts';
import { DesiredOverlay } from './desired-overlay.ts';
import { type CompiledMapName, type DesiredMap, type DesiredMaps, MapBuilder } from './desired-map.ts';
import { changesOf, type MapChanges, orderChanges } from './diff.ts';
import {
  concernsCluster,
  controlKey,
  KINDS,
  namedBy,
  OBJECT_LISTS,
  type ObjectKind,
  type ObjectLists,
} from './object-kinds.ts';
import { isPlanned, PendingChanges, type PlannedObject } from './pending-changes.ts';
import { ServicePeers } from './policy/service-peers.ts';
import { hasErrors, type Problem } from './problem.ts';
import type { Provenance } from './provenance.ts';
import {
  isServiceObject,
  type ObjectSource,
  SERVICE_KINDS,
  type ServiceKind,
  type ServiceObject,
} from './service/feed.ts';
import { healthAnswer, type HealthAnswer, type HealthCheck } from './service/health-check.ts';
import type { HealthFact } from './service/backend-health.ts';
import type { ServicePlane } from './service/plane.ts';
import type { MemoryDump } from './service/remembered-numbers.ts';
import type { MapDump } from './service/restored.ts';
import {
  type BackendRow,
  backendRows,
  type FrontendRow,
  frontendRows,
  healthChecks,
  type ServiceRow,
  serviceRows,
} from './service/rows.ts';
import { type CompileOptions, type CompileSettings, settingsOf } from './settings.ts';
import { readStateFile } from './state-file.ts';
import {
  type AnnouncementLease,
  type ClusterObject,
  type ClusterState,
  emptyFacts,
  emptyState,
  type Facts,
  type L2AnnouncementPolicy,
  type Node,
  type Service,
} from './state.ts';

/** What is to be done, and what is wrong. With an error among the problems there may be writes that do not fit. */
export interface Settled {
  readonly writes: readonly MapWrite[];
  readonly problems: readonly Problem[];
}

/** Content of some maps, by the schema's names (`services4`). */
export type ContentDump = Partial<Readonly<Record<CompiledMapName, Iterable<readonly [Uint8Array, Uint8Array]>>>>;

/** See the head of this file. */
export class Controller {
  private readonly config: Config;
  private readonly options: CompileOptions;
  private readonly compiler: Compiler;
  private readonly objects = new Map<ObjectKind, Map<string, ClusterObject>>();
  /** Nodes that slices name, and how many slices do. */
  private readonly namedNodes = new Map<string, number>();
  private readonly servicePeers = new ServicePeers();
  private cluster: ClusterMaps | undefined;
  /** What pods and namespaces have changed since the last whole compile. */
  private readonly overlay = new DesiredOverlay();
  private plane: ClusterPlane | undefined;
  private readonly changed = new PendingChanges();
  private clusterProblems: readonly Problem[] = [];
  private clusterDirty = true;
  private nodeNumbers: ReadonlyMap<string, number> = new Map();
  private settings: CompileSettings;
  /** Objects that `ipv6.enabled: auto` takes as a reason. */
  private readonly ipv6 = new Set<string>();
  private facts: Facts = emptyFacts();
  private announcementsDirty = false;
  private announcementProblems: readonly Problem[] = [];

  constructor(config: Config, options: CompileOptions = {}, provenance?: Provenance) {
    this.config = config;
    this.options = options;
    this.compiler = new Compiler(config, options, provenance);
    this.settings = settingsOf(config, emptyState(), options);
    this.services.configure(this.settings);
  }

  private get services(): ServicePlane {
    return this.compiler.services;
  }

  /** Takes an object, new or changed. */
  upsert(object: ClusterObject): void {
    let known = this.objects.get(object.kind);
    if (known === undefined) this.objects.set(object.kind, (known = new Map()));
    const key = controlKey(object);
    const before = known.get(key);
    known.set(key, object);
    if (isServiceObject(object)) this.compiler.feed.upsert(object);
    if (concernsAnnouncements(object.kind)) this.announcementsDirty = true;
    this.touchCluster(before, object);
  }

  /** Takes an object away. Nothing happens if it is not there. `key`: see {@link controlKey}. */
  remove(kind: ObjectKind, key: string): void {
    const known = this.objects.get(kind);
    const object = known?.get(key);
    if (object === undefined) return;
    known!.delete(key);
    if (isServiceKind(kind)) this.compiler.feed.remove(kind, key);
    if (concernsAnnouncements(kind)) this.announcementsDirty = true;
    this.touchCluster(object, undefined);
  }

  /** All objects of a kind at once (a re-list): what is not among them is gone. */
  replace(kind: ObjectKind, objects: readonly ClusterObject[]): void {
    const now = new Set(objects.map(controlKey));
    for (const key of [...(this.objects.get(kind)?.keys() ?? [])]) if (!now.has(key)) this.remove(kind, key);
    for (const object of objects) if (object.kind === kind) this.upsert(object);
  }

  /** Every object of a state at once. */
  replaceAll(state: ClusterState): void {
    this.facts = state.facts;
    this.clusterDirty = true;
    const all: ClusterObject[] = OBJECT_LISTS.flatMap((list) => [...(state[list] as readonly ClusterObject[])]);
    const byKind = new Map<ObjectKind, ClusterObject[]>([...this.objects.keys()].map((kind) => [kind, []]));
    for (const object of all) {
      const list = byKind.get(object.kind);
      if (list === undefined) byKind.set(object.kind, [object]);
      else list.push(object);
    }
    for (const [kind, objects] of byKind) this.replace(kind, objects);
  }

  /** Takes the whole content of a state file (undefined: there is none). With an error everything stays as it was. */
  loadStateFile(text: string | undefined, file: string): readonly Problem[] {
    const { state, problems } = readStateFile(text, file);
    if (state === undefined) return problems;
    const source: ObjectSource = 'api';
    this.compiler.feed.replace('Service', state.services as readonly ServiceObject[], source);
    this.compiler.feed.replace('EndpointSlice', state.slices as readonly ServiceObject[], source);
    return problems;
  }

  /**
   * Says what time it is, in seconds of any origin that stays; never earlier than before. A control plane that is told the time
   * keeps flows of the xdp hook with their backends while their Maglev table changes, and ends that a flow's lifetime later:
   * with the first settle after it is told so. Without time tables change at once. After a restart: before the first settle.
   */
  tellTime(seconds: number): void {
    this.services.tellTime(seconds);
  }

  /** Takes what a health check has found. */
  learn(fact: HealthFact): void {
    this.services.learnHealth(fact);
  }

  /**
   * Takes over the service maps of a process before: its numbers, its quarantined slots, and what need not be written again.
   * Nothing is deleted until {@link prune}. With the maps that the datapath fills (connections, translations, affinity, flows) a
   * number that one of their entries names is not given to somebody else before every other one. They are walked once, read
   * when the process before writes no more. Before the first settle.
   */
  restore(dump: MapDump & MemoryDump): void {
    this.services.restore(dump);
  }

  /** Works out what was touched since the last time. */
  settle(): Settled {
    const changes = new Map<CompiledMapName, MapChanges>();
    if (!this.clusterDirty && this.changed.size > 0 && !this.settlePlane(changes)) this.clusterDirty = true;
    if (this.clusterDirty) this.settleCluster(changes);
    else if (this.announcementsDirty) this.settleAnnouncements(changes);
    if (!this.clusterDirty) this.compiler.tidy();
    const { services } = this;
    this.compiler.feed.tellNodes(this.settings, (name) => this.nodeNumbers.get(name) ?? 0);
    for (const [map, own] of services.settle()) changes.set(map, own);
    const problems = [
      ...this.clusterProblems,
      ...this.announcementProblems,
      ...services.problems(),
      ...this.capacity(),
    ];
    return { writes: this.ordered(changes), problems };
  }

  /** Goes on from the last whole compile, object by object. False: something reaches further, and the whole has to be compiled. */
  private settlePlane(changes: Map<CompiledMapName, MapChanges>): boolean {
    if (this.cluster === undefined || this.changed.isMany) return false;
    this.plane ??= this.compiler.plane();
    const { plane } = this;
    if (plane === undefined) return false;
    const all = this.changed.takeUp(plane, (kind, key) => this.objects.get(kind)?.get(key));
    if (all === undefined) return false;
    this.changed.clear();
    for (const [name, own] of this.overlay.take(this.cluster, all)) changes.set(name, own);
    return true;
  }

  private settleCluster(changes: Map<CompiledMapName, MapChanges>): void {
    // A compile ends the plane, whose numbers it shares.
    this.plane = undefined;
    const state = this.state();
    const settings = settingsOf(this.config, state, this.options);
    const { maps, problems, announcementProblems, view } = this.compiler.compileCluster(state, settings);
    this.clusterProblems = problems;
    this.announcementProblems = announcementProblems;
    if (hasErrors(problems)) return;
    this.clusterDirty = false;
    this.announcementsDirty = false;
    this.changed.clear();
    this.settings = settings;
    this.services.configure(settings);
    const before = this.cluster && this.overlay.over(this.cluster);
    for (const name of Object.keys(maps) as (keyof ClusterMaps)[])
      changes.set(name, changesOf(before?.[name], maps[name]));
    this.cluster = maps;
    this.overlay.clear();
    const numbers = new Map(view.nodes.map(({ name, id }) => [name, id]));
    const same =
      numbers.size === this.nodeNumbers.size && [...numbers].every(([n, id]) => this.nodeNumbers.get(n) === id);
    this.nodeNumbers = numbers;
    if (!same) this.services.renumberNodes();
  }

  /** Services come and go without the rest of the cluster: what of them is announced is worked out apart. */
  private settleAnnouncements(changes: Map<CompiledMapName, MapChanges>): void {
    this.announcementsDirty = false;
    if (this.cluster === undefined || !this.settings.l2Announcements) return;
    const { maps, problems } = buildAnnouncements(
      {
        services: this.all<Service>('Service'),
        nodes: this.all<Node>('Node'),
        l2AnnouncementPolicies: this.all<L2AnnouncementPolicy>('CiliumL2AnnouncementPolicy'),
        leases: this.all<AnnouncementLease>('Lease'),
      },
      this.settings,
    );
    this.announcementProblems = problems;
    for (const name of ['announced4', 'announced6'] as const)
      changes.set(name, changesOf(this.cluster[name], maps[name]));
    this.cluster = { ...this.cluster, ...maps };
  }

  private capacity(): Problem[] {
    return [...this.services.sizes().values()].flatMap(({ size, spec }) => {
      if (size <= spec.maxEntries) return [];
      const option = spec.cilium === undefined ? '' : ` (${spec.cilium})`;
      const message = `${spec.name}${option} has ${spec.maxEntries} places; ${size} are needed`;
      return [{ severity: 'error' as const, file: 'cluster', line: 0, column: 0, message }];
    });
  }

  /**
   * Makes maps hold exactly what they should. With their content (read from them): what is foreign is deleted, what is missing
   * or different written. Without: what a {@link restore} found and nobody has claimed is deleted. Idempotent.
   */
  prune(actual?: ContentDump): readonly MapWrite[] {
    const left = this.services.prune();
    if (actual === undefined) return this.ordered(new Map<CompiledMapName, MapChanges>(left));
    const desired = this.content();
    const changes = new Map<CompiledMapName, MapChanges>();
    for (const name of Object.keys(actual) as CompiledMapName[]) {
      const next = desired[name];
      if (next !== undefined) changes.set(name, changesOf(contentOf(next.spec, actual[name]!), next));
    }
    return this.ordered(changes);
  }

  /** The whole desired content; maps besides the services' only after a settle. */
  content(): Partial<DesiredMaps> {
    return { ...(this.cluster && this.overlay.over(this.cluster)), ...this.services.content() };
  }

  /** Services, frontends and backends as desired, whatever the maps hold. */
  serviceRows(): readonly ServiceRow[] {
    return serviceRows(this.services.owners);
  }
  /** Frontends as `weir bpf lb list` prints them. */
  frontendRows(): readonly FrontendRow[] {
    return frontendRows(this.services.owners);
  }
  /** Backends with their state and whom they serve. */
  backendRows(): readonly BackendRow[] {
    return backendRows(this.services.owners, this.settings);
  }

  /** Ports that load balancers probe, and the answers to give there. */
  healthChecks(): readonly (HealthCheck & { readonly answer: HealthAnswer })[] {
    return healthChecks(this.services.owners, this.settings).map((check) => ({
      ...check,
      answer: healthAnswer(check),
    }));
  }

  private ordered(changes: ReadonlyMap<CompiledMapName, MapChanges>): MapWrite[] {
    const { cluster } = this;
    return orderChanges(changes, (key) => cluster !== undefined && this.overlay.has(cluster, 'policyMeta', key));
  }

  /** An object came, went or changed: whether that matters to more than services. */
  private touchCluster(before: ClusterObject | undefined, after: ClusterObject | undefined): void {
    const ipv6 = this.countIpv6((after ?? before)!, after !== undefined);
    const nodes = this.countNodes(before, after);
    const object = (after ?? before)!;
    const planned = isPlanned(object);
    if (planned) this.changed.note(object, before as PlannedObject | undefined);
    const itself = !planned && [before, after].some((one) => one !== undefined && concernsCluster(one));
    const meant = this.servicePeers.note(
      before,
      after,
      (key) => this.objects.get('Service')?.get(key) as Service | undefined,
    );
    if (ipv6 || nodes || itself || meant) this.clusterDirty = true;
  }

  /** True when a slice is the first to name a node that has no object of its own, or was the last. */
  private countNodes(before: ClusterObject | undefined, after: ClusterObject | undefined): boolean {
    const old = namedBy(before);
    const now = namedBy(after);
    let changed = false;
    const count = (name: string, by: number): void => {
      const was = this.namedNodes.get(name) ?? 0;
      if (was + by === 0) this.namedNodes.delete(name);
      else this.namedNodes.set(name, was + by);
      if ((was === 0 || was + by === 0) && this.objects.get('Node')?.has(name) !== true) changed = true;
    };
    for (const name of now) if (!old.has(name)) count(name, 1);
    for (const name of old) if (!now.has(name)) count(name, -1);
    return changed;
  }

  /** True when this is the first object with IPv6, or the last one that goes, and that matters. */
  private countIpv6(object: ClusterObject, held: boolean): boolean {
    const before = this.ipv6.size > 0;
    const key = `${object.kind} ${controlKey(object)}`;
    if (held && mentionsIpv6(object)) this.ipv6.add(key);
    else this.ipv6.delete(key);
    return this.config['ipv6.enabled'] === 'auto' && before !== this.ipv6.size > 0;
  }

  private all<T extends ClusterObject>(kind: T['kind']): T[] {
    return [...(this.objects.get(kind)?.values() ?? [])] as T[];
  }

  private state(): ClusterState {
    const lists = Object.entries(KINDS).map(
      ([list, kinds]) => [list, kinds.flatMap((kind) => this.all(kind))] as const,
    );
    return { ...emptyState(), ...(Object.fromEntries(lists) as unknown as ObjectLists), facts: this.facts };
  }
}

const isServiceKind = (kind: ObjectKind): kind is ServiceKind => (SERVICE_KINDS as readonly string[]).includes(kind);

/** Content that was read from a map, as a DesiredMap. Entries of arrays that are zero count as absent. */
function contentOf(spec: MapSpec, entries: Iterable<readonly [Uint8Array, Uint8Array]>): DesiredMap {
  const builder = new MapBuilder(spec);
  for (const [key, value] of entries) {
    if (key.length !== spec.key.bytes) continue;
    if (spec.kind === 'array' && value.every((byte) => byte === 0)) continue;
    builder.set(key.slice(), value.slice());
  }
  return builder.finish();
}
