// Whole walks through several hooks, as in the reference: pod to pod on one node, pod to ClusterIP, and a metric's vector.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACTION, CT_STATUS, DIRECTION, DROP, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import type { PacketSpec } from '../../support/packets.ts';

const P1 = '192.168.0.1';
const P2 = '192.168.0.2';
const VIP = '172.16.10.1';
const there: PacketSpec = { protocol: 'tcp', source: P1, destination: P2, sourcePort: 111, destinationPort: 222 };
const back: PacketSpec = { ...there, source: P2, destination: P1, sourcePort: 222, destinationPort: 111, flags: 'SA' };

function world(): World {
  const w = new World();
  w.endpoint(P1, { id: 1, identity: 1001, policyId: 3, ifindex: 21 });
  w.endpoint(P2, { id: 2, identity: 1002, policyId: 4, ifindex: 22 });
  w.policy(3, { egress: [{ identity: 1002, protocol: 'tcp', cookie: 31 }], ingress: [], ingressCookie: 39 });
  return w.policy(4, { ingress: [{ identity: 1001, cookie: 41 }], egress: [], egressCookie: 49 });
}
const both = (w: World, spec: PacketSpec): [Result, Result] => {
  const sent = w.run('FROM_CONTAINER', spec);
  return [sent, w.next('TO_CONTAINER', sent)];
};

test('pod to pod on one node: both policies, a hop, entries at both ends; the reply passes both hooks unasked', () => {
  const w = world();
  const [sent, got] = both(w, there);
  assert.deepEqual([sent.verdict, sent.record.action, sent.record.outIfindex], [VERDICT.FORWARDED, ACTION.LOCAL, 22]);
  assert.deepEqual([sent.record.cookie, sent.record.endpointId, sent.ttl], [31, 1, 63]);
  assert.deepEqual([got.verdict, got.record.action, got.record.outIfindex], [VERDICT.FORWARDED, ACTION.DELIVER, 22]);
  assert.deepEqual([got.record.cookie, got.record.endpointId, got.record.sourceIdentity], [41, 2, 1001]);
  assert.equal(w.sim.maps.ctTcpNew4.size, 2);
  const [answer, received] = both(w, back);
  for (const result of [answer, received]) {
    assert.deepEqual([result.verdict, result.record.ctStatus], [VERDICT.FORWARDED, CT_STATUS.REPLY]);
  }
  assert.deepEqual([answer.record.cookie, received.record.cookie], [41, 31], 'each end still knows its rule');
  assert.deepEqual([w.sim.maps.ctTcpNew4.size, w.sim.maps.ctTcp4.size], [0, 2]);
});

test('what the ingress policy drops was let out by egress policy, and the sender’s entry stays unanswered', () => {
  const w = world();
  w.policy(4, { ingress: [], ingressCookie: 48 });
  w.map('policy').delete({ policyId: 4, identity: 1001, port: 0, protocol: 0, shape: 17 });
  const [sent, got] = both(w, there);
  assert.equal(sent.verdict, VERDICT.FORWARDED);
  assert.deepEqual([got.record.dropReason, got.record.cookie, got.record.sourceIdentity], [DROP.POLICY, 48, 1001]);
  assert.equal(w.sim.maps.ctTcpNew4.size, 1);
});

test('a connection from the other side is not a reply: its own policies decide', () => {
  const w = world();
  both(w, there);
  const other = w.run('FROM_CONTAINER', { ...back, sourcePort: 333, flags: 'S' });
  assert.deepEqual([other.record.dropReason, other.record.cookie], [DROP.POLICY, 49]);
});

test('pod to ClusterIP: policy sees the backend and its port, never the frontend', () => {
  const w = world();
  w.backend(1, P2, 222).service(VIP, 80, { backends: [1] });
  w.policy(3, { egress: [{ identity: 1002, protocol: 'tcp', port: 222, cookie: 32 }] });
  w.map('policy').delete({ policyId: 3, identity: 1002, port: 0, protocol: 6, shape: 0x80 });
  const [sent, got] = both(w, { ...there, destination: VIP, destinationPort: 80 });
  assert.deepEqual([sent.record.cookie, sent.record.destinationIdentity], [32, 1002]);
  assert.deepEqual([got.destination, got.destinationPort, got.verdict], [P2, 222, VERDICT.FORWARDED]);
  const [answer, received] = both(w, back);
  assert.deepEqual([answer.source, received.source, received.sourcePort], [P2, VIP, 80]);
  assert.ok(received.checksumsRight);
});

test('vector 20: a pod under an egress deny-all: dropped, metrics {181, egress} = 1', () => {
  const w = world();
  w.policy(3, { egress: [{ verdict: 'deny' }] });
  assert.equal(w.run('FROM_CONTAINER', there).verdict, VERDICT.DROPPED);
  const [metric, ...more] = w.sim.metrics();
  assert.equal(more.length, 0);
  assert.deepEqual([metric!.reason, metric!.direction, metric!.packets], [181, DIRECTION.EGRESS, 1n]);
});
