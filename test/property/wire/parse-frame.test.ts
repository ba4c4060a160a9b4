// Properties of dissection on any bytes: bounds, independence of what lies behind the capture, cut against bad.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Headers, parseFrame, WIRE, wireStatusName } from '../../../src/wire/index.ts';
import { anyFrame } from './arbitraries.ts';
import { dissect } from './dissect.ts';

const AT = 3;

/** The frame at offset AT in a buffer whose other bytes are `poison`. */
function place(frame: Uint8Array, captured: number, poison: number): Uint8Array {
  const out = new Uint8Array(AT + frame.length + 64).fill(poison);
  out.set(frame.subarray(0, captured), AT);
  return out;
}

/** A Uint8Array that fails on every read behind an end. */
function guarded(bytes: Uint8Array, end: number): Uint8Array {
  return new Proxy(bytes, {
    get(target, key) {
      if (typeof key === 'string' && /^-?\d+$/.test(key)) {
        const at = Number(key);
        assert.ok(at >= AT && at < end, `read at ${at}, captured [${AT}, ${end})`);
        return target[at];
      }
      return Reflect.get(target, key, target) as unknown;
    },
  });
}

const cutting = fc
  .record({ made: anyFrame, cut: fc.oneof(fc.constant(0), fc.nat(120)), more: fc.oneof(fc.constant(0), fc.nat(80)) })
  .map(({ made, cut, more }) => ({ ...made, cut, more }));

describe('dissection of any bytes', () => {
  it('never throws, never reads outside the captured bytes, and yields int32 only', () => {
    fc.assert(
      fc.property(cutting, ({ frame, linkType, cut, more }) => {
        const captured = Math.max(0, frame.length - cut);
        const said = dissect(
          guarded(place(frame, captured, 0), AT + captured),
          linkType,
          AT,
          AT + captured,
          AT + frame.length + more,
        );
        for (const value of said) assert.equal(value, value | 0);
      }),
      { numRuns: 1500 },
    );
  });

  it('does not depend on what lies around the captured bytes', () => {
    fc.assert(
      fc.property(cutting, ({ frame, linkType, cut, more }) => {
        const captured = Math.max(0, frame.length - cut);
        const wire = AT + frame.length + more;
        const clean = dissect(place(frame, captured, 0), linkType, AT, AT + captured, wire);
        assert.deepEqual(dissect(place(frame, captured, 0xff), linkType, AT, AT + captured, wire), clean);
        assert.deepEqual(dissect(place(frame, captured, 0x45), linkType, AT, AT + captured, wire), clean);
      }),
      { numRuns: 1500 },
    );
  });

  it('does not depend on what the result held before', () => {
    fc.assert(
      fc.property(cutting, anyFrame, ({ frame, linkType, cut }, other) => {
        const captured = Math.max(0, frame.length - cut);
        const fresh = new Headers();
        const used = new Headers();
        parseFrame(used, other.linkType, other.frame, 0, other.frame.length, other.frame.length);
        const bytes = place(frame, captured, 0);
        const status = parseFrame(fresh, linkType, bytes, AT, AT + captured, AT + frame.length);
        assert.equal(parseFrame(used, linkType, bytes, AT, AT + captured, AT + frame.length), status);
        assert.deepEqual(used, fresh);
      }),
      { numRuns: 1500 },
    );
  });

  it('keeps its offsets in order and inside the wire', () => {
    fc.assert(
      fc.property(cutting, ({ frame, linkType, cut, more }) => {
        const captured = AT + Math.max(0, frame.length - cut);
        const wire = AT + frame.length + more;
        const h = new Headers();
        const status = parseFrame(h, linkType, place(frame, captured - AT, 0), AT, captured, wire);
        if (status !== WIRE.OK && status !== WIRE.UNKNOWN_L4) return;
        assert.ok(h.l3 === AT + h.linkHeaderBytes && h.l4 === h.l3 + h.ipHeaderBytes);
        assert.ok(h.l4 <= h.payload && h.payload <= h.l3 + h.l3Length && h.l3 + h.l3Length <= wire);
        assert.ok(h.l4ChecksumOffset === 0 || (h.l4ChecksumOffset > h.l4 && h.l4ChecksumOffset + 2 <= captured));
        assert.ok(h.family === 4 || h.family === 6);
      }),
      { numRuns: 1500 },
    );
  });

  it('calls a frame that was only cut CUT or OK, with the same fields, never bad', () => {
    let full = 0;
    let cuts = 0;
    fc.assert(
      fc.property(anyFrame, ({ frame, linkType }) => {
        const whole = new Headers();
        const status = parseFrame(
          whole,
          linkType,
          place(frame, frame.length, 0),
          AT,
          AT + frame.length,
          AT + frame.length,
        );
        if (status !== WIRE.OK && status !== WIRE.UNKNOWN_L4) return;
        full++;
        for (let captured = 0; captured < frame.length; captured++) {
          const part = new Headers();
          const bytes = place(frame, captured, 0xff);
          const got = parseFrame(part, linkType, bytes, AT, AT + captured, AT + frame.length);
          if (got === status) assert.deepEqual(part, whole);
          else assert.equal(wireStatusName(got), 'CUT', `captured ${captured}`);
          if (got === WIRE.CUT) cuts++;
        }
      }),
      { numRuns: 800 },
    );
    assert.ok(full > 300 && cuts > 10000, `the property saw ${full} whole frames and ${cuts} cuts`);
  });

  it('reaches every status', () => {
    const seen = new Set<number>();
    fc.assert(
      fc.property(cutting, ({ frame, linkType, cut, more }) => {
        const captured = Math.max(0, frame.length - cut);
        const h = new Headers();
        seen.add(parseFrame(h, linkType, place(frame, captured, 0), AT, AT + captured, AT + frame.length + more));
        seen.add(parseFrame(h, linkType, place(frame, frame.length, 0), AT, AT + frame.length, AT + frame.length));
      }),
      { numRuns: 4000, seed: 1 },
    );
    for (const status of Object.values(WIRE)) {
      if (status === WIRE.NO_INNER || status === WIRE.BAD_TUNNEL) continue;
      assert.ok(seen.has(status), wireStatusName(status));
    }
  });
});
