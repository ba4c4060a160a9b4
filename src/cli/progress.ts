// The progress bar of a long replay, on a terminal only. Input: packets and bytes so far. Output: one line on stderr.
// Invariant: shown after half a second at the earliest, and cleared before anything else is printed there.
import { statSync } from 'node:fs';
import cliProgress from 'cli-progress';

const PATIENCE_MS = 500;

/** See the head of this file. */
export class ReplayProgress {
  private readonly total: number;
  private readonly began = performance.now();
  private bar: cliProgress.SingleBar | undefined = undefined;

  private constructor(total: number) {
    this.total = total;
  }

  /** A progress bar, unless stderr is no terminal, records go to the same terminal, or the size is not known. */
  static maybe(paths: readonly string[], printsToTerminal: boolean): ReplayProgress | undefined {
    if (!process.stderr.isTTY || printsToTerminal) return undefined;
    let total = 0;
    for (const path of paths) {
      try {
        if (path === '-' || path.endsWith('.gz')) return undefined;
        total += statSync(path).size;
      } catch {
        return undefined;
      }
    }
    return new ReplayProgress(total);
  }

  /** Shows where the replay is. */
  update(packets: number, bytes: number): void {
    if (this.bar === undefined) {
      if (performance.now() - this.began < PATIENCE_MS) return;
      this.bar = new cliProgress.SingleBar(
        {
          format: '{bar} {percentage} % | {packets} packets | {eta_formatted} left',
          clearOnComplete: true,
          hideCursor: true,
          stream: process.stderr,
        },
        cliProgress.Presets.shades_classic,
      );
      this.bar.start(this.total, 0, { packets: 0 });
    }
    this.bar.update(Math.min(bytes, this.total), { packets });
  }

  /** Removes the bar. */
  stop(): void {
    this.bar?.stop();
    this.bar = undefined;
  }
}
