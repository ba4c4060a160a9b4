// Facts that no manifest tells, from files: names that were resolved, entities of addresses. Input: `--dns`, `--entities`.
// Output: a change of the loaded state. Invariant: a file that is not as documented is one failure that names the option.
import type { Command } from 'commander';
import { type ClusterState, FACT_ENTITIES, type IpAddress } from '../control/index.ts';
import { loadText } from '../control/load/index.ts';
import { parseAddress } from '../control/manifest/index.ts';
import { safeText } from '../flow/index.ts';
import { CommandFailure } from './failure.ts';

/** Where facts are. */
export interface FactOptions {
  readonly dns?: string;
  readonly entities?: string;
}

/** Adds `--dns` and `--entities`. */
export function addFactOptions(command: Command): Command {
  return command
    .option('--dns <file>', 'JSON {"name":["address"]}: what the DNS proxy has learnt')
    .option('--entities <file>', 'JSON {"address":["kube-apiserver"]}: further reserved entities of addresses');
}

/** Reads the files; what it answers adds the facts to a state. Rejects with a CommandFailure. */
export async function readFacts({ dns, entities }: FactOptions): Promise<(state: ClusterState) => ClusterState> {
  const dnsNames = new Map<string, readonly IpAddress[]>();
  for (const [name, list] of await readLists(dns, '--dns')) {
    const addresses = list.map((text) => addressOf(text, `--dns ${dns}: ${name}`));
    dnsNames.set(name.toLowerCase().replace(/\.$/, ''), addresses);
  }
  const carried = new Map<string, readonly string[]>();
  for (const [text, list] of await readLists(entities, '--entities')) {
    const unknown = list.find((name) => !FACT_ENTITIES.includes(name));
    if (unknown !== undefined)
      throw new CommandFailure(
        safeText(`--entities ${entities}: ${text}: "${unknown}" is not one of ${FACT_ENTITIES.join(', ')}`),
      );
    carried.set(addressOf(text, `--entities ${entities}`).text, list);
  }
  return (state) => ({
    ...state,
    facts: {
      dnsNames: new Map([...state.facts.dnsNames, ...dnsNames]),
      entities: new Map([...state.facts.entities, ...carried]),
    },
  });
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
