// Records, counters, events, traces, probes, and the budget of lookups on each path.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ACTION,
  BOUND,
  CT_KEY,
  CT_STATUS,
  DIRECTION,
  DROP,
  eventKind,
  eventRecord,
  FEATURE,
  HOOK,
  META_FLAG,
  RECORD_FLAG,
  STAGE,
  TRACE,
  TRACE_AT,
  TRACE_MAPS,
  TRACE_WORDS,
  VERDICT,
} from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { addressBytes, type PacketSpec } from '../../support/packets.ts';

const A = '10.0.1.1';
const B = '10.0.2.2';
const VIP = '172.16.0.1';

let w: World;
beforeEach(() => {
  w = new World();
  w.endpoint(A, { policyId: 3, identity: 1001 }).endpoint(B, { identity: 1002 }).backend(5, B, 8080);
  w.policy(3, { egress: [{ identity: 1002, cookie: 44 }], egressCookie: 99 });
});
const request = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: A,
  destination: VIP,
  sourcePort: 1000,
  destinationPort: 80,
  ...more,
});
const send = (more: Partial<PacketSpec> = {}, meta = {}): Result => w.run('FROM_CONTAINER', request(more), meta);
const reply = (): Result =>
  w.run('TO_CONTAINER', {
    protocol: 'tcp',
    source: B,
    destination: A,
    sourcePort: 8080,
    destinationPort: 1000,
    flags: 'SA',
  });

describe('the decision record', () => {
  test('has every field of a forwarded packet', () => {
    const reverseNat = w.service(VIP, 80, { backends: [5] });
    assert.deepEqual(send().record, {
      verdict: VERDICT.FORWARDED,
      dropReason: 0,
      stage: STAGE.FORWARD,
      hook: HOOK.FROM_CONTAINER,
      action: ACTION.LOCAL,
      ctStatus: CT_STATUS.NEW,
      policyMatch: 1,
      unknownReason: 0,
      flags:
        RECORD_FLAG.NEW | RECORD_FLAG.DNAT | RECORD_FLAG.EGRESS | RECORD_FLAG.POLICY_LOOKED_UP | RECORD_FLAG.ENFORCED,
      sourceIdentity: 1001,
      destinationIdentity: 1002,
      cookie: 44,
      backendId: 5,
      reverseNat,
      proxyPort: 0,
      outIfindex: 12,
      endpointId: 1,
      destinationMac: new Uint8Array(6),
      sourceMac: new Uint8Array(6),
      departureSeconds: 0,
      departureNanoseconds: 0,
    });
  });
  test('of the next packet holds nothing of the one before', () => {
    w.service(VIP, 80, { backends: [5] });
    send();
    const { record } = w.runBytes('XDP', new Uint8Array(3));
    assert.deepEqual(
      [record.flags, record.sourceIdentity, record.cookie, record.backendId, record.endpointId, record.outIfindex],
      [0, 0, 0, 0, 0, 0],
    );
    assert.deepEqual([record.ctStatus, record.policyMatch, record.reverseNat], [CT_STATUS.NONE, 0, 0]);
  });
  test('a hook that is not built answers ERROR and leaves the packet to the stack', () => {
    const result = w.run('CONNECT', request());
    assert.deepEqual([result.verdict, result.record.action], [VERDICT.ERROR, ACTION.STACK]);
    assert.deepEqual(w.sim.metrics(), []);
  });
});

describe('counters', () => {
  test('by reason and direction, packets and bytes', () => {
    const { bytes } = send({ destination: B });
    w.run('TO_CONTAINER', { ...request(), destination: B });
    send({ destination: '192.0.2.1' });
    assert.deepEqual(w.sim.metrics(), [
      { reason: 0, direction: DIRECTION.INGRESS, packets: 1n, bytes: BigInt(bytes.length) },
      { reason: 0, direction: DIRECTION.EGRESS, packets: 1n, bytes: BigInt(bytes.length) },
      { reason: DROP.POLICY, direction: DIRECTION.EGRESS, packets: 1n, bytes: BigInt(bytes.length) },
    ]);
  });
  test('carry into the high word', () => {
    const index = DIRECTION.EGRESS;
    w.map('metrics').set({ index }, { packets: 0xffffffffn, bytes: 0xfffffff0n });
    const { bytes } = send({ destination: B });
    const after = w.map('metrics').get({ index })!;
    assert.deepEqual([after.packets, after.bytes], [0x100000000n, 0xfffffff0n + BigInt(bytes.length)]);
  });
});

