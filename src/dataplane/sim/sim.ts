// The simulator: the datapath in TypeScript over in-memory maps. Input: size overrides, a seed. Output: a Dataplane.
// Invariant: no root, no kernel, no clock, no chance of its own; the same writes and packets give the same records.
import {
  Context,
  type Meta,
  type Packet,
  run,
  type SizeOverrides,
  type StoredMapName,
  Tables,
} from '../../datapath/index.ts';
import { type AppliedWrites, applyWrites, type ByteMap, type MapWrite } from '../../maps/index.ts';
import { decisionRecord, ERRNO, VERDICT } from '../../schema/index.ts';
import { ClosedMap } from '../closed-map.ts';
import type { Dataplane, Decision, Events, Metric, Trace } from '../dataplane.ts';
import { readMetrics } from '../metrics.ts';

/** How to make a simulator. */
export interface SimOptions {
  /** Bounds that differ from the schema's, by map name: `maxEntries`, `innerEntries`. */
  readonly specs?: SizeOverrides;
  /** Seed of the maps' hashes, for repeatable memory layouts; without one they are random. */
  readonly seed?: number;
  /** Whether tracing is on from the start. */
  readonly tracing?: boolean;
}

/** A simulator whose tracing is always there. */
export interface Sim extends Dataplane {
  readonly name: 'sim';
  readonly trace: Trace;
  /** Lookups of the last run by class of map, for tests of the budgets. */
  readonly context: Readonly<Context>;
}

const NO_EVENTS: Events = { poll: () => false, lost: 0 };

class SimTrace implements Trace {
  private readonly cx: Context;

  constructor(cx: Context) {
    this.cx = cx;
  }

  get enabled(): boolean {
    return this.cx.tracing !== 0;
  }

  set enabled(on: boolean) {
    this.cx.tracing = on ? 1 : 0;
    this.cx.trace.reset();
  }

  get count(): number {
    return this.cx.trace.count;
  }

  get lost(): number {
    return this.cx.trace.lost;
  }

  get words(): Int32Array {
    return this.cx.trace.words;
  }
}

/** The hooks of one simulator. V8 takes what a closure holds for constants as long as it was made once: in a process with one simulator. */
const bind =
  (cx: Context, tables: Tables) =>
  (hook: number, packet: Packet, meta: Meta): number =>
    run(cx, tables, hook, packet, meta);

class SimDataplane implements Sim {
  readonly name = 'sim';
  readonly trace: Trace;
  readonly record: Uint8Array;
  readonly recordWords: Int32Array;
  private readonly cx = new Context();
  private tables: Tables | undefined;
  private readonly runHook: (hook: number, packet: Packet, meta: Meta) => number;
  private current: Record<StoredMapName, ByteMap>;
  private bySpecName = new Map<string, ByteMap>();

  constructor(options: SimOptions) {
    const tables = new Tables(options.specs, options.seed);
    this.tables = tables;
    this.runHook = bind(this.cx, tables);
    this.current = tables.byName();
    for (const map of Object.values(this.current)) this.bySpecName.set(map.spec.name, map);
    this.recordWords = this.cx.record;
    this.record = new Uint8Array(this.cx.record.buffer);
    this.trace = new SimTrace(this.cx);
    if (options.tracing === true) this.trace.enabled = true;
  }

  get context(): Readonly<Context> {
    return this.cx;
  }

  get events(): Events {
    return this.tables?.events ?? NO_EVENTS;
  }

  get maps(): Readonly<Record<StoredMapName, ByteMap>> {
    return this.current;
  }

  apply(writes: Iterable<MapWrite>): AppliedWrites {
    if (this.tables === undefined) return { applied: 0, failed: { index: 0, errno: ERRNO.EBADF } };
    return applyWrites(this.bySpecName, writes);
  }

  run(hook: number, packet: Packet, meta: Meta): number {
    if (this.tables === undefined) {
      this.recordWords.fill(0);
      this.recordWords[0] = VERDICT.ERROR;
      return VERDICT.ERROR;
    }
    return this.runHook(hook, packet, meta);
  }

  expect(connections: number): void {
    const { tables } = this;
    if (tables === undefined) return;
    // A connection to a service has an entry before and one behind the translation.
    for (const map of [tables.ctTcp4, tables.ctTcp6]) map.expect(2 * connections);
  }

  decision(): Decision {
    return decisionRecord.decode(this.record);
  }

  metrics(): Metric[] {
    return readMetrics(this.current.metrics);
  }

  close(): void {
    this.tables = undefined;
    this.bySpecName = new Map();
    this.current = Object.fromEntries(
      Object.entries(this.current).map(([name, map]) => [name, new ClosedMap(map.spec)]),
    ) as unknown as Record<StoredMapName, ByteMap>;
  }
}

/** Makes a simulator with empty maps. Throws (a mistake in the program) when a size override is no positive integer. */
export function createSim(options: SimOptions = {}): Sim {
  return new SimDataplane(options);
}
