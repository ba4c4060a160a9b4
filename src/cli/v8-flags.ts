// Raises V8's inlining budget, so that map lookups fold into the per-packet functions. Imported first, before any module
// with hot code is loaded: the flags only count for functions optimised later. Measured: 1.2 to 1.5 times the packets.
import v8 from 'node:v8';

v8.setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000');
v8.setFlagsFromString('--max-inlined-bytecode-size=1500');
