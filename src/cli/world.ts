// Loads a cluster into a dataplane: manifests, values, compile, apply. Input: the cluster options of a command.
// Output: a World. Invariant: every problem of the input is told at once; with an error nothing is applied.
import type { Compiled } from '../control/compile.ts';
import { Compiler } from '../control/compile.ts';
import { diff } from '../control/diff.ts';
import {
  type ClusterState,
  type Config,
  formatProblem,
  hasErrors,
  loadLabelExpressions,
  type Problem,
  resolveConfig,
} from '../control/index.ts';
import { loadManifests, loadText } from '../control/load/index.ts';
import type { RuleRef } from '../control/provenance.ts';
import { readTopology, type Topology } from '../control/topology.ts';
import { type Dataplane, type GcOptions, silenceEvents } from '../dataplane/index.ts';
import { createSim } from '../dataplane/sim/index.ts';
import type { SizeOverrides } from '../datapath/index.ts';
import { safeText } from '../flow/index.ts';
import { configValue, ERRNO, SIMULATOR_FEATURE_TEXT } from '../schema/index.ts';
import { CommandFailure } from './failure.ts';
import { inspectedProblems, type Payloads, readPayloads, withRefusedRules } from './payloads.ts';
import type { ClusterOptions } from './shared-options.ts';

/** A cluster in a dataplane. */
export interface World<D extends Dataplane = Dataplane> {
  readonly dataplane: D;
  /** undefined: no manifests were given. */
  readonly state: ClusterState | undefined;
  readonly rulesOf: (cookie: number) => readonly RuleRef[];
  /** Labels of an identity, as `source:key=value` joined; undefined for one that is not known. */
  readonly identityName: (identity: number) => string | undefined;
  readonly masquerade: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** How often conntrack is collected. */
  readonly gc: GcOptions;
  /** The node that the dataplane was compiled for: that of a topology, or of a node's view; undefined: the whole cluster. */
  readonly node: string | undefined;
  /** Interfaces of that node by name. */
  readonly interfaces: ReadonlyMap<string, number>;
  /** What looks into redirected connections, and what takes up DNS answers; where policies ask for either. */
  readonly payloads: Payloads;
  /** Lines for stderr. */
  readonly warnings: readonly string[];
}

/** Errors become one failure with a line each; warnings are returned as lines. */
function settle(problems: readonly Problem[]): string[] {
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (hasErrors(problems))
    throw new CommandFailure(errors.map((problem) => safeText(formatProblem(problem))).join('\nweir: '));
  return problems.map(formatProblem);
}

/** Makes an engine; `specs`: the sizes that the configuration asks for. */
export type MakeDataplane<D extends Dataplane> = (options: { readonly specs?: SizeOverrides }) => D;

/** Loads a cluster into a simulator: see {@link loadInto}. */
export const loadWorld = (
  options: ClusterOptions,
  choices: CompileChoices = {},
): ReturnType<typeof loadInto<ReturnType<typeof createSim>>> => loadInto(options, createSim, choices);

/**
 * Loads; rejects with a CommandFailure that lists every problem. Every pod of the cluster is an endpoint, whatever `--node` says:
 * a replayed packet goes its whole known way, and the policy at its other end belongs to it. With a topology the dataplane is
 * that of one node: its routes say where the others are.
 */
