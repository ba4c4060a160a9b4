// What goes wrong with the kernel, as an error for people. Input: an operation, what it was done to, an errno, a log.
// Output: BpfError. Invariant: the log is kept whole; the message is one line.
import { constants } from 'node:os';

const NAMES = new Map<number, string>(Object.entries(constants.errno).map(([name, number]) => [number, name]));
/** Of the kernel's inside; a map or program without the operation answers with it. */
NAMES.set(524, 'ENOTSUPP');

/** The name of an errno, of either sign: `ENOENT`, or `errno 1234`. */
export const errnoName = (errno: number): string => NAMES.get(Math.abs(errno)) ?? `errno ${Math.abs(errno)}`;

/** A refusal of the kernel, or of libbpf. */
export class BpfError extends Error {
  /** What was tried: `load`, `create map`, `attach xdp`. */
  readonly operation: string;
  /** What it was tried on: a map, program or interface. */
  readonly object: string;
  /** Negative errno. */
  readonly errno: number;
  /** Its name. */
  readonly code: string;
  /** What libbpf and the verifier said; whole, perhaps empty. */
  readonly log: string;

  constructor(operation: string, object: string, errno: number, log = '') {
    super(`${operation} ${object}: ${errnoName(errno)}${summary(log)}`);
    this.name = 'BpfError';
    this.operation = operation;
    this.object = object;
    this.errno = errno;
    this.code = errnoName(errno);
    this.log = log;
  }
}

/** The last line of a log that says something: the verifier puts its reason before its statistics. */
function summary(log: string): string {
  const lines = log
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const end = lines.findIndex((line) => line.includes('-- END PROG LOAD LOG --'));
  const reasons = (end < 0 ? lines : lines.slice(0, end)).filter((line) => !line.startsWith('processed '));
  const last = reasons.at(-1);
  return last === undefined ? '' : `: ${last}`;
}

/** Passes a result on, or throws the BpfError that it stands for. */
export function checked(result: number, operation: string, object: string, log?: string): number {
  if (result < 0) throw new BpfError(operation, object, result, log);
  return result;
}
