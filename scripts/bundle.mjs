// Joins the compiled modules of the command line and of the library into a few files, dist/bundle: a command starts in
// half the time, and V8 sees the per-packet code as one module, where calls cost less than through imports.
// The library's dependencies stay outside; the command's are joined in, with their licences, and what V8 compiles of it is
// kept beside it. Input: dist/src. Output: dist/bundle/{weir,index,xdp}.js, program.cjs with its chunks and its cache.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join, relative } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { rollup } from '@rollup/wasm-node';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const out = join(root, 'dist', 'bundle');
const compiled = join(root, 'dist', 'src');

async function joinModules(input, options) {
  const bundle = await rollup({
    input,
    // What chunks share stands in the entry, so that the program is one function.
    preserveEntrySignatures: 'allow-extension',
    external: (id) => !id.startsWith('.') && !id.startsWith(root),
    onwarn: (warning) => {
      process.stderr.write(`bundle: ${warning.message}\n`);
      process.exitCode = 1;
    },
  });
  const { output } = await bundle.write({ dir: out, hoistTransitiveImports: false, ...options });
  await bundle.close();
  return output;
}

rmSync(out, { recursive: true, force: true });
await joinModules(
  { index: join(compiled, 'index.js'), xdp: join(compiled, 'xdp.js') },
  { format: 'es', chunkFileNames: '[name].js' },
);
await joinModules(
  { weir: join(compiled, 'cli', 'launcher.js'), 'code-cache': join(compiled, 'cli', 'code-cache.js') },
  { format: 'es', chunkFileNames: '[name].js' },
);
await joinModules(
  {
    'index-worker': join(compiled, 'capture', 'file', 'index-worker.js'),
    'read-worker': join(compiled, 'capture', 'file', 'read-worker.js'),
  },
  { format: 'es', chunkFileNames: '[name].js' },
);
const chunks = await joinModules(
  { program: join(compiled, 'cli', 'program.js') },
  { format: 'cjs', entryFileNames: '[name].cjs', chunkFileNames: '[name].cjs', interop: 'auto', strict: true },
);

const packageRoot = realpathSync(join(root, 'node_modules'));
/** Folders of the packages that were joined in. */
const packages = new Set();

/** The parser of `yaml` asks the environment at each token whether to print it, a fifth of the time that a manifest takes. */
const SILENT = { 'yaml/dist/parse/parser.js': 'LOG_TOKENS', 'yaml/dist/compose/composer.js': 'LOG_STREAM' };

/** The text of a package's file without what is meant for those who mend the package. */
function quiet(name, text) {
  if (!Object.hasOwn(SILENT, name)) return text;
  const question = `node_process.env.${SILENT[name]}`;
  if (!text.includes(question)) throw new Error(`${name} does not ask for ${question} any more: look again`);
  return text.replaceAll(question, 'false');
}

/** Adds a CommonJS file of a package, and all that it needs, to `into`; returns its name there. */
function gather(file, into) {
  const name = relative(packageRoot, file).replaceAll('\\', '/');
  if (into.has(name)) return name;
  const requireFrom = createRequire(file);
  const text = quiet(name, readFileSync(file, 'utf8'));
  const needs = {};
  into.set(name, { text, needs });
  let folder = dirname(file);
  while (
    !existsSync(join(folder, 'package.json')) ||
    JSON.parse(readFileSync(join(folder, 'package.json'))).name === undefined
  )
    folder = dirname(folder);
  packages.add(folder);
  for (const [, id] of text.matchAll(/\brequire\(\s*['"]([^'"]+)['"]\s*\)/g)) {
    if (isBuiltin(id)) continue;
    let path;
    try {
      path = requireFrom.resolve(id);
    } catch {
      continue; // optional, and absent: its require fails as it would outside
    }
    if (!path.startsWith(packageRoot)) throw new Error(`${id}, which ${file} needs, is not among the packages`);
    needs[id] = gather(path, into);
  }
  return name;
}

/** Escapes what is not ASCII, so that a byte is a character; valid in strings, regular expressions and comments. */
const ascii = (text) => text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

const main = chunks.find(({ isEntry }) => isEntry);
const files = new Map();
const direct = {};
for (const id of main.imports.filter((name) => !name.startsWith('.') && !isBuiltin(name)))
  direct[id] = gather(realpathSync(createRequire(join(root, 'package.json')).resolve(id)), files);
// Packages are not strict by themselves as modules are, so they stand outside of the program's function.
const table = [...files].map(
  ([name, { text, needs }]) =>
    `${JSON.stringify(name)}: [${JSON.stringify(needs)}, function (exports, require, module) {${text.replace(/^#!.*/, '').replace(/^\/\/# sourceMappingURL=.*$/m, '')}\n}]`,
);
const joined = `const packaged = {${table.join(',\n')}};
const running = {};
function fromPackages(outside, needs) {
  return (id) => {
    if (!Object.hasOwn(needs, id)) return outside(id);
    const name = needs[id];
    if (!Object.hasOwn(running, name)) {
      const module = (running[name] = { exports: {} });
      const [own, body] = packaged[name];
      body.call(module.exports, module.exports, fromPackages(outside, own), module);
    }
    return running[name].exports;
  };
}
(function (require) {
${main.code}
})(fromPackages(require, ${JSON.stringify(direct)}));
`;
writeFileSync(join(out, main.fileName), ascii(joined));
for (const { fileName, code, isEntry } of chunks) if (!isEntry) writeFileSync(join(out, fileName), ascii(code));

const notices = [...packages].sort().map((folder) => {
  const facts = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const licence = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  const text = licence === undefined ? `${facts.license}\n` : readFileSync(join(folder, licence), 'utf8');
  return `${facts.name} ${facts.version} (${facts.license})\n\n${text}`;
});
writeFileSync(join(out, 'LICENSES.txt'), notices.join(`\n${'-'.repeat(80)}\n\n`));

// A replay shows V8 which functions a command compiles.
const { status } = spawnSync(
  process.execPath,
  [
    join(out, 'code-cache.js'),
    ...['replay', 'shop.pcapng', '-m', 'manifests', '--values', 'values.yaml', '-o', 'none', '--quiet'],
  ],
  { cwd: join(root, 'fixtures', 'demo'), stdio: ['ignore', 2, 2] },
);
if (status !== 0) {
  process.stderr.write('bundle: the code cache could not be made\n');
  process.exitCode = 1;
}
