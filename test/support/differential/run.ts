// Sequences made from a seed and run on a pair of engines. Input: seed, index. Output: the sequence, the first difference.
// Invariant: sequence `index` of a seed is the same in every run, alone or among others.
import { FEATURE } from '../../../src/schema/index.ts';
import type { Dataplane } from '../../../src/dataplane/index.ts';
import type { Histogram } from './histogram.ts';
import { Conversation } from './conversation.ts';
import { type Difference, Pair } from './pair.ts';
import { ALL_FEATURES, FEATURE_SETS, featuresOf } from './random-config.ts';
import { randomState } from './random-state.ts';
import { randomTables, randomWorld } from './random-world.ts';
import { Random } from './random.ts';
import { type Cast, ICMP, ICMPV6, SCTP } from './cast.ts';
import { parsed } from './replies.ts';
import type { Outcome, PacketStep, Sequence, Step } from './step.ts';
import { SPAN, Traffic } from './traffic.ts';
import type { TableEntry, WorldEntry } from './world.ts';

/** Makes engine B for the features that its programs are to be loaded with. */
export type EngineFactory = (loaded: number) => Dataplane;

/** Sequences that share Maglev tables. */
const TABLES_FOR = 256;
/** Packets of a sequence at most. */
const LONGEST_SEQUENCE = 64;
/** Sequences after which time would not fit any more: then engines begin anew. */
export const ERA = 400_000;

/** Share of the sequences, in per cent, that are one long conversation, where all features are loaded. */
const CONVERSATIONS = 12;

/** What a sequence is made from: the world that it begins in, and what says the next step. */
interface Making {
  readonly features: number;
  readonly world: readonly WorldEntry[];
  readonly traffic: { next(): Step; took(step: PacketStep, outcome: Outcome): void };
}

/** A conversation, in a world that is made for it. */
function conversing(random: Random): Making {
  const conversation = new Conversation(random);
  const traffic = {
    next: () => conversation.next(),
    took: (_step: PacketStep, outcome: Outcome) => conversation.took(outcome),
  };
  return { features: conversation.features, world: conversation.world(), traffic };
}

/** The features that engine B is loaded with in a set: all of them, so that the configuration decides; or just those. */
export const loadedFor = (seed: number, set: number): number =>
  set < FEATURE_SETS - 2 ? ALL_FEATURES : featuresOf(seed, set);

/** Whether the parse stage lets a frame go on. */
function passesParse(bytes: Uint8Array, features: number): boolean {
  const h = parsed(bytes);
  if (h === undefined) return false;
  if ((features & (h.family === 4 ? FEATURE.IPV4 : FEATURE.IPV6)) === 0) return false;
  if (h.protocol === SCTP) return (features & FEATURE.SCTP) !== 0;
  return h.fragment === 0 || (h.protocol !== ICMP && h.protocol !== ICMPV6);
}

/** A sequence that was run. */
export interface Ran {
  readonly sequence: Sequence;
  readonly difference: Difference | undefined;
}

/** Runs sequences of one seed, one after the other. */
export class Run {
  private readonly seed: number;
  private readonly engineA: () => Dataplane;
  private readonly engineB: EngineFactory;
  private readonly histogram: Histogram;
  private readonly pairs = new Map<number, Pair>();
  private tables: readonly TableEntry[] = [];
  private tableGroup = -1;
  private readonly madeBefore = new Map<string, number>();

  constructor(seed: number, engineA: () => Dataplane, engineB: EngineFactory, histogram: Histogram) {
    this.seed = seed;
    this.engineA = engineA;
    this.engineB = engineB;
    this.histogram = histogram;
  }

  /** The pair whose engine B is loaded with these features. */
  pair(loaded: number): Pair {
    let pair = this.pairs.get(loaded);
    if (pair === undefined) {
      pair = new Pair(this.engineA(), this.engineB(loaded));
      this.pairs.set(loaded, pair);
    }
    return pair;
  }

