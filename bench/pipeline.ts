// How fast is the whole pipeline? A pod's packets through the simulator's from-container hook: service, Maglev, conntrack,
// policy, rewriting, forwarding; against the same pipeline in C++ over the same memory, and against one object a packet.
// Output: suites for the harness. The checksums of JavaScript and C++ cover verdict, mark, decision record and the
// rewritten headers of every packet, and must be equal.
import './v8-flags.ts';
import process from 'node:process';
import { createSim, type Sim } from '../src/dataplane/sim/index.ts';
import { type ByteMap, Hash1, Hash3, ArrayOfArrays, Lpm1, Lpm2, Lru2, Lru4, type WordMap } from '../src/maps/index.ts';
import { decisionRecord, HOOK } from '../src/schema/index.ts';
import { Meta, Packet } from '../src/dataplane/index.ts';
import { isMain, loadReference, runSuites, type BenchCase, type BenchSuite } from './harness.ts';
import { ObjectPipeline } from './objects/pipeline.ts';
import { type BenchSizes, FULL } from './sizes.ts';
import { fillMaps, MAGLEV_SEED, makePackets, type Packets, type PacketSizes } from './world/packets.ts';

/** Unanswered connections keep two entries in one table and one in the other: room for all flows of the benchmark. */
const SIZES = { ctTcpNew4: { maxEntries: 262144 }, ctAnyNew4: { maxEntries: 131072 } };
const R_BACKEND = decisionRecord.at.backendId >>> 2;
const R_IFINDEX = decisionRecord.at.outIfindex >>> 2;
const MIX = 0x21f0aaad;

/** The C++ side: see native/reference/pipeline.cc. */
interface NativePipeline {
  run(first: number, end: number, seconds: number): number;
  checksum(first: number, end: number, seconds: number): number;
  clear(): void;
  readonly unsupported: number;
  readonly connections: number;
  readonly events: number;
  readonly packets: number;
}
type NativeClass = new (tables: object, frames: Uint8Array, places: Uint32Array, ifs: Uint16Array) => NativePipeline;

function as<M>(map: ByteMap, Kind: abstract new (...args: never[]) => M): M {
  if (map instanceof Kind) return map;
  throw new TypeError(`${map.spec.name} is not a ${Kind.name}`);
}

/** The multipliers of a map's hash, in the order a0, b0, a1, b1, … */
function multipliersOf(map: WordMap): Int32Array {
  const fields = map as unknown as Record<string, number>;
  return Int32Array.from({ length: map.keyWords * 2 }, (_, i) => fields[(i % 2 === 0 ? 'a' : 'b') + (i >>> 1)]!);
}

const flat = (map: Hash1 | Hash3 | Lpm1 | Lpm2): object => {
  const { words, stride, end, shift } = map;
  return { words, stride, end, shift, multipliers: multipliersOf(map) };
};
const lpm = (map: Lpm1 | Lpm2): object => {
  const { lengths, salts, masks, present } = map;
  return { ...flat(map), lengths, salts, masks, present };
};

/** What the C++ needs to see of a simulator's maps. */
function viewsOf({ maps }: Sim): object {
  const words = (map: ByteMap): Int32Array => (map as unknown as WordMap).words;
  const maglev = as(maps.maglev4, ArrayOfArrays);
  const { places } = maglev as unknown as { readonly places: Int32Array };
  // Lazy tables are made when they are first looked for.
  for (let index = 0; index < places.length; index++) maglev.findTable(index);
  const neighbours = as(maps.neighbours4, Lru2);
  const connections = (map: ByteMap): object => ({
    multipliers: multipliersOf(as(map, Lru4)),
    maxEntries: map.spec.maxEntries,
  });
  return {
    config: words(maps.config),
    services4: flat(as(maps.services4, Hash3)),
    backends4: words(maps.backends4),
    maglevPlaces4: places,
    maglevCount4: places.length,
    maglevPool4: maglev.pool,
    maglevWords4: maglev.tableWords,
    endpoints4: flat(as(maps.endpoints4, Hash1)),
    ipcache4: lpm(as(maps.ipcache4, Lpm2)),
    policy: flat(as(maps.policy, Hash3)),
    policyMeta: words(maps.policyMeta),
    routes4: lpm(as(maps.routes4, Lpm1)),
    neighbours4: {
      words: neighbours.words,
      index: neighbours.index,
      stride: neighbours.stride,
      shift: neighbours.shift,
      multipliers: multipliersOf(neighbours),
    },
    ctTcp4: connections(maps.ctTcp4),
    ctTcpNew4: connections(maps.ctTcpNew4),
    ctAnyNew4: connections(maps.ctAnyNew4),
  };
}

