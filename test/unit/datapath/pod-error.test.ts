// ICMP errors at pods' hooks about connections through a frontend: what they quote is what the client sent. Input: a client pod, a
// service, a backend elsewhere or on the node. The quotes are cut out of packets that the datapath made.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { CT_STATUS, FEATURE, META_FLAG, RECORD_FLAG, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { frame, internetChecksum, type PacketSpec, plainAddress } from '../../support/packets.ts';

const HOSTS = {
  4: {
    pod: '10.0.1.1',
    other: '10.0.1.9',
    backend: '10.0.2.2',
    vip: '172.16.0.1',
    web: '198.51.100.7',
    router: '192.0.2.9',
  },
  6: {
    pod: 'fd00::1:1',
    other: 'fd00::1:9',
    backend: 'fd00::2:2',
    vip: 'fd10::1',
    web: '2001:db8::7',
    router: '2001:db8::9',
  },
} as const;
const { RELATED } = CT_STATUS;
const { REVERSE_NAT } = RECORD_FLAG;

for (const family of [4, 6] as const) {
  const { pod, other, backend, vip, web, router } = HOSTS[family];
  const [icmp, unreachable, header] = family === 4 ? (['icmp', 3, 20] as const) : (['icmpv6', 1, 40] as const);
  /** Where the quote begins in an error's frame. */
  const quoted = 14 + header + 8;

  describe(`IPv${family}`, () => {
    let w: World;
    beforeEach(() => {
      w = new World();
      w.enable(FEATURE.NODE_PORT).endpoint(pod).identity(backend, 2000).backend(1, backend, 8080);
      for (const protocol of ['tcp', 'udp', 'sctp'] as const)
        w.service(vip, protocol === 'sctp' ? 8080 : 80, { protocol, backends: [1], reverseNat: 5 });
      w.service(vip, 80, { backends: [1], reverseNat: 5 });
    });

    const request = (more: Partial<PacketSpec> = {}): PacketSpec => ({
      protocol: 'tcp',
      source: pod,
      destination: vip,
      sourcePort: 1000,
      destinationPort: 80,
      ...more,
    });
    const about = (sent: Uint8Array, source: string, destination: string, length = 20): Uint8Array => {
      const payload = sent.slice(14, 14 + header + length);
      return frame({ protocol: icmp, type: unreachable, code: 1, source, destination, payload });
    };
    const quoteOf = (result: Result): number[] => [...result.bytes.slice(quoted)];

    for (const [protocol, length] of [
      ['tcp', 20],
      ['tcp', 8],
      ['udp', 8],
    ] as const) {
      test(`${protocol}, ${length} bytes of it: to the pod the frontend is the quote’s destination, and who sends it`, () => {
        const spec = request({ protocol });
        const there = w.run('FROM_CONTAINER', spec);
        assert.equal(there.destination, plainAddress(backend));
        for (const answered of [false, true]) {
          if (answered)
            w.run('TO_CONTAINER', {
              ...{ protocol, source: backend, destination: pod, sourcePort: 8080, destinationPort: 1000, flags: 'SA' },
            });
          for (const source of [backend, router]) {
            const result = w.runBytes('TO_CONTAINER', about(there.bytes, source, pod, length));
            assert.equal(result.verdict, VERDICT.FORWARDED);
            assert.equal(result.record.ctStatus === RELATED, source === backend);
            assert.deepEqual(
              [result.source, result.destination, result.checksumsRight],
              [plainAddress(source === backend ? vip : router), plainAddress(pod), true],
            );
            assert.deepEqual(quoteOf(result), [...frame(spec).slice(14, 14 + header + length)]);
            assert.deepEqual([result.record.flags & REVERSE_NAT, result.record.reverseNat], [REVERSE_NAT, 5]);
          }
        }
      });
    }

    test('a connection to the backend itself, beside one through the frontend, stays', () => {
      w.run('FROM_CONTAINER', request());
      const direct = w.run(
        'FROM_CONTAINER',
        request({ sourcePort: 1001, destination: backend, destinationPort: 8080 }),
      );
      const error = about(direct.bytes, backend, pod);
      const result = w.runBytes('TO_CONTAINER', error);
      assert.equal(result.record.ctStatus, RELATED);
      assert.deepEqual([...result.bytes], [...error]);
    });

    test('what is cut, or of no connection: the source alone, by the addresses’ twin', () => {
      const there = w.run('FROM_CONTAINER', request());
      const unknown = there.bytes.slice();
      unknown[14 + header] = unknown[14 + header]! ^ 1;
      for (const error of [about(there.bytes, backend, pod, 7), about(unknown, backend, pod)]) {
        const result = w.runBytes('TO_CONTAINER', error);
        assert.deepEqual([result.source, result.checksumsRight], [plainAddress(vip), true]);
        assert.deepEqual(quoteOf(result), [...error.slice(quoted)]);
      }
      for (const error of [about(unknown, router, pod), about(there.bytes, router, pod, 7)])
        assert.deepEqual([...w.runBytes('TO_CONTAINER', error).bytes], [...error]);
    });

    if (family === 6) {
      /** The frame with extension headers before its L4 header; the first two bytes of each are filled in. */
      const extended = (bytes: Uint8Array, headers: readonly (readonly [number, Uint8Array])[]): Uint8Array => {
        const kinds = [...headers.map(([kind]) => kind), bytes[20]!];
        const between = headers.flatMap(([kind, body], i) => {
          const units = kind === 51 ? body.length / 4 - 2 : body.length / 8 - 1;
          return [kinds[i + 1]!, kind === 44 ? 0 : units, ...body.slice(2)];
        });
        const out = Uint8Array.from([...bytes.slice(0, 54), ...between, ...bytes.slice(54)]);
        const length = out.length - 54;
        out.set([length >> 8, length & 0xff, kinds[0]!], 18);
        return out;
      };
      const OPTIONS = [60, new Uint8Array(16)] as const;
      const FIRST = [44, Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 7)] as const;

      test('behind extension headers, up to as many as a packet may have', () => {
        for (const headers of [
          [OPTIONS],
          [[0, new Uint8Array(8)], FIRST],
          [
            [43, new Uint8Array(24)],
            [51, new Uint8Array(12)],
          ],
          [OPTIONS, OPTIONS, OPTIONS, OPTIONS],
        ] as const) {
          const sent = extended(frame(request()), headers);
          const there = w.runBytes('FROM_CONTAINER', sent);
          assert.equal(there.destination, plainAddress(backend));
          const length = sent.length - 54;
          const result = w.runBytes('TO_CONTAINER', about(there.bytes, router, pod, length));
          assert.deepEqual([result.record.reverseNat, result.checksumsRight], [5, true]);
          assert.deepEqual(quoteOf(result), [...sent.slice(14)]);
          // One byte less than the ports and the four that follow.
          const before = headers.reduce((sum, [, body]) => sum + body.length, 0);
          const cut = about(there.bytes, router, pod, before + 7);
          assert.deepEqual([...w.runBytes('TO_CONTAINER', cut).bytes], [...cut]);
        }
      });

      test('behind more of them, a later fragment, nothing: left as it is', () => {
        const there = w.run('FROM_CONTAINER', request());
        for (const headers of [
          [OPTIONS, OPTIONS, OPTIONS, OPTIONS, OPTIONS],
          [[44, Uint8Array.of(0, 0, 0, 9, 0, 0, 0, 7)]],
          [[44, Uint8Array.of(0, 0, 1, 0, 0, 0, 0, 7)]],
          [[59, new Uint8Array(8)]],
        ] as const) {
          const quote = extended(there.bytes, headers);
          const error = about(quote, router, pod, quote.length - 54);
          assert.deepEqual([...w.runBytes('TO_CONTAINER', error).bytes], [...error]);
        }
      });
    }

    test('somebody else’s packet is none of the pod’s', () => {
      w.endpoint(other);
      const there = w.run('FROM_CONTAINER', request());
      const error = about(there.bytes, router, other);
      assert.deepEqual([...w.runBytes('TO_CONTAINER', error).bytes], [...error]);
    });

    test('a probe changes nothing else', () => {
      const there = w.run('FROM_CONTAINER', request());
      const before = w.snapshot();
      const result = w.runBytes('TO_CONTAINER', about(there.bytes, backend, pod), { flags: META_FLAG.PROBE });
      assert.equal(result.source, plainAddress(vip));
      assert.equal(w.snapshot(), before);
    });

    test('from a backend of a node port: the client is told about what it sent', () => {
      w.endpoint(backend);
      for (const protocol of ['tcp', 'udp'] as const) {
        const spec = request({ protocol, source: web });
        const arrived = w.run('FROM_NETDEV', spec);
        const given = w.next('TO_CONTAINER', arrived);
        assert.equal(given.verdict, VERDICT.FORWARDED);
        const result = w.runBytes('FROM_CONTAINER', about(given.bytes, backend, web));
        assert.deepEqual(
          [result.source, result.destination, result.checksumsRight],
          [plainAddress(vip), plainAddress(web), true],
        );
        const quote = quoteOf(result);
        const sent = frame(spec).slice(14);
        // But for the hop that was taken on the way, and the header checksum with it.
        const from = family === 4 ? 12 : 8;
        assert.deepEqual(quote.slice(from), [...sent.slice(from, quote.length)]);
        if (family === 4) assert.equal(internetChecksum(Uint8Array.from(quote.slice(0, 20))), 0);
      }
    });

    test('a backend without a node port in between leaves it to the client’s own hook', () => {
      w.endpoint(backend);
      const there = w.run('FROM_CONTAINER', request());
      const given = w.next('TO_CONTAINER', there);
      const error = about(given.bytes, backend, pod);
      const sent = w.runBytes('FROM_CONTAINER', error);
      assert.deepEqual(quoteOf(sent), [...error.slice(quoted)]);
      const result = w.next('TO_CONTAINER', sent);
      assert.deepEqual([result.source, result.checksumsRight], [plainAddress(vip), true]);
      assert.deepEqual(quoteOf(result).slice(header), [...frame(request()).slice(14 + header, 14 + header + 20)]);
    });
  });
}
