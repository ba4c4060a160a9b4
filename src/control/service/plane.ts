// The service side of the control plane, running: objects and facts come and go, and what they touch is worked out again.
// Input: Services, slices, Endpoints, pods, nodes, health, maps of a process before. Output: changes of the service maps.
// Invariant: the content depends on the objects alone, but for numbers; a change costs what it touches; ids of frontends stay
// while the frontend does, freed ones rest.
import { parseMaglevSeed } from '../maglev/index.ts';
import { type DesiredMap, MapBuilder } from '../desired-map.ts';
import { type MapChanges, sameValue, updateOf } from '../diff.ts';
import { HeldIds } from '../held-ids.ts';
import { type MapSizes, sizedSpec } from '../map-sizes.ts';
import type { LazyBytes, MapWrite } from '../../maps/map-write.ts';
import { FEATURE, MAPS, type MapSpec, SCOPE, valueBytes } from '../../schema/index.ts';
import type { Problem } from '../problem.ts';
import type { CompileSettings } from '../settings.ts';
import type { IpAddress, L4Protocol } from '../state.ts';
import { BackendRecords } from './backend-records.ts';
import { backendKeyOf, type ServiceBackend } from './backends.ts';
import {
  type Entry,
  frontendEntries,
  maglevEntries,
  SERVICE_MAPS,
  type ServiceMapName,
  wildcardEntry,
} from './entries.ts';
import { endpointText, type Frontend, TYPE_FLAG } from './frontend.ts';
import { MaglevMotion, type SlotContent } from './maglev-motion.ts';
import { MaglevTables, SharedTable } from './maglev-tables.ts';
import { NodeFacts, type ServiceNode } from './node-view.ts';
import { Owners } from './owners.ts';
import { type MemoryDump, readMemory } from './remembered-numbers.ts';
import { bytesText, InheritedEntries, inheritedSlots, type MapDump, readMaps } from './restored.ts';

/** A backend's health behind one Service, as a health check found it. */
export interface HealthFact {
  readonly namespace: string;
  /** The Service's name. */
  readonly name: string;
  /** Canonical address text. */
  readonly address: string;
  readonly port: number;
  readonly protocol: L4Protocol;
  readonly healthy: boolean;
}

/** What a reverse NAT index stands for. */
export interface FrontendName {
  readonly namespace: string;
  readonly name: string;
  /** `10.96.0.10:80`. */
  readonly frontend: string;
}

/** Changes by map. */
export type ServiceChanges = ReadonlyMap<ServiceMapName, MapChanges>;

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

interface WildcardRecord {
  readonly address: IpAddress;
  /** Frontend key → flags. */
  readonly users: Map<string, number>;
  entry: Entry | undefined;
}

const NONE: ReadonlySet<string> = new Set();

/** See the head of this file. */
export class ServicePlane {
  readonly owners = new Owners();
  private readonly mapSizes: MapSizes;
  private readonly frontendIds: HeldIds;
  private readonly backends: BackendRecords;
  private readonly tables = new MaglevTables(MAPS.maglev4.innerEntries ?? 0, 0);
  private readonly records = new Map<string, FrontendRecord>();
  private readonly wildcards = new Map<string, WildcardRecord>();
  private readonly refused = new Set<string>();
  /** Entries by map. */
  private readonly counts = new Map<ServiceMapName, number>();
  /** Service → backend key → healthy. */
  private readonly health = new Map<string, Map<string, boolean>>();
  private quarantined = new Map<string, ReadonlySet<string>>();
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
  learnHealth({ namespace, name, address, port, protocol, healthy }: HealthFact): void {
    const service = `${namespace}/${name}`;
    let known = this.health.get(service);
    if (known === undefined) this.health.set(service, (known = new Map()));
    const key = backendKeyOf(address, port, protocol);
    // That a backend is well has to be remembered only against what an earlier process found.
    if (healthy && this.quarantined.size === 0) known.delete(key);
    else known.set(key, healthy);
    this.owners.touchService(service);
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
    this.quarantined = new Map(quarantined);
    this.inherited = entries;
    this.starting = true;
  }

  private quarantinedBehind = (service: string, frontend: string): ReadonlySet<string> => {
    const facts = this.health.get(service);
    const restored = this.quarantined.get(frontend) ?? NONE;
    if (facts === undefined) return restored;
    const sick = new Set([...restored].filter((key) => facts.get(key) !== true));
    for (const [key, healthy] of facts) if (!healthy) sick.add(key);
    return sick;
  };

  /** Works out what was touched. The changes lead from the content before to the content now. */
  settle(): ServiceChanges {
    const { settings } = this;
    if (settings === undefined) throw new Error('a service plane is configured before it settles');
    const world = { settings, nodes: this.nodes, quarantined: this.quarantinedBehind };
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
    const touchedWildcards = new Set<string>();
    for (const frontend of wanted) this.put(frontend, upserts, deletes, touchedWildcards);
    for (const key of gone) this.drop(key, deletes, touchedWildcards);
    for (const key of this.moving) {
      const { frontend, motion } = this.records.get(key)!;
      if (this.motionsStale || motion!.isDue(this.now!, settings.flowLifetime))
        this.put(frontend, upserts, deletes, touchedWildcards);
    }
    this.motionsStale = false;
    for (const text of [...touchedWildcards].sort()) this.settleWildcard(text, upserts, deletes);
    this.backends.settle(this.nodeOf, upserts, deletes);
    this.forgetHealth();
    return this.changes(upserts, deletes);
  }

