// Layer-7 readers on what real clients send, on vectors of the RFCs, and on what is wrong with some bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from 'dns-packet';
import { DnsStream, readDns } from '../../../src/l7/dns.ts';
import { HpackDecoder, huffmanText } from '../../../src/l7/hpack.ts';
import { HttpReader } from '../../../src/l7/http.ts';
import { Http1Reader, MAX_HEAD } from '../../../src/l7/http1.ts';
import { Http2Reader, MAX_BLOCK, PREFACE } from '../../../src/l7/http2.ts';
import { KafkaReader } from '../../../src/l7/kafka.ts';
import { ClientHelloReader } from '../../../src/l7/tls.ts';
import { http2ClientBytes, tlsHelloBytes } from '../../support/client-bytes.ts';
import { ascii, cut, findings, findingText } from '../../support/l7-findings.ts';

const http = (...pieces: readonly (string | Uint8Array | { readonly gap: number })[]): string[] =>
  findings(
    (take) => new HttpReader(take),
    pieces.map((piece) => (typeof piece === 'string' ? ascii(piece) : piece)),
  );

test('HTTP/1: pipelined requests with bodies of both kinds, cut anywhere', () => {
  const bytes = ascii(
    'GET /a?x=1 HTTP/1.1\r\nHost: one.example\r\n\r\n' +
      'POST /b HTTP/1.1\r\nhost: two.example\r\nContent-Length: 5\r\n\r\nGET /' +
      'PUT /c HTTP/1.1\r\nHost: three\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n0\r\nX: y\r\n\r\n' +
      'DELETE http://four.example/d HTTP/1.1\r\nHost: ignored\r\n\r\n',
  );
  const expected = [
    'HTTP/1.1 GET one.example/a?x=1',
    'HTTP/1.1 POST two.example/b',
    'HTTP/1.1 PUT three/c',
    'HTTP/1.1 DELETE four.example/d',
  ];
  for (let at = 0; at <= bytes.length; at++)
    assert.deepEqual(http(...cut(bytes, at, at + 3)), expected, `cut at ${at}`);
});

test('HTTP/1: what a proxy refuses is refused', () => {
  const head = 'POST / HTTP/1.1\r\nHost: a\r\n';
  assert.deepEqual(http(`${head}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`), [
    '!both Content-Length and Transfer-Encoding',
  ]);
  assert.deepEqual(http(`${head}Content-Length: 3x\r\n\r\n`), ['!Content-Length is not a number']);
  assert.deepEqual(http(`${head}Host: b\r\n\r\n`), ['!more than one Host']);
  assert.deepEqual(http('hello world, this is no HTTP\r\n'), ['!not an HTTP/1 request']);
  assert.deepEqual(http('GET /a HTTP/1.1\r\nAccept: b\r\n\r\n'), ['!no Host']);
  assert.deepEqual(http('GET /a HTTP/1.1\r\nHost:\r\n\r\n'), ['HTTP/1.1 GET /a']);
  assert.deepEqual(http('GET http://b/a HTTP/1.1\r\n\r\n'), ['HTTP/1.1 GET b/a']);
  // CONNECT names an authority, and has no path.
  assert.deepEqual(http('CONNECT b:443 HTTP/1.1\r\n\r\n'), ['HTTP/1.1 CONNECT b:443']);
  assert.deepEqual(http(`GET / HTTP/1.1\r\nA: ${'x'.repeat(70_000)}\r\n\r\n`), ['!a head above 61440 bytes']);
});

