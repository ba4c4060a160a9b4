// What `weir doctor` looks at: whether this machine can run the kernel engine, and what is missing.
// Input: a Machine, the facts about this one. Output: findings in a fixed order, each with the one command that mends it.
// Invariant: nothing is changed: files are read, and what is made to ask the kernel (a map of one slot) is closed again.

/** How a finding stands: there; not needed but useful; missing. */
export type Standing = 'ok' | 'note' | 'missing';

/** One finding. */
export interface Finding {
  readonly area: 'system' | 'build' | 'kernel';
  readonly name: string;
  readonly standing: Standing;
  /** What was found, in a few words. */
  readonly found: string;
  /** What its absence costs; empty where nothing is missing. */
  readonly cost: string;
  /** The command that mends it; empty where there is none. */
  readonly command: string;
}

/** What can be asked of a machine. */
export interface Machine {
  readonly platform: string;
  /** As `uname -r`. */
  readonly release: string;
  /** Text of a file, or undefined. */
  read(path: string): string | undefined;
  exists(path: string): boolean;
  /** Whether one of these programs is on the path. */
  has(...programs: readonly string[]): boolean;
  /** Whether pkg-config knows the library. */
  library(name: string): string | undefined;
  /** A file of the native build that is there. */
  built(name: string): boolean;
  /** Why the addon cannot be loaded; undefined: it can. */
  readonly addonError: string | undefined;
  /** Makes and closes a map: 0, or a negative errno; undefined without the addon. */
  makesMap(kind: MapProbe): number | undefined;
  /** The datapath's clsact filters, as BpfAddon.tcFilters; undefined: nobody could say. */
  readonly filters: string | undefined;
}

/** Kinds of map that the engine needs, by BPF_MAP_TYPE_*. */
export const MAP_PROBES = [
  { name: 'hash', type: 1 },
  { name: 'LRU hash', type: 9 },
  { name: 'longest-prefix trie', type: 11 },
  { name: 'per-CPU array', type: 6 },
  { name: 'array of maps', type: 12 },
  { name: 'ring buffer', type: 27 },
] as const;
export type MapProbe = (typeof MAP_PROBES)[number];

const SETUP = 'npm run setup:kernel';
const EPERM = -1;
const EACCES = -13;
/** Capabilities by bit (include/uapi/linux/capability.h). */
const CAP = { NET_ADMIN: 12, SYS_ADMIN: 21, PERFMON: 38, BPF: 39 } as const;

const ok = (area: Finding['area'], name: string, found: string): Finding => ({
  area,
  name,
  standing: 'ok',
  found,
  cost: '',
  command: '',
});

/** All findings. On another system than Linux the one that says so. */
export function examine(machine: Machine): Finding[] {
  if (machine.platform !== 'linux') {
    return [
      {
        area: 'system',
        name: 'Linux',
        standing: 'missing',
        found: machine.platform,
        cost: 'no kernel engine; the simulator and every other command work here',
        command: '',
      },
    ];
  }
  return [...system(machine), ...build(machine), ...kernel(machine)];
}

/** Filters stay when their process is killed; those of one that runs look alike. */
const leftFilters = (machine: Machine): Finding[] =>
  (machine.filters ?? '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [device = '', direction = '', priority = '', handle = '', , program = ''] = line.split(' ');
      return {
        area: 'kernel',
        name: 'tc filter',
        standing: 'note',
        found: `${program} on ${device}, ${direction}`,
        cost: 'of a process that runs, or left by one that was killed: it goes on judging packets',
        // A name that a shell would take for more than a name is left to who made it.
        command: /^[\w.@-]+$/.test(device)
          ? `tc filter del dev ${device} ${direction} pref ${priority} handle ${handle} bpf`
          : '',
      };
    });

/** Whether the kernel engine can run. */
export const isReady = (findings: readonly Finding[]): boolean =>
  findings.every(({ standing }) => standing !== 'missing');

function system(machine: Machine): Finding[] {
  const [major = 0, minor = 0] = machine.release.split('.').map((part) => Number.parseInt(part, 10));
  const version = major * 1000 + minor;
  const findings: Finding[] = [];
  // Ring buffers came with 5.8, links for XDP with 5.9, pointers to memory as arguments of global functions with 5.12:
  // 5.15 is the oldest long-term kernel that has all. Older than 6.18 was not tried.
  findings.push(
    version >= 5015
      ? ok('system', 'kernel', machine.release)
      : {
          area: 'system',
          name: 'kernel',
          standing: 'missing',
          found: machine.release,
          cost: 'the programs need Linux 5.15',
          command: '',
        },
  );
  findings.push(privileges(machine));
  findings.push(
    machine
      .read('/proc/mounts')
      ?.split('\n')
      .some((line) => line.split(' ')[2] === 'bpf') === true
      ? ok('system', 'BPF file system', 'mounted')
      : {
          area: 'system',
          name: 'BPF file system',
          standing: 'note',
          found: 'not mounted',
          cost: 'maps and links cannot be pinned; test runs and replays need none',
          command: 'mount -t bpf bpf /sys/fs/bpf',
        },
  );
  return findings;
}

