// Backends that are processes of the node itself (pods with hostNetwork): the node's stack delivers, the client keeps its address,
// and the answer gets its frontend back where it leaves. With and without a host firewall, both families, TCP, UDP and SCTP.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  ACTION,
  CT_STATUS,
  DROP,
  ENDPOINT_FLAG,
  FEATURE,
  RECORD_FLAG,
  SERVICE_FLAG,
  VERDICT,
} from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';

const AT = {
  4: { client: '110.0.11.1', vip: '172.16.10.1', node: '10.0.10.1', other: '10.0.10.2' },
  6: {
    client: '2001:db8:0:0:0:0:0:11',
    vip: 'fd10:0:0:0:0:0:0:1',
    node: 'fd0a:0:0:0:0:0:0:1',
    other: 'fd0a:0:0:0:0:0:0:2',
  },
} as const;
type Family = keyof typeof AT;
type Protocol = 'tcp' | 'udp' | 'sctp';

const OWN = 1;
const OTHER = 2;

/** A node with a service whose one backend is a process on a node. `on`: that node; `address`: its address. */
const scene = (family: Family, protocol: Protocol, on: number, own = OWN, flags = 0): World => {
  const w = new World({}, { nodeId: own });
  const at = AT[family];
  w.enable(FEATURE.NODE_PORT).node(OWN, at.node).node(OTHER, at.other);
  w.backend(1, on === OTHER ? at.other : at.node, protocol === 'sctp' ? 80 : 8080, 1, protocol, on);
  w.service(at.vip, 80, { backends: [1], protocol, flags: SERVICE_FLAG.ROUTABLE | flags });
  return w;
};

/** In the range of source NAT: SCTP's port cannot change. */
const CLIENT_PORT = 40_111;

const request = (family: Family, protocol: Protocol): PacketSpec => ({
  protocol,
  source: AT[family].client,
  destination: AT[family].vip,
  sourcePort: CLIENT_PORT,
  destinationPort: 80,
});

