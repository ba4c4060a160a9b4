#!/usr/bin/env node
// The installed command: runs the compiled program.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = new URL('../dist/bundle/weir.js', import.meta.url);
if (existsSync(fileURLToPath(main))) {
  await import(main.href);
} else {
  process.stderr.write('weir: not built yet: run `npm run build` in its folder\n');
  process.exitCode = 2;
}