test('HTTP/1: what two readers could understand in two ways is refused', () => {
  const head = 'POST / HTTP/1.1\r\nHost: a\r\n';
  const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n`;
  const request = 'HTTP/1.1 POST a/';
  for (const line of ['-5', '0x10', '+5', 'zz', '', ' 5', '5 5', '1'.repeat(13)]) {
    assert.deepEqual(http(`${chunked}${line}\r\nabcde\r\n`), [request, '!a chunk size that is no number'], line);
  }
  assert.deepEqual(http(`${chunked}3\r\nabcde\r\n`), [request, '!a chunk that is longer than it says']);
  for (const encoding of ['xchunked', 'gzip, chunked', 'identity', 'chunked\r\nTransfer-Encoding: chunked']) {
    const refused = ['!a Transfer-Encoding other than chunked'];
    assert.deepEqual(http(`${head}Transfer-Encoding: ${encoding}\r\n\r\n`), refused, encoding);
  }
  assert.deepEqual(http(`${head}Content-Length: 3\r\nContent-Length: 4\r\n\r\n`), ['!two lengths in Content-Length']);
  assert.deepEqual(http(`${head}Content-Length : 3\r\n\r\n`), ['!a header line without a name']);
  assert.deepEqual(http(`${head}: 3\r\n\r\n`), ['!a header line without a name']);
  assert.deepEqual(http(`${head}no colon\r\n\r\n`), ['!a header line without a name']);
  assert.deepEqual(http(`${head}X: a\r\n folded\r\n\r\n`), ['!a header folded over two lines']);
  for (const control of ['\0', '\r', '\x0b', '\x7f']) {
    assert.deepEqual(http(`${head}X: a${control}b\r\n\r\n`), ['!a control character in a line of HTTP']);
  }
  for (const line of ['GET  / HTTP/1.1', 'GET / HTTP/2.0', 'get / HTTP/1.1', 'GET / HTTP/1.1 x', 'GET /', 'X Y Z']) {
    assert.deepEqual(http(`${line}\r\n\r\n`), ['!not an HTTP/1 request'], line);
  }
  // Two equal lengths are one; empty lines before a request, bare line feeds, tabs and blanks around values are taken.
  assert.deepEqual(
    http(`\r\n\n${head}Content-Length: 3\nContent-Length:\t3 \t\r\n\r\nabcGET /b HTTP/1.0\nHost: b\n\n`),
    [request, 'HTTP/1.0 GET b/b'],
  );
});

test('HTTP/1: lines that never end, and bodies without end, cost no more than a head', () => {
  const head = 'POST / HTTP/1.1\r\nHost: a\r\n';
  const many = (text: string): Uint8Array[] => Array.from({ length: 400 }, () => ascii(text.repeat(500)));
  const told = (begin: string, ...pieces: readonly (Uint8Array | { readonly gap: number })[]): string[] => {
    const found: string[] = [];
    const reader = new Http1Reader((finding) => found.push(findingText(finding)));
    for (const piece of [ascii(begin), ...pieces]) {
      if (piece instanceof Uint8Array) reader.data(piece);
      else reader.gap(piece.gap);
      assert.ok(reader.held <= 3 * MAX_HEAD, `${reader.held} bytes held`);
    }
    return found;
  };
  const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n`;
  assert.deepEqual(told(chunked, ...many('5')), ['HTTP/1.1 POST a/', "!a chunk's line above 61440 bytes"]);
  assert.deepEqual(told(`${chunked}0\r\n`, ...many('a: b\r\n')), ['HTTP/1.1 POST a/', '!trailers above 61440 bytes']);
  assert.deepEqual(told(head, ...many('a: b\r\n')), ['!a head above 61440 bytes']);
  assert.deepEqual(told(`${head}X:`, ...many(' ')), ['!a head above 61440 bytes']);
  // Two thousand gaps of two gigabytes each, in a body and in a chunk.
  const gaps = Array.from({ length: 2000 }, () => ({ gap: 2 ** 31 - 1 }));
  assert.deepEqual(told(`${head}Content-Length: 999999999999999\r\n\r\n`, ...gaps), ['HTTP/1.1 POST a/']);
  assert.deepEqual(told(`${chunked}ffffffffffff\r\n`, ...gaps), ['HTTP/1.1 POST a/']);
});

test('HTTP/1: bytes missing in a body are made up for, in a head they end the reading', () => {
  const post = 'POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n';
  const next = 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n';
  assert.deepEqual(http(post, 'abc', { gap: 99_990 }, 'defghij', next), ['HTTP/1.1 POST a/b', 'HTTP/1.1 GET a/next']);
  const lost = '?a part of the HTTP stream is not in the capture';
  assert.deepEqual(http(post, { gap: 100_001 }, next), ['HTTP/1.1 POST a/b', lost]);
  assert.deepEqual(http('GET /x HT', { gap: 5 }, next), [lost]);
  assert.deepEqual(http({ gap: 0 }, next), ['?the beginning of the HTTP stream']);
});

