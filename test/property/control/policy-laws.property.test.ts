// What has to hold between two sets of policies, asked of the compiled maps by the datapath's own lookup: a deny never loses, an
// allow takes nothing away, a port range is its ports, a prefix is its parts. Each law finds a fault that is planted in the maps.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  allowPolicy,
  cluster,
  denyPolicy,
  kubernetesPolicy,
  policies,
  tieredPolicies,
  unnarrowed,
} from '../../support/policy-arbitraries.ts';
import {
  type Ask,
  assertSame,
  compareSides,
  type Document,
  holds,
  type Side,
  sidesOf,
  sideText,
} from '../../support/policy-laws.ts';

/** Without audit mode: what would be denied is denied. */
const enforced = unnarrowed(fc.oneof(policies, tieredPolicies)).map((list) =>
  list.map((policy): Document => {
    const { annotations: _, ...metadata } = policy['metadata'] as Document;
    return { ...policy, metadata };
  }),
);

const actions = ({ spec }: Document): Document => spec as Document;
const isAdmin = ({ kind }: Document): boolean => kind === 'ClusterNetworkPolicy';

test('a deny never loses at the same tier or to a lower one', () => {
  const input = fc.record({ world: cluster, rules: enforced, deny: denyPolicy, kubernetes: fc.boolean() });
  holds(
    input,
    ({ world, rules, deny, kubernetes }, spoil) => {
      const beside = rules.filter((policy) => !isAdmin(policy) || actions(policy)['tier'] === 'Baseline');
      const alone = sidesOf([...world, deny], kubernetes);
      const together = sidesOf([...world, ...beside, deny], kubernetes, undefined, [], spoil);
      compareSides(alone, together, (one, all) => {
        if (one.byDeny) assert.ok(!all.allowed, sideText(all));
      });
    },
    // An allow beats everything.
    ({ value }) => ((value.precedence & 0xff) === 1 ? { precedence: 0xffffff01 } : {}),
  );
});

/** Isolates every pod and allows nothing, so that no other policy isolates anybody newly. */
const ISOLATION: readonly Document[] = ['x', 'y'].map((namespace) => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'isolation', namespace },
  spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'] },
}));

const takesNothing = (before: readonly Side[], after: readonly Side[]): void => {
  compareSides(before, after, (old, now) => {
    if (old.allowed) assert.ok(now.allowed, sideText(now));
  });
};

test('an allow takes no flow away where it isolates nobody newly', () => {
  const input = fc.record({
    world: cluster,
    rules: enforced,
    isolated: fc.boolean(),
    allows: fc.record({ open: allowPolicy(false), cilium: allowPolicy(true), kubernetes: kubernetesPolicy }),
    kind: fc.boolean(),
    kubernetes: fc.boolean(),
  });
  holds(
    input,
    ({ world, rules, isolated, allows, kind, kubernetes }, spoil) => {
      const base = [...world, ...rules, ...(isolated ? ISOLATION : [])];
      const added = isolated ? (kind ? allows.cilium : allows.kubernetes) : allows.open;
      takesNothing(sidesOf(base, kubernetes), sidesOf([...base, added], kubernetes, undefined, [], spoil));
    },
    // Entries for single identities are lost.
    ({ key, value }) => (key.identity !== 0 && (value.precedence & 0xff) === 1 ? undefined : {}),
  );
});

test('an allow that does isolate takes only from whom it isolates: the law above is not empty', () => {
  // The condition matters: without it a counterexample is found.
  const input = fc.record({ world: cluster, allow: allowPolicy(true) });
  const found = fc.check(
    fc.property(input, ({ world, allow }) => {
      takesNothing(sidesOf([...world], false), sidesOf([...world, allow], false));
    }),
    { numRuns: 50, seed: 7, endOnFailure: true },
  );
  assert.ok(found.failed);
});

// ---- ports ----

const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;
type ProtocolName = keyof typeof PROTOCOLS;
const range = fc
  .record({
    first: fc.oneof(fc.constantFrom(1, 79, 255, 1023, 32767, 65500), fc.integer({ min: 1, max: 65500 })),
    // An admin rule has at most 25 ports.
    span: fc.integer({ min: 1, max: 24 }),
    protocol: fc.constantFrom<ProtocolName>('TCP', 'UDP', 'SCTP'),
    kind: fc.constantFrom('kubernetes', 'allow', 'deny', 'admin'),
  })
  .map(({ first, span, ...rest }) => ({ ...rest, first, last: first + span }));
type Range = typeof range extends fc.Arbitrary<infer T> ? T : never;

