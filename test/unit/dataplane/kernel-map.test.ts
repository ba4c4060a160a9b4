// What a map in the kernel says of errors: an absent key is an answer, a refusal is not. Input: an addon that answers with an errno.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type BpfAddon, BpfError, KernelMap } from '../../../src/dataplane/xdp/index.ts';
import { ERRNO, MAPS, type MapSpec } from '../../../src/schema/index.ts';

const EPERM = -1;
const EIO = -5;
const specs: readonly MapSpec[] = [MAPS.maglev4, MAPS.endpoints4, MAPS.metrics];

/** A map whose every lookup answers with that errno. */
function answering(spec: MapSpec, errno: number): KernelMap {
  const lookup = (): number => errno;
  const addon = { cpus: () => 2, mapLookup: lookup, mapLookupInner: lookup, mapLookupSum: lookup };
  return new KernelMap(addon as unknown as BpfAddon, spec, 1);
}

describe('a map in the kernel', () => {
  for (const spec of specs) {
    const key = new Uint8Array(spec.key.bytes);
    const value = new Uint8Array(spec.value.bytes);
    it(`${spec.name}: absent, of another size, gone: false`, () => {
      assert.equal(answering(spec, 0).lookup(key, value), true);
      for (const errno of [ERRNO.ENOENT, ERRNO.EINVAL, ERRNO.EBADF])
        assert.equal(answering(spec, errno).lookup(key, value), false);
    });

    it(`${spec.name}: refused: an error that says so`, () => {
      for (const [errno, code] of [
        [EPERM, 'EPERM'],
        [EIO, 'EIO'],
      ] as const) {
        assert.throws(
          () => answering(spec, errno).lookup(key, value),
          (error) => error instanceof BpfError && error.code === code && error.object === spec.name,
        );
      }
    });
  }
});
