// Layer-7 rules and DNS names in a replay: each request has a verdict and its rules, a name counts from its answer on.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from 'dns-packet';
import { readPayloads } from '../../../src/cli/payloads.ts';
import type { PacketRecord } from '../../../src/flow/index.ts';
import { requestSummary } from '../../../src/flow/index.ts';
import { conversation, datagram, type Ends } from '../../support/conversation.ts';
import { ascii } from '../../support/l7-findings.ts';
import { http2ClientBytes, tlsHelloBytes } from '../../support/client-bytes.ts';
import { makeWorld, replayed, type Replayed, type Step } from '../../support/replay-world.ts';

const policy = (spec: string, name = 'l7'): string =>
  `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: ${name}, namespace: x}, spec: ${spec}}\n`;
const WEB = 'endpointSelector: {matchLabels: {app: web}}';
const A = 'endpointSelector: {matchLabels: {app: a}}';

/** Replays with everything that the policies ask for. */
async function run(policies: string, steps: readonly Step[], at = 'node:n1'): Promise<Replayed> {
  const world = makeWorld({ policies });
  const payloads = await readPayloads(world.state, world.compiled, world.compile, world.sim);
  return replayed(world, [steps], { at, ...payloads });
}

const requests = (packets: readonly PacketRecord[]): string[] =>
  packets.flatMap(({ l7 }) =>
    (l7 ?? []).map(
      (request) =>
        `${request.verdict} ${requestSummary(request)} by ${request.by.map(({ name, rule }) => `${name} ${rule}`).join()}`,
    ),
  );

const toWeb: Ends = { client: '10.0.1.1', clientPort: 40000, server: '10.0.2.1', serverPort: 8080 };
const get = (path: string, more = ''): Uint8Array => ascii(`GET ${path} HTTP/1.1\r\nHost: web.x\r\n${more}\r\n`);

test('HTTP on ingress: each request its verdict and rule, the connection is redirected', async () => {
  const rules = `{fromEndpoints: [{}], toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET, path: "/public/.*"}, {method: POST, headers: ["X-Token: yes"]}]}}]}`;
  const { packets, connections, result } = await run(
    policy(`{${WEB}, ingress: [${rules}]}`),
    conversation(toWeb, [
      { by: 'client', bytes: get('/public/a') },
      { by: 'server', bytes: ascii('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n') },
      { by: 'client', bytes: get('/secret') },
      { by: 'client', bytes: ascii('POST /x HTTP/1.1\r\nHost: web.x\r\nx-token: yes\r\nContent-Length: 3\r\n\r\nabc') },
      { by: 'client', bytes: ascii('POST /x HTTP/1.1\r\nHost: web.x\r\nx-token: no\r\n\r\n') },
    ]),
  );
  assert.deepEqual(requests(packets), [
    'FORWARDED HTTP/1.1 GET http://web.x/public/a by l7 ingress[0]',
    'DROPPED HTTP/1.1 GET http://web.x/secret by l7 ingress[0]',
    'FORWARDED HTTP/1.1 POST http://web.x/x by l7 ingress[0]',
    'DROPPED HTTP/1.1 POST http://web.x/x by l7 ingress[0]',
  ]);
  assert.equal(packets[0]!.verdict, 'REDIRECTED');
  assert.equal(packets[0]!.proxyPort, 10000);
  assert.deepEqual(connections[0]!.requests, { FORWARDED: 2, DROPPED: 2 });
  assert.deepEqual(result.requests, { FORWARDED: 2, DROPPED: 2 });
});

test('both sides are asked; a rule without layer 7 for the same port lifts, one for everything does not', async () => {
  const ingress = (path: string, more = ''): string =>
    policy(
      `{${WEB}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{path: "${path}"}]}}]}${more}]}`,
      'in',
    );
  const egress = policy(
    `{${A}, egress: [{toEndpoints: [{}], toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET}]}}]}]}`,
    'out',
  );
  const steps = conversation(toWeb, [
    { by: 'client', bytes: get('/a') },
    { by: 'client', bytes: get('/b') },
  ]);
  assert.deepEqual(requests((await run(`${ingress('/a')}---\n${egress}`, steps)).packets), [
    'FORWARDED HTTP/1.1 GET http://web.x/a by out egress[0],in ingress[0]',
    'DROPPED HTTP/1.1 GET http://web.x/b by in ingress[0]',
  ]);
  const lifted = ingress('/a', ', {fromEndpoints: [{}], toPorts: [{ports: [{port: "8080", protocol: TCP}]}]}');
  assert.deepEqual(requests((await run(lifted, steps)).packets), [
    'FORWARDED HTTP/1.1 GET http://web.x/a by in ingress[1]',
    'FORWARDED HTTP/1.1 GET http://web.x/b by in ingress[1]',
  ]);
  const everything = ingress('/a', ', {fromEndpoints: [{}]}');
  assert.deepEqual(
    requests((await run(everything, steps)).packets).map((text) => text.split(' ')[0]),
    ['FORWARDED', 'DROPPED'],
  );
});

