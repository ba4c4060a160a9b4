// Bandwidth limits out of pods' annotations. Input: quantities, pods, settings. Output: limits, flags, warnings.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compiler, type Compiled } from '../../../src/control/compile.ts';
import { formatProblem, readManifests, resolveConfig } from '../../../src/control/index.ts';
import { parseQuantity } from '../../../src/control/quantity.ts';
import { configValue, ENDPOINT_FLAG, endpointValue, FEATURE, limitKey, limitValue } from '../../../src/schema/index.ts';

test('quantities are what Kubernetes takes them for', () => {
  const values: Record<string, number | undefined> = {
    '10M': 10e6,
    '1.5Gi': 1.5 * 2 ** 30,
    '500e6': 500e6,
    '1E3': 1000,
    '1E': 1e18,
    '2.': 2,
    '.5': 1,
    '250m': 1,
    '1200m': 2,
    '-1k': -1000,
    '+8': 8,
    '0': 0,
    '': undefined,
    M: undefined,
    '1 M': undefined,
    '1KB': undefined,
    '1K': undefined,
    '1.2.3': undefined,
    '1e999': undefined,
    ['9'.repeat(65)]: undefined,
    '0x10': undefined,
    Infinity: undefined,
  };
  for (const [text, value] of Object.entries(values)) assert.equal(parseQuantity(text), value, text);
});

const pod = (name: string, ip: number, annotations: Record<string, string>, spec: object = {}): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'x', annotations },
    spec: { nodeName: 'n1', ...spec },
    status: { podIPs: [{ ip: `10.0.1.${ip}` }, { ip: `fd00::${ip}` }] },
  });
const EGRESS = 'kubernetes.io/egress-bandwidth';

function compiled(documents: readonly string[], sets = ['bandwidthManager.enabled=true']): Compiled {
  const { state } = readManifests([{ file: 'm.yaml', text: documents.join('\n---\n') }]);
  const { config, problems } = resolveConfig({ sets });
  assert.deepEqual(problems, []);
  return new Compiler(config).compile(state!);
}
const limitsOf = ({ maps: { limits } }: Compiled): Record<number, bigint> =>
  Object.fromEntries(
    Array.from({ length: limits.size }, (_, i) => {
      const { bytesPerSecond, horizon } = limitValue.decode(limits.valueAt(i));
      assert.equal(horizon, 2_000_000_000n);
      return [limitKey.decode(limits.keyAt(i)).endpointId, bytesPerSecond] as const;
    }),
  );

test('the annotation limits both families of its pod, and no other', () => {
  const out = compiled([pod('a', 1, { [EGRESS]: '10M' }), pod('b', 2, {}), pod('c', 3, { [EGRESS]: '1Gi' })]);
  const flags: Record<number, number[]> = {};
  for (const map of [out.maps.endpoints4, out.maps.endpoints6])
    for (let i = 0; i < map.size; i++) {
      const { endpointId, flags: bits } = endpointValue.decode(map.valueAt(i));
      (flags[endpointId] ??= []).push(bits & ENDPOINT_FLAG.LIMITED);
    }
  const limits = limitsOf(out);
  assert.deepEqual(Object.values(limits).sort(), [1250000n, 134217728n].sort());
  for (const [id, bits] of Object.entries(flags)) {
    assert.deepEqual(bits, id in limits ? [ENDPOINT_FLAG.LIMITED, ENDPOINT_FLAG.LIMITED] : [0, 0]);
  }
  assert.equal(Object.keys(flags).length, 3);
  assert.notEqual(configValue.decode(out.maps.config.valueAt(0)).features & FEATURE.BANDWIDTH, 0);
});

test('without the bandwidth manager annotations mean nothing', () => {
  const out = compiled([pod('a', 1, { [EGRESS]: 'nonsense' })], []);
  assert.deepEqual([limitsOf(out), out.problems], [{}, []]);
  assert.equal(configValue.decode(out.maps.config.valueAt(0)).features & FEATURE.BANDWIDTH, 0);
});

test('what limits nothing is warned about; a rate beyond everything is the greatest', () => {
  const out = compiled([
    pod('a', 1, { [EGRESS]: 'fast' }),
    pod('b', 2, { [EGRESS]: '7' }),
    pod('c', 3, { [EGRESS]: '-10M' }),
    pod('d', 4, { 'kubernetes.io/ingress-bandwidth': '10M' }),
    pod('e', 5, { [EGRESS]: '9999999999999999999999E' }),
    pod('f', 6, { [EGRESS]: '10M' }, { hostNetwork: true }),
  ]);
  assert.deepEqual(Object.values(limitsOf(out)), [9007199254740991n]);
  assert.deepEqual(
    out.problems.map(formatProblem).map((line) => /Pod x\/.: \S+/.exec(line)?.[0]),
    [
      'Pod x/a: kubernetes.io/egress-bandwidth:',
      'Pod x/b: kubernetes.io/egress-bandwidth:',
      'Pod x/c: kubernetes.io/egress-bandwidth:',
      'Pod x/d: kubernetes.io/ingress-bandwidth',
    ],
  );
  assert.ok(out.problems.every(({ severity, line }) => severity === 'warning' && line > 0));
});
