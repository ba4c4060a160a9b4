// What tests of the kernel engine need: the reason to skip, fixtures compiled, namespaces and BPF file systems that go away.
// Input: names. Output: values to test with, or a skip that names the missing feature. Invariant: with REQUIRE_KERNEL=1 nothing
// is skipped: the missing feature is a failure.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import type { Dataplane } from '../../src/dataplane/index.ts';
import type { MapWrite } from '../../src/maps/index.ts';
import { type BpfAddon, kernelUnavailable, loadAddon } from '../../src/dataplane/xdp/index.ts';
import { ROOT } from '../support/repository.ts';

/** What a skipped test says, or false; throws instead of saying it where REQUIRE_KERNEL=1. */
export function skipFor(missing: { readonly feature: string } | undefined): string | false {
  if (missing === undefined) return false;
  const text = `needs ${missing.feature}`;
  if (process.env['REQUIRE_KERNEL'] === '1') throw new Error(`REQUIRE_KERNEL=1, but this machine ${text}`);
  return text;
}

/** Whether a command is there: undefined, or what is missing. */
export function commandMissing(...names: string[]): { feature: string } | undefined {
  const absent = names.filter((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).error !== undefined);
  return absent.length === 0 ? undefined : { feature: absent.join(', ') };
}

/** The addon. Call only where kernelUnavailable('maps') found nothing missing. */
export function theAddon(): BpfAddon {
  const addon = loadAddon();
  if (addon instanceof Error) throw addon;
  return addon;
}

/** Skip of whatever needs maps; and of what needs a compiled fixture besides. */
export const skipMaps = (): string | false => skipFor(kernelUnavailable('maps'));
export const skipFixture = (): string | false => skipMaps() || skipFor(commandMissing('clang'));
export const skipNamespace = (): string | false => skipFixture() || skipFor(commandMissing('ip'));

/** Folders of system headers that clang does not search when it compiles for BPF. */
function systemHeaders(): string[] {
  const { stdout } = spawnSync('clang', ['-print-multiarch'], { encoding: 'utf8' });
  return [stdout.trim(), `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`]
    .map((triple) => join('/usr/include', triple))
    .filter((folder) => existsSync(join(folder, 'asm', 'types.h')));
}

/** Puts what control has written into the simulator's maps into the kernel's. */
export function copyMaps(sim: Dataplane, kernel: Dataplane): void {
  const writes: MapWrite[] = [];
  for (const map of Object.values(sim.maps)) {
    if (map.spec.kind === 'percpu-array' || map.spec.kind === 'lru-hash') continue;
    for (const [key, value] of map.entries())
      if (map.spec.kind !== 'array' || value.some((byte) => byte !== 0))
        writes.push({ map: map.spec.name, op: 'update', key, value });
  }
  const { failed } = kernel.apply(writes);
  if (failed !== undefined) throw new Error(`${writes[failed.index]!.map}: errno ${failed.errno}`);
}

/** Compiles a fixture of test/kernel/fixtures; the object file's bytes. */
export function compileFixture(name: string): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'weir-fixture-'));
  try {
    const out = join(folder, `${name}.o`);
    const include = [join(ROOT, 'native', 'bpf'), ...systemHeaders()].flatMap((path) => ['-I', path]);
    const source = join(ROOT, 'test', 'kernel', 'fixtures', `${name}.bpf.c`);
    const args = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', ...include, '-c', source, '-o', out];
    const { status, stderr } = spawnSync('clang', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`clang: ${stderr}`);
    return new Uint8Array(readFileSync(out));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs a command; throws what it said when it fails. */
export function run(command: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined || status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

let made = 0;

/** A network namespace with a pair of interfaces, v0 and v1, that are up; of a new name unless one is given. */
export function makeNamespace(name = `weir-${process.pid}-${++made}`): {
  readonly name: string;
  readonly path: string;
  remove(): void;
} {
  run('ip', 'netns', 'add', name);
  try {
    run('ip', '-n', name, 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1');
    run('ip', '-n', name, 'link', 'set', 'v0', 'up');
    run('ip', '-n', name, 'link', 'set', 'v1', 'up');
  } catch (error) {
    run('ip', 'netns', 'del', name);
    throw error;
  }
  return { name, path: `/run/netns/${name}`, remove: () => void run('ip', 'netns', 'del', name) };
}

/** A BPF file system of one's own. */
export function mountBpfFs(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'weir-bpffs-'));
  run('mount', '-t', 'bpf', 'bpf', path);
  return {
    path,
    remove: () => {
      run('umount', path);
      rmdirSync(path);
    },
  };
}
