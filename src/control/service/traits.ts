// What a Service says about itself beside its ports: annotations and labels of Cilium and Kubernetes, read once.
// Input: a Service, settings. Output: ServiceTraits and warnings. Invariant: an annotation that is not honoured is named;
// a value that is none of the known ones is as if it were not there.
import { ALGORITHM } from '../../schema/index.ts';
import { parseAddress } from '../manifest/address.ts';
import type { CompileSettings } from '../settings.ts';
import type { IpAddress, Labels, Service } from '../state.ts';

/** What decides over the frontends of a Service, besides its spec. */
export interface ServiceTraits {
  /** ALGORITHM that the Service names; DEFAULT where it names none. */
  readonly algorithm: number;
  /** Forwarding by direct server return, asked for by annotation; undefined: as the node has it. */
  readonly directReturn: boolean | undefined;
  /** Source ranges refuse instead of admitting. */
  readonly rangesDeny: boolean;
  /** No internal scope where the traffic policies differ. */
  readonly externalOnly: boolean;
  /** Exactly these types of frontends; undefined: as `spec.type` has it. */
  readonly types: ReadonlySet<string> | undefined;
  /** A proxy on the node takes over where a backend is local. */
  readonly delegate: boolean;
  readonly scaleToZero: boolean;
  /** Backends are preferred by node, or by zone hints. */
  readonly prefers: 'node' | 'zone' | undefined;
  /** `spec.externalIPs` and the annotation's. */
  readonly externalIPs: readonly IpAddress[];
}

const PREFIX = 'service.cilium.io/';
const KEY = {
  algorithm: `${PREFIX}lb-algorithm`,
  mode: `${PREFIX}forwarding-mode`,
  ranges: `${PREFIX}src-ranges-policy`,
  scope: `${PREFIX}scope`,
  type: `${PREFIX}type`,
  delegation: `${PREFIX}proxy-delegation`,
  scaleToZero: `${PREFIX}scale-to-zero`,
  externalIPs: `${PREFIX}external-ips`,
  node: `${PREFIX}node`,
  nodeSelector: `${PREFIX}node-selector`,
} as const;
const HONOURED: ReadonlySet<string> = new Set(Object.values(KEY));
const HEADLESS_LABEL = 'service.kubernetes.io/headless';
const PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name';
const TYPES: ReadonlySet<string> = new Set(['ClusterIP', 'NodePort', 'LoadBalancer']);

/** Whether a Service has frontends at all: neither ExternalName nor headless, nor another proxy's. */
export function hasFrontends(service: Service, settings: CompileSettings): boolean {
  if (service.type === 'ExternalName' || service.headless || service.labels.has(HEADLESS_LABEL)) return false;
  return (service.labels.get(PROXY_NAME_LABEL) ?? '') === settings.serviceProxyName;
}

/**
 * Whether a Service is exposed on a node with these labels: by annotation `node-selector`, where there is none by `node`. A
 * selector that is none is as if neither were there, as in the agent.
 */
export function exposedOn(service: Service, labels: Labels): boolean {
  const selector = service.annotations.get(KEY.nodeSelector);
  if (selector !== undefined) return matches(selector, labels) ?? true;
  const wanted = service.annotations.get(KEY.node);
  return wanted === undefined || labels.get(KEY.node) === wanted;
}

/** Whether {@link exposedOn} depends on the node. */
export const choosesNodes = (service: Service): boolean =>
  service.annotations.has(KEY.node) || service.annotations.has(KEY.nodeSelector);

/** A label selector as text: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. Undefined: it cannot be read. */
function matches(selector: string, labels: Labels): boolean | undefined {
  if (selector.length > 4096) return undefined;
  let matching = true;
  for (const part of selector.split(/,(?![^(]*\))/)) {
    const text = part.trim();
    if (text === '') continue;
    const set = /^(\S+)\s+(in|notin)\s+\(([^()]*)\)$/.exec(text);
    const equal = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/.exec(text);
    const exists = /^(!?)\s*([^\s=!()]+)$/.exec(text);
    if (set !== null) {
      const values = set[3]!.split(',').map((value) => value.trim());
      const own = labels.get(set[1]!);
      const member = own !== undefined && values.includes(own);
      if (member !== (set[2] === 'in')) matching = false;
    } else if (equal !== null) {
      if ((labels.get(equal[1]!) === equal[3]) !== (equal[2] !== '!=')) matching = false;
    } else if (exists !== null) {
      if (labels.has(exists[2]!) !== (exists[1] === '')) matching = false;
    } else return undefined;
  }
  return matching;
}

