// The in-memory maps that the hooks read and write, as their concrete classes, and the configuration's words.
// Input: size overrides, a hash seed. Output: class Tables. Invariant: one instance a simulator; the fields never change,
// so that each call on them stays monomorphic.
import {
  ArrayMap,
  type ByteMap,
  Hash1,
  Hash2,
  Hash3,
  Hash4,
  Hash6,
  ArrayOfArrays,
  Lpm1,
  Lpm2,
  Lpm4,
  Lpm5,
  Lru10,
  Lru2,
  Lru3,
  Lru4,
  Lru5,
  type MapOptions,
} from '../maps/index.ts';
import { MAPS, type MapName, type MapSpec } from '../schema/index.ts';
import { EventRing } from './event-ring.ts';

/** Maps that hold entries: all but the event ring. */
export type StoredMapName = Exclude<MapName, 'events'>;

/** Bounds that a configuration sets, by map. */
export type SizeOverrides = Readonly<
  Partial<Record<MapName, { readonly maxEntries?: number; readonly innerEntries?: number }>>
>;

/** All maps of one simulator. */
export class Tables {
  // Declared only: a field that was ever undefined has no type for V8, and each use of it then costs a check.
  declare readonly config: ArrayMap;
  declare readonly services4: Hash3;
  declare readonly services6: Hash6;
  declare readonly backends4: ArrayMap;
  declare readonly backends6: ArrayMap;
  declare readonly reverseNat4: ArrayMap;
  declare readonly reverseNat6: ArrayMap;
  declare readonly maglev4: ArrayOfArrays;
  declare readonly maglev6: ArrayOfArrays;
  declare readonly maglevPrevious4: ArrayOfArrays;
  declare readonly maglevPrevious6: ArrayOfArrays;
  declare readonly flows4: Lru4;
  declare readonly flows6: Lru10;
  declare readonly nextHops4: ArrayMap;
  declare readonly nextHops6: ArrayMap;
  declare readonly affinity4: Lru3;
  declare readonly affinity6: Lru5;
  declare readonly affinityMatch: Hash2;
  declare readonly sourceRange4: Lpm2;
  declare readonly sourceRange6: Lpm5;
  declare readonly ctTcp4: Lru4;
  declare readonly ctAny4: Lru4;
  declare readonly ctTcpNew4: Lru4;
  declare readonly ctAnyNew4: Lru4;
  declare readonly ctTcp6: Lru10;
  declare readonly ctAny6: Lru10;
  declare readonly ctTcpNew6: Lru10;
  declare readonly ctAnyNew6: Lru10;
  declare readonly policy: Hash3;
  declare readonly policyMeta: ArrayMap;
  declare readonly ipcache4: Lpm2;
  declare readonly ipcache6: Lpm5;
  declare readonly endpoints4: Hash1;
  declare readonly endpoints6: Hash4;
  declare readonly nat4: Lru4;
  declare readonly nat6: Lru10;
  declare readonly nodes4: ArrayMap;
  declare readonly nodes6: ArrayMap;
  declare readonly noMasquerade4: Lpm1;
  declare readonly noMasquerade6: Lpm4;
  declare readonly fragments4: Lru3;
  declare readonly fragments6: Lru10;
  declare readonly routes4: Lpm1;
  declare readonly routes6: Lpm4;
  declare readonly neighbours4: Lru2;
  declare readonly neighbours6: Lru5;
  declare readonly announced4: Hash2;
  declare readonly announced6: Hash6;
  declare readonly limits: ArrayMap;
  declare readonly departures: ArrayMap;
  declare readonly vlans: Hash1;
  declare readonly rateLimit: Lru2;
  declare readonly scaleToZero: Hash1;
  declare readonly metrics: ArrayMap;
  declare readonly events: EventRing;

