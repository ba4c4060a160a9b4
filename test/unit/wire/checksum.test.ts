// Checksum vectors: RFC 1071's and RFC 1624's examples, a known IPv4 header, UDP's zeros, CRC32c.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  adjust16,
  adjust32,
  crc32c,
  emitSctp,
  finishSum,
  finishUdpSum,
  foldSum,
  isIpv4ChecksumRight,
  pseudoHeaderSum4,
  readRaw16,
  readRaw32,
  sctpChecksum,
  sumBytes,
  swap16,
  udpRule,
  writeChecksum,
  writeRaw32,
} from '../../../src/wire/index.ts';
import { hex, join, placed } from './frames.ts';

describe('internet checksum', () => {
  it('gives RFC 1071 §3', () => {
    const bytes = placed(hex('0001 f203 f4f5 f6f7'), 3);
    assert.equal(swap16(sumBytes(bytes, 3, 11, 0)), 0xddf2);
    assert.equal(swap16(finishSum(sumBytes(bytes, 3, 11, 0))), 0x220d);
  });

  it('gives a known IPv4 header', () => {
    const header = hex('45000073 00004000 40110000 c0a80001 c0a800c7');
    writeChecksum(header, 0, 20, 10, 0, false);
    assert.deepEqual(header.slice(10, 12), hex('b861'));
    assert.ok(isIpv4ChecksumRight(header, 0));
    header[8] = 63;
    assert.ok(!isIpv4ChecksumRight(header, 0));
  });

  it('gives RFC 1624 §4, where the other equation gives the wrong zero', () => {
    assert.equal(swap16(adjust16(swap16(0xdd2f), swap16(0x5555), swap16(0x3285))), 0x0000);
  });

  it('has one exception: a message that becomes all zeros', () => {
    const reply = hex('0000 0000 1234 0000');
    writeChecksum(reply, 0, 8, 2, 0, false);
    assert.equal(adjust16(readRaw16(reply, 2), 0x3412, 0), 0);
    reply.fill(0);
    writeChecksum(reply, 0, 8, 2, 0, false);
    assert.equal(readRaw16(reply, 2), 0xffff);
  });

  it('gives Cilium’s NodePort vector: 110.0.11.1:111 to 172.16.10.1:80, translated to 192.168.0.1:8080', () => {
    const payload = Uint8Array.from('Should not change!!\0', (c) => c.charCodeAt(0));
    const tcp = join(hex('006f 0050 0001e240 00000000 5002 ffff 0000 0000'), payload);
    const ip = hex('4500 003c 0000 0000 4006 0000 6e000b01 ac100a01');
    const source = readRaw32(ip, 12);
    writeChecksum(ip, 0, 20, 10, 0, false);
    writeChecksum(tcp, 0, 40, 16, pseudoHeaderSum4(source, readRaw32(ip, 16), 6, 40), false);
    const backend = readRaw32(hex('c0a80001'), 0);
    const ipCheck = adjust32(readRaw16(ip, 10), readRaw32(ip, 16), backend);
    assert.equal(ipCheck, swap16(0x4112));
    let check = adjust32(readRaw16(tcp, 16), readRaw32(ip, 16), backend);
    check = adjust16(check, readRaw16(tcp, 2), swap16(8080));
    assert.equal(check, swap16(0x3771));
  });

  it('keeps UDP’s zeros apart', () => {
    assert.equal(finishUdpSum(0xffff), 0xffff);
    assert.equal(finishSum(0xffff), 0);
    assert.equal(finishUdpSum(0x1234), 0xedcb);
    assert.equal(udpRule(0, 0x1234), 0);
    assert.equal(udpRule(0x1234, 0), 0xffff);
    assert.equal(udpRule(0x1234, 0x4321), 0x4321);
  });

  it('folds the largest sums', () => {
    assert.equal(foldSum(0x7fffffff), 0x7fff);
    assert.equal(foldSum(0x7ffe0002), 0x8000);
    assert.equal(foldSum(0x1fffe), 0xffff);
    assert.equal(foldSum(0xffff), 0xffff);
    assert.equal(foldSum(0x10000), 1);
    assert.equal(foldSum(0), 0);
  });
});

describe('CRC32c', () => {
  it('gives the known values (RFC 3720 B.4)', () => {
    const crc = (bytes: Uint8Array): number => crc32c(placed(bytes, 1), 1, 1 + bytes.length) >>> 0;
    assert.equal(crc(Uint8Array.from('123456789', (c) => c.charCodeAt(0))), 0xe3069283);
    assert.equal(crc(new Uint8Array(32)), 0x8a9136aa);
    assert.equal(crc(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
    assert.equal(crc(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
    assert.equal(crc(new Uint8Array(0)), 0);
  });

  it('of an SCTP packet takes its own field as zero', () => {
    const packet = new Uint8Array(20).fill(7);
    emitSctp(packet, 0, { sourcePort: 1, destinationPort: 2, verificationTag: 3, checksum: 0 });
    const expected = crc32c(packet, 0, 20);
    writeRaw32(packet, 8, -1);
    assert.equal(sctpChecksum(packet, 0, 20), expected);
  });
});
