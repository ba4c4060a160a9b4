// Hook xdp: what goes to the stack, what is encapsulated, which backend a flow gets while a Maglev table changes.
// Encapsulated bytes are compared with an encoder that shares no code with the datapath.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { traceSentence } from '../../../src/flow/trace-text.ts';
import { type Meta, Packet, Meta as MetaOf } from '../../../src/datapath/index.ts';
import { typedTables } from '../../../src/maps/index.ts';
import {
  ACTION,
  BACKEND_STATE,
  CT_STATUS,
  DROP,
  eventRecord,
  FEATURE,
  HOOK,
  MAGLEV_SLOT,
  RECORD_FLAG,
  SERVICE_FLAG,
  STAGE,
  TRACE_WORDS,
  VERDICT,
} from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import { encapsulated, spreadSource } from '../../support/ipip-encoder.ts';
import { addressBytes, frame, type PacketSpec } from '../../support/packets.ts';

const { ACTIVE, TERMINATING, QUARANTINED, MAINTENANCE } = BACKEND_STATE;
const { EXT_LOCAL, L7LB, FORWARD_DSR } = SERVICE_FLAG;
const ROUTABLE = SERVICE_FLAG.ROUTABLE | FORWARD_DSR;
const CLIENT = { 4: '110.0.11.1', 6: '2001:db8::11' } as const;
const VIP = { 4: '172.16.10.1', 6: 'fd10::1' } as const;
const BACKEND = { 4: ['10.1.0.1', '10.2.0.2', '10.3.0.3'], 6: ['fd01::1', 'fd02::2', 'fd03::3'] } as const;
const ROUTER = Uint8Array.of(2, 0, 0, 0, 0, 0x11);
const SELF = Uint8Array.of(2, 0, 0, 0, 0, 0x22);
const FAMILIES = [4, 6] as const;
type Family = 4 | 6;

interface Out {
  readonly verdict: number;
  readonly bytes: Uint8Array;
  readonly record: ReturnType<World['sim']['decision']>;
}

let w: World;
beforeEach(() => {
  w = new World({ specs: { events: { maxEntries: 8 } } });
  w.enable(FEATURE.NODE_PORT, FEATURE.DSR_IPIP);
  w.serviceFlags = ROUTABLE;
  for (const family of FAMILIES) BACKEND[family].forEach((address, i) => w.backend(i + 1, address, 8080));
});

const request = (family: Family, more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: CLIENT[family],
  destination: VIP[family],
  sourcePort: 1111,
  destinationPort: 80,
  flags: 'A',
  ...more,
});

function runBytes(bytes: Uint8Array, meta: Partial<Meta> = {}): Out {
  const packet = new Packet().set(bytes.slice(), w.now);
  const verdict = w.sim.run(HOOK.XDP, packet, Object.assign(new MetaOf(), meta));
  return { verdict, bytes: packet.bytes.slice(packet.offset, packet.capturedEnd), record: w.sim.decision() };
}
const run = (spec: PacketSpec, meta: Partial<Meta> = {}): Out =>
  runBytes(frame({ sourceMac: '02:00:00:00:00:11', destinationMac: '02:00:00:00:00:22', ...spec }), meta);

/** A frontend with a Maglev table whose every slot holds `slot`, and the table before it. */
function table(family: Family, slot: number, previous?: number, count = 3): void {
  const reverseNat = w.service(VIP[family], 80, { backends: [1, 2, 3].slice(0, count), algorithm: 2, reverseNat: 7 });
  fill(family, 'maglev', reverseNat, slot);
  if (previous !== undefined) fill(family, 'maglevPrevious', reverseNat, previous);
}
function fill(family: Family, name: 'maglev' | 'maglevPrevious', reverseNat: number, slot: number): void {
  const map = w.sim.maps[`${name}${family}`];
  const words = new Uint32Array(map.spec.innerEntries!).fill(slot);
  typedTables(map.spec, map).set({ reverseNat } as never, words);
}
const moving = (id: number): number => MAGLEV_SLOT.MOVING + id;
const flows = (family: Family): [unknown, { backendId: number; lastSeen: number }][] =>
  [...w.map(`flows${family}`)] as never;
