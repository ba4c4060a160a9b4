// Manifests to ClusterState: each document to its kind's reader, lists unrolled, duplicates found, unknown kinds counted.
// In: texts with their names. Out: a state, and every problem; one error means no state. Pure: no files, no clock.
// Invariant: nothing is half applied, problems come in the order of the input, each input is read to its end.
import type { Problem } from '../problem.ts';
import { emptyFacts, type CiliumConfigMap, type ClusterObject, type ClusterState, type Origin } from '../state.ts';
import { readAdminPolicy } from './admin-policy.ts';
import { readCiliumPolicy } from './cilium-policy.ts';
import { readCidrGroup, readCiliumEndpoint, readCiliumIdentity, readConfigMap } from './cilium-resources.ts';
import { parseDocuments } from './documents.ts';
import { readEndpoints, readEndpointSlice } from './endpoints.ts';
import { readL2AnnouncementPolicy, readLease } from './l2-announcements.ts';
import { readNetworkPolicy } from './network-policy.ts';
import { nearest, Reader, typeName } from './reader.ts';
import { readService } from './services.ts';
import { defaultLimits, type InputLimits, type MapNode, type TreeNode } from './tree.ts';
import { readNamespace, readNode, readPod } from './workloads.ts';

/** One text to read. */
export interface ManifestInput {
  /** Name for origins and problems. */
  readonly file: string;
  readonly text: string;
  /** Found in a directory rather than named: a document that is no Kubernetes object is then a warning, not an error. */
  readonly found?: boolean;
  /** Not manifests but a state file: one map of `services` and `endpoints` (EndpointSlices). */
  readonly stateFile?: boolean;
}

/** Lists of a state file: key, and what its items are where they do not say it. */
const STATE_FILE_LISTS: ReadonlyMap<string, { readonly apiVersion: string; readonly kind: string }> = new Map([
  ['services', { apiVersion: 'v1', kind: 'Service' }],
  ['endpoints', { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }],
]);

/** How to read. */
export interface ManifestOptions {
  readonly limits?: InputLimits;
  /** Keep Cilium rules that the agent would refuse, marked `rejected`, and warn. Default: they are errors. */
  readonly keepRefused?: boolean;
}

/** A state, unless there were errors. */
export interface LoadResult {
  readonly state?: ClusterState;
  readonly problems: readonly Problem[];
}

type ReadKind = (reader: Reader, root: MapNode, keepRefused: boolean) => ClusterObject | undefined;

/** API group → kind → versions and reader. */
const kinds: ReadonlyMap<string, { readonly versions: readonly string[]; readonly read: ReadKind }> = new Map<
  string,
  { versions: string[]; read: ReadKind }
>([
  ['/Namespace', { versions: ['v1'], read: readNamespace }],
  ['/Node', { versions: ['v1'], read: readNode }],
  ['/Pod', { versions: ['v1'], read: readPod }],
  ['/Service', { versions: ['v1'], read: readService }],
  ['/Endpoints', { versions: ['v1'], read: readEndpoints }],
  ['discovery.k8s.io/EndpointSlice', { versions: ['v1', 'v1beta1'], read: readEndpointSlice }],
  ['networking.k8s.io/NetworkPolicy', { versions: ['v1'], read: readNetworkPolicy }],
  [
    'cilium.io/CiliumNetworkPolicy',
    { versions: ['v2'], read: (reader, root, keep) => readCiliumPolicy(reader, root, 'CiliumNetworkPolicy', keep) },
  ],
  [
    'cilium.io/CiliumClusterwideNetworkPolicy',
    {
      versions: ['v2'],
      read: (reader, root, keep) => readCiliumPolicy(reader, root, 'CiliumClusterwideNetworkPolicy', keep),
    },
  ],
  [
    'policy.networking.k8s.io/ClusterNetworkPolicy',
    { versions: ['v1alpha2'], read: (reader, root) => readAdminPolicy(reader, root, 'ClusterNetworkPolicy') },
  ],
  [
    'policy.networking.k8s.io/AdminNetworkPolicy',
    { versions: ['v1alpha1'], read: (reader, root) => readAdminPolicy(reader, root, 'AdminNetworkPolicy') },
  ],
  [
    'policy.networking.k8s.io/BaselineAdminNetworkPolicy',
    { versions: ['v1alpha1'], read: (reader, root) => readAdminPolicy(reader, root, 'BaselineAdminNetworkPolicy') },
  ],
  ['cilium.io/CiliumEndpoint', { versions: ['v2'], read: readCiliumEndpoint }],
  ['cilium.io/CiliumIdentity', { versions: ['v2'], read: readCiliumIdentity }],
  ['cilium.io/CiliumCIDRGroup', { versions: ['v2', 'v2alpha1'], read: readCidrGroup }],
  ['cilium.io/CiliumL2AnnouncementPolicy', { versions: ['v2alpha1', 'v2'], read: readL2AnnouncementPolicy }],
  ['coordination.k8s.io/Lease', { versions: ['v1'], read: readLease }],
]);

