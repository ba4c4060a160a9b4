// Policy: which entry wins, what it says, when it is asked at all. Input: one pod with policy 3, a peer.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  ACTION,
  BOUND,
  CT_FLAG,
  CT_STATUS,
  DROP,
  FEATURE,
  policyMeta,
  policyValue,
  POLICY_ENTRY,
  POLICY_MATCH,
  RECORD_FLAG,
  SHAPE_ANY_PROTOCOL,
  STAGE,
  TRACE,
  TRACE_AT,
  TRACE_MAPS,
  TRACE_WORDS,
  VERDICT,
} from '../../../src/schema/index.ts';
import { type Result, type Rule, World } from '../../support/datapath-world.ts';
import type { PacketSpec } from '../../support/packets.ts';

const A = '10.0.1.1';
const B = '10.0.2.2';
const PEER = 2000;
const { POLICY, POLICY_DENY } = DROP;

let w: World;
beforeEach(() => {
  w = new World();
  w.endpoint(A, { policyId: 3 }).endpoint(B, { identity: PEER });
});

const packet = (more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source: A,
  destination: B,
  sourcePort: 1000,
  destinationPort: 80,
  ...more,
});
const egress = (rules: readonly Rule[], more: Partial<PacketSpec> = {}): Result => {
  w.policy(3, { egress: rules, egressCookie: 99 });
  return w.run('FROM_CONTAINER', packet(more));
};
const allowed = (rules: readonly Rule[], more: Partial<PacketSpec> = {}): boolean =>
  egress(rules, more).verdict === VERDICT.FORWARDED;

describe('enforcement', () => {
  test('policy 0 enforces nothing and asks nothing', () => {
    w.changeEndpoint(A, { policyId: 0 });
    const result = w.run('FROM_CONTAINER', packet());
    assert.equal(result.verdict, VERDICT.FORWARDED);
    assert.deepEqual([result.record.cookie, w.sim.context.probesPolicy], [0, 0]);
  });
  test('a direction without its flag allows without a probe', () => {
    w.policy(3, { ingress: [] });
    const result = w.run('FROM_CONTAINER', packet());
    assert.equal(result.verdict, VERDICT.FORWARDED);
    assert.equal(result.record.flags & RECORD_FLAG.ENFORCED, 0);
    assert.equal(w.sim.context.probesPolicy, 0);
  });
  test('an enforced direction with no matching entry denies by default, telling who isolates', () => {
    const result = egress([]);
    assert.equal(result.record.dropReason, POLICY);
    assert.equal(result.record.stage, STAGE.POLICY);
    assert.equal(result.record.cookie, 99);
    assert.equal(result.record.flags & RECORD_FLAG.ENFORCED, RECORD_FLAG.ENFORCED);
    assert.equal(result.record.action, ACTION.DROP);
  });
  test('a policy id that is not in the map fails closed: 203', () => {
    w.changeEndpoint(A, { policyId: 1000 });
    assert.equal(w.run('FROM_CONTAINER', packet()).record.dropReason, DROP.ENDPOINT_NOT_READY);
  });
  test('ingress is its own direction', () => {
    w.policy(3, { ingress: [{ identity: PEER }], egress: [] });
    const inbound = packet({ source: B, destination: A });
    assert.equal(w.run('TO_CONTAINER', inbound).verdict, VERDICT.FORWARDED);
    assert.equal(w.run('FROM_CONTAINER', packet({ destinationPort: 81 })).record.dropReason, POLICY);
    w.policy(3, { ingress: [], egress: [{ identity: PEER }] });
    w.changeEndpoint(A, { epoch: 2 });
    const result = w.run('TO_CONTAINER', inbound);
    assert.equal(result.record.dropReason, POLICY);
    assert.equal(result.record.flags & RECORD_FLAG.EGRESS, 0);
  });
});

