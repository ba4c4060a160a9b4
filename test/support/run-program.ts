// Runs the command line within this process: no start of Node for each run. Input: arguments. Output: exit code, both streams.
// Invariant: one run at a time; the streams are given back whatever happens.
import process from 'node:process';
import { runProgram } from '../../src/cli/program.ts';

/** What a run came to. */
export interface ProgramRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `weir` with these arguments. */
export async function runInProcess(args: readonly string[]): Promise<ProgramRun> {
  const texts = { stdout: '', stderr: '' };
  const streams = [
    [process.stdout, 'stdout'],
    [process.stderr, 'stderr'],
  ] as const;
  const writes = streams.map(([stream]) => stream.write.bind(stream));
  streams.forEach(([stream, name], i) => {
    stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
      // The test runner reports through the same stream, in bytes; the command line writes text.
      if (typeof chunk !== 'string') return (writes[i]! as (...args: unknown[]) => boolean)(chunk, ...rest);
      texts[name] += chunk;
      const done = rest.find((item) => typeof item === 'function') as (() => void) | undefined;
      if (done !== undefined) setImmediate(done);
      return true;
    }) as typeof stream.write;
  });
  const listeners = streams.map(([stream]) => stream.listeners('error'));
  try {
    const code = await runProgram(args);
    return { code, ...texts };
  } finally {
    streams.forEach(([stream], i) => {
      stream.write = writes[i]! as typeof stream.write;
      for (const listener of stream.listeners('error')) {
        if (!listeners[i]!.includes(listener)) stream.removeListener('error', listener as () => void);
      }
    });
  }
}
