// Two engines side by side: the same writes, the same packets, and whether both did the same.
// Input: sequences. Output: the first difference, or none. Invariant: after `end` both engines hold nothing but the Maglev
// tables, whatever happened, so that the next sequence finds them as a fresh pair would be.
import type { StoredMapName } from '../../../src/datapath/index.ts';
import type { Dataplane } from '../../../src/dataplane/index.ts';
import type { MapWrite } from '../../../src/maps/index.ts';
import { decisionRecord, type MapSpec, MAPS, VERDICT } from '../../../src/schema/index.ts';
import { COUNTERS, dumpOf, entryText, EVENT_BYTES, Side } from './side.ts';
import { metaValues, type Outcome, type Sequence, type Step } from './step.ts';
import { encodeEntry, hexText, isArray, STORED, storedName, type TableEntry, type WorldEntry } from './world.ts';

/** Something that the engines did not do alike. */
export interface Difference {
  /** Number of the step, or -1: before the first, or behind the last. */
  readonly step: number;
  readonly what: 'apply' | 'verdict' | 'record' | 'bytes' | 'meta' | 'event' | 'map' | 'metrics';
  /** One line a finding. */
  readonly detail: string;
}

const ACTION_AT = decisionRecord.at.action;
/** The simulator alone can miss a fact; the kernel writes 0 (schema/record.ts). */
const IGNORED_AT = decisionRecord.at.unknownReason;
const ALL_COUNTERS_EVERY = 16;
const isTable = (name: StoredMapName): boolean => (MAPS[name] as MapSpec).kind === 'array-of-arrays';
const SCANNED = STORED.filter((name) => !isArray(name) && !isTable(name) && name !== 'metrics');
/** Maps that the datapath itself writes: their content is what a sequence leaves behind. */
export const DATAPATH_MAPS: readonly StoredMapName[] = STORED.filter(
  (name) => (MAPS[name] as MapSpec).kind === 'lru-hash' && !name.startsWith('neighbours'),
);

/** Two engines. A is the one that the sequence follows. */
export class Pair {
  private readonly a: Side;
  private readonly b: Side;
  private base = 0;
  private touched: MapWrite[] = [];
  private tables: readonly TableEntry[] = [];
  private sequences = 0;
  /** Entries that the datapath has made in each map so far, by the ends of the sequences. */
  readonly made = new Map<StoredMapName, number>();

  constructor(a: Dataplane, b: Dataplane) {
    this.a = new Side(a);
    this.b = new Side(b);
    for (const side of [this.a, this.b]) {
      side.count();
      side.settle();
    }
  }

  /** The decision record of the last run of engine A. */
  get record(): Uint8Array {
    return this.a.engine.record;
  }

  /** What engine A made of the last packet. The bytes are valid until the next run. */
  outcome(): Outcome {
    const { engine, packet, meta } = this.a;
    return {
      verdict: engine.record[0]!,
      action: engine.record[ACTION_AT]!,
      bytes: packet.bytes.subarray(packet.offset, packet.capturedEnd),
      meta: metaValues(meta),
    };
  }

  /**
   * Fills both engines.
   * @param base second since start at which the sequence begins: behind everything that ran before
   */
  begin(tables: readonly TableEntry[], world: readonly WorldEntry[], base: number): Difference | undefined {
    this.base = base;
    this.touched = [];
    const difference = this.setTables(tables);
    return difference ?? this.write(world, -1);
  }

  /** Replaces the Maglev tables, if they are others than those in place. */
  private setTables(tables: readonly TableEntry[]): Difference | undefined {
    if (tables === this.tables) return undefined;
    const writes: MapWrite[] = [];
    for (const entry of this.tables) {
      if (tables.some((other) => other.map === entry.map && other.key.reverseNat === entry.key.reverseNat)) continue;
      const { map, key } = encodeEntry(entry, 0);
      writes.push({ map, op: 'delete', key });
    }
    for (const entry of tables) writes.push(encodeEntry(entry, 0));
    this.tables = tables;
    return this.apply(writes, -1) ?? this.compareTables(tables);
  }

  /** Tables are control's alone: compared once, when they are in place. */
  private compareTables(tables: readonly TableEntry[]): Difference | undefined {
    for (const entry of tables) {
      const { key } = encodeEntry(entry, 0);
      const ours = this.a.values.get(entry.map)!;
      const theirs = this.b.values.get(entry.map)!;
      const found =
        this.a.engine.maps[entry.map].lookup(key, ours) && this.b.engine.maps[entry.map].lookup(key, theirs);
      if (found && ours.every((byte, i) => byte === theirs[i])) continue;
      return { step: -1, what: 'map', detail: `${entry.map}: table of ${entry.key.reverseNat}` };
    }
    return undefined;
  }

