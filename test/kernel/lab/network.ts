// A small network of namespaces: machines joined by pairs, programs that run in them, everything gone at the end.
// Input: names, addresses. Output: Network. Invariant: what was made or started is removed by `close`, and when this process
// ends in whatever way; nothing is made outside the namespaces.
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

/** An interface. */
export interface Device {
  readonly ifindex: number;
  /** Its station address. */
  readonly mac: Uint8Array;
  readonly macText: string;
  /** How an XDP program is attached; absent: none is. */
  readonly xdp?: 'NATIVE' | 'GENERIC';
}

/** XDP_ATTACHED_* of rtnetlink. */
const XDP_ATTACHED: Readonly<Record<number, 'NATIVE' | 'GENERIC'>> = { 1: 'NATIVE', 2: 'GENERIC' };

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

/** What a device does for its stack when it sends: checksums, cutting segments. */
const OFFLOADS = ['tx', 'tso', 'gso'];

/** Waits for the end of its input, then ends whatever runs in namespaces with its prefix and removes them. */
const GUARD = `trap '' INT TERM HUP
cat > /dev/null
for space in $(ip netns list | cut -d ' ' -f 1); do
  case $space in "$1"*)
    for process in $(ip netns pids "$space"); do kill -KILL "$process"; done
    ip netns del "$space"
  esac
done`;

let made = 0;

/** See the head of this file. */
export class Network {
  private readonly prefix = `weir-${process.pid}-${++made}-`;
  private readonly running = new Set<Running>();
  /** Outlives this process, whatever ends it: removes everything when its standard input is closed. */
  private readonly guard: ChildProcess;
  private readonly guarded: Promise<void>;

  constructor() {
    const guard = spawn('sh', ['-c', GUARD, 'sh', this.prefix], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    });
    this.guard = guard;
    this.guarded = new Promise((resolve) => {
      guard.on('error', () => {
        resolve();
      });
      guard.on('exit', () => {
        resolve();
      });
    });
    guard.unref();
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
      run('ip', 'netns', 'add', this.space(machine));
      this.run(machine, 'sysctl', '-q', '-w', ...SETTINGS);
      this.ip(machine, ['link set lo up']);
    }
  }

  /**
   * Without offloads, frames are as on a wire: whole segments with whole checksums. What arrives is never joined, so that a
   * recording and a hook see the same frames.
   */
  offload(machine: string, device: string, on: boolean): void {
    const sending = OFFLOADS.flatMap((name) => [name, on ? 'on' : 'off']);
    this.run(machine, 'ethtool', '-K', device, ...sending, 'gro', 'off');
  }

  /** Joins two machines by a pair of interfaces, which are up and have no offloads. */
  join(one: string, device: string, other: string, otherDevice: string): void {
    const at = (machine: string): string[] => ['netns', this.space(machine)];
    run('ip', 'link', 'add', 'name', device, ...at(one), 'type', 'veth', 'peer', 'name', otherDevice, ...at(other));
    for (const [machine, name] of [
      [one, device],
      [other, otherDevice],
    ] as const) {
      this.offload(machine, name, false);
      this.ip(machine, [`link set ${name} up`]);
    }
  }

  /** Runs `ip` commands in a machine. */
  ip(machine: string, lines: readonly string[]): void {
    const args = ['-n', this.space(machine), '-batch', '-'];
    const { status, stderr } = spawnSync('ip', args, { input: `${lines.join('\n')}\n`, encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip in ${machine}: ${stderr}`);
  }

  /** What the kernel says of an interface. */
  device(machine: string, name: string): Device {
    const text = run('ip', '-n', this.space(machine), '-j', 'link', 'show', 'dev', name);
    const [found] = JSON.parse(text) as { ifindex: number; address: string; xdp?: { mode: number } }[];
    const { ifindex, address, xdp } = found!;
    const mac = Uint8Array.from(address.split(':'), (digits) => parseInt(digits, 16));
    const mode = xdp === undefined ? undefined : XDP_ATTACHED[xdp.mode];
    return { ifindex, mac, macText: address, ...(mode === undefined ? {} : { xdp: mode }) };
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
    this.guard.ref();
    this.guard.stdin?.end();
    await Promise.all([...ends, this.guarded]);
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
