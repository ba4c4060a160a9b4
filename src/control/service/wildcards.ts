// The entries of addresses whose ports are all a Service's: one for an address, whichever of its frontends ask for it.
// Input: frontends. Output: entries to write, entries to delete. Invariant: an entry is there while a frontend asks for it; of
// several the lowest flags count.
import type { IpAddress } from '../state.ts';
import { type Entry, wildcardEntry } from './entries.ts';
import { difference } from './entry-changes.ts';
import type { Frontend } from './frontend.ts';

interface WildcardRecord {
  readonly address: IpAddress;
  /** Frontend key → flags. */
  readonly users: Map<string, number>;
  entry: Entry | undefined;
}

/** See the head of this file. */
export class Wildcards {
  private readonly records = new Map<string, WildcardRecord>();
  private readonly touched = new Set<string>();

  /** A frontend asks for an entry with these flags; undefined: it does not, or no more. */
  use({ key, address }: Frontend, flags: number | undefined): void {
    let record = this.records.get(address.text);
    if (record?.users.get(key) === flags) return;
    if (record === undefined)
      this.records.set(address.text, (record = { address, users: new Map(), entry: undefined }));
    if (flags === undefined) record.users.delete(key);
    else record.users.set(key, flags);
    this.touched.add(address.text);
  }

  /** What changes through what was asked since the last time, in the order of the addresses. */
  settle(upserts: Entry[], deletes: Entry[]): void {
    for (const text of [...this.touched].sort()) this.settleOne(text, this.records.get(text)!, upserts, deletes);
    this.touched.clear();
  }

  private settleOne(text: string, record: WildcardRecord, upserts: Entry[], deletes: Entry[]): void {
    if (record.users.size === 0) {
      if (record.entry !== undefined) deletes.push(record.entry);
      this.records.delete(text);
      return;
    }
    const entry = wildcardEntry(record.address, Math.min(...record.users.values()));
    difference(record.entry === undefined ? [] : [record.entry], [entry], upserts, deletes);
    record.entry = entry;
  }

  /** All of them. */
  *entries(): IterableIterator<Entry> {
    for (const { entry } of this.records.values()) if (entry !== undefined) yield entry;
  }
}