describe('match', () => {
  const cases: readonly [name: string, rule: Rule, match: number][] = [
    ['L3 only', { identity: PEER }, POLICY_MATCH.L3_ONLY],
    ['L3 and protocol', { identity: PEER, protocol: 'tcp' }, POLICY_MATCH.L3_PROTO],
    ['L3 and L4', { identity: PEER, protocol: 'tcp', port: 80 }, POLICY_MATCH.L3_L4],
    ['L4 only', { protocol: 'tcp', port: 80 }, POLICY_MATCH.L4_ONLY],
    ['protocol only', { protocol: 'tcp' }, POLICY_MATCH.PROTO_ONLY],
    ['everything', {}, POLICY_MATCH.ALL],
  ];
  for (const [name, rule, match] of cases) {
    test(`${name} allows, with Cilium’s match number and the rule’s cookie`, () => {
      const result = egress([{ ...rule, cookie: 7 }]);
      assert.equal(result.verdict, VERDICT.FORWARDED);
      assert.deepEqual([result.record.policyMatch, result.record.cookie], [match, 7]);
    });
  }
  test('a port prefix covers its range and no more', () => {
    const rule: Rule = { protocol: 'tcp', port: 0x1f80, prefix: 12 };
    for (const [port, expected] of [
      [0x1f7f, false],
      [0x1f80, true],
      [0x1f8f, true],
      [0x1f90, false],
    ] as const) {
      assert.equal(allowed([rule], { destinationPort: port }), expected, `${port}`);
    }
  });
  test('another protocol, port or identity does not match', () => {
    assert.equal(allowed([{ protocol: 'udp', port: 80 }]), false);
    assert.equal(allowed([{ protocol: 'tcp', port: 81 }], { sourcePort: 2 }), false);
    w = new World();
    w.endpoint(A, { policyId: 3 }).endpoint(B, { identity: PEER });
    assert.equal(allowed([{ identity: 2001 }]), false);
  });
  test('the aggregate of the identity matches: own cluster, other clusters, CIDRs, remote nodes', () => {
    for (const [identity, aggregate] of [
      [PEER, 11],
      [0x10000 + 5, 12],
      [0x01000007, 13],
      [0x02000003, 14],
    ] as const) {
      w = new World();
      w.endpoint(A, { policyId: 3 }).identity('192.0.2.1', identity);
      const to = { destination: '192.0.2.1' };
      assert.equal(egress([{ identity: aggregate, cookie: 5 }], to).record.cookie, 5, `${identity}`);
      w = new World();
      w.endpoint(A, { policyId: 3 }).identity('192.0.2.1', identity);
      assert.equal(allowed([{ identity: aggregate === 11 ? 12 : 11 }], to), false, `${identity}`);
    }
  });
  test('a reserved identity has no aggregate but matches 0', () => {
    assert.equal(egress([{ cookie: 4 }], { destination: '192.0.2.9' }).record.cookie, 4);
  });
  test('only shapes that exist are probed', () => {
    egress([{ protocol: 'tcp', port: 80 }, { identity: PEER }]);
    assert.equal(w.sim.context.probesPolicy, 2);
  });
  test('a peer without an aggregate is not asked about as identity 0 twice', () => {
    egress(
      [
        { identity: 11, protocol: 'tcp' },
        { protocol: 'tcp', cookie: 4 },
      ],
      { destination: '192.0.2.9' },
    );
    assert.equal(w.sim.context.probesPolicy, 1);
  });
  test('a later fragment whose ports are not known meets no entry that names ports, not even from 0 on', () => {
    w.disable(FEATURE.FRAGMENTS_V4).changeEndpoint(B, { policyId: 3 });
    const later = packet({ protocol: 'udp', fragment: { id: 3, offset: 64, more: false } });
    w.policy(3, { ingress: [{ protocol: 'udp', port: 0, prefix: 8 }] });
    assert.equal(w.run('TO_CONTAINER', later).record.dropReason, DROP.FRAG_NO_SUPPORT);
    w.policy(3, { ingress: [{ protocol: 'udp' }] });
    assert.equal(w.run('TO_CONTAINER', later).verdict, VERDICT.FORWARDED);
  });
  test('with every shape of every kind the probes stay within the bound', () => {
    const rules: Rule[] = [];
    for (const identity of [PEER, 11, 0]) {
      rules.push({ identity });
      for (let prefix = 0; prefix <= 16; prefix++) rules.push({ identity, protocol: 'tcp', port: 80, prefix });
    }
    egress(rules);
    assert.equal(w.sim.context.probesPolicy, 54);
    assert.ok(w.sim.context.probesPolicy <= BOUND.POLICY_PROBES);
  });
});

