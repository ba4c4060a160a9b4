// Where lists of maps read from: a folder that `replay --dump-maps` wrote, or maps just compiled from manifests.
// Input: a path, or the options of a cluster. Output: entries by map. Invariant: a file that is no dump is a CommandFailure that
// names it; a map without a file is empty.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { safeText } from '../../flow/index.ts';
import { MAPS, type MapName, type MapSpec } from '../../schema/index.ts';
import { CommandFailure, messageOf } from '../failure.ts';
import type { ClusterOptions } from '../shared-options.ts';
import { tell } from '../terminal.ts';
import { loadWorld } from '../world.ts';

/** Key and value as they lie in the map. */
export type RawEntry = readonly [Uint8Array, Uint8Array];

/** Maps to list. */
export interface MapSource {
  /** Entries; slots of arrays that are zero are left out. */
  entries(map: MapName): RawEntry[];
  /** Labels of an identity, where manifests tell them. */
  readonly identityName: (identity: number) => string | undefined;
}

const LARGEST_FILE = 1 << 30;

/** The maps of `--maps DIR`, or of the manifests: of the whole cluster, or as the agent of `--node` has them. */
export async function openMaps(options: ClusterOptions & { readonly maps?: string }): Promise<MapSource> {
  if (options.maps !== undefined) return folderSource(options.maps);
  if (options.manifests === undefined)
    throw new CommandFailure('give --maps DIR (what replay --dump-maps wrote), or manifests with -m');
  const world = await loadWorld(options, { nodeView: true });
  for (const warning of world.warnings) tell(safeText(`weir: warning: ${warning}`));
  return {
    entries: (map) => {
      if (map === 'events') return [];
      const spec: MapSpec = MAPS[map];
      const isArray = spec.kind === 'array' || spec.kind === 'percpu-array';
      const entries: RawEntry[] = [];
      for (const [key, value] of world.dataplane.maps[map].entries())
        if (!isArray || value.some((byte) => byte !== 0)) entries.push([key.slice(), value.slice()]);
      return entries;
    },
    identityName: world.identityName,
  };
}

function folderSource(folder: string): MapSource {
  try {
    if (!statSync(folder).isDirectory()) throw new CommandFailure(`--maps ${folder}: is not a folder`);
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    throw new CommandFailure(`--maps ${folder}: no such folder`);
  }
  if (!Object.values(MAPS).some(({ name }) => existsSync(join(folder, `${name}.json`))))
    throw new CommandFailure(`--maps ${folder}: holds no map that replay --dump-maps wrote`);
  return {
    entries: (map) => readDump(join(folder, `${MAPS[map].name}.json`), MAPS[map]),
    identityName: () => undefined,
  };
}

/** Reads one file. */
function readDump(path: string, spec: MapSpec): RawEntry[] {
  let text: string;
  try {
    const file = statSync(path);
    if (!file.isFile()) throw new CommandFailure(`${path}: is no file`);
    if (file.size > LARGEST_FILE) throw new CommandFailure(`${path}: larger than ${LARGEST_FILE} bytes`);
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new CommandFailure(`${path}: cannot be read: ${messageOf(cause)}`);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new CommandFailure(`${path}: is no map dump (not JSON)`);
  }
  const dump = parsed as { readonly map?: unknown; readonly keyBytes?: unknown; readonly entries?: unknown } | null;
  if (typeof dump !== 'object' || dump === null || dump.map !== spec.name || !Array.isArray(dump.entries))
    throw new CommandFailure(`${path}: is no dump of ${spec.name}`);
  return dump.entries.map((entry: unknown, i): RawEntry => {
    const { key, value } = (entry ?? {}) as { readonly key?: unknown; readonly value?: unknown };
    const bytes = [hexBytes(key), hexBytes(value)];
    const wanted = spec.innerEntries === undefined ? spec.value.bytes : undefined;
    if (
      bytes[0]?.length !== spec.key.bytes ||
      bytes[1] === undefined ||
      (wanted === undefined ? bytes[1].length % spec.value.bytes !== 0 : bytes[1].length !== wanted)
    )
      throw new CommandFailure(
        `${path}: entry ${i + 1} is no entry of ${spec.name}; was it written by another version?`,
      );
    return [bytes[0], bytes[1]];
  });
}

function hexBytes(text: unknown): Uint8Array | undefined {
  if (typeof text !== 'string' || text.length % 2 !== 0 || /[^0-9a-f]/i.test(text)) return undefined;
  return Uint8Array.from(Buffer.from(text, 'hex'));
}