  /**
   * @param sizes bounds that differ from the schema's
   * @param seed seed of the maps' hashes; without one they are random, which is what traffic from strangers needs
   */
  constructor(sizes: SizeOverrides = {}, seed?: number) {
    let salt = 0;
    const options = (): MapOptions => (seed === undefined ? {} : { seed: (seed + Math.imul(++salt, 0x9e3779b9)) | 0 });
    const spec = (name: MapName): MapSpec => ({ ...MAPS[name], ...sizes[name] });
    this.config = new ArrayMap(spec('config'));
    this.services4 = new Hash3(spec('services4'), options());
    this.services6 = new Hash6(spec('services6'), options());
    this.backends4 = new ArrayMap(spec('backends4'));
    this.backends6 = new ArrayMap(spec('backends6'));
    this.reverseNat4 = new ArrayMap(spec('reverseNat4'));
    this.reverseNat6 = new ArrayMap(spec('reverseNat6'));
    this.maglev4 = new ArrayOfArrays(spec('maglev4'));
    this.maglev6 = new ArrayOfArrays(spec('maglev6'));
    this.affinity4 = new Lru3(spec('affinity4'), options());
    this.affinity6 = new Lru5(spec('affinity6'), options());
    this.affinityMatch = new Hash2(spec('affinityMatch'), options());
    this.sourceRange4 = new Lpm2(spec('sourceRange4'), options());
    this.sourceRange6 = new Lpm5(spec('sourceRange6'), options());
    this.ctTcp4 = new Lru4(spec('ctTcp4'), options());
    this.ctAny4 = new Lru4(spec('ctAny4'), options());
    this.ctTcpNew4 = new Lru4(spec('ctTcpNew4'), options());
    this.ctAnyNew4 = new Lru4(spec('ctAnyNew4'), options());
    this.ctTcp6 = new Lru10(spec('ctTcp6'), options());
    this.ctAny6 = new Lru10(spec('ctAny6'), options());
    this.ctTcpNew6 = new Lru10(spec('ctTcpNew6'), options());
    this.ctAnyNew6 = new Lru10(spec('ctAnyNew6'), options());
    this.policy = new Hash3(spec('policy'), options());
    this.policyMeta = new ArrayMap(spec('policyMeta'));
    this.ipcache4 = new Lpm2(spec('ipcache4'), options());
    this.ipcache6 = new Lpm5(spec('ipcache6'), options());
    this.endpoints4 = new Hash1(spec('endpoints4'), options());
    this.endpoints6 = new Hash4(spec('endpoints6'), options());
    this.nat4 = new Lru4(spec('nat4'), options());
    this.nat6 = new Lru10(spec('nat6'), options());
    this.nodes4 = new ArrayMap(spec('nodes4'));
    this.nodes6 = new ArrayMap(spec('nodes6'));
    this.noMasquerade4 = new Lpm1(spec('noMasquerade4'), options());
    this.noMasquerade6 = new Lpm4(spec('noMasquerade6'), options());
    this.fragments4 = new Lru3(spec('fragments4'), options());
    this.fragments6 = new Lru10(spec('fragments6'), options());
    this.routes4 = new Lpm1(spec('routes4'), options());
    this.routes6 = new Lpm4(spec('routes6'), options());
    this.neighbours4 = new Lru2(spec('neighbours4'), options());
    this.neighbours6 = new Lru5(spec('neighbours6'), options());
    this.maglevPrevious4 = new ArrayOfArrays(spec('maglevPrevious4'));
    this.maglevPrevious6 = new ArrayOfArrays(spec('maglevPrevious6'));
    this.flows4 = new Lru4(spec('flows4'), options());
    this.flows6 = new Lru10(spec('flows6'), options());
    this.nextHops4 = new ArrayMap(spec('nextHops4'));
    this.nextHops6 = new ArrayMap(spec('nextHops6'));
    this.announced4 = new Hash2(spec('announced4'), options());
    this.announced6 = new Hash6(spec('announced6'), options());
    this.limits = new ArrayMap(spec('limits'));
    this.departures = new ArrayMap(spec('departures'));
    this.vlans = new Hash1(spec('vlans'), options());
    this.rateLimit = new Lru2(spec('rateLimit'), options());
    this.scaleToZero = new Hash1(spec('scaleToZero'), options());
    this.metrics = new ArrayMap(spec('metrics'));
    this.events = new EventRing(spec('events').maxEntries);
  }

  /** The maps that hold entries, by name, as bytes. */
  byName(): Record<StoredMapName, ByteMap> {
    const { events: _events, ...maps } = this;
    return maps;
  }
}
