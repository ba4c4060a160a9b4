// Hook xdp on random frames and histories: the encapsulated bytes equal an independent encoder's, and the backend of every
// packet equals a naive model of the rules (a map of flows, tables as functions), whatever the order of events.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Meta, Packet } from '../../../src/datapath/index.ts';
import { typedTables } from '../../../src/maps/index.ts';
import { ACTION, BACKEND_STATE, FEATURE, HOOK, MAGLEV_SLOT, SERVICE_FLAG } from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import { encapsulated, spreadSource } from '../../support/ipip-encoder.ts';
import { addressBytes, addressText, frame, type PacketSpec } from '../../support/packets.ts';

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const mac = bytesOf(6);
const macText = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(16).padStart(2, '0')).join(':');

describe('encapsulation', () => {
  const input = fc.record({
    six: fc.boolean(),
    client: bytesOf(16),
    backend: bytesOf(16),
    prefix: bytesOf(16),
    free: fc.nat(32),
    sourcePort: fc.nat(65535),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    trafficClass: fc.nat(255),
    payload: fc.uint8Array({ maxLength: 200 }),
    trailer: fc.uint8Array({ maxLength: 6 }),
    vlan: fc.constantFrom<number[]>([], [7], [7, 8]),
    from: mac,
    to: mac,
    hop: fc.option(fc.record({ destinationMac: mac, sourceMac: mac, ifindex: fc.nat(5) }), { nil: undefined }),
    ifindex: fc.nat(5),
  });
  test('every byte, and the action, as an independent encoder has them', () => {
    fc.assert(
      fc.property(input, (x) => {
        const length = x.six ? 16 : 4;
        const w = new World();
        w.enable(FEATURE.NODE_PORT, FEATURE.DSR_IPIP);
        w.serviceFlags = SERVICE_FLAG.ROUTABLE | SERVICE_FLAG.FORWARD_DSR;
        const cut = (bytes: Uint8Array): Uint8Array => bytes.slice(0, length);
        // The unused low bits of the outer source are the hash’s, whatever the configuration holds there.
        const number = [...cut(x.prefix)].reduce((n, byte) => n * 256 + byte, 0);
        w.configure(
          x.six
            ? { encapSource6: x.prefix, encapPrefix6: 128 - x.free }
            : { encapSource4: number, encapPrefix4: 32 - x.free },
        );
        const vip = x.six ? 'fd10::1' : '172.16.10.1';
        w.backend(1, addressText(cut(x.backend)), 8080);
        w.service(vip, 80, { backends: [1], algorithm: 3, protocol: x.protocol });
        if (x.hop !== undefined) {
          w.map(x.six ? 'nextHops6' : 'nextHops4').set({ id: 1 }, { ...x.hop, mtu: 0, flags: 1 });
        }
        const spec: PacketSpec = {
          protocol: x.protocol,
          source: addressText(cut(x.client)),
          destination: vip,
          sourcePort: x.sourcePort,
          destinationPort: 80,
          payload: x.payload,
          sourceMac: macText(x.from),
          destinationMac: macText(x.to),
          ...(x.vlan.length === 0 ? {} : { vlan: x.vlan }),
        };
        const bytes = Uint8Array.from([...frame(spec), ...x.trailer]);
        const link = 14 + 4 * x.vlan.length;
        if (x.six) {
          bytes[link] = 0x60 | (x.trafficClass >> 4);
          bytes[link + 1] = (x.trafficClass & 15) << 4;
        } else bytes[link + 1] = x.trafficClass;
        const packet = new Packet().set(bytes.slice(), w.now);
        const meta = new Meta();
        meta.ifindex = x.ifindex;
        w.sim.run(HOOK.XDP, packet, meta);
        const expected = encapsulated(bytes, {
          source: spreadSource(
            cut(x.prefix),
            8 * length - x.free,
            cut(x.client),
            Uint8Array.of(x.sourcePort >> 8, x.sourcePort & 255, 0, 80),
          ),
          destination: cut(x.backend),
          destinationMac: x.hop?.destinationMac ?? x.from,
          sourceMac: x.hop?.sourceMac ?? x.to,
          linkBytes: link,
        });
        assert.deepEqual(packet.bytes.slice(packet.offset, packet.capturedEnd), expected);
        const { action, outIfindex } = w.sim.decision();
        const out = x.hop?.ifindex ?? 0;
        const back = out === 0 || x.ifindex === 0 || out === x.ifindex;
        assert.deepEqual([action, outIfindex], [back ? ACTION.TX : ACTION.REDIRECT, out]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('which backend', () => {
  const LIFETIME = 20;
  const event = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        kind: fc.constant('packet' as const),
        port: fc.integer({ min: 1, max: 6 }),
        opens: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('state' as const),
        id: fc.integer({ min: 1, max: 4 }),
        state: fc.integer({ min: 0, max: 4 }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('move' as const),
        to: fc.integer({ min: 1, max: 4 }),
        keep: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('untable' as const) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('count' as const), count: fc.constantFrom(0, 4) }) },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: LIFETIME }) }),
    },
  );

  test('a history of packets and changes of the table is decided as a naive model says', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(event, { maxLength: 60 }), (six, events) => {
        const w = new World();
        w.enable(FEATURE.NODE_PORT, FEATURE.DSR_IPIP).configure({ flowLifetime: LIFETIME });
        w.serviceFlags = SERVICE_FLAG.ROUTABLE | SERVICE_FLAG.FORWARD_DSR;
        const [vip, client] = six ? ['fd10::1', 'fd20::2'] : ['172.16.10.1', '110.0.11.1'];
        const address = (id: number): string => (six ? `fd0${id}::1` : `10.${id}.0.1`);
        const states = new Map([1, 2, 3, 4].map((id) => [id, 1]));
        for (const id of states.keys()) w.backend(id, address(id), 80);
        // The model: what a slot says, the table before, who is remembered since when.
        let slot: { readonly id: number; readonly moving: boolean } | undefined = { id: 1, moving: false };
        let previous: number | undefined;
        let count = 4;
        const remembered = new Map<number, { id: number; seen: number }>();
        const fill = (name: 'maglev' | 'maglevPrevious', word: number | undefined): void => {
          const map = w.sim.maps[`${name}${six ? 6 : 4}`];
          if (word === undefined) {
            map.delete(new Uint8Array(Uint32Array.of(7).buffer));
            return;
          }
          const words = new Uint32Array(map.spec.innerEntries!).fill(word);
          typedTables(map.spec, map).set({ reverseNat: 7 } as never, words);
        };
        const publish = (): void => {
          w.service(vip, 80, { backends: [1, 2, 3, 4].slice(0, count), algorithm: 2, reverseNat: 7 });
          // Without a table every flow hashes to slot 1..4: one backend in all of them keeps the model naive.
          const rest = { port: 80, protocol: 6, scope: 0 };
          const bytes = addressBytes(vip);
          const key = six ? bytes : bytes.reduce((n, byte) => n * 256 + byte, 0);
          for (let n = 1; n <= 4; n++)
            (w.map(six ? 'services6' : 'services4') as { set(k: object, v: object): void }).set(
              { address: key, slot: n, ...rest },
              { target: 3, count: 0, reverseNat: 7, flags: 0, drainCount: 0 },
            );
          fill('maglev', slot === undefined ? undefined : slot.id + (slot.moving ? MAGLEV_SLOT.MOVING : 0));
          fill('maglevPrevious', previous);
        };
        publish();
        for (const e of events) {
          if (e.kind === 'wait') w.now += e.seconds;
          else if (e.kind === 'state') {
            states.set(e.id, e.state);
            w.backend(e.id, address(e.id), 80, e.state);
          } else if (e.kind === 'count') count = e.count;
          else if (e.kind === 'move') {
            previous = e.keep ? slot?.id : undefined;
            slot = { id: e.to, moving: true };
          } else if (e.kind === 'settle') {
            if (slot !== undefined) slot = { id: slot.id, moving: false };
            previous = undefined;
          } else if (e.kind === 'untable') slot = undefined;
          if (e.kind !== 'packet') {
            publish();
            continue;
          }
          const serves = (id: number): boolean =>
            states.get(id) === BACKEND_STATE.ACTIVE || (states.get(id) === BACKEND_STATE.TERMINATING && !e.opens);
          const fresh = count === 0 ? 0 : (slot?.id ?? 3);
          let expected = serves(fresh) ? fresh : 0;
          if (slot?.moving !== false) {
            const flow = remembered.get(e.port);
            if (flow !== undefined && flow.seen + LIFETIME > w.now && serves(flow.id)) expected = flow.id;
            else if (slot !== undefined && !e.opens && previous !== undefined && serves(previous)) expected = previous;
            if (expected !== 0) remembered.set(e.port, { id: expected, seen: w.now });
          }
          const bytes = frame({
            protocol: 'tcp',
            source: client,
            destination: vip,
            sourcePort: e.port,
            destinationPort: 80,
            flags: e.opens ? 'S' : 'A',
          });
          w.sim.run(HOOK.XDP, new Packet().set(bytes, w.now), new Meta());
          const { backendId, action } = w.sim.decision();
          assert.deepEqual([backendId, action], [expected, expected === 0 ? ACTION.DROP : ACTION.TX]);
        }
        const flows = [...w.map(six ? 'flows6' : 'flows4')] as [
          { sourcePort: number },
          { backendId: number; lastSeen: number },
        ][];
        assert.deepEqual(
          new Map(flows.map(([key, value]) => [key.sourcePort, { id: value.backendId, seen: value.lastSeen }])),
          new Map([...remembered].map(([port, { id, seen }]) => [port, { id, seen }])),
        );
      }),
      { numRuns: 150 },
    );
  });
});
