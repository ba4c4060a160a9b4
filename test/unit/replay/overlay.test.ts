// Captures between nodes in tunnel mode: the pods' packets inside are judged, not the UDP around them.
// Input: hand-made VXLAN and Geneve frames. Output: records. Headers are written here byte by byte.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readTopology } from '../../../src/control/topology.ts';
import { FEATURE } from '../../../src/schema/index.ts';
import { Directory } from '../../../src/replay/directory.ts';
import { Overlay } from '../../../src/replay/overlay.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';
import { makeWorld, replayed } from '../../support/replay-world.ts';

const N1 = '192.168.0.1';
const N2 = '192.168.0.2';

interface Wrap {
  readonly source?: string;
  readonly destination?: string;
  readonly port?: number;
  readonly vni?: number;
  readonly geneveOptions?: number;
  readonly geneve?: boolean;
}

function wrapped(inner: Uint8Array, wrap: Wrap = {}): Uint8Array {
  const vni = wrap.vni ?? 1000;
  const id = [vni >> 16, (vni >> 8) & 255, vni & 255, 0];
  const options = wrap.geneveOptions ?? 0;
  const header =
    wrap.geneve === true ? [options, 0, 0x65, 0x58, ...id, ...new Uint8Array(4 * options)] : [8, 0, 0, 0, ...id];
  return frame({
    protocol: 'udp',
    source: wrap.source ?? N1,
    destination: wrap.destination ?? N2,
    sourcePort: 40000,
    destinationPort: wrap.port ?? 8472,
    payload: Uint8Array.from([...header, ...inner]),
  });
}

const pods = (more: Partial<PacketSpec> = {}): Uint8Array =>
  frame({
    protocol: 'tcp',
    source: '10.0.1.1',
    destination: '10.0.2.1',
    sourcePort: 1111,
    destinationPort: 8080,
    flags: 'S',
    ...more,
  });

describe('replay of the overlay', () => {
  for (const at of ['any', 'node:n1', 'node:n2'] as const) {
    for (const [name, sets, wrap] of [
      ['VXLAN', [], {}],
      ['Geneve', ['tunnelProtocol=geneve'], { geneve: true, port: 6081 }],
      ['Geneve with options', ['tunnelProtocol=geneve'], { geneve: true, port: 6081, geneveOptions: 3 }],
      ['another port', ['tunnelPort=4789'], { port: 4789 }],
    ] as const) {
      it(`${name}, seen at ${at}: the packet inside, allowed and denied`, async () => {
        const world = makeWorld({ sets });
        const back = { source: '10.0.2.1', destination: '10.0.1.1', sourcePort: 8080, destinationPort: 1111 };
        const { packets } = await replayed(
          world,
          [
            [
              { frame: wrapped(pods(), wrap) },
              { frame: wrapped(pods({ ...back, flags: 'SA' }), { ...wrap, source: N2, destination: N1 }) },
              { frame: wrapped(pods({ destinationPort: 9090, sourcePort: 1112 }), wrap) },
            ],
          ],
          { at },
        );
        assert.deepEqual(
          packets.map(({ verdict, source, destination }) => [verdict, source.ip, destination.ip]),
          [
            ['FORWARDED', '10.0.1.1', '10.0.2.1'],
            ['FORWARDED', '10.0.2.1', '10.0.1.1'],
            ['DROPPED', '10.0.1.1', '10.0.2.1'],
          ],
        );
        assert.equal(packets[0]!.ct, 'NEW');
        assert.equal(packets[1]!.ct, 'REPLY');
        // Bytes are those of the wire.
        assert.ok(packets[0]!.bytes > 100);
      });
    }
  }
  it('what is no overlay stays what it is: other ports, native routing, senders that are no nodes', async () => {
    const ends = async (sets: readonly string[], bytes: Uint8Array): Promise<string> => {
      const { packets } = await replayed(makeWorld({ sets }), [[{ frame: bytes }]], { at: 'any' });
      return packets[0]!.source.ip ?? '';
    };
    assert.equal(await ends([], wrapped(pods())), '10.0.1.1');
    assert.equal(await ends([], wrapped(pods(), { port: 8473 })), N1);
    assert.equal(await ends(['routingMode=native'], wrapped(pods())), N1);
    assert.equal(await ends([], wrapped(pods(), { source: '10.0.1.3' })), '10.0.1.3');
    assert.equal(await ends([], wrapped(pods(), { destination: '203.0.113.1' })), N1);
  });
  it('a pod that writes such a header itself is denied as such', async () => {
    const { packets } = await replayed(makeWorld(), [[{ frame: wrapped(pods(), { source: '10.0.1.1' }) }]], {
      at: 'pod:x/a',
    });
    assert.equal(packets[0]!.verdict, 'DROPPED');
    assert.equal(packets[0]!.drop?.code, 170);
  });
});

