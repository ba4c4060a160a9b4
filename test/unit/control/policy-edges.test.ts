// Edges of the policy compiler's parts that verdicts of ordinary manifests do not reach: patterns of names, what a proxy is
// handed, families of ICMP types, port byte order in regions, entries for one identity, signatures of named ports.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ciliumPortGroups, entriesOf, namedPod, proxyPortsOf } from '../../support/policy-part-inputs.ts';
import { TrapWorld } from '../../support/trap-world.ts';
import { identityClass, type PolicyBlock, withinProbeBudget } from '../../../src/control/policy/entries.ts';
import { namePattern } from '../../../src/control/policy/name-pattern.ts';
import type { PodIdentity } from '../../../src/control/identity.ts';
import { NamedPortTable } from '../../../src/control/policy/named-ports.ts';
import { peerIdentities } from '../../../src/control/policy/peers.ts';
import { portWords, shapeWord } from '../../../src/control/policy/ports.ts';
import { holdsShape } from '../../../src/control/policy/region.ts';
import type { Peer } from '../../../src/control/policy/rule.ts';
import type { Pod } from '../../../src/control/state.ts';
import { ANY_POD, EVERYTHING } from '../../../src/control/selector.ts';
import { IDENTITY, PROXY_PORT } from '../../../src/schema/index.ts';

const PATTERNS: readonly (readonly [pattern: string, yes: readonly string[], no: readonly string[]])[] = [
  [
    'api.example.com',
    ['api.example.com'],
    ['example.com', 'api.example.org', 'x.api.example.com', 'api.example.com.x'],
  ],
  ['API.Example.COM.', ['api.example.com'], ['api.example.com.']],
  ['*', ['a', 'a.b', 'a-b_c.9', '', 'a..b'], ['a b', 'a.é', 'a.b/c', 'A.b'.replace('b', '!')]],
  ['.', [], ['a', 'a.b', '']],
  [
    '*.example.com',
    ['a.example.com', '.example.com', 'a-1_b.example.com'],
    ['example.com', 'a.b.example.com', 'a!.example.com'],
  ],
  [
    '**.example.com',
    ['a.example.com', 'a.b.example.com', 'a.b.c.example.com'],
    ['example.com', '.example.com', 'a..example.com', 'a!.example.com', 'a.example.org'],
  ],
  [
    'api-*.example.com',
    ['api-.example.com', 'api-1.example.com'],
    ['api.example.com', 'ap-1.example.com', 'xapi-1.example.com', 'api-1!.example.com'],
  ],
  ['*-api.example.com', ['1-api.example.com', '-api.example.com'], ['api.example.com', '1-api-x.example.com']],
  // Parts may not overlap, neither head and tail nor what stands between them.
  ['aba*aba.com', ['abaaba.com', 'aba1aba.com'], ['ababa.com', 'aba.com']],
  ['a*bc*cd.com', ['abccd.com', 'a1bc2cd.com', 'abcbccd.com'], ['abcd.com', 'acbcd.com', 'abxccd.com']],
  ['*b*c*d.com', ['bcd.com', '1b2c3d.com', 'bbccd.com'], ['bd.com', 'cbd.com', 'bcd1.com']],
  ['a*b*b*c.com', ['abbc.com', 'a1b2b3c.com'], ['abc.com', 'a1b2c.com']],
  ['a**b.com', ['ab.com', 'axb.com'], ['a.b.com']],
  ['a.*.c', ['a.b.c', 'a..c'], ['a.c', 'a.b.b.c']],
];
for (const [pattern, yes, no] of PATTERNS) {
  test(`name pattern ${pattern}`, () => {
    const { text, matches } = namePattern(pattern);
    assert.equal(text, pattern);
    assert.deepEqual([yes.filter((name) => !matches(name)), no.filter((name) => matches(name))], [[], []]);
  });
}

test('characters of a name: exactly letters, digits, hyphen and underscore', () => {
  const { matches } = namePattern('*.x');
  const taken = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)).filter(
    (character) => character !== '.' && matches(`${character}.x`),
  );
  assert.equal(taken.join(''), '-0123456789_abcdefghijklmnopqrstuvwxyz');
});

