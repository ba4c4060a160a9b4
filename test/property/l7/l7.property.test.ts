// Properties of layer 7: streams deliver each byte once whatever happened on the way; no bytes make a reader throw or hold without bound.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { namePattern } from '../../../src/control/policy/name-pattern.ts';
import { DnsStream, readDns } from '../../../src/l7/dns.ts';
import { HttpReader } from '../../../src/l7/http.ts';
import { Http1Reader } from '../../../src/l7/http1.ts';
import { Http2Reader, PREFACE } from '../../../src/l7/http2.ts';
import { KafkaReader } from '../../../src/l7/kafka.ts';
import { TcpStream } from '../../../src/l7/stream.ts';
import { ClientHelloReader } from '../../../src/l7/tls.ts';
import { ascii, cut, findings } from '../../support/l7-findings.ts';

/** A text, its pieces in some order, some of them twice or overlapping, some lost. */
const journeys = fc.record({
  start: fc.integer(),
  text: fc.uint8Array({ minLength: 1, maxLength: 200 }),
  pieces: fc.array(fc.record({ at: fc.nat(200), length: fc.integer({ min: 1, max: 40 }), cut: fc.nat(10) }), {
    maxLength: 40,
  }),
});

test('a stream: what is told is what was sent, in order, gaps counted exactly', () => {
  fc.assert(
    fc.property(journeys, ({ start, text, pieces }) => {
      let position = 0;
      const stream = new TcpStream({
        data(chunk) {
          assert.deepEqual([...chunk], [...text.subarray(position, position + chunk.length)]);
          position += chunk.length;
        },
        gap: (bytes) => void (position += bytes),
      });
      stream.syn((start - 1) | 0);
      for (const { at, length, cut } of pieces) {
        if (at >= text.length) continue;
        const whole = text.subarray(at, at + length);
        const captured = whole.subarray(0, Math.max(0, whole.length - cut));
        stream.segment((start + at) | 0, captured, whole.length);
      }
      stream.end();
      assert.equal(stream.waitingBytes, 0);
      const reached = Math.max(
        0,
        ...pieces.filter(({ at }) => at < text.length).map(({ at, length }) => Math.min(text.length, at + length)),
      );
      assert.equal(position, reached);
    }),
    { numRuns: 2000 },
  );
});

test('a stream whose pieces all arrive whole has no gap, in any order', () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.uint8Array({ minLength: 1, maxLength: 300 }),
      fc.integer({ min: 1, max: 20 }),
      fc.infiniteStream(fc.nat()),
      (start, text, size, choice) => {
        const got: number[] = [];
        const stream = new TcpStream({ data: (chunk) => got.push(...chunk), gap: () => assert.fail('a gap') });
        stream.syn((start - 1) | 0);
        const pieces: number[] = [];
        for (let at = 0; at < text.length; at += size) pieces.push(at);
        while (pieces.length > 0) {
          const [at] = pieces.splice(choice.next().value % pieces.length, 1) as [number];
          const piece = text.subarray(at, at + size);
          stream.segment((start + at) | 0, piece, piece.length);
        }
        assert.deepEqual(got, [...text]);
        assert.equal(stream.gaps, 0);
      },
    ),
  );
});

test('a stream never waits with more than its limit', () => {
  let lost = 0;
  const stream = new TcpStream({ data: () => undefined, gap: (bytes) => void (lost += bytes) }, 1000);
  stream.syn(0);
  for (let i = 0; i < 100; i++) {
    stream.segment(100 + i * 50, new Uint8Array(40), 40);
    assert.ok(stream.waitingBytes <= 1000);
  }
  assert.ok(lost > 0 && stream.gaps > 0);
});

