// Who the ends of a packet are taken for, at each hook. Input: endpoints, ipcache entries, marks. Output: identities, 132.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { identityMark } from '../../../src/datapath/index.ts';
import { ACTION, DROP, ENDPOINT_FLAG, FEATURE, IDENTITY, META_FLAG, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import type { PacketSpec } from '../../support/packets.ts';

const A = '10.0.1.1';
const NODE1 = '192.168.0.1';
const NODE2 = '192.168.0.2';
const WORLD = '192.0.2.1';

let w: World;
beforeEach(() => {
  w = new World();
  w.endpoint(A, { identity: 1234, ifindex: 7, node: 1 });
  w.identity(NODE1, IDENTITY.REMOTE_NODE, 1).identity(NODE2, IDENTITY.REMOTE_NODE, 2);
});
const tcp = (source: string, destination: string): PacketSpec => ({
  protocol: 'tcp',
  source,
  destination,
  sourcePort: 1,
  destinationPort: 2,
});
const from = (destination: string, meta = {}): Result => w.run('FROM_CONTAINER', tcp(A, destination), meta);
const to = (source: string, meta = {}): number => w.run('TO_CONTAINER', tcp(source, A), meta).record.sourceIdentity;

describe('the sender at from-container', () => {
  test('is the endpoint with the source address', () => {
    assert.equal(from(WORLD).record.sourceIdentity, 1234);
  });
  test('unknown: 132; without the source check 172', () => {
    const spoofed = tcp('10.0.9.9', WORLD);
    assert.equal(w.run('FROM_CONTAINER', spoofed).record.dropReason, DROP.INVALID_SOURCE_IP);
    w.disable(FEATURE.SOURCE_CHECK);
    assert.equal(w.run('FROM_CONTAINER', spoofed).record.dropReason, DROP.UNKNOWN_SENDER);
  });
  test('behind another interface: 132, unless unchecked or the interface is unknown', () => {
    assert.equal(from(WORLD, { ifindex: 7 }).verdict, VERDICT.FORWARDED);
    assert.equal(from(WORLD, { ifindex: 0 }).verdict, VERDICT.FORWARDED);
    const other = from(WORLD, { ifindex: 8 });
    assert.deepEqual([other.record.dropReason, other.record.endpointId], [DROP.INVALID_SOURCE_IP, 0]);
    w.endpoint(A, { ifindex: 7, flags: ENDPOINT_FLAG.NO_SOURCE_CHECK });
    assert.equal(from(WORLD, { ifindex: 8 }).verdict, VERDICT.FORWARDED);
    w.endpoint(A, { ifindex: 7 }).disable(FEATURE.SOURCE_CHECK);
    assert.equal(from(WORLD, { ifindex: 8 }).verdict, VERDICT.FORWARDED);
  });
});

describe('the other end', () => {
  test('an address that nobody knows is the world, by family on a dual-stack node', () => {
    assert.equal(from(WORLD).record.destinationIdentity, IDENTITY.WORLD_IPV4);
    w.endpoint('fd00::1');
    const six = w.run('FROM_CONTAINER', tcp('fd00::1', '2001:db8::1'));
    assert.equal(six.record.destinationIdentity, IDENTITY.WORLD_IPV6);
    w.disable(FEATURE.IPV6);
    assert.equal(w.run('FROM_CONTAINER', tcp(A, '192.0.2.7')).record.destinationIdentity, IDENTITY.WORLD);
  });
  test('is what the longest prefix says', () => {
    w.identity('192.0.2.0/24', 0x01000001).identity('192.0.2.128/25', 0x01000002);
    assert.equal(from('192.0.2.1').record.destinationIdentity, 0x01000001);
    assert.equal(from('192.0.2.200').record.destinationIdentity, 0x01000002);
  });
  test('a node is the host to its own pods, and a remote node to others’', () => {
    assert.equal(from(NODE1).record.destinationIdentity, IDENTITY.HOST);
    assert.equal(from(NODE2).record.destinationIdentity, IDENTITY.REMOTE_NODE);
    assert.equal(to(NODE1), IDENTITY.HOST);
    assert.equal(to(NODE2), IDENTITY.REMOTE_NODE);
  });
  test('so are nodes with labels of their own and the API server', () => {
    w.identity(NODE1, 0x02000005, 1);
    assert.equal(to(NODE1), IDENTITY.HOST);
    w = new World();
    w.endpoint(A, { node: 1 }).identity(NODE1, IDENTITY.KUBE_APISERVER, 1).identity(NODE2, 0x02000006, 2);
    assert.equal(to(NODE1), IDENTITY.HOST);
    assert.equal(to(NODE2), 0x02000006);
  });
  test('where nodes are not told, nobody is the host', () => {
    w = new World();
    w.endpoint(A, { node: 0 }).identity(NODE1, IDENTITY.REMOTE_NODE, 0);
    assert.equal(to(NODE1), IDENTITY.REMOTE_NODE);
  });
  test('a pod on the same node is no host', () => {
    w.identity('10.0.1.9', 4444, 1);
    assert.equal(to('10.0.1.9'), 4444);
  });
  test('at to-container META FROM_HOST and the marks go before the ipcache', () => {
    w.identity(WORLD, 5555);
    assert.equal(to(WORLD), 5555);
    w = new World();
    w.endpoint(A).identity(WORLD, 5555);
    assert.equal(to(WORLD, { flags: META_FLAG.FROM_HOST, mark: identityMark(77) }), IDENTITY.HOST);
    w = new World();
    w.endpoint(A).identity(WORLD, 5555);
    assert.equal(to(WORLD, { mark: 0xc00 }), IDENTITY.HOST);
    for (const identity of [77, 65535, 0xabcdef]) {
      w = new World();
      w.endpoint(A).identity(WORLD, 5555);
      assert.equal(to(WORLD, { mark: identityMark(identity) }), identity);
      assert.equal(w.sim.context.probesSourceIdentity, 0);
    }
  });
});

describe('hooks hand on who sent', () => {
  test('from-container marks the sender’s identity for to-container', () => {
    w.endpoint('10.0.1.2', { hidden: true, identity: 99 });
    const sent = w.run('FROM_CONTAINER', tcp('10.0.1.2', A));
    assert.equal(w.meta.mark, identityMark(99));
    assert.equal(w.next('TO_CONTAINER', sent).record.sourceIdentity, 99);
  });
  test('from-host tells the pod’s hook that the host itself sends', () => {
    for (const meta of [{ mark: 0xc00 }, {}]) {
      const sent = w.run('FROM_HOST', tcp(NODE1, A), meta);
      assert.deepEqual([sent.record.action, sent.record.sourceIdentity], [ACTION.LOCAL, IDENTITY.HOST]);
      assert.equal(sent.ttl, 63);
      assert.equal(w.meta.flags & META_FLAG.FROM_HOST, META_FLAG.FROM_HOST);
      assert.equal(w.next('TO_CONTAINER', sent).record.sourceIdentity, IDENTITY.HOST);
    }
  });
  test('from-host does not vouch for others: a remote node stays one', () => {
    const sent = w.run('FROM_HOST', tcp(NODE2, A));
    assert.equal(sent.record.sourceIdentity, IDENTITY.REMOTE_NODE);
    assert.equal(w.meta.flags & META_FLAG.FROM_HOST, 0);
  });
  test('from-host leaves what is for no endpoint to the stack', () => {
    assert.equal(w.run('FROM_HOST', tcp(NODE1, NODE2)).record.action, ACTION.STACK);
  });
  test('to-container of an address that is no endpoint: 150', () => {
    assert.equal(w.run('TO_CONTAINER', tcp(A, WORLD)).record.dropReason, DROP.UNKNOWN_TARGET);
  });
});