test('what a proxy is handed: layer 7, listener, either kind of TLS, server names; nothing else', () => {
  const https = '{ports: [{port: "443", protocol: TCP}]';
  const secret = '{secret: {name: s, namespace: x}}';
  const cases: readonly (readonly [string, 'allow' | 'redirect', RegExp | undefined])[] = [
    [`${https}}`, 'allow', undefined],
    [`${https}, serverNames: []}`, 'allow', undefined],
    [`${https}, rules: {http: [{}]}}`, 'redirect', undefined],
    [`${https}, serverNames: [a.example.com]}`, 'redirect', undefined],
    [`${https}, terminatingTLS: ${secret}}`, 'redirect', /^TLS interception: /],
    [`${https}, originatingTLS: ${secret}}`, 'redirect', /^TLS interception: /],
    [`${https}, listener: {envoyConfig: {kind: CiliumEnvoyConfig, name: e}, name: l}}`, 'redirect', /^listener: /],
    [`${https}, rules: {l7proto: mine, l7: [{a: b}]}}`, 'redirect', /^l7proto: /],
  ];
  for (const [item, verdict, complaint] of cases) {
    const { groups, complaints } = ciliumPortGroups(item);
    assert.deepEqual(
      groups.map((group) => group.verdict),
      [verdict],
      item,
    );
    assert.deepEqual(groups[0]!.ports, [{ kind: 'ports', protocol: 6, first: 443, last: 443 }], item);
    assert.equal(groups[0]!.inspected !== undefined, verdict === 'redirect', item);
    assert.equal(complaints.length, complaint === undefined ? 0 : 1, item);
    if (complaint !== undefined) assert.match(complaints[0]!, complaint);
  }
});

test('an ICMP type belongs to its family', () => {
  const none = (): number[] => [];
  const word = (family: 4 | 6, direction: 'ingress' | 'egress'): number[] =>
    portWords({ kind: 'icmp', family, type: 8 }, direction, none);
  // Type 8 as a port in network order, protocol 1 or 58, all 16 bits; the top bit is egress.
  assert.deepEqual(word(4, 'ingress'), [0x10010800]);
  assert.deepEqual(word(6, 'ingress'), [0x103a0800]);
  assert.deepEqual(word(4, 'egress'), [0x90010800]);
  assert.deepEqual(word(6, 'egress'), [0x903a0800]);
});

test('a shape’s port lies in network order: its prefix is of the number, not of the bytes', () => {
  const shape = (port: number, bits: number): number => shapeWord('ingress', 6, port, bits);
  // 0x1200/8 holds 0x12ff, and neither 0x0012 nor 0x1300.
  assert.equal(holdsShape(shape(0x1200, 8), shape(0x12ff, 16)), true);
  assert.equal(holdsShape(shape(0x1200, 8), shape(0x0012, 16)), false);
  assert.equal(holdsShape(shape(0x1200, 8), shape(0x1300, 16)), false);
  assert.equal(holdsShape(shape(0x1234, 15), shape(0x1235, 16)), true);
  assert.equal(holdsShape(shape(0x1234, 15), shape(0x1334, 16)), false);
  assert.equal(holdsShape(shape(0x1234, 16), shape(0x1234, 15)), false);
  assert.equal(holdsShape(shape(0, 0), shape(0xffff, 16)), true);
});

test('entries for one identity are those of the whole that are this identity’s', () => {
  const regions = [
    { identities: [0, 300], shapes: [shapeWord('ingress', 6, 80, 16)] },
    { identities: [300, 301, 400], shapes: [shapeWord('ingress', 17, 53, 16), shapeWord('egress', 6, 0, 0)] },
    { identities: [400], shapes: [shapeWord('ingress', 6, 81, 16)] },
    { identities: [], shapes: [shapeWord('ingress', 6, 82, 16)] },
  ];
  const whole = entriesOf(regions);
  assert.equal(whole.length, 9);
  for (const only of [0, 299, 300, 301, 400, 401]) {
    assert.deepEqual(
      entriesOf(regions, only),
      whole.filter(([identity]) => identity === only),
      `${only}`,
    );
  }
});

const joining = (identity: number, pod: Pod, namedPorts: string): PodIdentity =>
  ({ pod, namedPorts, identities: [{ identity }] }) as unknown as PodIdentity;

test('of several identities whose pods disagree about a name the lowest is told', () => {
  const table = new NamedPortTable([]);
  for (const identity of [302, 301, 300, 299]) {
    const ports = identity === 299 ? [80] : [80, 81];
    for (const http of ports) table.join(joining(identity, namedPod({ http }).pod, `${http}`));
  }
  assert.deepEqual(table.candidates([0]), [299, 300, 301, 302]);
  assert.deepEqual(table.candidates([302, 7, 300]), [300, 302]);
  assert.equal(table.ambiguous([0], 'http', ['TCP']), 300);
  assert.equal(table.ambiguous([302, 301], 'http', ['TCP']), 301);
  // A pod may give one name two numbers; where all pods do the same, nobody disagrees.
  const { pod } = namedPod({ http: 80 });
  const twice = { ...pod, ports: [...pod.ports, { ...pod.ports[0]!, containerPort: 81 }] };
  table.join(joining(303, twice, 'http twice'));
  assert.deepEqual([...table.of(303).get('http/TCP')!], [80, 81]);
  assert.equal(table.ambiguous([303], 'http', ['TCP']), undefined);
  // Ports without a name mean nothing, nor do pods without any, and they take nothing from the others of the identity.
  const { name: _, ...nameless } = pod.ports[0]!;
  const plain = { ...pod, ports: [{ ...nameless, containerPort: 9 }] };
  table.join(joining(304, plain, ''));
  assert.deepEqual([table.of(304).size, table.candidates([304])], [0, []]);
  table.join(joining(304, { ...pod, ports: [...plain.ports, ...pod.ports] }, 'http'));
  assert.deepEqual([[...table.of(304)].map(([name]) => name), table.candidates([304])], [['http/TCP'], [304]]);
});

