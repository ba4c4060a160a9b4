// Client, balancer, backend's node, pod, and back: what the client sees for each way of forwarding, family and protocol.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { traceSentence } from '../../../src/flow/trace-text.ts';
import { ACTION, CT_STATUS, FEATURE, SERVICE_FLAG, TRACE_WORDS, VERDICT } from '../../../src/schema/index.ts';
import { optionOf } from '../../support/direct-return.ts';
import { directReturnOption, inOverlay, outerOf } from '../../support/overlay-encoder.ts';
import { frame, plainAddress } from '../../support/packets.ts';
import type { Result, World } from '../../support/datapath-world.ts';
import { AT, CLIENT_PORT, FRONTEND_PORT, NEIGHBOUR_IDENTITY, POD_IDENTITY, TwoNodes } from '../../support/two-nodes.ts';

const FAMILIES = [4, 6] as const;
const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;

/** Addresses and ports as the client is to see them. */
function isAnswerOfFrontend(result: Result, nodes: TwoNodes): void {
  const { family } = nodes;
  assert.equal(result.verdict, VERDICT.FORWARDED);
  assert.deepEqual(
    [result.source, result.sourcePort, result.destination, result.destinationPort],
    [plainAddress(AT.vip[family]), FRONTEND_PORT, plainAddress(AT.client[family]), CLIENT_PORT],
  );
  assert.ok(result.checksumsRight);
}

describe('direct server return by option', () => {
  for (const family of FAMILIES) {
    for (const protocol of PROTOCOLS) {
      test(`IPv${family}, ${protocol}: there with the client’s address, back as the frontend, past the balancer`, () => {
        const nodes = new TwoNodes(family, { protocol, features: [FEATURE.DSR_OPTION] });
        const wire = nodes.balance();
        assert.deepEqual(
          [wire.source, wire.destination, wire.destinationPort],
          [plainAddress(AT.client[family]), plainAddress(AT.pod[family]), nodes.targetPort],
        );
        assert.ok(wire.checksumsRight);
        assert.deepEqual(optionOf(wire.bytes), { address: plainAddress(AT.vip[family]), port: FRONTEND_PORT });
        // The balancer itself keeps no translation and no connection but the choice.
        assert.equal(nodes.balancer.map(family === 4 ? 'nat4' : 'nat6').size, 0);
        const pod = nodes.deliver(wire);
        assert.deepEqual([pod.verdict, pod.record.action], [VERDICT.FORWARDED, ACTION.DELIVER]);
        assert.equal(pod.source, plainAddress(AT.client[family]));
        isAnswerOfFrontend(nodes.answer(), nodes);
        assert.equal(nodes.backend.sim.decision().ctStatus, CT_STATUS.NONE);
        // On and on: TCP tells it no more.
        const more = nodes.balance({ flags: 'A' });
        assert.equal(optionOf(more.bytes) === undefined, protocol === 'tcp');
        assert.equal(nodes.deliver(more).record.ctStatus, CT_STATUS.ESTABLISHED);
        isAnswerOfFrontend(nodes.answer({ flags: 'A' }), nodes);
      });
    }
  }
});

for (const [name, features, flags] of [
  ['source NAT, natively routed', [], 0],
  ['hybrid: a frontend without the flag among such that have it', [FEATURE.DSR_OPTION], 0],
] as const) {
  describe(name, () => {
    for (const family of FAMILIES) {
      for (const protocol of PROTOCOLS) {
        test(`IPv${family}, ${protocol}: there with the balancer’s address, back through it`, () => {
          const nodes = new TwoNodes(family, { protocol, features, flags });
          // SCTP's port must be one of the range.
          const sourcePort = protocol === 'sctp' ? 40000 : CLIENT_PORT;
          const wire = nodes.balance({ sourcePort });
          assert.equal(optionOf(wire.bytes), undefined);
          assert.deepEqual([wire.source, wire.checksumsRight], [plainAddress(AT.balancer[family]), true]);
          assert.equal(nodes.deliver(wire).record.action, ACTION.DELIVER);
          const back = nodes.answer({ destination: AT.balancer[family], destinationPort: wire.sourcePort });
          const seen = nodes.balancer.runBytes('FROM_NETDEV', back.bytes);
          assert.deepEqual(
            [seen.source, seen.sourcePort, seen.destination, seen.destinationPort, seen.checksumsRight],
            [plainAddress(AT.vip[family]), FRONTEND_PORT, plainAddress(AT.client[family]), sourcePort, true],
          );
        });
      }
    }
  });
}