  private apply(writes: readonly MapWrite[], step: number): Difference | undefined {
    const a = JSON.stringify(this.a.engine.apply(writes));
    const b = JSON.stringify(this.b.engine.apply(writes));
    return a === b && !a.includes('failed') ? undefined : { step, what: 'apply', detail: `${a} and ${b}` };
  }

  private write(entries: readonly WorldEntry[], step: number): Difference | undefined {
    const writes = entries.map((entry) => encodeEntry(entry, this.base));
    for (const write of writes) this.touched.push(write);
    return this.apply(writes, step);
  }

  /** Runs one step on both engines. */
  step(step: Step, number: number): Difference | undefined {
    if ('writes' in step) return this.write(step.writes, number);
    const { a, b } = this;
    const verdictA = a.run(step, this.base);
    const verdictB = b.run(step, this.base);
    if (verdictA !== verdictB) {
      const failed =
        'runErrno' in b.engine && verdictB === VERDICT.ERROR ? ` (errno ${String(b.engine.runErrno)})` : '';
      return { step: number, what: 'verdict', detail: `${verdictA} and ${verdictB}${failed}\n${this.recordsText()}` };
    }
    const recordA = a.engine.record;
    const recordB = b.engine.record;
    for (let i = 0; i < decisionRecord.bytes; i++) {
      if (recordA[i] !== recordB[i] && i !== IGNORED_AT) {
        return { step: number, what: 'record', detail: this.recordsText() };
      }
    }
    return this.compareBytes(number) ?? this.compareMeta(number) ?? this.compareEvents(number);
  }

  private recordsText(): string {
    const left = decisionRecord.decode(this.a.engine.record) as Record<string, unknown>;
    const right = decisionRecord.decode(this.b.engine.record) as Record<string, unknown>;
    const text = (value: unknown): string => (value instanceof Uint8Array ? hexText(value) : String(value));
    return Object.keys(left)
      .filter((field) => text(left[field]) !== text(right[field]))
      .map((field) => `${field}: ${text(left[field])} and ${text(right[field])}`)
      .join('\n');
  }

  private compareBytes(step: number): Difference | undefined {
    const p = this.a.packet;
    const q = this.b.packet;
    const lengthA = p.capturedEnd - p.offset;
    const lengthB = q.capturedEnd - q.offset;
    if (lengthA !== lengthB || p.wireEnd - p.offset !== q.wireEnd - q.offset) {
      return { step, what: 'bytes', detail: `lengths ${lengthA} and ${lengthB}` };
    }
    for (let i = 0; i < lengthA; i++) {
      if (p.bytes[p.offset + i] !== q.bytes[q.offset + i]) {
        const left = hexText(p.bytes.subarray(p.offset, p.capturedEnd));
        const right = hexText(q.bytes.subarray(q.offset, q.capturedEnd));
        return { step, what: 'bytes', detail: `from byte ${i}\n${left}\n${right}` };
      }
    }
    return undefined;
  }

  private compareMeta(step: number): Difference | undefined {
    const m = this.a.meta;
    const n = this.b.meta;
    const same =
      m.ifindex === n.ifindex &&
      m.mark === n.mark &&
      m.cb0 === n.cb0 &&
      m.cb1 === n.cb1 &&
      m.cb2 === n.cb2 &&
      m.cb3 === n.cb3 &&
      m.cb4 === n.cb4 &&
      m.xdpMetadata === n.xdpMetadata &&
      m.gsoSize === n.gsoSize &&
      m.flags === n.flags;
    if (same) return undefined;
    return { step, what: 'meta', detail: `${JSON.stringify(metaValues(m))}\n${JSON.stringify(metaValues(n))}` };
  }

  private compareEvents(step: number): Difference | undefined {
    const { a, b } = this;
    for (;;) {
      const inA = a.engine.events.poll(a.event);
      const inB = b.engine.events.poll(b.event);
      if (!inA && !inB) return undefined;
      let same = inA && inB;
      for (let i = 0; same && i < EVENT_BYTES; i++) same = a.event[i] === b.event[i];
      if (same) continue;
      const detail = `${inA ? hexText(a.event) : 'none'}\n${inB ? hexText(b.event) : 'none'}`;
      this.drain();
      return { step, what: 'event', detail };
    }
  }

  private drain(): void {
    for (const { engine, event } of [this.a, this.b]) while (engine.events.poll(event));
  }