/** The policy of a range, written as a range or port by port. */
function ranged({ kind, first, last, protocol }: Range, whole: boolean): Document {
  const ports = Array.from({ length: last - first + 1 }, (_, i) => first + i);
  const pairs: [number, number][] = whole ? [[first, last]] : ports.map((port) => [port, port]);
  const span = (text: boolean): Document[] =>
    pairs.map(([port, endPort]) => ({
      port: text ? String(port) : port,
      protocol,
      ...(endPort > port && { endPort }),
    }));
  if (kind === 'kubernetes') {
    const spec = { podSelector: {}, ingress: [{ ports: span(false) }], egress: [{ ports: span(false) }] };
    return {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'added', namespace: 'x' },
      spec: { ...spec, policyTypes: ['Ingress', 'Egress'] },
    };
  }
  if (kind === 'admin') {
    const protocols = pairs.map(([start, end]) => ({
      [protocol.toLowerCase()]: { destinationPort: end > start ? { range: { start, end } } : { number: start } },
    }));
    const rule = { action: 'Deny', protocols };
    const ingress = [{ ...rule, from: [{ namespaces: {} }] }];
    const egress = [{ ...rule, to: [{ namespaces: {} }, { networks: ['203.0.113.0/24'] }] }];
    return {
      apiVersion: 'policy.networking.k8s.io/v1alpha2',
      kind: 'ClusterNetworkPolicy',
      metadata: { name: 'added' },
      spec: { tier: 'Admin', priority: 3, subject: { namespaces: {} }, ingress, egress },
    };
  }
  const deny = kind === 'deny' ? 'Deny' : '';
  const item = { toPorts: [{ ports: span(true) }] };
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumClusterwideNetworkPolicy',
    metadata: { name: 'added' },
    spec: { endpointSelector: {}, [`ingress${deny}`]: [item], [`egress${deny}`]: [item] },
  };
}

test('a port range is the union of its ports', () => {
  holds(
    fc.record({ world: cluster, rules: enforced, ports: range, kubernetes: fc.boolean() }),
    ({ world, rules, ports, kubernetes }, spoil) => {
      const protocol = PROTOCOLS[ports.protocol];
      const { first, last } = ports;
      const near = [first - 1, first, first + 1, (first + last) >> 1, last - 1, last, last + 1, 0, 65535];
      const asks: Ask[] = [
        ...near.filter((port) => port >= 0 && port <= 65535).map((port): Ask => [protocol, port]),
        [protocol === 6 ? 17 : 6, first],
        [1, first & 0xff],
      ];
      const one = sidesOf([...world, ...rules, ranged(ports, true)], kubernetes, asks, [], spoil);
      assertSame(one, sidesOf([...world, ...rules, ranged(ports, false)], kubernetes, asks));
    },
    // Prefixes of ports are lost.
    ({ key }) => ((key.shape & 0x1f) > 0 && (key.shape & 0x1f) < 16 ? undefined : {}),
  );
});

// ---- prefixes ----

interface Block {
  /** Address as a number, and the bits of its family. */
  readonly bits: 32 | 128;
  readonly value: bigint;
  readonly length: number;
}

const mask = ({ bits, value, length }: Block): Block => ({
  bits,
  length,
  value: (value >> BigInt(bits - length)) << BigInt(bits - length),
});
const blockOf = (bits: 32 | 128, value: bigint, length: number): Block => mask({ bits, value, length });
const half = (block: Block, upper: boolean): Block => ({
  ...block,
  length: block.length + 1,
  value: upper ? block.value + (1n << BigInt(block.bits - block.length - 1)) : block.value,
});
const size = ({ bits, length }: Block): bigint => 1n << BigInt(bits - length);
const contains = (block: Block, value: bigint): boolean => value >= block.value && value < block.value + size(block);

function textOf(bits: 32 | 128, value: bigint): string {
  const part = bits === 32 ? 8n : 16n;
  const parts = Array.from({ length: bits / Number(part) }, (_, i) =>
    ((value >> (BigInt(bits) - part * BigInt(i + 1))) & ((1n << part) - 1n)).toString(bits === 32 ? 10 : 16),
  );
  return parts.join(bits === 32 ? '.' : ':');
}
const cidrOf = (block: Block): string => `${textOf(block.bits, block.value)}/${block.length}`;

