// One engine of a pair: the memory of its runs, its counters, its maps' content. Input: packets, maps. Output: what came out.
// Invariant: a run allocates nothing here; frames lie behind room for what an engine puts in front of them.
import { Meta, Packet, type StoredMapName } from '../../../src/datapath/index.ts';
import type { Dataplane } from '../../../src/dataplane/index.ts';
import type { ByteMap } from '../../../src/maps/index.ts';
import { eventRecord, MAPS, metricsValue, valueBytes } from '../../../src/schema/index.ts';
import { fillMeta, type PacketStep } from './step.ts';
import { hexText, STORED } from './world.ts';

/** Room before and behind a frame, for what an engine puts around it. */
const HEADROOM = 256;
const BUFFER = 4608;
/** Bytes of an event. */
export const EVENT_BYTES = eventRecord.bytes;
/** Numbers in the counters' map. */
export const COUNTERS = MAPS.metrics.maxEntries * (metricsValue.bytes / 8);

/** One engine with the memory of its runs. */
export class Side {
  readonly engine: Dataplane;
  readonly buffer = new Uint8Array(BUFFER);
  readonly packet = new Packet();
  readonly meta = new Meta();
  readonly event = new Uint8Array(EVENT_BYTES);
  /** Counters when the sequence began, and now: packets and bytes by index. */
  before = new BigUint64Array(COUNTERS);
  now = new BigUint64Array(COUNTERS);
  readonly values = new Map<StoredMapName, Uint8Array>();
  private readonly counter = new BigUint64Array(2);
  private readonly counterBytes = new Uint8Array(this.counter.buffer);
  private readonly counterKey = new Uint32Array(1);
  private readonly counterKeyBytes = new Uint8Array(this.counterKey.buffer);

  constructor(engine: Dataplane) {
    this.engine = engine;
    for (const name of STORED) this.values.set(name, new Uint8Array(valueBytes(engine.maps[name].spec)));
  }

  run(step: PacketStep, base: number): number {
    const { bytes } = step;
    this.buffer.set(bytes, HEADROOM);
    const end = HEADROOM + bytes.length;
    this.packet.view(this.buffer, HEADROOM, end, end, 1, base + step.seconds, step.nanoseconds);
    return this.engine.run(step.hook, this.packet, fillMeta(this.meta, step.meta));
  }

  /** Reads all counters into `now`. */
  count(): void {
    const { metrics } = this.engine.maps as { metrics: unknown };
    if (typeof metrics === 'object' && metrics !== null && 'words' in metrics && metrics.words instanceof Int32Array) {
      this.now.set(new BigUint64Array(metrics.words.buffer, 0, COUNTERS));
      return;
    }
    this.now.fill(0n);
    for (const { reason, direction, packets, bytes } of this.engine.metrics()) {
      const at = (reason * 4 + direction) * 2;
      this.now[at] = packets;
      this.now[at + 1] = bytes;
    }
  }

  /** Reads the counters that `other` says have changed, and takes the rest for unchanged. */
  countAs(other: Side): void {
    this.now.set(this.before);
    for (let i = 0; i < COUNTERS; i += 2) {
      if (other.now[i] === other.before[i]) continue;
      this.counterKey[0] = i >> 1;
      this.engine.maps.metrics.lookup(this.counterKeyBytes, this.counterBytes);
      this.now[i] = this.counter[0]!;
      this.now[i + 1] = this.counter[1]!;
    }
  }

  settle(): void {
    const { before } = this;
    this.before = this.now;
    this.now = before;
  }
}

/** Every entry of a map: as the kernel's maps give them at once, where they can. */
export function dumpOf(map: ByteMap): { keys: Uint8Array; values: Uint8Array; count: number } {
  if ('dump' in map && typeof map.dump === 'function') {
    return (map as ByteMap & { dump(): { keys: Uint8Array; values: Uint8Array; count: number } }).dump();
  }
  const { key } = map.spec;
  const size = valueBytes(map.spec);
  const keys = new Uint8Array(map.size * key.bytes);
  const values = new Uint8Array(map.size * size);
  let count = 0;
  for (const [k, v] of map.entries()) {
    keys.set(k, count * key.bytes);
    values.set(v, count * size);
    count++;
  }
  return { keys, values, count };
}

/** An entry for people. */
export function entryText(name: StoredMapName, key: Uint8Array, value: Uint8Array): string {
  const text = (fields: unknown): string =>
    JSON.stringify(fields, (_, field: unknown) =>
      field instanceof Uint8Array ? hexText(field) : typeof field === 'bigint' ? `${field}` : field,
    );
  return `${text(MAPS[name].key.decode(key))} → ${text(MAPS[name].value.decode(value))}`;
}
