#!/usr/bin/env node
// The entry of the bundled command line: sets V8's flags, then loads the program beside it and runs it.
// Input: the process's arguments. Output: an exit code. Invariant: nothing hot is compiled before the flags are set.
import './v8-flags.ts';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadProgram } from './program-chunks.ts';

const { runProgram } = loadProgram(dirname(fileURLToPath(import.meta.url)));
process.exitCode = await runProgram(process.argv.slice(2));