describe('events', () => {
  const poll = (): ReturnType<typeof eventRecord.decode>[] => {
    const out = new Uint8Array(eventRecord.bytes);
    const events = [];
    while (w.sim.events.poll(out)) events.push(eventRecord.decode(out));
    return events;
  };
  test('none without the feature', () => {
    send();
    assert.deepEqual(poll(), []);
  });
  test('a drop and the verdict behind it, with everything that names the packet', () => {
    w.enable(FEATURE.EVENTS);
    w.now = 5;
    w.packet.nanoseconds = 0;
    const { bytes } = send({ destination: '192.0.2.1' });
    const [drop, verdict, ...more] = poll();
    assert.equal(more.length, 0);
    assert.deepEqual([drop!.type, drop!.subtype], [eventKind.DROP, DROP.POLICY]);
    assert.deepEqual([verdict!.type, verdict!.subtype], [eventKind.VERDICT, 0]);
    assert.equal(drop!.timeLow + drop!.timeHigh * 2 ** 32, 5e9);
    assert.deepEqual([drop!.sourcePort, drop!.destinationPort, drop!.protocol, drop!.family], [1000, 80, 6, 4]);
    assert.deepEqual([...drop!.source.slice(0, 4)], [...addressBytes(A)]);
    assert.deepEqual([...drop!.destination.slice(0, 4)], [192, 0, 2, 1]);
    assert.deepEqual([drop!.sourceIdentity, drop!.cookie, drop!.wireBytes], [1001, 99, bytes.length]);
  });
  test('a packet that changes nothing is not reported', () => {
    w.enable(FEATURE.EVENTS);
    w.identity('192.0.2.1', 1002);
    const kinds = (flags: string): number[] => {
      send({ destination: '192.0.2.1', flags });
      return poll().map((e) => e.type);
    };
    assert.deepEqual(kinds('S'), [eventKind.VERDICT, eventKind.TRACE]);
    assert.deepEqual(kinds('A'), [eventKind.TRACE]);
    assert.deepEqual(kinds('A'), []);
    w.now += 6;
    assert.deepEqual(kinds('A'), [eventKind.TRACE]);
    assert.deepEqual(kinds('FA'), [eventKind.TRACE]);
  });
  test('when nobody reads, the oldest are lost and counted', () => {
    w.enable(FEATURE.EVENTS);
    for (let i = 0; i < 100; i++) send({ destination: '192.0.2.1', sourcePort: 3000 + i });
    assert.equal(w.sim.events.lost, 200 - 64);
    const events = poll();
    assert.equal(events.length, 64);
    assert.equal(events[0]!.sourcePort, 3068);
    assert.equal(events[63]!.sourcePort, 3099);
  });
  test('times beyond 2³² nanoseconds and 2³¹ seconds', () => {
    w.enable(FEATURE.EVENTS);
    for (const seconds of [0, 4, 5, 65535, 65536, 0x7fffffff]) {
      w.now = seconds;
      send({ destination: '192.0.2.1' });
      const [event] = poll();
      const time = BigInt(event!.timeLow) + (BigInt(event!.timeHigh) << 32n);
      assert.equal(time, BigInt(seconds) * 1_000_000_000n, `${seconds}`);
    }
  });
});

