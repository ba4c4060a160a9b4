// Neighbours' questions for announced addresses, and what must not be answered. Input: ARP and NDP frames byte by byte.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { Packet } from '../../../src/datapath/index.ts';
import {
  ACTION,
  CT_STATUS,
  FEATURE,
  HOOK,
  RECORD_FLAG,
  STAGE,
  TRACE,
  TRACE_AT,
  TRACE_WORDS,
  UNKNOWN_REASON,
  VERDICT,
} from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { addressBytes, frame, internetChecksum } from '../../support/packets.ts';

const OWN = Uint8Array.of(2, 9, 9, 9, 9, 9);
const ASKER = [2, 1, 1, 1, 1, 1];
const EVERYBODY = [255, 255, 255, 255, 255, 255];
const VIP = '203.0.113.20';
const VIP6 = '2001:db8::20';
const CLIENT = '203.0.113.7';
const CLIENT6 = '2001:db8::7';
const IFINDEX = 3;

let w: World;
beforeEach(() => {
  w = new World();
  w.enable(FEATURE.L2_RESPONDER).announce(VIP, IFINDEX, OWN).announce(VIP6, IFINDEX, OWN);
});

interface Question {
  readonly to?: readonly number[];
  readonly from?: readonly number[];
  readonly sender?: string;
  readonly target?: string;
  readonly change?: (bytes: Uint8Array) => Uint8Array | undefined;
  readonly ifindex?: number;
}

function ask({ to = EVERYBODY, from = ASKER, sender = CLIENT, target = VIP, change, ifindex }: Question = {}): Result {
  const bytes = Uint8Array.of(
    ...[...to, ...from, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, ...from],
    ...[...addressBytes(sender), 0, 0, 0, 0, 0, 0, ...addressBytes(target), ...new Uint8Array(18)],
  );
  const asked = change?.(bytes) ?? bytes;
  return w.runBytes('FROM_NETDEV', asked, { ifindex: ifindex ?? IFINDEX });
}

/** The last 3 bytes of an address in their solicited-node group. */
const groupOf = (address: string): string => {
  const [a, b, c] = addressBytes(address).subarray(13);
  return `ff02::1:ff${a!.toString(16).padStart(2, '0')}:${((b! << 8) | c!).toString(16)}`;
};

interface Solicitation {
  readonly source?: string;
  readonly destination?: string;
  readonly target?: string;
  readonly ttl?: number;
  readonly code?: number;
  readonly bytes?: number;
  readonly option?: readonly number[];
  readonly change?: (bytes: Uint8Array) => Uint8Array | undefined;
}

function solicit(s: Solicitation = {}): Result {
  const target = s.target ?? VIP6;
  const payload = Uint8Array.of(...addressBytes(target), ...(s.option ?? [1, 1, ...ASKER]));
  const bytes = frame({
    protocol: 'icmpv6',
    source: s.source ?? CLIENT6,
    destination: s.destination ?? groupOf(target),
    type: 135,
    code: s.code ?? 0,
    ttl: s.ttl ?? 255,
    payload: payload.subarray(0, s.bytes ?? payload.length),
  });
  bytes.set([0x33, 0x33, 0xff, 0, 0, 0x20, ...ASKER]);
  return w.runBytes('FROM_NETDEV', s.change?.(bytes) ?? bytes, { ifindex: IFINDEX });
}

function assertToStack(result: Result, what = ''): void {
  assert.deepEqual([result.verdict, result.record.action], [VERDICT.FORWARDED, ACTION.STACK], what);
  assert.equal(result.record.flags & RECORD_FLAG.ANSWERED, 0, what);
}

