// How many jiffies a second has: what programs that read the kernel's clock must be told. Input: the kernel's configuration,
// or its jiffies seen twice. Output: a number.
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';

/** What CONFIG_HZ can be. */
const CHOICES = [100, 250, 300, 1000];
const WATCHED_MS = 200;

function configured(): number | undefined {
  const boot = `/boot/config-${release()}`;
  let text = '';
  if (existsSync('/proc/config.gz')) text = gunzipSync(readFileSync('/proc/config.gz')).toString();
  else if (existsSync(boot)) text = readFileSync(boot, 'utf8');
  const found = /^CONFIG_HZ=(\d+)$/m.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}

function jiffies(): number | undefined {
  if (!existsSync('/proc/schedstat')) return undefined;
  const found = /^timestamp (\d+)$/m.exec(readFileSync('/proc/schedstat', 'utf8'))?.[1];
  return found === undefined ? undefined : Number(found);
}

/** Jiffies a second of the running kernel; undefined when it tells nothing about it. */
export function kernelHz(): number | undefined {
  const known = configured();
  if (known !== undefined) return known;
  const before = jiffies();
  if (before === undefined) return undefined;
  const began = performance.now();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WATCHED_MS);
  const after = jiffies() ?? before;
  const measured = ((after - before) * 1000) / (performance.now() - began);
  return CHOICES.reduce((best, hz) => (Math.abs(hz - measured) < Math.abs(best - measured) ? hz : best));
}
