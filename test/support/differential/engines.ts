// The engines of a differential run. Input: a name, the object file of the kernel programs. Output: factories.
// Invariant: both engines have the same bounds, so that nothing depends on them.
import { readFileSync } from 'node:fs';
import type { Dataplane } from '../../../src/dataplane/index.ts';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import { createXdp, kernelUnavailable, loadAddon } from '../../../src/dataplane/xdp/index.ts';
import type { EngineFactory } from './run.ts';
import { SIZES } from './world.ts';

/** Engine A: the simulator. */
export const simulator = (): Dataplane => createSim({ specs: SIZES, seed: 1 });

/** Why the kernel engine cannot run here, or undefined. `object`: a file of compiled programs instead of the built one. */
export function missing(object: string | undefined): string | undefined {
  const why = kernelUnavailable(object === undefined ? 'engine' : 'maps');
  if (why !== undefined) return why.feature;
  return loadAddon() instanceof Error ? 'native addon weir_bpf' : undefined;
}

/** Engine B: the kernel's, or for trying the run itself another simulator. */
export function engineB(name: string, object: string | undefined): EngineFactory {
  if (name === 'sim') return () => createSim({ specs: SIZES, seed: 2 });
  const bytes = object === undefined ? {} : { object: new Uint8Array(readFileSync(object)) };
  return (features) => createXdp({ ...bytes, features, specs: SIZES });
}
