// How a command ends other than well. Input: messages for the user. Output: CommandFailure, which program.ts prints.
// Invariant: exit codes are 0 fine, 1 an assertion failed or differences were found, 2 wrong usage or bad input.

/** Exit codes of every command. */
export const EXIT = { FINE: 0, DIFFERENT: 1, BAD_INPUT: 2 } as const;

/** Ends the command with lines for stderr and an exit code; never shown with a stack trace. */
export class CommandFailure extends Error {
  readonly exitCode: number;

  /** @param exitCode an EXIT code */
  constructor(message: string, exitCode: number = EXIT.BAD_INPUT) {
    super(message);
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
  }
}

/** The message of anything thrown, on one line. */
export function messageOf(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.replace(/\s+/g, ' ').trim();
}
