// Compiled maps in the simulator: what the pod hooks say to the first packet of a connection is what the maps, read by hand,
// say. This is where the compiler's and the datapath's reading of the contract meet.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Compiler } from '../../../src/control/compile.ts';
import { diff } from '../../../src/control/diff.ts';
import { Meta, Packet } from '../../../src/datapath/index.ts';
import { createSim, type Sim } from '../../../src/dataplane/sim/index.ts';
import { HOOK, META_FLAG, VERDICT } from '../../../src/schema/index.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';
import { asText, cluster, OUTSIDE, policies } from '../../support/policy-arbitraries.ts';
import { address, configWith, sideVerdict, stateOf } from '../../support/policy-world.ts';

const CONNECTIONS: readonly (readonly [Partial<PacketSpec>, number, number])[] = [
  [{ protocol: 'tcp', destinationPort: 80 }, 6, 80],
  [{ protocol: 'tcp', destinationPort: 483 }, 6, 483],
  [{ protocol: 'udp', destinationPort: 443 }, 17, 443],
  [{ protocol: 'sctp', destinationPort: 81 }, 132, 81],
  [{ protocol: 'icmp', type: 8, id: 7 }, 1, 8],
  [{ protocol: 'icmpv6', type: 128, id: 7 }, 58, 128],
];

function simVerdict(
  sim: Sim,
  hook: number,
  packet: Partial<PacketSpec>,
  source: string,
  destination: string,
): { passed: boolean; cookie: number } {
  const bytes = frame({ sourcePort: 40000, ...packet, source, destination } as PacketSpec);
  const meta = new Meta();
  meta.flags = META_FLAG.PROBE;
  const verdict = sim.run(hook, new Packet().set(bytes), meta);
  return { passed: verdict !== VERDICT.DROPPED, cookie: sim.decision().cookie };
}

test('the simulator decides as the maps say', () => {
  fc.assert(
    fc.property(cluster, policies, fc.boolean(), (world, rules, kubernetes) => {
      const state = stateOf(asText([...world, ...rules]));
      const options = { semantics: kubernetes ? 'kubernetes' : 'cilium' } as const;
      const compiled = new Compiler(configWith({ 'sctp.enabled': true, 'ipv6.enabled': true }), options).compile(state);
      const sim = createSim({ seed: 1 });
      assert.equal(sim.apply(diff(undefined, compiled.maps)).failed, undefined);
      const pods = state.pods.filter((p) => !p.hostNetwork).flatMap((p) => p.podIPs.map((ip) => ip.text));
      for (const own of pods) {
        for (const other of [...pods, ...OUTSIDE]) {
          if (own === other || address(own).family !== address(other).family) continue;
          for (const [packet, protocol, port] of CONNECTIONS) {
            if ((protocol === 1 || protocol === 58) && (protocol === 1) !== (address(own).family === 4)) continue;
            for (const egress of [true, false]) {
              const wanted = sideVerdict(compiled, own, other, egress, protocol, port);
              const [source, destination] = egress ? [own, other] : [other, own];
              const got = simVerdict(
                sim,
                egress ? HOOK.FROM_CONTAINER : HOOK.TO_CONTAINER,
                packet,
                source,
                destination,
              );
              assert.deepEqual(
                got,
                { passed: wanted.verdict !== 'denied', cookie: wanted.cookie },
                `${source} -> ${destination} ${packet.protocol} ${port} ${egress ? 'egress' : 'ingress'}`,
              );
            }
          }
        }
      }
      sim.close();
    }),
    { numRuns: Number(process.env['WEIR_RUNS'] ?? 25) },
  );
});