describe('tracing', () => {
  const kinds = (): number[] =>
    Array.from({ length: w.sim.trace.count }, (_, i) => w.sim.trace.words[i * TRACE_WORDS]!);
  test('is off at the start and records nothing', () => {
    send();
    assert.equal(w.sim.trace.count, 0);
  });
  test('tells every step with its key and value as stored', () => {
    w.service(VIP, 80, { backends: [5] });
    w.sim.trace.enabled = true;
    send();
    assert.deepEqual(kinds(), [
      TRACE.HOOK,
      TRACE.PARSED,
      TRACE.ENDPOINT,
      TRACE.SERVICE_LOOKUP,
      TRACE.CT_LOOKUP,
      TRACE.CT_LOOKUP,
      TRACE.SERVICE_SLOT,
      TRACE.BACKEND,
      TRACE.CT_CREATE,
      TRACE.DNAT,
      TRACE.CT_LOOKUP,
      TRACE.IPCACHE,
      TRACE.POLICY_META,
      TRACE.POLICY_PROBE,
      TRACE.POLICY_VERDICT,
      TRACE.CT_CREATE,
      TRACE.ENDPOINT,
      TRACE.FORWARD,
    ]);
    const at = kinds().indexOf(TRACE.SERVICE_LOOKUP) * TRACE_WORDS;
    const { words } = w.sim.trace;
    assert.equal(TRACE_MAPS[words[at + TRACE_AT.MAP]!], 'services4');
    assert.equal(words[at + TRACE_AT.RESULT], 1);
    const key = new Int32Array(words.slice(at + TRACE_AT.KEY, at + TRACE_AT.KEY + words[at + TRACE_AT.KEY_WORDS]!));
    const value = new Uint8Array(12);
    assert.ok(w.sim.maps.services4.lookup(new Uint8Array(key.buffer), value), 'the traced key finds the entry again');
    const traced = words.slice(at + TRACE_AT.VALUE, at + TRACE_AT.VALUE + 3);
    assert.deepEqual(new Uint8Array(traced.buffer), value);
  });
  test('gives the same verdicts, records and maps as without', () => {
    const play = (tracing: boolean): string => {
      const world = new World({ tracing });
      world.endpoint(A, { policyId: 3 }).endpoint(B).backend(5, B, 8080);
      world.policy(3, { egress: [{ cookie: 1 }] }).service(VIP, 80, { backends: [5] });
      const records = [
        world.run('FROM_CONTAINER', request()).record,
        world.run(
          'TO_CONTAINER',
          request({ source: B, destination: A, sourcePort: 8080, destinationPort: 1000, flags: 'SA' }),
        ).record,
        world.run('FROM_CONTAINER', request({ flags: 'A' })).record,
        world.run('FROM_CONTAINER', request({ source: '10.1.1.1' })).record,
      ];
      return JSON.stringify(records) + world.snapshot();
    };
    assert.equal(play(true), play(false));
  });
  test('is bounded; what does not fit is counted', () => {
    const rules = [];
    for (const identity of [1002, 11, 0]) {
      for (let prefix = 0; prefix <= 16; prefix++) rules.push({ identity, protocol: 'tcp', port: 80, prefix } as const);
    }
    w.policy(3, { egress: [...rules, {}, { identity: 11 }] }).service(VIP, 80, { backends: [5] });
    w.sim.trace.enabled = true;
    send();
    assert.equal(w.sim.trace.count, BOUND.TRACE_RECORDS);
    assert.ok(w.sim.trace.lost > 0);
    w.runBytes('XDP', new Uint8Array(3));
    assert.ok(w.sim.trace.count < 5 && w.sim.trace.lost === 0, 'the next run begins anew');
  });
});

describe('a probe', () => {
  const scenes: readonly [string, () => void, () => Result][] = [
    ['a new connection', () => {}, () => send({ destination: B }, { flags: META_FLAG.PROBE })],
    [
      'a new connection through a service',
      () => w.service(VIP, 80, { backends: [5] }),
      () => send({}, { flags: META_FLAG.PROBE }),
    ],
    [
      'affinity that expired',
      () => {
        w.service(VIP, 80, { backends: [5], affinitySeconds: 10 });
        send();
        w.now += 70;
      },
      () => send({ sourcePort: 7 }, { flags: META_FLAG.PROBE }),
    ],
    [
      'an answer',
      () => {
        w.service(VIP, 80, { backends: [5] });
        send();
      },
      () =>
        w.run(
          'TO_CONTAINER',
          { protocol: 'tcp', source: B, destination: A, sourcePort: 8080, destinationPort: 1000, flags: 'SA' },
          { flags: META_FLAG.PROBE },
        ),
    ],
    ['a FIN', () => send({ destination: B }), () => send({ destination: B, flags: 'FA' }, { flags: META_FLAG.PROBE })],
    ['a drop', () => {}, () => send({ destination: '192.0.2.1' }, { flags: META_FLAG.PROBE })],
    [
      'an old epoch',
      () => {
        send({ destination: B });
        w.changeEndpoint(A, { epoch: 9 });
      },
      () => send({ destination: B, flags: 'A' }, { flags: META_FLAG.PROBE }),
    ],
    [
      'a first fragment',
      () => {},
      () =>
        send(
          { protocol: 'udp', destination: B, fragment: { id: 4, offset: 0, more: true } },
          { flags: META_FLAG.PROBE },
        ),
    ],
  ];
  for (const [name, prepare, run] of scenes) {
    test(`of ${name} gives the verdict and changes no map`, () => {
      w.enable(FEATURE.EVENTS, FEATURE.CT_ACCOUNTING);
      prepare();
      const out = new Uint8Array(eventRecord.bytes);
      while (w.sim.events.poll(out));
      const before = w.snapshot();
      const probed = run();
      assert.equal(w.snapshot(), before);
      assert.equal(w.sim.events.poll(out), false);
      const again = run();
      assert.deepEqual(again.record, probed.record);
    });
  }
  test('does not set the clock', () => {
    send({ destination: B });
    w.now += 10000;
    send({ destination: B }, { flags: META_FLAG.PROBE });
    w.now -= 10000;
    assert.equal(send({ destination: B }).record.ctStatus, CT_STATUS.ESTABLISHED);
  });
});

