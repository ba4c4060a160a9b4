// The commands and their options. Input: arguments. Output: an exit code; nothing here throws.
// Invariant: the user's mistakes end in one line on stderr and exit code 2, never in a stack trace.
import { Command, CommanderError } from 'commander';
import { addCompletionCommand } from './completion-command.ts';
import { addDoctorCommand } from './doctor-command.ts';
import { addExplainCommand } from './explain-command.ts';
import { CommandFailure, EXIT, messageOf } from './failure.ts';
import { addLintCommand } from './lint-command.ts';
import { addMaglevCommand } from './maglev-command.ts';
import { addDiffCommand } from './diff-command.ts';
import { addReachCommand } from './reach-command.ts';
import { addMapCommands } from './bpf-command.ts';
import { addReplayCommand } from './replay-command.ts';
import { tell } from './terminal.ts';
import { addVerdictCommand } from './verdict-command.ts';
import { addVersionCommand, versionText } from './version-command.ts';

/** Told by a command's action how it ended. */
export type SetExitCode = (code: number) => void;

/** The whole command tree. */
export function makeProgram(setExitCode: SetExitCode): Command {
  const program = new Command('weir')
    .description(
      'A node dataplane that speaks Cilium’s language: replay captures through Services and network policies.',
    )
    .version(versionText(), '-V, --version', 'print the version')
    .helpCommand(true)
    .showHelpAfterError('(weir --help, or weir COMMAND --help, tells what there is)')
    .showSuggestionAfterError(true)
    .exitOverride();
  addReplayCommand(program, setExitCode);
  addExplainCommand(program);
  addVerdictCommand(program, setExitCode);
  addReachCommand(program);
  addDiffCommand(program, setExitCode);
  addLintCommand(program, setExitCode);
  addMaglevCommand(program);
  addMapCommands(program);
  addDoctorCommand(program, setExitCode);
  addVersionCommand(program);
  addCompletionCommand(program);
  for (const command of allCommands(program)) command.exitOverride();
  return program;
}

function allCommands(command: Command): Command[] {
  return command.commands.flatMap((child) => [child, ...allCommands(child)]);
}

/** Runs the command line. Returns the exit code. */
export async function runProgram(args: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.FINE;
  const program = makeProgram((code) => (exitCode = code));
  // A reader of stderr that went away is no reason to fail.
  process.stderr.on('error', () => undefined);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (cause) {
    return exitCodeOf(cause);
  }
  return exitCode;
}

function exitCodeOf(cause: unknown): number {
  // Commander has printed its own message; help and version end this way, too.
  if (cause instanceof CommanderError) return cause.exitCode === 0 ? EXIT.FINE : EXIT.BAD_INPUT;
  if (cause instanceof CommandFailure) {
    tell(`weir: ${cause.message}`);
    return cause.exitCode;
  }
  if (process.env['WEIR_DEBUG'] !== undefined && cause instanceof Error && cause.stack !== undefined) tell(cause.stack);
  tell(`weir: internal error: ${messageOf(cause)} (WEIR_DEBUG=1 shows where)`);
  return EXIT.BAD_INPUT;
}
