// A small network of namespaces: machines joined by pairs, programs that run in them, everything gone at the end.
// Input: names, addresses. Output: Network. Invariant: what was made or started is removed by `close`, whatever happened, and
// when the process is told to end; nothing is made outside the namespaces.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../kernel.ts';

/** A program that was started in a machine. */
export interface Running {
  readonly child: ChildProcess;
  /** What it wrote to standard error so far. */
  readonly told: () => string;
  /** Its exit status and whole standard output, when it has ended. */
  readonly ended: Promise<{ readonly status: number | null; readonly output: string }>;
}

const SETTINGS = [
  'net.ipv4.conf.all.rp_filter=0',
  'net.ipv4.conf.default.rp_filter=0',
  'net.ipv4.conf.all.arp_ignore=1',
  'net.ipv6.conf.all.accept_ra=0',
  'net.ipv6.conf.default.accept_ra=0',
  'net.ipv6.conf.default.accept_dad=0',
  'net.ipv6.conf.default.dad_transmits=0',
  'net.ipv6.conf.default.router_solicitations=0',
  'net.ipv6.conf.default.addr_gen_mode=1',
  // Reports of group membership are sent at once and not seconds later, between the packets that a test counts.
  'net.ipv6.conf.default.mldv2_unsolicited_report_interval=1',
  'net.ipv4.conf.default.igmpv3_unsolicited_report_interval=1',
];

/** Frames are as on a wire: whole segments with whole checksums. */
const OFFLOADS = ['tx', 'tso', 'gso', 'gro'].flatMap((name) => [name, 'off']);

let made = 0;

/** See the head of this file. */
export class Network {
  private readonly prefix = `weir-${process.pid}-${++made}-`;
  private readonly machines = new Set<string>();
  private readonly running = new Set<Running>();
  private readonly leave = (): void => {
    this.remove();
  };
  private readonly leaveBySignal = (signal: NodeJS.Signals): void => {
    this.remove();
    process.kill(process.pid, signal);
  };

  constructor() {
    process.once('exit', this.leave);
    process.once('SIGINT', this.leaveBySignal);
    process.once('SIGTERM', this.leaveBySignal);
  }

  /** Name of a machine's namespace. */
  space(machine: string): string {
    return this.prefix + machine;
  }

  /** Path of a machine's namespace. */
  path(machine: string): string {
    return `/run/netns/${this.space(machine)}`;
  }

  /** Makes machines. */
  add(...machines: readonly string[]): void {
    for (const machine of machines) {
      this.machines.add(machine);
      run('ip', 'netns', 'add', this.space(machine));
      this.run(machine, 'sysctl', '-q', '-w', ...SETTINGS);
      this.ip(machine, ['link set lo up']);
    }
  }

  /** Joins two machines by a pair of interfaces, which are up. */
  join(one: string, device: string, other: string, otherDevice: string): void {
    const at = (machine: string): string[] => ['netns', this.space(machine)];
    run('ip', 'link', 'add', 'name', device, ...at(one), 'type', 'veth', 'peer', 'name', otherDevice, ...at(other));
    for (const [machine, name] of [
      [one, device],
      [other, otherDevice],
    ] as const) {
      this.run(machine, 'ethtool', '-K', name, ...OFFLOADS);
      this.ip(machine, [`link set ${name} up`]);
    }
  }

  /** Runs `ip` commands in a machine. */
  ip(machine: string, lines: readonly string[]): void {
    const args = ['-n', this.space(machine), '-batch', '-'];
    const { status, stderr } = spawnSync('ip', args, { input: `${lines.join('\n')}\n`, encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip in ${machine}: ${stderr}`);
  }

  /** Number and station address of an interface. */
  device(machine: string, name: string): { readonly ifindex: number; readonly mac: Uint8Array; readonly macText: string } {
    const text = run('ip', '-n', this.space(machine), '-j', 'link', 'show', 'dev', name);
    const [found] = JSON.parse(text) as { ifindex: number; address: string }[];
    const mac = Uint8Array.from(found!.address.split(':'), (digits) => parseInt(digits, 16));
    return { ifindex: found!.ifindex, mac, macText: found!.address };
  }

  /** Runs a program in a machine to its end; throws what it said when it fails. */
  run(machine: string, program: string, ...args: readonly string[]): string {
    return run('ip', 'netns', 'exec', this.space(machine), program, ...args);
  }

  /** Starts a program in a machine. */
  start(machine: string, program: string, ...args: readonly string[]): Running {
    const child = spawn('ip', ['netns', 'exec', this.space(machine), program, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let told = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (told += text));
    child.on('error', (error) => (told += error.message));
    const ended = new Promise<{ status: number | null; output: string }>((resolve) => {
      child.on('close', (status) => {
        this.running.delete(running);
        resolve({ status, output });
      });
    });
    const running: Running = { child, told: () => told, ended };
    this.running.add(running);
    return running;
  }

  /** Ends a program that was started. */
  async stop(running: Running, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (!this.running.has(running)) return;
    running.child.kill(signal);
    await running.ended;
  }

  /** Ends all programs and removes the namespaces. Idempotent. */
  async close(): Promise<void> {
    const ends = [...this.running].map(({ ended }) => ended);
    this.remove();
    await Promise.all(ends);
    process.off('exit', this.leave);
    process.off('SIGINT', this.leaveBySignal);
    process.off('SIGTERM', this.leaveBySignal);
  }

  private remove(): void {
    for (const { child } of this.running) child.kill('SIGKILL');
    for (const machine of this.machines) spawnSync('ip', ['netns', 'del', this.space(machine)]);
    this.machines.clear();
  }
}

/** Waits until something is so; throws when it is not so in time, or when a program that it waits for has ended. */
export async function until(what: string, running: Running | undefined, holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 20) {
    const ended = running !== undefined && (running.child.exitCode !== null || running.child.signalCode !== null);
    if (ended || waited > 20_000) throw new Error(`${what}: ${running?.told() ?? 'not in time'}`);
    await sleep(20);
  }
}
