// How long does `weir replay` of a 1 GB capture take, manifests and start of Node included, against tcpdump reading it?
// Whole processes in turn; peak memory from the kernel's accounting of the child (GNU time), where that is present.
// Output: one result; times are per packet.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { type BenchResult, median } from './harness.ts';
import type { BenchInputs } from './make-capture.ts';

const OURS = 'weir replay';
const PEER = 'tcpdump -w /dev/null';
/** Bounds: time against tcpdump's, and peak resident memory in megabytes. */
const TIMES = 5;
const MEGABYTES = 300;

/** Runs the rounds. Without tcpdump or GNU time, what they would have told is left out, with a note. */
export function runReplayBench(inputs: BenchInputs, rounds: number): BenchResult {
  const folder = mkdtempSync(join(os.tmpdir(), 'weir-bench-'));
  const summary = join(folder, 'summary.json');
  const weir = fileURLToPath(new URL('../bundle/weir.js', import.meta.url));
  const arguments_ = [
    'replay',
    inputs.capture,
    '-m',
    inputs.manifests,
    '--values',
    inputs.values,
    '-o',
    'none',
    '--quiet',
    '--summary',
    summary,
  ];
  const hasTcpdump = spawnSync('tcpdump', ['--version'], { stdio: 'ignore' }).error === undefined;
  const hasTime = spawnSync('/usr/bin/time', ['--version'], { stdio: 'ignore' }).error === undefined;
  const ours: number[] = [];
  const peer: number[] = [];
  const peaks: number[] = [];
  const timed = (command: string, args: readonly string[]): { seconds: number; stderr: string } => {
    const start = performance.now();
    const run = spawnSync(command, args, { encoding: 'utf8' });
    if (run.error !== undefined || run.status !== 0) throw run.error ?? new Error(`${command}: ${run.stderr}`);
    return { seconds: (performance.now() - start) / 1000, stderr: run.stderr };
  };
  for (let round = -1; round < rounds; round++) {
    const one = hasTime
      ? timed('/usr/bin/time', ['-f', 'peak %M', process.execPath, weir, ...arguments_])
      : timed(process.execPath, [weir, ...arguments_]);
    const other = hasTcpdump ? timed('tcpdump', ['-r', inputs.capture, '-w', '/dev/null']).seconds : 0;
    if (round < 0) continue;
    ours.push(one.seconds);
    peer.push(other);
    peaks.push(Number(/peak (\d+)/.exec(one.stderr)?.[1] ?? 0) / 1000);
  }
  const told = JSON.parse(readFileSync(summary, 'utf8')) as { packets: number; flows: number };
  rmSync(folder, { recursive: true });
  const perPacket = (values: readonly number[]) => ({
    ns: (median(values) * 1e9) / told.packets,
    bestNs: (Math.min(...values) * 1e9) / told.packets,
  });
  const cases = [{ name: OURS, ...perPacket(ours) }, ...(hasTcpdump ? [{ name: PEER, ...perPacket(peer) }] : [])];
  const targets = [];
  if (hasTcpdump) {
    const ratio = median(ours.map((seconds, i) => seconds / peer[i]!));
    targets.push({ of: OURS, against: PEER, atMost: TIMES, ratio, met: ratio <= TIMES });
  }
  if (hasTime) {
    const peak = median(peaks);
    targets.push({
      of: 'peak resident memory, MB',
      against: 'one',
      atMost: MEGABYTES,
      ratio: peak,
      met: peak < MEGABYTES,
    });
  }
  const missing = [hasTcpdump ? '' : 'tcpdump', hasTime ? '' : 'GNU time'].filter((name) => name !== '');
  return {
    suite: `replay: ${told.packets} packets, ${told.flows} connections, 200 services, 500 pods; nanoseconds a packet`,
    rounds,
    cases,
    targets,
    note: `${median(ours).toFixed(2)} s${hasTcpdump ? ` against ${median(peer).toFixed(2)} s` : ''}${missing.length > 0 ? `; not installed: ${missing.join(', ')}` : ''}`,
  };
}