describe('direct server return by IPIP', () => {
  for (const family of FAMILIES) {
    for (const protocol of PROTOCOLS) {
      for (const hook of ['XDP', 'FROM_NETDEV'] as const) {
        test(`IPv${family}, ${protocol}, at ${hook}: the client’s packet inside; the node of the pod opens it`, () => {
          const nodes = new TwoNodes(family, {
            protocol,
            features: [hook === 'XDP' ? FEATURE.DSR_IPIP : FEATURE.DSR_IPIP_NETDEV, FEATURE.IPIP_TERMINATION],
            flags: SERVICE_FLAG.FORWARD_DSR | SERVICE_FLAG.LOAD_BALANCER,
          });
          const wire = nodes.balancer.run(hook, nodes.request());
          const outer = family === 4 ? 20 : 40;
          assert.deepEqual(wire.bytes.slice(14 + outer), frame(nodes.request()).slice(14));
          const pod = nodes.deliver(wire);
          assert.deepEqual([pod.record.action, pod.source], [ACTION.DELIVER, plainAddress(AT.client[family])]);
          isAnswerOfFrontend(nodes.answer(), nodes);
          assert.equal(
            nodes.deliver(nodes.balancer.run(hook, nodes.request({ flags: 'A' }))).record.ctStatus,
            CT_STATUS.ESTABLISHED,
          );
          isAnswerOfFrontend(nodes.answer({ flags: 'A' }), nodes);
        });
      }
    }
  }
});

const KINDS = [
  { name: 'VXLAN', geneve: false, port: 8472 },
  { name: 'Geneve', geneve: true, port: 6081 },
] as const;

for (const kind of KINDS) {
  const features = [FEATURE.TUNNEL, FEATURE.OVERLAY, ...(kind.geneve ? [FEATURE.GENEVE] : [])];
  const config = { tunnelPort: kind.port };

  describe(`source NAT through the overlay, ${kind.name}`, () => {
    for (const family of FAMILIES) {
      for (const underlay of FAMILIES) {
        for (const protocol of PROTOCOLS) {
          test(`IPv${family} over IPv${underlay}, ${protocol}: the gateway’s address, as the world; back through the balancer`, () => {
            const nodes = new TwoNodes(family, { protocol, features, config, underlay, flags: 0 });
            // SCTP's port must be one of the range.
            const more = protocol === 'sctp' ? { sourcePort: 40000 } : {};
            const wire = nodes.balance(more);
            const outer = outerOf(wire.bytes);
            assert.deepEqual(
              [outer.source, outer.destination, outer.port, outer.geneve, outer.vni, outer.checksumRight],
              [plainAddress(AT.balancer[underlay]), plainAddress(AT.node[underlay]), kind.port, kind.geneve, 2, true],
            );
            const pod = nodes.deliverThroughOverlay(wire);
            assert.deepEqual([pod.verdict, pod.record.action], [VERDICT.FORWARDED, ACTION.DELIVER]);
            assert.equal(pod.record.sourceIdentity, family === 4 ? 9 : 10);
            assert.deepEqual(
              [pod.source, pod.destination, pod.destinationPort, pod.ttl, pod.checksumsRight],
              [plainAddress(AT.gateway[family]), plainAddress(AT.pod[family]), nodes.targetPort, 63, true],
            );
            const back = nodes.answer({ destination: AT.gateway[family], destinationPort: pod.sourcePort });
            assert.equal(outerOf(back.bytes).vni, POD_IDENTITY);
            const seen = nodes.leave(nodes.balancer, back);
            assert.deepEqual(
              [seen.source, seen.sourcePort, seen.destination, seen.destinationPort, seen.checksumsRight],
              [
                plainAddress(AT.vip[family]),
                FRONTEND_PORT,
                plainAddress(AT.client[family]),
                more.sourcePort ?? CLIENT_PORT,
                true,
              ],
            );
            assert.equal(seen.record.action, ACTION.STACK);
          });
        }
      }
    }
  });

  describe(`pod to pod through the overlay, ${kind.name}`, () => {
    for (const family of FAMILIES) {
      for (const underlay of FAMILIES) {
        test(`IPv${family} over IPv${underlay}: each sees the other’s identity`, () => {
          const nodes = new TwoNodes(family, { features, config, underlay });
          const there = {
            protocol: 'tcp',
            source: AT.neighbour[family],
            destination: AT.pod[family],
            sourcePort: 5555,
            destinationPort: 8080,
          } as const;
          const sent = nodes.balancer.run('FROM_CONTAINER', there);
          const outer = outerOf(sent.bytes);
          assert.deepEqual(
            inOverlay(frame(there), {
              source: AT.balancer[underlay],
              destination: AT.node[underlay],
              sourcePort: outer.sourcePort,
              port: kind.port,
              vni: NEIGHBOUR_IDENTITY,
              geneve: kind.geneve,
            }),
            sent.bytes,
          );
          assert.ok(outer.sourcePort >= 32768 && outer.sourcePort < 61000);
          const wire = nodes.balancer.next('TO_NETDEV', sent);
          assert.deepEqual(wire.bytes, sent.bytes);
          const pod = nodes.deliverThroughOverlay(wire);
          assert.deepEqual(
            [pod.verdict, pod.record.sourceIdentity, pod.ttl],
            [VERDICT.FORWARDED, NEIGHBOUR_IDENTITY, 63],
          );
          assert.deepEqual([pod.source, pod.sourcePort], [plainAddress(AT.neighbour[family]), 5555]);
          const answered = nodes.backend.run('FROM_CONTAINER', {
            ...there,
            source: there.destination,
            destination: there.source,
            sourcePort: 8080,
            destinationPort: 5555,
            flags: 'SA',
          });
          assert.equal(outerOf(answered.bytes).vni, POD_IDENTITY);
          const back = nodes.balancer.next('TO_CONTAINER', nodes.leave(nodes.balancer, answered));
          assert.deepEqual([back.record.ctStatus, back.record.sourceIdentity], [CT_STATUS.REPLY, POD_IDENTITY]);
          assert.ok(back.checksumsRight);
        });
      }
    }
  });
}

