// Generates native/bpf/layout.gen.h from the schema: structs, static asserts, codes, bounds and map sizes.
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist', 'src');

/** The header's text. */
export async function generate() {
  const { emitHeader } = await import(pathToFileURL(join(dist, 'schema', 'emit-header.js')).href);
  return [{ path: 'native/bpf/layout.gen.h', text: emitHeader() }];
}
