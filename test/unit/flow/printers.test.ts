// The parts of printers: harmless text, times, summaries, Hubble's rules for ends and arrows. Expected values are Hubble's
// documented forms, or follow from the standards named.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  compactPrinter,
  etherTypeName,
  type FlowRecord,
  githubPrinter,
  identityText,
  ipProtocolName,
  isoTime,
  jsonLine,
  jsonPrinter,
  jsonpbPrinter,
  junitPrinter,
  l4Summary,
  type PacketRecord,
  protobufTime,
  safeText,
  sarifPrinter,
  stampMilli,
  tablePrinter,
} from '../../../src/flow/index.ts';

const RECORD: PacketRecord = {
  capture: 'a.pcap',
  number: 1,
  time: { seconds: 1_567_094_999, nanoseconds: 388_999_999 },
  at: 'any',
  hook: 'from-container',
  path: ['from-container', 'to-container'],
  verdict: 'FORWARDED',
  source: { ip: '10.0.0.1', port: 56810, identity: 12885, namespace: 'test', pod: 'client' },
  destination: { ip: '10.0.0.2', port: 53, identity: 5128, namespace: 'kube-system', pod: 'coredns-1' },
  protocol: 'UDP',
  l4: { number: 17 },
  ct: 'NEW',
  by: [],
  policy: { match: 'L3-L4', direction: 'INGRESS' },
  point: 'to-endpoint',
  reply: false,
  bytes: 60,
};
const line = (record: FlowRecord): string => compactPrinter().record(record).trimEnd();

describe('compact', () => {
  it('is Hubble’s line', () => {
    assert.equal(
      line(RECORD),
      'Aug 29 16:09:59.388: test/client:56810 (ID:12885) -> kube-system/coredns-1:53 (ID:5128) policy-verdict:L3-L4 INGRESS ALLOWED (UDP)',
    );
  });
  it('swaps the ends of a reply, and has no arrow for a drop without a policy lookup', () => {
    const { policy: _policy, ...traced } = RECORD;
    assert.match(
      line({ ...traced, reply: true }),
      /kube-system\/coredns-1:53 \(ID:5128\) <- test\/client:56810 \(ID:12885\) to-endpoint FORWARDED/,
    );
    assert.match(
      line({ ...traced, verdict: 'DROPPED', drop: { code: 158, name: 'Service backend not found' } }),
      / <> .* Service backend not found DROPPED \(UDP\)$/,
    );
  });
  it('names reserved identities, brackets IPv6, falls back to stations', () => {
    const { policy: _policy, ...traced } = RECORD;
    assert.match(
      line({
        ...traced,
        source: { ip: 'fd00::1', port: 5353, identity: 300 },
        destination: { ip: 'fd00::2', port: 53, identity: 10 },
      }),
      /: \[fd00::1\]:5353 \(ID:300\) -> \[fd00::2\]:53 \(world-ipv6\) /,
    );
    assert.match(
      line({
        ...traced,
        source: { mac: 'aa:aa:aa:aa:aa:aa' },
        destination: { mac: 'bb:bb:bb:bb:bb:bb' },
        protocol: 'ARP',
      }),
      /aa:aa:aa:aa:aa:aa \(unknown\) -> bb:bb:bb:bb:bb:bb \(unknown\)/,
    );
  });
  it('names at most three rules', () => {
    const by = ['a', 'b', 'c', 'd', 'e'].map((name) => ({
      kind: 'NetworkPolicy',
      namespace: 'x',
      name,
      rule: 'ingress',
      file: 'p.yaml',
      line: 1,
    }));
    assert.match(
      line({ ...RECORD, by }),
      / by NetworkPolicy x\/a ingress p\.yaml:1, .* x\/c ingress p\.yaml:1 and 2 more$/,
    );
  });
});

describe('untrusted text', () => {
  const EVIL = 'a\u001b[31mred\r\nnext\u0007\u009b2J\u202etxet';
  const evil: PacketRecord = {
    ...RECORD,
    capture: EVIL,
    source: { ...RECORD.source, namespace: EVIL, pod: EVIL },
    service: { namespace: EVIL, name: EVIL, frontend: EVIL },
    by: [{ kind: 'NetworkPolicy', namespace: EVIL, name: EVIL, rule: EVIL, file: EVIL, line: 1 }],
    verdict: 'DROPPED',
    drop: { code: 133, name: 'Policy denied' },
  };
  it('reaches no terminal raw, in any format', () => {
    const makers = [
      compactPrinter,
      tablePrinter,
      jsonPrinter,
      jsonpbPrinter,
      junitPrinter,
      (): ReturnType<typeof sarifPrinter> => sarifPrinter('1'),
      githubPrinter,
    ];
    for (const make of makers) {
      const printer = make();
      const text = printer.begin() + printer.record(evil) + printer.end();

      assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/, make.name);
    }
  });
  it('is shown as Hubble shows it', () => {
    assert.equal(safeText('\u001b[31m\r'), '^[[31m\\r');
    assert.equal(safeText('plain – text ü'), 'plain – text ü');
    assert.equal(safeText('\u0000\u007f\u0085'), '^@^?\\u{85}');
  });
  it('reads back from JSON as it was', () => {
    assert.equal(JSON.parse(jsonLine({ name: EVIL })).name, EVIL);
    assert.equal(JSON.parse(jsonPrinter().record(evil)).source.pod, EVIL);
  });
});

