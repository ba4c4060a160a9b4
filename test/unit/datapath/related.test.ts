// ICMP errors: matched by the outer addresses with the twin that a connection leaves. Input: two pods that allow TCP only.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { CT_KEY, CT_STATUS, DROP, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import type { PacketSpec } from '../../support/packets.ts';

const ADDRESSES = { 4: ['10.0.1.1', '10.0.2.2', '10.0.2.3'], 6: ['fd00::1:1', 'fd00::2:2', 'fd00::2:3'] } as const;
/** Errors, and a type that is none. */
const TYPES = {
  4: { protocol: 'icmp', errors: [3, 11, 12], other: 5 },
  6: { protocol: 'icmpv6', errors: [1, 2, 3, 4], other: 137 },
} as const;
const { NEW, ESTABLISHED, RELATED } = CT_STATUS;

for (const family of [4, 6] as const) describe(`IPv${family}`, () => rows(family));

function rows(family: 4 | 6): void {
  const [A, B, OTHER] = ADDRESSES[family];
  const icmp = TYPES[family];
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
  const errorTo = (type: number, source: string = B): Result =>
    w.run('TO_CONTAINER', { protocol: icmp.protocol, source, destination: A, type, code: 1 });
  const errorFrom = (type: number): Result =>
    w.run('FROM_CONTAINER', { protocol: icmp.protocol, source: A, destination: B, type, code: 1 });
  const twins = (map: 'ctAny' | 'ctAnyNew'): number =>
    w.entries(`${map}${family}`).filter(([key]) => (key.flags & CT_KEY.RELATED) !== 0).length;

  for (const type of icmp.errors) {
    test(`type ${type} against the opener’s direction is RELATED and skips policy`, () => {
      w.run('FROM_CONTAINER', tcp());
      const result = errorTo(type);
      assert.deepEqual([result.verdict, result.record.ctStatus], [VERDICT.FORWARDED, RELATED]);
      assert.equal(w.sim.context.probesPolicy, 0);
    });
  }
  test('type by type', () => {
    w.run('FROM_CONTAINER', tcp());
    for (let type = 0; type < 50; type++) {
      const error = (icmp.errors as readonly number[]).includes(type);
      assert.equal(errorTo(type).record.ctStatus, error ? RELATED : NEW, `${type}`);
    }
  });
  test('other types are not', () => {
    w.run('FROM_CONTAINER', tcp());
    const result = errorTo(icmp.other);
    assert.deepEqual([result.record.dropReason, result.record.ctStatus], [DROP.POLICY, NEW]);
  });
  test('without a connection between the two it is NEW and policy decides', () => {
    assert.equal(errorTo(3).record.dropReason, DROP.POLICY);
    w.run('FROM_CONTAINER', tcp({ destination: OTHER }));
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
    assert.deepEqual([twins('ctAny'), twins('ctAnyNew')], [1, 1]);
    assert.equal(errorTo(3).record.ctStatus, RELATED);
    assert.equal(errorFrom(3).record.ctStatus, RELATED);
    assert.ok(w.sim.context.probesConntrack <= 2);
    // The second one's answer merges the twins.
    w.run('FROM_CONTAINER', tcp({ sourcePort: 22, destinationPort: 2, flags: 'SA' }));
    assert.deepEqual([twins('ctAny'), twins('ctAnyNew')], [1, 0]);
    assert.equal(errorTo(3).record.ctStatus, RELATED);
    assert.equal(errorFrom(3).record.ctStatus, RELATED);
  });
  test('answered connections of one direction leave one direction, however many', () => {
    for (const port of [1000, 1001, 1002]) {
      w.run('FROM_CONTAINER', tcp({ sourcePort: port }));
      w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 80, destinationPort: port, flags: 'SA' }));
    }
    assert.deepEqual([twins('ctAny'), twins('ctAnyNew')], [1, 0]);
    assert.equal(errorTo(3).record.ctStatus, RELATED);
    assert.equal(errorFrom(3).record.ctStatus, ESTABLISHED);
  });
  test('unanswered connections of one direction leave one direction, too; of both sides both, in either order', () => {
    for (const port of [1000, 1001]) w.run('FROM_CONTAINER', tcp({ sourcePort: port }));
    assert.deepEqual([errorTo(3).record.ctStatus, errorFrom(3).record.ctStatus], [RELATED, ESTABLISHED]);
    w.run('TO_CONTAINER', tcp({ source: OTHER, destination: A }));
    w.run('FROM_CONTAINER', tcp({ destination: OTHER, sourcePort: 5 }));
    w.run('FROM_CONTAINER', tcp({ destination: OTHER, sourcePort: 6 }));
    const back = { protocol: icmp.protocol, source: A, destination: OTHER, type: 3, code: 1 } as const;
    assert.equal(w.run('FROM_CONTAINER', back).record.ctStatus, RELATED);
    assert.equal(errorTo(3, OTHER).record.ctStatus, RELATED);
  });
  test('a twin begins with the lifetime of what it stands for: SYN of a TCP connection, else that of other protocols', () => {
    w.configure({ ctAnyLifetime: 102, ctSynLifetime: 55 }).policy(3, { egress: [{}], ingress: [{}] });
    const lifetimes = (): number[] => w.entries(`ctAnyNew${family}`).map(([, { lifetime }]) => lifetime - w.now);
    w.run('FROM_CONTAINER', tcp());
    assert.deepEqual(lifetimes(), [55]);
    w.run('FROM_CONTAINER', tcp({ destination: OTHER, protocol: 'udp' }));
    assert.deepEqual(
      lifetimes().sort((a, b) => a - b),
      [55, 102, 102],
    );
    w.now += 1000;
    errorTo(3);
    const twin = w.entries(`ctAnyNew${family}`).find(([, { lifetime }]) => lifetime > w.now);
    assert.equal(twin![1].lifetime, w.now + 102);
  });
  test('a twin that counts both ways stays so when more connections are answered', () => {
    const inbound = (port: number): void => {
      w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: port, destinationPort: 22 }));
      w.run('FROM_CONTAINER', tcp({ sourcePort: 22, destinationPort: port, flags: 'SA' }));
    };
    const outbound = (port: number): void => {
      w.run('FROM_CONTAINER', tcp({ sourcePort: port }));
      w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 80, destinationPort: port, flags: 'SA' }));
    };
    outbound(1000);
    inbound(2);
    inbound(3);
    outbound(1001);
    outbound(1002);
    assert.deepEqual([twins('ctAny'), twins('ctAnyNew')], [1, 0]);
    assert.deepEqual([errorTo(3).record.ctStatus, errorFrom(3).record.ctStatus], [RELATED, RELATED]);
  });
  test('a twin that has expired lends its direction to none that comes after', () => {
    w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 2, destinationPort: 22 }));
    w.run('FROM_CONTAINER', tcp({ sourcePort: 22, destinationPort: 2, flags: 'SA' }));
    w.now += 61;
    w.run('FROM_CONTAINER', tcp());
    w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 80, destinationPort: 1000, flags: 'SA' }));
    assert.equal(errorTo(3).record.ctStatus, RELATED);
    assert.equal(errorFrom(3).record.ctStatus, ESTABLISHED);
  });
  test('nor does one among the unanswered', () => {
    w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 2, destinationPort: 22 }));
    w.now += 61;
    w.run('FROM_CONTAINER', tcp());
    assert.deepEqual([errorTo(3).record.ctStatus, errorFrom(3).record.ctStatus], [RELATED, ESTABLISHED]);
  });
  test('the twin moves with its connection, so a flood cannot evict it', () => {
    w.run('FROM_CONTAINER', tcp());
    assert.deepEqual([twins('ctAny'), twins('ctAnyNew')], [0, 1]);
    w.run('TO_CONTAINER', tcp({ source: B, destination: A, sourcePort: 80, destinationPort: 1000, flags: 'SA' }));
    assert.deepEqual([twins('ctAny'), twins('ctAnyNew')], [1, 0]);
    assert.equal(errorTo(3).record.ctStatus, RELATED);
  });
  test('an error gives the twin the lifetime of other protocols again', () => {
    w.configure({ ctTcpLifetime: 1001, ctAnyLifetime: 102, ctServiceTcpLifetime: 1003, ctServiceAnyLifetime: 104 });
    w.run('FROM_CONTAINER', tcp());
    const [, twin] = w.entries(`ctAnyNew${family}`)[0]!;
    assert.equal(twin.lifetime, w.now + 60);
    w.now += 5;
    errorTo(3);
    const [, after] = w.entries(`ctAnyNew${family}`)[0]!;
    assert.deepEqual([after.lifetime, after.flags], [w.now + 102, twin.flags]);
  });
  test('the twin expires by itself', () => {
    w.run('FROM_CONTAINER', tcp());
    w.now += 61;
    assert.equal(errorTo(3).record.ctStatus, NEW);
  });
  test('an error that policy lets pass as NEW leaves a twin and nothing else', () => {
    w.policy(3, { egress: [{}], ingress: [{}] });
    assert.equal(errorTo(3).verdict, VERDICT.FORWARDED);
    assert.equal(w.entries(`ctAnyNew${family}`).length, 1);
    assert.equal(twins('ctAnyNew'), 1);
  });
}