  /**
   * Compares what is left in the maps and the counters, then empties both engines.
   * @param thorough reads every counter; otherwise those that engine A changed, and all of them every so often
   */
  end(thorough = false): Difference | undefined {
    this.drain();
    const deletes: MapWrite[] = [];
    let difference: Difference | undefined;
    for (const name of SCANNED) {
      const found = this.compareMap(name, deletes);
      difference ??= found;
    }
    difference ??= this.compareArrays();
    // Always asked: what is counted up to here must not be told as the next sequence's.
    const counters = this.compareCounters(thorough);
    difference ??= counters;
    for (const { map, key } of this.touched) {
      const name = storedName(map);
      if (name === undefined || !isArray(name)) continue;
      deletes.push({ map, op: 'update', key, value: new Uint8Array(MAPS[name].value.bytes) });
    }
    const emptied = this.apply(deletes, -1);
    return difference ?? emptied;
  }

  private compareMap(name: StoredMapName, deletes: MapWrite[]): Difference | undefined {
    const a = this.a.engine.maps[name];
    const b = this.b.engine.maps[name];
    const value = this.a.values.get(name)!;
    const map = a.spec.name;
    const keyBytes = b.spec.key.bytes;
    let entries = 0;
    let detail: string | undefined;
    const { keys, values, count } = dumpOf(b);
    for (; entries < count; entries++) {
      const key = keys.subarray(entries * keyBytes, (entries + 1) * keyBytes);
      const at = entries * value.length;
      deletes.push({ map, op: 'delete', key });
      if (!a.lookup(key, value)) {
        detail ??= `${name}: only the second engine has\n${entryText(name, key, values.subarray(at, at + value.length))}`;
        continue;
      }
      for (let i = 0; i < value.length; i++) {
        if (value[i] === values[at + i]) continue;
        const theirs = values.subarray(at, at + value.length);
        detail ??= `${name}:\n${entryText(name, key, value)}\n${entryText(name, key, theirs)}`;
        break;
      }
    }
    if (entries !== 0 && DATAPATH_MAPS.includes(name)) {
      const given = this.touched.filter((write) => write.map === map).length;
      this.made.set(name, (this.made.get(name) ?? 0) + Math.max(0, entries - given));
    }
    if (entries !== a.size || detail !== undefined) {
      for (const [key, ours] of a.entries()) {
        deletes.push({ map, op: 'delete', key });
        if (!b.lookup(key, this.b.values.get(name)!)) {
          detail ??= `${name}: only the first engine has\n${entryText(name, key, ours)}`;
        }
      }
      detail ??= `${name}: ${a.size} and ${entries} entries`;
    }
    return detail === undefined ? undefined : { step: -1, what: 'map', detail };
  }

  /** The entries of arrays that were written: nothing else in an array is ever read. */
  private compareArrays(): Difference | undefined {
    for (const { map, key } of this.touched) {
      const name = storedName(map);
      if (name === undefined || !isArray(name)) continue;
      const ours = this.a.values.get(name)!;
      const theirs = this.b.values.get(name)!;
      const inA = this.a.engine.maps[name].lookup(key, ours);
      const inB = this.b.engine.maps[name].lookup(key, theirs);
      if (inA === inB && ours.every((byte, i) => byte === theirs[i])) continue;
      return {
        step: -1,
        what: 'map',
        detail: `${name}:\n${entryText(name, key, ours)}\n${entryText(name, key, theirs)}`,
      };
    }
    return undefined;
  }

  private compareCounters(thorough: boolean): Difference | undefined {
    const { a, b } = this;
    a.count();
    // All of a thousand counters every so often, those that changed always.
    if (this.sequences++ % ALL_COUNTERS_EVERY === 0 || thorough) b.count();
    else b.countAs(a);
    const lines: string[] = [];
    for (let i = 0; i < COUNTERS; i++) {
      if (a.now[i]! - a.before[i]! === b.now[i]! - b.before[i]!) continue;
      const index = i >> 1;
      const unit = (i & 1) === 0 ? 'packets' : 'bytes';
      lines.push(
        `reason ${index >> 2}, direction ${index & 3}, ${unit}: ${a.now[i]! - a.before[i]!} and ${b.now[i]! - b.before[i]!}`,
      );
    }
    a.settle();
    b.settle();
    return lines.length === 0 ? undefined : { step: -1, what: 'metrics', detail: lines.join('\n') };
  }

  /** Runs a whole sequence from its data. */
  replay(sequence: Sequence, base: number): Difference | undefined {
    let difference = this.begin(sequence.tables, sequence.world, base);
    for (let i = 0; i < sequence.steps.length && difference === undefined; i++) {
      difference = this.step(sequence.steps[i]!, i);
    }
    const after = this.end(true);
    return difference ?? after;
  }

  close(): void {
    this.a.engine.close();
    this.b.engine.close();
  }
}