describe('budgets', () => {
  const cx = (): World['sim']['context'] => w.sim.context;
  test('a packet of an established connection without a service: two conntrack probes, no policy, no ipcache', () => {
    send({ destination: B });
    send({ destination: B, flags: 'A' });
    assert.equal(cx().probesConntrack, BOUND.CT_PROBES);
    assert.deepEqual([cx().probesPolicy, cx().probesDestinationIdentity, cx().probesService], [0, 0, 1]);
  });
  test('answered: one probe', () => {
    send({ destination: B });
    w.run('TO_CONTAINER', request({ source: B, destination: A, sourcePort: 80, destinationPort: 1000, flags: 'SA' }));
    send({ destination: B, flags: 'A' });
    assert.equal(cx().probesConntrack, 1);
  });
  const most = BOUND.CT_PROBES + BOUND.CT_SERVICE_PROBES;
  test('through a service, at every age of the connection: three at most', () => {
    w.service(VIP, 80, { backends: [5] });
    send();
    assert.equal(cx().probesConntrack, most, 'new: service twice, answered once');
    send();
    assert.equal(cx().probesConntrack, most, 'unanswered: service twice, unanswered once');
    reply();
    assert.ok(cx().probesConntrack <= BOUND.CT_PROBES);
    send({ flags: 'A' });
    assert.equal(cx().probesConntrack, 2, 'answered: service once, answered once');
    w.map('ctTcp4').delete(w.entries('ctTcp4').find(([k]) => (k.flags & 7) < 2)![0]);
    send({ flags: 'A' });
    assert.equal(cx().probesConntrack, most, 'the service entry answered, the connection lost');
  });
  test('a service entry that is unanswered although its connection is answered: one more, once; then it is, too', () => {
    w.service(VIP, 80, { backends: [5] });
    send();
    const unanswered = w.entries('ctTcpNew4').find(([{ flags }]) => (flags & CT_KEY.SERVICE) !== 0)!;
    reply();
    const answered = w.entries('ctTcp4').find(([{ flags }]) => (flags & CT_KEY.SERVICE) !== 0)!;
    w.map('ctTcp4').delete(answered[0]);
    w.map('ctTcpNew4').set(...unanswered);
    assert.equal(send({ flags: 'A' }).record.ctStatus, CT_STATUS.ESTABLISHED);
    assert.equal(cx().probesConntrack, most + BOUND.CT_MISS_PROBES);
    assert.equal(w.entries('ctTcpNew4').length, 0);
    assert.equal(send({ flags: 'A' }).record.ctStatus, CT_STATUS.ESTABLISHED);
    assert.equal(cx().probesConntrack, 2);
  });
  test('a new packet on a node with node ports: three', () => {
    w.enable(FEATURE.NODE_PORT);
    w.run('TO_CONTAINER', request({ source: A, destination: B }));
    assert.equal(cx().probesConntrack, most);
    assert.equal(cx().probesSourceIdentity, BOUND.IPCACHE_PROBES);
  });
});
