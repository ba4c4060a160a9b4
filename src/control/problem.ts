// Problems found in input: what is wrong and where. In: nothing. Out: Problem, its printed form, and their order.
// Invariant: a problem always names a file; line and column are 1-based, or 0 when the whole file is meant.

/** One finding about the input. An error means that nothing is applied. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  /** As the user gave it, `/`-separated; `-` is stdin, `--set` a command-line assignment. */
  readonly file: string;
  /** 1-based; 0 where the problem is about the file as a whole. */
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** `file:line:column: message`; `file: message` where there is no line. */
export function formatProblem(problem: Problem): string {
  const place = problem.line > 0 ? `${problem.file}:${problem.line}:${problem.column}` : problem.file;
  return `${place}: ${problem.message}`;
}

/** True when any of the problems is an error. */
export function hasErrors(problems: readonly Problem[]): boolean {
  return problems.some((p) => p.severity === 'error');
}
