// HTTP/1 requests of one connection, pipelined ones included (RFC 9112). In: the client's bytes in order. Out: a finding for each
// request head. Strict where Envoy is: what two readers could understand in two ways is refused.
// Invariant: nothing throws; a head, a chunk's line and trailers are at most MAX_HEAD bytes each; a body costs the same whatever its
// length, and is passed over, missing parts included.
import { METHODS } from 'node:http';
import type { HttpRequest, RequestReader, TakeFinding } from './request.ts';

/** Longest request line and headers together, bytes: Envoy's default limit of 60 KiB. */
export const MAX_HEAD = 60 * 1024;

const LF = 10;
const CR = 13;
const KNOWN: ReadonlySet<string> = new Set(METHODS);
/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** A size, and extensions that nobody needs (RFC 9112 §7.1). */
const CHUNK_LINE = /^([0-9A-Fa-f]{1,12})[ \t]*(?:;.*)?$/;

/** What is read next. A `body` is a sized one or a chunk's content; `chunk end` is the empty line behind that. */
type State = 'request line' | 'header' | 'body' | 'chunk line' | 'chunk end' | 'trailer';

/** See the head of this file. */
export class Http1Reader implements RequestReader {
  /** The last request asked to change the protocol (Upgrade, CONNECT): what follows is not HTTP/1 if the server agrees. */
  upgraded = false;
  private readonly take: TakeFinding;
  private broken = false;
  private state: State = 'request line';
  /** The beginning of a line whose end has not come, and its length. */
  private line = new Uint8Array(256);
  private lineBytes = 0;
  /** Bytes of whole lines of this head, or of these trailers. */
  private headBytes = 0;
  /** Bytes of the body or chunk that are still to come, and whether a chunk it is. */
  private left = 0;
  private chunked = false;
  private method = '';
  private target = '';
  private version = '';
  private headers: [string, string][] = [];

  constructor(take: TakeFinding) {
    this.take = take;
  }

  get held(): number {
    return this.line.length + this.headBytes;
  }

  data(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.broken && !this.upgraded) {
      if (this.state === 'body') {
        const part = Math.min(this.left, chunk.length - at);
        at += part;
        this.pass(part);
        continue;
      }
      const end = chunk.indexOf(LF, at);
      const stop = end < 0 ? chunk.length : end;
      if (this.headBytes + this.lineBytes + (stop - at) > MAX_HEAD) {
        this.refuse(this.state === 'chunk line' ? `a chunk's line above ${MAX_HEAD} bytes` : tooLong(this.state));
        return;
      }
      this.keep(chunk.subarray(at, stop));
      at = stop + 1;
      if (end >= 0) this.endLine();
    }
  }

  gap(bytes: number): void {
    if (this.broken || this.upgraded) return;
    // What is missing lies within a body, whose end is known.
    if (bytes > 0 && this.state === 'body' && bytes <= this.left) {
      this.pass(bytes);
      return;
    }
    // Where the next request begins cannot be told any more.
    this.give({ missing: 'a part of the HTTP stream is not in the capture' });
  }

  private refuse(malformed: string): void {
    this.give({ malformed });
  }

  private give(finding: Parameters<TakeFinding>[0]): void {
    this.broken = true;
    this.line = new Uint8Array(0);
    this.headBytes = 0;
    this.headers = [];
    this.take(finding);
  }

  private pass(bytes: number): void {
    this.left -= bytes;
    if (this.left === 0) this.state = this.chunked ? 'chunk end' : 'request line';
  }

  private keep(part: Uint8Array): void {
    const end = this.lineBytes + part.length;
    if (end > this.line.length) {
      const larger = new Uint8Array(Math.max(end, Math.min(MAX_HEAD, 2 * this.line.length)));
      larger.set(this.line.subarray(0, this.lineBytes));
      this.line = larger;
    }
    this.line.set(part, this.lineBytes);
    this.lineBytes = end;
  }

  /** A line is whole: without its end it stands in `line`. */
  private endLine(): void {
    const { line, lineBytes } = this;
    const bytes = lineBytes > 0 && line[lineBytes - 1] === CR ? lineBytes - 1 : lineBytes;
    let text = '';
    for (let i = 0; i < bytes; i++) {
      const byte = line[i]!;
      // Tab is the one control character that a line may hold (RFC 9110 §5.5).
      if ((byte < 32 && byte !== 9) || byte === 127) return this.refuse('a control character in a line of HTTP');
      text += String.fromCharCode(byte);
    }
    this.headBytes += lineBytes + 1;
    this.lineBytes = 0;
    switch (this.state) {
      case 'request line':
        return this.requestLine(text);
      case 'header':
      case 'trailer':
        return this.field(text);
      case 'chunk line':
        return this.chunkLine(text);
      case 'chunk end':
        this.headBytes = 0;
        this.state = 'chunk line';
        if (text !== '') this.refuse('a chunk that is longer than it says');
        return;
      case 'body':
    }
  }

  private requestLine(text: string): void {
    // Empty lines before a request are passed over (RFC 9112 §2.2).
    if (text === '') {
      this.headBytes = 0;
      return;
    }
    const [method = '', target = '', version = '', ...rest] = text.split(' ', 4);
    const known = KNOWN.has(method) && target !== '' && /^HTTP\/1\.[0-9]$/.test(version) && rest.length === 0;
    if (!known) return this.refuse('not an HTTP/1 request');
    this.method = method;
    this.target = target;
    this.version = version;
    this.headers = [];
    this.state = 'header';
  }

  private field(text: string): void {
    if (text === '') {
      if (this.state === 'header') this.endHead();
      else this.beginRequest();
      return;
    }
    const colon = text.indexOf(':');
    const name = text.slice(0, Math.max(0, colon));
    if (!TOKEN.test(name)) {
      const folded = text.startsWith(' ') || text.startsWith('\t');
      return this.refuse(folded ? 'a header folded over two lines' : 'a header line without a name');
    }
    if (this.state === 'header') this.headers.push([name.toLowerCase(), trimmed(text, colon + 1)]);
  }

  private chunkLine(text: string): void {
    const size = CHUNK_LINE.exec(text)?.[1];
    if (size === undefined) return this.refuse('a chunk size that is no number');
    this.headBytes = 0;
    this.left = Number.parseInt(size, 16);
    this.state = this.left === 0 ? 'trailer' : 'body';
  }

  private beginRequest(): void {
    this.headBytes = 0;
    this.headers = [];
    this.state = 'request line';
  }

  private endHead(): void {
    const { headers, method, version } = this;
    const wrong = wrongFraming(headers);
    if (wrong !== undefined) return this.refuse(wrong);
    // CONNECT names an authority and nothing else (RFC 9112 §3.2.3).
    const { path, authority } = method === 'CONNECT' ? { path: '', authority: this.target } : targetOf(this.target);
    const host = authority ?? valueOf(headers, 'host');
    // A proxy has to answer 400 (RFC 9112 §3.2); Envoy asks for it of every version.
    if (host === undefined) return this.refuse('no Host');
    const request: HttpRequest = { protocol: 'http', version, method, path, host, headers };
    this.beginRequest();
    this.take({ request });
    const upgrade = valueOf(headers, 'upgrade') !== undefined && asksUpgrade(valueOf(headers, 'connection') ?? '');
    if (method === 'CONNECT' || upgrade) {
      this.upgraded = true;
      return;
    }
    this.chunked = valueOf(headers, 'transfer-encoding') !== undefined;
    this.left = Number(valueOf(headers, 'content-length') ?? 0);
    if (this.chunked) this.state = 'chunk line';
    else if (this.left > 0) this.state = 'body';
  }
}