/** Kinds that would change verdicts in a cluster and that Weir does not read: silence about them would mislead. */
const steering =
  /^(?:policy\.networking\.k8s\.io\/.*|(?:crd\.)?projectcalico\.org\/.*Policy|extensions\/NetworkPolicy|cilium\.io\/Cilium(?:LocalRedirectPolicy|EgressGatewayPolicy|EgressNATPolicy|EnvoyConfig|ClusterwideEnvoyConfig))$/;

/** Groups that Kubernetes or Cilium own, and kinds that are read: what is nearly one of these in one of those is misspelt, not foreign. */
const ownGroups = new Set(['apps', 'extensions', ...[...kinds.keys()].map((key) => key.slice(0, key.indexOf('/')))]);
const readKinds = [...kinds.keys()].map((key) => key.slice(key.indexOf('/') + 1));

/** Reads manifests into one state. */
export function readManifests(inputs: readonly ManifestInput[], options: ManifestOptions = {}): LoadResult {
  const limits = options.limits ?? defaultLimits;
  const collector = new Collector(limits.problems);
  const builder = new StateBuilder(collector, options.keepRefused ?? false);
  for (const input of inputs) builder.read(input, limits);
  const problems = collector.sorted();
  return collector.errors > 0 ? { problems } : { state: builder.state(), problems };
}

/** Collects problems up to a bound for each severity, in the order in which files were read. */
class Collector {
  readonly #limit: number;
  readonly #problems: { readonly problem: Problem; readonly order: number }[] = [];
  readonly #counts = { error: 0, warning: 0 };
  /** Which input is being read; set by the caller. */
  order = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get errors(): number {
    return this.#counts.error;
  }

  add(problem: Problem): void {
    if (++this.#counts[problem.severity] <= this.#limit) this.#problems.push({ problem, order: this.order });
  }

  /** All problems in input order, and one more that counts those left out. */
  sorted(): Problem[] {
    const sorted = this.#problems
      .slice()
      .sort((a, b) => a.order - b.order || a.problem.line - b.problem.line || a.problem.column - b.problem.column);
    const problems = sorted.map(({ problem }) => problem);
    const left = this.#counts.error + this.#counts.warning - problems.length;
    const last = problems.at(-1);
    if (left > 0 && last !== undefined)
      problems.push({
        severity: 'warning',
        file: last.file,
        line: 0,
        column: 0,
        message: `${left} more problems are not listed`,
      });
    return problems;
  }
}

class StateBuilder {
  readonly #collector: Collector;
  readonly #keepRefused: boolean;
  readonly #objects: ClusterObject[] = [];
  readonly #seen = new Map<string, Origin>();
  readonly #unknown = new Map<string, number>();
  #config: CiliumConfigMap | undefined;

  constructor(collector: Collector, keepRefused: boolean) {
    this.#collector = collector;
    this.#keepRefused = keepRefused;
  }

  read(input: ManifestInput, limits: InputLimits): void {
    const text = input.text.charCodeAt(0) === 0xfeff ? input.text.slice(1) : input.text;
    const reader = new Reader(input.file, text, (problem) => {
      this.#collector.add(problem);
    });
    this.#collector.order++;
    const parsed = parseDocuments(text, limits);
    for (const issue of parsed.issues) {
      if (issue.severity === 'error') reader.error(issue.offset, issue.message);
      else reader.warning(issue.offset, issue.message);
    }
    for (const root of parsed.roots) {
      if (input.stateFile === true) this.#stateFile(reader, root);
      else this.#document(reader, root, input.found === true, undefined);
    }
  }

  #stateFile(reader: Reader, root: TreeNode): void {
    if (root.kind === 'scalar' && root.value === null) return;
    const map = reader.asMap(root, 'state file');
    map?.keys.forEach((key, i) => {
      const listOf = STATE_FILE_LISTS.get(key);
      if (listOf === undefined) {
        reader.warning(map.keyOffsets[i]!, `${key}: neither services nor endpoints, ignored`);
        return;
      }
      for (const node of reader.items(map, key, '') ?? []) this.#document(reader, node, false, listOf);
    });
  }

