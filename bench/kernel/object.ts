// The benchmark's programs: the hooks of native/bpf inside wrappers, compiled and loaded. Input: the folder of the datapath's
// sources, features of the load. Output: programs by name, maps, the plan that a wrapper follows.
// Invariant: one map a name; what is loaded goes with close().
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { StoredMapName } from '../../src/datapath/index.ts';
import {
  type BpfAddon,
  BpfError,
  checked,
  type Handle,
  kernelHz,
  KernelMap,
  PACKAGE,
  recentPlaces,
  recentSizes,
  watches,
  WildcardFilter,
} from '../../src/dataplane/xdp/index.ts';
import { loadConstants, type MapName, MAPS, OBJECT_MAPS, ringBytes, type MapSpec } from '../../src/schema/index.ts';

/** Where the C datapath is. */
export const SOURCES = join(PACKAGE, 'native', 'bpf');
const WRAPPERS = join(PACKAGE, 'bench', 'kernel');

/** Room for the benchmark's flows; what it does not use is small. */
const ENTRIES: Partial<Record<MapName, number>> = {
  services4: 65536,
  backends4: 65536,
  reverseNat4: 65536,
  maglev4: 1024,
  flows4: 262144,
  nextHops4: 65536,
  ctTcp4: 524288,
  ctTcpNew4: 524288,
  ctAny4: 262144,
  ctAnyNew4: 65536,
  endpoints4: 65535,
  ipcache4: 512000,
  routes4: 16384,
  neighbours4: 16384,
};
const SMALL = 1024;

/** Folders of system headers that clang does not search when it compiles for BPF. */
function systemHeaders(): string[] {
  const { stdout } = spawnSync('clang', ['-print-multiarch'], { encoding: 'utf8' });
  return [(stdout ?? '').trim(), `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`]
    .map((triple) => join('/usr/include', triple))
    .filter((folder) => existsSync(join(folder, 'asm', 'types.h')));
}

/** Whether there is no compiler for the programs. */
export const compilerMissing = (): boolean =>
  spawnSync('clang', ['--version'], { stdio: 'ignore' }).error !== undefined;

