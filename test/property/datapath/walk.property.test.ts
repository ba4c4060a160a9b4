// Whole walks in random small clusters: pod → service or pod → pod, and from outside; requests, answers, and what a probe
// says before. Input: worlds of a few pods and services. Output: answers come from where the client sent to.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Meta } from '../../../src/datapath/index.ts';
import { ACTION, BOUND, CT_STATUS, FEATURE, META_FLAG, SERVICE_FLAG, VERDICT } from '../../../src/schema/index.ts';
import { type Result, World } from '../../support/datapath-world.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';

const pod = (six: boolean, n: number): string => (six ? `fd00:0:0:0:0:0:0:${n + 1}` : `10.0.${n}.1`);
const vip = (six: boolean, n: number): string => (six ? `fd00:1:0:0:0:0:0:${n + 1}` : `172.16.0.${n + 1}`);
const outside = (six: boolean): string => (six ? '2001:db8:0:0:0:0:0:7' : '203.0.113.7');
const PODS = 4;

const world = fc.record({
  services: fc.array(
    fc.record({
      backends: fc.array(fc.integer({ min: 0, max: PODS - 1 }), { minLength: 1, maxLength: 4 }),
      port: fc.constantFrom<number>(80, 443),
      target: fc.constantFrom<number>(80, 8080),
      affinity: fc.boolean(),
      maglev: fc.boolean(),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  isolated: fc.array(fc.integer({ min: 0, max: PODS - 1 }), { maxLength: 2 }),
});
const flow = fc.record({
  client: fc.integer({ min: -1, max: PODS - 1 }),
  service: fc.integer({ min: 0, max: 2 }),
  /** Straight to a pod instead. */
  direct: fc.boolean(),
  pod: fc.integer({ min: 0, max: PODS - 1 }),
  port: fc.integer({ min: 1024, max: 1030 }),
  tcp: fc.boolean(),
  six: fc.boolean(),
  reset: fc.boolean(),
  later: fc.constantFrom<number>(0, 0, 1, 30, 70),
});

type WorldSpec = typeof world extends fc.Arbitrary<infer T> ? T : never;

function build(spec: WorldSpec): World {
  const w = new World();
  w.enable(FEATURE.NODE_PORT);
  for (const six of [false, true]) {
    for (let n = 0; n < PODS; n++) {
      w.endpoint(pod(six, n), { id: n + 1, identity: 1000 + n, policyId: spec.isolated.includes(n) ? 3 : 0 });
    }
    spec.services.forEach((service, i) => {
      const ids = service.backends.map((n) => {
        const id = 1 + i * PODS + n;
        w.backend(id, pod(six, n), service.target);
        return id;
      });
      for (const protocol of ['tcp', 'udp'] as const) {
        const reverseNat = 1 + i * 2 + (protocol === 'udp' ? 1 : 0);
        w.service(vip(six, i), service.port, {
          protocol,
          backends: ids,
          reverseNat,
          algorithm: service.maglev ? 2 : 1,
          flags: SERVICE_FLAG.ROUTABLE,
          ...(service.affinity ? { affinitySeconds: 50 } : {}),
        });
        w.maglev(reverseNat, ids, six ? 6 : 4);
      }
    });
  }
  // Pods 0 and 1 may be reached and may reach; nobody else.
  const rules = [{ identity: 1000 }, { identity: 1001, protocol: 'tcp' as const }];
  return w.policy(3, { ingress: rules, egress: rules, ingressCookie: 1, egressCookie: 2 });
}

/** Runs a hook, a probe first: it must say the same and change nothing. */
function go(
  w: World,
  hook: 'FROM_CONTAINER' | 'TO_CONTAINER' | 'FROM_NETDEV',
  from: Result | Uint8Array,
  fresh: boolean,
): Result {
  const meta: Partial<Meta> = fresh ? {} : { ...w.meta };
  const bytes = from instanceof Uint8Array ? from : from.bytes;
  const before = w.snapshot();
  const probed = w.runBytes(hook, bytes, { ...meta, flags: (meta.flags ?? 0) | META_FLAG.PROBE });
  assert.equal(w.snapshot(), before, 'a probe changes no map');
  const real = w.runBytes(hook, bytes, meta);
  assert.deepEqual(real.record, probed.record, 'a probe answers like the packet');
  assert.deepEqual(real.bytes, probed.bytes);
  const cx = w.sim.context;
  assert.ok(cx.probesConntrack <= BOUND.CT_PROBES + BOUND.CT_SERVICE_PROBES + BOUND.CT_MISS_PROBES);
  assert.ok(cx.probesSourceIdentity <= BOUND.IPCACHE_PROBES && cx.probesDestinationIdentity <= BOUND.IPCACHE_PROBES);
  assert.ok(cx.probesPolicy <= BOUND.POLICY_PROBES && cx.probesService <= 3 && cx.probesEndpoint <= 3);
  assert.ok(real.checksumsRight, 'checksums stay right');
  if (real.record.ctStatus === CT_STATUS.REPLY)
    assert.equal(real.verdict, VERDICT.FORWARDED, 'replies are never policed');
  return real;
}

const ONE_BACKEND = { backends: [3], port: 80, target: 8080, affinity: false, maglev: false };
const FROM_OUTSIDE = {
  client: -1,
  service: 0,
  direct: false,
  pod: 0,
  port: 1026,
  tcp: true,
  six: true,
  reset: false,
  later: 0,
};

test('whoever gets through gets its answer from the address that it sent to', () => {
  let answered = 0;
  fc.assert(
    fc.property(world, fc.array(flow, { minLength: 1, maxLength: 10 }), (spec, flows) => {
      const w = build(spec);
      for (const f of flows) {
        const service = spec.services[f.service % spec.services.length]!;
        const client = f.client < 0 ? outside(f.six) : pod(f.six, f.client);
        const target = f.direct ? pod(f.six, f.pod) : vip(f.six, f.service % spec.services.length);
        // From outside, directly after through a frontend with equal ports is one tuple to the pod: not told apart, as in Cilium.
        const sourcePort = f.client < 0 && f.direct ? f.port + 1000 : f.port;
        const request: PacketSpec = {
          protocol: f.tcp ? 'tcp' : 'udp',
          source: client,
          destination: target,
          sourcePort,
          destinationPort: f.direct ? 8080 : service.port,
          payload: Uint8Array.of(1, 2, 3),
        };
        w.now += f.later;
        const sent = go(w, f.client < 0 ? 'FROM_NETDEV' : 'FROM_CONTAINER', frame(request), true);
        if (sent.verdict !== VERDICT.FORWARDED || sent.record.action !== ACTION.LOCAL) continue;
        const got = go(w, 'TO_CONTAINER', sent, false);
        if (got.verdict !== VERDICT.FORWARDED) continue;
        const answer = frame({
          protocol: request.protocol,
          source: got.destination,
          destination: got.source,
          sourcePort: got.destinationPort,
          destinationPort: got.sourcePort,
          flags: f.reset ? 'RA' : 'SA',
          payload: Uint8Array.of(4, 5),
        });
        let back = go(w, 'FROM_CONTAINER', answer, true);
        assert.equal(back.record.ctStatus, CT_STATUS.REPLY);
        // A hairpin's answer goes straight in, one to the outside to the stack, any other through the client's hook.
        if (back.record.action === ACTION.LOCAL) back = go(w, 'TO_CONTAINER', back, false);
        assert.equal(back.verdict, VERDICT.FORWARDED);
        assert.deepEqual(
          [back.source, back.sourcePort, back.destination, back.destinationPort],
          [target, request.destinationPort, client, sourcePort],
        );
        answered++;
      }
    }),
    {
      numRuns: 150,
      examples: [
        // One client port through two frontends to one backend: the answer once came from the first frontend.
        [
          { services: [ONE_BACKEND, { ...ONE_BACKEND, port: 443 }], isolated: [] },
          [
            { ...FROM_OUTSIDE, service: 1 },
            { ...FROM_OUTSIDE, service: 0 },
          ],
        ],
      ],
    },
  );
  assert.ok(answered > 150, `only ${answered} flows were answered: the worlds test nothing`);
});
