// The backends that frontends use: their ids, their users, their entries. Input: readings of backends by frontend.
// Output: entries to write, entries to delete. Invariant: a backend has an entry while some frontend uses it, in maintenance
// too; of several readings the best one counts.
import { HeldIds } from '../held-ids.ts';
import { betterOf, type ServiceBackend } from './backends.ts';
import { backendEntry, type Entry } from './entries.ts';

interface BackendRecord {
  readonly id: number;
  /** Frontend key → how it sees the backend. */
  readonly users: Map<string, ServiceBackend>;
  entry: Entry | undefined;
}

/** Which node hosts a backend: 0 = unknown. */
export type NodeOf = (backend: ServiceBackend) => number;

/** All backends in use. */
export class BackendRecords {
  readonly ids: HeldIds;
  private readonly zones = new HeldIds(1, 255);
  private readonly records = new Map<string, BackendRecord>();
  /** Address → backend keys. */
  private readonly byAddress = new Map<string, Set<string>>();
  private readonly touched = new Set<string>();
  /** Backends that there was no id for. */
  readonly refused = new Set<string>();

  constructor(last: number) {
    this.ids = new HeldIds(1, last);
  }

  get size(): number {
    return this.records.size;
  }

  idOf = (key: string): number | undefined => this.records.get(key)?.id;

  /** Numbers for backends, in the order of their keys. */
  claim(backends: Iterable<ServiceBackend>): void {
    const fresh = new Map<string, ServiceBackend>();
    for (const backend of backends) if (!this.records.has(backend.key)) fresh.set(backend.key, backend);
    for (const key of [...fresh.keys()].sort()) {
      const { address, port } = fresh.get(key)!;
      this.ids.inherit(key, `${address.text}|${port}|ANY`);
      const id = this.ids.claim(key);
      if (id === undefined) {
        this.refused.add(key);
        continue;
      }
      this.refused.delete(key);
      this.records.set(key, { id, users: new Map(), entry: undefined });
      const others = this.byAddress.get(address.text);
      if (others === undefined) this.byAddress.set(address.text, new Set([key]));
      else others.add(key);
    }
  }

  /** A frontend goes from some backends to others. */
  use(frontend: string, before: readonly ServiceBackend[], now: readonly ServiceBackend[]): void {
    const kept = new Set(now.map(({ key }) => key));
    for (const { key } of before) {
      if (kept.has(key)) continue;
      this.records.get(key)?.users.delete(frontend);
      this.touched.add(key);
    }
    for (const backend of now) {
      const record = this.records.get(backend.key);
      if (record === undefined || record.users.get(frontend) === backend) continue;
      record.users.set(frontend, backend);
      this.touched.add(backend.key);
    }
  }

  /** An address is on another node now. */
  touchAddress(address: string): void {
    for (const key of this.byAddress.get(address) ?? []) this.touched.add(key);
  }

  /** Node numbers are others. */
  touchAll(): void {
    for (const key of this.records.keys()) this.touched.add(key);
  }

  /** Works out the entries of what was touched. */
  settle(nodeOf: NodeOf, upserts: Entry[], deletes: Entry[]): void {
    const keys = [...this.touched].sort();
    this.touched.clear();
    const readings = new Map<string, ServiceBackend>();
    for (const key of keys) {
      const users = this.records.get(key)?.users;
      if (users === undefined || users.size === 0) continue;
      const best = [...users.values()].reduce(betterOf);
      readings.set(key, best);
    }
    const zones = new Set([...readings.values()].flatMap(({ zone }) => (zone === undefined ? [] : [zone])));
    for (const zone of [...zones].sort()) this.zones.claim(zone);
    for (const key of keys) {
      const record = this.records.get(key);
      if (record === undefined) continue;
      const best = readings.get(key);
      if (best === undefined) this.forget(key, record, deletes);
      else {
        const zone = best.zone === undefined ? 0 : (this.zones.get(best.zone) ?? 0);
        const entry = backendEntry(record.id, best, nodeOf(best), zone);
        if (record.entry === undefined || !equal(record.entry.value as Uint8Array, entry.value as Uint8Array)) {
          record.entry = entry;
          upserts.push(entry);
        }
      }
    }
  }

  private forget(key: string, record: BackendRecord, deletes: Entry[]): void {
    if (record.entry !== undefined) deletes.push(record.entry);
    this.records.delete(key);
    this.ids.release(key);
    const address = key.slice(0, key.indexOf('|'));
    const others = this.byAddress.get(address);
    others?.delete(key);
    if (others?.size === 0) this.byAddress.delete(address);
  }

  /** Every entry. */
  *entries(): IterableIterator<Entry> {
    for (const { entry } of this.records.values()) if (entry !== undefined) yield entry;
  }

  /** Id and key (`address|port|PROTOCOL`) of each backend. */
  *names(): IterableIterator<readonly [number, string]> {
    for (const [key, { id }] of this.records) yield [id, key];
  }
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
};
