// The conntrack key: one for both directions, whoever asks, and what traces say of the map that holds it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import { setKey4, setKey6 } from '../../../src/datapath/stages/conntrack-key.ts';
import { CT_KEY, TRACE, TRACE_AT, TRACE_MAPS, TRACE_WORDS } from '../../../src/schema/index.ts';
import { SMALL, World } from '../../support/datapath-world.ts';

const cx = createSim({ seed: 1, specs: SMALL }).context;
const words = (family: 4 | 6): number[] =>
  family === 4 ? [cx.k0, cx.k1, cx.k2, cx.k3] : [cx.k0, cx.k1, cx.k2, cx.k3, cx.k4, cx.k5, cx.k6, cx.k7, cx.k8, cx.k9];
const set = (family: 4 | 6, s: number[], d: number[], ports: number, owner: number, flags: number): number[] => {
  if (family === 4) setKey4(cx, s[0]!, d[0]!, ports, 17, owner, flags);
  else setKey6(cx, s[0]!, s[1]!, s[2]!, s[3]!, d[0]!, d[1]!, d[2]!, d[3]!, ports, 17, owner, flags);
  return words(family);
};
/** Few values, so that addresses often differ in one word, or not at all. */
const word = fc.constantFrom(0, 1, -1, 0x7fffffff, -0x80000000, 5);
const port = fc.constantFrom(0, 1, 80, 0x7fff, 0x8000, 0xffff);
/** The order of addresses: word by word, as signed numbers. */
const isBefore = (a: readonly number[], b: readonly number[]): boolean => {
  const at = a.findIndex((one, i) => one !== b[i]);
  return at >= 0 && a[at]! < b[at]!;
};

for (const [family, size] of [
  [4, 1],
  [6, 4],
] as const) {
  const address = fc.array(word, { minLength: size, maxLength: size });
  test(`IPv${family}: both directions have one key, the lower end first, and the owner is told apart`, () => {
    fc.assert(
      fc.property(address, address, port, port, fc.constantFrom(0, 1), (s, d, sp, dp, owner) => {
        const same = s.every((one, i) => one === d[i]);
        // An end that talks to itself from one port to the same is one end, with no direction to tell.
        fc.pre(!same || sp !== dp);
        const ports = sp | (dp << 16) | 0;
        const turned = dp | (sp << 16) | 0;
        const key = set(family, s, d, ports, owner, CT_KEY.NODE);
        assert.deepEqual(key, set(family, d, s, turned, 1 - owner, CT_KEY.NODE));
        const sourceLow = isBefore(s, d) || (same && sp < dp);
        const ends = sourceLow ? [...s, ...d, ports] : [...d, ...s, turned];
        const ownerHigh = (owner === 1) === sourceLow ? 0 : CT_KEY.OWNER_HIGH;
        assert.deepEqual(key, [...ends, 17 | ((CT_KEY.NODE | ownerHigh) << 8)]);
      }),
      { numRuns: 2000 },
    );
  });
}

describe('traces', () => {
  for (const [family, source, destination] of [
    [4, '10.0.1.1', '10.0.2.2'],
    [6, 'fd00::1', 'fd00::2'],
  ] as const) {
    for (const protocol of ['tcp', 'udp'] as const) {
      test(`IPv${family}, ${protocol}: each lookup names its map, its key and what was found`, () => {
        const w = new World();
        w.endpoint(source).endpoint(destination);
        w.sim.trace.enabled = true;
        const kind = protocol === 'tcp' ? 'ctTcp' : 'ctAny';
        const out = { protocol, source, destination, sourcePort: 1000, destinationPort: 80 };
        const back = { protocol, source: destination, destination: source, sourcePort: 80, destinationPort: 1000 };
        const told = (...wanted: number[]): unknown[] => {
          const { trace } = w.sim;
          const records = Array.from({ length: trace.count }, (_, i) => trace.words.subarray(i * TRACE_WORDS));
          const key = (at: Int32Array): number => at[TRACE_AT.KEY_WORDS]!;
          return records
            .filter((at) => wanted.includes(at[0]!))
            .map((at) => [TRACE_MAPS[at[TRACE_AT.MAP]!], at[TRACE_AT.RESULT], key(at)]);
        };
        const keyWords = family === 4 ? 4 : 10;
        const { CT_LOOKUP, CT_CREATE, CT_PROMOTE } = TRACE;
        w.run('FROM_CONTAINER', { ...out, flags: 'S' });
        const unanswered = `${kind}New${family}`;
        const answered = `${kind}${family}`;
        assert.deepEqual(told(CT_LOOKUP), [
          [answered, 0, keyWords],
          [unanswered, 0, keyWords],
        ]);
        assert.deepEqual(told(CT_CREATE), [[unanswered, 0, keyWords]]);
        w.run('TO_CONTAINER', { ...back, flags: 'SA' });
        assert.deepEqual(told(CT_LOOKUP), [
          [answered, 0, keyWords],
          [unanswered, 1, keyWords],
        ]);
        assert.deepEqual(told(CT_PROMOTE), [[answered, 1, keyWords]]);
        w.now += 10_000;
        w.run('FROM_CONTAINER', { ...out, flags: 'S' });
        assert.deepEqual(told(CT_LOOKUP), [
          [answered, 2, keyWords],
          [unanswered, 0, keyWords],
        ]);
      });
    }
  }
});