describe('precedence', () => {
  test('deny beats allow at the same priority, however specific the allow', () => {
    const result = egress([
      { identity: PEER, protocol: 'tcp', port: 80, cookie: 1 },
      { verdict: 'deny', cookie: 2 },
    ]);
    assert.deepEqual([result.record.dropReason, result.record.cookie], [POLICY_DENY, 2]);
  });
  test('a higher tier’s allow beats a lower tier’s deny', () => {
    const result = egress([
      { cookie: 1, priority: 100 },
      { identity: PEER, protocol: 'tcp', port: 80, verdict: 'deny', cookie: 2 },
    ]);
    assert.deepEqual([result.verdict, result.record.cookie], [VERDICT.FORWARDED, 1]);
  });
  test('at equal precedence the longer port prefix wins, over a more specific identity', () => {
    const result = egress([
      { identity: PEER, protocol: 'tcp', cookie: 1 },
      { protocol: 'tcp', port: 80, cookie: 2 },
    ]);
    assert.equal(result.record.cookie, 2);
  });
  test('an exact protocol is longer than any protocol', () => {
    assert.equal(
      egress([
        { identity: PEER, cookie: 1 },
        { protocol: 'tcp', cookie: 2 },
      ]).record.cookie,
      2,
    );
  });
  test('at equal precedence and prefix: identity before aggregate before any', () => {
    const same = (identity: number, cookie: number): Rule => ({ identity, protocol: 'tcp', port: 80, cookie });
    assert.equal(egress([same(0, 1), same(11, 2), same(PEER, 3)]).record.cookie, 3);
    w = new World();
    w.endpoint(A, { policyId: 3 }).endpoint(B, { identity: PEER });
    assert.equal(egress([same(0, 1), same(11, 2)]).record.cookie, 2);
  });
  test('precedences compare as unsigned numbers', () => {
    // Priority 0 has the top bit of the precedence set, the lowest priority has not.
    const result = egress([
      { cookie: 1, priority: 0xfffffe },
      { identity: PEER, cookie: 2, priority: 0, verdict: 'deny' },
    ]);
    assert.equal(result.record.dropReason, POLICY_DENY);
  });
  test('an entry whose verdict byte is pass decides nothing', () => {
    w.policy(3, { egress: [{ identity: PEER, cookie: 1 }], egressCookie: 99 });
    const [[key, value]] = [...w.map('policy')] as unknown as [[never, { precedence: number }]];
    w.map('policy').set(key, { ...value, precedence: (value.precedence & ~0xff) >>> 0 } as never);
    assert.equal(w.run('FROM_CONTAINER', packet()).record.dropReason, POLICY);
  });
});

