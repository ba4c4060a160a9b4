// Stands in for `node:test` while mutants are tried: collects tests and runs them one by one, until the first that fails.
// In: test files that import it. Out: `registered`, `runUntilFailure`. Invariant: a test that was skipped is not run.
export const registered = [];
/** What the suites around the place that is read run before and after each of their tests. */
let around = { before: [], after: [] };

export function test(name, options, body) {
  const run = typeof options === 'function' ? options : body;
  const settings = typeof options === 'function' || options === undefined ? {} : options;
  if (run === undefined || settings.skip) return;
  const suite = around;
  registered.push({
    name,
    run: async (given) => {
      for (const hook of suite.before) await hook();
      try {
        await run(given);
      } finally {
        for (const hook of suite.after) await hook();
      }
    },
  });
}
test.skip = () => undefined;
test.todo = () => undefined;
export const it = test;
export function describe(_name, options, body) {
  const run = typeof options === 'function' ? options : body;
  if (typeof options !== 'function' && options?.skip) return;
  const outside = around;
  around = { before: [...outside.before], after: [...outside.after] };
  run();
  around = outside;
}
export const suite = describe;
export const before = (run) => run();
export const after = () => undefined;
export const beforeEach = (run) => around.before.push(run);
export const afterEach = (run) => around.after.push(run);
export default test;

const context = {
  diagnostic: () => undefined,
  skip: () => undefined,
  test: async (_name, run) => run(context),
  after: () => undefined,
};

/** The name of the first test that fails, or undefined. Tests that have failed before are asked first. */
export async function runUntilFailure() {
  for (let i = 0; i < registered.length; i++) {
    const own = registered[i];
    try {
      await own.run(context);
    } catch {
      registered.splice(i, 1);
      registered.unshift(own);
      return own.name;
    }
  }
  return undefined;
}
