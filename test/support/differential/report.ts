// A difference told to people: the sequence cut down, what differs, and the literal to commit. Input: a sequence that fails.
// Output: text. Invariant: a sequence that does not fail alone is told whole, with a word about it.
import { sequenceText } from './literal.ts';
import type { Difference } from './pair.ts';
import type { Run } from './run.ts';
import { shrink } from './shrink.ts';
import type { Sequence } from './step.ts';
import { SPAN } from './traffic.ts';

/** The counterexample of a sequence that differed. Closes the run's engines and leaves new ones. */
export function counterexample(run: Run, sequence: Sequence, first: Difference): string {
  run.reset();
  let attempts = 0;
  const replay = (candidate: Sequence): Difference | undefined =>
    run.pair(candidate.loaded).replay(candidate, SPAN * ++attempts);
  const lines: string[] = [];
  let small = sequence;
  let difference = replay(sequence);
  if (difference === undefined) {
    lines.push('Alone, the sequence does not differ: what ran before it matters. All of it:');
    difference = first;
  } else {
    small = shrink(sequence, (candidate) => replay(candidate) !== undefined);
    difference = replay(small) ?? difference;
  }
  const where = difference.step < 0 ? 'behind the last step' : `at step ${difference.step}`;
  lines.push(`${difference.what}, ${where}:`, difference.detail, '', sequenceText(small), '');
  return lines.join('\n');
}