/** Reads the traits; `warn` gets what follows the Service's name. */
export function readTraits(
  service: Service,
  settings: CompileSettings,
  warn: (message: string) => void,
): ServiceTraits {
  const { annotations } = service;
  const told = (key: string): string | undefined => annotations.get(key);
  for (const key of annotations.keys()) {
    if (key.startsWith(PREFIX) && !HONOURED.has(key)) warn(`has the annotation ${key}, which is not honoured`);
  }
  const ignored = (key: string, option: string): void => warn(`has the annotation ${key}, but ${option} is off`);
  const unknown = (key: string, wanted: string): void =>
    warn(`has the annotation ${key} with the value ${JSON.stringify(told(key))}, which is not ${wanted}`);

  let algorithm: number = ALGORITHM.DEFAULT;
  const named = told(KEY.algorithm);
  if (named !== undefined) {
    if (!settings.algorithmAnnotation) ignored(KEY.algorithm, 'bpf.lbAlgorithmAnnotation');
    else if (named === 'maglev') algorithm = ALGORITHM.MAGLEV;
    else if (named === 'random') algorithm = ALGORITHM.RANDOM;
    else unknown(KEY.algorithm, 'maglev or random');
  }
  let directReturn: boolean | undefined;
  const mode = told(KEY.mode)?.toLowerCase();
  if (mode !== undefined) {
    if (!settings.modeAnnotation) ignored(KEY.mode, 'bpf.lbModeAnnotation');
    else if (mode === 'dsr' || mode === 'snat') directReturn = mode === 'dsr';
    else unknown(KEY.mode, 'dsr or snat');
  }
  const ranges = told(KEY.ranges)?.toLowerCase();
  if (ranges !== undefined && ranges !== 'allow' && ranges !== 'deny') unknown(KEY.ranges, 'allow or deny');
  const delegation = told(KEY.delegation)?.toLowerCase();
  if (delegation !== undefined && delegation !== 'none' && delegation !== 'delegate-if-local')
    unknown(KEY.delegation, 'none or delegate-if-local');
  const types = (told(KEY.type) ?? '').split(',').flatMap((type) => (TYPES.has(type.trim()) ? [type.trim()] : []));
  if (told(KEY.type) !== undefined && types.length === 0) unknown(KEY.type, 'ClusterIP, NodePort or LoadBalancer');
  return {
    algorithm,
    directReturn,
    rangesDeny: ranges === 'deny',
    externalOnly: told(KEY.scope) === 'external-only',
    types: types.length === 0 ? undefined : new Set(types),
    delegate: delegation === 'delegate-if-local',
    scaleToZero: settings.scaleToZero && told(KEY.scaleToZero) === 'true',
    prefers: settings.serviceTopology ? preference(service) : undefined,
    externalIPs: settings.externalIPs ? [...service.externalIPs, ...annotated(told(KEY.externalIPs), warn)] : [],
  };
}

function annotated(text: string | undefined, warn: (message: string) => void): IpAddress[] {
  if (text === undefined) return [];
  return text.split(',').flatMap((item) => {
    const parsed = parseAddress(item.trim());
    if (parsed.ok) return [parsed.value];
    warn(`has the annotation ${KEY.externalIPs}: ${parsed.reason}`);
    return [];
  });
}

/** `trafficDistribution` wins over the older annotations, where its value is known; an internal policy Local over both. */
function preference({ trafficDistribution, annotations, internalTrafficPolicy }: Service): 'node' | 'zone' | undefined {
  if (internalTrafficPolicy === 'Local') return undefined;
  if (trafficDistribution === 'PreferSameNode') return 'node';
  if (trafficDistribution === 'PreferSameZone' || trafficDistribution === 'PreferClose') return 'zone';
  const mode =
    annotations.get('service.kubernetes.io/topology-aware-hints') ??
    annotations.get('service.kubernetes.io/topology-mode') ??
    '';
  return mode === '' || mode.toLowerCase() === 'disabled' ? undefined : 'zone';
}