describe('verdicts', () => {
  test('a redirect hands TCP and UDP to the proxy', () => {
    const result = egress([{ protocol: 'tcp', port: 80, verdict: 'redirect', proxyPort: 10005, cookie: 3 }]);
    assert.deepEqual([result.verdict, result.record.action], [VERDICT.REDIRECTED, ACTION.PROXY]);
    assert.deepEqual([result.record.proxyPort, result.record.cookie], [10005, 3]);
    assert.equal(w.connection('ctTcpNew4')!.flags & CT_FLAG.PROXY_REDIRECT, CT_FLAG.PROXY_REDIRECT);
  });
  test('an established redirect is still a redirect, with its port', () => {
    const rules: Rule[] = [{ protocol: 'tcp', port: 80, verdict: 'redirect', proxyPort: 10005 }];
    egress(rules);
    const result = w.run('FROM_CONTAINER', packet({ flags: 'A' }));
    assert.deepEqual([result.record.ctStatus, result.record.proxyPort], [CT_STATUS.ESTABLISHED, 10005]);
  });
  test('a redirect of another protocol: 180', () => {
    const result = egress([{ verdict: 'redirect', proxyPort: 1 }], { protocol: 'icmp' });
    assert.equal(result.record.dropReason, DROP.PROXY_UNKNOWN_PROTOCOL);
  });
  test('a rule that wants authentication is never satisfied: 189', () => {
    assert.equal(egress([{ auth: 1 }]).record.dropReason, DROP.POLICY_AUTH_REQUIRED);
  });
  test('audit mode passes what it would drop, and says so, also for the established connection', () => {
    for (const audit of ['feature', 'policy']) {
      w = new World();
      w.endpoint(A, { policyId: 3 }).endpoint(B, { identity: PEER });
      if (audit === 'feature') w.enable(FEATURE.AUDIT);
      w.policy(3, { egress: [], egressCookie: 99, audit: audit === 'policy' });
      const result = w.run('FROM_CONTAINER', packet());
      assert.equal(result.verdict, VERDICT.AUDIT, audit);
      assert.equal(result.record.action, ACTION.LOCAL);
      assert.equal(result.record.cookie, 99);
      assert.equal(result.record.flags & RECORD_FLAG.AUDITED, RECORD_FLAG.AUDITED);
      assert.equal(result.record.dropReason, 0);
      assert.equal(w.run('FROM_CONTAINER', packet({ flags: 'A' })).verdict, VERDICT.AUDIT);
      const reply = { source: B, destination: A, sourcePort: 80, destinationPort: 1000, flags: 'SA' };
      assert.equal(w.run('TO_CONTAINER', packet(reply)).verdict, VERDICT.FORWARDED);
    }
  });
  test('a denial that is marked for audit is shown, one that is not drops', () => {
    const deny = (auth: number): Result => egress([{ identity: PEER, verdict: 'deny', cookie: 5, auth }]);
    const shown = deny(POLICY_ENTRY.AUDIT);
    assert.deepEqual([shown.verdict, shown.record.cookie], [VERDICT.AUDIT, 5]);
    w.changeEndpoint(A, { epoch: 2 });
    assert.equal(deny(0).record.dropReason, POLICY_DENY);
  });
  test('a pod must not inject into the overlay: 170, when there is one', () => {
    const tunnel = { protocol: 'udp', destinationPort: 8472 } as const;
    assert.equal(w.run('FROM_CONTAINER', packet(tunnel)).verdict, VERDICT.FORWARDED);
    w.enable(FEATURE.TUNNEL);
    const result = w.run('FROM_CONTAINER', packet({ ...tunnel, sourcePort: 7 }));
    assert.equal(result.record.dropReason, DROP.ENCAP_PROHIBITED);
    // Neither another protocol at that port, nor what comes in.
    assert.equal(w.run('FROM_CONTAINER', packet({ ...tunnel, protocol: 'tcp' })).verdict, VERDICT.FORWARDED);
    const inbound = packet({ ...tunnel, source: B, destination: A });
    assert.equal(w.run('TO_CONTAINER', inbound).verdict, VERDICT.FORWARDED);
  });
});

describe('ICMP', () => {
  test('without ICMP rules only entries without a port match', () => {
    assert.equal(allowed([{ protocol: 'icmp', port: 8 }], { protocol: 'icmp', type: 8 }), false);
    assert.equal(allowed([{ protocol: 'icmp' }], { protocol: 'icmp', type: 8 }), true);
  });
  test('with ICMP rules the type is the port', () => {
    w.enable(FEATURE.ICMP_RULES);
    assert.equal(allowed([{ protocol: 'icmp', port: 8 }], { protocol: 'icmp', type: 8 }), true);
    assert.equal(allowed([{ protocol: 'icmp', port: 8 }], { protocol: 'icmp', type: 13 }), false);
  });
  test('IPv4 "fragmentation needed" always passes, unless that is switched off', () => {
    const tooBig = { protocol: 'icmp', type: 3, code: 4 } as const;
    assert.equal(allowed([], tooBig), true);
    assert.equal(allowed([], { ...tooBig, code: 1 }), false);
    assert.equal(allowed([], { ...tooBig, type: 11 }), false);
    assert.equal(allowed([], { ...tooBig, type: 8 }), false);
    w = new World();
    w.endpoint(A, { policyId: 3 }).endpoint(B).disable(FEATURE.ICMP_FRAG_NEEDED);
    assert.equal(allowed([], tooBig), false);
  });
});