describe('json', () => {
  it('has the documented fields in their order, absent facts absent', () => {
    assert.equal(
      jsonPrinter().record(RECORD),
      '{"capture":"a.pcap","number":1,"time":"2019-08-29T16:09:59.388999999Z","at":"any","hook":"from-container","path":["from-container","to-container"],"verdict":"FORWARDED","source":{"ip":"10.0.0.1","port":56810,"identity":12885,"namespace":"test","pod":"client"},"destination":{"ip":"10.0.0.2","port":53,"identity":5128,"namespace":"kube-system","pod":"coredns-1"},"protocol":"UDP","reply":false,"ct":"NEW","policy":{"match":"L3-L4","direction":"INGRESS"},"drop":null,"by":[],"bytes":60}\n',
    );
  });
});

describe('jsonpb', () => {
  it('is a GetFlowsResponse with a drop’s numbers and the denying policy', () => {
    const { flow, node_name: node } = JSON.parse(
      jsonpbPrinter().record({
        ...RECORD,
        node: 'n1',
        verdict: 'DROPPED',
        drop: { code: 133, name: 'Policy denied' },
        policy: { match: 'none', direction: 'EGRESS' },
        by: [{ kind: 'NetworkPolicy', namespace: 'x', name: 'p' }],
      }),
    );
    assert.equal(node, 'default/n1');
    assert.equal(flow.verdict, 'DROPPED');
    assert.equal(flow.drop_reason, 133);
    assert.equal(flow.drop_reason_desc, 'POLICY_DENIED');
    assert.deepEqual(flow.event_type, { type: 5 });
    assert.equal(flow.traffic_direction, 'EGRESS');
    assert.deepEqual(flow.egress_denied_by, [{ name: 'p', namespace: 'x', kind: 'NetworkPolicy' }]);
    assert.equal(flow.is_reply, false);
    assert.deepEqual(flow.l4, { UDP: { source_port: 56810, destination_port: 53 } });
  });
  it('leaves out an unknown verdict, and escapes as Go does', () => {
    const text = jsonpbPrinter().record({
      ...RECORD,
      verdict: 'UNKNOWN',
      unknown: 'x',
      source: { ip: '10.0.0.1', pod: '<a&b>', namespace: 'n' },
    });
    assert.equal(JSON.parse(text).flow.verdict, undefined);
    assert.match(text, /\\u003ca\\u0026b\\u003e/);
  });
});

describe('times', () => {
  it('are UTC, cut and not rounded', () => {
    const time = { seconds: 1_767_323_045, nanoseconds: 123_456_789 };
    assert.equal(isoTime(time), '2026-01-02T03:04:05.123456789Z');
    assert.equal(stampMilli(time), 'Jan  2 03:04:05.123');
    assert.equal(protobufTime({ ...time, nanoseconds: 0 }), '2026-01-02T03:04:05Z');
    assert.equal(protobufTime({ ...time, nanoseconds: 120_000_000 }), '2026-01-02T03:04:05.120Z');
    assert.equal(protobufTime({ ...time, nanoseconds: 1_000 }), '2026-01-02T03:04:05.000001Z');
    assert.equal(isoTime({ seconds: -1, nanoseconds: 5 }), '1969-12-31T23:59:59.000000005Z');
  });
  it('outside of any calendar are seconds', () => {
    assert.equal(isoTime({ seconds: 1e15, nanoseconds: 5 }), '1000000000000000.000000005');
    assert.equal(stampMilli({ seconds: 1e15, nanoseconds: 5 }), 'N/A');
  });
});

describe('names', () => {
  it('of flags, ICMP, protocols and Ethernet types', () => {
    assert.equal(l4Summary('TCP', { number: 6, tcpFlags: 0x12 }), 'TCP Flags: SYN, ACK');
    assert.equal(l4Summary('TCP', { number: 6 }), 'TCP');
    assert.equal(l4Summary('ICMPv4', { number: 1, icmpType: 8, icmpCode: 0 }), 'ICMPv4 EchoRequest');
    assert.equal(l4Summary('ICMPv4', { number: 1, icmpType: 3, icmpCode: 3 }), 'ICMPv4 DestinationUnreachable(Port)');
    assert.equal(l4Summary('ICMPv6', { number: 58, icmpType: 135, icmpCode: 0 }), 'ICMPv6 NeighborSolicitation');
    assert.equal(ipProtocolName(47), 'GRE');
    assert.equal(ipProtocolName(253), 'IP protocol 253');
    assert.equal(etherTypeName(0x0806), 'ARP');
    assert.equal(etherTypeName(0x26), 'LLC');
    assert.equal(etherTypeName(0x1234), 'Ethernet 0x1234');
    assert.equal(identityText(undefined), '(unknown)');
    assert.equal(identityText(2), '(world)');
  });
});