const chosen = (out: Out): number => {
  assert.equal(out.record.action, ACTION.TX);
  return out.record.backendId;
};

describe('what goes to the stack, untouched', () => {
  const passes = (out: Out, bytes: Uint8Array, stage: number = STAGE.FORWARD): void => {
    assert.deepEqual([out.verdict, out.record.action, out.record.stage], [VERDICT.FORWARDED, ACTION.STACK, stage]);
    assert.deepEqual(out.bytes, bytes);
    assert.equal(out.record.ctStatus, CT_STATUS.NONE);
    for (const name of ['ctTcp4', 'ctTcpNew4', 'ctAnyNew4', 'flows4', 'affinity4'] as const)
      assert.equal(w.sim.maps[name].size, 0);
  };
  const both = (spec: PacketSpec, stage?: number, meta: Partial<Meta> = {}): void => {
    const bytes = frame(spec);
    passes(runBytes(bytes, meta), bytes, stage);
  };
  test('no service, ICMP, a protocol that is not balanced', () => {
    table(4, 1);
    both(request(4, { destination: '203.0.113.9' }));
    both({ protocol: 'icmp', source: CLIENT[4], destination: VIP[4], type: 8, id: 5 });
    both({ protocol: 47, source: CLIENT[4], destination: VIP[4] }, STAGE.PARSE);
  });
  test('node ports off, service lookup done elsewhere', () => {
    table(4, 1);
    both(request(4), STAGE.FORWARD, { flags: 4 });
    w.disable(FEATURE.NODE_PORT);
    both(request(4));
  });
  test('DSR off: the drops of a frontend are made, nothing else', () => {
    w.disable(FEATURE.DSR_IPIP);
    table(4, 1);
    both(request(4));
    assert.equal(w.sim.decision().backendId, 0);
    w.service(VIP[4], 80, { flags: 0, reverseNat: 7 });
    assert.equal(run(request(4)).record.dropReason, DROP.IS_CLUSTER_IP);
  });
  test('externalTrafficPolicy Local, and a frontend of a proxy', () => {
    for (const flag of [EXT_LOCAL, L7LB]) {
      w.service(VIP[4], 80, { backends: [1], flags: ROUTABLE | flag, reverseNat: 7 });
      both(request(4), STAGE.SERVICE);
    }
  });
  test('a fragment without ports where fragments are not tracked', () => {
    table(4, 1);
    w.disable(FEATURE.FRAGMENTS_V4);
    both(request(4, { fragment: { id: 3, offset: 64, more: false }, payload: new Uint8Array(16) }));
  });
  test('a backend of this node, or of any node where one dataplane stands for all; others are sent', () => {
    table(4, 1);
    const backend = w.map('backends4').get({ id: 1 })!;
    const at = (nodeId: number, own: number): number => {
      w.map('backends4').set({ id: 1 }, { ...backend, nodeId });
      w.configure({ nodeId: own });
      return run(request(4)).record.action;
    };
    assert.equal(at(1, 1), ACTION.STACK);
    assert.equal(at(2, 1), ACTION.TX);
    assert.equal(at(2, 0), ACTION.TX, 'no endpoint of the cluster: a server elsewhere');
    assert.equal(at(0, 0), ACTION.TX);
    assert.equal(at(0, 1), ACTION.TX);
    w.endpoint(BACKEND[4][0]!);
    assert.equal(at(2, 0), ACTION.STACK);
    assert.equal(at(0, 0), ACTION.STACK);
    assert.equal(at(2, 1), ACTION.TX);
    w.map('backends4').set({ id: 1 }, { ...backend, nodeId: 1 });
    w.configure({ nodeId: 1 });
    both(request(4));
    assert.equal(w.sim.decision().backendId, 1, 'the record tells who was chosen');
  });
});

