// What is looked into of many connections: the bounds on memory, and what of DNS is believed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from 'dns-packet';
import type { CiliumPortRule, PlainData, PolicyRule } from '../../../src/control/index.ts';
import { type InspectedPacket, Inspector, MOST_CONNECTIONS, MOST_HELD, ReadyRules } from '../../../src/l7/inspector.ts';
import { RuleProblems } from '../../../src/l7/rules.ts';
import { tlsHelloBytes } from '../../support/client-bytes.ts';
import { ascii } from '../../support/l7-findings.ts';

const origin = { file: 'p.yaml', line: 7, column: 1 };
/** A rule as the inspector sees it: nothing but what is inspected, and its name. */
const rule = (inspected: Omit<CiliumPortRule, 'origin'>): PolicyRule =>
  ({ ref: { kind: 'P', name: 'p', rule: 'egress[0]' }, origin, inspected: { ...inspected, origin } }) as PolicyRule;
const rules = (kind: 'http' | 'dns', ...list: PlainData[]): PolicyRule =>
  rule({ l7: kind, rules: { value: { [kind]: list }, origin } } as Omit<CiliumPortRule, 'origin'>);
const gate = (one: PolicyRule) => [{ rules: [one], lifted: undefined }];
const inspector = (): Inspector => new Inspector(new ReadyRules(new RuleProblems()));
const packet = (seq: number, payload: Uint8Array, forward = true): InspectedPacket => ({
  ...{ forward, seq, flags: 16, payload, wireBytes: payload.length },
});

test('what is held is what its connections hold, however many have come and gone', async () => {
  const hello = await tlsHelloBytes('a.example');
  const one = inspector();
  for (let i = 0; i < 3 * MOST_CONNECTIONS; i++) {
    one.begin(i, 1, 6, gate(rule({ serverNames: ['a.example'] })));
    if (i % 2 === 0) assert.equal(one.packet(i, { ...packet(0, hello), flags: 2 }).found[0]?.verdict, 'FORWARDED');
    if (i % 3 === 0) one.forget(i);
  }
  assert.ok(one.forgotten > 0 && one.held >= 0 && one.held <= MOST_HELD);
  for (let i = 0; i < 3 * MOST_CONNECTIONS; i++) one.forget(i);
  assert.equal(one.held, 0);
});

test('pieces that wait count with what they take, and the most that is held is kept', () => {
  const one = inspector();
  for (let i = 0; i < MOST_CONNECTIONS; i++) {
    one.begin(i, 1, 6, gate(rules('http', {})));
    one.packet(i, packet(1, ascii('G')));
    for (let piece = 0; piece < 80; piece++) one.packet(i, packet(10 + 2 * piece, ascii('x')));
    assert.ok(one.held <= MOST_HELD);
  }
  assert.ok(one.forgotten > 0, 'a byte each, but not for nothing');
});

test('of DNS only answers to what was asked are believed, and the oldest unanswered question is forgotten first', () => {
  const one = inspector();
  one.begin(1, 1, 17, gate(rules('dns', { matchPattern: '*.example' })));
  const message = (id: number, name: string, type: 'query' | 'response'): Uint8Array =>
    encode({
      ...{ type, id, questions: [{ type: 'A', name }] },
      ...(type === 'response' ? { answers: [{ type: 'A', name, ttl: 5, data: '192.0.2.1' }] } : {}),
    });
  const ask = (id: number, name: string): string | undefined =>
    one.packet(1, packet(0, message(id, name, 'query'))).found[0]?.verdict;
  const learns = (id: number, name: string): boolean =>
    one.packet(1, packet(0, message(id, name, 'response'), false)).learnt.length === 1;
  assert.equal(ask(1, 'a.example'), 'FORWARDED');
  assert.equal(ask(2, 'a.test'), 'DROPPED');
  assert.ok(!learns(3, 'a.example') && !learns(1, 'b.example') && !learns(2, 'a.test'));
  assert.ok(learns(1, 'a.example') && !learns(1, 'a.example'), 'once');
  for (let id = 0; id < 1200; id++) ask(id, 'b.example');
  assert.ok(learns(1199, 'b.example') && learns(200, 'b.example') && !learns(100, 'b.example'));
});