/** Removes every entry of a map. */
function empty(map: ByteMap): void {
  let key = new Uint8Array(map.spec.key.bytes);
  let next = new Uint8Array(map.spec.key.bytes);
  for (let more = map.nextKey(undefined, key); more;) {
    more = map.nextKey(key, next);
    map.delete(key);
    [key, next] = [next, key];
  }
}

/** Seconds at which the next round begins: later than the last of the round before, since time never runs backwards. */
let clock = 0;
const nextRound = (): void => {
  clock += 100;
};

/** The simulator over the packets. Two to the 17th packets make a second. */
class SimRunner {
  readonly sim: Sim;
  readonly packets: Packets;
  private readonly packet = new Packet();
  private readonly meta = new Meta();

  constructor(sim: Sim, packets: Packets) {
    this.sim = sim;
    this.packets = packets;
  }

  /** Connections gone, frames as they were. */
  prepare(): void {
    const { ctTcp4, ctTcpNew4, ctAny4, ctAnyNew4 } = this.sim.maps;
    for (const map of [ctTcp4, ctTcpNew4, ctAny4, ctAnyNew4]) empty(map);
    this.packets.restore();
    nextRound();
  }

  get connections(): number {
    const { ctTcp4, ctTcpNew4, ctAnyNew4 } = this.sim.maps;
    return ctTcp4.size + ctTcpNew4.size + ctAnyNew4.size;
  }

  run(first: number, end: number, seconds: number): number {
    const { sim, packet, meta } = this;
    const { recordWords } = sim;
    const { bytes, places, ifindexes } = this.packets;
    let sum = 0;
    for (let i = first; i < end; i++) {
      const start = places[2 * i]!;
      const stop = start + places[2 * i + 1]!;
      packet.view(bytes, start, stop, stop, 1, seconds + (i >>> 17), (i & 0x1ffff) * 7629);
      meta.ifindex = ifindexes[i]!;
      meta.mark = 0;
      const verdict = sim.run(HOOK.FROM_CONTAINER, packet, meta);
      sum = (Math.imul(sum, 31) + verdict + Math.imul(recordWords[R_BACKEND]!, 7) + recordWords[R_IFINDEX]!) | 0;
    }
    return sum;
  }

  checksum(first: number, end: number, seconds: number): number {
    const { sim, packet, meta } = this;
    const { bytes, places, ifindexes } = this.packets;
    const frames = new Int32Array(bytes.buffer);
    let sum = 0;
    const mix = (word: number): void => {
      sum = Math.imul(sum ^ word, MIX);
      sum ^= sum >>> 15;
    };
    for (let i = first; i < end; i++) {
      const start = places[2 * i]!;
      const stop = start + places[2 * i + 1]!;
      packet.view(bytes, start, stop, stop, 1, seconds + (i >>> 17), (i & 0x1ffff) * 7629);
      meta.ifindex = ifindexes[i]!;
      meta.mark = 0;
      mix(sim.run(HOOK.FROM_CONTAINER, packet, meta));
      mix(meta.mark);
      for (const word of sim.recordWords) mix(word);
      for (let w = 0; w < 14; w++) mix(frames[(start >>> 2) + w]!);
    }
    return sum;
  }
}

const JS = 'Weir simulator';
const CPP = 'C++ -O2';
const OBJECTS = 'one object a packet';

/** A run of both sides that must agree in all they did; answers what there is to say about it. */
function compare(sim: SimRunner, native: NativePipeline): string {
  const { count } = sim.packets;
  sim.prepare();
  native.clear();
  const ours = sim.checksum(0, count, clock) >>> 0;
  sim.packets.restore();
  const theirs = native.checksum(0, count, clock) >>> 0;
  if (native.unsupported > 0) throw new Error(`the C++ pipeline does not know ${native.unsupported} of the packets`);
  if (ours !== theirs) throw new Error(`checksums differ: JavaScript ${ours.toString(16)}, C++ ${theirs.toString(16)}`);
  if (sim.connections !== native.connections) {
    throw new Error(`connections differ: JavaScript ${sim.connections}, C++ ${native.connections}`);
  }
  const hex = (n: number): string => n.toString(16).padStart(8, '0');
  return `checksum JavaScript ${hex(ours)}, C++ ${hex(theirs)}; ${native.packets} of ${count} packets forwarded, ${native.connections} conntrack entries, ${native.events} events`;
}