/** Compiles the wrappers around the datapath of a folder. Throws what clang says. */
export function compile(sources: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'weir-bench-'));
  try {
    const out = join(folder, 'wrappers.bpf.o');
    const include = [sources, ...systemHeaders()].flatMap((path) => ['-I', path]);
    const args = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wall', ...include];
    const { status, stderr } = spawnSync('clang', [...args, '-c', join(WRAPPERS, 'wrappers.bpf.c'), '-o', out], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`clang: ${stderr}`);
    return new Uint8Array(readFileSync(out));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What a wrapper is told, and what it says: struct bench of bench/kernel/flow.h. */
export interface Plan {
  readonly flows: number;
  readonly stride: number;
  /** First flow. */
  readonly next?: number;
  /** Address of the first client, host order. */
  readonly address: number;
  /** Frontend, host order. */
  readonly destination: number;
  readonly port: number;
  readonly tcpFlags: number;
  readonly expected: number;
}

/** Bytes of struct bench. */
const PLAN_BYTES = 40;
const GOOD = 32;

/** A loaded object of the benchmark. */
export class BenchObject {
  readonly addon: BpfAddon;
  readonly maps: Readonly<Record<StoredMapName, KernelMap>>;
  private readonly opened: Handle[] = [];
  private readonly programs = new Map<string, Handle>();
  private readonly plan: DataView;
  private readonly result = new Int32Array(4);

  /** @param features FEATURE bits of the load: the code of the others is not there */
  constructor(addon: BpfAddon, object: Uint8Array, features: number) {
    this.addon = addon;
    const handle = addon.objectOpen(object, 'weir', 0);
    if (handle < 0) throw new BpfError('open', 'wrappers.bpf.o', handle, addon.lastLog());
    this.opened.push(handle);
    try {
      const maps: Partial<Record<StoredMapName, KernelMap>> = {};
      const specs = new Map<MapName, MapSpec>();
      for (const name of Object.keys(MAPS) as MapName[]) {
        const spec: MapSpec = { ...MAPS[name], maxEntries: ENTRIES[name] ?? Math.min(MAPS[name].maxEntries, SMALL) };
        specs.set(name, spec);
        const size = spec.kind === 'ring' ? ringBytes(spec) : spec.maxEntries;
        // A map that no wrapper uses is not in the object.
        if (name !== 'metrics') addon.objectSetMax(handle, spec.name, size);
      }
      const constants = loadConstants.encode({
        features: features >>> 0,
        recording: 0,
        clockFromMap: 0,
        hz: kernelHz() ?? 0,
        maglevSlots: MAPS.maglev4.innerEntries ?? 0,
        wildcardFilter: 1,
        recentPlaces: recentPlaces(ENTRIES.ctTcp4 ?? 0, addon.cpus()),
      });
      const recent = loadConstants.decode(constants);
      for (const [name, entries] of recentSizes(addon, recent))
        addon.objectSetMax(handle, OBJECT_MAPS[name].name, entries);
      checked(addon.objectSetConstant(handle, loadConstants.name, constants), 'set constants', loadConstants.name);
      const errno = addon.objectLoad(handle);
      if (errno < 0) throw new BpfError('load', 'wrappers.bpf.o', errno, addon.lastLog());
      const memory = (name: string): ArrayBuffer => {
        const bytes = addon.mapMemory(this.map(name));
        if (typeof bytes === 'number') throw new BpfError('map into memory', name, bytes);
        return bytes;
      };
      const { generation, wildcards } = OBJECT_MAPS;
      const watchOf = watches(memory(generation.name), new WildcardFilter(memory(wildcards.name)));
      for (const [name, spec] of specs) {
        const map = addon.objectMap(handle, spec.name);
        if (map > 0) {
          this.opened.push(map);
          if (name !== 'events') maps[name] = watchOf(name, (watch) => new KernelMap(addon, spec, map, watch));
        }
      }
      this.maps = maps as Record<StoredMapName, KernelMap>;
      const names = addon.objectNames(handle, 1);
      for (const name of typeof names === 'number' ? [] : names.split('\n').filter(Boolean)) {
        const program = checked(addon.objectProgram(handle, name), 'find program', name);
        this.opened.push(program);
        this.programs.set(name, program);
      }
      this.plan = new DataView(memory('.bss'));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** A map of the object by its own name. */
  map(name: string): Handle {
    const handle = checked(this.addon.objectMap(this.opened[0]!, name), 'find map', name);
    this.opened.push(handle);
    return handle;
  }

  /** Bytes of translated and of machine code. */
  sizes(name: string): { translated: number; machine: number } {
    const words = new Int32Array(6);
    checked(this.addon.programInfo(this.programs.get(name)!, words), 'ask about', name);
    return { translated: words[3]!, machine: words[4]! };
  }

  /**
   * One test run. Nanoseconds a repeat as the kernel counts them (whole ones), and of this process's own time, which is
   * finer; how many repeats gave what was expected (a program that does not count: 0).
   */
  run(
    name: string,
    packet: Uint8Array,
    plan: Plan,
    repeat: number,
    cpu: number,
  ): { whole: number; fine: number; good: number } {
    const { plan: at } = this;
    for (let i = 0; i < PLAN_BYTES; i += 4) at.setUint32(i, 0, true);
    at.setUint32(0, plan.next ?? 0, true);
    at.setUint32(4, plan.flows, true);
    at.setUint32(8, plan.stride, true);
    at.setUint32(12, plan.address, true);
    at.setUint32(16, plan.destination, false);
    at.setUint16(22, plan.port, false);
    at.setUint32(24, plan.expected, true);
    const program = this.programs.get(name);
    if (program === undefined) throw new Error(`no program ${name}`);
    const before = process.cpuUsage();
    const errno = this.addon.programRun(program, packet, undefined, undefined, undefined, repeat, cpu, this.result);
    const used = process.cpuUsage(before);
    if (errno < 0) throw new BpfError('run', name, errno);
    const whole = this.result[3]!;
    const fine = ((used.user + used.system) * 1000) / repeat;
    return {
      whole,
      // What is above the kernel's figure is the call's own cost; what is below, the clock's coarseness.
      fine: Math.min(Math.max(fine, whole), whole + 1),
      good: Number(at.getBigUint64(GOOD, true)),
    };
  }

  close(): void {
    for (const handle of this.opened.splice(0).reverse()) this.addon.close(handle);
  }
}