const token = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_'), minLength: 1, maxLength: 8 });
const content = fc.string({
  unit: fc.constantFrom('a', '\r', '\n', ' ', '0', ':', 'GET / HTTP/1.1\r\n\r\n'),
  maxLength: 30,
});
const http1Request = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'M-SEARCH', 'PURGE'),
    path: token.map((text) => `/${text}`),
    headers: fc.array(fc.tuple(token, token), { maxLength: 4 }),
    body: fc.oneof(
      fc.constant(undefined),
      content,
      fc.record({ chunks: fc.array(content), extension: fc.option(token), trailers: fc.array(fc.tuple(token, token)) }),
    ),
  })
  .map(({ method, path, headers, body }) => {
    const lines = (list: readonly (readonly [string, string])[]): string =>
      list.map(([name, value]) => `x-${name}:\t${value} \r\n`).join('');
    const head = `${method} ${path} HTTP/1.1\r\nHost: h\r\n${lines(headers)}`;
    const said = `HTTP/1.1 ${method} h${path}`;
    const line = (text: string): Part => ({ text, within: false });
    const within = (text: string): Part => ({ text, within: true });
    if (body === undefined) return { said, parts: [line(`${head}\r\n`)] };
    if (typeof body === 'string')
      return { said, parts: [line(`${head}Content-Length: ${body.length}\r\n\r\n`), within(body)] };
    const extension = body.extension === null ? '' : ` ;${body.extension}`;
    const chunks = body.chunks
      .filter((chunk) => chunk !== '')
      .flatMap((chunk) => [line(`${chunk.length.toString(16)}${extension}\r\n`), within(chunk), line('\r\n')]);
    const end = line(`0\r\n${lines(body.trailers)}\r\n`);
    return { said, parts: [line(`${head}Transfer-Encoding: Chunked\r\n\r\n`), ...chunks, end] };
  });

/** A piece of a request; `within`: of a body, so that nobody needs it. */
interface Part {
  readonly text: string;
  readonly within: boolean;
}

test('HTTP/1: requests are found wherever they are cut, and what is missing of bodies changes nothing', () => {
  fc.assert(
    fc.property(fc.array(http1Request, { maxLength: 5 }), fc.array(fc.nat(), { maxLength: 6 }), (all, places) => {
      const said = all.map((request) => request.said);
      const parts = all.flatMap((request) => request.parts);
      const bytes = ascii(parts.map(({ text }) => text).join(''));
      const cuts = places.map((place) => place % (bytes.length + 1));
      assert.deepEqual(
        findings((take) => new Http1Reader(take), cut(bytes, ...cuts)),
        said,
      );
      const holed = parts.flatMap(({ text, within }) => {
        const kept = within ? (places[0] ?? 0) % (text.length + 1) : text.length;
        const gap = text.length - kept;
        return gap === 0 ? [ascii(text)] : [ascii(text.slice(0, kept)), { gap }];
      });
      assert.deepEqual(
        findings((take) => new Http1Reader(take), holed),
        said,
      );
    }),
    { numRuns: 300 },
  );
});

const anyBytes = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .constantFrom(
        'GET / HTTP/1.1\r\n',
        'Host: a\r\n\r\n',
        'Content-Length: 7\r\n',
        'Transfer-Encoding: chunked\r\n',
        '\r\n',
        PREFACE,
        '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
        '\x00\x00\x05\x01\x04\x00\x00\x00\x01',
        '\x00\x00\x00\x10\x00\x03\x00\x01',
      )
      .map(ascii),
  ),
  { maxLength: 12 },
);

test('no bytes make a reader throw', () => {
  const readers = [HttpReader, KafkaReader, ClientHelloReader, Http2Reader] as const;
  fc.assert(
    fc.property(anyBytes, fc.nat(14), fc.nat(3000), (pieces, gapAt, gap) => {
      const fed = pieces.flatMap((piece, i) => (i === gapAt ? [{ gap }, piece] : [piece]));
      for (const Reader of readers) findings((take) => new Reader(take), fed);
      findings((take) => new DnsStream((bytes) => void readDns(bytes), take), fed);
      for (const piece of pieces) readDns(piece);
    }),
    { numRuns: 2000 },
  );
});

/** `matchPattern` spelled out as an expression, for names without pathologies. */
const reference = (pattern: string): RegExp => {
  if (pattern === '*') return /^[-a-z0-9_.]*$/;
  const deep = pattern.startsWith('**.');
  const body = (deep ? pattern.slice(3) : pattern)
    .split(/\*+/)
    .map((part) => part.replaceAll('.', '\\.'))
    .join('[-a-z0-9_]*');
  return new RegExp(`^${deep ? '(?:[-a-z0-9_]+\\.)+' : ''}${body}$`);
};

test('a name pattern equals its regular expression', () => {
  const pattern = fc
    .array(fc.constantFrom('a', 'b', '.', '*', '-'), { minLength: 1, maxLength: 8 })
    .map((p) => p.join(''));
  const deep = fc.tuple(fc.boolean(), pattern).map(([yes, text]) => (yes ? `**.${text}` : text));
  const name = fc.array(fc.constantFrom('a', 'b', '.', '-'), { maxLength: 10 }).map((p) => p.join(''));
  fc.assert(
    fc.property(deep, name, (written, asked) => {
      fc.pre(!written.endsWith('.'));
      assert.equal(namePattern(written).matches(asked), reference(written).test(asked));
    }),
    { numRuns: 5000 },
  );
});
