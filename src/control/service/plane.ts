// The service side of the control plane, running: objects and facts come and go, and what they touch is worked out again.
// Input: Services, slices, Endpoints, pods, nodes, health, maps of a process before. Output: changes of the service maps.
// Invariant: the content depends on the objects alone, but for numbers; a change costs what it touches; ids of frontends stay
// while the frontend does, freed ones rest.
import { parseMaglevSeed } from '../maglev/index.ts';
import { type DesiredMap, MapBuilder } from '../desired-map.ts';
import { HeldIds } from '../held-ids.ts';
import { type MapSizes, sizedSpec } from '../map-sizes.ts';
import { FEATURE, MAPS, type MapSpec, SCOPE } from '../../schema/index.ts';
import type { Problem } from '../problem.ts';
import type { CompileSettings } from '../settings.ts';
import { BackendHealth, type HealthFact } from './backend-health.ts';
import { BackendRecords } from './backend-records.ts';
import type { ServiceBackend } from './backends.ts';
import { type Entry, frontendEntries, maglevEntries, SERVICE_MAPS, type ServiceMapName } from './entries.ts';
import { changesOf, difference, type ServiceChanges } from './entry-changes.ts';
import { endpointText, type Frontend, TYPE_FLAG } from './frontend.ts';
import { MaglevMotion, type SlotContent } from './maglev-motion.ts';
import { MaglevTables, SharedTable } from './maglev-tables.ts';
import { NodeFacts, type ServiceNode } from './node-view.ts';
import { Owners } from './owners.ts';
import { type MemoryDump, readMemory } from './remembered-numbers.ts';
import { InheritedEntries, inheritedSlots, type MapDump, readMaps } from './restored.ts';
import { Wildcards } from './wildcards.ts';

/** What a reverse NAT index stands for. */
export interface FrontendName {
  readonly namespace: string;
  readonly name: string;
  /** `10.96.0.10:80`. */
  readonly frontend: string;
}

/** What was put into the maps for a frontend. */
interface FrontendRecord {
  readonly frontend: Frontend;
  readonly id: number;
  readonly backends: readonly ServiceBackend[];
  readonly entries: readonly Entry[];
  readonly table: SharedTable | undefined;
  /** What its slots say; undefined: the xdp hook does not choose by slots here, or nobody tells the time. */
  readonly slots: SlotContent | undefined;
  readonly motion: MaglevMotion | undefined;
}

/** See the head of this file. */
export class ServicePlane {
  readonly owners = new Owners();
  private readonly mapSizes: MapSizes;
  private readonly frontendIds: HeldIds;
  private readonly backends: BackendRecords;
  private readonly tables = new MaglevTables(MAPS.maglev4.innerEntries ?? 0, 0);
  private readonly records = new Map<string, FrontendRecord>();
  private readonly wildcards = new Wildcards();
  private readonly health = new BackendHealth();
  private readonly refused = new Set<string>();
  /** Entries by map. */
  private readonly counts = new Map<ServiceMapName, number>();
  /** Between restore and prune. */
  private starting = false;
  /** What only seemed to be away is now known to be gone. */
  private motionsStale = false;
  private inherited = new InheritedEntries();
  private settings: CompileSettings | undefined;
  private settingsText = '';
  /** Seconds; undefined: tables change at once. */
  private now: number | undefined;
  /** Frontends whose table is changing. */
  private readonly moving = new Set<string>();
  private nodes = new NodeFacts([], undefined);
  private nodesText = '';
  private readonly seenNodes = new Set<string>();
  private nodeNumber: (name: string) => number = () => 0;
  private readonly nodeOfAddress = new Map<string, string>();

  /** Numbers are places in arrays, whose first one is nobody's. */
  constructor(sizes: MapSizes = {}) {
    this.mapSizes = sizes;
    this.frontendIds = new HeldIds(1, sizedSpec('reverseNat4', sizes).maxEntries - 1);
    this.backends = new BackendRecords(sizedSpec('backends4', sizes).maxEntries - 1);
  }