describe('direct server return by Geneve', () => {
  for (const family of FAMILIES) {
    for (const underlay of FAMILIES) {
      for (const protocol of PROTOCOLS) {
        test(`IPv${family} over IPv${underlay}, ${protocol}: the frontend in an option; back past the balancer`, () => {
          const nodes = new TwoNodes(family, {
            protocol,
            features: [FEATURE.DSR_GENEVE, FEATURE.GENEVE],
            config: { tunnelPort: 6081 },
            underlay,
          });
          const wire = nodes.balance();
          const option = directReturnOption(AT.vip[family], FRONTEND_PORT);
          const outer = outerOf(wire.bytes);
          assert.deepEqual([outer.vni, outer.options], [2, option]);
          assert.deepEqual(
            wire.bytes,
            inOverlay(frame(nodes.request({ destination: AT.pod[family], destinationPort: nodes.targetPort })), {
              source: AT.balancer[underlay],
              destination: AT.node[underlay],
              sourcePort: outer.sourcePort,
              port: 6081,
              vni: 2,
              geneve: true,
              options: option,
            }),
          );
          const pod = nodes.deliverThroughOverlay(wire);
          assert.deepEqual([pod.verdict, pod.source], [VERDICT.FORWARDED, plainAddress(AT.client[family])]);
          isAnswerOfFrontend(nodes.answer(), nodes);
          const more = nodes.balance({ flags: 'A' });
          assert.equal(outerOf(more.bytes).options!.length, protocol === 'tcp' ? 0 : option.length);
          assert.equal(nodes.deliverThroughOverlay(more).record.ctStatus, CT_STATUS.ESTABLISHED);
          isAnswerOfFrontend(nodes.answer({ flags: 'A' }), nodes);
        });
      }
    }
  }
});

test('the trace says what was told, where it went, and as what the pod answers', () => {
  const names = {
    address: (raw: readonly number[]) => [0, 8, 16, 24].map((shift) => (raw[0]! >>> shift) & 255).join('.'),
    identity: () => undefined,
    rules: () => [],
  };
  const told = (w: World, run: () => unknown): string[] => {
    w.sim.trace.enabled = true;
    run();
    const { count, words } = w.sim.trace;
    const texts = Array.from({ length: count }, (_, i) => traceSentence(words, i * TRACE_WORDS, names).text);
    w.sim.trace.enabled = false;
    return texts.filter((text) => /direct server return|the overlay|IPIP/.test(text));
  };
  const option = new TwoNodes(4, { features: [FEATURE.DSR_OPTION] });
  assert.deepEqual(
    told(option.balancer, () => option.balancer.run('FROM_NETDEV', option.request())),
    ['direct server return: an option of 8 bytes tells the backend’s node that 172.16.10.1:80 was asked'],
  );
  const wire = option.balance();
  assert.deepEqual(
    told(option.backend, () => option.backend.runBytes('FROM_NETDEV', wire.bytes)),
    ['direct server return: the packet tells that 172.16.10.1:80 was asked; the pod is to answer as that'],
  );
  option.deliver(wire);
  assert.deepEqual(
    told(option.backend, () => option.backend.run('FROM_CONTAINER', option.reply())),
    ['direct server return: source 192.168.2.1:8080 becomes 172.16.10.1:80'],
  );
  const geneve = new TwoNodes(4, {
    features: [FEATURE.DSR_GENEVE, FEATURE.GENEVE],
    config: { tunnelPort: 6081 },
    underlay: 4,
  });
  assert.deepEqual(
    told(geneve.balancer, () => geneve.balancer.run('FROM_NETDEV', geneve.request())),
    [
      'direct server return: an option of 12 bytes tells the backend’s node that 172.16.10.1:80 was asked',
      'into the overlay: a packet of 122 bytes from 10.0.10.1 to 10.0.10.2, identity 2, to the host’s stack',
    ],
  );
  const more = geneve.balance();
  assert.deepEqual(
    told(geneve.backend, () => geneve.backend.runBytes('FROM_OVERLAY', more.bytes)),
    [
      'out of the overlay: from 10.0.10.1 to 10.0.10.2, identity 2',
      'direct server return: the packet tells that 172.16.10.1:80 was asked; the pod is to answer as that',
    ],
  );
});
