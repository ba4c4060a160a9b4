// `weir diff -m BEFORE --after AFTER`: which connections a change of manifests allows, denies or redirects. Output: classes with
// an example each. Exit codes: 0 nothing changes; 1 something does; 2 wrong usage or input.
import { type Command, Option } from 'commander';
import { DIFF_FORMATS, type DiffFormat, diffLines, diffSummary, diffWorlds } from '../analysis/index.ts';
import { CommandFailure, EXIT } from './failure.ts';
import type { SetExitCode } from './program.ts';
import { addQuestionOptions, loadQuestionWorld, type QuestionOptions, tellWarnings } from './question-world.ts';
import { addColourOption } from './shared-options.ts';
import { type ColourChoice, DataOutput, tell, wantsColour } from './terminal.ts';

interface DiffOptions extends QuestionOptions {
  readonly after?: readonly string[];
  readonly output: DiffFormat;
  readonly color: ColourChoice;
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Adds `weir diff`. */
export function addDiffCommand(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('diff')
    .description('tell which connections a change of manifests allows or denies (-m BEFORE --after AFTER)')
    .option('--after <path>', 'manifests after the change: a file, a directory or - (repeatable)', collect)
    .addOption(new Option('-o, --output <format>', 'output format').choices(DIFF_FORMATS).default('text'));
  addColourOption(addQuestionOptions(command)).action(async (options: DiffOptions) => {
    setExitCode(await run(options));
  });
}

async function run(options: DiffOptions): Promise<number> {
  if (options.after === undefined) throw new CommandFailure('--after PATH: name the manifests after the change');
  const warnings: string[] = [];
  const keep = (lines: readonly string[]): void => void warnings.push(...lines);
  const before = await loadQuestionWorld(options, keep);
  const after = await loadQuestionWorld({ ...options, manifests: options.after }, keep);
  tellWarnings(warnings);
  const diff = diffWorlds(before, after);
  const output = new DataOutput();
  for (const text of diffLines(diff, options.output, wantsColour(options.color, process.stdout, process.env))) {
    output.write(text);
    const wait = output.pause();
    if (wait !== undefined) await wait;
    if (output.closed) break;
  }
  await output.end();
  const summary = diffSummary(diff);
  tell(`weir: ${summary ?? 'no connection changes'}`);
  return summary === undefined ? EXIT.FINE : EXIT.DIFFERENT;
}