  /** Takes settings; others than before work everything out again. */
  configure(settings: CompileSettings): void {
    const text = JSON.stringify(settings);
    if (text === this.settingsText) return;
    this.settings = settings;
    this.settingsText = text;
    const seed = parseMaglevSeed(settings.maglevSeed);
    this.tables.configure(settings.maglevSize, typeof seed === 'string' ? 0 : seed.murmur);
    this.owners.touchAll();
  }

  /** Takes all nodes, and the numbers that backends carry. What depends on the node is worked out again if it differs. */
  setNodes(nodes: Iterable<ServiceNode>, numberOf: (name: string) => number): void {
    this.nodes = new NodeFacts(nodes, this.settings?.node);
    this.nodeNumber = numberOf;
    const { seen } = this.nodes;
    if (seen.some((name) => !this.seenNodes.has(name))) this.owners.redecide();
    for (const name of seen) this.seenNodes.add(name);
    const text = this.nodes.text;
    if (text === this.nodesText) {
      // Services that wait for the node to be known.
      this.owners.touchUndecided();
      return;
    }
    this.nodesText = text;
    this.owners.touchNode();
  }

  /** Says which node an address is on (undefined: not known any more), for backends that no slice gives a node. */
  setAddressNode(address: string, node: string | undefined): void {
    if (this.nodeOfAddress.get(address) === node) return;
    if (node === undefined) this.nodeOfAddress.delete(address);
    else this.nodeOfAddress.set(address, node);
    this.backends.touchAddress(address);
  }

  /** Node numbers may be others: every backend is looked at. */
  renumberNodes(): void {
    this.backends.touchAll();
  }

  /** Takes the time: see Controller.tellTime. */
  tellTime(seconds: number): void {
    this.now = Math.max(this.now ?? 0, Math.floor(seconds));
  }

  /** Takes what a health check has found. */
  learnHealth(fact: HealthFact): void {
    this.owners.touchService(this.health.learn(fact));
  }

  /**
   * Takes over the maps of a process before: numbers, quarantines, and what need not be written again. Numbers of nobody that the
   * datapath's memory still names rest. Before anything else.
   */
  restore(dump: MapDump & MemoryDump): void {
    const { frontends, backends, quarantined, entries } = readMaps(dump);
    for (const [key, id] of frontends) this.frontendIds.restore(key, id);
    for (const [key, id] of backends) this.backends.ids.restore(key, id);
    readMemory(dump, this.backends.ids, this.frontendIds);
    this.health.restore(quarantined);
    this.inherited = entries;
    this.starting = true;
  }

  /** Works out what was touched. The changes lead from the content before to the content now. */
  settle(): ServiceChanges {
    const { settings } = this;
    if (settings === undefined) throw new Error('a service plane is configured before it settles');
    const world = { settings, nodes: this.nodes, quarantined: this.health.sickBehind };
    const keys = this.owners.derive(world);
    const upserts: Entry[] = [];
    const deletes: Entry[] = [];
    const wanted: Frontend[] = [];
    const gone: string[] = [];
    for (const key of keys) {
      const winner = this.owners.winner(key);
      if (winner !== undefined) wanted.push(winner);
      else if (this.records.has(key)) gone.push(key);
      else this.refused.delete(key);
    }
    const fresh = wanted.flatMap(backendsOf);
    this.backends.claim(fresh);
    for (const frontend of wanted) this.put(frontend, upserts, deletes);
    for (const key of gone) this.drop(key, deletes);
    for (const key of this.moving) {
      const { frontend, motion } = this.records.get(key)!;
      if (this.motionsStale || motion!.isDue(this.now!, settings.flowLifetime)) this.put(frontend, upserts, deletes);
    }
    this.motionsStale = false;
    this.wildcards.settle(upserts, deletes);
    this.backends.settle(this.nodeOf, upserts, deletes);
    this.forgetHealth();
    return changesOf(upserts, deletes, this.inherited);
  }

