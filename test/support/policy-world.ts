// A compiled world from YAML, and a tiny reader of its policy maps: what the datapath does with them, as plainly as it can be
// said. Input: manifests, options. Output: verdicts of new connections. Invariant: knows the maps' bytes, never a policy.
import type { Compiled } from '../../src/control/compile.ts';
import { type Config, defaultConfig } from '../../src/control/config/index.ts';
import type { DesiredMap } from '../../src/control/desired-map.ts';
import { parseAddress } from '../../src/control/manifest/address.ts';
import { readManifests } from '../../src/control/manifest/manifests.ts';
import type { RuleRef } from '../../src/control/provenance.ts';
import type { ClusterState, IpAddress } from '../../src/control/state.ts';
import {
  aggregateOf,
  endpointValue,
  IDENTITY,
  ipcacheKey4,
  ipcacheKey6,
  ipcacheValue,
  POLICY_ENTRY,
  POLICY_FLAG,
  policyKey,
  policyMeta,
  policyMetaKey,
  policyValue,
  SHAPE_ANY_PROTOCOL,
} from '../../src/schema/index.ts';

/** Reads a state; any problem of severity error fails the test. */
export function stateOf(...texts: string[]): ClusterState {
  const { state, problems } = readManifests(texts.map((text, i) => ({ file: `file${i + 1}.yaml`, text })));
  if (state === undefined) throw new Error(problems.map((p) => `${p.file}:${p.line}: ${p.message}`).join('\n'));
  return state;
}

/** Configuration with some keys changed. */
export const configWith = (changes: Partial<Config> = {}): Config => ({ ...defaultConfig(), ...changes });

export const address = (text: string): IpAddress => {
  const parsed = parseAddress(text);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.value;
};

/** One new connection. `port` is the ICMP type for protocols 1 and 58. */
export interface Connection {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly port: number;
}

/** What one side says. */
export interface SideVerdict {
  readonly verdict: 'allowed' | 'redirected' | 'audited' | 'denied';
  /** Deny rule or default deny. */
  readonly reason: 'unenforced' | 'rule' | 'default' | 'no-endpoint';
  readonly cookie: number;
}

const be32 = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);

/** Longest prefix of an address: identity and node. */
export function lookupIdentity(compiled: Compiled, text: string): { identity: number; nodeId: number } | undefined {
  const { bytes, family } = address(text);
  for (let length = bytes.length * 8; length >= 0; length--) {
    const masked = bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, length - i * 8))) & 0xff);
    const common = { prefixLength: 32 + length, clusterId: 0 };
    const value =
      family === 4
        ? compiled.maps.ipcache4.get(ipcacheKey4.encode({ ...common, address: be32(masked) }))
        : compiled.maps.ipcache6.get(ipcacheKey6.encode({ ...common, address: masked }));
    if (value !== undefined) {
      const { identity, nodeId } = ipcacheValue.decode(value);
      return { identity, nodeId };
    }
  }
  return undefined;
}

/** The endpoint of an address. */
export function endpointOf(compiled: Compiled, text: string): ReturnType<typeof endpointValue.decode> | undefined {
  const { bytes, family } = address(text);
  const value = (family === 4 ? compiled.maps.endpoints4 : compiled.maps.endpoints6).get(bytes);
  return value === undefined ? undefined : endpointValue.decode(value);
}

/** What the endpoint at `own` says about a connection with `peer`. */
export function sideVerdict(
  compiled: Compiled,
  own: string,
  peer: string,
  egress: boolean,
  protocol: number,
  port: number,
): SideVerdict {
  const endpoint = endpointOf(compiled, own);
  if (endpoint === undefined) return { verdict: 'allowed', reason: 'no-endpoint', cookie: 0 };
  if (endpoint.policyId === 0) return { verdict: 'allowed', reason: 'unenforced', cookie: 0 };
  const metaBytes = compiled.maps.policyMeta.get(policyMetaKey.encode({ policyId: endpoint.policyId }));
  if (metaBytes === undefined) throw new Error(`policy ${endpoint.policyId} is dangling`);
  const meta = policyMeta.decode(metaBytes);
  if ((meta.flags & (egress ? POLICY_FLAG.ENFORCE_EGRESS : POLICY_FLAG.ENFORCE_INGRESS)) === 0) {
    return { verdict: 'allowed', reason: 'unenforced', cookie: 0 };
  }
  const found = lookupIdentity(compiled, peer) ?? { identity: IDENTITY.WORLD, nodeId: 0 };
  const isNode = found.identity === 6 || found.identity === 7 || found.identity >>> 24 === 2;
  const identity = isNode && found.nodeId === endpoint.nodeId && found.nodeId !== 0 ? IDENTITY.HOST : found.identity;
  const best = search(compiled.maps.policy, endpoint.policyId, identity, egress, protocol, port, meta);
  if (best === undefined) {
    return { verdict: 'denied', reason: 'default', cookie: egress ? meta.egressCookie : meta.ingressCookie };
  }
  const byte = best.precedence & 0xff;
  const denied = (best.flags & POLICY_ENTRY.AUDIT) !== 0 ? 'audited' : 'denied';
  const verdict = byte === 255 ? denied : byte === 1 ? 'allowed' : 'redirected';
  return { verdict, reason: 'rule', cookie: best.cookie };
}

function search(
  policy: DesiredMap,
  policyId: number,
  identity: number,
  egress: boolean,
  protocol: number,
  port: number,
  meta: ReturnType<typeof policyMeta.decode>,
): ReturnType<typeof policyValue.decode> | undefined {
  const shapes = egress ? meta.egressShapes : meta.ingressShapes;
  let best: ReturnType<typeof policyValue.decode> | undefined;
  let bestBits = -1;
  [identity, aggregateOf(identity), 0].forEach((peer, kind) => {
    if (kind < 2 && peer === 0) return;
    for (let shape = 0; shape <= SHAPE_ANY_PROTOCOL; shape++) {
      if ((shapes[kind]! & (1 << shape)) === 0) continue;
      const any = shape === SHAPE_ANY_PROTOCOL;
      const key = policyKey.encode({
        policyId,
        identity: peer,
        port: any ? 0 : port & (0xffff << (16 - shape)) & 0xffff,
        protocol: any ? 0 : protocol,
        shape: shape | (egress ? 0x80 : 0),
      });
      const value = policy.get(key);
      if (value === undefined) continue;
      const entry = policyValue.decode(value);
      const bits = any ? 0 : shape + 1;
      if (
        best === undefined ||
        entry.precedence > best.precedence ||
        (entry.precedence === best.precedence && bits > bestBits)
      ) {
        best = entry;
        bestBits = bits;
      }
    }
  });
  return best;
}

/** Both gates. */
export function connectionVerdict(
  compiled: Compiled,
  { source, destination, protocol, port }: Connection,
): {
  readonly egress: SideVerdict;
  readonly ingress: SideVerdict;
  readonly allowed: boolean;
} {
  const egress = sideVerdict(compiled, source, destination, true, protocol, port);
  const ingress = sideVerdict(compiled, destination, source, false, protocol, port);
  return { egress, ingress, allowed: egress.verdict !== 'denied' && ingress.verdict !== 'denied' };
}

/** Rules behind a side's verdict, as `name rule`. */
export const rulesBehind = (compiled: Compiled, side: SideVerdict): string[] =>
  compiled.provenance.rulesOf(side.cookie).map((rule: RuleRef) => `${rule.name} ${rule.rule}`);