describe('with a topology the overlay’s packets are made', () => {
  const TOPOLOGY = `node: n1
interfaces: [{ name: eth0, ifindex: 2, mac: 02:00:00:00:00:01, mtu: 1500, addresses: [192.168.0.1/24] }]
neighbours: [{ address: 192.168.0.2, interface: eth0, mac: 02:00:00:00:00:02 }]
`;
  const back = { source: '10.0.2.2', destination: '10.0.1.1', sourcePort: 8080, destinationPort: 1111 } as const;
  const asked = { destination: '10.96.0.1', destinationPort: 80 } as const;

  for (const [name, sets, wrap] of [
    ['VXLAN', [], {}],
    ['Geneve', ['tunnelProtocol=geneve'], { geneve: true, port: 6081 }],
  ] as const) {
    for (const more of [[], ['bpf.masquerade=true']]) {
      it(`${name}${more.join()}: a service through the overlay and back, seen at the pod and at the device`, async () => {
        const world = makeWorld({
          sets: [...sets, ...more],
          compile: { node: 'n1', topology: readTopology(TOPOLOGY, 'topology.yaml').topology! },
        });
        const { packets, result } = await replayed(
          world,
          [
            [
              { frame: pods(asked), on: 'lxc' },
              { frame: wrapped(pods({ destination: back.source }), wrap), on: 'eth0' },
              { frame: wrapped(pods({ ...back, flags: 'SA' }), { ...wrap, source: N2, destination: N1 }), on: 'eth0' },
              { frame: pods({ ...back, flags: 'SA', source: '10.96.0.1', sourcePort: 80 }), on: 'lxc' },
              { frame: pods({ ...asked, flags: 'A' }), on: 'lxc' },
              { frame: wrapped(pods({ destination: back.source, flags: 'A' }), wrap), on: 'eth0' },
            ],
          ],
          { at: 'any', node: 'n1' },
        );
        assert.deepEqual(
          packets.map(({ verdict, ct }) => `${verdict} ${ct ?? ''}`.trim()),
          ['FORWARDED NEW', 'OBSERVED', 'FORWARDED REPLY', 'OBSERVED', 'FORWARDED ESTABLISHED', 'OBSERVED'],
        );
        assert.equal(packets[0]!.service?.frontend, '10.96.0.1:80');
        assert.equal(result.flows, 1);
      });
    }
  }
});

describe('finding the inner frame', () => {
  const world = makeWorld();
  const overlay = new Overlay(
    new Directory(world.state, new Map(Object.values(world.sim.maps).map((map) => [map.spec.name, map]))),
    FEATURE.TUNNEL,
    8472,
  );
  it('every cut and every byte changed: within the captured bytes, or not at all', () => {
    const bytes = wrapped(pods());
    for (let cut = 0; cut <= bytes.length; cut++) {
      const buffer = new Uint8Array(bytes.length + 20).fill(0xa5);
      buffer.set(bytes.slice(0, cut), 7);
      const found = overlay.unwrap(buffer, 7, cut, bytes.length, 1);
      assert.equal(found, cut >= 14 + 20 + 16, `${cut}`);
      if (!found) continue;
      assert.deepEqual([overlay.offset, overlay.capturedBytes, overlay.wireBytes], [57, cut - 50, bytes.length - 50]);
      assert.equal(overlay.vni, 1000);
    }
    for (let at = 14; at < 50; at++) {
      for (const value of [0, 1, 0x40, 0x7f, 0xff]) {
        const changed = bytes.slice();
        changed[at] = value;
        if (!overlay.unwrap(changed, 0, changed.length, changed.length, 1)) continue;
        assert.ok(overlay.offset >= 50 && overlay.capturedBytes >= 0);
        assert.ok(overlay.offset + overlay.capturedBytes <= changed.length);
        assert.ok(overlay.capturedBytes <= overlay.wireBytes);
      }
    }
  });
});
