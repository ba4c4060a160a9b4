// The kernel engine for a command: loaded only where it is asked for. Input: what is to be done with one. Output: what came of it;
// a CommandFailure that says what is missing where the engine cannot run.
import type { Dataplane } from '../dataplane/index.ts';
import { safeText } from '../flow/index.ts';
import { CommandFailure } from './failure.ts';
import type { MakeDataplane } from './world.ts';

/** Calls `use` with what makes a kernel engine that takes packets of captures; the engine is closed by whoever made it. */
export async function inKernel<T>(use: (make: MakeDataplane<Dataplane>) => T | Promise<T>): Promise<T> {
  const { BpfError, createXdp, FramedDataplane, kernelUnavailable } = await import('../dataplane/xdp/index.ts');
  const missing = kernelUnavailable();
  if (missing !== undefined) {
    const remedy = missing.command === undefined ? '' : `; ${missing.command}`;
    throw new CommandFailure(`--dataplane xdp: ${missing.reason}${remedy} (weir doctor tells more)`);
  }
  try {
    return await use((sizes) => new FramedDataplane(createXdp(sizes)));
  } catch (cause) {
    if (cause instanceof BpfError) throw new CommandFailure(safeText(`--dataplane xdp: ${cause.message}`));
    throw cause;
  }
}
