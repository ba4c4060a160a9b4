// npm run bench:kernel: builds what it needs, then measures the hooks in the kernel, with real-time priority where the machine
// gives it. Arguments: see bench/kernel/main.ts.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
spawnSync(process.execPath, [join(root, 'scripts', 'install-native.mjs')], { cwd: root, stdio: 'inherit' });
const command = [process.execPath, join(root, 'dist', 'bench', 'kernel', 'main.js'), ...process.argv.slice(2)];
const realTime = ['chrt', '--fifo', '1'];
const may = spawnSync(realTime[0], [...realTime.slice(1), 'true'], { stdio: 'ignore' }).status === 0;
if (!may) process.stderr.write('no real-time priority (chrt): expect more noise\n');
const [file, ...rest] = may ? [...realTime, ...command] : command;
process.exit(spawnSync(file, rest, { cwd: root, stdio: 'inherit' }).status ?? 1);