  private nodeOf = ({ nodeName, address }: ServiceBackend): number => {
    const name = nodeName ?? this.nodeOfAddress.get(address.text);
    return name === undefined ? 0 : this.nodeNumber(name);
  };

  private put(frontend: Frontend, upserts: Entry[], deletes: Entry[]): void {
    const { key, address, port, scope } = frontend;
    const before = this.records.get(key);
    this.frontendIds.inherit(key, `${address.text}|${port}|ANY|${scope}`);
    const id = this.frontendIds.claim(key);
    if (id === undefined) {
      this.refused.add(key);
      return;
    }
    this.refused.delete(key);
    const backends = backendsOf(frontend);
    this.backends.use(key, before?.backends ?? [], backends);
    const sick = this.health.sickBehind(serviceOf(frontend), key);
    const made = frontendEntries(frontend, id, this.backends.idOf, this.tables, sick);
    const { table } = made;
    const slots = this.slotsOf(frontend, table, made.selectable);
    const motion = slots === undefined ? undefined : this.motionOf(before, frontend, id, slots, made.entries);
    const shown = maglevEntries(address.family, id, motion?.table ?? table, motion?.previous);
    const entries = [...made.entries, ...shown];
    if (motion === undefined) this.moving.delete(key);
    else this.moving.add(key);
    difference(before?.entries ?? [], entries, upserts, deletes);
    this.count(before?.entries ?? [], -1);
    this.count(entries, 1);
    if (before?.table !== undefined) this.tables.release(before.table);
    this.records.set(key, { frontend, id, backends, entries, table, slots, motion });
    this.wildcards.use(frontend, frontend.wildcard ? TYPE_FLAG[frontend.type] : undefined);
  }

  /** What the slots of a frontend say to the xdp hook, where it goes by them. */
  private slotsOf(
    { maglev, scope, affinitySeconds }: Frontend,
    table: SharedTable | undefined,
    selectable: readonly number[],
  ): SlotContent | undefined {
    const isXdp = (this.settings!.features & FEATURE.DSR_IPIP) !== 0 && scope === SCOPE.EXTERNAL;
    if (this.now === undefined || !isXdp || !maglev || affinitySeconds > 0) return undefined;
    return table ?? selectable[0] ?? 0;
  }

  private motionOf(
    before: FrontendRecord | undefined,
    frontend: Frontend,
    id: number,
    slots: SlotContent,
    entries: readonly Entry[],
  ): MaglevMotion | undefined {
    const { maglevSize: size, flowLifetime: lifetime } = this.settings!;
    const held = new Set(backendsOf(frontend).map(({ key }) => this.backends.idOf(key) ?? 0));
    const step = { size, lifetime, held, now: this.now!, mayReturn: this.starting };
    if (before !== undefined)
      return before.slots === undefined || sizeOf(before.slots, size) !== size
        ? undefined
        : MaglevMotion.step(before.motion, before.slots, slots, step);
    const found = inheritedSlots(this.inherited, frontend.address.family, id, entries);
    if (found === undefined || sizeOf(found.slots, size) !== size) return undefined;
    if (typeof found.slots === 'number') return MaglevMotion.step(undefined, found.slots, slots, step);
    const { motion, content } = MaglevMotion.resumed(found.slots, found.previous, step);
    return MaglevMotion.step(motion, content, slots, step);
  }

  private drop(key: string, deletes: Entry[]): void {
    const { frontend, backends, entries, table } = this.records.get(key)!;
    this.backends.use(key, backends, []);
    for (const entry of entries) deletes.push(entry);
    this.count(entries, -1);
    if (table !== undefined) this.tables.release(table);
    this.records.delete(key);
    this.moving.delete(key);
    this.frontendIds.release(key);
    this.health.drop(key);
    this.wildcards.use(frontend, undefined);
  }

  private count(entries: readonly Entry[], by: number): void {
    for (const { map } of entries) this.counts.set(map, (this.counts.get(map) ?? 0) + by);
  }

