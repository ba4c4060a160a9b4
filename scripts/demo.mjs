// npm run demo: replays the recorded exchange of fixtures/demo through the simulator with its Services and policies.
// --print-arguments prints the replay's arguments, relative to the folder that holds demo/, as JSON.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const replay = ['replay', 'demo/shop.pcapng', '-m', 'demo/manifests', '--values', 'demo/values.yaml'];
if (process.argv.includes('--print-arguments')) {
  process.stdout.write(JSON.stringify(replay) + '\n');
  process.exit(0);
}
const args = [...replay, '--per', 'flow', '-o', 'table'];
process.stdout.write(`\n$ cd fixtures && weir ${args.join(' ')}\n\n`);
const { status } = spawnSync(process.execPath, [join(root, 'bin', 'weir.js'), ...args], {
  cwd: join(root, 'fixtures'),
  stdio: 'inherit',
});
process.exit(status ?? 1);
