// npm run demo: replays the recorded exchange of fixtures/demo through the simulator with its Services and policies.
// --print-arguments prints the replay's arguments, relative to that folder, as JSON; other arguments go to the replay.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const replay = ['replay', 'shop.pcapng', '-m', 'manifests', '--values', 'values.yaml'];
const more = process.argv.slice(2).filter((arg) => arg !== '--print-arguments');
if (process.argv.includes('--print-arguments')) {
  process.stdout.write(JSON.stringify(replay) + '\n');
  process.exit(0);
}
const args = [...replay, '--per', 'flow', '-o', 'table', ...more];
process.stdout.write(`\n$ cd fixtures/demo && weir ${args.join(' ')}\n\n`);
const { status } = spawnSync(process.execPath, [join(root, 'bin', 'weir.js'), ...args], {
  cwd: join(root, 'fixtures', 'demo'),
  stdio: 'inherit',
});
process.exit(status ?? 1);
