// What a node does as time passes: the control plane is told the time and settles, its writes reach the maps, conntrack is
// collected. Input: the second that it is, on the clock of the dataplane's packets. Output: what was done. Used by who keeps a
// dataplane running, and by replays (`everySecond`), where the time is the capture's. Invariant: what could not be written is written
// by a later step, which compares the maps with what they should hold; time that goes back is told to nobody.
import type { CompiledMapName } from '../control/desired-map.ts';
import type { ContentDump, Controller } from '../control/controller.ts';
import type { Problem } from '../control/problem.ts';
import type { CollectedPass, ConntrackGc, Dataplane } from '../dataplane/index.ts';
import type { AppliedWrites, MapWrite } from '../maps/index.ts';

/** What one step did. */
export interface UpkeepStep {
  /** Writes that reached the maps. */
  readonly applied: number;
  /** The write that failed, and why; it and those behind it are made up for by the next step. */
  readonly failed?: AppliedWrites['failed'] & { readonly map: string };
  readonly problems: readonly Problem[];
  /** A pass of the garbage collection, when one was due. */
  readonly collected?: CollectedPass;
}

/** See the head of this file. */
export class Upkeep {
  private readonly controller: Controller;
  private readonly dataplane: Pick<Dataplane, 'maps' | 'apply'>;
  private readonly gc: ConntrackGc | undefined;
  private now: number | undefined;
  /** Maps may not hold what they should. */
  private behind = false;

  /** @param gc absent: somebody else collects (a replay does by itself) */
  constructor(controller: Controller, dataplane: Pick<Dataplane, 'maps' | 'apply'>, gc?: ConntrackGc) {
    this.controller = controller;
    this.dataplane = dataplane;
    this.gc = gc;
  }

  /** It is second `seconds`: whatever is due is done. Also to be called when objects have changed, the second being the same. */
  tick(seconds: number): UpkeepStep {
    const { controller, gc } = this;
    this.now = Math.max(this.now ?? seconds, seconds);
    controller.tellTime(this.now);
    const { writes, problems } = controller.settle();
    const all = this.behind ? controller.prune(this.content()) : writes;
    const { applied, failed } = this.dataplane.apply(all);
    this.behind = failed !== undefined;
    const collected = gc?.tick(this.now);
    return {
      applied,
      problems,
      ...(failed === undefined ? {} : { failed: { ...failed, map: mapOf(all, failed.index) } }),
      ...(collected === undefined ? {} : { collected }),
    };
  }

  /** What the maps hold of what the control plane owns. */
  private content(): ContentDump {
    const { maps } = this.dataplane;
    const names = Object.keys(this.controller.content()) as CompiledMapName[];
    return Object.fromEntries(names.map((name) => [name, maps[name].entries()]));
  }
}

const mapOf = (writes: readonly MapWrite[], index: number): string => writes[index]?.map ?? '';