test('HTTP: after an upgrade comes HTTP/2 or somebody else’s protocol; TLS is told apart', async () => {
  const upgrade = (to: string): string =>
    `GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: ${to}\r\n\r\n`;
  assert.deepEqual(http(upgrade('websocket'), 'GET /no HTTP/1.1\r\n\r\n'), ['HTTP/1.1 GET a/chat']);
  const two = await http2ClientBytes([{ ':path': '/two', ':authority': 'b' }]);
  assert.deepEqual(http(upgrade('h2c'), two), ['HTTP/1.1 GET a/chat', 'HTTP/2 GET b/two']);
  assert.deepEqual(http(await tlsHelloBytes('a.example')), ['?the plaintext of the TLS connection']);
});

test('HTTP/2: Node’s own client, cut anywhere; bodies and trailers are no requests', async () => {
  const requests = [
    { ':method': 'GET', ':path': '/a', ':authority': 'one.example', 'x-long': 'v'.repeat(200) },
    {
      ':method': 'POST',
      ':path': '/pkg.Service/Call',
      ':authority': 'one.example',
      te: 'trailers',
      'x-long': 'v'.repeat(200),
    },
    { ':method': 'PUT', ':path': '/c?d', ':authority': 'two.example' },
  ];
  const bytes = await http2ClientBytes(requests, new Uint8Array(40_000).fill(7));
  const expected = [
    'HTTP/2 GET one.example/a',
    'HTTP/2 POST one.example/pkg.Service/Call',
    'HTTP/2 PUT two.example/c?d',
  ];
  assert.deepEqual(http(bytes), expected);
  for (let at = 0; at < 700; at++) assert.deepEqual(http(...cut(bytes, at, at + 9)), expected, `cut at ${at}`);
});

test('HTTP/2: header fields come through, and a broken block ends the reading', async () => {
  const found: unknown[] = [];
  const reader = new HttpReader((finding) => found.push(finding));
  reader.data(await http2ClientBytes([{ ':path': '/h', ':authority': 'a', 'x-b': 'c d', cookie: 'e=f' }]));
  const [first] = found as { request: { headers: [string, string][] } }[];
  assert.deepEqual(first!.request.headers.filter(([name]) => name === 'x-b' || name === 'cookie').sort(), [
    ['cookie', 'e=f'],
    ['x-b', 'c d'],
  ]);
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
  const frame = (type: number, flags: number, stream: number, payload: number[]): string =>
    String.fromCharCode(0, 0, payload.length, type, flags, 0, 0, 0, stream, ...payload);
  const ok = [0x82, 0x84, 0x86];
  assert.deepEqual(http(preface + frame(1, 4, 1, ok)), ['HTTP/2 GET /']);
  assert.deepEqual(http(preface + frame(1, 0, 1, ok) + frame(9, 4, 1, [])), ['HTTP/2 GET /']);
  assert.deepEqual(http(preface + frame(1, 4, 1, ok) + frame(1, 4, 1, ok) + frame(1, 4, 3, [0x82])), [
    'HTTP/2 GET /',
    'HTTP/2 GET ',
  ]);
  assert.deepEqual(http(preface + frame(1, 0, 1, ok) + frame(0, 0, 1, [])), ['!a header block cut in two']);
  assert.deepEqual(http(preface + frame(1, 12, 1, [9, 0x82])), ['!a header frame whose padding lies']);
  assert.deepEqual(http(preface + frame(1, 4, 1, [0xff, 0xff, 0xff, 0xff, 0x7f])), [
    '!a header block that cannot be decompressed',
  ]);
  assert.deepEqual(http(preface + frame(5, 4, 1, ok)), ['!a client must not promise']);
  assert.deepEqual(http(preface + frame(1, 4, 0, ok)), ['!a header frame on a wrong stream']);
});