export async function loadInto<D extends Dataplane>(
  options: ClusterOptions,
  make: MakeDataplane<D>,
  choices: CompileChoices = {},
): Promise<World<D>> {
  const cluster = await compileCluster(options, choices);
  const { state, config, compiled, warnings } = cluster;
  const gc = { interval: config.conntrackGCInterval, maxInterval: config.conntrackGCMaxInterval };
  const masquerade = { ipv4: config.enableIPv4Masquerade, ipv6: config.enableIPv6Masquerade };
  if (state === undefined || compiled === undefined)
    return {
      dataplane: make({}),
      state: undefined,
      rulesOf: () => [],
      identityName: () => undefined,
      masquerade,
      gc,
      node: undefined,
      interfaces: new Map(),
      payloads: {},
      warnings,
    };
  const dataplane = make({ specs: compiled.sizes });
  fill(dataplane, compiled);
  // Nobody reads the event ring of an engine that judges captures: what it would hold is in each packet's record.
  silenceEvents(dataplane);
  return {
    dataplane,
    state,
    rulesOf: (cookie) => compiled.provenance.rulesOf(cookie),
    identityName: (identity) => compiled.names.identities.get(identity)?.join(', '),
    masquerade,
    gc,
    node: cluster.node,
    interfaces: cluster.interfaces,
    payloads: await readPayloads(state, compiled, cluster.compile, dataplane),
    warnings,
  };
}

/** Puts a compiled cluster into an engine's maps; closes the engine and throws a CommandFailure where that fails. */
export function fill(dataplane: Dataplane, compiled: Compiled): void {
  const writes = [...diff(undefined, compiled.maps)];
  const { failed } = dataplane.apply(writes);
  if (failed === undefined) return;
  const { map, value } = writes[failed.index]!;
  dataplane.close();
  if (failed.errno === ERRNO.EOPNOTSUPP && value !== undefined) {
    throw new CommandFailure(`the kernel engine does not have ${simulatorFeatures(value)}: leave out --dataplane xdp`);
  }
  throw new CommandFailure(
    `the maps could not be filled: write ${failed.index + 1} of ${writes.length}, to ${map}, failed with ${failed.errno}`,
  );
}

/** A cluster as the compiler has it. Without manifests there is nothing to compile. */
export interface CompiledCluster {
  readonly state: ClusterState | undefined;
  readonly compiled: Compiled | undefined;
  /** Compiles another state of the same cluster; numbers stay. */
  readonly compile: (state: ClusterState) => Compiled;
  readonly config: Config;
  /** The node that was compiled for: that of a topology, or of a node's view. */
  readonly node: string | undefined;
  /** Interfaces of that node by name. */
  readonly interfaces: ReadonlyMap<string, number>;
  /** Warnings of everything that was read, as lines for stderr. */
  readonly warnings: string[];
  /** The same, to be told otherwise. */
  readonly problems: readonly Problem[];
}

/** What a command may want otherwise. */
export interface CompileChoices {
  /** Cilium rules that the agent would refuse are kept and enforce nothing, as in a live cluster; by default they are errors. */
  readonly keepRefused?: boolean;
  /** Changes the state before it is compiled: facts, say. */
  readonly amend?: (state: ClusterState) => ClusterState;
  /** `--node` alone makes it that node's maps. Without, only a topology does. */
  readonly nodeView?: boolean;
  /** Errors of the compiler (a map that is too small, say) are left to the caller, among `problems`. */
  readonly tolerant?: boolean;
}

/** Loads and compiles; rejects with a CommandFailure that lists every problem. */
export async function compileCluster(options: ClusterOptions, choices: CompileChoices = {}): Promise<CompiledCluster> {
  const paths = options.manifests ?? [];
  const { keepRefused = false } = choices;
  if (options.topology !== undefined && paths.length === 0)
    throw new CommandFailure('--topology: name the manifests, too (-m)');
  const loaded = paths.length === 0 ? { problems: [] } : await loadManifests(paths, { keepRefused });
  const problems: Problem[] = [...loaded.problems];
  const written = 'state' in loaded ? loaded.state : undefined;
  const { state: read, problems: refused } =
    keepRefused && written !== undefined ? await withRefusedRules(written) : { state: written, problems: [] };
  for (const problem of refused) problems.push(problem);
  const config = await readConfig(options, read, problems);
  const told = await readLocal(options, read, problems);
  const local = choices.nodeView === true && options.node !== undefined ? { node: options.node, ...told } : told;
  const warnings = settle(problems);
  const compiler = new Compiler(config, { semantics: options.semantics, ...local });
  const { node } = local;
  const { topology } = told;
  const interfaces = new Map(topology?.interfaces.map(({ name, ifindex }) => [name, ifindex]));
  const compile = (other: ClusterState): Compiled => compiler.compile(other);
  if (read === undefined)
    return { state: undefined, compiled: undefined, compile, config, node, interfaces, warnings, problems };
  if (options.node !== undefined && !isNode(read, options.node, choices.nodeView === true)) {
    throw new CommandFailure(`--node ${options.node}: the manifests hold no such node`);
  }
  const state = choices.amend === undefined ? read : choices.amend(read);
  const compiled = compile(state);
  const found = [...compiled.problems, ...(await inspectedProblems(compiled))];
  for (const problem of found) problems.push(problem);
  if (choices.tolerant !== true) for (const warning of settle(found)) warnings.push(warning);
  return { state, compiled, compile, config, node, interfaces, warnings, problems };
}

