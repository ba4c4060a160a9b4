// The compiled object's BTF equals the schema: what the C compiler laid out is what TypeScript reads and writes.
// Input: the native build's object. Output: names, sizes, offsets, byte-order types compared for every struct of the contract.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { builtObject } from '../../src/dataplane/xdp/index.ts';
import type { PlacedField } from '../../src/layout/index.ts';
import { allStructs, loadConstants, MAPS, type MapSpec, OBJECT_MAPS } from '../../src/schema/index.ts';
import { btfStructs } from './btf.ts';
import { skipFor } from './kernel.ts';

const object = builtObject();
const skip = skipFor(object === undefined ? { feature: 'compiled programs weir.bpf.o' } : undefined);

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const typeName = ({ type }: PlacedField): string =>
  type.kind === 'bytes' || type.kind === 'pad'
    ? '__u8'
    : `__${type.kind === 'array' ? (type.element ?? '') : type.kind}`;
const indexed = ({ kind }: MapSpec): boolean => ['array', 'percpu-array', 'array-of-arrays'].includes(kind);

describe('BTF of the object', { skip }, () => {
  const found = object === undefined ? new Map<never, never>() : btfStructs(object);
  const specs: readonly MapSpec[] = [...Object.values(MAPS), ...Object.values(OBJECT_MAPS)];
  /** Structs that must be there: those of maps. Index keys and table slots are plain numbers. */
  const needed = new Set([
    loadConstants.name,
    ...specs.flatMap((spec) => [
      ...(indexed(spec) || spec.kind === 'ring' ? [] : [spec.key.name]),
      ...(spec.kind === 'ring' || spec.kind === 'array-of-arrays' ? [] : [spec.value.name]),
    ]),
  ]);

  for (const struct of allStructs()) {
    const btf = found.get(struct.name);
    if (btf === undefined && !needed.has(struct.name)) continue;
    test(struct.name, () => {
      assert.ok(btf, 'not in the object');
      assert.equal(btf.bytes, struct.bytes);
      assert.deepEqual(
        btf.members,
        struct.fields.map((field) => ({
          name: snake(field.name),
          offset: field.offset,
          bytes: field.bytes,
          type: typeName(field),
          count: field.type.count,
        })),
      );
    });
  }

  test('the structs of all maps are described', () => {
    assert.deepEqual(
      [...needed].filter((name) => !found.has(name)),
      [],
    );
    assert.ok(needed.size > 20);
  });
});