describe('drops', () => {
  test('wildcard 158, source ranges 177, not routable 174, nothing behind it 158', () => {
    w.wildcard(VIP[4]);
    assert.equal(run(request(4)).record.dropReason, DROP.NO_SERVICE);
    w.service(VIP[4], 80, { backends: [1], flags: ROUTABLE | SERVICE_FLAG.SOURCE_RANGE, reverseNat: 7 });
    assert.equal(run(request(4)).record.dropReason, DROP.NOT_IN_SOURCE_RANGE);
    w.service(VIP[4], 80, { backends: [1], flags: 0, reverseNat: 7 });
    assert.equal(run(request(4)).record.dropReason, DROP.IS_CLUSTER_IP);
    w.service(VIP[4], 80, { reverseNat: 7 });
    assert.equal(run(request(4)).record.dropReason, DROP.NO_SERVICE);
    w.disable(FEATURE.NO_BACKEND_DROP);
    assert.equal(run(request(4)).record.action, ACTION.STACK);
  });
  test('over the MTU of a known next hop: 136, unchanged; at the MTU it goes', () => {
    table(4, 1);
    const bytes = frame(request(4, { payload: new Uint8Array(100) }));
    const outer = bytes.length - 14 + 20;
    const hop = { ifindex: 3, flags: 1, destinationMac: SELF, sourceMac: ROUTER };
    w.map('nextHops4').set({ id: 1 }, { ...hop, mtu: outer - 1 });
    const out = runBytes(bytes);
    assert.deepEqual([out.record.dropReason, out.record.stage], [DROP.FRAG_NEEDED, STAGE.FORWARD]);
    assert.deepEqual(out.bytes, bytes);
    assert.equal(out.record.outIfindex, 0);
    w.map('nextHops4').set({ id: 1 }, { ...hop, mtu: outer });
    assert.equal(runBytes(bytes).verdict, VERDICT.FORWARDED);
    // Nobody vouches for the MTU of a next hop that is not known.
    w.map('nextHops4').set({ id: 1 }, { ...hop, mtu: 1, flags: 0 });
    assert.equal(runBytes(bytes).verdict, VERDICT.FORWARDED);
  });
});

