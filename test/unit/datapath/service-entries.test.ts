// Service entries in both families, with addresses that differ in every word: how they follow their connection to the answered map,
// and what closing and reopening leave of them. Input: one client, one backend. Output: entries.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { CT_FLAG, CT_KEY, CT_STATUS, VERDICT } from '../../../src/schema/index.ts';
import { LOOPBACK4, LOOPBACK6, type Result, World } from '../../support/datapath-world.ts';
import { type PacketSpec, plainAddress } from '../../support/packets.ts';

const PLACES = {
  4: { client: '10.0.1.1', vip: '172.16.0.1', backend: '10.0.2.1', loopback: LOOPBACK4 },
  6: {
    client: 'fd00:1:2:3:4:5:6:7',
    vip: '2001:db8:a:b:c:d:e:f',
    backend: 'fd00:8:9:10:11:12:13:14',
    loopback: LOOPBACK6,
  },
} as const;
const CLOSING = CT_FLAG.RX_CLOSING | CT_FLAG.TX_CLOSING;

for (const family of [4, 6] as const) describe(`IPv${family}`, () => rows(family));

function rows(family: 4 | 6): void {
  const { client, vip, backend, loopback } = PLACES[family];
  let w: World;
  beforeEach(() => {
    w = new World();
    w.endpoint(client).endpoint(backend).backend(1, backend, 8080);
  });
  const go = (flags = 'S', more: Partial<PacketSpec> = {}): Result =>
    w.run('FROM_CONTAINER', {
      protocol: 'tcp',
      source: client,
      destination: vip,
      sourcePort: 1000,
      destinationPort: 80,
      flags,
      ...more,
    });
  const answer = (flags = 'SA', more: Partial<PacketSpec> = {}): Result =>
    w.run('TO_CONTAINER', {
      protocol: 'tcp',
      source: backend,
      destination: client,
      sourcePort: 8080,
      destinationPort: 1000,
      flags,
      ...more,
    });
  const unanswered = (): ReturnType<World['connection']> => w.connection(`ctTcpNew${family}`, CT_KEY.SERVICE);
  const answered = (): ReturnType<World['connection']> => w.connection(`ctTcp${family}`, CT_KEY.SERVICE);
  const dropEntry = (map: 'ctTcp' | 'ctTcpNew'): void => {
    const name = `${map}${family}` as 'ctTcp4';
    const found = w.entries(name).find(([key]) => (key.flags & CT_KEY.SERVICE) !== 0)!;
    w.map(name).delete(found[0]);
  };

  test('the first answer moves it, as it is', () => {
    const reverseNat = w.service(vip, 80, { backends: [1] });
    go();
    const before = unanswered()!;
    assert.deepEqual([before.backend, before.reverseNat], [1, reverseNat]);
    assert.equal(answer().source, plainAddress(vip));
    assert.equal(unanswered(), undefined);
    assert.deepEqual(answered(), { ...before, flags: before.flags | CT_FLAG.ANSWERED });
  });
  test('of other protocols, too', () => {
    w.backend(1, backend, 53).service(vip, 53, { backends: [1], protocol: 'udp' });
    go('', { protocol: 'udp', destinationPort: 53 });
    answer('', { protocol: 'udp', sourcePort: 53 });
    const entries = (map: 'ctAny' | 'ctAnyNew'): number =>
      w.entries(`${map}${family}`).filter(([key]) => (key.flags & CT_KEY.SERVICE) !== 0).length;
    assert.deepEqual([entries('ctAny'), entries('ctAnyNew')], [1, 0]);
  });
  test('made anew over one that has expired, nothing of the old remains', () => {
    w.service(vip, 80, { backends: [1] });
    go('S');
    go('FA');
    w.now += 1000;
    go('S');
    const after = unanswered()!;
    assert.deepEqual([after.flags, after.txFlags, after.rxFlags, after.lastRxReport], [0, 2, 0, 0]);
    assert.deepEqual([after.lastTxReport, after.lifetime], [w.now, w.now + 60]);
  });
  test('one that is made for another protocol has seen no TCP flags', () => {
    w.backend(1, backend, 53).service(vip, 53, { backends: [1], protocol: 'udp' });
    go('S', { protocol: 'udp', destinationPort: 53 });
    for (const flags of [CT_KEY.SERVICE, 0]) assert.equal(w.connection(`ctAnyNew${family}`, flags)!.txFlags, 0);
  });
  test('one that was lost is made anew beside its answered connection', () => {
    w.service(vip, 80, { backends: [1] });
    go();
    answer();
    dropEntry('ctTcp');
    assert.equal(go('A').record.ctStatus, CT_STATUS.ESTABLISHED);
    assert.deepEqual([unanswered(), answered()?.backend], [undefined, 1]);
    assert.equal(w.connection(`ctTcp${family}`)?.reverseNat, 1);
  });
  test('of a pod that reaches itself it is found from the other end', () => {
    w.backend(1, client, 8080).service(vip, 80, { backends: [1] });
    const request = go();
    assert.equal(request.source, plainAddress(loopback));
    assert.ok(unanswered());
    const restored = w.run('FROM_CONTAINER', {
      protocol: 'tcp',
      source: client,
      destination: loopback,
      sourcePort: 8080,
      destinationPort: 1000,
      flags: 'SA',
    });
    assert.equal(restored.source, plainAddress(vip));
    assert.deepEqual([unanswered(), answered()?.backend], [undefined, 1]);
    // And once more from its own, after it was lost.
    dropEntry('ctTcp');
    go('A');
    assert.deepEqual([unanswered(), answered()?.backend], [undefined, 1]);
  });
  test('without its frontend an answer passes as it is, and moves nothing else', () => {
    w.service(vip, 80, { backends: [1], reverseNat: 5 });
    go();
    if (family === 4) w.map('reverseNat4').set({ index: 5 }, { address: 0, port: 0, flags: 0 });
    else w.map('reverseNat6').set({ index: 5 }, { address: new Uint8Array(16), port: 0, flags: 0 });
    assert.equal(answer().verdict, VERDICT.FORWARDED);
    assert.ok(w.connection(`ctTcp${family}`));
    assert.deepEqual([unanswered()?.backend, answered()], [1, undefined]);
  });
  test('beside an answered connection that has expired: what is made anew is in one map only', () => {
    w.service(vip, 80, { backends: [1] });
    go();
    answer();
    const name = `ctTcp${family}` as 'ctTcp4';
    for (const [key, entry] of w.entries(name)) {
      if ((key.flags & CT_KEY.SERVICE) === 0) w.map(name).set(key, { ...entry, lifetime: w.now - 1 });
      else w.map(`ctTcpNew${family}` as 'ctTcpNew4').set(key, entry);
    }
    dropEntry('ctTcp');
    assert.equal(go('S').record.ctStatus, CT_STATUS.NEW);
    assert.equal(w.connection(name), undefined);
    assert.ok(w.connection(`ctTcpNew${family}`));
  });
  test('closed, a packet that is no SYN leaves it as it is, however late', () => {
    w.configure({ ctCloseLifetime: 1000 });
    w.service(vip, 80, { backends: [1], reverseNat: 5 });
    go();
    answer();
    go('FA');
    w.service(vip, 80, { backends: [], reverseNat: 5 });
    w.now += 500;
    assert.equal(go('A').record.backendId, 1);
    assert.equal(answered()!.flags & CLOSING, CLOSING);
  });
  test('reopened within the grace period it keeps its frontend and backend, and forgets the flags seen', () => {
    w.configure({ ctCloseLifetime: 1000 });
    w.service(vip, 80, { backends: [1], reverseNat: 5 });
    go();
    answer();
    const before = answered()!;
    go('FA');
    w.now += 30;
    go('S');
    const after = answered()!;
    assert.deepEqual([after.reverseNat, after.backend, after.flags], [5, 1, before.flags]);
    assert.deepEqual([after.txFlags, after.rxFlags, after.natPort], [2, 0, 0]);
  });
}
