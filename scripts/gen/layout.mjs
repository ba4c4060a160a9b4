// Generates native/bpf/layout.gen.h and maps.gen.h from the schema: structs, static asserts, codes, bounds, sizes, maps.
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist', 'src', 'schema');

/** Texts of the headers. */
export async function generate() {
  const { emitHeader } = await import(pathToFileURL(join(dist, 'emit-header.js')).href);
  const { emitMaps } = await import(pathToFileURL(join(dist, 'emit-maps.js')).href);
  return [
    { path: 'native/bpf/layout.gen.h', text: emitHeader() },
    { path: 'native/bpf/maps.gen.h', text: emitMaps() },
  ];
}