describe('encapsulation', () => {
  const ports = Uint8Array.of(1111 >> 8, 1111 & 255, 0, 80);
  for (const family of FAMILIES) {
    const own = family === 4 ? addressBytes('192.168.0.0') : addressBytes('fd00:ffff:0:0:0:0:0:0');
    const outerOf = (kept: number, linkBytes: number, macs: readonly [Uint8Array, Uint8Array]) => ({
      source: spreadSource(own, kept, addressBytes(CLIENT[family]), ports),
      destination: addressBytes(BACKEND[family][1]),
      destinationMac: macs[0],
      sourceMac: macs[1],
      linkBytes,
    });
    for (const kept of family === 4 ? [32, 31, 24, 8, 1] : [128, 127, 112, 97, 96]) {
      test(`IPv${family}, ${kept} bits kept: back to the router, byte by byte`, () => {
        table(family, 2);
        w.configure(
          family === 4 ? { encapSource4: 0xc0a80000, encapPrefix4: kept } : { encapSource6: own, encapPrefix6: kept },
        );
        const spec = request(family, { payload: Uint8Array.of(1, 2, 3) });
        const bytes = frame({ sourceMac: '02:00:00:00:00:11', destinationMac: '02:00:00:00:00:22', ...spec });
        const out = runBytes(bytes, { ifindex: 9 });
        assert.deepEqual(out.bytes, encapsulated(bytes, outerOf(kept, 14, [ROUTER, SELF])));
        assert.deepEqual([out.verdict, out.record.action, out.record.outIfindex], [VERDICT.FORWARDED, ACTION.TX, 0]);
        assert.deepEqual([...out.record.destinationMac, ...out.record.sourceMac], [...ROUTER, ...SELF]);
        const flags = RECORD_FLAG.ENCAPSULATED | (family === 6 ? RECORD_FLAG.IPV6 : 0);
        assert.deepEqual([out.record.flags, out.record.backendId, out.record.reverseNat], [flags, 2, 7]);
        assert.equal(out.record.stage, STAGE.FORWARD);
      });
    }
    test(`IPv${family}: a known next hop gives MACs and interface`, () => {
      table(family, 2);
      w.configure(family === 4 ? { encapSource4: 0xc0a80000 } : { encapSource6: own });
      const destinationMac = Uint8Array.of(6, 5, 4, 3, 2, 1);
      const sourceMac = Uint8Array.of(16, 15, 14, 13, 12, 11);
      w.map(`nextHops${family}`).set({ id: 2 }, { ifindex: 5, mtu: 0, flags: 1, destinationMac, sourceMac });
      const bytes = frame(request(family));
      for (const [ifindex, action] of [
        [0, ACTION.TX],
        [5, ACTION.TX],
        [6, ACTION.REDIRECT],
      ] as const) {
        const out = runBytes(bytes, { ifindex });
        const kept = family === 4 ? w.config.encapPrefix4 : w.config.encapPrefix6;
        assert.deepEqual(out.bytes, encapsulated(bytes, outerOf(kept, 14, [destinationMac, sourceMac])));
        assert.deepEqual([out.record.action, out.record.outIfindex], [action, 5]);
        assert.deepEqual([...out.record.destinationMac, ...out.record.sourceMac], [...destinationMac, ...sourceMac]);
      }
    });
    for (const vlan of [[5], [5, 6]]) {
      test(`IPv${family}: ${vlan.length} tags stay in front`, () => {
        table(family, 2);
        w.configure(family === 4 ? { encapSource4: 0xc0a80000 } : { encapSource6: own });
        const bytes = frame({
          sourceMac: '02:00:00:00:00:11',
          destinationMac: '02:00:00:00:00:22',
          ...request(family, { vlan }),
        });
        const kept = family === 4 ? w.config.encapPrefix4 : w.config.encapPrefix6;
        const outer = outerOf(kept, 14 + 4 * vlan.length, [ROUTER, SELF]);
        assert.deepEqual(runBytes(bytes).bytes, encapsulated(bytes, outer));
      });
    }
  }
  test('traffic class and trailing bytes of the frame are kept, the caller’s buffer is not written', () => {
    table(4, 2);
    const bytes = Uint8Array.from([...frame(request(4)), 0xaa, 0xbb]);
    bytes[15] = 0xb9;
    const packet = new Packet().set(bytes, w.now);
    const before = bytes.slice();
    w.sim.run(HOOK.XDP, packet, new MetaOf());
    assert.deepEqual(bytes, before);
    assert.notEqual(packet.bytes, bytes);
    assert.equal(packet.bytes[15], 0xb9);
    assert.deepEqual([packet.offset, packet.capturedEnd, packet.wireEnd], [0, bytes.length + 20, bytes.length + 20]);
    assert.deepEqual(packet.bytes.slice(34, packet.capturedEnd), bytes.slice(14));
  });
  test('a frame inside a larger buffer, cut by a snap length', () => {
    table(4, 2);
    const bytes = frame(request(4, { payload: new Uint8Array(50).fill(7) }));
    const buffer = Uint8Array.from([9, 9, 9, ...bytes.slice(0, 70), 8, 8]);
    const packet = new Packet().view(buffer, 3, 73, 3 + bytes.length, 1, w.now, 0);
    assert.equal(w.sim.run(HOOK.XDP, packet, new MetaOf()), VERDICT.FORWARDED);
    assert.deepEqual([packet.offset, packet.capturedEnd, packet.wireEnd], [0, 90, bytes.length + 20]);
    assert.deepEqual(packet.bytes.slice(34, 90), bytes.slice(14, 70));
  });
  test('without a link layer nothing of MACs is written or told', () => {
    table(4, 2);
    const bytes = frame(request(4)).slice(14);
    const packet = new Packet().view(bytes, 0, bytes.length, bytes.length, 101, w.now, 0);
    assert.equal(w.sim.run(HOOK.XDP, packet, new MetaOf()), VERDICT.FORWARDED);
    assert.deepEqual([packet.bytes[0], packet.bytes[9], packet.capturedEnd], [0x45, 4, bytes.length + 20]);
    assert.deepEqual([...w.sim.decision().destinationMac], [0, 0, 0, 0, 0, 0]);
  });
  test('later fragments go where the first one went', () => {
    table(4, 2);
    const first = run(request(4, { fragment: { id: 3, offset: 0, more: true }, payload: new Uint8Array(64) }));
    const later = run(request(4, { fragment: { id: 3, offset: 64, more: false }, payload: new Uint8Array(16) }));
    assert.deepEqual([first.record.backendId, later.record.backendId], [2, 2]);
    assert.deepEqual(later.bytes.slice(26, 34), first.bytes.slice(26, 34), 'and from the same source');
  });
});

