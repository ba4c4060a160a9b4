// Where things are: the repository's root, golden files, and the folders beside the repository that some tests use.
// Input: nothing but the environment. Output: paths. The same for tests run from TypeScript and compiled into dist/.
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const ROOT = rootOf(fileURLToPath(new URL('.', import.meta.url)));

function rootOf(folder: string): string {
  let here = folder;
  while (!existsSync(join(here, 'package.json'))) here = join(here, '..');
  return resolve(here);
}

/** A golden file. */
export const goldenFile = (name: string): string => join(ROOT, 'test', 'golden', name);

/** Whether golden files are to be rewritten: `npm test -- --update`. */
export const UPDATE_GOLDEN = process.env['WEIR_UPDATE_GOLDEN'] === '1';

/** Captures from elsewhere: WEIR_CAPTURES, or shared/captures beside the repository. May be absent. */
export const CAPTURES = resolve(process.env['WEIR_CAPTURES'] ?? join(ROOT, '..', 'shared', 'captures'));

/** Published policy truth tables: WEIR_POLICY_CASES, or shared/cases/policy beside the repository. May be absent. */
export const POLICY_CASES = resolve(process.env['WEIR_POLICY_CASES'] ?? join(ROOT, '..', 'shared', 'cases', 'policy'));