describe('traces', () => {
  const { POLICY_META: META, POLICY_PROBE, POLICY_VERDICT } = TRACE;
  /** Kind, result, map and bytes of value of each record of the policy stage; of a verdict its key, and what follows the precedence. */
  const traced = (run: () => Result): unknown[] => {
    w.sim.trace.enabled = true;
    run();
    const { trace } = w.sim;
    const records = Array.from({ length: trace.count }, (_, i) =>
      trace.words.subarray(i * TRACE_WORDS, (i + 1) * TRACE_WORDS),
    );
    const words = (at: Int32Array, from: number, count: number): number[] => [...at.subarray(from, from + at[count]!)];
    return records
      .filter((at) => [META, POLICY_PROBE, POLICY_VERDICT].includes(at[0] as typeof META))
      .map((at) => {
        const { RESULT, MAP, KEY, KEY_WORDS, VALUE, VALUE_WORDS } = TRACE_AT;
        if (at[0] !== POLICY_VERDICT) return [at[0], at[RESULT], TRACE_MAPS[at[MAP]!], at[VALUE_WORDS]! * 4];
        const [, ...value] = words(at, VALUE, VALUE_WORDS);
        return [at[0], at[RESULT], ...words(at, KEY, KEY_WORDS), '|', ...value];
      });
  };
  test('the policy that is not there, or is; each probe, found or not; the verdict with its reason', () => {
    w.changeEndpoint(A, { policyId: 1000 });
    assert.deepEqual(
      traced(() => w.run('FROM_CONTAINER', packet())),
      [[META, 0, 'policyMeta', 0]],
    );
    w.changeEndpoint(A, { policyId: 3 });
    const rules: Rule[] = [
      { protocol: 'tcp', port: 81 },
      { identity: PEER, verdict: 'deny' },
    ];
    assert.deepEqual(
      traced(() => egress(rules)),
      [
        [META, 1, 'policyMeta', policyMeta.bytes],
        [POLICY_PROBE, 1, 'policy', policyValue.bytes],
        [POLICY_PROBE, 0, 'policy', 0],
        [POLICY_VERDICT, DROP.POLICY_DENY, 3, PEER, 80, 6, 1, '|', 0, POLICY_MATCH.L3_ONLY, 0],
      ],
    );
    w.map('policy').delete({ policyId: 3, identity: PEER, port: 0, protocol: 0, shape: SHAPE_ANY_PROTOCOL | 0x80 });
    assert.deepEqual(
      traced(() => egress([{ cookie: 7 }])),
      [
        [META, 1, 'policyMeta', policyMeta.bytes],
        [POLICY_PROBE, 1, 'policy', policyValue.bytes],
        [POLICY_VERDICT, 0, 3, PEER, 80, 6, 1, '|', 7, POLICY_MATCH.ALL, 0],
      ],
    );
    w.policy(3, { ingress: [], ingressCookie: 8, audit: true });
    assert.deepEqual(
      traced(() => w.run('TO_CONTAINER', packet({ source: B, destination: A, destinationPort: 0x1234 }))),
      [
        [META, 1, 'policyMeta', policyMeta.bytes],
        [POLICY_VERDICT, POLICY, 3, PEER, 0x1234, 6, 0, '|', 8, 0, 1],
      ],
    );
  });
});

