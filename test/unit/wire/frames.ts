// Test support of the wire room: bytes from hexadecimal text, guarded emission, and small packet builders.
// Not a test. Invariant: builders write by hand, not with the emitters under test, except where a test says so.

import assert from 'node:assert/strict';

/** Bytes of hexadecimal text; white space is ignored. */
export function hex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '');
  assert.equal(digits.length % 2, 0, 'whole bytes');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

/** Concatenation. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/**
 * Emits at odd and even offsets inside a buffer of 0xa5 bytes, and checks that the returned size is right, that nothing
 * around was touched, that a buffer one byte too short gets nothing, and that every offset gave the same bytes.
 */
export function emitted(size: number, emit: (out: Uint8Array, at: number) => number): Uint8Array {
  let first: Uint8Array | undefined;
  for (const at of [0, 1, 2, 7, 13]) {
    const out = new Uint8Array(at + size + 5).fill(0xa5);
    assert.equal(emit(out, at), size, 'bytes written');
    assert.ok(
      out.subarray(0, at).every((byte) => byte === 0xa5),
      'before',
    );
    assert.ok(
      out.subarray(at + size).every((byte) => byte === 0xa5),
      'behind',
    );
    const bytes = out.slice(at, at + size);
    first ??= bytes;
    assert.deepEqual(bytes, first, `offset ${at}`);
    const short = new Uint8Array(at + size - 1).fill(0xa5);
    assert.equal(emit(short, at), 0, 'does not fit');
    assert.ok(
      short.every((byte) => byte === 0xa5),
      'nothing written when it does not fit',
    );
  }
  return first!;
}

/** The same bytes at offset `at` of a bigger buffer of 0xa5 bytes. */
export function placed(bytes: Uint8Array, at: number): Uint8Array {
  const out = new Uint8Array(at + bytes.length + 9).fill(0xa5);
  out.set(bytes, at);
  return out;
}

/** An IPv4 header without options and with a zero checksum; addresses 10.0.0.1 → 10.0.0.2. */
export function ipv4(
  protocol: number,
  payload: Uint8Array,
  change: { fragment?: number; total?: number } = {},
): Uint8Array {
  const total = change.total ?? 20 + payload.length;
  const fragment = change.fragment ?? 0;
  const head = [0x45, 0, total >>> 8, total, 0x12, 0x34, fragment >>> 8, fragment, 64, protocol, 0, 0];
  return join(Uint8Array.from([...head, 10, 0, 0, 1, 10, 0, 0, 2]), payload);
}

/** An IPv6 header, fd00::1 → fd00::2. */
export function ipv6(next: number, payload: Uint8Array, payloadBytes: number = payload.length): Uint8Array {
  const head = [0x60, 0, 0, 0, payloadBytes >>> 8, payloadBytes, next, 64];
  const source = [0xfd, ...new Array<number>(14).fill(0), 1];
  const destination = [0xfd, ...new Array<number>(14).fill(0), 2];
  return join(Uint8Array.from([...head, ...source, ...destination]), payload);
}

/** An Ethernet header of the given type and its payload. */
export function ethernet(type: number, payload: Uint8Array): Uint8Array {
  return join(hex('02 00 00 00 00 02 02 00 00 00 00 01'), Uint8Array.from([type >>> 8, type]), payload);
}

/** TCP 0x1234 → 0x0050, SYN, no options; 4 bytes of payload. */
export const TCP_SYN = hex('1234 0050 00000001 00000000 5002 ffff 0000 0000 61626364');
/** UDP 0x1234 → 0x0035 with 4 bytes of payload. */
export const UDP_DATA = hex('1234 0035 000c 0000 61626364');
/** Echo request, identifier 0xbeef, sequence 1. */
export const ECHO = hex('0800 0000 beef 0001 61626364');
/** ICMPv6 echo request, identifier 0xbeef. */
export const ECHO6 = hex('8000 0000 beef 0001 61626364');
/** SCTP 0x1234 → 0x0050 with an INIT chunk's first bytes. */
export const SCTP_INIT = hex('1234 0050 00000000 00000000 01000004');
