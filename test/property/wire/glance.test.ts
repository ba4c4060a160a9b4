// Properties of a glance: what it tells is what dissection finds, and it reads captured bytes only.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { glance, GLANCE, GLANCE_PLAIN, GLANCE_WORDS, Headers, parseFrame, WIRE } from '../../../src/wire/index.ts';
import { frame as tcpFrame } from '../../support/packets.ts';
import { anyFrame } from './arbitraries.ts';

const AT = 5;
const PLACE = 3;
const ENDS = fc.record({ cut: fc.oneof(fc.constant(0), fc.nat(80)), more: fc.oneof(fc.constant(0), fc.nat(80)) });

/** Plain TCP over IPv4, and what a byte changed makes of it. */
const nearly = fc
  .record({
    flags: fc.constantFrom('S', 'SA', 'A', 'FA', 'R', 'PA'),
    ttl: fc.integer({ min: 0, max: 255 }),
    changes: fc.array(fc.tuple(fc.nat(53), fc.integer({ min: 0, max: 255 })), { maxLength: 1 }),
  })
  .map(({ flags, ttl, changes }) => {
    const bytes = tcpFrame({
      protocol: 'tcp',
      source: '10.0.0.1',
      destination: '10.0.0.2',
      sourcePort: 4000,
      destinationPort: 80,
      flags,
      ttl,
    });
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  });

function glanceAt(frame: Uint8Array, cut: number, more: number): Int32Array {
  const captured = Math.max(0, frame.length - cut);
  const bytes = new Uint8Array(PLACE + captured);
  bytes.set(frame.subarray(0, captured), PLACE);
  const words = new Int32Array(AT + GLANCE_WORDS).fill(0x55555555);
  // Only what was captured may be read; a read behind it would be a NaN, which no typed array keeps.
  const watched = new Proxy(bytes, {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) assert.ok(Number(key) < target.length, `read at ${key}`);
      return Reflect.get(target, key, target) as unknown;
    },
  });
  glance(watched, PLACE, captured, frame.length + more, words, AT);
  assert.deepEqual([...words.subarray(0, AT)], new Array(AT).fill(0x55555555));
  return words.subarray(AT);
}

describe('a glance at a frame', () => {
  it('tells nothing but what dissection finds', () => {
    let told = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          nearly,
          anyFrame.map(({ frame }) => frame),
        ),
        ENDS,
        (frame, { cut, more }) => {
          const words = glanceAt(frame, cut, more);
          const info = words[GLANCE.INFO]!;
          if (info === 0) return;
          told++;
          const h = new Headers();
          const captured = Math.max(0, frame.length - cut);
          assert.equal(parseFrame(h, 1, frame, 0, captured, frame.length + more), WIRE.OK);
          assert.deepEqual([h.family, h.protocol, h.vlanCount, h.fragment, h.ipHeaderBytes], [4, 6, 0, 0, 20]);
          assert.deepEqual([...words], [h.s0, h.d0, h.ports, GLANCE_PLAIN | (h.ttl << 8) | h.tcpFlags]);
        },
      ),
      { numRuns: 2000 },
    );
    assert.ok(told > 200, `${told} were told`);
  });

  it('tells every plain TCP segment', () => {
    for (const flags of ['S', 'A', 'FA']) {
      const frame = tcpFrame({
        protocol: 'tcp',
        source: '10.0.0.1',
        destination: '10.0.0.2',
        sourcePort: 1,
        destinationPort: 2,
        flags,
      });
      assert.notEqual(glanceAt(frame, 0, 0)[GLANCE.INFO], 0);
      assert.equal(glanceAt(frame, frame.length - 53, 0)[GLANCE.INFO], 0);
    }
  });
});
