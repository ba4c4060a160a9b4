// Configuration: defaults, then a cilium-config ConfigMap from the manifests, then a values file, then `--set`.
// In: texts, a ConfigMap, assignments. Out: a complete Config, which keys were set, and problems with their places.
// Invariant: every key is taken, warned about by name, or known to be neutral; a key of the wrong type is an error.
import { parseDocuments, parseYamlText } from '../manifest/documents.ts';
import { nearest } from '../manifest/reader.ts';
import { defaultLimits, LineIndex, mapValue, type MapNode, type TreeNode } from '../manifest/tree.ts';
import type { Problem } from '../problem.ts';
import type { CiliumConfigMap, ClusterObject, ClusterState } from '../state.ts';
import { isNeutralAgentKey, isNeutralChartKey } from './neutral-keys.ts';
import { agentKeys, aliases, optionKeys, options, type Config, type OptionKey } from './options.ts';
import type { OptionSpec, RawValue } from './option-types.ts';
import { parseSets } from './set-values.ts';

/** Where configuration comes from; later ones win. */
export interface ConfigSources {
  /** A cilium-config ConfigMap met among the manifests. */
  readonly configMap?: CiliumConfigMap;
  /** Text of a Helm values file, or of a manifest that holds a cilium-config ConfigMap. */
  readonly valuesText?: string;
  /** Its name in problems; `values.yaml` by default. */
  readonly valuesFile?: string;
  /** `--set` assignments in Helm's syntax. */
  readonly sets?: readonly string[];
}

/** The outcome. `config` is complete even if there are errors: keys in error keep their defaults. */
export interface ResolvedConfig {
  readonly config: Config;
  /** Keys that somebody set. */
  readonly explicit: ReadonlySet<OptionKey>;
  readonly problems: readonly Problem[];
}

/** Cilium's chart defaults; `ipv6.enabled` is `'auto'`. */
export function defaultConfig(): Config {
  return Object.fromEntries(optionKeys.map((key) => [key, options[key].initial])) as unknown as Config;
}

/** Resolves `ipv6.enabled: 'auto'`: on when any address, pod range or service of the manifests is IPv6. */
export function ipv6Enabled(config: Config, state: ClusterState): boolean {
  const setting = config['ipv6.enabled'];
  if (setting !== 'auto') return setting;
  const { pods, nodes, services, endpointSlices } = state;
  return [pods, nodes, services, endpointSlices].some((list) => list.some(mentionsIpv6));
}

const six = (items: readonly { readonly family: 4 | 6 }[]): boolean => items.some(({ family }) => family === 6);

/** Whether `ipv6.enabled: auto` takes an object as a reason. */
export function mentionsIpv6(object: ClusterObject): boolean {
  switch (object.kind) {
    case 'Service': {
      const { clusterIPs, externalIPs, ipFamilies, loadBalancerIngress } = object;
      const balanced = loadBalancerIngress.flatMap(({ ip }) => ip ?? []);
      return six(clusterIPs) || six(externalIPs) || six(balanced) || ipFamilies?.includes('IPv6') === true;
    }
    case 'EndpointSlice':
      return object.addressType === 'IPv6';
    case 'Pod':
      return six(object.podIPs);
    case 'Node':
      return six(object.podCIDRs) || six(object.addresses.map(({ address }) => address));
    default:
      return false;
  }
}

/** Whether direct server return is dispatched so; of some Services at least, where an annotation may ask for it. */
export const isDsrBy = (config: Config, dispatch: Config['loadBalancer.dsrDispatch']): boolean =>
  (config['loadBalancer.mode'] !== 'snat' || config['bpf.lbModeAnnotation']) &&
  config['loadBalancer.dsrDispatch'] === dispatch;

/** Dispatches that Cilium's agent refuses to start with. */
function dispatchProblems(config: Config): Problem[] {
  const told = (message: string): Problem[] => [
    { severity: 'warning', file: 'loadBalancer.dsrDispatch', line: 0, column: 0, message },
  ];
  if (isDsrBy(config, 'geneve') && config.tunnelProtocol !== 'geneve')
    return told('geneve without tunnelProtocol: geneve: the agent refuses that; Weir takes Geneve for the overlay');
  if (isDsrBy(config, 'opt') && config['loadBalancer.mode'] !== 'snat' && config.routingMode === 'tunnel')
    return told('opt with routingMode: tunnel: the agent refuses that; Weir sends such packets outside of the overlay');
  return [];
}

/** Merges the sources over the defaults. */
export function resolveConfig(sources: ConfigSources = {}): ResolvedConfig {
  const merge = new Merge();
  if (sources.configMap !== undefined) merge.configMap(sources.configMap);
  if (sources.valuesText !== undefined) merge.values(sources.valuesText, sources.valuesFile ?? 'values.yaml');
  if (sources.sets !== undefined) merge.sets(sources.sets);
  return merge.result();
}