test('HTTP/2: pieces of a header block cost what they hold, and a block has an end', () => {
  const frame = (type: number, flags: number, payload: string): Uint8Array =>
    ascii(`\0\0${String.fromCharCode(payload.length, type, flags)}\0\0\0\x01${payload}`);
  const found: string[] = [];
  const reader = new Http2Reader((finding) => found.push(findingText(finding)));
  reader.data(ascii(PREFACE));
  reader.data(frame(1, 0, ''));
  for (let i = 0; i < 10_000; i++) reader.data(frame(9, 0, ''));
  assert.equal(reader.held, 0);
  for (let i = 0; i < MAX_BLOCK; i++) reader.data(frame(9, 0, '\x82'));
  assert.ok(reader.held <= 2 * MAX_BLOCK);
  assert.deepEqual(found, []);
  reader.data(frame(9, 4, '\x82'));
  assert.deepEqual(found, [`!a header block above ${MAX_BLOCK} bytes`]);
});

test('HPACK: the examples of RFC 7541 C.4 and C.6, and codes that do not exist', () => {
  const decoder = new HpackDecoder();
  const block = (hex: string): unknown => decoder.decode(Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')));
  const common = [
    [':method', 'GET'],
    [':scheme', 'http'],
    [':path', '/'],
    [':authority', 'www.example.com'],
  ];
  assert.deepEqual(block('8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff'), common);
  assert.deepEqual(block('8286 84be 5886 a8eb 1064 9cbf'), [...common, ['cache-control', 'no-cache']]);
  assert.deepEqual(block('8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf'), [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/index.html'],
    [':authority', 'www.example.com'],
    ['custom-key', 'custom-value'],
  ]);
  // A padding of eight bits, a padding that is no prefix of the end, the end itself.
  for (const wrong of [[0xff], [0x00], [0xff, 0xff, 0xff, 0xff]]) {
    assert.equal(huffmanText(Uint8Array.from(wrong)), undefined);
  }
  assert.equal(new HpackDecoder().decode(Uint8Array.of(0x80)), undefined);
  assert.equal(new HpackDecoder().decode(Uint8Array.of(0xbe)), undefined);
  assert.equal(new HpackDecoder().decode(Uint8Array.of(0x82, 0x20)), undefined);
});

test('TLS: the server name of Node’s client, over one record or many', async () => {
  const hello = (...pieces: readonly (Uint8Array | { readonly gap: number })[]): string[] =>
    findings((take) => new ClientHelloReader(take), pieces);
  const bytes = await tlsHelloBytes('API.Example.org');
  for (let at = 0; at < bytes.length; at += 7) assert.deepEqual(hello(...cut(bytes, at)), ['sni api.example.org']);
  assert.deepEqual(hello(await tlsHelloBytes(undefined)), ['sni -']);
  // The same hello in records of 50 bytes.
  const body = bytes.slice(5, 5 + ((bytes[3]! << 8) | bytes[4]!));
  const records: number[] = [];
  for (let at = 0; at < body.length; at += 50) {
    const part = body.subarray(at, at + 50);
    records.push(22, 3, 1, 0, part.length, ...part);
  }
  assert.deepEqual(hello(Uint8Array.from(records)), ['sni api.example.org']);
  assert.deepEqual(hello(bytes.slice(0, 60), { gap: 10 }), ['?a part of the TLS handshake is not in the capture']);
  assert.deepEqual(hello(ascii('GET / HTTP/1.1\r\n')), ['!not a TLS handshake']);
  const lying = bytes.slice();
  lying[43] = 255;
  assert.deepEqual(hello(lying), ['!a ClientHello whose lengths lie']);
  assert.deepEqual(hello(Uint8Array.of(22, 3, 1, 0, 4, 1, 255, 255, 255)), ['!a ClientHello above 65536 bytes']);
});

test('DNS: queries, answers behind CNAMEs, TTLs, several messages of a stream', () => {
  const query = encode({ type: 'query', id: 7, flags: 256, questions: [{ type: 'AAAA', name: 'WWW.Example.org' }] });
  assert.deepEqual(readDns(query), {
    response: false,
    id: 7,
    questions: [{ protocol: 'dns', name: 'www.example.org', type: 'AAAA' }],
    answer: undefined,
  });
  const response = encode({
    type: 'response',
    id: 7,
    questions: [{ type: 'A', name: 'www.example.org' }],
    answers: [
      { type: 'CNAME', name: 'www.example.org', ttl: 20, data: 'edge.example.net' },
      { type: 'A', name: 'edge.example.net', ttl: 60, data: '192.0.2.7' },
      { type: 'AAAA', name: 'edge.example.net', ttl: 40, data: '2001:db8::7' },
      { type: 'TXT', name: 'edge.example.net', ttl: 1, data: 'no' },
    ],
  });
  assert.deepEqual(readDns(response)!.answer, {
    name: 'www.example.org',
    addresses: ['192.0.2.7', '2001:db8::7'],
    ttl: 20,
  });
  const refused = encode({ type: 'response', id: 7, questions: [{ type: 'A', name: 'x.org' }], answers: [] });
  refused[3] = 5;
  assert.equal(readDns(refused)!.answer, undefined);
  assert.equal(readDns(query.subarray(0, 20)), undefined);
  const seen: number[] = [];
  const framed = (message: Uint8Array): number[] => [message.length >> 8, message.length & 255, ...message];
  const stream = Uint8Array.from([...framed(query), ...framed(response)]);
  for (let at = 0; at <= stream.length; at++) {
    seen.length = 0;
    const reader = new DnsStream(
      (bytes) => seen.push(bytes.length),
      () => undefined,
    );
    for (const piece of cut(stream, at)) reader.data(piece);
    assert.deepEqual(seen, [query.length, response.length]);
  }
});

test('Kafka: topics of the kinds that rules name, sizes that lie', () => {
  const int = (width: number, value: number): number[] =>
    Array.from({ length: width }, (_, i) => Math.floor(value / 2 ** (8 * (width - 1 - i))) & 255);
  const text = (value: string): number[] => [...int(2, value.length), ...ascii(value)];
  const request = (apiKey: number, version: number, body: number[]): Uint8Array => {
    const rest = [...int(2, apiKey), ...int(2, version), ...int(4, 1), ...text('cl'), ...body];
    return Uint8Array.from([...int(4, rest.length), ...rest]);
  };
  const metadata = request(3, 1, [...int(4, 2), ...text('a'), ...text('b')]);
  const produce = request(0, 2, [
    ...int(2, 1),
    ...int(4, 100),
    ...int(4, 2),
    ...text('t1'),
    ...int(4, 1),
    ...int(4, 0),
    ...int(4, 3),
    1,
    2,
    3,
    ...text('t2'),
    ...int(4, 0),
  ]);
  const fetch = request(1, 0, [
    ...int(4, 0xffffffff),
    ...int(8, 1),
    ...int(4, 1),
    ...text('f'),
    ...int(4, 1),
    ...int(4, 0),
    ...int(8, 0),
    ...int(4, 99),
  ]);
  const versions = request(18, 0, []);
  const flexible = request(3, 12, [0, 1, 2]);
  const read = (...pieces: readonly (Uint8Array | { readonly gap: number })[]): string[] =>
    findings((take) => new KafkaReader(take), pieces);
  const all = Uint8Array.from([...metadata, ...produce, ...fetch, ...versions, ...flexible]);
  const expected = [
    'kafka 3 v1 cl [a b]',
    'kafka 0 v2 cl [t1 t2]',
    'kafka 1 v0 cl [f]',
    'kafka 18 v0 cl []',
    'kafka 3 v12 cl ?',
  ];
  for (let at = 0; at <= all.length; at++) assert.deepEqual(read(...cut(all, at, at + 2)), expected);
  // A hole behind the header loses the topics of that request alone.
  assert.deepEqual(read(metadata.slice(0, 18), { gap: metadata.length - 18 }, versions), [
    'kafka 3 v1 cl ?',
    'kafka 18 v0 cl []',
  ]);
  assert.deepEqual(read(Uint8Array.of(0, 0, 0, 2, 1, 1)), ['!not a Kafka request']);
  assert.deepEqual(read(ascii('GET / HTTP/1.1\r\n\r\n')), ['!not a Kafka request']);
});
