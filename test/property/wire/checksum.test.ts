// Properties of checksums: incremental adjustment equals a full recompute for every rewrite, partial included.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  addOddSum,
  adjust16,
  adjust32,
  adjustPartial16,
  adjustPartial32,
  adjustPartialWords,
  adjustWords,
  finishSum,
  foldSum,
  isChecksumRight,
  pseudoHeaderSum4,
  pseudoHeaderSum6,
  readRaw16,
  readRaw32,
  sumBytes,
  swap16,
  udpRule,
  writeChecksum,
  writeRaw16,
  writeRaw32,
} from '../../../src/wire/index.ts';
import { int32, u16, words } from './arbitraries.ts';

/** The checksum by the letter of RFC 1071, in host order and with numbers of any size: the reference. */
function reference(bytes: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return 0xffff - sum;
}

const text = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.integer({ min: 0, max: 90 }).map((length) => new Uint8Array(length).fill(0xff)),
  fc.integer({ min: 0, max: 90 }).map((length) => new Uint8Array(length)),
);

/** One L4 message behind a pseudo-header: family, protocol, where its checksum is, how long the fixed part is. */
const KINDS = [
  { name: 'TCP over IPv4', six: false, protocol: 6, field: 16, least: 20, ports: true },
  { name: 'UDP over IPv4', six: false, protocol: 17, field: 6, least: 8, ports: true },
  { name: 'TCP over IPv6', six: true, protocol: 6, field: 16, least: 20, ports: true },
  { name: 'UDP over IPv6', six: true, protocol: 17, field: 6, least: 8, ports: true },
  { name: 'ICMPv6', six: true, protocol: 58, field: 2, least: 8, ports: false },
  { name: 'ICMP', six: false, protocol: 1, field: 2, least: 8, ports: false },
] as const;

describe('full sums', () => {
  it('equal the reference at any offset and length', () => {
    fc.assert(
      fc.property(text, fc.nat(5), (bytes, at) => {
        const out = new Uint8Array(at + bytes.length + 3).fill(0xa5);
        out.set(bytes, at);
        assert.equal(swap16(finishSum(sumBytes(out, at, at + bytes.length, 0))), reference([...bytes]));
      }),
    );
  });

  it('do not overflow on the largest packets', () => {
    for (const length of [65535, 65536, 262144, 1_000_001]) {
      const bytes = new Uint8Array(length).fill(0xff);
      const sum = sumBytes(bytes, 0, length, 0xffff);
      assert.ok(sum <= 0xffff);
      assert.equal(finishSum(sumBytes(bytes, 0, length, 0)), swap16(reference([...bytes])));
    }
  });

  it('may be taken in parts, at odd positions too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), (bytes, at) => {
        const cut = Math.min(at, bytes.length);
        const head = sumBytes(bytes, 0, cut, 0);
        const whole = sumBytes(bytes, 0, bytes.length, 0);
        const tail = sumBytes(bytes, cut, bytes.length, 0);
        assert.equal((cut & 1) === 0 ? foldSum(head + tail) : addOddSum(head, tail), whole);
        if ((cut & 1) === 0) assert.equal(sumBytes(bytes, cut, bytes.length, head), whole);
      }),
    );
  });

  it('of pseudo-headers equal the reference over their bytes', () => {
    fc.assert(
      fc.property(words, words, fc.integer({ min: 0, max: 255 }), fc.nat(300_000), (s, d, protocol, length) => {
        const bytes = new Uint8Array(40);
        for (let i = 0; i < 4; i++) {
          writeRaw32(bytes, 4 * i, s[i]!);
          writeRaw32(bytes, 16 + 4 * i, d[i]!);
        }
        bytes.set([length >>> 24, length >>> 16, length >>> 8, length, 0, 0, 0, protocol], 32);
        assert.equal(finishSum(pseudoHeaderSum6(...s, ...d, protocol, length)), swap16(reference([...bytes])));
        const four = [...bytes.slice(0, 4), ...bytes.slice(16, 20), 0, protocol, ...bytes.slice(32, 36)];
        assert.equal(finishSum(pseudoHeaderSum4(s[0], d[0], protocol, length)), swap16(reference(four)));
      }),
    );
  });
});

