// The differential run: random worlds and packets through the simulator and the kernel's programs, until the given number of
// packets or the first difference. Input: see OPTIONS. Output: what was reached; exit code 1 on a difference, with a
// counterexample as TypeScript, or when something expected was not reached; 2 where the kernel engine cannot run.
import { argv, exit, stderr, stdout } from 'node:process';
import { parseArgs } from 'node:util';
import { runCaptures } from '../support/differential/captures.ts';
import { engineB, missing, simulator } from '../support/differential/engines.ts';
import { Histogram, shortfalls, table } from '../support/differential/histogram.ts';
import { counterexample } from '../support/differential/report.ts';
import { Run } from '../support/differential/run.ts';
import { EXPECTED } from './expected.ts';

const OPTIONS = {
  /** Packets of random sequences. */
  packets: { type: 'string', default: '100000' },
  seed: { type: 'string', default: '1' },
  /** This sequence alone. */
  sequence: { type: 'string' },
  /** `xdp`, or `sim` to try the run itself. */
  engine: { type: 'string', default: 'xdp' },
  /** Compiled programs to load instead of the built ones. */
  object: { type: 'string' },
  /** Packets of capture files below this folder instead of random ones. */
  captures: { type: 'string' },
  /** Mutated packets, made of the captures' where there are some. */
  mutated: { type: 'string' },
  /** Ends at the first difference without making it small. */
  quick: { type: 'boolean', default: false },
} as const;

const { values } = parseArgs({ args: argv.slice(2), options: OPTIONS });
const seed = Number(values.seed);
const fail = (text: string, code: number): never => {
  stdout.write(`${text}\n`);
  exit(code);
};
const lacking = values.engine === 'sim' ? undefined : missing(values.object);
if (lacking !== undefined) {
  const strict = process.env.REQUIRE_KERNEL === '1';
  fail(`The kernel engine cannot run here: ${lacking} is missing (npm run setup:kernel)`, strict ? 1 : 2);
}
const histogram = new Histogram();
const run = new Run(seed, simulator, engineB(values.engine, values.object), histogram);
const progress = (text: string): void => {
  if (stderr.isTTY) stderr.write(`\r\u001b[K${text}`);
};

/** Random sequences, from the first on, or one of them. */
function runRandom(): void {
  const packets = values.sequence === undefined ? Number(values.packets) : 1;
  const first = Number(values.sequence ?? 0);
  const started = performance.now();
  for (let index = first; histogram.packets < packets; index++) {
    const { sequence, difference } = run.sequence(index);
    if (difference !== undefined) {
      progress('');
      stdout.write(
        `Sequence ${index} of seed ${seed} (--seed ${seed} --sequence ${index}) differs: ${difference.what} at step ${difference.step} of ${sequence.steps.length}\n${difference.detail}\n`,
      );
      fail(values.quick ? '' : `\nMade small: ${counterexample(run, sequence, difference)}`, 1);
    }
    if (index % 64 === 0) progress(`${histogram.packets} packets`);
  }
  progress('');
  const seconds = (performance.now() - started) / 1000;
  const counted = histogram.counted(run.made());
  const share = ((histogram.parsed / histogram.packets) * 100).toFixed(1);
  stdout.write(
    `${table(counted, EXPECTED)}\n\nseed ${seed}: ${histogram.packets} packets in ${histogram.sequences} sequences, ` +
      `${histogram.writes} changes by control, ${seconds.toFixed(1)} s; ${share} % of the packets pass parse\n`,
  );
  if (values.sequence !== undefined) return;
  const problems = shortfalls(counted, histogram.packets, EXPECTED);
  if (histogram.parsed < histogram.packets * 0.7)
    problems.push(`only ${share} % of the packets pass parse, 70 expected`);
  if (problems.length > 0) fail(problems.join('\n'), 1);
}

if (values.captures !== undefined || values.mutated !== undefined) {
  const told = await runCaptures(run, seed, {
    folder: values.captures,
    mutated: Number(values.mutated ?? 0),
    quick: values.quick,
    progress,
  });
  progress('');
  stdout.write(`${told.text}\n`);
  run.reset();
  exit(told.differs ? 1 : 0);
}
runRandom();
run.reset();
