// Properties of the packet index: with it a reader finds the same packets and the same error as without, wherever chunks and
// reads are cut and whatever is damaged; and what it says of a packet is true.
import { deepStrictEqual, equal, ok } from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { IndexedFile } from '../../../src/capture/file/indexed-file.ts';
import { ReadAhead, Slot, type SlotFiller } from '../../../src/capture/file/read-ahead.ts';
import { CaptureReader, INDEX, INDEX_WORDS, plainPcap, type PacketSource } from '../../../src/capture/index.ts';
import { glance, GLANCE_WORDS } from '../../../src/wire/index.ts';
import { encodePcap, joined } from '../../support/capture-encoder.ts';
import { pcapFiles, readAll, readerOf } from '../../support/capture-reading.ts';
import { frame } from '../../support/packets.ts';

/** Indexes as the thread does, in this one. `failAt`: from this byte on, reads are refused. */
function indexing(file: Uint8Array, pieceBytes: number, packets: number, failAt: number, failFill: number): SlotFiller {
  const indexed = new IndexedFile(
    (into, at, length, position) => {
      if (position >= failAt) throw new Error('input/output error');
      const part = file.subarray(position, Math.min(position + length, failAt));
      into.set(part, at);
      return part.length;
    },
    plainPcap(file)!,
    pieceBytes,
  );
  let fills = 0;
  const words = new Map<Slot, Int32Array>();
  return {
    slot(headroom, size) {
      const slot = new Slot(headroom, new SharedArrayBuffer(headroom + size));
      words.set(slot, new Int32Array(packets * INDEX_WORDS));
      return slot;
    },
    fill(slot, position) {
      if (fills++ >= failFill) return Promise.resolve(false);
      slot.bytes.fill(0xa5, slot.start);
      const index = words.get(slot)!;
      const { end, count, failure } = indexed.fill(slot.bytes, slot.start, index, position);
      slot.end = end;
      slot.index = { words: index, count };
      slot.failure = failure === undefined ? undefined : new Error(failure);
      return Promise.resolve(true);
    },
    close: () => Promise.resolve(),
  };
}

/** Counts the packets that are indexed, and checks what the index says of each. */
class Checked {
  glanced = 0;
  readonly source: PacketSource;
  private readonly words = new Int32Array(GLANCE_WORDS);

  constructor(reader: CaptureReader) {
    const next = reader.next.bind(reader);
    reader.next = () => {
      const at = reader.indexed();
      if (!next()) {
        equal(at, -1);
        return false;
      }
      if (at >= 0) {
        this.glanced++;
        const { bytes, offset, capturedBytes, wireBytes, seconds, nanoseconds } = reader;
        const said = [...reader.index.subarray(at, at + INDEX_WORDS)];
        this.words.set(said.slice(INDEX.GLANCE));
        glance(bytes, offset, capturedBytes, Math.max(wireBytes, capturedBytes), this.words, 0);
        const facts = [offset, capturedBytes, wireBytes | 0, seconds | 0, nanoseconds];
        deepStrictEqual(said.slice(INDEX.DATA), [...facts, ...this.words]);
      }
      return true;
    };
    this.source = reader;
  }
}

const noReads = (): Promise<number> => Promise.reject(new Error('read without the thread'));
const closed = (): Promise<void> => Promise.resolve();
const tcp = frame({ protocol: 'tcp', source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 1, destinationPort: 2 });

const plainFiles = fc
  .tuple(
    pcapFiles,
    fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 0, max: 1_000_000 }), fc.nat(60)), { maxLength: 20 }),
  )
  .map(([made, more]) =>
    joined(
      encodePcap({
        ...made,
        littleEndian: true,
        linkType: 1,
        packets: [
          ...more.map(([extra, fraction, cut]) => ({
            data: tcp.slice(0, tcp.length - Math.min(cut, 30)),
            extraWire: extra,
            seconds: 4_000_000_000,
            fraction,
          })),
          ...made.packets,
        ],
      }),
    ),
  );
const edits = fc.array(fc.tuple(fc.nat(4000), fc.integer({ min: 0, max: 255 })), { maxLength: 2 });

