// Runs the command line as a user would: the compiled program where it is there and newer than the sources, else from TypeScript.
// Input: arguments. Output: exit code and both streams. Invariant: NO_COLOR and friends of the caller do not leak in.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { ROOT } from './repository.ts';

export { ROOT };

/** What a run came to. */
export interface CliRun {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command to run. Tests that were compiled run the compiled program. */
function command(): readonly string[] {
  const compiled = join(ROOT, 'dist/bundle/weir.js');
  if (import.meta.url.endsWith('.js') && existsSync(compiled)) return [process.execPath, compiled];
  const source = join(ROOT, 'src/cli/main.ts');
  const fresh =
    existsSync(compiled) &&
    statSync(compiled).mtimeMs > statSync(source).mtimeMs &&
    process.env['WEIR_TEST_DIST'] === '1';
  return fresh ? [process.execPath, compiled] : ['tsx', source];
}

/** Runs `weir`, in the repository's root unless told. */
export function weir(
  args: readonly string[],
  options: { readonly input?: Uint8Array | string; readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): Promise<CliRun> {
  const [file, ...rest] = command();
  const { NO_COLOR: _a, FORCE_COLOR: _b, CI: _c, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn(file!, [...rest, ...args], { cwd: options.cwd ?? ROOT, env: { ...env, ...options.env } });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** A folder that is gone after the test. */
export function scratchFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'weir-test-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