for (const family of [4, 6] as const) {
  for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
    describe(`IPv${family}, ${protocol}`, () => {
      const at = AT[family];
      const port = protocol === 'sctp' ? 80 : 8080;
      const answer: PacketSpec = {
        protocol,
        source: at.node,
        destination: at.client,
        sourcePort: port,
        destinationPort: CLIENT_PORT,
        flags: 'SA',
      };

      for (const firewall of [false, true]) {
        test(`on this node, host firewall ${firewall ? 'on' : 'off'}: translated, the client's address kept, and back`, () => {
          const w = scene(family, protocol, OWN);
          if (firewall) {
            w.enable(FEATURE.HOST_FIREWALL);
            w.endpoint(at.node, { identity: 1, flags: ENDPOINT_FLAG.HOST, ifindex: 0, node: OWN });
          }
          const there = w.run('FROM_NETDEV', request(family, protocol));
          assert.equal(there.verdict, VERDICT.FORWARDED);
          assert.deepEqual(
            [there.source, there.sourcePort, there.destination, there.destinationPort],
            [at.client, CLIENT_PORT, at.node, port],
          );
          assert.equal(there.record.action, firewall ? ACTION.HOST : ACTION.STACK);
          assert.equal(there.record.flags & RECORD_FLAG.SNAT, 0);
          assert.ok(there.checksumsRight);
          assert.equal(w.map(family === 4 ? 'nat4' : 'nat6').size, 0);
          const back = w.run('TO_NETDEV', answer);
          assert.deepEqual([back.source, back.sourcePort, back.destination], [at.vip, 80, at.client]);
          assert.ok(back.checksumsRight);
          assert.equal(back.record.flags & RECORD_FLAG.REVERSE_NAT, RECORD_FLAG.REVERSE_NAT);
        });
      }

      test('masquerading does not touch the answer', () => {
        const w = scene(family, protocol, OWN).enable(FEATURE.MASQUERADE_V4, FEATURE.MASQUERADE_V6);
        w.run('FROM_NETDEV', request(family, protocol));
        const back = w.run('TO_NETDEV', { ...answer, sourcePort: port });
        assert.deepEqual([back.source, back.sourcePort], [at.vip, 80]);
        assert.equal(w.map(family === 4 ? 'nat4' : 'nat6').size, 0);
      });

      test('the second packet is of the same connection', () => {
        const w = scene(family, protocol, OWN);
        w.run('FROM_NETDEV', request(family, protocol));
        w.run('TO_NETDEV', answer);
        const more = w.run('FROM_NETDEV', { ...request(family, protocol), flags: 'A' });
        assert.deepEqual([more.destination, more.record.ctStatus], [at.node, CT_STATUS.ESTABLISHED]);
      });

      test('on another node: the client gets this node’s address', () => {
        const w = scene(family, protocol, OTHER);
        const there = w.run('FROM_NETDEV', request(family, protocol));
        assert.deepEqual([there.source, there.destination], [at.node, at.other]);
        assert.equal(there.record.flags & RECORD_FLAG.SNAT, RECORD_FLAG.SNAT);
      });

      test('on a node that nobody names: as on another', () => {
        const w = scene(family, protocol, 0);
        assert.equal(w.run('FROM_NETDEV', request(family, protocol)).record.flags & RECORD_FLAG.SNAT, RECORD_FLAG.SNAT);
      });

      test('a dataplane that stands for every node has no address of its own: the backend’s node delivers', () => {
        for (const on of [OWN, OTHER]) {
          const w = scene(family, protocol, on, 0);
          const there = w.run('FROM_NETDEV', request(family, protocol));
          const to = on === OWN ? at.node : at.other;
          assert.deepEqual([there.verdict, there.source, there.destination], [VERDICT.FORWARDED, at.client, to]);
          const back = w.run('TO_NETDEV', { ...answer, source: to });
          assert.deepEqual([back.source, back.sourcePort], [at.vip, 80]);
        }
        const nowhere = scene(family, protocol, 0, 0).run('FROM_NETDEV', request(family, protocol));
        assert.equal(nowhere.record.dropReason, DROP.SNAT_NO_MAP_FOUND);
      });

      test('a frontend that answers directly needs no direct return here', () => {
        const dsr = SERVICE_FLAG.FORWARD_DSR;
        const w = scene(family, protocol, OWN, OWN, dsr).enable(FEATURE.DSR_OPTION);
        const there = w.run('FROM_NETDEV', request(family, protocol));
        assert.deepEqual([there.destination, there.bytes.length], [at.node, frame(request(family, protocol)).length]);
        assert.equal(there.record.flags & RECORD_FLAG.ENCAPSULATED, 0);
        assert.equal(w.run('TO_NETDEV', answer).source, at.vip);
      });

      test('one client port through two frontends of it, one after the other: each answered as asked', () => {
        const w = scene(family, protocol, OWN);
        const second = family === 4 ? '172.16.10.2' : 'fd10:0:0:0:0:0:0:2';
        w.service(second, 80, { backends: [1], protocol });
        for (const vip of [at.vip, second, at.vip]) {
          const there = w.run('FROM_NETDEV', { ...request(family, protocol), destination: vip });
          assert.equal(there.destination, at.node);
          assert.equal(w.run('TO_NETDEV', answer).source, vip);
        }
      });

      test('a connection to the process itself is nobody’s frontend', () => {
        const w = scene(family, protocol, OWN);
        const direct = { ...request(family, protocol), destination: at.node, destinationPort: port };
        assert.equal(w.run('FROM_NETDEV', direct).destination, at.node);
        assert.deepEqual([w.run('TO_NETDEV', answer).source, w.run('TO_NETDEV', answer).sourcePort], [at.node, port]);
      });
    });
  }
}