  private nodeOf = ({ nodeName, address }: ServiceBackend): number => {
    const name = nodeName ?? this.nodeOfAddress.get(address.text);
    return name === undefined ? 0 : this.nodeNumber(name);
  };

  private put(frontend: Frontend, upserts: Entry[], deletes: Entry[], wildcards: Set<string>): void {
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
    const sick = this.quarantinedBehind(serviceOf(frontend), key);
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
    this.useWildcard(frontend, frontend.wildcard ? TYPE_FLAG[frontend.type] : undefined, wildcards);
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

  private drop(key: string, deletes: Entry[], wildcards: Set<string>): void {
    const { frontend, backends, entries, table } = this.records.get(key)!;
    this.backends.use(key, backends, []);
    for (const entry of entries) deletes.push(entry);
    this.count(entries, -1);
    if (table !== undefined) this.tables.release(table);
    this.records.delete(key);
    this.moving.delete(key);
    this.frontendIds.release(key);
    this.quarantined.delete(key);
    this.useWildcard(frontend, undefined, wildcards);
  }

  private count(entries: readonly Entry[], by: number): void {
    for (const { map } of entries) this.counts.set(map, (this.counts.get(map) ?? 0) + by);
  }

  private useWildcard({ key, address }: Frontend, flags: number | undefined, touched: Set<string>): void {
    let record = this.wildcards.get(address.text);
    if (record?.users.get(key) === flags) return;
    if (record === undefined)
      this.wildcards.set(address.text, (record = { address, users: new Map(), entry: undefined }));
    if (flags === undefined) record.users.delete(key);
    else record.users.set(key, flags);
    touched.add(address.text);
  }

  private settleWildcard(text: string, upserts: Entry[], deletes: Entry[]): void {
    const record = this.wildcards.get(text)!;
    if (record.users.size === 0) {
      if (record.entry !== undefined) deletes.push(record.entry);
      this.wildcards.delete(text);
      return;
    }
    const entry = wildcardEntry(record.address, Math.min(...record.users.values()));
    difference(record.entry === undefined ? [] : [record.entry], [entry], upserts, deletes);
    record.entry = entry;
  }

  /** Facts about backends that are gone are of no use to anybody; while a process starts, they may only not be here yet. */
  private forgetHealth(): void {
    for (const [service, facts] of this.health) {
      const known = new Set(this.owners.backendsBehind(service).map(({ backend }) => backend.key));
      for (const key of facts.keys()) if (!known.has(key)) facts.delete(key);
      if (facts.size === 0) this.health.delete(service);
    }
    if (this.starting) return;
    for (const [key, sick] of this.quarantined) {
      const record = this.records.get(key);
      const left = record?.backends.filter((backend) => sick.has(backend.key)) ?? [];
      if (left.length === 0) this.quarantined.delete(key);
      else if (left.length < sick.size) this.quarantined.set(key, new Set(left.map((backend) => backend.key)));
    }
  }

  private changes(upserts: readonly Entry[], deletes: readonly Entry[]): ServiceChanges {
    const changes = new Map<ServiceMapName, { upserts: MapWrite[]; deletes: MapWrite[] }>();
    const of = (map: ServiceMapName): { upserts: MapWrite[]; deletes: MapWrite[] } => {
      let own = changes.get(map);
      if (own === undefined) changes.set(map, (own = { upserts: [], deletes: [] }));
      return own;
    };
    const { inherited } = this;
    for (const { map, key, value } of upserts) {
      const old = inherited.isEmpty ? undefined : inherited.take(map, key);
      if (old === undefined || !sameValue(old, value)) of(map).upserts.push(updateOf(MAPS[map].name, key, value));
    }
    for (const { map, key } of deletes) {
      inherited.take(map, key);
      of(map).deletes.push(deleteOf(MAPS[map], key));
    }
    return changes;
  }

  /** Lets go of what was taken over and never claimed: deletes for it, its numbers are free. */
  prune(): ServiceChanges {
    const changes = new Map<ServiceMapName, { upserts: MapWrite[]; deletes: MapWrite[] }>();
    for (const [map, key] of this.inherited) {
      const own = changes.get(map) ?? { upserts: [], deletes: [] };
      own.deletes.push(deleteOf(MAPS[map], key));
      changes.set(map, own);
    }
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
    for (const { entry } of this.wildcards.values()) if (entry !== undefined) yield entry;
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

/** An entry of an array is deleted by zeros, since arrays cannot delete. */
const deleteOf = (spec: MapSpec, key: Uint8Array): MapWrite =>
  spec.kind === 'array'
    ? { map: spec.name, op: 'update', key, value: new Uint8Array(valueBytes(spec)) }
    : { map: spec.name, op: 'delete', key };

/** What has to be written to get from some entries to others. */
function difference(before: readonly Entry[], now: readonly Entry[], upserts: Entry[], deletes: Entry[]): void {
  if (before.length === 0) {
    for (const entry of now) upserts.push(entry);
    return;
  }
  const old = new Map<string, Entry>();
  for (const entry of before) old.set(`${entry.map} ${bytesText(entry.key)}`, entry);
  for (const entry of now) {
    const text = `${entry.map} ${bytesText(entry.key)}`;
    const known: Uint8Array | LazyBytes | undefined = old.get(text)?.value;
    if (known === undefined || !sameValue(known, entry.value)) upserts.push(entry);
    old.delete(text);
  }
  for (const entry of old.values()) deletes.push(entry);
}
