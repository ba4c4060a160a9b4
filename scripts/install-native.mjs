// The package's install step: builds the native parts with cmake-js, each for itself, where a toolchain is present;
// elsewhere exits 0 and says what is missing and what that costs. --required turns "elsewhere", and a part that does not
// compile, into a failure; --copy DIR also puts the results there (node-gyp's product directory). Nothing is downloaded:
// headers come from node-api-headers.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const required = process.argv.includes('--required');
const copyAt = process.argv.indexOf('--copy');
const copyTo = copyAt > 0 ? process.argv[copyAt + 1] : undefined;
const COST = 'Weir works without it; `npm run bench` loses its C++ peer, and there is no kernel engine.';

function leave(reason) {
  process.stderr.write(`weir: native part not built: ${reason}. ${COST}\n`);
  process.exit(required ? 1 : 0);
}

function onPath(names) {
  const suffixes = process.platform === 'win32' ? ['.exe', '.cmd', ''] : [''];
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    for (const name of names) {
      for (const suffix of suffixes) {
        try {
          accessSync(join(folder, name + suffix), constants.X_OK);
          return name;
        } catch {
          // Not here; look on.
        }
      }
    }
  }
  return undefined;
}

if (process.env.WEIR_SKIP_NATIVE) leave('WEIR_SKIP_NATIVE is set');
if (!existsSync(join(root, 'native', 'CMakeLists.txt'))) leave('its sources are not here');
const missing = [
  ['a C++ compiler', process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++', 'cl']],
  ['cmake', ['cmake']],
  ['make or ninja', ['make', 'ninja', 'gmake', 'msbuild']],
]
  .filter(([, names]) => !onPath(names) && !names.some((n) => existsSync(n)))
  .map(([name]) => name);
if (missing.length > 0) leave(`missing ${missing.join(', ')}`);

// cmake-js takes a project for a Node-API one, which needs no download of Node's own headers, by the package.json beside
// CMakeLists.txt. Ours is a folder above, so it is told so; in a child, which prints only when it fails.
const COMPILE = `
  const { BuildSystem } = require(process.argv[1]);
  const { readFileSync, rmSync } = require('node:fs');
  const [, , directory, out] = process.argv;
  const system = (target) => {
    const build = new BuildSystem(target === undefined ? { directory, out } : { directory, out, target });
    build.options.isNodeApi = true;
    build.cmake.extraCMakeArgs ??= [];
    return build;
  };
  (async () => {
    // A cache of another place or of another toolchain is started anew.
    await system().configure().catch(() => system().reconfigure());
    const failed = [];
    for (const target of readFileSync(out + '/weir-targets.txt', 'utf8').split('\\n').filter(Boolean))
      await system(target).build().catch(() => {
        failed.push(target);
        // What was built from former sources must not pass for these.
        rmSync(out + '/Release/' + (target === 'weir_bpf_object' ? 'weir.bpf.o' : target + '.node'), { force: true });
      });
    if (failed.length > 0) {
      process.stdout.write('weir: not compiled: ' + failed.join(', ') + '\\n');
      process.exit(failed.includes('weir_reference') ? 1 : 3);
    }
  })().catch(() => process.exit(1));
`;

let cmakeJs;
try {
  cmakeJs = createRequire(import.meta.url).resolve('cmake-js');
} catch {
  leave('cmake-js is not installed');
}
const out = join(root, 'build-cmake');
const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', COMPILE, cmakeJs, join(root, 'native'), out], {
  cwd: root,
  encoding: 'utf8',
});
if (status !== 0) process.stderr.write(`${stdout}${stderr}\n`);
if (status !== 0 && status !== 3) leave('the compiler failed (its words are above)');
const release = join(out, 'Release');
if (copyTo) {
  mkdirSync(copyTo, { recursive: true });
  for (const name of readdirSync(release).filter((n) => n.endsWith('.node') || n.endsWith('.bpf.o')))
    copyFileSync(join(release, name), join(copyTo, name));
}
const lines = (name) => readFileSync(join(out, name), 'utf8').split('\n').filter(Boolean);
process.stderr.write(status === 0 ? 'weir: native part built\n' : 'weir: native part built, but not all of it\n');
for (const line of lines('weir-absent.txt')) process.stderr.write(`weir: ${line}\n`);
process.exit(required && status !== 0 ? 1 : 0);
