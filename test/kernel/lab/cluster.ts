// The lab's clusters: manifests of this folder in the kernel engine and in the simulator; events read, captures replayed.
// Input: file names. Output: both engines filled alike. Invariant: what a test writes besides goes to both.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import process from 'node:process';
import { openCapture } from '../../../src/capture/file/index.ts';
import { type Compiled, Compiler } from '../../../src/control/compile.ts';
import { diff } from '../../../src/control/diff.ts';
import { type ClusterState, hasErrors, resolveConfig } from '../../../src/control/index.ts';
import { loadManifests } from '../../../src/control/load/index.ts';
import type { Dataplane } from '../../../src/dataplane/index.ts';
import { createSim, type Sim } from '../../../src/dataplane/sim/index.ts';
import { checked, createXdp, type Handle, type Xdp } from '../../../src/dataplane/xdp/index.ts';
import type { ConnectionRecord, FlowFacts } from '../../../src/flow/index.ts';
import type { ValueOf } from '../../../src/layout/index.ts';
import type { MapWrite } from '../../../src/maps/index.ts';
import { addressText, replay, type ReplayResult } from '../../../src/replay/index.ts';
import { eventRecord, MAPS } from '../../../src/schema/index.ts';
import { ROOT } from '../../support/repository.ts';
import { theAddon } from '../kernel.ts';

const FOLDER = join(ROOT, 'test', 'kernel', 'lab');

/** Path of a file of this folder. */
export const labFile = (name: string): string => join(FOLDER, name);

/** A cluster, compiled for one of its nodes. */
export interface Cluster {
  readonly state: ClusterState;
  readonly compiled: Compiled;
  readonly node: string;
  /** Number of a backend by its `address:port`. */
  readonly backend: (socket: string) => number;
}

/** Reads manifests and values of this folder. */
export async function readCluster(node: string, values: string, ...manifests: readonly string[]): Promise<Cluster> {
  // Relative to the working folder: provenance names files as they were given.
  const loaded = await loadManifests(manifests.map((name) => relative(process.cwd(), labFile(name))));
  const resolved = resolveConfig({ valuesText: readFileSync(labFile(values), 'utf8'), valuesFile: values });
  if (!('state' in loaded) || loaded.state === undefined || resolved.problems.length > 0)
    throw new Error(JSON.stringify([loaded.problems, resolved.problems]));
  const compiled = new Compiler(resolved.config, { node }).compile(loaded.state);
  if (hasErrors(compiled.problems)) throw new Error(JSON.stringify(compiled.problems));
  const numbers = new Map([...compiled.names.backends].map(([id, socket]) => [socket, id]));
  const backend = (socket: string): number => {
    const id = numbers.get(socket);
    if (id === undefined) throw new Error(`no backend ${socket} among ${[...numbers.keys()].join(', ')}`);
    return id;
  };
  return { state: loaded.state, compiled, node, backend };
}

/** Both engines with the cluster's maps and `more`. The kernel's is for live traffic. */
export function fillEngines(cluster: Cluster, more: readonly MapWrite[]): { readonly kernel: Xdp; readonly sim: Sim } {
  const { maps } = cluster.compiled;
  const specs = Object.fromEntries(
    Object.entries(MAPS).map(([name, spec]) => {
      const inner = 'innerEntries' in spec ? { innerEntries: maps.maglev4.spec.innerEntries ?? spec.innerEntries } : {};
      const array = spec.kind === 'array' || spec.kind === 'percpu-array' || spec.kind === 'ring';
      return [name, { maxEntries: array ? spec.maxEntries : Math.min(spec.maxEntries, 4096), ...inner }];
    }),
  );
  const fill = <D extends Dataplane>(engine: D): D => {
    const { failed } = engine.apply([...diff(undefined, maps), ...more]);
    if (failed === undefined) return engine;
    engine.close();
    throw new Error(`write ${failed.index} failed with ${failed.errno}`);
  };
  return { kernel: fill(createXdp({ specs, recording: false })), sim: fill(createSim({ specs, seed: 1 })) };
}

