// Writes the cache of the bundled program: run by the build, never by the command. Input: the arguments of a replay, which
// shows V8 what a command uses. Output: the cache file beside this one. Invariant: the flags are the launcher's, since V8
// refuses code that was compiled under others.
import './v8-flags.ts';
import { writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFile, cachePath, loadProgram } from './program-chunks.ts';

const folder = dirname(fileURLToPath(import.meta.url));
const { runProgram, script, source } = loadProgram(folder);
process.exitCode = await runProgram(process.argv.slice(2));
if (process.exitCode === 0) writeFileSync(cachePath(folder), cacheFile(source, script.createCachedData()));
