// Map content of endpoints, identities and policies without its numbers: what two compiles of one cluster have in common, whatever
// their histories. Input: maps, the rules behind cookies. Output: lines of text. Invariant: content that differs in more than
// numbers, epochs included, gives other lines.
import type { DesiredMaps } from '../../src/control/desired-map.ts';
import type { Provenance } from '../../src/control/provenance.ts';
import {
  endpointValue,
  ipcacheValue,
  policyKey,
  policyMeta,
  policyMetaKey,
  policyValue,
} from '../../src/schema/index.ts';

/** Identities below are the same in every compile. */
const FIRST_NUMBERED = 256;

export type PolicyMaps = Pick<
  DesiredMaps,
  'endpoints4' | 'endpoints6' | 'ipcache4' | 'ipcache6' | 'policy' | 'policyMeta'
>;

/** See the head of this file. */
export function namedContent(maps: PolicyMaps, provenance: Provenance): string[] {
  const { prefixes, endpoints, unused } = namedParts(maps, provenance);
  return [...prefixes, ...[...endpoints.values()].map(({ line }) => line), ...unused].sort();
}

/** An endpoint's line, and the number of its policy. */
export interface NamedEndpoint {
  readonly line: string;
  readonly policyId: number;
}

/** The lines of a content; those of endpoints by their map's key, the bytes of which are joined by dots. */
export function namedParts(
  maps: PolicyMaps,
  provenance: Provenance,
): {
  readonly prefixes: readonly string[];
  readonly endpoints: ReadonlyMap<string, NamedEndpoint>;
  readonly unused: readonly string[];
} {
  const prefixes = [...maps.ipcache4, ...maps.ipcache6].map(([key, value]) => ({
    text: key.join('.'),
    ...ipcacheValue.decode(value),
  }));
  const names = (number: (one: (typeof prefixes)[number]) => number): ReadonlyMap<number, string> => {
    const found = new Map<number, string[]>();
    for (const one of prefixes) found.set(number(one), [...(found.get(number(one)) ?? []), one.text]);
    return new Map([...found].map(([id, texts]) => [id, texts.sort().join('+')]));
  };
  const byIdentity = names(({ identity }) => identity);
  const byNode = names(({ nodeId }) => nodeId);
  const who = (identity: number): string =>
    identity < FIRST_NUMBERED ? `${identity}` : (byIdentity.get(identity) ?? `nobody (${identity})`);
  const rules = (cookie: number): string =>
    provenance
      .rulesOf(cookie)
      .map(({ kind, namespace = '', name, rule, file, line }) => `${kind} ${namespace}/${name} ${rule} ${file}:${line}`)
      .sort()
      .join();

  const policies = new Map<number, string[]>();
  for (const [key, value] of maps.policyMeta) {
    const { ingressCookie, egressCookie, ...meta } = policyMeta.decode(value);
    const line = `${JSON.stringify(meta)} ${rules(ingressCookie)} ${rules(egressCookie)}`;
    policies.set(policyMetaKey.decode(key).policyId, [line]);
  }
  for (const [key, value] of maps.policy) {
    const { policyId, identity, ...shape } = policyKey.decode(key);
    const { cookie, ...entry } = policyValue.decode(value);
    const line = `${who(identity)} ${JSON.stringify([shape, entry])} ${rules(cookie)}`;
    const own = policies.get(policyId);
    if (own === undefined) policies.set(policyId, ['no meta', line]);
    else own.push(line);
  }
  const texts = new Map([...policies].map(([id, lines]) => [id, lines.sort().join('\n    ')]));

  const lines = prefixes.map(({ text, identity, nodeId, ...more }) => {
    const { tunnelEndpoint, ...rest } = more;
    return `prefix ${text} ${who(identity)} on ${byNode.get(nodeId)} ${tunnelEndpoint.join('.')} ${JSON.stringify(rest)}`;
  });
  const used = new Set<number>();
  const endpoints = new Map<string, NamedEndpoint>();
  for (const [key, value] of [...maps.endpoints4, ...maps.endpoints6]) {
    const { identity, policyId, nodeId, flags } = endpointValue.decode(value);
    used.add(policyId);
    const policy = policyId === 0 ? 'open' : (texts.get(policyId) ?? `dangling (${policyId})`);
    const line = `endpoint ${key.join('.')} ${who(identity)} on ${byNode.get(nodeId)} ${flags}\n    ${policy}`;
    endpoints.set(key.join('.'), { line, policyId });
  }
  const unused = [...texts].filter(([id]) => !used.has(id)).map(([, text]) => `unused policy ${text}`);
  return { prefixes: lines, endpoints, unused };
}

/**
 * What cached decisions of each endpoint rest on: the sum of its epochs, and its policy with all numbers. Entries about identities
 * that no address has decide nothing.
 */
export function decisionsByEpoch(maps: PolicyMaps, globalEpoch: number): Map<string, { sum: number; policy: string }> {
  const policies = new Map<number, string[]>();
  const add = (id: number, line: string): void => void policies.set(id, [...(policies.get(id) ?? []), line]);
  for (const [key, value] of maps.policyMeta) add(policyMetaKey.decode(key).policyId, value.join());
  const known = new Set([...maps.ipcache4, ...maps.ipcache6].map(([, value]) => ipcacheValue.decode(value).identity));
  for (const [key, value] of maps.policy) {
    const { policyId, identity } = policyKey.decode(key);
    if (identity < FIRST_NUMBERED || known.has(identity)) add(policyId, `${key.join()} ${value.join()}`);
  }
  const texts = new Map([...policies].map(([id, lines]) => [id, lines.sort().join('\n')]));
  const found = new Map<string, { sum: number; policy: string }>();
  for (const [key, value] of [...maps.endpoints4, ...maps.endpoints6]) {
    const { policyId, epoch } = endpointValue.decode(value);
    found.set(key.join('.'), { sum: epoch + globalEpoch, policy: texts.get(policyId) ?? '' });
  }
  return found;
}
