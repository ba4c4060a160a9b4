// The table of connections against a map with texts for keys: whom a tuple means, in which role and direction, while records
// begin, are translated, forgotten and evicted. Addresses and ports are few, so that tuples meet, turned round as well.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AT, FRONT, INT_STRIDE, ROLE, STATE } from '../../../src/replay/connection-record.ts';
import { Connections } from '../../../src/replay/connections.ts';
import { TupleTable } from '../../../src/replay/tuple-table.ts';

interface Tuple {
  readonly six: boolean;
  readonly source: readonly number[];
  readonly destination: readonly number[];
  /** Source port low half, destination port high half. */
  readonly ports: number;
  readonly protocol: number;
}

const end = fc.constantFrom([1, 0, 0, 0], [-5, 0, 0, 0], [7, 0, 0, 3], [7, 0, 2, 3]);
const port = fc.constantFrom(80, 443, 0xffff);
const tuple: fc.Arbitrary<Tuple> = fc
  .record({ six: fc.boolean(), a: end, b: end, p: port, q: port, protocol: fc.constantFrom(6, 6, 17, 132, 1) })
  .map(({ six, a, b, p, q, protocol }) => {
    const cut = (words: readonly number[]): readonly number[] => (six ? words : [words[0]!, 0, 0, 0]);
    return { six, source: cut(a), destination: cut(b), ports: p | (q << 16), protocol };
  });

const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ what: fc.constant('begin' as const), tuple }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('translate' as const), which: fc.nat(), tuple }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('forget' as const), which: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ what: fc.constant('find' as const), tuple }) },
);

const turned = (t: Tuple): Tuple => ({
  ...t,
  source: t.destination,
  destination: t.source,
  ports: (t.ports << 16) | (t.ports >>> 16),
});
const textOf = (t: Tuple): string => `${t.six} ${t.source.join()} ${t.destination.join()} ${t.ports} ${t.protocol}`;

interface Meaning {
  readonly number: number;
  readonly role: number;
  /** As it was entered. */
  readonly as: string;
}

/** Both directions of a tuple have one key. */
const keyOf = (t: Tuple): string => [textOf(t), textOf(turned(t))].sort().join('|');

function put(connections: Connections, number: number, at: number, t: Tuple): void {
  const base = number * INT_STRIDE + at;
  connections.int.set(t.source, base);
  connections.int.set(t.destination, base + (AT.DESTINATION - AT.SOURCE));
  connections.int[base + (AT.PORTS - AT.SOURCE)] = t.ports;
}

const find = (connections: Connections, { six, source: s, destination: d, ports, protocol }: Tuple): number =>
  six
    ? connections.find6(s[0]!, s[1]!, s[2]!, s[3]!, d[0]!, d[1]!, d[2]!, d[3]!, ports, protocol)
    : connections.find4(s[0]!, d[0]!, ports, protocol);