for (const family of FAMILIES) {
  describe(`IPv${family}: which backend`, () => {
    test('a settled slot: no state is read or written, opening or not', () => {
      table(family, 2, 3);
      w.map(`flows${family}`).set(flowKey(family), { backendId: 1, lastSeen: w.now });
      for (const flags of ['S', 'A', 'SA', 'F']) assert.equal(chosen(run(request(family, { flags }))), 2);
      assert.deepEqual(
        flows(family).map(([, value]) => value),
        [{ backendId: 1, lastSeen: w.now }],
      );
      const { probesService, probesBackend, probesFlow, probesConntrack, probesRoute } = w.sim.context;
      assert.deepEqual([probesService, probesBackend, probesFlow, probesConntrack, probesRoute], [1, 1, 0, 0, 1]);
    });
    test('a slot on the move: a SYN goes to its new backend and stays there', () => {
      table(family, moving(2), 3);
      assert.equal(chosen(run(request(family, { flags: 'S' }))), 2);
      assert.deepEqual(flows(family), [[flowKey(family), { backendId: 2, lastSeen: w.now }]]);
      assert.equal(chosen(run(request(family))), 2);
      // The table settles elsewhere: the slot alone decides again.
      table(family, 1);
      assert.equal(chosen(run(request(family))), 1);
    });
    test('a slot on the move: an older flow stays with the backend of the table before, and goes on to do so', () => {
      table(family, moving(2), 3);
      assert.equal(chosen(run(request(family))), 3);
      assert.deepEqual(flows(family), [[flowKey(family), { backendId: 3, lastSeen: w.now }]]);
      w.sim.maps[`maglevPrevious${family}`].delete(new Uint8Array(Uint32Array.of(7).buffer));
      assert.equal(chosen(run(request(family))), 3);
      assert.equal(chosen(run(request(family, { flags: 'S' }))), 3, 'even when its client opens again');
      assert.equal(w.sim.context.probesFlow, 1);
      assert.equal(chosen(run(request(family, { sourcePort: 1112 }))), 2, 'another flow finds no table before');
    });
    test('a SYN with ACK opens nothing; UDP never opens', () => {
      table(family, moving(2), 3);
      assert.equal(chosen(run(request(family, { flags: 'SA' }))), 3);
      w.service(VIP[family], 80, { backends: [1, 2, 3], algorithm: 2, reverseNat: 7, protocol: 'udp' });
      assert.equal(chosen(run(request(family, { protocol: 'udp' }))), 3);
    });
    test('the flow’s last second is refreshed, at most once a second, and a flow past its lifetime is none', () => {
      table(family, moving(2), 3);
      run(request(family));
      const seen = (): number => flows(family)[0]![1].lastSeen;
      const first = seen();
      w.now += w.config.flowLifetime - 1;
      fill(family, 'maglevPrevious', 7, 1);
      assert.equal(chosen(run(request(family))), 3);
      assert.equal(seen(), first + w.config.flowLifetime - 1);
      w.now += w.config.flowLifetime;
      assert.equal(chosen(run(request(family))), 1, 'now asked anew, of the table before');
      assert.equal(seen(), w.now);
    });
    test('a draining backend keeps what does not open; a SYN goes elsewhere', () => {
      const state = (id: number, value: number): unknown => w.backend(id, BACKEND[family][id - 1]!, 8080, value);
      table(family, 2);
      state(2, TERMINATING);
      assert.equal(chosen(run(request(family))), 2);
      assert.equal(run(request(family, { flags: 'S' })).record.dropReason, DROP.NO_SERVICE);
      for (const gone of [QUARANTINED, MAINTENANCE, 0]) {
        state(2, gone);
        assert.equal(run(request(family)).record.dropReason, DROP.NO_SERVICE);
      }
      // On the move: a draining remembered backend keeps its flow, but not the next SYN.
      table(family, moving(1), 2);
      state(2, ACTIVE);
      assert.equal(chosen(run(request(family))), 2);
      state(2, TERMINATING);
      assert.equal(chosen(run(request(family))), 2);
      assert.equal(chosen(run(request(family, { flags: 'S' }))), 1);
      assert.equal(flows(family)[0]![1].backendId, 1);
      // The table before names one that is gone: the slot's new backend.
      state(2, 0);
      assert.equal(chosen(run(request(family, { sourcePort: 9 }))), 1);
      state(1, QUARANTINED);
      assert.equal(run(request(family, { sourcePort: 10 })).record.dropReason, DROP.NO_SERVICE);
      assert.equal(flows(family).length, 2, 'what cannot be served is not remembered');
    });
    test('no backend left to choose: only what is remembered goes on', () => {
      table(family, moving(2));
      assert.equal(chosen(run(request(family))), 2);
      table(family, moving(2), undefined, 0);
      assert.equal(chosen(run(request(family))), 2);
      assert.equal(run(request(family, { sourcePort: 5 })).record.dropReason, DROP.NO_SERVICE);
      table(family, 2, undefined, 0);
      assert.equal(run(request(family)).record.dropReason, DROP.NO_SERVICE);
    });
    test('without a table: by chance or the first slot, remembered, whatever opens', () => {
      w.service(VIP[family], 80, { backends: [3, 1, 2], algorithm: 3, reverseNat: 7 });
      assert.equal(chosen(run(request(family))), 3);
      w.service(VIP[family], 80, { backends: [1, 2], algorithm: 1, reverseNat: 7 });
      assert.equal(chosen(run(request(family))), 3, 'remembered');
      const first = chosen(run(request(family, { sourcePort: 7, flags: 'S' })));
      for (let i = 0; i < 3; i++) assert.equal(chosen(run(request(family, { sourcePort: 7 }))), first);
      const all = new Set(Array.from({ length: 40 }, (_, i) => chosen(run(request(family, { sourcePort: 100 + i })))));
      assert.deepEqual([...all].sort(), [1, 2]);
      // Maglev for which control has written no table counts as chance, too.
      w.service(VIP[family], 80, { backends: [2], algorithm: 2, reverseNat: 8 });
      assert.equal(chosen(run(request(family, { sourcePort: 999 }))), 2);
    });
    test('with affinity the client’s backend is the memory', () => {
      const reverseNat = w.service(VIP[family], 80, {
        backends: [1, 2, 3],
        algorithm: 2,
        affinitySeconds: 10,
        reverseNat: 7,
      });
      fill(family, 'maglev', reverseNat, 2);
      assert.equal(chosen(run(request(family, { flags: 'S' }))), 2);
      fill(family, 'maglev', reverseNat, moving(3));
      w.now += 9;
      assert.equal(chosen(run(request(family, { sourcePort: 5, flags: 'S' }))), 2);
      assert.equal(w.sim.maps[`affinity${family}`].size, 1);
      assert.equal(w.sim.maps[`flows${family}`].size, 0);
      w.backend(2, BACKEND[family][1], 8080, TERMINATING);
      assert.equal(chosen(run(request(family))), 2);
      assert.equal(chosen(run(request(family, { flags: 'S' }))), 3, 'a draining one takes no new connection');
      assert.equal(chosen(run(request(family))), 3);
      w.now += 10;
      fill(family, 'maglev', reverseNat, 1);
      assert.equal(chosen(run(request(family))), 1, 'the timeout is over');
    });
    test('a probe says the same and leaves no trace', () => {
      table(family, moving(2), 3);
      const before = w.snapshot();
      assert.equal(chosen(run(request(family), { flags: 2 })), 3);
      assert.equal(w.snapshot(), before);
      run(request(family));
      const kept = w.snapshot();
      w.now += 5;
      assert.equal(chosen(run(request(family, { flags: 'S' }), { flags: 2 })), 3);
      assert.equal(w.snapshot(), kept);
    });
  });
}

