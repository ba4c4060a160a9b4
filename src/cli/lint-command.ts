// `weir lint`: what is wrong with policies, or was probably meant otherwise. Input: manifests. Output: a finding a line.
// Exit codes: 0; 1 when a finding is as bad as --fail-on (default: warning); 2 wrong usage or input that cannot be read.
import { type Command, Option } from 'commander';
import {
  Findings,
  lint,
  LINT_FORMATS,
  type LintFinding,
  type LintFormat,
  lintText,
  PolicyWorld,
  problemFindings,
} from '../analysis/index.ts';
import { loadManifests } from '../control/load/index.ts';
import { CommandFailure, EXIT } from './failure.ts';
import type { SetExitCode } from './program.ts';
import { addQuestionOptions, loadQuestionInput, type QuestionOptions } from './question-world.ts';
import { addColourOption } from './shared-options.ts';
import { type ColourChoice, DataOutput, tell, wantsColour } from './terminal.ts';
import { versionText } from './version-command.ts';

const LEVELS = ['error', 'warning', 'info'] as const;

interface LintOptions extends QuestionOptions {
  readonly level: (typeof LEVELS)[number];
  readonly failOn: (typeof LEVELS)[number] | 'never';
  readonly output: LintFormat;
  readonly color: ColourChoice;
}

/** Adds `weir lint`. */
export function addLintCommand(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('lint')
    .description('tell what is wrong with policies, or was probably meant otherwise')
    .addOption(new Option('--level <severity>', 'the least severity to tell').choices(LEVELS).default('info'))
    .addOption(
      new Option('--fail-on <severity>', 'exit with 1 from this severity on')
        .choices([...LEVELS, 'never'])
        .default('warning'),
    )
    .addOption(new Option('-o, --output <format>', 'output format').choices(LINT_FORMATS).default('text'));
  addColourOption(addQuestionOptions(command)).action(async (options: LintOptions) => {
    setExitCode(await run(options));
  });
}

async function run(options: LintOptions): Promise<number> {
  if (options.manifests === undefined) throw new CommandFailure('-m, --manifests PATH: name the manifests to lint');
  const all = await findingsOf(options);
  const least = LEVELS.indexOf(options.level);
  const shown = all.filter(({ severity }) => LEVELS.indexOf(severity) <= least);
  const output = new DataOutput();
  output.write(lintText(shown, options.output, wantsColour(options.color, process.stdout, process.env), versionText()));
  await output.end();
  const count = (wanted: LintFinding['severity']): number => all.filter(({ severity }) => severity === wanted).length;
  tell(`weir: ${count('error')} errors, ${count('warning')} warnings, ${count('info')} notes`);
  if (options.failOn === 'never') return EXIT.FINE;
  const limit = LEVELS.indexOf(options.failOn);
  return all.some(({ severity }) => LEVELS.indexOf(severity) <= limit) ? EXIT.DIFFERENT : EXIT.FINE;
}

async function findingsOf(options: LintOptions): Promise<LintFinding[]> {
  // Manifests with errors have no state: then the errors are all that there is to say.
  const loaded = await loadManifests(options.manifests!, { keepRefused: true });
  if (loaded.state === undefined) {
    const unreadable = loaded.problems.find(({ severity, line }) => severity === 'error' && line === 0);
    if (unreadable !== undefined) throw new CommandFailure(`${unreadable.file}: ${unreadable.message}`);
    const findings = new Findings();
    problemFindings(loaded.problems, findings);
    return findings.list();
  }
  const { input, problems, policyMapMax } = await loadQuestionInput(options, true);
  return lint(new PolicyWorld(input), problems, { policyMapMax });
}
