// The format of C and C++ (.clang-format of the folder or above it): written, or with --check only told. Files that git knows;
// generated ones are not formatted. Versions of clang-format disagree, so with another than that of Debian 12 nothing is done,
// and said. Exit code 1: some file is not formatted.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const VERSION = 14;
const run = (command, ...args) => spawnSync(command, args, { cwd: root, encoding: 'utf8' });
const versionOf = (command) => Number(/version (\d+)/.exec(run(command, '--version').stdout ?? '')?.[1] ?? 0);

const command = ['clang-format', `clang-format-${VERSION}`].find((name) => versionOf(name) === VERSION);
if (command === undefined) {
  process.stdout.write(`C and C++ not looked at: no clang-format ${VERSION} here\n`);
  process.exit(0);
}
const listed = run('git', 'ls-files', '--cached', '--others', '--exclude-standard', '*.c', '*.h', '*.cc');
const files = (listed.stdout ?? '').split('\n').filter((name) => name !== '' && !name.endsWith('.gen.h'));
if (listed.status !== 0 || files.length === 0) {
  process.stdout.write('C and C++ not looked at: no list of files, since this is no git checkout\n');
  process.exit(0);
}
const check = process.argv.includes('--check');
const { status, stderr } = run(command, ...(check ? ['--dry-run', '-Werror'] : ['-i']), ...files);
process.stderr.write(stderr ?? '');
if (status === 0) process.stdout.write(`${files.length} files of C and C++ ${check ? 'are' : 'were'} formatted\n`);
process.exit(status === 0 ? 0 : 1);
