// Every struct of the schema: decode(encode(x)) = x at any offset, nothing outside the struct is touched, and the
// encoding of a decoded random byte string differs from it in padding only.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { allStructs } from '../../../src/schema/index.ts';

describe('schema structs', () => {
  for (const type of allStructs()) {
    it(`${type.name}: bytes → value → bytes`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ minLength: type.bytes, maxLength: type.bytes }), fc.nat(9), (raw, offset) => {
          const decoded = type.decode(raw);
          const out = new Uint8Array(type.bytes + 20).fill(0xa5);
          type.encode(decoded, out, offset);
          assert.deepEqual(type.decode(out, offset), decoded);
          for (const field of type.fields) {
            for (let i = 0; i < field.bytes; i++) {
              const expected = field.type.kind === 'pad' ? 0 : raw[field.offset + i];
              assert.equal(out[offset + field.offset + i], expected);
            }
          }
          assert.ok(out.subarray(0, offset).every((b) => b === 0xa5));
          assert.ok(out.subarray(offset + type.bytes).every((b) => b === 0xa5));
        }),
        { numRuns: 50 },
      );
    });
  }
});
