// The host firewall in the datapath: the node's own policy at to-host, from-host and to-netdev, its connections, what is never
// policed, and what costs nothing where it is off. The world: a node with policy 5, a pod on it, another node, the world.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  ACTION,
  CT_STATUS,
  DROP,
  ENDPOINT_FLAG,
  FEATURE,
  IDENTITY,
  STAGE,
  VERDICT,
} from '../../../src/schema/index.ts';
import { identityMark } from '../../../src/datapath/stages/identity.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import type { PacketSpec } from '../../support/packets.ts';

const NODE = '10.0.0.1';
const NODE6 = 'fd00::1';
const OTHER = '10.0.0.2';
const POD = '10.0.1.1';
const OUT = '203.0.113.9';
const OUT6 = '2001:db8::9';
const POD_ID = 1001;
const HOST_MARK = 0xc00;
const { FORWARDED, DROPPED, AUDIT } = VERDICT;
const { NEW, ESTABLISHED, REPLY, RELATED, NONE } = CT_STATUS;

/** Ingress: ssh from everybody, 9100 from the pod, pings. Egress: DNS, and what the pod listens on. */
function world(...features: number[]): World {
  const w = new World().enable(FEATURE.HOST_FIREWALL, ...features);
  w.endpoint(POD, { id: 1, identity: POD_ID, node: 1 });
  for (const address of [NODE, NODE6]) {
    w.endpoint(address, { id: 2, identity: IDENTITY.HOST, policyId: 5, flags: ENDPOINT_FLAG.HOST, ifindex: 0 });
    w.identity(address, IDENTITY.REMOTE_NODE, 1);
  }
  w.identity(OTHER, IDENTITY.REMOTE_NODE, 2);
  return w.policy(5, {
    ingress: [
      { protocol: 'tcp', port: 22, cookie: 7 },
      { identity: POD_ID, protocol: 'tcp', port: 9100, cookie: 8 },
      { protocol: 'icmpv6', port: 128 },
    ],
    egress: [
      { protocol: 'udp', port: 53, cookie: 9 },
      { identity: POD_ID, protocol: 'tcp', port: 8080 },
    ],
    ingressCookie: 70,
    egressCookie: 90,
  });
}

const tcp = (source: string, destination: string, port: number, more: Partial<PacketSpec> = {}): PacketSpec => ({
  protocol: 'tcp',
  source,
  destination,
  sourcePort: 40000,
  destinationPort: port,
  flags: 'S',
  ...more,
});
const back = ({ source, destination, sourcePort, destinationPort, ...rest }: PacketSpec): PacketSpec => ({
  ...rest,
  source: destination,
  destination: source,
  sourcePort: destinationPort!,
  destinationPort: sourcePort!,
  flags: 'SA',
});
const brief = ({ verdict, record }: Result): readonly unknown[] => [
  verdict,
  record.dropReason,
  record.ctStatus,
  record.cookie,
];