/** Against C++: all packets, conntrack empty at the start of each round. */
function nativeSuite(name: string, sim: Sim, sizes: PacketSizes): BenchSuite {
  const packets = makePackets(sizes);
  const runner = new SimRunner(sim, packets);
  const { count } = packets;
  const ours: BenchCase = {
    name: JS,
    batch: count,
    prepare: () => runner.prepare(),
    run: () => runner.run(0, count, clock),
  };
  const Native = (loadReference() as unknown as { Pipeline?: NativeClass } | undefined)?.Pipeline;
  if (Native === undefined) return { name, cases: [ours], note: 'C++ left out: run npm run build:native' };
  const native = new Native(viewsOf(sim), packets.bytes, packets.places, packets.ifindexes);
  const note = compare(runner, native);
  const theirs: BenchCase = {
    name: CPP,
    batch: count,
    prepare: () => {
      native.clear();
      packets.restore();
      nextRound();
    },
    run: () => native.run(0, count, clock),
  };
  return { name, cases: [ours, theirs], targets: [{ of: JS, against: CPP, atMost: 1.3 }], note };
}

/** Against objects. */
function objectSuite(name: string, sim: Sim, sizes: PacketSizes): BenchSuite {
  const packets = makePackets(sizes);
  const { count, bytes, places, ifindexes } = packets;
  const runner = new SimRunner(sim, packets);
  const maglev = as(sim.maps.maglev4, ArrayOfArrays);
  const tableOf = (service: number): Uint32Array => {
    const at = maglev.findTable(service + 1);
    return maglev.pool.subarray(at, at + maglev.tableWords);
  };
  const objects = new ObjectPipeline(tableOf, MAGLEV_SEED.hash4);
  const run = (): number => {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const start = places[2 * i]!;
      const frame = bytes.subarray(start, start + places[2 * i + 1]!);
      const outcome = objects.run(frame, ifindexes[i]!, clock + (i >>> 17));
      sum = (Math.imul(sum, 31) + outcome.verdict + Math.imul(outcome.backend?.id ?? 0, 7) + outcome.ifindex) | 0;
    }
    return sum;
  };
  const prepare = (): void => {
    objects.clear();
    packets.restore();
    nextRound();
  };
  const prepared = (make: () => void, work: () => number) => (): number => {
    make();
    return work();
  };
  const ours = (): number => runner.run(0, count, clock);
  return {
    name,
    cases: [
      {
        name: JS,
        batch: count,
        prepare: () => runner.prepare(),
        run: ours,
        checksum: prepared(() => runner.prepare(), ours),
      },
      { name: OBJECTS, batch: count, prepare, run, checksum: prepared(prepare, run) },
    ],
    targets: [{ of: JS, against: OBJECTS, atMost: 1 / 8 }],
  };
}

/** A count for people. */
const text = (n: number): string =>
  n >= 1_000_000 ? `${n / 1_000_000}M` : n >= 10_000 ? `${n / 1000}k` : n.toLocaleString('en');

/** All suites. `only` takes those whose name contains it. */
export function* suites(only = '', { pipeline }: BenchSizes = FULL): Generator<BenchSuite> {
  const { maglevSize } = pipeline;
  const sim = createSim({ specs: { ...SIZES, maglev4: { innerEntries: maglevSize } }, seed: 1 });
  fillMaps(sim.maps, maglevSize);
  const size = ({ packets, flows, mixed }: PacketSizes): string =>
    `${text(packets)} packets${mixed ? '' : ' of 60 bytes'}, ${text(flows)} flows, 5k services`;
  const cold = `pipeline: ${size(pipeline.cold)}, cold`;
  const hot = `pipeline: ${size(pipeline.hot)}, hot`;
  const objects = `pipeline against objects: ${size(pipeline.objects)}`;
  if (cold.includes(only)) yield nativeSuite(cold, sim, pipeline.cold);
  if (hot.includes(only)) yield nativeSuite(hot, sim, pipeline.hot);
  if (objects.includes(only)) yield objectSuite(objects, sim, pipeline.objects);
}

if (isMain(import.meta.url)) runSuites(suites(process.argv[2]), { rounds: 11, warmUp: 2 });