test('segments out of order, twice, and lost; gRPC over HTTP/2; TLS', async () => {
  const rules = policy(
    `{${WEB}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{path: "/shop.Cart/Add"}, {path: "/a"}]}}]}]}`,
  );
  const pieces = conversation(toWeb, [
    { by: 'client', bytes: get('/a').slice(0, 9) },
    { by: 'client', bytes: get('/a').slice(9) },
    { by: 'client', bytes: get('/b') },
  ]);
  const [syn, synAck, ack, first, second, third] = pieces as [Step, Step, Step, Step, Step, Step];
  assert.deepEqual(requests((await run(rules, [syn, synAck, ack, third, second, first, first])).packets).map(head), [
    'FORWARDED /a',
    'DROPPED /b',
  ]);
  const lost = conversation(toWeb, [
    { by: 'client', bytes: get('/a').slice(0, 9), lost: true },
    { by: 'client', bytes: get('/a').slice(9) },
  ]);
  assert.deepEqual(requests((await run(rules, lost)).packets), [
    'UNKNOWN the beginning of the HTTP stream by l7 ingress[0]',
  ]);
  const grpc = await http2ClientBytes([
    { ':method': 'POST', ':path': '/shop.Cart/Add', ':authority': 'web.x', te: 'trailers' },
    { ':method': 'POST', ':path': '/shop.Cart/Drop', ':authority': 'web.x', te: 'trailers' },
  ]);
  assert.deepEqual(
    requests((await run(rules, conversation(toWeb, [{ by: 'client', bytes: grpc }]))).packets).map(head),
    ['FORWARDED /shop.Cart/Add', 'DROPPED /shop.Cart/Drop'],
  );
  const hello = await tlsHelloBytes('web.x');
  const encrypted = await run(rules, conversation(toWeb, [{ by: 'client', bytes: hello }]));
  assert.deepEqual(requests(encrypted.packets), ['UNKNOWN the plaintext of the TLS connection by l7 ingress[0]']);
});

const head = (text: string): string => `${text.split(' ')[0]} ${/http:\/\/web\.x(\S+)/.exec(text)![1]}`;

test('server names: the handshake is judged by them', async () => {
  const rules = policy(
    `{${WEB}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: "8080", protocol: TCP}], serverNames: ["web.x", "*.shop.x"]}]}]}`,
  );
  const verdicts: string[] = [];
  for (const name of ['web.x', 'a.shop.x', 'a.b.shop.x', 'evil.x', undefined]) {
    const hello = await tlsHelloBytes(name);
    const { packets } = await run(rules, conversation(toWeb, [{ by: 'client', bytes: hello }]));
    verdicts.push(requests(packets)[0]!.split(' ')[0]!);
  }
  assert.deepEqual(verdicts, ['FORWARDED', 'FORWARDED', 'DROPPED', 'DROPPED', 'DROPPED']);
});

const dnsEnds: Ends = { client: '10.0.1.1', clientPort: 5353, server: '10.0.2.4', serverPort: 53 };
const query = (name: string, id = 1): Uint8Array => encode({ type: 'query', id, questions: [{ type: 'A', name }] });
const answer = (name: string, address: string, ttl: number, id = 1): Uint8Array =>
  encode({
    type: 'response',
    id,
    questions: [{ type: 'A', name }],
    answers: [
      { type: 'CNAME', name, ttl, data: 'edge.example.net' },
      { type: 'A', name: 'edge.example.net', ttl, data: address },
    ],
  });
const NAMES = policy(
  `{${A}, egress: [{toEndpoints: [{matchLabels: {app: d}}], toPorts: [{ports: [{port: "53", protocol: UDP}], rules: {dns: [{matchPattern: "*.example.org"}]}}]}, {toFQDNs: [{matchName: api.example.org}], toPorts: [{ports: [{port: "443", protocol: TCP}]}]}]}`,
  'names',
);
const toApi = (clientPort: number, server = '203.0.113.7'): Step[] =>
  conversation({ client: '10.0.1.1', clientPort, server, serverPort: 443 }, []);
const verdictsOf = ({ packets }: Replayed): string[] => packets.map(({ verdict }) => verdict);