/** Reports a problem at an offset of the source that is being read. */
type Report = (severity: Problem['severity'], offset: number, message: string) => void;

class Merge {
  readonly #values = new Map<OptionKey, unknown>();
  readonly #problems: Problem[] = [];
  readonly #unknown = new Set<string>();
  /** Not honoured and not the default: option → warning. A later source may take it back. */
  readonly #ignored = new Map<OptionKey, Problem>();

  result(): ResolvedConfig {
    const config: Config = { ...defaultConfig(), ...Object.fromEntries(this.#values) };
    const problems = [...this.#problems, ...this.#ignored.values(), ...dispatchProblems(config)];
    return { config, explicit: new Set(this.#values.keys()), problems };
  }

  configMap(map: CiliumConfigMap): void {
    for (const [key, { value, origin }] of map.data) {
      this.#agentKey(key, value, (severity, message) =>
        this.#problems.push({ severity, file: origin.file, line: origin.line, column: origin.column, message }),
      );
    }
  }

  values(source: string, file: string): void {
    const text = source.charCodeAt(0) === 0xfeff ? source.slice(1) : source;
    const lines = new LineIndex(text);
    const report: Report = (severity, offset, message) => {
      this.#problems.push({ severity, file, ...lines.locate(offset), message });
    };
    if (text.length > defaultLimits.fileBytes) {
      report('error', 0, `larger than ${defaultLimits.fileBytes} bytes`);
      return;
    }
    const parsed = /^\s*[{[]/.test(text) ? parseDocuments(text) : parseYamlText(text);
    for (const issue of parsed.issues) report(issue.severity, issue.offset, issue.message);
    if (parsed.issues.some((issue) => issue.severity === 'error')) return;
    const maps = parsed.roots.flatMap(configMapsIn);
    if (maps.length > 0) {
      for (const map of maps) this.#configMapNode(map, report);
      return;
    }
    if (parsed.roots.length > 1) report('error', parsed.roots[1]!.offset, 'a values file is a single document');
    const root = parsed.roots[0];
    if (root === undefined) return;
    if (root.kind !== 'map') report('error', root.offset, 'a values file is a map of keys');
    else if (mapValue(root, 'kind') !== undefined && mapValue(root, 'apiVersion') !== undefined)
      report('error', root.offset, 'this is a manifest, neither a Helm values file nor a cilium-config ConfigMap');
    else this.#chart(root, '', report, false);
  }

  sets(sets: readonly string[]): void {
    const { root, issues } = parseSets(sets);
    const report: Report = (severity, offset, message) => {
      this.#problems.push({ severity, file: `--set ${sets[offset] ?? ''}`, line: 0, column: 0, message });
    };
    for (const issue of issues) report(issue.severity, issue.offset, issue.message);
    this.#chart(root, '', report, true);
  }

  #configMapNode(root: MapNode, report: Report): void {
    const data = mapValue(root, 'data');
    if (data?.kind !== 'map') return;
    data.keys.forEach((key, i) => {
      const node = data.values[i]!;
      if (node.kind === 'scalar' && typeof node.value === 'string')
        this.#agentKey(key, node.value, (severity, message) => {
          report(severity, node.offset, message);
        });
      else report('error', node.offset, `data.${key}: expected a string`);
    });
  }

  #chart(map: MapNode, prefix: string, report: Report, fromSet: boolean): void {
    map.keys.forEach((name, i) => {
      const key = prefix + name;
      const node = map.values[i]!;
      const keyOffset = map.keyOffsets[i]!;
      const option = this.#optionFor(key) ?? (fromSet && prefix === '' ? agentKeys.get(key) : undefined);
      if (option !== undefined)
        this.#take(option, key, node, fromSet, (severity, message) => {
          report(severity, node.offset, message);
        });
      else if (key === 'extraConfig' && node.kind === 'map') this.#extra(node, report);
      else if (node.kind === 'scalar' && node.value === null) return;
      else if (sectionsWithOptions.has(key)) {
        if (node.kind === 'map') this.#chart(node, `${key}.`, report, fromSet);
        else report('error', node.offset, `${key}: expected an object, got ${shown(rawValue(node))}`);
      } else if (!isNeutralChartKey(key))
        this.#unknownKey(key, optionKeys, (message) => {
          report('warning', keyOffset, message);
        });
    });
  }

  /** `extraConfig` is copied into the ConfigMap by the chart, so its keys are agent keys. */
  #extra(map: MapNode, report: Report): void {
    map.keys.forEach((key, i) => {
      const node = map.values[i]!;
      if (node.kind === 'scalar' && node.value !== null)
        this.#agentKey(key, String(node.value), (severity, message) => {
          report(severity, node.offset, message);
        });
      else report('error', node.offset, `extraConfig.${key}: expected a string`);
    });
  }

  #optionFor(key: string): OptionKey | undefined {
    const alias = aliases.get(key);
    if (alias !== undefined) return alias;
    // An agent-only option is no Helm key.
    return Object.hasOwn(options, key) && options[key as OptionKey].agent !== key
      ? (key as OptionKey)
      : chartTwins.get(key);
  }

  #agentKey(key: string, value: string, report: (severity: Problem['severity'], message: string) => void): void {
    const option = agentKeys.get(key) ?? (key.includes('.') ? undefined : aliases.get(key));
    if (option !== undefined) {
      // The agent reads an empty value as "not set".
      if (value !== '') this.#accept(option, key, value, true, report);
    } else if (!isNeutralAgentKey(key))
      this.#unknownKey(key, [...agentKeys.keys()], (message) => {
        report('warning', message);
      });
  }

  #unknownKey(key: string, known: readonly string[], report: (message: string) => void): void {
    if (this.#unknown.has(key)) return;
    this.#unknown.add(key);
    const near = nearest(key, known);
    report(`${key}: unknown key, ignored${near === undefined ? '' : ` (did you mean ${near}?)`}`);
  }

  #take(
    option: OptionKey,
    key: string,
    node: TreeNode,
    fromSet: boolean,
    report: (severity: Problem['severity'], message: string) => void,
  ): void {
    if (node.kind === 'scalar' && node.value === null) {
      // Helm: null takes a value back to the chart's default.
      this.#values.delete(option);
      this.#ignored.delete(option);
      return;
    }
    this.#accept(option, key, rawValue(node), fromSet, report);
  }

  #accept(
    option: OptionKey,
    key: string,
    raw: RawValue,
    asText: boolean,
    report: (severity: Problem['severity'], message: string) => void,
  ): void {
    const spec: OptionSpec<unknown> = options[option];
    const checked = spec.check(raw, asText);
    if ('expected' in checked) {
      report('error', `${key}: expected ${checked.expected}, got ${shown(raw)}`);
      return;
    }
    this.#values.set(option, checked.value);
    this.#ignored.delete(option);
    const actual = JSON.stringify(spec.behavesAs ?? spec.initial);
    if (spec.status !== 'not-yet' || JSON.stringify(checked.value) === actual) return;
    // Written through `report` so that it carries the place, then held back: a later source may undo it.
    const before = this.#problems.length;
    report('warning', `${key}: ${shown(raw)} is not honoured yet, Weir behaves as with ${actual}`);
    const warning = this.#problems.splice(before)[0];
    if (warning !== undefined) this.#ignored.set(option, warning);
  }
}