/** A decoded event; addresses as text. */
export type Event = Omit<ValueOf<typeof eventRecord>, 'source' | 'destination'> & {
  readonly source: string;
  readonly destination: string;
};

/** All unread events. */
export function eventsOf({ events }: Dataplane): Event[] {
  const out: Event[] = [];
  const bytes = new Uint8Array(eventRecord.bytes);
  while (events.poll(bytes)) {
    const event = eventRecord.decode(bytes);
    const text = (address: Uint8Array): string => {
      const view = new DataView(address.buffer, address.byteOffset);
      const word = (at: number): number => view.getInt32(at, true);
      return addressText(event.family, word(0), word(4), word(8), word(12));
    };
    out.push({ ...event, source: text(event.source), destination: text(event.destination) });
  }
  return out;
}

/** What a replay said, by the initiator's address and port. */
export interface Replayed {
  readonly byClient: ReadonlyMap<string, ConnectionRecord>;
  /** Numbers of the backends that packets of the initiator were given. */
  readonly backendsOf: ReadonlyMap<string, ReadonlySet<number>>;
  readonly result: ReplayResult;
}

/** Replays captures through the simulator. */
export async function replayed(cluster: Cluster, sim: Sim, at: string, files: readonly string[]): Promise<Replayed> {
  const byClient = new Map<string, ConnectionRecord>();
  const backendsOf = new Map<string, Set<number>>();
  const sources = await Promise.all(files.map((file) => openCapture(file)));
  try {
    const result = await replay(
      {
        captures: sources.map((source, i) => ({ path: files[i]!, source })),
        dataplane: sim,
        state: cluster.state,
        rulesOf: (cookie) => cluster.compiled.provenance.rulesOf(cookie),
        node: cluster.node,
        at,
        everyPacket: true,
        seed: 1,
      },
      {
        connection: (record) => {
          byClient.set(clientText(record), record);
        },
        packet: (judged) => {
          const { backend } = judged.outcome;
          const client = clientText(judged.record());
          const known = backendsOf.get(client);
          if (known === undefined) backendsOf.set(client, new Set([backend]));
          else known.add(backend);
        },
      },
    );
    return { byClient, backendsOf, result };
  } finally {
    await Promise.all(sources.map((source) => source.close()));
  }
}

const clientText = ({ source }: FlowFacts): string => `${source.ip} ${source.port}`;

/** Programs of decapsulate.bpf.c, compiled with clang into `folder` and loaded. */
export function loadLabPrograms(folder: string): {
  readonly decapsulate: Handle;
  readonly pass: Handle;
  close(): void;
} {
  const addon = theAddon();
  const out = join(folder, 'decapsulate.o');
  const triple = spawnSync('clang', ['-print-multiarch'], { encoding: 'utf8' }).stdout.trim();
  const headers = [triple, `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`]
    .map((name) => join('/usr/include', name))
    .filter((path) => existsSync(join(path, 'asm', 'types.h')))
    .flatMap((path) => ['-I', path]);
  const source = labFile('decapsulate.bpf.c');
  const warnings = ['-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter'];
  const args = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', ...warnings, ...headers, '-c', source, '-o', out];
  const { status, stderr } = spawnSync('clang', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`clang: ${stderr}`);
  const object = checked(addon.objectOpen(new Uint8Array(readFileSync(out)), 'lab', 0), 'open', 'decapsulate.o');
  const handles: Handle[] = [object];
  const close = (): void => {
    for (const handle of handles) addon.close(handle);
  };
  try {
    checked(addon.objectLoad(object), 'load', 'decapsulate.o');
    const program = (name: string): Handle => {
      const handle = checked(addon.objectProgram(object, name), 'find program', name);
      handles.push(handle);
      return handle;
    };
    return { decapsulate: program('decapsulate'), pass: program('pass'), close };
  } catch (error) {
    close();
    throw error;
  }
}