describe('ARP', () => {
  test('a request for an announced address gets the interface’s MAC, in place', () => {
    const result = ask();
    assert.deepEqual(
      [...result.bytes],
      [
        ...[...ASKER, ...OWN, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, ...OWN, ...addressBytes(VIP)],
        ...[...ASKER, ...addressBytes(CLIENT), ...new Uint8Array(18)],
      ],
    );
    const { record } = result;
    assert.deepEqual(
      [record.verdict, record.action, record.stage, record.outIfindex, record.ctStatus, record.dropReason],
      [VERDICT.FORWARDED, ACTION.TX, STAGE.FORWARD, IFINDEX, CT_STATUS.NONE, 0],
    );
    assert.equal(record.flags, RECORD_FLAG.ANSWERED);
    assert.deepEqual([[...record.destinationMac], [...record.sourceMac]], [ASKER, [...OWN]]);
    assert.deepEqual(w.sim.metrics().find(({ reason }) => reason === 102)?.packets, 1n);
  });
  test('to the interface’s own MAC (a renewal) is answered; to somebody else’s not', () => {
    assert.equal(ask({ to: [...OWN] }).record.action, ACTION.TX);
    assertToStack(ask({ to: [2, 9, 9, 9, 9, 8] }));
  });
  test('the interface’s own frames, seen on their way out, are no questions', () => {
    assertToStack(ask({ from: [...OWN] }));
  });
  test('a probe from no address is answered: the address is in use (RFC 5227)', () => {
    const result = ask({ sender: '0.0.0.0' });
    assert.equal(result.record.action, ACTION.TX);
    assert.deepEqual([...result.bytes.subarray(38, 42)], [0, 0, 0, 0]);
  });
  test('who announces the address itself asks nothing', () => assertToStack(ask({ sender: VIP })));
  test('another interface, another address, the feature off: the stack’s', () => {
    assertToStack(ask({ ifindex: 4 }));
    assertToStack(ask({ target: '203.0.113.21' }));
    w.disable(FEATURE.L2_RESPONDER);
    assertToStack(ask());
  });
  test('what is no sound request is left alone', () => {
    const wrong: Record<string, (b: Uint8Array) => Uint8Array | undefined> = {
      'a reply': (b) => void (b[21] = 2),
      hardware: (b) => void (b[15] = 6),
      protocol: (b) => void (b[16] = 9),
      'hardware length': (b) => void (b[18] = 8),
      'protocol length': (b) => void (b[19] = 16),
      'sent by a group': (b) => void (b[6] = 3),
      'asked by a group': (b) => void (b[22] = 3),
      short: (b) => b.slice(0, 41),
      'a tag': (b) => Uint8Array.of(...b.subarray(0, 12), 0x81, 0, 0, 5, ...b.subarray(12)),
    };
    for (const [what, change] of Object.entries(wrong)) {
      const before = ask({ change, ifindex: 99 }).bytes;
      const result = ask({ change });
      assertToStack(result, what);
      assert.deepEqual(result.bytes, before, what);
    }
  });
  test('a frame that the capture cut is unknown, one that is short is not', () => {
    const bytes = ask({ ifindex: 99 }).bytes;
    const packet = new Packet().view(bytes, 0, 40, 60, 1, 1, 0);
    w.meta.reset().ifindex = IFINDEX;
    assert.equal(w.sim.run(HOOK.FROM_NETDEV, packet, w.meta), VERDICT.UNKNOWN);
    assert.equal(w.sim.decision().unknownReason, UNKNOWN_REASON.TRUNCATED);
  });
  test('only at from-netdev', () => {
    const { bytes } = ask({ ifindex: 99 });
    for (const hook of ['XDP', 'FROM_CONTAINER', 'TO_NETDEV', 'FROM_HOST', 'TO_CONTAINER'] as const) {
      assert.notEqual(w.runBytes(hook, bytes, { ifindex: IFINDEX }).record.action, ACTION.TX);
    }
  });
  test('a probe counts nothing', () => {
    w.runBytes('FROM_NETDEV', ask({ ifindex: 99 }).bytes, { ifindex: IFINDEX, flags: 2 });
    assert.equal(
      w.sim.metrics().some(({ reason }) => reason === 102),
      false,
    );
  });
});