describe('to-host', () => {
  it('from-netdev hands what is for the node on to it; the policy decides there', () => {
    const w = world();
    const arrived = w.run('FROM_NETDEV', tcp(OUT, NODE, 22));
    assert.deepEqual([arrived.verdict, arrived.record.action], [FORWARDED, ACTION.HOST]);
    const passed = w.next('TO_HOST', arrived);
    assert.deepEqual(brief(passed), [FORWARDED, 0, NEW, 7]);
    assert.deepEqual([passed.record.action, passed.record.destinationIdentity], [ACTION.STACK, IDENTITY.HOST]);
    assert.equal(passed.record.sourceIdentity, IDENTITY.WORLD_IPV4);
    const refused = w.next('TO_HOST', w.run('FROM_NETDEV', tcp(OUT, NODE, 23)));
    assert.deepEqual(brief(refused), [DROPPED, DROP.POLICY, NEW, 70]);
    assert.equal(refused.record.stage, STAGE.POLICY);
  });

  it('a pod of the node comes with its own identity, by the mark', () => {
    const w = world();
    const sent = w.run('FROM_CONTAINER', tcp(POD, NODE, 9100), { ifindex: 11 });
    assert.deepEqual([sent.record.action, w.meta.mark], [ACTION.HOST, identityMark(POD_ID)]);
    const passed = w.next('TO_HOST', sent);
    assert.deepEqual(brief(passed), [FORWARDED, 0, NEW, 8]);
    assert.equal(passed.record.sourceIdentity, POD_ID);
    assert.equal(w.run('TO_HOST', tcp(OUT, NODE, 9100)).verdict, DROPPED, 'the world is not the pod');
  });

  it('the answer of a connection that the node opened passes, and what follows too', () => {
    const w = world();
    const asked = tcp(NODE, OUT, 53, { protocol: 'udp' });
    assert.deepEqual(brief(w.run('TO_NETDEV', asked)), [FORWARDED, 0, NEW, 9]);
    assert.deepEqual(brief(w.run('TO_HOST', back(asked))), [FORWARDED, 0, REPLY, 9]);
    assert.deepEqual(brief(w.run('TO_NETDEV', asked)), [FORWARDED, 0, ESTABLISHED, 9]);
    const error = { protocol: 'icmp', source: OUT, destination: NODE, type: 3, code: 1 } as const;
    assert.equal(w.run('TO_HOST', error).record.ctStatus, RELATED);
    assert.equal(w.run('TO_HOST', { ...error, source: '203.0.113.10' }).verdict, DROPPED, 'of no connection');
    // Nobody asked this one.
    assert.equal(w.run('TO_HOST', { ...back(asked), destinationPort: 40001 }).record.dropReason, DROP.POLICY);
  });

  it('the answer of the node to a connection that it let in passes', () => {
    const w = world();
    const opened = tcp(OUT, NODE, 22);
    w.run('TO_HOST', opened);
    for (const hook of ['TO_NETDEV', 'FROM_HOST'] as const) {
      assert.deepEqual(brief(w.run(hook, back(opened))), [FORWARDED, 0, REPLY, 7]);
    }
  });

  it('a rule that is taken back cuts what lives', () => {
    const w = world();
    w.run('TO_HOST', tcp(OUT, NODE, 22));
    w.policy(5, { ingress: [{ identity: 99 }], egress: [] });
    w.changeEndpoint(NODE, { epoch: 2 });
    assert.equal(w.run('TO_HOST', tcp(OUT, NODE, 22, { flags: 'A' })).verdict, DROPPED);
  });

  it('audit mode tells and lets pass', () => {
    const w = world(FEATURE.AUDIT);
    assert.deepEqual(brief(w.run('TO_HOST', tcp(OUT, NODE, 23))), [AUDIT, 0, NEW, 70]);
    assert.deepEqual(brief(w.run('TO_NETDEV', tcp(NODE, OUT, 23))), [AUDIT, 0, NEW, 90]);
  });

  it('a node without a policy takes everything', () => {
    const w = world();
    w.changeEndpoint(NODE, { policyId: 0 });
    assert.equal(w.run('TO_HOST', tcp(OUT, NODE, 23)).verdict, FORWARDED);
    assert.equal(w.run('TO_HOST', { protocol: 47, source: OUT, destination: NODE }).verdict, FORWARDED);
  });
});

