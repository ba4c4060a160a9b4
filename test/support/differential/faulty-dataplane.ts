// An engine that is wrong on purpose: a simulator and one thing that it does otherwise, for tests of the differential run.
// Input: an engine, a fault. Output: an engine. Invariant: without its trigger it does what the engine does.
import type { Meta, Packet, StoredMapName } from '../../../src/datapath/index.ts';
import type { Dataplane, Decision, Events, Metric, Trace } from '../../../src/dataplane/index.ts';
import type { AppliedWrites, ByteMap, MapWrite } from '../../../src/maps/index.ts';

/** What goes wrong, and when. Each is called after the engine has done its work. */
export interface Fault {
  /** May change what a run left: its verdict (returned), record, packet, meta, maps. */
  readonly afterRun?: (engine: Dataplane, hook: number, packet: Packet, meta: Meta, verdict: number) => number;
  /** May change an event; false swallows it. */
  readonly event?: (bytes: Uint8Array) => boolean;
  /** May leave writes out. */
  readonly writes?: (write: MapWrite) => boolean;
}

/** The engine with its fault. */
export class FaultyDataplane implements Dataplane {
  readonly name = 'faulty';
  readonly events: Events;
  private readonly engine: Dataplane;
  private readonly fault: Fault;

  constructor(engine: Dataplane, fault: Fault) {
    this.engine = engine;
    this.fault = fault;
    this.events = {
      poll(out: Uint8Array): boolean {
        while (engine.events.poll(out)) if (fault.event?.(out) ?? true) return true;
        return false;
      },
      get lost(): number {
        return engine.events.lost;
      },
    };
  }

  get maps(): Readonly<Record<StoredMapName, ByteMap>> {
    return this.engine.maps;
  }

  get record(): Uint8Array {
    return this.engine.record;
  }

  get recordWords(): Int32Array {
    return this.engine.recordWords;
  }

  get trace(): Trace | undefined {
    return this.engine.trace;
  }

  apply(writes: Iterable<MapWrite>): AppliedWrites {
    const { writes: keeps } = this.fault;
    if (keeps === undefined) return this.engine.apply(writes);
    const all = [...writes];
    const done = this.engine.apply(all.filter(keeps));
    // What was left out is not told.
    return done.failed === undefined ? { applied: all.length } : done;
  }

  run(hook: number, packet: Packet, meta: Meta): number {
    const verdict = this.engine.run(hook, packet, meta);
    return this.fault.afterRun?.(this.engine, hook, packet, meta, verdict) ?? verdict;
  }

  decision(): Decision {
    return this.engine.decision();
  }

  metrics(): Metric[] {
    return this.engine.metrics();
  }

  close(): void {
    this.engine.close();
  }
}
