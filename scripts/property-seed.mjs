// Imported before each test file where WEIR_SEED is set: the properties that name no seed of their own begin with that one, so that
// a run can be repeated exactly. Input: WEIR_SEED, a 32-bit integer. Without it every run tries other inputs.
import process from 'node:process';
import fc from 'fast-check';

const seed = Number(process.env.WEIR_SEED);
if (!Number.isInteger(seed)) throw new Error(`WEIR_SEED is not an integer: ${process.env.WEIR_SEED}`);
fc.configureGlobal({ seed: seed | 0 });