describe('egress of the node', () => {
  it('to-netdev and from-host ask the policy; pods are none of its business', () => {
    const w = world();
    assert.deepEqual(brief(w.run('TO_NETDEV', tcp(NODE, OUT, 443))), [DROPPED, DROP.POLICY, NEW, 90]);
    assert.deepEqual(brief(w.run('FROM_HOST', tcp(NODE, POD, 22), { mark: HOST_MARK })), [
      DROPPED,
      DROP.POLICY,
      NEW,
      90,
    ]);
    const sent = w.run('FROM_HOST', tcp(NODE, POD, 8080), { mark: HOST_MARK });
    assert.deepEqual([sent.verdict, sent.record.action, sent.record.sourceIdentity], [FORWARDED, ACTION.LOCAL, 1]);
    assert.equal(w.run('TO_NETDEV', tcp(POD, OUT, 443)).verdict, FORWARDED);
  });

  it('no answer is sent to the node itself where pods would get one', () => {
    const w = world(FEATURE.POLICY_DENY_ICMP, FEATURE.POLICY_DENY_RESET);
    assert.equal(w.run('TO_NETDEV', tcp(NODE, OUT, 443)).record.action, ACTION.DROP);
    assert.equal(w.run('TO_HOST', tcp(OUT, NODE, 443)).record.action, ACTION.DROP);
  });

  it('a pod that the stack has masqueraded is not judged as the node, and its answers come back', () => {
    const w = world();
    const sent = tcp(NODE, OUT, 443);
    const mark = identityMark(POD_ID);
    assert.equal(w.run('TO_NETDEV', sent, { mark }).verdict, FORWARDED);
    assert.deepEqual(brief(w.run('TO_HOST', back(sent))), [FORWARDED, 0, REPLY, 0]);
  });

  it('what an earlier hook has translated, and what the overlay wraps, is not judged', () => {
    const w = world(FEATURE.NODE_PORT);
    assert.equal(w.run('TO_NETDEV', tcp(NODE, OUT, 443), { mark: 0x400 }).verdict, FORWARDED);
    assert.equal(w.run('TO_NETDEV', tcp(NODE, OUT, 443)).verdict, DROPPED);
  });

  it('only pods may not speak to the overlay’s port', () => {
    const w = world(FEATURE.TUNNEL);
    w.policy(5, { ingress: [{}], egress: [{ protocol: 'udp', port: 8472 }] });
    const packet = tcp(NODE, OTHER, 8472, { protocol: 'udp' });
    assert.equal(w.run('TO_NETDEV', packet).verdict, FORWARDED);
    assert.equal(
      w.run('FROM_CONTAINER', { ...packet, source: POD }, { ifindex: 11 }).record.dropReason,
      DROP.ENCAP_PROHIBITED,
    );
  });

  it('a node that talks to itself is not judged; to another node it is a packet from the network', () => {
    const w = world();
    w.endpoint('10.0.0.3', { id: 3, identity: IDENTITY.HOST, policyId: 5, flags: ENDPOINT_FLAG.HOST, node: 1 });
    w.endpoint(OTHER, { id: 4, identity: IDENTITY.HOST, policyId: 6, flags: ENDPOINT_FLAG.HOST, node: 2 });
    w.identity(OTHER, IDENTITY.REMOTE_NODE, 2).policy(6, { ingress: [{ identity: IDENTITY.REMOTE_NODE }] });
    const own = w.run('FROM_HOST', tcp(NODE, '10.0.0.3', 443), { mark: HOST_MARK });
    assert.deepEqual([own.verdict, own.record.action, own.record.ctStatus], [FORWARDED, ACTION.STACK, NONE]);
    w.policy(5, { ingress: [{}], egress: [{}] });
    const other = w.run('FROM_HOST', tcp(NODE, OTHER, 443), { mark: HOST_MARK });
    assert.deepEqual([other.record.action, w.meta.mark], [ACTION.HOST, 0]);
    const passed = w.next('TO_HOST', other);
    assert.deepEqual([passed.verdict, passed.record.sourceIdentity], [FORWARDED, IDENTITY.REMOTE_NODE]);
  });
});

