// Raises V8's inlining budget, so that map lookups fold into the per-packet functions. Imported first, before any module
// with hot code is loaded: the flags only count for functions optimised later. A moderate budget: a replay of a gigabyte
// is over in seconds, and with 4000 the compiler took longer than it saved (2.9 s against 2.7 s).
import process from 'node:process';
import v8 from 'node:v8';

v8.setFlagsFromString('--max-inlined-bytecode-size-cumulative=1500');
v8.setFlagsFromString('--max-inlined-bytecode-size=1500');
// Four times Node 20's: functions are optimised when more is known of what they see. Fewer are thrown away and made again, and
// the compiler's threads leave the processor to those that read and judge (0.965 of a replay's time; eight times is no better).
// Later versions have no such flag, and would say so.
if (process.versions.v8.startsWith('11.')) v8.setFlagsFromString('--interrupt-budget=270336');