/** Sections of the chart that hold options, at every level: `bpf`, `loadBalancer`, `loadBalancer.l7` … */
const sectionsWithOptions: ReadonlySet<string> = new Set(
  [...optionKeys, ...aliases.keys()].flatMap((key) => {
    const parts = key.split('.');
    return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.'));
  }),
);

/** Helm keys that are spelled like their agent key: `labels`. */
const chartTwins: ReadonlyMap<string, OptionKey> = new Map<string, OptionKey>([['labels', 'labels']]);

function rawValue(node: TreeNode): RawValue {
  if (node.kind === 'map') return { object: true };
  if (node.kind === 'sequence') return node.items.map(rawValue);
  return node.value ?? '';
}

function shown(raw: RawValue): string {
  if (typeof raw !== 'object') return JSON.stringify(raw);
  return 'object' in raw ? 'an object' : 'a list';
}

/** cilium-config ConfigMaps in a document: itself, or items of a list. */
function configMapsIn(root: TreeNode): MapNode[] {
  if (root.kind === 'sequence') return root.items.flatMap(configMapsIn);
  if (root.kind !== 'map') return [];
  const kind = mapValue(root, 'kind');
  const word = kind?.kind === 'scalar' ? kind.value : undefined;
  const items = mapValue(root, 'items');
  if (typeof word === 'string' && word.endsWith('List') && items?.kind === 'sequence') {
    const typed = word === 'ConfigMapList';
    return items.items.flatMap((item) =>
      typed && item.kind === 'map' && isCiliumConfig(item) ? [item] : configMapsIn(item),
    );
  }
  return word === 'ConfigMap' && isCiliumConfig(root) ? [root] : [];
}

function isCiliumConfig(root: MapNode): boolean {
  const meta = mapValue(root, 'metadata');
  const name = meta?.kind === 'map' ? mapValue(meta, 'name') : undefined;
  return name?.kind === 'scalar' && name.value === 'cilium-config';
}
