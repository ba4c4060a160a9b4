// HTTP/1 requests of one connection, pipelined ones included. In: the client's bytes in order. Out: a finding for each request head.
// The grammar is http-parser-js'; what Envoy refuses beyond it (two framings at once, a length that is no number) is refused here.
// Invariant: nothing throws; a head is at most MAX_HEAD bytes; bodies are passed over, not kept.
import { Buffer } from 'node:buffer';
import { HTTPParser } from 'http-parser-js';
import type { HttpRequest, RequestReader, TakeFinding } from './request.ts';

/** Longest request line and headers together, bytes: Envoy's default limit of 60 KiB. */
export const MAX_HEAD = 60 * 1024;
/** Piece in which what is missing of a body is made up for, bytes. */
const ZEROS = 4096;

interface HeadInfo {
  readonly versionMajor: number;
  readonly versionMinor: number;
  readonly headers: readonly string[];
  readonly method: number;
  readonly url: string;
  readonly upgrade: boolean;
}

/** What `Http1Reader` needs of the parser; its published types are for replacing Node's own. */
interface Parser {
  maxHeaderSize: number;
  /** Name of the part of a message that is read. */
  readonly state: string;
  /** Bytes of a body or chunk that are still to come. */
  readonly body_bytes: number | null;
  execute(chunk: Buffer): number | Error;
  [key: number]: (info: HeadInfo) => unknown;
}

/** Refuses a head from within the parser. */
class Refused extends Error {}

/** See the head of this file. */
export class Http1Reader implements RequestReader {
  /** The last request asked to change the protocol (Upgrade, CONNECT): what follows is not HTTP/1 if the server agrees. */
  upgraded = false;
  /** Bytes since the last whole head, of which the parser keeps some. */
  held = 0;
  private readonly take: TakeFinding;
  private readonly parser: Parser;
  private broken = false;

  constructor(take: TakeFinding) {
    this.take = take;
    const parser = new HTTPParser(HTTPParser.REQUEST) as unknown as Parser;
    parser.maxHeaderSize = MAX_HEAD;
    parser[HTTPParser.kOnHeadersComplete as unknown as number] = (info): void => this.head(info);
    this.parser = parser;
  }

  data(chunk: Uint8Array): void {
    if (this.broken || this.upgraded || chunk.length === 0) return;
    this.held = Math.min(MAX_HEAD, this.held + chunk.length);
    let result: number | Error;
    try {
      result = this.parser.execute(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
    } catch (cause) {
      result = cause instanceof Error ? cause : new Error('not HTTP');
    }
    if (typeof result === 'number' || this.upgraded) return;
    this.broken = true;
    this.take({ malformed: result instanceof Refused ? result.message : 'not an HTTP/1 request' });
  }

  gap(bytes: number): void {
    if (this.broken || this.upgraded) return;
    const { state, body_bytes: left } = this.parser;
    // What is missing lies within a body, whose end is known.
    const within = bytes > 0 && (state === 'BODY_SIZED' || state === 'BODY_CHUNK') && left !== null && bytes <= left;
    if (within) {
      const zeros = new Uint8Array(Math.min(bytes, ZEROS));
      for (let rest = bytes; rest > 0; rest -= ZEROS) this.data(zeros.subarray(0, Math.min(rest, ZEROS)));
      return;
    }
    // Where the next request begins cannot be told any more.
    this.broken = true;
    this.take({ missing: 'a part of the HTTP stream is not in the capture' });
  }

  private head(info: HeadInfo): void {
    const headers: [string, string][] = [];
    for (let i = 0; i + 1 < info.headers.length; i += 2) {
      headers.push([info.headers[i]!.toLowerCase(), info.headers[i + 1]!]);
    }
    const size = info.headers.reduce((sum, text) => sum + text.length, info.url.length);
    if (size > MAX_HEAD) throw new Refused(`a head above ${MAX_HEAD} bytes`);
    checkFraming(headers);
    const { path, authority } = target(info.url);
    const host = authority ?? headers.find(([name]) => name === 'host')?.[1] ?? '';
    const request: HttpRequest = {
      protocol: 'http',
      version: `HTTP/${info.versionMajor}.${info.versionMinor}`,
      method: HTTPParser.methods[info.method] ?? '',
      path,
      host,
      headers,
    };
    this.take({ request });
    this.held = 0;
    if (info.upgrade) this.upgraded = true;
  }
}

/** Two ways to tell where the body ends, or a length that is none: the proxy answers 400 (RFC 9112 §6.3). */
function checkFraming(headers: readonly (readonly [string, string])[]): void {
  const lengths = headers.filter(([name]) => name === 'content-length').map(([, value]) => value);
  const encoded = headers.some(([name]) => name === 'transfer-encoding');
  if (lengths.some((length) => !/^[0-9]{1,15}$/.test(length))) throw new Refused('Content-Length is not a number');
  if (encoded && lengths.length > 0) throw new Refused('both Content-Length and Transfer-Encoding');
  const hosts = headers.filter(([name]) => name === 'host').length;
  if (hosts > 1) throw new Refused('more than one Host');
}

/** Origin form stays; of an absolute form the authority is taken off, as Envoy does (RFC 9112 §3.2). */
function target(url: string): { readonly path: string; readonly authority?: string } {
  const absolute = /^[A-Za-z][A-Za-z0-9+.-]{0,31}:\/\//.exec(url);
  if (absolute === null) return { path: url };
  const rest = url.slice(absolute[0].length);
  const end = rest.search(/[/?#]/);
  if (end < 0) return { path: '/', authority: rest };
  const path = rest.slice(end);
  return { path: path.startsWith('/') ? path : `/${path}`, authority: rest.slice(0, end) };
}