  #document(
    reader: Reader,
    root: TreeNode,
    found: boolean,
    listOf: { apiVersion: string; kind: string } | undefined,
  ): void {
    reader.subject = '';
    if (root.kind === 'sequence' && listOf === undefined) {
      for (const item of root.items) this.#document(reader, item, found, { apiVersion: '', kind: '' });
      return;
    }
    if (root.kind !== 'map') {
      if (found && listOf === undefined) reader.warning(root.offset, 'not a Kubernetes object: skipped');
      else reader.error(root.offset, `expected a Kubernetes object, got ${typeName(root)}`);
      return;
    }
    const hasKind = reader.field(root, 'kind') !== undefined;
    const hasVersion = reader.field(root, 'apiVersion') !== undefined;
    if (!hasKind && !hasVersion && found && !listOf) {
      reader.warning(root.offset, 'not a Kubernetes object (no apiVersion and no kind): skipped');
      return;
    }
    // Items of a typed list (PodList) may leave both out.
    const kind = hasKind ? reader.text(root, 'kind', '') : (listOf?.kind ?? '');
    const apiVersion = hasVersion ? reader.text(root, 'apiVersion', '') : (listOf?.apiVersion ?? '');
    if (kind === '' || apiVersion === '') {
      const missing = [...(kind === '' ? ['kind'] : []), ...(apiVersion === '' ? ['apiVersion'] : [])];
      reader.error(root.offset, `${missing.join(' and ')}: required`);
      return;
    }
    if (kind === undefined || apiVersion === undefined) return;
    if (kind.endsWith('List') && (kind === 'List' || reader.field(root, 'items') !== undefined)) {
      const item = kind === 'List' ? { apiVersion: '', kind: '' } : { apiVersion, kind: kind.slice(0, -4) };
      for (const node of reader.items(root, 'items', '') ?? []) this.#document(reader, node, found, item);
      return;
    }
    this.#object(reader, root, apiVersion, kind);
  }

  #object(reader: Reader, root: MapNode, apiVersion: string, kind: string): void {
    const slash = apiVersion.indexOf('/');
    const group = slash < 0 ? '' : apiVersion.slice(0, slash);
    const version = apiVersion.slice(slash + 1);
    if (group === '' && kind === 'ConfigMap') {
      const config = readConfigMap(reader, root);
      if (config === 'other') this.#count(apiVersion, kind);
      else if (
        config !== undefined &&
        this.#first(reader, root, `ConfigMap ${config.namespace}/${config.name}`, config.origin)
      )
        this.#takeConfig(reader, root, config);
      return;
    }
    const known = kinds.get(`${group}/${kind}`);
    if (known === undefined || !known.versions.includes(version)) {
      if (this.#count(apiVersion, kind) > 1) return;
      const meant = ownGroups.has(group) ? nearest(kind, readKinds) : undefined;
      if (meant === undefined && !steering.test(`${group}/${kind}`)) return;
      const hint = meant === undefined || meant === kind ? '' : ` (did you mean ${meant}?)`;
      reader.warning(
        root.offset,
        `${kind} of ${apiVersion} is not read${hint}; its effect is missing from every verdict`,
      );
      return;
    }
    const object = known.read(reader, root, this.#keepRefused);
    if (object === undefined) return;
    const namespace = 'namespace' in object ? object.namespace : undefined;
    const name = `${object.kind} ${namespace === undefined ? '' : `${namespace}/`}${object.name}`;
    if (this.#first(reader, root, name, object.origin)) this.#objects.push(object);
  }

  /** False, and an error, when the same object was met before. */
  #first(reader: Reader, root: MapNode, name: string, origin: Origin): boolean {
    const before = this.#seen.get(name);
    if (before === undefined) {
      this.#seen.set(name, origin);
      return true;
    }
    reader.subject = '';
    reader.error(root.offset, `duplicate ${name}: first at ${before.file}:${before.line}:${before.column}`);
    return false;
  }

  #takeConfig(reader: Reader, root: MapNode, config: CiliumConfigMap): void {
    const before = this.#config;
    if (before === undefined) this.#config = config;
    else
      reader.error(
        root.offset,
        `a second cilium-config: first at ${before.origin.file}:${before.origin.line}:${before.origin.column}`,
      );
  }

  /** How many of them there were so far. */
  #count(apiVersion: string, kind: string): number {
    const key = `${apiVersion}/${kind}`;
    const count = (this.#unknown.get(key) ?? 0) + 1;
    this.#unknown.set(key, count);
    return count;
  }

  state(): ClusterState {
    const of = <K extends ClusterObject['kind']>(...wanted: K[]): Extract<ClusterObject, { kind: K }>[] =>
      this.#objects.filter((object): object is Extract<ClusterObject, { kind: K }> =>
        (wanted as string[]).includes(object.kind),
      );
    return {
      namespaces: of('Namespace'),
      nodes: of('Node'),
      pods: of('Pod'),
      services: of('Service'),
      endpointSlices: of('EndpointSlice'),
      endpoints: of('Endpoints'),
      networkPolicies: of('NetworkPolicy'),
      adminPolicies: of('ClusterNetworkPolicy', 'AdminNetworkPolicy', 'BaselineAdminNetworkPolicy'),
      ciliumPolicies: of('CiliumNetworkPolicy', 'CiliumClusterwideNetworkPolicy'),
      ciliumEndpoints: of('CiliumEndpoint'),
      ciliumIdentities: of('CiliumIdentity'),
      ciliumCIDRGroups: of('CiliumCIDRGroup'),
      l2AnnouncementPolicies: of('CiliumL2AnnouncementPolicy'),
      leases: of('Lease'),
      unknownKinds: this.#unknown,
      facts: emptyFacts(),
      ...(this.#config !== undefined && { ciliumConfig: this.#config }),
    };
  }
}
