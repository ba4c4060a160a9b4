// Whether this machine can run the kernel engine, and if not, what is missing and the one command that mends it.
// Input: platform, privileges, the native build, a probe of the kernel. Output: KernelUnavailable or undefined.
// Invariant: nothing is changed; the probe is one tiny map that is closed again.
import process from 'node:process';
import { type BpfAddon, builtFile, loadAddon, MAP_TYPE } from './addon.ts';
import { errnoName } from './error.ts';

/** Why the kernel engine cannot run here. */
export interface KernelUnavailable {
  /** The missing feature, in a few words: what a skipped test names. */
  readonly feature: string;
  /** One sentence for people. */
  readonly reason: string;
  /** The command that mends it; undefined where none does. */
  readonly command: string | undefined;
}

/** What createXdp throws where the engine cannot run. */
export class KernelUnavailableError extends Error implements KernelUnavailable {
  readonly feature: string;
  readonly reason: string;
  readonly command: string | undefined;

  constructor(missing: KernelUnavailable) {
    super(missing.command === undefined ? missing.reason : `${missing.reason} (${missing.command})`);
    this.name = 'KernelUnavailableError';
    this.feature = missing.feature;
    this.reason = missing.reason;
    this.command = missing.command;
  }
}

/** What is missing, looked for in this order: Linux, addon, privileges, kernel; and the programs, unless `maps` alone are wanted. */
export function kernelUnavailable(needs: 'engine' | 'maps' = 'engine'): KernelUnavailable | undefined {
  if (process.platform !== 'linux') {
    return {
      feature: 'Linux',
      reason: `The kernel engine needs Linux; this is ${process.platform}. The simulator runs everywhere`,
      command: undefined,
    };
  }
  const addon = loadAddon();
  if (addon instanceof Error) {
    return {
      feature: 'native addon weir_bpf',
      reason: `The native addon is not there: ${firstLine(addon.message)}`,
      command: 'npm run setup:kernel',
    };
  }
  const refused = probe(addon);
  if (refused !== undefined) return refused;
  if (needs === 'engine' && builtFile('weir.bpf.o') === undefined) {
    return {
      feature: 'compiled programs weir.bpf.o',
      reason: 'The kernel programs are not compiled: clang or the headers of libbpf were missing',
      command: 'npm run setup:kernel',
    };
  }
  return undefined;
}

/** Makes and closes a map of one slot. */
function probe(addon: BpfAddon): KernelUnavailable | undefined {
  const map = addon.mapCreate(MAP_TYPE.ARRAY, 'weir_probe', 4, 4, 1, 0, 0);
  if (map >= 0) {
    addon.close(map);
    return undefined;
  }
  const code = errnoName(map);
  if (code === 'EPERM' || code === 'EACCES') {
    return {
      feature: 'root (CAP_BPF, CAP_NET_ADMIN)',
      reason: `The kernel does not let this user make BPF maps (${code})`,
      command: 'sudo -E env "PATH=$PATH" weir …',
    };
  }
  return {
    feature: 'bpf(2)',
    reason: `This kernel makes no BPF maps (${code})`,
    command: undefined,
  };
}

const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';
