// Tries mutants one after the other in one process. Arguments: first and last number, test files. Out, a line each: the number
// and the test that noticed it, or `survived`. Invariant: with mutant 0 every test passes, else nothing is tried.
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';

const [list, ...files] = process.argv.slice(2);
const initial = Number(process.env.WEIR_MUTANT ?? 0);
globalThis.__mutant = initial;
fc.configureGlobal({ endOnFailure: true, seed: 1 });
for (const file of files) await import(pathToFileURL(file).href);
const { registered, runUntilFailure } = await import(new URL('./registry.mjs', import.meta.url).href);
const say = (line) => process.stdout.write(`${line}\n`);
const broken = initial === 0 ? await runUntilFailure() : undefined;
if (broken !== undefined) {
  say(`broken ${broken}`);
  process.exit(1);
}
say(`ready ${registered.length}`);
for (const number of list.split(',')) {
  say(`try ${number}`);
  globalThis.__mutant = Number(number);
  let noticed;
  try {
    noticed = await runUntilFailure();
  } catch (error) {
    noticed = String(error);
  }
  say(`${number} ${noticed === undefined ? 'survived' : `killed ${noticed.replaceAll('\n', ' ')}`}`);
}
process.exit(0);