describe('the table of connections', () => {
  it('says what a map would', () => {
    let met = 0;
    fc.assert(
      fc.property(
        fc.array(operation, { minLength: 1, maxLength: 120 }),
        fc.constantFrom(1, 3, 50),
        fc.integer(),
        (operations, maxRecords, seed) => {
          const model = new Map<string, Meaning>();
          const records = new Map<number, { asked: Tuple; output?: Tuple }>();
          const forgotten = (number: number): void => {
            for (const [key, meaning] of model) if (meaning.number === number) model.delete(key);
            records.delete(number);
          };
          const connections = new Connections({ maxRecords, seed, onForgotten: forgotten });
          const check = (t: Tuple): void => {
            const meaning = model.get(keyOf(t));
            const number = find(connections, t);
            assert.equal(number, meaning?.number ?? 0, textOf(t));
            assert.equal(connections.role, meaning?.role ?? ROLE.NONE, textOf(t));
            assert.equal(connections.forward, meaning !== undefined && meaning.as === textOf(t), textOf(t));
            if (number !== 0) met++;
          };
          for (const op of operations) {
            if (op.what === 'begin') {
              const number = connections.begin();
              put(connections, number, AT.SOURCE, op.tuple);
              put(connections, number, AT.OUT_SOURCE, op.tuple);
              connections.int[number * INT_STRIDE + AT.PROTOCOL] = op.tuple.protocol;
              connections.int[number * INT_STRIDE + AT.STATE] = op.tuple.six ? STATE.IPV6 : 0;
              connections.enter(number);
              records.set(number, { asked: op.tuple });
              model.set(keyOf(op.tuple), { number, role: ROLE.ASKED, as: textOf(op.tuple) });
            } else if (op.what === 'find') {
              check(op.tuple);
              check(turned(op.tuple));
            } else {
              const numbers = [...records.keys()];
              if (numbers.length === 0) continue;
              const number = numbers[op.which % numbers.length]!;
              const record = records.get(number)!;
              if (op.what === 'forget') {
                connections.forget(number);
                assert.equal(records.has(number), false);
                continue;
              }
              const { six, protocol } = record.asked;
              const output = { ...op.tuple, six, protocol };
              if (!six) output.source = [output.source[0]!, 0, 0, 0];
              if (!six) output.destination = [output.destination[0]!, 0, 0, 0];
              // A translation that changes nothing is none.
              if (keyOf(output) === keyOf(record.asked)) continue;
              if (record.output !== undefined) {
                connections.leaveOutput(number);
                const key = keyOf(record.output);
                if (model.get(key)?.number === number) model.delete(key);
              }
              put(connections, number, AT.OUT_SOURCE, output);
              connections.int[number * INT_STRIDE + AT.STATE]! |= STATE.TRANSLATED;
              connections.enterOutput(number);
              record.output = output;
              model.set(keyOf(output), { number, role: ROLE.OUTPUT, as: textOf(output) });
            }
          }
          for (const { asked, output } of records.values()) {
            check(asked);
            if (output !== undefined) check(turned(output));
          }
        },
      ),
      { numRuns: Number(process.env['WEIR_RUNS'] ?? 300) },
    );
    assert.ok(met > 100);
  });

  it('refuses a tuple that it has no room for, and counts it', () => {
    const int = new Int32Array(FRONT + 200 * INT_STRIDE);
    const table = new TupleTable(100, 1);
    table.expect(1 << 20);
    for (let number = 1; number < 150; number++) {
      int[number * INT_STRIDE + AT.SOURCE] = number;
      int[number * INT_STRIDE + AT.PROTOCOL] = 6;
      assert.equal(table.enter(int, false, number, AT.SOURCE), number <= 100);
    }
    assert.deepEqual([table.count, table.refused], [100, 49]);
    for (let number = 1; number < 150; number++) {
      assert.equal(table.find4(int, number, 0, 0, 6), number <= 100 ? number : 0);
      table.leave(int, false, number, AT.SOURCE);
    }
    assert.equal(table.count, 0);
  });

  it('keeps tuples apart that share a hash, and finds all of very many', () => {
    const count = 300_000;
    const int = new Int32Array(FRONT + (count + 1) * INT_STRIDE);
    const table = new TupleTable(count, 7);
    for (let number = 1; number <= count; number++) {
      const base = number * INT_STRIDE;
      int[base + AT.SOURCE] = Math.imul(number, 0x01000193);
      int[base + AT.DESTINATION] = number & 0xff;
      int[base + AT.PORTS] = (number & 0xffff) | (443 << 16);
      int[base + AT.PROTOCOL] = 6;
      table.enter(int, false, number, AT.SOURCE);
    }
    for (let number = 1; number <= count; number += 2) table.leave(int, false, number, AT.SOURCE);
    for (let number = 1; number <= count; number++) {
      const base = number * INT_STRIDE;
      const found = table.find4(int, int[base + AT.DESTINATION]!, int[base + AT.SOURCE]!, 443 | (number << 16) | 0, 6);
      if (found !== (number % 2 === 0 ? number : 0)) assert.fail(`${number}: ${found}`);
    }
  });
});
