// Loads a cluster that is only asked, never run: manifests, values, facts from files, compile. Input: cluster options and
// `--dns`, `--entities`. Output: a PolicyWorld. Invariant: every problem of the input is told at once, as one failure.
import { type PolicyInput, PolicyWorld } from '../analysis/index.ts';
import { settingsOf } from '../control/settings.ts';
import { safeText } from '../flow/index.ts';
import type { Command } from 'commander';
import { addFactOptions, type FactOptions, readFacts } from './fact-files.ts';
import { CommandFailure } from './failure.ts';
import { addClusterOptions, type ClusterOptions } from './shared-options.ts';
import { tell } from './terminal.ts';
import { compileCluster } from './world.ts';

/** Options of commands that ask questions. */
export interface QuestionOptions extends ClusterOptions, FactOptions {}

/** Adds the cluster options, `--dns` and `--entities`. */
export function addQuestionOptions(command: Command): Command {
  return addFactOptions(addClusterOptions(command));
}

/** What becomes of a cluster's warnings. */
export type TellWarnings = (warnings: readonly string[]) => void;

/** Warnings to stderr, each once. */
export const tellWarnings: TellWarnings = (warnings) => {
  for (const warning of new Set(warnings)) tell(safeText(`weir: warning: ${warning}`));
};

/** Loads the world that `manifests` (or the options' own) describe. */
export async function loadQuestionWorld(
  options: QuestionOptions,
  warn: TellWarnings = tellWarnings,
): Promise<PolicyWorld> {
  const { input, warnings } = await loadQuestionInput(options);
  warn(warnings);
  return new PolicyWorld(input);
}

/** The same, as the parts that a world is made of. */
export async function loadQuestionInput(
  options: QuestionOptions,
  tolerant = false,
): Promise<{
  readonly input: PolicyInput;
  readonly warnings: readonly string[];
  readonly problems: Problems;
  readonly policyMapMax: number;
}> {
  if (options.manifests === undefined || options.manifests.length === 0)
    throw new CommandFailure('-m, --manifests PATH: name the manifests to ask about');
  const amend = await readFacts(options);
  // Policies are asked of the whole cluster, wherever packets of it would go.
  const { topology: _unused, ...asked } = options;
  const cluster = await compileCluster(asked, { keepRefused: true, amend, tolerant });
  const { state, compiled, config, warnings, problems } = cluster;
  if (state === undefined || compiled === undefined) throw new CommandFailure('the manifests hold nothing');
  const settings = settingsOf(config, state, { semantics: options.semantics });
  const input = { state, settings, compiled, dnsKnown: options.dns !== undefined };
  return { input, warnings, problems, policyMapMax: config['bpf.policyMapMax'] };
}
type Problems = Awaited<ReturnType<typeof compileCluster>>['problems'];