test('the same packets and error with an index as without, also of damaged files', async () => {
  let glanced = 0;
  let all = 0;
  await fc.assert(
    fc.asyncProperty(
      plainFiles,
      fc.integer({ min: 1, max: 900 }),
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 0, max: 30 }),
      edits,
      async (file, size, piece, room, changes) => {
        for (const [at, value] of changes) if (at % file.length >= 24) file[at % file.length] = value;
        const filler = indexing(file, piece, room, Infinity, Infinity);
        const checked = new Checked(new CaptureReader(new ReadAhead(noReads, closed, size, filler)));
        const found = await readAll(checked.source);
        deepStrictEqual(found, await readAll(readerOf(file)));
        all += found.packets.length;
        glanced += checked.glanced;
      },
    ),
    { numRuns: 400 },
  );
  ok(all > 1000 && glanced > all / 10, `${glanced} of ${all}`);
});

test('whoever goes past packets of the index meets the ones behind them', async () => {
  let passed = 0;
  await fc.assert(
    fc.asyncProperty(
      plainFiles,
      fc.integer({ min: 1, max: 900 }),
      fc.array(fc.nat(5), { minLength: 1, maxLength: 9 }),
      async (file, size, steps) => {
        const all = (await readAll(readerOf(file))).packets;
        const filler = indexing(file, 300, 30, Infinity, Infinity);
        const reader = new CaptureReader(new ReadAhead(noReads, closed, size, filler));
        let turn = 0;
        do {
          for (;;) {
            const at = reader.indexed();
            const many = at < 0 ? 0 : Math.min(steps[turn++ % steps.length]!, (reader.indexEnd - at) / INDEX_WORDS);
            if (many > 0) reader.pass(at + many * INDEX_WORDS);
            passed += many;
            if (!reader.next()) break;
            const { bytes, offset, capturedBytes, seconds } = reader;
            const { data, seconds: second } = all[reader.number - 1]!;
            deepStrictEqual([bytes.slice(offset, offset + capturedBytes), seconds], [data, second]);
          }
        } while (await reader.fill());
        await reader.close();
        equal(reader.number, all.length);
      },
    ),
    { numRuns: 300 },
  );
  ok(passed > 100);
});

test('packets behind the first of a chunk come with a glance, in any order of lengths', async () => {
  const lengths = [0, 54, 300, 54, 0, 0, 54, 1, 400, 54, 54, 54];
  const file = joined(
    encodePcap({
      littleEndian: true,
      nanoseconds: true,
      modified: false,
      linkType: 1,
      snapLength: 0,
      packets: lengths.map((length, i) => ({
        data: Uint8Array.from({ length }, (_, at) => tcp[at] ?? 0),
        extraWire: 0,
        seconds: i,
        fraction: i,
      })),
    }),
  );
  for (const size of [100, 500, 1000, 5000]) {
    const reader = new CaptureReader(new ReadAhead(noReads, closed, size, indexing(file, 77, 100, Infinity, Infinity)));
    const checked = new Checked(reader);
    deepStrictEqual(await readAll(checked.source), await readAll(readerOf(file)));
    if (size >= 1000) ok(checked.glanced >= lengths.length - 5, `${checked.glanced} with chunks of ${size}`);
  }
});

test('a read that fails, and a thread that ends: every packet all the same', async () => {
  await fc.assert(
    fc.asyncProperty(
      plainFiles,
      fc.integer({ min: 1, max: 900 }),
      fc.nat(4000),
      fc.nat(4),
      fc.boolean(),
      async (file, size, at, fills, fails) => {
        const failAt = fails ? Math.max(24, at % file.length) : Infinity;
        const reads = (into: Uint8Array, to: number, length: number, position: number): Promise<number> => {
          if (position >= failAt) return Promise.reject(new Error('input/output error'));
          const part = file.subarray(position, Math.min(position + length, failAt));
          into.set(part, to);
          return Promise.resolve(part.length);
        };
        const filler = indexing(file, 64, 30, failAt, fails ? Infinity : fills);
        const found = await readAll(new CaptureReader(new ReadAhead(reads, closed, size, filler)));
        const plain = await readAll(new CaptureReader(new ReadAhead(reads, closed, size)));
        deepStrictEqual(found, plain);
      },
    ),
    { numRuns: 200 },
  );
});
