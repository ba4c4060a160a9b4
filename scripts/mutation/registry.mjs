// Stands in for `node:test` while mutants are tried: collects tests, and runs one. In: test files that import it.
// Out: `registered`, `run`. Invariant: a test that was skipped is not there.
export const registered = [];
/** What the suites around the place that is read run before and after each of their tests. */
let around = { names: [], before: [], after: [] };
let file = '';
const preparations = [];

/** Tests that register from here on are in this file. */
export async function reading(name, load) {
  file = name;
  around = { names: [], before: [], after: [] };
  await load();
  await Promise.all(preparations.splice(0));
}

export function test(name, options, body) {
  const own = typeof options === 'function' ? options : body;
  const settings = typeof options === 'function' || options === undefined ? {} : options;
  if (own === undefined || settings.skip) return;
  const suite = around;
  const known = registered.filter((other) => other.file === file).length;
  registered.push({ file, number: known, name: [...suite.names, name].join(' > '), suite, own });
}
test.skip = () => undefined;
test.todo = () => undefined;
export const it = test;
export function describe(name, options, body) {
  const own = typeof options === 'function' ? options : body;
  if (typeof options !== 'function' && options?.skip) return;
  const outside = around;
  around = { names: [...outside.names, name], before: [...outside.before], after: [...outside.after] };
  own();
  around = outside;
}
export const suite = describe;
export const before = (own) => preparations.push(own());
export const after = () => undefined;
export const beforeEach = (own) => around.before.push(own);
export const afterEach = (own) => around.after.push(own);
export default test;

const context = {
  diagnostic: () => undefined,
  skip: () => undefined,
  test: async (_name, options, body) => (typeof options === 'function' ? options : body)(context),
  after: () => undefined,
};

/** Runs a test: what it threw, or undefined. */
export async function run({ suite, own }) {
  try {
    for (const hook of suite.before) await hook();
    try {
      await own(context);
    } finally {
      for (const hook of suite.after) await hook();
    }
  } catch (error) {
    return error ?? new Error('threw nothing');
  }
  return undefined;
}