describe('established connections', () => {
  const establish = (): void => {
    w.policy(3, { egress: [{ identity: PEER, protocol: 'tcp', port: 80, cookie: 7 }], egressCookie: 99 });
    assert.equal(w.run('FROM_CONTAINER', packet()).record.ctStatus, CT_STATUS.NEW);
  };
  const again = (): Result => w.run('FROM_CONTAINER', packet({ flags: 'A' }));

  test('with the current epoch nothing is looked up, and the rule is still known', () => {
    establish();
    const result = again();
    assert.equal(result.verdict, VERDICT.FORWARDED);
    assert.deepEqual([result.record.cookie, result.record.destinationIdentity], [7, PEER]);
    const cx = w.sim.context;
    assert.deepEqual([cx.probesPolicy, cx.probesDestinationIdentity, cx.probesSourceIdentity], [0, 0, 0]);
    assert.equal(result.record.flags & RECORD_FLAG.POLICY_LOOKED_UP, 0);
  });
  test('nor with ICMP rules, which are about ICMP alone; and an echo where there are none', () => {
    w.enable(FEATURE.ICMP_RULES);
    establish();
    again();
    assert.equal(w.sim.context.probesPolicy, 0);
    w.disable(FEATURE.ICMP_RULES);
    const echo: Partial<PacketSpec> = { protocol: 'icmp', type: 8 };
    const probes = (): number => {
      assert.equal(egress([{ protocol: 'icmp' }], echo).verdict, VERDICT.FORWARDED);
      return w.sim.context.probesPolicy;
    };
    assert.deepEqual([probes(), probes()], [1, 0]);
    w.enable(FEATURE.ICMP_RULES);
    assert.equal(probes(), 1, 'types may differ within one connection');
  });
  test('what is audited stays audited when it is decided again, and not when a rule allows it', () => {
    w.policy(3, { egress: [], audit: true });
    w.run('FROM_CONTAINER', packet());
    w.changeEndpoint(A, { epoch: 2 });
    assert.equal(again().verdict, VERDICT.AUDIT);
    assert.equal(again().verdict, VERDICT.AUDIT, 'without a lookup');
    assert.equal(w.sim.context.probesPolicy, 0);
    w.policy(3, { egress: [{}], audit: true }).changeEndpoint(A, { epoch: 3 });
    assert.deepEqual([again().verdict, again().verdict], [VERDICT.FORWARDED, VERDICT.FORWARDED]);
  });
  test('an old epoch is looked up again: a revoked rule cuts the live connection', () => {
    establish();
    w.map('policy').delete([...w.map('policy')][0]![0]);
    assert.equal(again().verdict, VERDICT.FORWARDED, 'before the epoch is bumped nothing changes');
    w.changeEndpoint(A, { epoch: 2 });
    const result = again();
    assert.deepEqual([result.record.dropReason, result.record.cookie], [POLICY, 99]);
    assert.equal(result.record.ctStatus, CT_STATUS.ESTABLISHED);
    assert.equal(again().record.dropReason, POLICY);
  });
  test('a rule that still allows renews epoch, identity and cookie', () => {
    establish();
    w.policy(3, {
      egress: [
        { protocol: 'tcp', port: 80, cookie: 8 },
        { identity: 2222, cookie: 9 },
      ],
    });
    w.map('policy').delete({ policyId: 3, identity: PEER, port: 80, protocol: 6, shape: 16 | 0x80 });
    w.identity(B, 2222).changeEndpoint(A, { epoch: 2 });
    assert.equal(again().record.cookie, 8);
    const entry = w.connection('ctTcpNew4')!;
    assert.deepEqual([entry.remoteIdentity, entry.policyEpoch, entry.cookie], [2222, 3, 8]);
    again();
    assert.equal(w.sim.context.probesPolicy, 0);
  });
  test('the global epoch counts, too', () => {
    establish();
    w.identity(B, 2222).configure({ globalEpoch: 2 });
    assert.equal(again().record.dropReason, POLICY);
  });
  test('replies skip policy even when the epoch is old, and carry the cookie of the connection', () => {
    establish();
    w.policy(3, { egress: [], ingress: [] }).changeEndpoint(A, { epoch: 5 });
    const reply = w.run(
      'TO_CONTAINER',
      packet({ source: B, destination: A, sourcePort: 80, destinationPort: 1000, flags: 'SA' }),
    );
    assert.deepEqual(
      [reply.verdict, reply.record.ctStatus, reply.record.cookie],
      [VERDICT.FORWARDED, CT_STATUS.REPLY, 7],
    );
    assert.equal(w.sim.context.probesPolicy, 0);
  });
  test('a connection that policy dropped leaves no entry', () => {
    egress([]);
    assert.equal(w.entries('ctTcpNew4').length, 0);
    assert.equal(w.entries('ctAnyNew4').length, 0);
  });
  test('a redirect that is no longer one is forwarded, and one that has become one is redirected', () => {
    establish();
    w.policy(3, { egress: [{ identity: PEER, protocol: 'tcp', port: 80, verdict: 'redirect', proxyPort: 9 }] });
    w.changeEndpoint(A, { epoch: 2 });
    assert.equal(again().verdict, VERDICT.REDIRECTED);
    w.policy(3, { egress: [{ identity: PEER, protocol: 'tcp', port: 80 }] }).changeEndpoint(A, { epoch: 3 });
    assert.equal(again().verdict, VERDICT.FORWARDED);
    assert.equal(w.connection('ctTcpNew4')!.flags & CT_FLAG.PROXY_REDIRECT, 0);
  });
});
