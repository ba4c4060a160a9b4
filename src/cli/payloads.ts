// What a replay does about payloads: layer-7 rules are asked about requests, DNS answers become facts. Input: a compiled cluster and the
// dataplane that holds it. Output: parts for a replay. Invariant: the readers are loaded only where a policy needs them.
import type { Compiled } from '../control/compile.ts';
import { diff } from '../control/diff.ts';
import { DnsFacts } from '../control/dns-facts.ts';
import { type ClusterState, hasErrors, InspectedRuleTable, type Problem } from '../control/index.ts';
import { mayOverrule } from '../control/name-doubt.ts';
import { type Dataplane, silenceEvents } from '../dataplane/index.ts';
import { type NameCompiler, NameLearning, type PayloadInspection } from '../replay/index.ts';

/** Parts of a replay; absent where no policy asks for them. */
export interface Payloads {
  readonly inspection?: PayloadInspection;
  readonly learning?: NameLearning;
}

const inspects = ({ policies }: Compiled): boolean => policies.rules.some(({ inspected }) => inspected !== undefined);

/** What is wrong with layer-7 rules: expressions that are none, and the like. */
export async function inspectedProblems(compiled: Compiled): Promise<readonly Problem[]> {
  if (!inspects(compiled)) return [];
  const { ReadyRules, RuleProblems } = await import('../l7/index.ts');
  const problems = new RuleProblems();
  const ready = new ReadyRules(problems);
  for (const rule of compiled.policies.rules) if (rule.inspected !== undefined) ready.of(rule);
  return problems.list;
}

/** Marks the rules that the agent would refuse for their layer-7 parts: see markRefusedRules. */
export async function withRefusedRules(
  state: ClusterState,
): Promise<{ readonly state: ClusterState; readonly problems: readonly Problem[] }> {
  if (!state.ciliumPolicies.some(({ rules }) => rules.some(redirects))) return { state, problems: [] };
  const { markRefusedRules } = await import('../l7/index.ts');
  return markRefusedRules(state);
}

const redirects = ({ ingress = [], egress = [] }: ClusterState['ciliumPolicies'][number]['rules'][number]): boolean =>
  [...ingress, ...egress].some(({ toPorts = [] }) => toPorts.some(({ l7 }) => l7 !== undefined));

/** Makes the parts. `compile` compiles the cluster with other facts. */
export async function readPayloads(
  state: ClusterState,
  compiled: Compiled,
  compile: (state: ClusterState) => Compiled,
  dataplane: Dataplane,
): Promise<Payloads> {
  const named = compiled.namedRules.length > 0;
  if (!inspects(compiled))
    return named ? { learning: learningOf(state, compiled, compile, dataplane, () => undefined) } : {};
  const { ConnectionInspection, ReadyRules, RuleProblems } = await import('../l7/index.ts');
  const table = ({ policies, identities }: Compiled): InspectedRuleTable =>
    new InspectedRuleTable(policies, identities);
  const inspection = new ConnectionInspection(table(compiled), new ReadyRules(new RuleProblems()));
  if (!named) return { inspection };
  const learning = learningOf(state, compiled, compile, dataplane, (next) => inspection.use(table(next)));
  return { inspection, learning };
}

function learningOf(
  state: ClusterState,
  compiled: Compiled,
  compile: (state: ClusterState) => Compiled,
  dataplane: Dataplane,
  changed: (next: Compiled) => void,
): NameLearning {
  let current = compiled;
  const compiler: NameCompiler = {
    get namedRules() {
      return current.namedRules;
    },
    relearn(dnsNames) {
      const next = compile({ ...state, facts: { ...state.facts, dnsNames } });
      // What does not fit any more leaves the maps as they are: the packet is judged by what was known before.
      if (hasErrors(next.problems)) return;
      dataplane.apply(diff(current.maps, next.maps));
      silenceEvents(dataplane);
      current = next;
      changed(next);
    },
    cookieOf: (rules) => {
      const { provenance } = current;
      return provenance.cookieOf(rules.map((rule) => provenance.register(rule)));
    },
    mayOverrule: (rule, cookie) => mayOverrule(state, rule, current.provenance.rulesOf(cookie >>> 0)),
  };
  return new NameLearning(new DnsFacts(state.facts.dnsNames), compiler, dataplane);
}