const blocks: fc.Arbitrary<Block> = fc.oneof(
  fc
    .record({
      value: fc.constantFrom(0xcb007109n, 0xcb0071c8n, 0x08080808n, 0x0af4010an, 0xac12000bn),
      length: fc.integer({ min: 0, max: 30 }),
    })
    .map(({ value, length }) => blockOf(32, value, length)),
  fc
    .record({
      value: fc.constantFrom(0x20010db8000000000000000000000009n, 0x2620n << 112n, 0xfd00n << 112n),
      length: fc.integer({ min: 0, max: 126 }),
    })
    .map(({ value, length }) => blockOf(128, value, length)),
);
/** A prefix within a block, by the way from one half to the next. */
const within = (block: Block, way: readonly boolean[]): Block =>
  way.reduce((inner, upper) => (inner.length < inner.bits - 1 ? half(inner, upper) : inner), half(block, true));

const peers = fc.record({
  block: blocks,
  way: fc.array(fc.boolean(), { maxLength: 20 }),
  kind: fc.constantFrom('kubernetes', 'allow', 'deny'),
});

interface Entry {
  readonly block: Block;
  readonly except?: Block;
}

/** The policy of some prefixes; an entry with `except` has a hole. */
function toBlocks(kind: string, entries: readonly Entry[]): Document {
  const list = entries.map(({ block, except }) => ({
    cidr: cidrOf(block),
    ...(except === undefined ? {} : { except: [cidrOf(except)] }),
  }));
  if (kind === 'kubernetes') {
    const peer = list.map((ipBlock) => ({ ipBlock }));
    // An empty list would be everybody.
    const rule = (name: string): unknown[] => (peer.length === 0 ? [] : [{ [name]: peer }]);
    return {
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'added', namespace: 'x' },
      spec: { podSelector: {}, policyTypes: ['Ingress', 'Egress'], ingress: rule('from'), egress: rule('to') },
    };
  }
  const deny = kind === 'deny' ? 'Deny' : '';
  return {
    apiVersion: 'cilium.io/v2',
    kind: 'CiliumClusterwideNetworkPolicy',
    metadata: { name: 'added' },
    spec: {
      endpointSelector: {},
      [`ingress${deny}`]: [{ fromCIDRSet: list }],
      [`egress${deny}`]: [{ toCIDRSet: list }],
    },
  };
}

const edges = (block: Block): bigint[] =>
  [
    block.value - 1n,
    block.value,
    block.value + size(block) / 2n,
    block.value + size(block) - 1n,
    block.value + size(block),
  ].filter((value) => value >= 0n && value < 1n << BigInt(block.bits));

const otherEnd = ({ egress, source, destination }: Side): string => (egress ? destination : source);

test('a prefix covers what its parts cover, and its hole what nobody names', () => {
  holds(
    fc.record({ world: cluster, rules: enforced, peer: peers, kubernetes: fc.boolean() }),
    ({ world, rules, peer: { block, way, kind }, kubernetes }, spoil) => {
      const inner = within(block, way);
      const more = [...edges(block), ...edges(inner)].map((value) => textOf(block.bits, value));
      const asks: Ask[] = [
        [6, 80],
        [17, 443],
      ];
      const ask = (entries: readonly Entry[], fault = spoil): Side[] =>
        sidesOf([...world, ...rules, toBlocks(kind, entries)], kubernetes, asks, more, fault);
      const whole = ask([{ block }]);
      assertSame(whole, ask([{ block: half(block, false) }, { block: half(block, true) }]));
      assertSame(whole, ask([{ block }, { block: inner }]));
      // What stands beside the hole closes it again.
      assertSame(whole, ask([{ block, except: inner }, { block: inner }]));
      const nobody = ask([]);
      const names = new Map(whole.map((side) => [otherEnd(side), numberOf(otherEnd(side))]));
      ask([{ block, except: inner }]).forEach((side, i) => {
        const inHole =
          side.source.includes(':') === (block.bits === 128) && contains(inner, names.get(otherEnd(side))!);
        const expected = (inHole ? nobody : whole)[i]!;
        assert.equal(side.allowed, expected.allowed, `${sideText(side)} ${inHole ? 'in the hole' : ''}`);
      });
    },
    // Entries of every other identity of a prefix are lost.
    ({ key }) => (key.identity >>> 24 === 1 && (key.identity & 1) === 1 ? undefined : {}),
    Number(process.env['WEIR_RUNS'] ?? 15),
  );
});

function numberOf(text: string): bigint {
  if (!text.includes(':')) return text.split('.').reduce((n, part) => n * 256n + BigInt(part), 0n);
  const [head = '', tail = ''] = text.split('::');
  const words = (part: string): bigint[] => (part === '' ? [] : part.split(':').map((w) => BigInt(`0x${w}`)));
  const front = words(head);
  const back = words(tail);
  const all = [...front, ...Array<bigint>(8 - front.length - back.length).fill(0n), ...back];
  return all.reduce((n, word) => n * 65536n + word, 0n);
}
