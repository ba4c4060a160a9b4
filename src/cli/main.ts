#!/usr/bin/env node
// The entry of the command line: sets V8's flags, then loads everything else and runs it.
// Input: the process's arguments. Output: an exit code. Invariant: nothing hot is imported before the flags are set.
import './v8-flags.ts';

const { runProgram } = await import('./program.ts');
process.exitCode = await runProgram(process.argv.slice(2));