test('an entry that redirects carries the proxy’s port of its direction, for every verdict byte from 2 to 254', () => {
  const [ingress, egress] = (['ingress', 'egress'] as const).map((direction) => shapeWord(direction, 6, 80, 16));
  const swapped = (port: number): number => (port >>> 8) | ((port & 0xff) << 8);
  for (const [verdict, redirects] of [
    [1, false],
    [2, true],
    [128, true],
    [254, true],
    [255, false],
  ] as const) {
    const rows = proxyPortsOf([{ identities: [300], shapes: [ingress!, egress!] }], 0x500 | verdict);
    assert.deepEqual(
      rows,
      redirects ? [swapped(PROXY_PORT.INGRESS), swapped(PROXY_PORT.EGRESS)] : [0, 0],
      `${verdict}`,
    );
  }
});

test('identities by class: numbers, the aggregates 11 to 14, everybody', () => {
  assert.deepEqual(
    [0, 1, 10, 11, 12, 13, 14, 15, 256, 0x1000001].map((identity) => identityClass(identity)),
    [2, 0, 0, 1, 1, 1, 1, 0, 0, 0],
  );
});

test('a policy of 64 probes a packet stays within the budget, one of 65 does not, in either direction', () => {
  const block = (ingressShapes: number[], egressShapes: number[]): PolicyBlock => ({
    policyId: 1,
    words: new Uint32Array(0),
    meta: { flags: 0, ingressShapes, egressShapes, ingressCookie: 0, egressCookie: 0 },
  });
  const full = [0xffffffff, 0xffff, 0xffff];
  const over = [0xffffffff, 0xffff, 0x1ffff];
  assert.equal(withinProbeBudget(block(full, full)), true);
  assert.equal(withinProbeBudget(block(over, [])), false);
  assert.equal(withinProbeBudget(block([], over)), false);
});

test('pods of any namespace are one entry, their aggregate, however many there are', () => {
  const { identities } = new TrapWorld('').compiled;
  const any: Peer = { kind: 'selector', selector: ANY_POD, required: false };
  assert.deepEqual(peerIdentities([any], EVERYTHING, identities), [IDENTITY.AGGREGATE_CLUSTER]);
});

test('identities of peers ascend, whatever the order of the peers', () => {
  const { identities } = new TrapWorld('').compiled;
  const peers = (['unmanaged', 'world', 'health'] as const).map((entity): Peer => ({ kind: 'entity', entity }));
  const found = peerIdentities(peers, EVERYTHING, identities);
  assert.ok(found.length > 3);
  assert.deepEqual(
    found,
    [...found].sort((a, b) => a - b),
  );
});

test('an identity’s named ports: known while its pods agree, ambiguous only where they do not', () => {
  const table = new NamedPortTable([]);
  const one = namedPod({ http: 80, dns: 53 });
  const other = namedPod({ http: 81, dns: 53 });
  const of = ({ pod, signature }: typeof one): PodIdentity =>
    ({ pod, namedPorts: signature, identities: [{ identity: 300 }] }) as unknown as PodIdentity;
  assert.equal(table.knows(300, one.signature), false);
  table.join(of(one));
  table.join(of(one));
  assert.equal(table.knows(300, one.signature), true);
  assert.equal(table.knows(300, other.signature), false);
  assert.equal(table.knows(301, one.signature), false);
  assert.equal(table.ambiguous([300], 'http', ['TCP']), undefined);
  table.join(of(other));
  assert.equal(table.knows(300, one.signature), false);
  assert.equal(table.knows(300, other.signature), false);
  assert.deepEqual([...(table.of(300).get('http/TCP') ?? [])], [80, 81]);
  assert.equal(table.ambiguous([300], 'http', ['TCP']), 300);
  assert.equal(table.ambiguous([300], 'http', ['UDP', 'TCP']), 300);
  assert.equal(table.ambiguous([300], 'http', ['UDP']), undefined);
  assert.equal(table.ambiguous([300], 'dns', ['TCP']), undefined);
  assert.equal(table.ambiguous([301], 'http', ['TCP']), undefined);
  assert.equal(table.ambiguous([0], 'http', ['TCP']), 300);
  table.leave(of(one));
  assert.equal(table.ambiguous([300], 'http', ['TCP']), 300, 'there is one more');
  table.leave(of(one));
  assert.equal(table.ambiguous([300], 'http', ['TCP']), undefined);
  assert.deepEqual([...(table.of(300).get('http/TCP') ?? [])], [81]);
  assert.equal(table.knows(300, other.signature), true);
  table.leave(of(other));
  assert.equal(table.of(300).size, 0);
  assert.deepEqual(table.candidates([0]), []);
  assert.equal(table.knows(300, other.signature), false);
});
