// The compiler of the kernel programs and the folders that it is to search: the choices of native/CMakeLists.txt, for scripts.
// Input: the path, the file system. Output: a command, folders. Invariant: nothing is compiled here.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';

/** Names in the order of native/CMakeLists.txt. */
export const CLANGS = ['clang', ...[19, 18, 17, 16, 15, 14].map((version) => `clang-${version}`)];

/** Path of the first clang, or undefined. */
export function bpfClang(path = process.env.PATH ?? '') {
  for (const name of CLANGS) {
    for (const folder of path.split(delimiter)) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not here; look on.
      }
    }
  }
  return undefined;
}

/** What a library's headers are, by pkg-config: folders. */
const libraryFolders = () =>
  (spawnSync('pkg-config', ['--cflags-only-I', 'libbpf'], { encoding: 'utf8' }).stdout ?? '')
    .split(/\s+/)
    .filter((word) => word.startsWith('-I'))
    .map((word) => word.slice(2));

/** Folders of headers besides those that clang searches: <asm/types.h> is below the host's architecture. */
export function bpfIncludes(clang) {
  const multiarch = (spawnSync(clang, ['-print-multiarch'], { encoding: 'utf8' }).stdout ?? '').trim();
  const machine = (spawnSync('uname', ['-m'], { encoding: 'utf8' }).stdout ?? '').trim();
  const architecture = [multiarch, `${machine}-linux-gnu`]
    .filter((triple) => triple !== '')
    .map((triple) => join('/usr/include', triple))
    .find((folder) => existsSync(join(folder, 'asm', 'types.h')));
  return [...(architecture === undefined ? [] : [architecture]), ...libraryFolders()];
}
