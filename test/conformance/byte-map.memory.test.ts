// The in-memory maps pass the ByteMap suite: with random and fixed multipliers, and with all keys in one run.
import { createMap } from '../../src/maps/index.ts';
import { runByteMapSuite } from './byte-map.ts';

runByteMapSuite({ name: 'memory', make: (spec) => createMap(spec) });
runByteMapSuite({ name: 'memory, fixed seed', make: (spec) => createMap(spec, { seed: 1 }) });
runByteMapSuite({
  name: 'memory, every key collides',
  make: (spec) => createMap(spec, { multipliers: new Int32Array(26) }),
});
