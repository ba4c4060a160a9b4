// The process's streams: data to stdout in large pieces, diagnostics to stderr, whether to colour.
// Input: text. Output: writes; a promise where the reader is slow. Invariant: a reader that went away ends output quietly.
import type { WriteStream } from 'node:tty';

const PIECE = 1 << 16;

/** `--color`. */
export type ColourChoice = 'auto' | 'always' | 'never';

/** Whether to colour `stream`: `--color`, then NO_COLOR (no-color.org: set and not empty), then whether it is a terminal. */
export function wantsColour(
  choice: ColourChoice,
  stream: Partial<Pick<WriteStream, 'isTTY'>>,
  env: NodeJS.ProcessEnv,
): boolean {
  if (choice !== 'auto') return choice === 'always';
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return false;
  return stream.isTTY === true && env['TERM'] !== 'dumb';
}

/** Standard output of data. */
export class DataOutput {
  /** The reader has gone (EPIPE): nothing more is written. */
  closed = false;
  private text = '';
  private readonly stream: NodeJS.WriteStream;
  private failure: Error | undefined = undefined;
  private waiting: (() => void) | undefined = undefined;

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.stream = stream;
    stream.on('error', (error: NodeJS.ErrnoException) => {
      this.closed = true;
      if (error.code !== 'EPIPE' && error.code !== 'EOF' && error.code !== 'ERR_STREAM_DESTROYED') this.failure = error;
      this.waiting?.();
    });
  }

  /** Takes text; it is written when enough has come together. */
  write(text: string): void {
    if (this.closed) return;
    this.text += text;
    if (this.text.length >= PIECE) this.push();
  }

  /** Where the reader is slow: a promise until it has caught up. Throws when the system refused to write (disk full). */
  pause(): Promise<void> | undefined {
    if (this.failure !== undefined) throw this.failure;
    if (this.closed || !this.stream.writableNeedDrain) return undefined;
    return new Promise((resolve) => {
      const done = (): void => {
        this.waiting = undefined;
        this.stream.off('drain', done);
        resolve();
      };
      this.waiting = done;
      this.stream.once('drain', done);
    });
  }

  /** Writes what is left. Rejects when the system refused to write (disk full). */
  async end(): Promise<void> {
    this.push();
    for (let wait = this.pause(); wait !== undefined; wait = this.pause()) await wait;
    if (!this.closed) await new Promise<void>((resolve) => this.stream.write('', () => resolve()));
    if (this.failure !== undefined) throw this.failure;
  }

  private push(): void {
    if (this.closed || this.text === '') return;
    this.stream.write(this.text);
    this.text = '';
  }
}

/** One or more lines to stderr. */
export function tell(text: string): void {
  process.stderr.write(text.endsWith('\n') ? text : `${text}\n`);
}
