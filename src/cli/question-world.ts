// Loads a cluster that is only asked, never run: manifests, values, facts from files, compile. Input: cluster options and
// `--dns`, `--entities`. Output: a PolicyWorld. Invariant: every problem of the input is told at once, as one failure.
import { type PolicyInput, PolicyWorld } from '../analysis/index.ts';
import type { ClusterState, Facts, IpAddress } from '../control/index.ts';
import { loadText } from '../control/load/index.ts';
import { parseAddress } from '../control/manifest/index.ts';
import { settingsOf } from '../control/settings.ts';
import { safeText } from '../flow/index.ts';
import type { Command } from 'commander';
import { CommandFailure } from './failure.ts';
import { addClusterOptions, type ClusterOptions } from './shared-options.ts';
import { tell } from './terminal.ts';
import { compileCluster } from './world.ts';

/** Options of commands that ask questions. */
export interface QuestionOptions extends ClusterOptions {
  readonly dns?: string;
  readonly entities?: string;
}

/** Adds the cluster options, `--dns` and `--entities`. */
export function addQuestionOptions(command: Command): Command {
  return addClusterOptions(command)
    .option('--dns <file>', 'JSON {"name":["address"]}: what the DNS proxy has learnt')
    .option('--entities <file>', 'JSON {"address":["kube-apiserver"]}: further reserved entities of addresses');
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
): Promise<{ readonly input: PolicyInput; readonly warnings: readonly string[]; readonly problems: Problems }> {
  if (options.manifests === undefined || options.manifests.length === 0)
    throw new CommandFailure('-m, --manifests PATH: name the manifests to ask about');
  const facts = await readFacts(options);
  const amend = (state: ClusterState): ClusterState => ({
    ...state,
    facts: {
      dnsNames: new Map([...state.facts.dnsNames, ...facts.dnsNames]),
      entities: new Map([...state.facts.entities, ...facts.entities]),
    },
  });
  const cluster = await compileCluster(options, { keepRefused: true, amend, tolerant });
  const { state, compiled, config, warnings, problems } = cluster;
  if (state === undefined || compiled === undefined) throw new CommandFailure('the manifests hold nothing');
  const settings = settingsOf(config, state, { semantics: options.semantics });
  return { input: { state, settings, compiled, dnsKnown: options.dns !== undefined }, warnings, problems };
}
type Problems = Awaited<ReturnType<typeof compileCluster>>['problems'];

async function readFacts({ dns, entities }: QuestionOptions): Promise<Facts> {
  const dnsNames = new Map<string, readonly IpAddress[]>();
  for (const [name, list] of await readLists(dns, '--dns')) {
    const addresses = list.map((text) => addressOf(text, `--dns ${dns}: ${name}`));
    dnsNames.set(name.toLowerCase().replace(/\.$/, ''), addresses);
  }
  const carried = new Map<string, readonly string[]>();
  for (const [text, list] of await readLists(entities, '--entities')) {
    carried.set(addressOf(text, `--entities ${entities}`).text, list);
  }
  return { dnsNames, entities: carried };
}

function addressOf(text: string, where: string): IpAddress {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw new CommandFailure(safeText(`${where}: ${text}: ${parsed.reason}`));
  return parsed.value;
}

/** A JSON object whose values are lists of texts. */
async function readLists(path: string | undefined, option: string): Promise<[string, string[]][]> {
  if (path === undefined) return [];
  const value = await readJson(path, option);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new CommandFailure(`${option} ${path}: a JSON object is expected`);
  return Object.entries(value).map(([key, list]) => {
    if (!Array.isArray(list) || !list.every((item): item is string => typeof item === 'string'))
      throw new CommandFailure(safeText(`${option} ${path}: ${key}: a list of texts is expected`));
    return [key, list];
  });
}

/** A JSON file; its problems name the option. */
export async function readJson(path: string, option: string): Promise<unknown> {
  const read = await loadText(path);
  if ('problem' in read) throw new CommandFailure(safeText(`${option} ${path}: ${read.problem.message}`));
  try {
    return JSON.parse(read.text) as unknown;
  } catch (cause) {
    throw new CommandFailure(safeText(`${option} ${path}: no JSON: ${cause instanceof Error ? cause.message : ''}`));
  }
}
