// `--dump-maps DIR`: each map of a dataplane as one JSON file, with raw bytes and decoded fields.
// Input: maps. Output: `DIR/<map>.json`. Invariant: keys and values as hexadecimal read back bit for bit; slots of arrays
// that are zero are left out.
import { join } from 'node:path';
import type { ByteMap } from '../maps/index.ts';
import { type MapSpec, valueBytes } from '../schema/index.ts';
import { preparePrivateFolder, removeFile, writePrivateFile } from './private-file.ts';

const hex = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');

/** Writes every map that is not empty. Returns how many files were written. */
export function dumpMaps(maps: Iterable<ByteMap>, folder: string): number {
  preparePrivateFolder(folder);
  let files = 0;
  for (const map of maps) {
    const text = mapText(map);
    const path = join(folder, `${map.spec.name}.json`);
    // What an earlier run left would be taken for this one's; a link would lead out of the folder.
    removeFile(path);
    if (text === undefined) continue;
    writePrivateFile(path, text);
    files++;
  }
  return files;
}

function mapText(map: ByteMap): string | undefined {
  const { spec } = map;
  const rows: string[] = [];
  const isArray = spec.kind === 'array' || spec.kind === 'percpu-array';
  for (const [key, value] of map.entries()) {
    if (isArray && value.every((byte) => byte === 0)) continue;
    rows.push(`    ${JSON.stringify(row(spec, key, value))}`);
  }
  if (rows.length === 0) return undefined;
  const head = {
    map: spec.name,
    kind: spec.kind,
    keyBytes: spec.key.bytes,
    valueBytes: valueBytes(spec),
    maxEntries: spec.maxEntries,
    evicted: map.stats.evicted,
    refused: map.stats.refused,
  };
  return `${JSON.stringify(head).slice(0, -1)},"entries":[\n${rows.join(',\n')}\n]}\n`;
}

function row(spec: MapSpec, key: Uint8Array, value: Uint8Array): unknown {
  const raw = { key: hex(key), value: hex(value) };
  // A table of a array-of-arrays is its numbers.
  const fields = spec.innerEntries === undefined ? plain(spec.value.decode(value)) : undefined;
  return { ...raw, fields: { key: plain(spec.key.decode(key)), ...(fields === undefined ? {} : { value: fields }) } };
}

/** Decoded fields as JSON takes them. */
function plain(decoded: object): unknown {
  return Object.fromEntries(
    Object.entries(decoded).map(([name, field]: [string, unknown]) => [
      name,
      field instanceof Uint8Array ? hex(field) : typeof field === 'bigint' ? field.toString() : field,
    ]),
  );
}