const tooLong = (state: State): string => `${state === 'trailer' ? 'trailers' : 'a head'} above ${MAX_HEAD} bytes`;

type Headers = readonly (readonly [string, string])[];

const valueOf = (headers: Headers, name: string): string | undefined => headers.find(([own]) => own === name)?.[1];

/** Without blanks and tabs around it, from a place on; linear on any text. */
function trimmed(text: string, from: number): string {
  const blank = (at: number): boolean => text[at] === ' ' || text[at] === '\t';
  let begin = from;
  let end = text.length;
  while (begin < end && blank(begin)) begin++;
  while (end > begin && blank(end - 1)) end--;
  return text.slice(begin, end);
}

const asksUpgrade = (connection: string): boolean =>
  connection
    .toLowerCase()
    .split(',')
    .some((option) => option.trim() === 'upgrade');

/** Two ways to tell where the body ends, or a length that is none: the proxy answers 400 (RFC 9112 §6.3) or 501. */
function wrongFraming(headers: Headers): string | undefined {
  const lengths = headers.filter(([name]) => name === 'content-length').map(([, value]) => value);
  const encodings = headers.filter(([name]) => name === 'transfer-encoding').map(([, value]) => value.toLowerCase());
  if (lengths.some((length) => !/^[0-9]{1,15}$/.test(length))) return 'Content-Length is not a number';
  if (lengths.some((length) => length !== lengths[0])) return 'two lengths in Content-Length';
  if (encodings.length > 0 && lengths.length > 0) return 'both Content-Length and Transfer-Encoding';
  if (encodings.length > 1 || (encodings[0] ?? 'chunked') !== 'chunked')
    return 'a Transfer-Encoding other than chunked';
  return headers.filter(([name]) => name === 'host').length > 1 ? 'more than one Host' : undefined;
}

/** Origin form stays; of an absolute form the authority is taken off, as Envoy does (RFC 9112 §3.2). */
function targetOf(url: string): { readonly path: string; readonly authority?: string } {
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]{0,31}:\/\//.exec(url);
  if (absolute === null) return { path: url };
  const rest = url.slice(absolute[0].length);
  const end = rest.search(/[/?#]/);
  if (end < 0) return { path: '/', authority: rest };
  const path = rest.slice(end);
  return { path: path.startsWith('/') ? path : `/${path}`, authority: rest.slice(0, end) };
}
