// One test a row of Cilium's conntrack: directions, closing, lifetimes, where entries live. Input: packets of two pods.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { CT_FLAG, CT_KEY, CT_STATUS, DROP, META_FLAG, VERDICT } from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import type { PacketSpec } from '../../support/packets.ts';

type Family = 4 | 6;
const ADDRESSES = { 4: ['10.0.1.1', '10.0.2.2'], 6: ['fd00::1:1', 'fd00::2:2'] } as const;
/** Echo request, its answer, and a type that is neither an echo nor an error. */
const ICMP = {
  4: { protocol: 'icmp', number: 1, echo: 8, answer: 0, other: 13 },
  6: { protocol: 'icmpv6', number: 58, echo: 128, answer: 129, other: 130 },
} as const;
const { RX_CLOSING, TX_CLOSING, SEEN_NON_SYN, INBOUND, ANSWERED } = CT_FLAG;
const { NEW, ESTABLISHED, REPLY } = CT_STATUS;
const CLOSING = RX_CLOSING | TX_CLOSING;

for (const family of [4, 6] as const) describe(`IPv${family}`, () => rows(family));

function rows(family: Family): void {
  const [A, B] = ADDRESSES[family];
  const icmp = ICMP[family];
  let w: World;
  beforeEach(() => {
    w = new World();
    w.endpoint(A).endpoint(B);
  });

  const out = (flags: string, more: Partial<PacketSpec> = {}): PacketSpec => ({
    protocol: 'tcp',
    source: A,
    destination: B,
    sourcePort: 1000,
    destinationPort: 80,
    flags,
    ...more,
  });
  const back = (flags: string, more: Partial<PacketSpec> = {}): PacketSpec => ({
    protocol: 'tcp',
    source: B,
    destination: A,
    sourcePort: 80,
    destinationPort: 1000,
    flags,
    ...more,
  });
  /** A sends (its own hook), or receives (its own hook): one owner, one entry. */
  const send = (flags: string): number => w.run('FROM_CONTAINER', out(flags)).record.ctStatus;
  const receive = (flags: string): number => w.run('TO_CONTAINER', back(flags)).record.ctStatus;
  const unanswered = (): ReturnType<World['connection']> => w.connection(`ctTcpNew${family}`);
  const answered = (): ReturnType<World['connection']> => w.connection(`ctTcp${family}`);
  const establish = (): void => {
    assert.equal(send('S'), NEW);
    assert.equal(receive('SA'), REPLY);
    assert.equal(send('A'), ESTABLISHED);
  };

  describe('directions and maps', () => {
    test('the first packet is NEW and lives among the unanswered', () => {
      assert.equal(send('S'), NEW);
      assert.ok(unanswered());
      assert.equal(answered(), undefined);
      assert.equal(unanswered()!.flags & INBOUND, 0);
    });
    test('a repeated first packet is ESTABLISHED, still unanswered', () => {
      send('S');
      assert.equal(send('S'), ESTABLISHED);
      assert.ok(unanswered());
      assert.equal(answered(), undefined);
    });
    test('the first reply moves the entry, its fields kept, to the answered map', () => {
      send('S');
      const before = unanswered()!;
      assert.equal(receive('SA'), REPLY);
      assert.equal(unanswered(), undefined);
      const after = answered()!;
      assert.equal(after.flags & ANSWERED, ANSWERED);
      assert.equal(after.remoteIdentity, before.remoteIdentity);
      assert.equal(after.policyEpoch, before.policyEpoch);
      assert.equal(after.txFlags, 2);
      assert.equal(after.rxFlags, 0x12);
    });
    test('a reset as the only answer does not move it', () => {
      send('S');
      assert.equal(receive('RA'), REPLY);
      assert.equal(answered(), undefined);
      assert.equal(unanswered()!.flags & CLOSING, CLOSING);
    });
    test('of other protocols any reply moves it', () => {
      const request = { protocol: 'udp', source: A, destination: B, sourcePort: 5, destinationPort: 53 } as const;
      const answer = { protocol: 'udp', source: B, destination: A, sourcePort: 53, destinationPort: 5 } as const;
      assert.equal(w.run('FROM_CONTAINER', request).record.ctStatus, NEW);
      assert.ok(w.connection(`ctAnyNew${family}`));
      assert.equal(w.run('TO_CONTAINER', answer).record.ctStatus, REPLY);
      assert.equal(w.connection(`ctAnyNew${family}`), undefined);
      assert.ok(w.connection(`ctAny${family}`));
      assert.equal(w.run('FROM_CONTAINER', request).record.ctStatus, ESTABLISHED);
    });
    test('an entry opened by the peer is INBOUND; the owner’s packets are replies', () => {
      assert.equal(w.run('TO_CONTAINER', out('S')).record.ctStatus, NEW);
      assert.equal(unanswered()!.flags & INBOUND, INBOUND);
      assert.equal(w.run('FROM_CONTAINER', back('SA')).record.ctStatus, REPLY);
      assert.equal(w.run('TO_CONTAINER', out('A')).record.ctStatus, ESTABLISHED);
    });
    test('both pods of one connection have an entry each, told apart by the owner bit', () => {
      w.run('FROM_CONTAINER', out('S'));
      w.run('TO_CONTAINER', out('S'));
      const keys = w.entries(`ctTcpNew${family}`).map(([key]) => key);
      assert.equal(keys.length, 2);
      assert.deepEqual(keys[0]!.lowAddress, keys[1]!.lowAddress);
      assert.equal((keys[0]!.flags ^ keys[1]!.flags) & CT_KEY.OWNER_HIGH, CT_KEY.OWNER_HIGH);
    });
    test('a pod that talks to another port of itself has two entries, and replies are replies', () => {
      const self = { protocol: 'tcp', source: A, destination: A } as const;
      const there = { ...self, sourcePort: 9, destinationPort: 10 };
      const here = { ...self, sourcePort: 10, destinationPort: 9, flags: 'SA' };
      assert.equal(w.run('FROM_CONTAINER', there).record.ctStatus, NEW);
      assert.equal(w.run('TO_CONTAINER', there).record.ctStatus, NEW);
      assert.equal(w.run('FROM_CONTAINER', here).record.ctStatus, REPLY);
      assert.equal(w.run('TO_CONTAINER', here).record.ctStatus, REPLY);
    });
    test('echo request and answer meet on one entry by their id; another id is another connection', () => {
      const ping = { protocol: icmp.protocol, source: A, destination: B, type: icmp.echo, id: 77 } as const;
      const pong = { protocol: icmp.protocol, source: B, destination: A, type: icmp.answer, id: 77 } as const;
      assert.equal(w.run('FROM_CONTAINER', ping).record.ctStatus, NEW);
      assert.equal(w.run('TO_CONTAINER', pong).record.ctStatus, REPLY);
      assert.equal(w.run('FROM_CONTAINER', ping).record.ctStatus, ESTABLISHED);
      assert.equal(w.run('TO_CONTAINER', { ...pong, id: 78 }).record.ctStatus, NEW);
    });
    test('ICMP of other types is looked up with ports 0', () => {
      w.run('FROM_CONTAINER', { protocol: icmp.protocol, source: A, destination: B, type: icmp.other, id: 77 });
      const [key] = w.entries(`ctAnyNew${family}`).find(([k]) => (k.flags & CT_KEY.RELATED) === 0)!;
      assert.deepEqual([key.lowPort, key.highPort, key.protocol], [0, 0, icmp.number]);
    });
  });

  describe('closing', () => {
    test('FIN closes the direction it goes', () => {
      establish();
      send('FA');
      assert.equal(answered()!.flags & CLOSING, TX_CLOSING);
    });
    test('FIN both ways closes both, and the entry lives for the close timeout', () => {
      establish();
      send('FA');
      assert.equal(answered()!.lifetime, w.now + 8000);
      receive('FA');
      assert.equal(answered()!.flags & CLOSING, CLOSING);
      assert.equal(answered()!.lifetime, w.now + 10);
    });
    test('a packet on an entry closed both ways does not prolong it', () => {
      establish();
      send('FA');
      receive('FA');
      const { lifetime } = answered()!;
      w.now += 3;
      assert.equal(send('A'), ESTABLISHED);
      assert.equal(answered()!.lifetime, lifetime);
    });
    test('RST before SYNs were seen both ways closes both', () => {
      send('S');
      send('R');
      assert.equal(unanswered()!.flags & CLOSING, CLOSING);
      assert.equal(unanswered()!.lifetime, w.now + 10);
    });
    test('FIN before SYNs were seen both ways closes only its direction', () => {
      send('S');
      send('FA');
      assert.equal(unanswered()!.flags & CLOSING, TX_CLOSING);
    });
    test('RST after SYNs both ways closes only its direction', () => {
      establish();
      receive('R');
      assert.equal(answered()!.flags & CLOSING, RX_CLOSING);
    });
    test('SYN on a closing entry resets it and is NEW; the entry is written anew among the unanswered', () => {
      establish();
      send('FA');
      assert.equal(send('S'), NEW);
      assert.equal(answered(), undefined);
      const entry = unanswered()!;
      assert.equal(entry.flags & (CLOSING | SEEN_NON_SYN | ANSWERED), 0);
      assert.equal(entry.lifetime, w.now + 60);
    });
    test('SYN-ACK on a closing entry opens nothing', () => {
      establish();
      send('FA');
      assert.equal(receive('SA'), REPLY);
      assert.equal(answered()!.flags & TX_CLOSING, TX_CLOSING);
      // However late: only service entries have a grace period.
      w.now += 100;
      assert.equal(receive('SA'), REPLY);
      assert.equal(answered()!.flags & TX_CLOSING, TX_CLOSING);
    });
    test('an unanswered connection that its opener has closed is answered by what opens nothing', () => {
      for (const flags of ['SA', 'A', 'FA']) {
        send('S');
        send('FA');
        assert.equal(receive(flags), REPLY);
        assert.deepEqual([unanswered(), answered() !== undefined], [undefined, true], flags);
        w.now += 10_000;
      }
    });
    test('a SYN from the other side is no answer to it', () => {
      send('S');
      send('FA');
      assert.equal(w.run('TO_CONTAINER', back('S')).record.ctStatus, NEW);
      assert.deepEqual([answered(), unanswered()!.flags & INBOUND], [undefined, INBOUND]);
    });
    test('nor does it move the connection where policy drops it', () => {
      send('S');
      send('FA');
      w.policy(3, { ingress: [] }).changeEndpoint(A, { policyId: 3, epoch: 9 });
      w.run('TO_CONTAINER', back('S'));
      assert.deepEqual([answered(), unanswered() !== undefined], [undefined, true]);
    });
    test('SYN from the other side on a closing entry turns the connection round', () => {
      establish();
      send('FA');
      assert.equal(w.run('TO_CONTAINER', back('S')).record.ctStatus, NEW);
      assert.equal(unanswered()!.flags & INBOUND, INBOUND);
      assert.equal(answered(), undefined);
    });
    test('SYN on a closing entry that policy drops leaves the old entry, reset', () => {
      establish();
      send('FA');
      w.policy(3, { egress: [] }).changeEndpoint(A, { policyId: 3, epoch: 9 });
      const result = w.run('FROM_CONTAINER', out('S'));
      assert.equal(result.record.dropReason, DROP.POLICY);
      assert.equal(answered()!.flags & CLOSING, 0);
      assert.equal(unanswered(), undefined);
    });
  });

  describe('lifetimes', () => {
    test('a TCP connection begins with the SYN lifetime, even midway', () => {
      send('A');
      assert.equal(unanswered()!.lifetime, w.now + 60);
    });
    test('SYN and SYN-ACK keep the SYN lifetime; the first packet without SYN gives the regular one', () => {
      send('S');
      receive('SA');
      assert.equal(answered()!.lifetime, w.now + 60);
      send('A');
      assert.equal(answered()!.flags & SEEN_NON_SYN, SEEN_NON_SYN);
      assert.equal(answered()!.lifetime, w.now + 8000);
    });
    test('every live match refreshes the lifetime, replies too', () => {
      establish();
      w.now += 50;
      receive('A');
      assert.equal(answered()!.lifetime, w.now + 8000);
    });
    test('other protocols live for their own lifetime', () => {
      w.run('FROM_CONTAINER', { protocol: 'udp', source: A, destination: B, sourcePort: 5, destinationPort: 53 });
      assert.equal(w.connection(`ctAnyNew${family}`)!.lifetime, w.now + 60);
    });
    test('an entry is alive in its last second and absent in the next', () => {
      send('S');
      w.now += 60;
      assert.equal(w.run('FROM_CONTAINER', out('S'), { flags: 2 }).record.ctStatus, ESTABLISHED);
      w.now += 1;
      assert.equal(w.run('FROM_CONTAINER', out('S'), { flags: 2 }).record.ctStatus, NEW);
    });
    test('an expired answered entry is overwritten: gone from there, new among the unanswered', () => {
      establish();
      w.now += 8001;
      assert.equal(send('S'), NEW);
      assert.equal(answered(), undefined);
      assert.ok(unanswered());
    });
    test('the same for other protocols', () => {
      const ports = { sourcePort: 5, destinationPort: 53 };
      const request = { protocol: 'udp', source: A, destination: B, ...ports } as const;
      w.run('FROM_CONTAINER', request);
      w.run('TO_CONTAINER', { ...back(''), protocol: 'udp', sourcePort: 53, destinationPort: 5 });
      assert.ok(w.connection(`ctAny${family}`));
      w.now += 61;
      assert.equal(w.run('FROM_CONTAINER', request).record.ctStatus, NEW);
      assert.equal(w.connection(`ctAny${family}`), undefined);
      assert.ok(w.connection(`ctAnyNew${family}`));
    });
    test('an expired unanswered entry is overwritten in place, nothing of it remains', () => {
      send('S');
      send('F');
      // Midway it has the regular lifetime.
      w.now += 10_000;
      assert.equal(send('S'), NEW);
      assert.equal(unanswered()!.flags, 0);
      assert.equal(unanswered()!.txFlags, 2);
    });
    test('time that runs backwards stands still', () => {
      establish();
      const { lifetime } = answered()!;
      w.now -= 90;
      assert.equal(send('A'), ESTABLISHED);
      assert.equal(answered()!.lifetime, lifetime);
    });
  });

  describe('reports and accounting', () => {
    test('seen flags collect by direction; a report is due for a new flag or after the interval', () => {
      establish();
      assert.deepEqual([answered()!.txFlags, answered()!.rxFlags], [0x12, 0x12]);
      const { lastTxReport } = answered()!;
      w.now += 3;
      send('A');
      assert.equal(answered()!.lastTxReport, lastTxReport);
      send('PA');
      assert.equal(answered()!.txFlags, 0x1a);
      assert.equal(answered()!.lastTxReport, w.now);
      const reported = w.now;
      w.now += 5;
      send('A');
      assert.equal(answered()!.lastTxReport, reported, 'the interval is not over in its last second');
      w.now += 1;
      send('A');
      assert.equal(answered()!.lastTxReport, w.now);
    });
    test('each direction has its own time of report', () => {
      establish();
      const start = w.now;
      w.now += 10;
      receive('A');
      assert.deepEqual([answered()!.lastTxReport, answered()!.lastRxReport], [start, start + 10]);
      w.now += 10;
      send('A');
      assert.deepEqual([answered()!.lastTxReport, answered()!.lastRxReport], [start + 20, start + 10]);
    });
    test('packets and bytes are counted only when accounting is on', () => {
      establish();
      assert.equal(answered()!.packets, 0n);
      w.enable(1 << 11);
      const { bytes } = w.run('FROM_CONTAINER', out('A'));
      assert.equal(answered()!.packets, 1n);
      assert.equal(answered()!.bytes, BigInt(bytes.length));
      w.run('FROM_CONTAINER', out('S', { sourcePort: 4444 }));
      assert.equal(w.run('FROM_CONTAINER', out('A')).bytes.length, bytes.length);
      assert.deepEqual([answered()!.packets, answered()!.bytes], [2n, BigInt(2 * bytes.length)]);
      const fresh = w.entries(`ctTcpNew${family}`).find(([k]) => k.lowPort === 4444 || k.highPort === 4444)!;
      assert.equal(fresh[1].packets, 1n);
    });
  });

  describe('bounds', () => {
    /** Source ports of what is left of `map` after a number of connections and a flood; `use` is done in between. */
    const leftAfter = (map: 'ctTcp' | 'ctTcpNew', use: (port: number) => void): string => {
      w = new World({ specs: { [`${map}${family}`]: { maxEntries: 16 } } });
      w.endpoint(A).endpoint(B);
      const open = (port: number): void => {
        w.run('FROM_CONTAINER', out('S', { sourcePort: port }));
        if (map === 'ctTcp') w.run('TO_CONTAINER', back('SA', { destinationPort: port }));
      };
      // The last of these makes the clock pass all of them once.
      for (let port = 2000; port < 2017; port++) open(port);
      for (let port = 2001; port < 2009; port++) use(port);
      for (let port = 3000; port < 3008; port++) open(port);
      const ports = w.entries(`${map}${family}`).map(([key]) => Math.max(key.lowPort, key.highPort));
      return ports.sort((a, b) => a - b).join();
    };
    for (const map of ['ctTcpNew', 'ctTcp'] as const) {
      test(`use keeps an entry of ${map} from being evicted, a probe does not`, () => {
        const unused = leftAfter(map, () => undefined);
        const probed = leftAfter(map, (port) => {
          w.run('FROM_CONTAINER', out('A', { sourcePort: port }), { flags: META_FLAG.PROBE });
        });
        const used = leftAfter(map, (port) => {
          w.run('FROM_CONTAINER', out('A', { sourcePort: port }));
        });
        assert.equal(probed, unused);
        assert.notEqual(used, unused);
        assert.match(used, /2001,2002,2003,2004,2005,2006,2007,2008/);
      });
    }

    test('a full map of unanswered connections evicts there and never among the answered', () => {
      w = new World({
        specs: { [`ctTcpNew${family}`]: { maxEntries: 16 }, [`ctAnyNew${family}`]: { maxEntries: 16 } },
      });
      w.endpoint(A).endpoint(B);
      establish();
      for (let port = 2000; port < 4000; port++) {
        const result = w.run('FROM_CONTAINER', out('S', { sourcePort: port }));
        assert.equal(result.verdict, VERDICT.FORWARDED);
      }
      assert.equal(w.sim.maps[`ctTcpNew${family}`].size, 16);
      assert.equal(w.sim.maps[`ctTcp${family}`].size, 1);
      assert.equal(send('A'), ESTABLISHED);
      assert.equal(receive('A'), REPLY);
    });
  });
}
