// A compiled cluster that can be asked: its policy maps as the datapath holds them, and who has which address. Input: state,
// settings, Compiled. Output: PolicyWorld. Invariant: every policy answer comes from the datapath's policy stage over these maps.
import type { Compiled } from '../control/compile.ts';
import type { DesiredMap } from '../control/desired-map.ts';
import type { IdentityView, PodIdentity } from '../control/identity.ts';
import type { ClusterState, IpAddress } from '../control/index.ts';
import type { NodeView } from '../control/nodes.ts';
import type { NamedRule } from '../control/policy/compile-policies.ts';
import type { RuleRef } from '../control/provenance.ts';
import type { CompileSettings } from '../control/settings.ts';
import { PolicyQuestions, type SizeOverrides, Tables } from '../datapath/index.ts';
import { ENDPOINT_FLAG, endpointValue, IDENTITY, ipcacheValue, MAPS, type MapName } from '../schema/index.ts';

/** What a world is made of. */
export interface PolicyInput {
  readonly state: ClusterState;
  readonly settings: CompileSettings;
  readonly compiled: Compiled;
  /** The DNS facts are all there is to know: a name without addresses has none, and no verdict waits for it. */
  readonly dnsKnown: boolean;
}

/** One address that has a policy. */
export interface EndpointFact {
  readonly policyId: number;
  readonly identity: number;
  readonly nodeId: number;
  /** The node itself. */
  readonly host: boolean;
}

/** Who an address is. */
export interface AddressFact {
  readonly identity: number;
  /** Node that the address is on or is; 0 = none. */
  readonly nodeId: number;
}

const NEEDED = ['config', 'policy', 'policyMeta', 'ipcache4', 'ipcache6', 'endpoints4', 'endpoints6'] as const;

/** Raw words of an address: one for IPv4, four for IPv6. */
export function addressWords({ bytes }: IpAddress): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Int32Array.from({ length: bytes.length / 4 }, (_, i) => view.getInt32(i * 4, true));
}

/** See the head of this file. */
export class PolicyWorld {
  readonly state: ClusterState;
  readonly settings: CompileSettings;
  readonly compiled: Compiled;
  readonly view: IdentityView;
  readonly dnsKnown: boolean;
  readonly questions: PolicyQuestions;
  /** Pods with an address, by `namespace/name`. */
  readonly pods: ReadonlyMap<string, PodIdentity>;
  readonly nodes: ReadonlyMap<string, NodeView>;
  private readonly tables: Tables;
  private readonly named = new Map<number, NamedRule[]>();

  constructor({ state, settings, compiled, dnsKnown }: PolicyInput) {
    this.state = state;
    this.settings = settings;
    this.compiled = compiled;
    this.view = compiled.identities;
    this.dnsKnown = dnsKnown;
    this.tables = fillTables(compiled);
    this.questions = new PolicyQuestions(this.tables);
    this.pods = new Map(this.view.pods.map((pod) => [`${pod.pod.namespace}/${pod.pod.name}`, pod]));
    this.nodes = new Map(this.view.nodes.map((node) => [node.name, node]));
    for (const rule of compiled.namedRules) {
      const list = this.named.get(rule.policyId);
      if (list === undefined) this.named.set(rule.policyId, [rule]);
      else list.push(rule);
    }
  }

  /** Rules behind a cookie. */
  rulesOf(cookie: number): readonly RuleRef[] {
    return this.compiled.provenance.rulesOf(cookie >>> 0);
  }

  /** Rules of a policy about DNS names. */
  namedRulesOf(policyId: number): readonly NamedRule[] {
    return this.named.get(policyId) ?? [];
  }

  /** The endpoint that has an address, if the maps hold one. */
  endpointAt(address: IpAddress): EndpointFact | undefined {
    const w = addressWords(address);
    const { endpoints4, endpoints6 } = this.tables;
    const map = address.family === 4 ? endpoints4 : endpoints6;
    const at = address.family === 4 ? endpoints4.find(w[0]!) : endpoints6.find(w[0]!, w[1]!, w[2]!, w[3]!);
    if (at < 0) return undefined;
    const value = endpointValue.decode(new Uint8Array(map.words.slice(at, at + (endpointValue.bytes >>> 2)).buffer));
    const { policyId, identity, nodeId, flags } = value;
    return { policyId, identity, nodeId, host: (flags & ENDPOINT_FLAG.HOST) !== 0 };
  }

  /** Identity of an address by longest prefix, before the own-node rule. */
  identityAt(address: IpAddress): AddressFact {
    const w = addressWords(address);
    const { ipcache4, ipcache6 } = this.tables;
    const map = address.family === 4 ? ipcache4 : ipcache6;
    const at = address.family === 4 ? ipcache4.find(0, w[0]!) : ipcache6.find(0, w[0]!, w[1]!, w[2]!, w[3]!);
    if (at < 0) return { identity: IDENTITY.WORLD, nodeId: 0 };
    const value = ipcacheValue.decode(new Uint8Array(map.words.slice(at, at + (ipcacheValue.bytes >>> 2)).buffer));
    return { identity: value.identity, nodeId: value.nodeId };
  }
}

/** The maps that policy needs, filled; all others are as small as they can be. */
function fillTables({ maps }: Compiled): Tables {
  const sizes: Partial<Record<MapName, { maxEntries?: number; innerEntries?: number }>> = {};
  for (const name of Object.keys(MAPS) as MapName[]) {
    const needed = (NEEDED as readonly string[]).includes(name);
    const kept = name === 'policyMeta' || name === 'config' || name === 'metrics';
    if (kept) continue;
    sizes[name] = needed
      ? { maxEntries: Math.max(1, maps[name as (typeof NEEDED)[number]].size) }
      : {
          maxEntries: name === 'events' ? 2 : 1,
          ...(MAPS[name].innerEntries === undefined ? {} : { innerEntries: 1 }),
        };
  }
  const tables = new Tables(sizes as SizeOverrides);
  for (const name of NEEDED) copy(maps[name], tables[name]);
  return tables;
}

function copy(from: DesiredMap, to: { update(key: Uint8Array, value: Uint8Array): number }): void {
  for (const [key, value] of from) to.update(key, value);
}