/** Whether a cluster has a node: its object, or where `named` what runs on it. */
const isNode = ({ nodes, pods, endpointSlices }: ClusterState, node: string, named: boolean): boolean =>
  nodes.some(({ name }) => name === node) ||
  (named &&
    (pods.some(({ nodeName }) => nodeName === node) ||
      endpointSlices.some(({ endpoints }) => endpoints.some(({ nodeName }) => nodeName === node))));

/** A topology and its node, where one is given. The node: the topology's own, `--node`, the only one of the cluster. */
async function readLocal(
  options: ClusterOptions,
  state: ClusterState | undefined,
  problems: Problem[],
): Promise<{ readonly node?: string; readonly topology?: Topology }> {
  if (options.topology === undefined) return {};
  const read = await loadText(options.topology);
  if ('problem' in read) {
    problems.push(read.problem);
    return {};
  }
  const { topology, problems: found } = readTopology(read.text, options.topology);
  for (const problem of found) problems.push(problem);
  if (topology === undefined || state === undefined) return {};
  const refuse = (message: string): void => void problems.push({ severity: 'error', ...topology.origin, message });
  const nodes = new Set(state.nodes.map(({ name }) => name));
  const only = nodes.size === 1 ? [...nodes][0] : undefined;
  const node = topology.node ?? options.node ?? only;
  if (node === undefined) refuse(`node: required, since the manifests hold ${nodes.size} nodes and --node names none`);
  else if (!nodes.has(node)) refuse(`node: the manifests hold no node ${JSON.stringify(node)}`);
  else if (options.node !== undefined && options.node !== node) refuse(`node: ${node} is not --node ${options.node}`);
  return node === undefined ? {} : { node, topology };
}

async function readConfig(
  options: ClusterOptions,
  state: ClusterState | undefined,
  problems: Problem[],
): Promise<Config> {
  let valuesText: string | undefined;
  if (options.values !== undefined) {
    const read = await loadText(options.values);
    if ('problem' in read) problems.push(read.problem);
    else valuesText = read.text;
  }
  const named = [valuesText, ...(options.set ?? [])].some((text) => text?.includes('labels') === true);
  const patterns = state?.l2AnnouncementPolicies.some(({ interfaces }) => interfaces.length > 0) === true;
  if (named || patterns || state?.ciliumConfig?.data.has('labels') === true) await loadLabelExpressions();
  const resolved = resolveConfig({
    ...(state?.ciliumConfig === undefined ? {} : { configMap: state.ciliumConfig }),
    ...(valuesText === undefined ? {} : { valuesText }),
    ...(options.values === undefined ? {} : { valuesFile: options.values }),
    ...(options.set === undefined ? {} : { sets: options.set }),
  });
  for (const problem of resolved.problems) problems.push(problem);
  return resolved.config;
}

/** What a configuration asks of the simulator alone, in words. */
function simulatorFeatures(config: Uint8Array): string {
  const { features } = configValue.decode(config);
  return [...SIMULATOR_FEATURE_TEXT].flatMap(([bit, text]) => ((features & bit) === 0 ? [] : [text])).join(', ');
}