test('a name counts from its answer on; before, the verdict is unknown and names the rule', async () => {
  const early = toApi(50000).slice(0, 1);
  const late = toApi(50001).slice(0, 1);
  const other = toApi(50002, '203.0.113.99').slice(0, 1);
  const result = await run(NAMES, [
    ...early,
    datagram(dnsEnds, 'client', query('api.example.org')),
    datagram(dnsEnds, 'server', answer('api.example.org', '203.0.113.7', 60)),
    ...late,
    ...early,
    ...other,
    datagram(dnsEnds, 'client', query('evil.test', 2)),
    datagram(dnsEnds, 'server', answer('evil.test', '203.0.113.99', 60, 2)),
  ]);
  assert.deepEqual(verdictsOf(result), [
    'UNKNOWN',
    'REDIRECTED',
    'FORWARDED',
    'FORWARDED',
    'FORWARDED',
    'DROPPED',
    'REDIRECTED',
    'FORWARDED',
  ]);
  const [first] = result.packets;
  assert.equal(first!.unknown, 'a name never resolved in the capture');
  assert.deepEqual(
    first!.by.map(({ name, rule }) => `${name} ${rule}`),
    ['names egress[1]'],
  );
  assert.deepEqual(requests(result.packets), [
    'FORWARDED DNS Query api.example.org. A by names egress[0]',
    'DROPPED DNS Query evil.test. A by names egress[0]',
  ]);
});

test('an answer that nobody asked for, or that the proxy never saw, teaches nothing', async () => {
  const unasked = await run(NAMES, [
    datagram(dnsEnds, 'client', query('www.example.org')),
    datagram(dnsEnds, 'server', answer('api.example.org', '203.0.113.7', 60)),
    ...toApi(50000).slice(0, 1),
  ]);
  assert.equal(unasked.packets[2]!.verdict, 'UNKNOWN');
  const plain = policy(
    `{${A}, egress: [{toEndpoints: [{matchLabels: {app: d}}]}, {toFQDNs: [{matchName: api.example.org}]}]}`,
  );
  const unseen = await run(plain, [
    datagram(dnsEnds, 'client', query('api.example.org')),
    datagram(dnsEnds, 'server', answer('api.example.org', '203.0.113.7', 60)),
    ...toApi(50000).slice(0, 1),
  ]);
  assert.equal(unseen.packets[2]!.verdict, 'UNKNOWN');
});

test('a denial that stands under the rule about a name leaves doubt, one above it none', async () => {
  const admin = (...rules: readonly string[]): string =>
    `{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: admin}, spec: {tier: Admin, priority: 5, subject: {namespaces: {}}, egress: [${rules.join(', ')}]}}`;
  const accept = '{action: Accept, to: [{domainNames: [api.example.org]}]}';
  const deny = '{action: Deny, to: [{networks: [0.0.0.0/0]}]}';
  const first = toApi(50000).slice(0, 1);
  assert.deepEqual(verdictsOf(await run(admin(accept, deny), first)), ['UNKNOWN']);
  assert.deepEqual(verdictsOf(await run(admin(deny, accept), first)), ['DROPPED']);
});

test('an address goes stale with its TTL, but not under a connection that lives', async () => {
  const asked = [
    datagram(dnsEnds, 'client', query('api.example.org')),
    datagram(dnsEnds, 'server', answer('api.example.org', '203.0.113.7', 30)),
  ];
  const later = (steps: readonly Step[], ms: number): Step[] => steps.map((step, i) => ({ ...step, ms: ms + i }));
  const idle = await run(NAMES, [...asked, ...later(toApi(50000).slice(0, 1), 31_000)]);
  assert.equal(idle.packets[2]!.verdict, 'UNKNOWN');
  const living = await run(NAMES, [
    ...asked,
    ...later(toApi(50000), 5_000),
    ...later(toApi(50000).slice(2, 3), 40_000),
    ...later(toApi(50001).slice(0, 1), 41_000),
  ]);
  assert.deepEqual(verdictsOf(living).slice(-2), ['FORWARDED', 'FORWARDED']);
});

test('names from a file are known from the beginning', async () => {
  const world = makeWorld({ policies: NAMES });
  const { state } = world;
  const parsed = { family: 4 as const, text: '203.0.113.7', bytes: Uint8Array.of(203, 0, 113, 7) };
  const facts = { ...state.facts, dnsNames: new Map([['api.example.org', [parsed]]]) };
  const compiled = world.compile({ ...state, facts });
  const { diff } = await import('../../../src/control/diff.ts');
  world.sim.apply(diff(world.compiled.maps, compiled.maps));
  const payloads = await readPayloads({ ...state, facts }, compiled, world.compile, world.sim);
  const { packets } = await replayed(world, [toApi(50000)], { at: 'node:n1', ...payloads });
  assert.equal(packets[0]!.verdict, 'FORWARDED');
});
