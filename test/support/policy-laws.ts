// Compiled policies asked side by side, for laws that hold between two sets of manifests. Input: documents. Output: what every
// side of every pair of addresses says. Invariant: each answer is the datapath's own lookup in the compiled maps.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addressWords, PolicyWorld } from '../../src/analysis/policy-world.ts';
import { type Compiled, Compiler } from '../../src/control/compile.ts';
import { MapBuilder } from '../../src/control/desired-map.ts';
import { settingsOf } from '../../src/control/settings.ts';
import { policyKey, policyValue } from '../../src/schema/index.ts';
import { OUTSIDE } from './policy-arbitraries.ts';
import { address, configWith } from './policy-world.ts';
import { loadDocuments } from './question-world.ts';

/** A manifest. */
export type Document = Record<string, unknown>;

/** One entry of the policy map. */
export interface PolicyRow {
  readonly key: ReturnType<typeof policyKey.decode>;
  readonly value: ReturnType<typeof policyValue.decode>;
}

/** A planted fault: what becomes of an entry; undefined: it is lost. */
export type Spoil = (row: PolicyRow) => Partial<PolicyRow['value']> | undefined;

/** No fault. */
export const SOUND: Spoil = () => ({});

/** One side of a connection as the datapath sees it. */
export interface Side {
  readonly egress: boolean;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly port: number;
  readonly allowed: boolean;
  /** An entry of the map denied it, no default. */
  readonly byDeny: boolean;
}

/** Protocol number and port, or ICMP type. */
export type Ask = readonly [number, number];

/** What connections are tried with where a law names nothing else. */
export const ASKS: readonly Ask[] = [
  [6, 80],
  [6, 81],
  [6, 480],
  [17, 443],
  [132, 83],
  [1, 8],
  [58, 128],
];

/** The same with a fault planted. */
export function spoiled(compiled: Compiled, spoil: Spoil): Compiled {
  if (spoil === SOUND) return compiled;
  const policy = new MapBuilder(compiled.maps.policy.spec);
  for (const [key, value] of compiled.maps.policy) {
    const row = { key: policyKey.decode(key), value: policyValue.decode(value) };
    const change = spoil(row);
    if (change !== undefined) policy.set(key, policyValue.encode({ ...row.value, ...change }));
  }
  return { ...compiled, maps: { ...compiled.maps, policy: policy.finish() } };
}

/** Every side of every pair: the same documents and asks give the same order. */
export function sidesOf(
  documents: readonly Document[],
  kubernetes: boolean,
  asks: readonly Ask[] = ASKS,
  more: readonly string[] = [],
  spoil: Spoil = SOUND,
): Side[] {
  const state = loadDocuments(documents);
  const config = configWith();
  const options = { semantics: kubernetes ? ('kubernetes' as const) : ('cilium' as const) };
  const compiled = new Compiler(config, options).compile(state);
  assert.deepEqual(
    compiled.problems.filter((p) => p.severity === 'error').map((p) => p.message),
    [],
  );
  const { questions } = new PolicyWorld({
    state,
    settings: settingsOf(config, state, options),
    compiled: spoiled(compiled, spoil),
    dnsKnown: true,
  });
  const pods = new Set(state.pods.filter((p) => !p.hostNetwork).flatMap((p) => p.podIPs.map((ip) => ip.text)));
  const all = [...new Set([...pods, ...OUTSIDE, ...more])].map((text) => ({ text, at: address(text) }));
  const sides: Side[] = [];
  for (const { text: source, at: from } of all) {
    for (const { text: destination, at: to } of all) {
      if (source === destination || from.family !== to.family) continue;
      for (const egress of [true, false]) {
        if (!pods.has(egress ? source : destination)) continue;
        for (const [protocol, port] of asks) {
          if ((protocol === 1 && from.family === 6) || (protocol === 58 && from.family === 4)) continue;
          questions.byAddress(egress, from.family, addressWords(from), addressWords(to), protocol, port);
          const { allowed, byte } = questions;
          sides.push({ egress, source, destination, protocol, port, allowed, byDeny: !allowed && byte === 255 });
        }
      }
    }
  }
  return sides;
}

/** A side in words. */
export const sideText = ({ egress, source, destination, protocol, port, allowed }: Side): string =>
  `${source} -> ${destination} ${protocol}/${port} ${egress ? 'egress' : 'ingress'}: ${allowed ? 'allowed' : 'denied'}`;

/** Calls `judge` with both answers to each question. */
export function compareSides(a: readonly Side[], b: readonly Side[], judge: (a: Side, b: Side) => void): void {
  assert.equal(a.length, b.length);
  a.forEach((side, i) => {
    judge(side, b[i]!);
  });
}

/** Fails at the first question that two worlds answer differently. */
export function assertSame(a: readonly Side[], b: readonly Side[]): void {
  compareSides(a, b, (x, y) => {
    if (x.allowed !== y.allowed) assert.fail(`${sideText(x)}, else ${y.allowed ? 'allowed' : 'denied'}`);
  });
}

/**
 * Holds a law over random inputs, and then over the same with a fault planted, which has to be found: a law that cannot
 * fail proves nothing.
 */
export function holds<T>(
  input: fc.Arbitrary<T>,
  law: (input: T, spoil: Spoil) => void,
  fault: Spoil,
  runs = Number(process.env['WEIR_RUNS'] ?? 25),
  examples: T[] = [],
): void {
  fc.assert(
    fc.property(input, (value) => {
      law(value, SOUND);
    }),
    { numRuns: runs, examples: examples.map((e) => [e]) },
  );
  const found = fc.check(
    fc.property(input, (value) => {
      law(value, fault);
    }),
    { numRuns: 200, seed: 7, endOnFailure: true },
  );
  assert.ok(found.failed, 'a planted fault was not found');
}