describe('incremental adjustment', () => {
  for (const kind of KINDS) {
    it(`equals a full recompute: ${kind.name}`, () => {
      fc.assert(
        fc.property(words, words, words, words, int32, u16, text, (s, d, s2, d2, ports, word, body) => {
          const message = new Uint8Array(kind.least + body.length);
          message.set(body, kind.least);
          // An echo request: a message of nothing but zeros is the one exception, tested in the unit tests.
          if (kind.protocol === 1) message[0] = 8;
          const end = message.length;
          const udp = kind.protocol === 17;
          const pseudo = (a: typeof s, b: typeof d): number => {
            if (kind.protocol === 1) return 0;
            return kind.six
              ? pseudoHeaderSum6(...a, ...b, kind.protocol, end)
              : pseudoHeaderSum4(a[0], b[0], kind.protocol, end);
          };
          const full = (a: typeof s, b: typeof d): number => {
            const copy = message.slice();
            writeChecksum(copy, 0, end, kind.field, pseudo(a, b), udp);
            assert.ok(isChecksumRight(copy, 0, end, pseudo(a, b)));
            return readRaw16(copy, kind.field);
          };
          const rule = (before: number, after: number): number => (udp ? udpRule(before, after) : after);
          let check = full(s, d);
          // Addresses, as a NAT rewrites them.
          if (kind.protocol !== 1) {
            const next = kind.six
              ? adjustWords(adjustWords(check, ...s, ...s2), ...d, ...d2)
              : adjust32(adjust32(check, s[0], s2[0]), d[0], d2[0]);
            check = rule(check, next);
            assert.equal(check, full(s2, d2), 'addresses');
          }
          // Ports, or the ICMP identifier.
          if (kind.ports) {
            const before = readRaw32(message, 0);
            writeRaw32(message, 0, ports);
            check = rule(check, adjust32(check, before, ports));
          } else {
            const before = readRaw16(message, 4);
            writeRaw16(message, 4, word);
            check = rule(check, adjust16(check, before, word));
          }
          assert.equal(check, full(s2, d2), 'ports');
          // And back: the same bytes give the same checksum.
          if (kind.ports) check = rule(check, adjust32(check, ports, 0));
          else check = rule(check, adjust16(check, word, 0));
          if (kind.ports) writeRaw32(message, 0, 0);
          else writeRaw16(message, 4, 0);
          assert.equal(check, full(s2, d2), 'back');
        }),
        { numRuns: 400 },
      );
    });
  }

  it('of the IPv4 header: addresses and TTL with protocol', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 20, maxLength: 20 }),
        int32,
        int32,
        u16,
        (header, source, target, hops) => {
          header[0] = 0x45;
          writeChecksum(header, 0, 20, 10, 0, false);
          let check = readRaw16(header, 10);
          check = adjust32(check, readRaw32(header, 12), source);
          check = adjust32(check, readRaw32(header, 16), target);
          check = adjust16(check, readRaw16(header, 8), hops);
          writeRaw32(header, 12, source);
          writeRaw32(header, 16, target);
          writeRaw16(header, 8, hops);
          writeChecksum(header, 0, 20, 10, 0, false);
          assert.equal(check, readRaw16(header, 10));
        },
      ),
    );
  });

  it('of a partial checksum equals the new pseudo-header sum, and the device then computes the right checksum', () => {
    fc.assert(
      fc.property(words, words, words, u16, u16, text, (s, d, d2, ports, bytes, body) => {
        const message = new Uint8Array(20 + body.length);
        message.set(body, 20);
        const end = message.length;
        const six = adjustPartialWords(pseudoHeaderSum6(...s, ...d, 6, end), ...d, ...d2);
        assert.equal(six, pseudoHeaderSum6(...s, ...d2, 6, end));
        const four = adjustPartial32(pseudoHeaderSum4(s[0], d[0], 6, end), d[0], d2[0]);
        assert.equal(four, pseudoHeaderSum4(s[0], d2[0], 6, end));
        const length = adjustPartial16(pseudoHeaderSum4(s[0], d[0], 6, end), swap16(end), swap16(bytes));
        assert.equal(length, pseudoHeaderSum4(s[0], d[0], 6, bytes));
        // A port change leaves the field alone; the device sums the bytes as they are then, the field among them.
        writeRaw16(message, 2, ports);
        writeRaw16(message, 16, four);
        const sent = finishSum(sumBytes(message, 0, end, 0));
        writeRaw16(message, 16, 0);
        assert.equal(sent, finishSum(sumBytes(message, 0, end, pseudoHeaderSum4(s[0], d2[0], 6, end))));
      }),
    );
  });
});
