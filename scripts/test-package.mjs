// Packs the package, installs the tarball into an empty project, and replays the demo's capture from there, by the
// command and by the library. Exits 1 with the reason when anything differs from the checkout's own output.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const work = mkdtempSync(join(tmpdir(), 'weir-package-'));
process.on('exit', () => rmSync(work, { recursive: true, force: true }));

function run(command, args, cwd, options = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    shell: process.platform === 'win32',
    ...options,
  });
  if (error || !(options.accept ?? [0]).includes(status)) {
    process.stderr.write(
      `${command} ${args.join(' ')}: ${error ? error.message : `exit ${status}`}\n${stdout ?? ''}${stderr ?? ''}\n`,
    );
    process.exit(1);
  }
  return stdout;
}

run('npm', ['pack', '--pack-destination', work, '--silent'], root);
const tarball = readdirSync(work).find((name) => name.endsWith('.tgz'));
const listed = run('tar', ['-tzf', join(work, tarball)], work).split('\n');
for (const wanted of [
  'package/dist/bundle/index.js',
  'package/dist/bundle/xdp.js',
  'package/dist/src/index.d.ts',
  'package/dist/src/xdp.d.ts',
  'package/native/CMakeLists.txt',
  'package/binding.gyp',
  'package/LICENSE',
]) {
  if (!listed.includes(wanted)) {
    process.stderr.write(`${wanted} is not in the tarball\n`);
    process.exit(1);
  }
}
const stray = listed.filter((name) => /\/(test|fixtures|bench)\//.test(name));
if (stray.length > 0) {
  process.stderr.write(`does not belong in the tarball: ${stray[0]}\n`);
  process.exit(1);
}

const project = join(work, 'project');
cpSync(join(root, 'fixtures', 'demo'), join(project, 'demo'), { recursive: true });
writeFileSync(join(project, 'package.json'), '{"name":"elsewhere","private":true,"type":"module"}\n');
run(
  'npm',
  ['install', '--no-audit', '--no-fund', '--omit=dev', '--omit=optional', '--prefer-offline', join(work, tarball)],
  project,
  { env: { ...process.env, WEIR_SKIP_NATIVE: '1' } },
);

const demo = JSON.parse(run(process.execPath, [join(root, 'scripts', 'demo.mjs'), '--print-arguments'], root));
const here = run(
  process.execPath,
  [join(root, 'bin', 'weir.js'), ...demo, '-o', 'json', '--per', 'packet'],
  join(root, 'fixtures', 'demo'),
);
const there = run(
  process.execPath,
  [join(project, 'node_modules', 'weir', 'bin', 'weir.js'), ...demo, '-o', 'json', '--per', 'packet'],
  join(project, 'demo'),
);
if (here !== there || here.split('\n').length < 10) {
  process.stderr.write('the installed package replays differently from the checkout\n');
  process.exit(1);
}
writeFileSync(
  join(project, 'use.js'),
  "import { createSim, openCapture, loadManifests } from 'weir';\nif (![createSim, openCapture, loadManifests].every((f) => typeof f === 'function')) process.exit(1);\n",
);
run(process.execPath, ['use.js'], project);
// Without its native part the kernel engine can be imported, and says what is missing.
writeFileSync(
  join(project, 'use-xdp.js'),
  "import { createSim } from 'weir';\nimport { createXdp, kernelUnavailable, KernelUnavailableError } from 'weir/xdp';\n" +
    "if (kernelUnavailable('engine') === undefined) process.exit(1);\ntry {\n  createXdp();\n  process.exit(2);\n} catch (error) {\n" +
    '  if (!(error instanceof KernelUnavailableError)) throw error;\n}\ncreateSim().close();\n',
);
run(process.execPath, ['use-xdp.js'], project);
process.stdout.write(
  `package: ${tarball} installs elsewhere and replays ${there.trimEnd().split('\n').length} packets to the same lines\n`,
);
