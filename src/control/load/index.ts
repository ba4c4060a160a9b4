// Loads manifests from files, directories and standard input. In: paths as the user gave them. Out: a state or problems.
// Invariant: nothing is half applied: one error anywhere, and there is no state; every problem is listed all the same.
import { promises as fs, createReadStream } from 'node:fs';
import process from 'node:process';
import { readManifests, type LoadResult, type ManifestInput, type ManifestOptions } from '../manifest/manifests.ts';
import { defaultLimits } from '../manifest/tree.ts';
import { hasErrors, type Problem } from '../problem.ts';
import { decodeText, readBounded } from './input-text.ts';
import { fileProblem, ioReason, listManifestFiles, type ManifestFile, type PathRules } from './manifest-files.ts';

export { decodeText, type DecodedText } from './input-text.ts';

/** Where the bytes come from, and how they are read. */
export interface LoadOptions extends ManifestOptions {
  /** What `-` reads; the process's standard input by default. */
  readonly stdin?: AsyncIterable<Uint8Array | string>;
  /** Rules for path names; the platform's by default. */
  readonly pathRules?: PathRules;
}

/**
 * Reads manifests: files (any name, pipes too), directories (recursive; `.yaml`, `.yml`, `.json`; names that start with
 * a dot are left out), `-` for standard input. The state is there only if no problem is an error.
 */
export async function loadManifests(paths: readonly string[], options: LoadOptions = {}): Promise<LoadResult> {
  const limits = options.limits ?? defaultLimits;
  const { files, problems } = await listManifestFiles(paths, limits, options.pathRules);
  const inputs: ManifestInput[] = [];
  for (const file of files) {
    const read = await readOne(file, limits.fileBytes, options.stdin);
    if ('problem' in read) problems.push(read.problem);
    else inputs.push({ file: file.name, text: read.text, found: file.found });
  }
  const result = readManifests(inputs, options);
  const all = [...problems, ...result.problems];
  return result.state === undefined || hasErrors(all) ? { problems: all } : { state: result.state, problems: all };
}

/** Reads one text file (a values file, say) with the same bounds and decoding; `-` is standard input. */
export async function loadText(
  path: string,
  options: LoadOptions = {},
): Promise<{ readonly text: string } | { readonly problem: Problem }> {
  return readOne(
    { name: path, path: path === '-' ? undefined : path, found: false },
    (options.limits ?? defaultLimits).fileBytes,
    options.stdin,
  );
}

async function readOne(
  file: ManifestFile,
  maxBytes: number,
  stdin: AsyncIterable<Uint8Array | string> | undefined,
): Promise<{ text: string } | { problem: Problem }> {
  const tooLarge = { problem: fileProblem('error', file.name, `larger than ${maxBytes} bytes`) };
  let bytes: Uint8Array | undefined;
  try {
    if (file.path === undefined) bytes = await readBounded(stdin ?? process.stdin, maxBytes);
    else if ((await fs.stat(file.path)).isFile()) {
      if ((await fs.stat(file.path)).size > maxBytes) return tooLarge;
      bytes = await fs.readFile(file.path);
    } else bytes = await readBounded(createReadStream(file.path) as AsyncIterable<Uint8Array>, maxBytes);
  } catch (error) {
    return { problem: fileProblem('error', file.name, ioReason(error)) };
  }
  if (bytes === undefined || bytes.length > maxBytes) return tooLarge;
  const decoded = decodeText(bytes);
  if (decoded.ok) return { text: decoded.text };
  return {
    problem: {
      severity: 'error',
      file: file.name,
      line: decoded.line,
      column: decoded.column,
      message: decoded.message,
    },
  };
}