function privileges(machine: Machine): Finding {
  const status = machine.read('/proc/self/status') ?? '';
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]{1,16})$/m.exec(status)?.[1] ?? '0'}`);
  const holds = (bit: number): boolean => ((effective >> BigInt(bit)) & 1n) === 1n;
  const all = holds(CAP.SYS_ADMIN) || (holds(CAP.BPF) && holds(CAP.PERFMON));
  if (all && holds(CAP.NET_ADMIN)) {
    return holds(CAP.SYS_ADMIN)
      ? ok('system', 'privileges', 'CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, CAP_SYS_ADMIN')
      : {
          area: 'system',
          name: 'privileges',
          standing: 'note',
          found: 'CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN, not CAP_SYS_ADMIN',
          cost: 'everything but reading Maglev tables back out of the kernel (EPERM)',
          command: '',
        };
  }
  return {
    area: 'system',
    name: 'privileges',
    standing: 'missing',
    found: 'without CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN',
    cost: 'programs cannot be loaded',
    command: 'sudo -E env "PATH=$PATH" weir …',
  };
}

function build(machine: Machine): Finding[] {
  const tool = (name: string, found: string | undefined, cost: string): Finding =>
    found === undefined
      ? { area: 'build', name, standing: built ? 'note' : 'missing', found: 'not found', cost, command: SETUP }
      : ok('build', name, found);
  const built = machine.addonError === undefined && machine.built('weir.bpf.o');
  const present = (...programs: readonly string[]): string | undefined =>
    machine.has(...programs) ? 'found' : undefined;
  return [
    tool('clang', present('clang'), 'the kernel programs cannot be compiled'),
    tool('C++ compiler', present('c++', 'g++', 'clang++'), 'the addon cannot be compiled'),
    tool('cmake', present('cmake'), 'nothing native can be built'),
    tool('make or ninja', present('make', 'ninja'), 'nothing native can be built'),
    tool('libbpf', machine.library('libbpf'), 'the addon cannot be linked'),
    machine.addonError === undefined
      ? ok('build', 'addon', 'built')
      : {
          area: 'build',
          name: 'addon',
          standing: 'missing',
          found: machine.addonError,
          cost: 'no kernel engine',
          command: SETUP,
        },
    machine.built('weir.bpf.o')
      ? ok('build', 'kernel programs', 'compiled')
      : {
          area: 'build',
          name: 'kernel programs',
          standing: 'missing',
          found: 'not compiled',
          cost: 'no kernel engine',
          command: SETUP,
        },
  ];
}

function kernel(machine: Machine): Finding[] {
  const findings: Finding[] = [];
  findings.push(
    machine.exists('/sys/kernel/btf/vmlinux')
      ? ok('kernel', 'BTF', '/sys/kernel/btf/vmlinux')
      : {
          area: 'kernel',
          name: 'BTF',
          standing: 'note',
          found: 'not there',
          cost: 'tools cannot print map contents by field; Weir itself does without',
          command: '',
        },
  );
  const jit = machine.read('/proc/sys/net/core/bpf_jit_enable')?.trim();
  findings.push(
    jit === '0'
      ? {
          area: 'kernel',
          name: 'compiler for BPF',
          standing: 'note',
          found: 'off',
          cost: 'programs are interpreted, several times slower',
          command: 'sysctl -w net.core.bpf_jit_enable=1',
        }
      : ok('kernel', 'compiler for BPF', jit === undefined ? 'always on' : 'on'),
  );
  for (const kind of MAP_PROBES) {
    const errno = machine.makesMap(kind);
    const name = `map: ${kind.name}`;
    if (errno === undefined) continue;
    if (errno >= 0) findings.push(ok('kernel', name, 'works'));
    else if (errno === EPERM || errno === EACCES)
      findings.push({
        area: 'kernel',
        name,
        standing: 'missing',
        found: 'not allowed',
        cost: 'a container or user namespace may hold all capabilities and still be refused',
        command: '',
      });
    else
      findings.push({
        area: 'kernel',
        name,
        standing: 'missing',
        found: `errno ${-errno}`,
        cost: 'the engine’s maps cannot be made',
        command: '',
      });
  }
  findings.push(...leftFilters(machine));
  const [major = 0, minor = 0] = machine.release.split('.').map((part) => Number.parseInt(part, 10));
  findings.push(
    major * 1000 + minor >= 6006
      ? ok('kernel', 'tcx', 'by the kernel’s version')
      : {
          area: 'kernel',
          name: 'tcx',
          standing: 'note',
          found: 'needs Linux 6.6',
          cost: 'tc programs are attached through clsact instead',
          command: '',
        },
  );
  return findings;
}
