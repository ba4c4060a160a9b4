// Which files a list of paths stands for: files as named, directories walked. In: paths. Out: files with the names that
// origins will carry, and problems. Invariant: a directory's files come in bytewise order of their relative paths; a
// symbolic link is followed only within the directory that was named; no file is listed twice, whatever links there are.
import { promises as fs, type Stats } from 'node:fs';
import nodePath from 'node:path';
import type { Problem } from '../problem.ts';
import type { InputLimits } from '../manifest/tree.ts';

/** The part of node:path that naming needs; injected in tests to see Windows' rules anywhere. */
export type PathRules = Pick<typeof nodePath.posix, 'sep' | 'join' | 'extname'>;

/** A file to read, or standard input. */
export interface ManifestFile {
  /** For origins: as the user gave it, joined with `/`. */
  readonly name: string;
  /** For the file system; undefined for standard input. */
  readonly path: string | undefined;
  /** Found in a directory, not named. */
  readonly found: boolean;
}

const extensions = new Set(['.yaml', '.yml', '.json']);

/** The name that origins carry: separators are `/` whatever the platform's are. */
export function displayName(path: string, rules: PathRules): string {
  return rules.sep === '\\' ? path.replaceAll('\\', '/') : path;
}

/** Joins a directory as the user gave it with a relative path of `/`-separated names. */
export function joinName(directory: string, relative: string): string {
  return directory.endsWith('/') ? directory + relative : `${directory}/${relative}`;
}

/** UTF-8 byte order; UTF-16 order differs beyond the basic plane. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** True for names that a directory walk reads. */
export function isManifestName(name: string, rules: PathRules): boolean {
  return extensions.has(rules.extname(name).toLowerCase());
}

/** Expands paths to files. Never throws for what the file system says: that is a problem. */
export async function listManifestFiles(
  paths: readonly string[],
  limits: InputLimits,
  rules: PathRules = nodePath,
): Promise<{ files: ManifestFile[]; problems: Problem[] }> {
  const files: ManifestFile[] = [];
  const problems: Problem[] = [];
  const taken = new Set<string>();
  const take = (file: ManifestFile, identity: string): void => {
    if (taken.has(identity)) return;
    taken.add(identity);
    files.push(file);
  };
  for (const given of paths) {
    if (given === '-') {
      take({ name: '-', path: undefined, found: false }, '-');
      continue;
    }
    const name = displayName(given, rules);
    let stats: Stats;
    let real: string;
    try {
      stats = await fs.stat(given);
      real = await fs.realpath(given);
    } catch (error) {
      problems.push(fileProblem('error', name, ioReason(error)));
      continue;
    }
    if (!stats.isDirectory()) {
      take({ name, path: given, found: false }, real);
      continue;
    }
    const walk = new Walk(name, real, limits, rules, problems);
    const found = await walk.all();
    if (found.length === 0) problems.push(fileProblem('error', name, 'no .yaml, .yml or .json file in this directory'));
    for (const file of found) take(file, file.path);
  }
  return { files, problems };
}

/** A problem about a file as a whole. */
export function fileProblem(severity: Problem['severity'], file: string, message: string): Problem {
  return { severity, file, line: 0, column: 0, message };
}

/** The reason in words for the errors that users cause. */
export function ioReason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const known: ReadonlyMap<string, string> = new Map([
    ['ENOENT', 'no such file or directory'],
    ['EACCES', 'permission denied'],
    ['EPERM', 'permission denied'],
    ['ENOTDIR', 'a part of the path is not a directory'],
    ['ELOOP', 'too many symbolic links'],
    ['EISDIR', 'is a directory'],
    ['ENAMETOOLONG', 'the name is too long'],
  ]);
  return known.get(code) ?? `cannot be read (${code === '' ? 'unknown error' : code})`;
}

interface FoundFile extends ManifestFile {
  readonly path: string;
}

class Walk {
  readonly #name: string;
  readonly #root: string;
  readonly #limits: InputLimits;
  readonly #rules: PathRules;
  readonly #problems: Problem[];
  readonly #files: { relative: string; path: string }[] = [];
  readonly #links: { relative: string; path: string }[] = [];
  readonly #visited = new Set<string>();
  #full = false;

  constructor(name: string, root: string, limits: InputLimits, rules: PathRules, problems: Problem[]) {
    this.#name = name;
    this.#root = root;
    this.#limits = limits;
    this.#rules = rules;
    this.#problems = problems;
  }

  async all(): Promise<FoundFile[]> {
    await this.#directory(this.#root, '');
    // Links last: what is really there keeps its own name. Following one may find more.
    for (let link = this.#links.shift(); link !== undefined; link = this.#links.shift())
      await this.#link(link.relative, link.path);
    this.#files.sort((a, b) => compareBytes(a.relative, b.relative));
    return this.#files.map(({ relative, path }) => ({ name: joinName(this.#name, relative), path, found: true }));
  }

  async #directory(path: string, relative: string): Promise<void> {
    if (this.#visited.has(path) || this.#full) return;
    this.#visited.add(path);
    let entries;
    try {
      entries = await fs.readdir(path, { withFileTypes: true });
    } catch (error) {
      this.#problems.push(
        fileProblem('error', relative === '' ? this.#name : joinName(this.#name, relative), ioReason(error)),
      );
      return;
    }
    entries.sort((a, b) => compareBytes(a.name, b.name));
    for (const entry of entries) {
      // Dot names are version control, editors, and the mount machinery of ConfigMap volumes.
      if (entry.name.startsWith('.')) continue;
      const child = nodePath.join(path, entry.name);
      const childRelative = relative === '' ? entry.name : `${relative}/${entry.name}`;
      if (entry.isSymbolicLink()) this.#links.push({ relative: childRelative, path: child });
      else if (entry.isDirectory()) await this.#directory(child, childRelative);
      else if (entry.isFile() && isManifestName(entry.name, this.#rules)) this.#add(childRelative, child);
    }
  }

  #add(relative: string, path: string): void {
    if (this.#visited.has(path) || this.#full) return;
    if (this.#files.length >= this.#limits.files) {
      this.#full = true;
      this.#problems.push(fileProblem('error', this.#name, `more than ${this.#limits.files} files in one directory`));
      return;
    }
    this.#visited.add(path);
    this.#files.push({ relative, path });
  }

  async #link(relative: string, path: string): Promise<void> {
    const name = joinName(this.#name, relative);
    let real: string;
    let stats: Stats;
    try {
      real = await fs.realpath(path);
      stats = await fs.stat(real);
    } catch (error) {
      if (isManifestName(relative, this.#rules))
        this.#problems.push(fileProblem('warning', name, `symbolic link not followed: ${ioReason(error)}`));
      return;
    }
    const inside =
      real === this.#root ||
      real.startsWith(this.#root.endsWith(nodePath.sep) ? this.#root : this.#root + nodePath.sep);
    if (!inside) {
      if (stats.isDirectory() || isManifestName(relative, this.#rules))
        this.#problems.push(fileProblem('warning', name, 'symbolic link not followed: it leads out of the directory'));
      return;
    }
    if (stats.isDirectory()) await this.#directory(real, relative);
    else if (stats.isFile() && isManifestName(relative, this.#rules)) this.#add(relative, real);
  }
}