function flowKey(family: Family) {
  const rest = { sourcePort: 1111, destinationPort: 80, protocol: 6 };
  const number = (text: string): number => addressBytes(text).reduce((n, byte) => n * 256 + byte, 0);
  return (
    family === 4
      ? { source: number(CLIENT[4]), destination: number(VIP[4]), ...rest }
      : { source: addressBytes(CLIENT[6]), destination: addressBytes(VIP[6]), ...rest }
  ) as never;
}

describe('what is told', () => {
  test('events: a first packet and every drop; what merely passes is for the device’s hook to tell', () => {
    w.enable(FEATURE.EVENTS);
    const out = new Uint8Array(eventRecord.bytes);
    const events = (): (readonly [number, number])[] => {
      const all: (readonly [number, number])[] = [];
      while (w.sim.events.poll(out)) all.push([out[0]!, out[1]!]);
      return all;
    };
    table(4, 2);
    run(request(4));
    run(request(4, { destination: '203.0.113.1' }));
    assert.deepEqual(events(), []);
    run(request(4, { flags: 'S' }));
    assert.deepEqual(events(), [[4, 11]]);
    table(4, moving(2));
    run(request(4));
    run(request(4));
    assert.deepEqual(events(), [[4, 11]]);
    w.wildcard(VIP[4]);
    run(request(4, { destinationPort: 81 }));
    assert.deepEqual(events(), [[1, DROP.NO_SERVICE]]);
  });
  test('the trace says which tables were asked, and what became of the packet', () => {
    const sentences = (): string[] => {
      const { count, words } = w.sim.trace;
      const names = {
        address: (raw: readonly number[]) => raw.map((word) => (word >>> 0).toString(16)).join('.'),
        identity: () => undefined,
        rules: () => [],
      };
      return Array.from({ length: count }, (_, i) => traceSentence(words, i * TRACE_WORDS, names).text);
    };
    w.sim.trace.enabled = true;
    table(4, moving(2), 3);
    run(request(4));
    const first = sentences().join('\n');
    for (const part of [
      'holds backend 2; it has changed, and older flows are still on the move',
      'the flow is not remembered in weir_flows4',
      'of the earlier Maglev table holds backend 3',
      'the flow’s backend 3 is remembered in weir_flows4',
      'no next hop is known for backend 3: back to the router that sent the packet',
      'encapsulated: an IPIP packet of 80 bytes',
      'sent back out of its interface',
    ])
      assert.ok(first.includes(part), `${part} in\n${first}`);
    run(request(4));
    assert.ok(sentences().includes('the flow keeps backend 3'));
    w.now += w.config.flowLifetime;
    w.map('nextHops4').set({ id: 3 }, { ifindex: 4, mtu: 0, flags: 1, destinationMac: SELF, sourceMac: ROUTER });
    run(request(4), { ifindex: 1 });
    const third = sentences();
    assert.ok(third.some((text) => text.endsWith('in weir_flows4 does not count any more')));
    assert.ok(third.includes('the next hop of backend 3 is known'));
    assert.ok(
      third.some((text) => text.startsWith('encapsulated') && text.endsWith('redirected to another interface')),
    );
  });
});