  /** While a process starts, backends may only not be here yet. */
  private forgetHealth(): void {
    this.health.forgetFacts((service) => this.owners.backendsBehind(service).map(({ backend }) => backend.key));
    if (!this.starting) this.health.forgetQuarantines((key) => this.records.get(key)?.backends ?? []);
  }

  /** Lets go of what was taken over and never claimed: deletes for it, its numbers are free. */
  prune(): ServiceChanges {
    const left = [...this.inherited].map(([map, key]) => ({ map, key }));
    const changes = changesOf([], left, this.inherited);
    this.inherited = new InheritedEntries();
    this.frontendIds.giveUpUnclaimed();
    this.backends.ids.giveUpUnclaimed();
    this.starting = false;
    this.motionsStale = this.moving.size > 0;
    this.forgetHealth();
    return changes;
  }

  /** The whole content. */
  content(): { readonly [M in ServiceMapName]: DesiredMap } {
    const builders = Object.fromEntries(SERVICE_MAPS.map((map) => [map, new MapBuilder(this.specOf(map))])) as Record<
      ServiceMapName,
      MapBuilder
    >;
    for (const { map, key, value } of this.entries()) builders[map].set(key, value);
    return Object.fromEntries(SERVICE_MAPS.map((map) => [map, builders[map].finish()])) as {
      [M in ServiceMapName]: DesiredMap;
    };
  }

  private *entries(): IterableIterator<Entry> {
    for (const { entries } of this.records.values()) yield* entries;
    yield* this.wildcards.entries();
    yield* this.backends.entries();
  }

  /** A map's spec with the configured sizes. */
  private specOf(map: ServiceMapName): MapSpec {
    const spec = sizedSpec(map, this.mapSizes);
    return spec.kind === 'array-of-arrays'
      ? { ...spec, innerEntries: this.settings?.maglevSize ?? spec.innerEntries! }
      : spec;
  }

  /** Warnings of the owners; an error where there are no numbers left. */
  problems(): Problem[] {
    const problems = this.owners.problems();
    const refused = this.refused.size + this.backends.refused.size;
    if (refused > 0) {
      const message = `no room for ${refused} more frontends or backends (bpf.lbMapMax)`;
      problems.push({ severity: 'error', file: 'cluster', line: 0, column: 0, message });
    }
    return problems;
  }

  /** How many entries each map is to hold. */
  sizes(): ReadonlyMap<ServiceMapName, { readonly size: number; readonly spec: MapSpec }> {
    return new Map([...this.counts].map(([map, size]) => [map, { size, spec: this.specOf(map) }]));
  }

  get frontendCount(): number {
    return this.records.size;
  }

  /** Frontends in the maps with their numbers, by key. */
  programmed(): { readonly frontend: Frontend; readonly id: number }[] {
    return [...this.records.values()]
      .map(({ frontend, id }) => ({ frontend, id }))
      .sort((a, b) => (a.frontend.key < b.frontend.key ? -1 : 1));
  }

  /** Reverse NAT index → frontend. */
  reverseNatNames(): Map<number, FrontendName> {
    const names = new Map<number, FrontendName>();
    for (const { frontend, id } of this.records.values()) {
      const { owner, address, port } = frontend;
      names.set(id, { namespace: owner.namespace, name: owner.name, frontend: endpointText(address, port) });
    }
    return names;
  }

  /** Backend id → `10.244.2.12:8080`. */
  backendNames(): Map<number, string> {
    const names = new Map<number, string>();
    for (const [id, key] of this.backends.names()) {
      const [address, port] = key.split('|');
      names.set(id, address!.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);
    }
    return names;
  }
}

const backendsOf = ({ backends, draining, idle }: Frontend): readonly ServiceBackend[] => [
  ...backends,
  ...draining,
  ...idle,
];
/** Slots of a content, which one backend id for all has as many of as wanted. */
const sizeOf = (content: SlotContent, wanted: number): number =>
  typeof content === 'number' ? wanted : content instanceof SharedTable ? content.size : content.length;
const serviceOf = ({ owner }: Frontend): string => `${owner.namespace}/${owner.name}`;
