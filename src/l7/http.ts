// HTTP of either major version on one connection. In: the client's bytes in order. Out: findings. Invariant: the version is told by the
// first bytes (RFC 9113 §3.3); TLS is told apart from both, since its requests cannot be seen.
import { Http1Reader } from './http1.ts';
import { Http2Reader, PREFACE } from './http2.ts';
import type { RequestReader, TakeFinding } from './request.ts';
import { looksLikeTls } from './tls.ts';

/** The preface's first bytes, enough to tell it from any HTTP/1 method. */
const DECIDING = 4;

/** See the head of this file. */
export class HttpReader implements RequestReader {
  private readonly take: TakeFinding;
  private reader: RequestReader | undefined = undefined;
  private first: number[] = [];
  private over = false;

  constructor(take: TakeFinding) {
    this.take = take;
  }

  get held(): number {
    return this.reader?.held ?? this.first.length;
  }

  data(chunk: Uint8Array): void {
    if (this.over || chunk.length === 0) return;
    const { reader } = this;
    if (reader instanceof Http1Reader && reader.upgraded) {
      // After an upgrade to h2c the client begins with the preface; anything else is the business of another protocol.
      this.reader = undefined;
      this.first = [];
      if (!isPreface(chunk)) {
        this.over = true;
        return;
      }
    }
    if (this.reader !== undefined) return this.reader.data(chunk);
    const bytes = Uint8Array.from([...this.first, ...chunk.subarray(0, DECIDING)]).subarray(0, DECIDING);
    if (bytes.length < DECIDING && bytes[0] !== 0x16) {
      this.first.push(...chunk);
      return;
    }
    if (looksLikeTls(bytes)) {
      this.over = true;
      return this.take({ missing: 'the plaintext of the TLS connection' });
    }
    const found = isPreface(bytes) ? new Http2Reader(this.take) : new Http1Reader(this.take);
    this.reader = found;
    if (this.first.length > 0) found.data(Uint8Array.from(this.first));
    this.first = [];
    found.data(chunk);
  }

  gap(bytes: number): void {
    if (this.over) return;
    if (this.reader !== undefined) return this.reader.gap(bytes);
    this.over = true;
    this.take({ missing: 'the beginning of the HTTP stream' });
  }
}

const isPreface = (bytes: Uint8Array): boolean => {
  for (let i = 0; i < Math.min(bytes.length, DECIDING); i++) if (bytes[i] !== PREFACE.charCodeAt(i)) return false;
  return bytes.length > 0;
};