  /** Closes every pair; the next sequence makes them anew. */
  reset(): void {
    for (const pair of this.pairs.values()) {
      for (const [map, entries] of pair.made) this.madeBefore.set(map, (this.madeBefore.get(map) ?? 0) + entries);
      pair.close();
    }
    this.pairs.clear();
  }

  /** Entries that the datapath left in each of its maps. */
  made(): ReadonlyMap<string, number> {
    const all = new Map(this.madeBefore);
    for (const pair of this.pairs.values()) {
      for (const [map, entries] of pair.made) all.set(map, (all.get(map) ?? 0) + entries);
    }
    return all;
  }

  private tablesOf(index: number): readonly TableEntry[] {
    const group = Math.floor(index / TABLES_FOR);
    if (group !== this.tableGroup) {
      this.tableGroup = group;
      this.tables = randomTables(new Random(this.seed, 0x7ab1e, group));
    }
    return this.tables;
  }

  private featuresAt(index: number): { features: number; loaded: number } {
    const set = index % FEATURE_SETS;
    return { features: featuresOf(this.seed, set), loaded: loadedFor(this.seed, set) };
  }

  /**
   * Runs frames that come from elsewhere, in a world whose cast is given.
   * @param index number of the sequence: time, features and tables are by it
   * @param steps makes the packets, once the world is there
   */
  given(index: number, cast: Cast, steps: (random: Random) => readonly PacketStep[]): Ran {
    const { features, loaded } = this.featuresAt(index);
    const pair = this.pair(loaded);
    const random = new Random(this.seed, 0x91f, index);
    const world = randomWorld(random, features, cast).entries;
    const tables = this.tablesOf(index);
    const done: PacketStep[] = [];
    let difference = pair.begin(tables, world, (index % ERA) * SPAN);
    for (const step of steps(random)) {
      if (difference !== undefined) break;
      done.push(step);
      difference = pair.step(step, done.length - 1);
      this.histogram.packet(pair.record, passesParse(step.bytes, features));
    }
    const after = pair.end();
    this.histogram.sequences++;
    return { sequence: { loaded, tables, world, steps: done }, difference: difference ?? after };
  }

  /**
   * Makes sequence `index` while it runs: what comes next depends on what came out.
   * @param limit packets at most
   */
  sequence(index: number, limit = LONGEST_SEQUENCE): Ran {
    if (index % ERA === 0 && index !== 0) this.reset();
    const { loaded } = this.featuresAt(index);
    const pair = this.pair(loaded);
    const random = new Random(this.seed, 0x5e9, index);
    const { features, world, traffic } =
      loaded === ALL_FEATURES && new Random(this.seed, 0xc0e, index).chance(CONVERSATIONS)
        ? conversing(random)
        : this.mixed(random, index);
    const length = Math.min(limit, random.between(8, LONGEST_SEQUENCE));
    const tables = this.tablesOf(index);
    const steps: Step[] = [];
    let difference = pair.begin(tables, world, (index % ERA) * SPAN);
    let packets = 0;
    while (packets < length && difference === undefined) {
      const step = traffic.next();
      steps.push(step);
      difference = pair.step(step, steps.length - 1);
      if ('writes' in step) {
        this.histogram.writes++;
        continue;
      }
      packets++;
      this.histogram.packet(pair.record, passesParse(step.bytes, features));
      traffic.took(step, pair.outcome());
    }
    const after = pair.end();
    this.histogram.sequences++;
    return { sequence: { loaded, tables, world, steps }, difference: difference ?? after };
  }

  /** Packets of every kind in a world of every kind. */
  private mixed(random: Random, index: number): Making {
    const { features } = this.featuresAt(index);
    const drawn = randomWorld(random, features);
    const state = randomState(random, drawn);
    const world = [...drawn.entries, ...state.entries];
    return { features, world, traffic: new Traffic(random, { ...drawn, entries: world }, state.flows) };
  }
}