describe('what is never, or always, refused', () => {
  const message = (type: number, more: Partial<PacketSpec> = {}): PacketSpec => ({
    protocol: 'icmpv6',
    source: OUT6,
    destination: NODE6,
    type,
    ...more,
  });

  it('ARP and other frames that are no IP are the stack’s', () => {
    const arp = new Uint8Array(60);
    arp.set([8, 6], 12);
    for (const hook of ['TO_HOST', 'FROM_NETDEV', 'TO_NETDEV', 'FROM_HOST'] as const) {
      assert.deepEqual([world().runBytes(hook, arp).verdict], [FORWARDED]);
    }
  });

  it('ICMPv6 that a node needs passes whatever the policy says, in both directions; echoes are policed; the rest is 176', () => {
    const w = world(FEATURE.ICMP_RULES);
    const needed = [1, 2, 3, 4, 130, 131, 132, 133, 134, 135, 136, 138, 141, 142, 143, 148, 149, 151, 152, 153];
    for (let type = 0; type < 256; type++) {
      const inwards = w.run('TO_HOST', message(type, { id: 1000 + type }));
      const outwards = w.run('TO_NETDEV', message(type, { source: NODE6, destination: OUT6, id: 2000 + type }));
      if (type === 128 || type === 129) {
        const { dropReason } = inwards.record;
        assert.deepEqual([dropReason, outwards.record.dropReason], [type === 128 ? 0 : DROP.POLICY, DROP.POLICY]);
        continue;
      }
      const expected = needed.includes(type) ? 0 : DROP.FORBIDDEN_ICMP6;
      assert.deepEqual([inwards.record.dropReason, outwards.record.dropReason], [expected, expected], String(type));
    }
  });

  it('protocols that no rule can name, and pieces of ICMP, do not get past a policy', () => {
    const w = world();
    for (const hook of ['TO_HOST', 'FROM_NETDEV'] as const) {
      const gre = w.run(hook, { protocol: 47, source: OUT, destination: NODE });
      assert.deepEqual([gre.verdict, gre.record.dropReason], [DROPPED, DROP.CT_UNKNOWN_PROTOCOL]);
      const piece = w.run(hook, {
        protocol: 'icmp',
        source: OUT,
        destination: NODE,
        type: 8,
        fragment: { id: 5, offset: 0, more: true },
      });
      assert.deepEqual([piece.verdict, piece.record.dropReason], [DROPPED, DROP.INVALID]);
    }
    const sent = w.run('TO_NETDEV', { protocol: 47, source: NODE, destination: OUT });
    assert.equal(sent.record.dropReason, DROP.CT_UNKNOWN_PROTOCOL);
    assert.equal(w.run('FROM_NETDEV', { protocol: 47, source: OUT, destination: OTHER }).verdict, FORWARDED);
  });
});

describe('off', () => {
  it('the node is the stack’s business, whatever stands in the maps', () => {
    const w = world().disable(FEATURE.HOST_FIREWALL);
    const arrived = w.run('FROM_NETDEV', tcp(OUT, NODE, 23));
    assert.deepEqual([arrived.verdict, arrived.record.action], [FORWARDED, ACTION.STACK]);
    for (const hook of ['TO_HOST', 'FROM_HOST', 'TO_NETDEV'] as const) {
      assert.equal(w.run(hook, tcp(NODE, OUT, 23)).verdict, FORWARDED);
    }
    assert.equal(w.run('TO_HOST', tcp(OUT, NODE, 23)).verdict, FORWARDED);
    assert.equal(w.sim.maps.ctTcpNew4.size + w.sim.maps.ctTcp4.size, 0, 'and has no connections');
  });
});

describe('with services and masquerading', () => {
  it('a backend that is the node itself: policy sees the target port, the answer has the frontend again', () => {
    const w = world(FEATURE.NODE_PORT);
    w.backend(1, NODE, 22);
    w.service('198.51.100.1', 2222, { backends: [1], flags: 0x40 | 0x20 });
    const opened = tcp(OUT, '198.51.100.1', 2222);
    const arrived = w.run('FROM_NETDEV', opened);
    assert.deepEqual([arrived.record.action, arrived.destination, arrived.destinationPort], [ACTION.HOST, NODE, 22]);
    assert.deepEqual(brief(w.next('TO_HOST', arrived)), [FORWARDED, 0, NEW, 7]);
    const answer = w.run('TO_NETDEV', back(tcp(OUT, NODE, 22)));
    assert.deepEqual([answer.verdict, answer.source, answer.sourcePort], [FORWARDED, '198.51.100.1', 2222]);
  });

  it('the node’s own connection whose port is reserved keeps its entry, so that the answer is none of ingress', () => {
    const w = world(FEATURE.MASQUERADE_V4).node(0, NODE);
    const asked = tcp(NODE, OUT, 53, { protocol: 'udp', sourcePort: 40000 });
    assert.equal(w.run('TO_NETDEV', asked).verdict, FORWARDED);
    const answered = w.run('FROM_NETDEV', back(asked));
    assert.equal(answered.record.action, ACTION.HOST);
    assert.deepEqual(brief(w.next('TO_HOST', answered)), [FORWARDED, 0, REPLY, 9]);
  });
});
