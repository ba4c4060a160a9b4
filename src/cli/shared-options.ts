// Options that several commands have, and how their values are read.
// Input: text from the command line. Output: values, or a CommandFailure that names the option.
import { type Command, Option } from 'commander';
import { CommandFailure } from './failure.ts';

/** Options of everything that loads a cluster. */
export interface ClusterOptions {
  readonly manifests?: readonly string[];
  readonly values?: string;
  readonly set?: readonly string[];
  readonly semantics: 'cilium' | 'kubernetes';
  readonly node?: string;
  /** `--topology`, where the command has it. */
  readonly topology?: string;
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Helm would merge several; to take the last one alone would judge by a configuration that nobody has. */
function onlyValues(value: string, before: string | undefined): string {
  if (before !== undefined) throw new CommandFailure('--values can be given once only: merge the files');
  return value;
}

/** Adds `-m`, `--values`, `--set`, `--semantics`, `--node`. */
export function addClusterOptions(command: Command): Command {
  return command
    .option('-m, --manifests <path>', 'manifests: a file, a directory or - (repeatable)', collect)
    .option('--values <file>', 'Cilium’s Helm values file, or its cilium-config ConfigMap', onlyValues)
    .option('--set <key=value>', 'one Helm key (repeatable)', collect)
    .addOption(
      new Option('--semantics <kind>', 'how NetworkPolicy is read: kubernetes = ipBlock may match pods')
        .choices(['cilium', 'kubernetes'])
        .default('cilium'),
    )
    .option('--node <name>', 'the node that is stood for, where a command tells nodes apart');
}

/** Adds `--topology`. */
export function addTopologyOption(command: Command): Command {
  return command.option(
    '--topology <file>',
    'interfaces, routes and neighbours of the node: packets go where they lead',
  );
}

/** Adds `--color`. */
export function addColourOption(command: Command): Command {
  return command.addOption(
    new Option('--color <when>', 'colours').choices(['auto', 'always', 'never']).default('auto'),
  );
}

/** A whole number, 0 or more. */
export function wholeNumber(text: string, option: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new CommandFailure(`${option} ${text}: give a whole number`);
  return Number(text);
}
