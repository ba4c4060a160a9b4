// Writes every generated file, or with --check says which ones are stale and changes nothing.
// Each generator below scripts/gen/ exports generate(): {path, text}[] with paths from the repository's root.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const check = process.argv.includes('--check');
let stale = 0;
const folder = join(root, 'scripts', 'gen');
for (const name of readdirSync(folder)
  .filter((n) => n.endsWith('.mjs'))
  .sort()) {
  const { generate } = await import(pathToFileURL(join(folder, name)).href);
  for (const { path, text } of await generate()) {
    const target = join(root, path);
    const old = existsSync(target) ? readFileSync(target, 'utf8') : '';
    if (old === text) continue;
    if (check) {
      process.stderr.write(`${path} is stale: run npm run gen\n`);
      stale++;
    } else {
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, text);
      process.stdout.write(`wrote ${path}\n`);
    }
  }
}
process.exit(stale === 0 ? 0 : 1);
