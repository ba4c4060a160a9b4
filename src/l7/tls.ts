// The TLS ClientHello at the start of a stream (RFC 8446 §4.1.2, §5.1; server_name: RFC 6066 §3). In: the client's bytes in order.
// Out: one finding. Invariant: reads at most MAX_HELLO bytes; every length is checked against what is there; nothing throws.
import type { RequestReader, TakeFinding } from './request.ts';

/** Longest hello that is put together, bytes. */
export const MAX_HELLO = 64 * 1024;
/** A record's payload, RFC 8446 §5.1. */
const MAX_RECORD = 1 << 14;
/** A hello in records, bytes. */
const MOST_HELD = MAX_HELLO + MAX_RECORD + 5;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const SERVER_NAME = 0;
const HOST_NAME = 0;

/** True when bytes look like the start of a TLS record of a handshake. */
export const looksLikeTls = (bytes: Uint8Array): boolean =>
  bytes.length >= 3 && bytes[0] === HANDSHAKE && bytes[1] === 3 && bytes[2]! <= 4;

/** Big-endian reads that fail at the end instead of going past it. */
class Cursor {
  readonly bytes: Uint8Array;
  at = 0;
  ok = true;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  number(width: 1 | 2 | 3): number {
    if (this.at + width > this.bytes.length) this.ok = false;
    let value = 0;
    for (let i = 0; i < width; i++) value = value * 256 + (this.ok ? this.bytes[this.at + i]! : 0);
    this.at += width;
    return value;
  }

  take(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) this.ok = false;
    const part = this.ok ? this.bytes.subarray(this.at, this.at + length) : new Uint8Array(0);
    this.at += length;
    return part;
  }
}

/** See the head of this file. */
export class ClientHelloReader implements RequestReader {
  private readonly take: TakeFinding;
  private records = new Uint8Array(2048);
  private have = 0;
  private done = false;

  constructor(take: TakeFinding) {
    this.take = take;
  }

  get held(): number {
    return this.records.length;
  }

  data(chunk: Uint8Array): void {
    if (this.done) return;
    const room = MOST_HELD - this.have;
    const part = chunk.length > room ? chunk.subarray(0, room) : chunk;
    const end = this.have + part.length;
    if (end > this.records.length) {
      const larger = new Uint8Array(Math.min(MOST_HELD, Math.max(end, 2 * this.records.length)));
      larger.set(this.records.subarray(0, this.have));
      this.records = larger;
    }
    this.records.set(part, this.have);
    this.have = end;
    this.read(chunk.length > room);
  }

  gap(): void {
    if (!this.done) this.finish({ missing: 'a part of the TLS handshake is not in the capture' });
  }

  private finish(finding: Parameters<TakeFinding>[0]): void {
    this.done = true;
    this.records = new Uint8Array(0);
    this.have = 0;
    this.take(finding);
  }

  private read(full: boolean): void {
    const { have, records } = this;
    if (have >= 3 && !looksLikeTls(records)) return this.finish({ malformed: 'not a TLS handshake' });
    const hello = new Uint8Array(Math.min(MAX_HELLO, have));
    let length = 0;
    let at = 0;
    // The hello may be spread over several records.
    while (at + 5 <= have) {
      const size = (records[at + 3]! << 8) | records[at + 4]!;
      if (records[at] !== HANDSHAKE || size === 0 || size > MAX_RECORD)
        return this.finish({ malformed: 'a TLS record that is no handshake before the ClientHello ended' });
      if (at + 5 + size > have) break;
      if (length + size > hello.length) return this.finish({ malformed: `a ClientHello above ${MAX_HELLO} bytes` });
      hello.set(records.subarray(at + 5, at + 5 + size), length);
      length += size;
      at += 5 + size;
      if (length < 4) continue;
      if (hello[0] !== CLIENT_HELLO) return this.finish({ malformed: 'not a ClientHello' });
      const whole = 4 + ((hello[1]! << 16) | (hello[2]! << 8) | hello[3]!);
      if (whole > MAX_HELLO) return this.finish({ malformed: `a ClientHello above ${MAX_HELLO} bytes` });
      if (length >= whole) return this.hello(hello.subarray(4, whole));
    }
    if (full) this.finish({ malformed: `a ClientHello above ${MAX_HELLO} bytes` });
  }

  private hello(body: Uint8Array): void {
    const cursor = new Cursor(body);
    cursor.take(34);
    cursor.take(cursor.number(1));
    cursor.take(cursor.number(2));
    cursor.take(cursor.number(1));
    if (!cursor.ok) return this.finish({ malformed: 'a ClientHello whose lengths lie' });
    const extensions = cursor.at < body.length ? new Cursor(cursor.take(cursor.number(2))) : undefined;
    if (!cursor.ok) return this.finish({ malformed: 'a ClientHello whose lengths lie' });
    let serverName: string | undefined;
    while (extensions !== undefined && extensions.at < extensions.bytes.length) {
      const type = extensions.number(2);
      const content = extensions.take(extensions.number(2));
      if (!extensions.ok) return this.finish({ malformed: 'a ClientHello whose lengths lie' });
      if (type !== SERVER_NAME || serverName !== undefined) continue;
      serverName = hostName(content);
      if (serverName === undefined) return this.finish({ malformed: 'a server_name extension whose lengths lie' });
    }
    this.finish({ request: { protocol: 'tls', serverName } });
  }
}

/** The first host_name of a ServerNameList; undefined where the list is broken. */
function hostName(content: Uint8Array): string | undefined {
  const outer = new Cursor(content);
  const list = new Cursor(outer.take(outer.number(2)));
  if (!outer.ok) return undefined;
  while (list.at < list.bytes.length) {
    const type = list.number(1);
    const name = list.take(list.number(2));
    if (!list.ok) return undefined;
    if (type !== HOST_NAME) continue;
    let text = '';
    for (const byte of name) text += String.fromCharCode(byte);
    text = text.toLowerCase();
    return text.endsWith('.') ? text.slice(0, -1) : text;
  }
  return undefined;
}