describe('neighbour discovery', () => {
  const advertisement = (result: Result, to: string, mac: readonly number[], flags: number): void => {
    const b = result.bytes;
    assert.equal(b.length, 86);
    assert.deepEqual([...b.subarray(0, 14)], [...mac, ...OWN, 0x86, 0xdd]);
    assert.deepEqual([...b.subarray(14, 22)], [0x60, 0, 0, 0, 0, 32, 58, 255]);
    assert.deepEqual([...b.subarray(22, 54)], [...addressBytes(VIP6), ...addressBytes(to)]);
    assert.deepEqual([...b.subarray(54, 56), ...b.subarray(58, 62)], [136, 0, flags, 0, 0, 0]);
    assert.deepEqual([...b.subarray(62)], [...addressBytes(VIP6), 2, 1, ...OWN]);
    const pseudo = Uint8Array.of(...b.subarray(22, 54), 0, 0, 0, 32, 0, 0, 0, 58);
    assert.equal(internetChecksum(pseudo, b.subarray(54)), 0);
    assert.deepEqual([result.record.action, result.record.verdict], [ACTION.TX, VERDICT.FORWARDED]);
    assert.equal(result.record.flags, RECORD_FLAG.ANSWERED | RECORD_FLAG.IPV6);
  };
  test('a solicitation is answered with an advertisement to who asked', () => {
    advertisement(solicit(), CLIENT6, ASKER, 0x60);
    assert.deepEqual(w.sim.metrics().find(({ reason }) => reason === 102)?.packets, 1n);
  });
  test('with no option or with others, to the address itself', () => {
    advertisement(solicit({ option: [] }), CLIENT6, ASKER, 0x60);
    advertisement(solicit({ option: [14, 1, 1, 2, 3, 4, 5, 6, 1, 1, ...ASKER] }), CLIENT6, ASKER, 0x60);
    advertisement(solicit({ destination: VIP6, change: (b) => void b.set(OWN) }), CLIENT6, ASKER, 0x60);
  });
  test('duplicate address detection is answered to all nodes (RFC 4861 §7.2.4)', () => {
    advertisement(solicit({ source: '::', option: [] }), 'ff02::1', [0x33, 0x33, 0, 0, 0, 1], 0x20);
  });
  test('what is not sound, announces itself or is for somebody else is the stack’s', () => {
    const wrong: Record<string, Solicitation> = {
      'hop limit': { ttl: 254 },
      code: { code: 1 },
      short: { bytes: 15, option: [] },
      'claims the address': { source: VIP6 },
      'from a group': { source: 'ff02::7' },
      'detection to no group': { source: '::', destination: VIP6 },
      'detection to all nodes': { source: '::', destination: 'ff02::1' },
      'not announced': { target: '2001:db8::21' },
      'another station': { change: (b) => void b.set([2, 9, 9, 9, 9, 8]) },
      'sent by a group': { change: (b) => void (b[6] = 3) },
      'the interface’s own': { change: (b) => void b.set(OWN, 6) },
      'a tag': { change: (b) => Uint8Array.of(...b.subarray(0, 12), 0x81, 0, 0, 5, ...b.subarray(12)) },
    };
    for (const [what, question] of Object.entries(wrong)) assertToStack(solicit(question), what);
    w.disable(FEATURE.L2_RESPONDER);
    assertToStack(solicit());
  });
  test('an advertisement is no question', () => {
    assertToStack(solicit({ change: (b) => void (b[54] = 136) }));
  });
});

test('the trace tells the question and what became of it', () => {
  w.sim.trace.enabled = true;
  ask();
  const { words, count } = w.sim.trace;
  const records = Array.from({ length: count }, (_, i) => [...words.subarray(i * TRACE_WORDS, (i + 1) * TRACE_WORDS)]);
  const found = records.find(([kind]) => kind === TRACE.ANNOUNCED);
  assert.deepEqual([found?.[TRACE_AT.RESULT], found?.[TRACE_AT.KEY + 1]], [1, IFINDEX]);
});
