// A process that tries mutants. In, by messages: first `load` (test files, a mutant that is on while they load), then `plan` or
// `try`. Out: `planned` (what every test takes and which mutants it can notice); for each mutant `tried` with the test that noticed
// it. Invariant: a test that fails under a mutant counts only if it passes again without; else this process says `spoilt` and ends.
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { reading, registered, run } from './registry.mjs';
import { begin, endless, found, provide, taken } from './runtime.mjs';

fc.configureGlobal({ endOnFailure: true, seed: 1 });
const say = (message) => new Promise((resolve) => process.send(message, resolve));
const short = (error) =>
  String(error?.message ?? error)
    .split('\n')[0]
    .slice(0, 200);
let onWhileLoading = 0;

async function load({ files, mutants, mutant }) {
  provide(mutants);
  onWhileLoading = mutant;
  begin(mutant);
  for (const { name, path } of files) {
    await reading(name, () => import(pathToFileURL(path).href));
    await say({ word: 'reading' });
  }
  await say({ word: 'loaded', tests: registered.length, differed: found() });
}

/** Every test without a mutant: what it costs, what it can notice. */
async function plan() {
  const tests = [];
  for (const one of registered) {
    const { file, number, name } = one;
    begin(0);
    // Processor time: on a busy machine the clock tells of others.
    const from = process.cpuUsage();
    const error = await run(one);
    const { user, system } = process.cpuUsage(from);
    const ms = (user + system) / 1000;
    const failed = error === undefined ? undefined : `${file}: ${name}: ${error.stack ?? short(error)}`;
    tests.push({ file, number, name, ms, steps: taken(), differed: found(), failed });
    await say({ word: 'running' });
  }
  await say({ word: 'planned', tests });
}

/** `tests`: file, number and steps of those that can notice it, in the order to ask them. */
async function attempt({ mutant, tests }) {
  const known = new Map(registered.map((one) => [`${one.file} ${one.number}`, one]));
  let told = performance.now();
  for (const { file, number, steps } of tests) {
    const one = known.get(`${file} ${number}`);
    if (one === undefined) continue;
    begin(mutant, steps * 100 + 100_000);
    const error = await run(one);
    const why = endless() ? 'no end' : error === undefined ? undefined : short(error);
    if (why !== undefined) {
      begin(0);
      const spoilt = onWhileLoading === 0 && (await run(one)) !== undefined;
      await say({ word: spoilt ? 'spoilt' : 'tried', mutant, file, number, name: one.name, why });
      if (spoilt) process.exit(0);
      return;
    }
    if (performance.now() - told < 1000) continue;
    told = performance.now();
    await say({ word: 'running' });
  }
  await say({ word: 'tried', mutant });
}

process.on('message', (message) => {
  const own = { load, plan, try: attempt }[message.word];
  own(message).catch((error) => {
    process.send({ word: 'broken', why: error.stack }, () => process.exit(1));
  });
});
