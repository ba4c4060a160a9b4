// ICMP errors: matched by the outer addresses with the twin that a connection leaves. Input: two pods that allow TCP only.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { CT_KEY, CT_STATUS, DROP, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import type { PacketSpec } from '../../support/packets.ts';

const A = '10.0.1.1';
const B = '10.0.2.2';
const { NEW, ESTABLISHED, RELATED } = CT_STATUS;

let w: World;
beforeEach(() => {
  w = new World();
  w.endpoint(A, { policyId: 3 }).endpoint(B);
  w.policy(3, { egress: [{ protocol: 'tcp' }], ingress: [{ protocol: 'tcp' }] });
});
const tcp = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: A,
  destination: B,
  sourcePort: 1000,
  destinationPort: 80,
  ...more,
});
const errorTo = (type: number, source = B): Result =>
  w.run('TO_CONTAINER', { protocol: 'icmp', source, destination: A, type, code: 1 });
const errorFrom = (type: number): Result =>
  w.run('FROM_CONTAINER', { protocol: 'icmp', source: A, destination: B, type, code: 1 });
const twins = (map: 'ctAny4' | 'ctAnyNew4'): number =>
  w.entries(map).filter(([key]) => (key.flags & CT_KEY.RELATED) !== 0).length;

describe('IPv4', () => {
  for (const type of [3, 11, 12]) {
    test(`type ${type} against the opener’s direction is RELATED and skips policy`, () => {
      w.run('FROM_CONTAINER', tcp());
      const result = errorTo(type);
      assert.deepEqual([result.verdict, result.record.ctStatus], [VERDICT.FORWARDED, RELATED]);
      assert.equal(w.sim.context.probesPolicy, 0);
    });
  }
  test('other types are not', () => {
    w.run('FROM_CONTAINER', tcp());
    const result = errorTo(5);
    assert.deepEqual([result.record.dropReason, result.record.ctStatus], [DROP.POLICY, NEW]);
  });
  test('without a connection between the two it is NEW and policy decides', () => {
    assert.equal(errorTo(3).record.dropReason, DROP.POLICY);
    w.run('FROM_CONTAINER', tcp({ destination: '10.0.2.3' }));
    assert.equal(errorTo(3).record.dropReason, DROP.POLICY);
  });
  test('along the opener’s direction it is ESTABLISHED, and policy decides', () => {
    w.run('FROM_CONTAINER', tcp());
    const result = errorFrom(3);
    assert.deepEqual([result.record.dropReason, result.record.ctStatus], [DROP.POLICY, ESTABLISHED]);
  });
  test('the same once the connection is answered', () => {
    w.run('FROM_CONTAINER', tcp());
    w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 80, destinationPort: 1000, flags: 'SA' }));
    assert.deepEqual([errorFrom(3).record.ctStatus, errorFrom(3).verdict], [ESTABLISHED, VERDICT.DROPPED]);
    assert.equal(errorTo(3).record.ctStatus, RELATED);
  });
  test('with connections opened from both sides it is RELATED both ways', () => {
    w.run('FROM_CONTAINER', tcp());
    w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 2, destinationPort: 22 }));
    assert.equal(errorTo(3).record.ctStatus, RELATED);
    assert.equal(errorFrom(3).record.ctStatus, RELATED);
  });
  test('the same where one of the two was answered and the other not', () => {
    w.run('FROM_CONTAINER', tcp());
    const answer = { source: B, destination: A, sourcePort: 80, destinationPort: 1000, flags: 'SA' };
    w.run('TO_CONTAINER', tcp(answer));
    w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 2, destinationPort: 22 }));
    assert.deepEqual([twins('ctAny4'), twins('ctAnyNew4')], [1, 1]);
    assert.equal(errorTo(3).record.ctStatus, RELATED);
    assert.equal(errorFrom(3).record.ctStatus, RELATED);
    assert.ok(w.sim.context.probesConntrack <= 2);
    // The second one's answer merges the twins.
    w.run('FROM_CONTAINER', tcp({ sourcePort: 22, destinationPort: 2, flags: 'SA' }));
    assert.deepEqual([twins('ctAny4'), twins('ctAnyNew4')], [1, 0]);
    assert.equal(errorTo(3).record.ctStatus, RELATED);
    assert.equal(errorFrom(3).record.ctStatus, RELATED);
  });
  test('the twin moves with its connection, so a flood cannot evict it', () => {
    w.run('FROM_CONTAINER', tcp());
    assert.deepEqual([twins('ctAny4'), twins('ctAnyNew4')], [0, 1]);
    w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 80, destinationPort: 1000, flags: 'SA' }));
    assert.deepEqual([twins('ctAny4'), twins('ctAnyNew4')], [1, 0]);
    assert.equal(errorTo(3).record.ctStatus, RELATED);
  });
  test('the twin expires by itself', () => {
    w.run('FROM_CONTAINER', tcp());
    w.now += 61;
    assert.equal(errorTo(3).record.ctStatus, NEW);
  });
  test('an error that policy lets pass as NEW leaves a twin and nothing else', () => {
    w.policy(3, { egress: [{}], ingress: [{}] });
    assert.equal(errorTo(3).verdict, VERDICT.FORWARDED);
    assert.equal(w.entries('ctAnyNew4').length, 1);
    assert.equal(twins('ctAnyNew4'), 1);
  });
});

describe('IPv6', () => {
  test('types 1 to 4 are RELATED, others are not', () => {
    w.endpoint('fd00::1', { policyId: 3 });
    w.run('FROM_CONTAINER', tcp({ source: 'fd00::1', destination: 'fd00::2' }));
    for (let type = 0; type < 10; type++) {
      const result = w.run('TO_CONTAINER', { protocol: 'icmpv6', source: 'fd00::2', destination: 'fd00::1', type });
      assert.equal(result.record.ctStatus, type >= 1 && type <= 4 ? RELATED : NEW, `${type}`);
    }
  });
});
