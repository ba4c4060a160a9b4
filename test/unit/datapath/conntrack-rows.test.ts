// Rows of Cilium's conntrack tables that conntrack.test.ts, service.test.ts and related.test.ts do not name: keys, and every timer with
// a value of its own, so that none can stand for another. Input: packets of a pod, a service. Output: keys and lifetimes.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ACTION, CT_FLAG, CT_KEY, CT_STATUS } from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';

const A = '10.0.1.1';
const B = '10.0.2.2';
const VIP = '172.16.0.1';
const TIMERS = {
  ctTcpLifetime: 1001,
  ctAnyLifetime: 102,
  ctServiceTcpLifetime: 1003,
  ctServiceAnyLifetime: 104,
  ctSynLifetime: 55,
  ctCloseLifetime: 16,
};

let w: World;
beforeEach(() => {
  w = new World();
  w.configure(TIMERS).endpoint(A).endpoint(B).backend(1, B, 8080);
  w.service(VIP, 80, { backends: [1] });
  w.service(VIP, 53, { backends: [1], protocol: 'udp' });
});
const send = (protocol: 'tcp' | 'udp', destination: string, port: number, flags = 'S'): number =>
  w.run('FROM_CONTAINER', { protocol, source: A, destination, sourcePort: 1000, destinationPort: port, flags }).record
    .ctStatus;
const left = (map: 'ctTcpNew4' | 'ctAnyNew4' | 'ctTcp4', flags = 0): number =>
  w.connection(map, flags)!.lifetime - w.now;

describe('keys', () => {
  test('service: the VIP’s own tuple, flagged; forward: the backend’s', () => {
    send('tcp', VIP, 80);
    const flags = w.entries('ctTcpNew4').map(([key]) => key.flags & CT_KEY.SERVICE);
    assert.deepEqual(flags.sort(), [0, CT_KEY.SERVICE]);
  });
  test('related twin: ports 0, ICMP, in the map of other protocols', () => {
    send('tcp', B, 8080);
    const [[key], ...more] = w.entries('ctAnyNew4') as [[ReturnType<World['entries']>[number][0]], ...unknown[]];
    assert.deepEqual([key.lowPort, key.highPort, key.protocol, key.flags & CT_KEY.RELATED], [0, 0, 1, CT_KEY.RELATED]);
    assert.equal(more.length, 0);
  });
});

describe('timers', () => {
  test('SYN: bpf-ct-timeout-regular-tcp-syn', () => {
    send('tcp', B, 8080);
    assert.equal(left('ctTcpNew4'), 55);
  });
  test('regular TCP: bpf-ct-timeout-regular-tcp', () => {
    send('tcp', B, 8080);
    assert.equal(send('tcp', B, 8080, 'A'), CT_STATUS.ESTABLISHED);
    assert.equal(left('ctTcpNew4'), 1001);
  });
  test('regular any: bpf-ct-timeout-regular-any', () => {
    send('udp', B, 53);
    assert.equal(left('ctAnyNew4'), 102);
  });
  test('service TCP: bpf-ct-timeout-service-tcp, once a packet without SYN was seen', () => {
    send('tcp', VIP, 80);
    assert.equal(left('ctTcpNew4', CT_KEY.SERVICE), 55);
    send('tcp', VIP, 80, 'A');
    assert.equal(left('ctTcpNew4', CT_KEY.SERVICE), 1003);
  });
  test('service any: bpf-ct-timeout-service-any', () => {
    send('udp', VIP, 53);
    assert.equal(left('ctAnyNew4', CT_KEY.SERVICE), 104);
  });
  test('FIN-close: bpf-ct-timeout-regular-tcp-fin, when both directions are closed', () => {
    send('tcp', B, 8080);
    send('tcp', B, 8080, 'R');
    assert.equal(left('ctTcpNew4'), 16);
  });
});

describe('refresh', () => {
  test('service any: each packet gives the service entry its own lifetime again, the connection’s its own', () => {
    send('udp', VIP, 53);
    w.now += 50;
    assert.equal(send('udp', VIP, 53), CT_STATUS.ESTABLISHED);
    assert.deepEqual([left('ctAnyNew4', CT_KEY.SERVICE), left('ctAnyNew4')], [104, 102]);
  });
});

describe('ESTABLISHED but the frontend or the proxy differs', () => {
  test('another frontend, or none before: the entry is made anew, NEW', () => {
    send('tcp', B, 8080);
    send('tcp', B, 8080, 'A');
    assert.equal(w.connection('ctTcpNew4')?.reverseNat, 0);
    assert.equal(send('tcp', VIP, 80), CT_STATUS.NEW);
    const through = w.connection('ctTcpNew4')!;
    assert.deepEqual([through.reverseNat, through.flags & CT_FLAG.SEEN_NON_SYN], [1, 0]);
    assert.equal(left('ctTcpNew4'), 55);
    // And back: what comes without a frontend is not what came through one.
    assert.equal(send('tcp', B, 8080), CT_STATUS.NEW);
    assert.equal(w.connection('ctTcpNew4')?.reverseNat, 0);
  });
  test('an answered one is made anew among the unanswered, and is in one map only', () => {
    send('tcp', B, 8080);
    w.run('TO_CONTAINER', {
      protocol: 'tcp',
      source: B,
      destination: A,
      sourcePort: 8080,
      destinationPort: 1000,
      flags: 'SA',
    });
    assert.equal(w.connection('ctTcp4')?.reverseNat, 0);
    assert.equal(send('tcp', VIP, 80), CT_STATUS.NEW);
    assert.deepEqual([w.connection('ctTcp4'), w.connection('ctTcpNew4')?.reverseNat], [undefined, 1]);
  });
  test('a redirect that policy takes away or gives: the entry follows at the next packet', () => {
    const rules = (proxyPort: number): void => {
      const rule = proxyPort === 0 ? {} : { verdict: 'redirect' as const, proxyPort };
      w.policy(7, { egress: [{ protocol: 'tcp', port: 8080, ...rule }] });
    };
    let epoch = 1;
    const step = (proxyPort: number): unknown[] => {
      rules(proxyPort);
      w.changeEndpoint(A, { policyId: 7, epoch: ++epoch });
      const { record } = w.run('FROM_CONTAINER', {
        protocol: 'tcp',
        source: A,
        destination: B,
        sourcePort: 1000,
        destinationPort: 8080,
        flags: epoch === 2 ? 'S' : 'A',
      });
      const flags = w.connection('ctTcpNew4')!.flags & CT_FLAG.PROXY_REDIRECT;
      return [record.action === ACTION.PROXY, record.proxyPort, flags !== 0];
    };
    assert.deepEqual(step(10001), [true, 10001, true]);
    assert.deepEqual(step(0), [false, 0, false]);
    assert.deepEqual(step(10001), [true, 10001, true]);
    assert.deepEqual(step(10002), [true, 10002, true]);
    assert.deepEqual(step(0), [false, 0, false]);
  });
});
