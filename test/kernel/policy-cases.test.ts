// The published truth tables of policies through the loaded programs: the first packet of each connection, at the hook of each
// pod that has a say. Skipped where the folder of cases is absent (WEIR_POLICY_CASES).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { diff } from '../../src/control/diff.ts';
import { Meta, Packet } from '../../src/datapath/index.ts';
import { createXdp, kernelUnavailable } from '../../src/dataplane/xdp/index.ts';
import { createSim } from '../../src/dataplane/sim/index.ts';
import type { Dataplane } from '../../src/dataplane/index.ts';
import { HOOK, META_FLAG, VERDICT } from '../../src/schema/index.ts';
import { frame, type PacketSpec } from '../support/packets.ts';
import { type CaseProbe, caseFolders, readCase } from '../support/policy-cases.ts';
import { endpointOf } from '../support/policy-world.ts';
import { POLICY_CASES } from '../support/repository.ts';
import { skipFor } from './kernel.ts';

const folders = caseFolders(POLICY_CASES);
const skip = skipFor(kernelUnavailable()) || (folders.length === 0 && `no cases in ${POLICY_CASES}`);

function packetOf({ source, destination, protocol, port }: CaseProbe): Uint8Array {
  const ends = { source, destination };
  const rest: Partial<PacketSpec> =
    protocol === 1
      ? { protocol: 'icmp', type: port, id: 7 }
      : protocol === 58
        ? { protocol: 'icmpv6', type: port, id: 7 }
        : {
            protocol: protocol === 6 ? 'tcp' : protocol === 17 ? 'udp' : 'sctp',
            sourcePort: 40000,
            destinationPort: port,
          };
  return frame({ ...ends, ...rest } as PacketSpec);
}

/** What a pod's hook says to a first packet; true also where the address is no pod's, which has no say. */
function passes(dataplane: Dataplane, probe: CaseProbe, egress: boolean, isPod: boolean): boolean {
  if (!isPod) return true;
  const meta = new Meta();
  meta.flags = META_FLAG.PROBE;
  const hook = egress ? HOOK.FROM_CONTAINER : HOOK.TO_CONTAINER;
  return dataplane.run(hook, new Packet().set(packetOf(probe)), meta) !== VERDICT.DROPPED;
}

describe('published policy tables in the kernel', { skip }, () => {
  for (const folder of folders) {
    it(folder, () => {
      const { compiled, probes } = readCase(join(POLICY_CASES, folder), { 'sctp.enabled': true, 'ipv6.enabled': true });
      const isPod = (address: string): boolean => endpointOf(compiled, address) !== undefined;
      const engines = [createSim({ seed: 1 }), createXdp()];
      try {
        const wrong: string[] = [];
        for (const [i, engine] of engines.entries()) {
          assert.equal(engine.apply(diff(undefined, compiled.maps)).failed, undefined);
          for (const probe of probes) {
            const egress = probe.side === 'ingress' || passes(engine, probe, true, isPod(probe.source));
            const ingress = probe.side === 'egress' || passes(engine, probe, false, isPod(probe.destination));
            if ((egress && ingress) !== probe.allowed) wrong.push(`${['sim', 'xdp'][i]} ${probe.name}`);
          }
        }
        assert.deepEqual(wrong, []);
        assert.ok(probes.length > 0);
      } finally {
        for (const engine of engines) engine.close();
      }
    });
  }
});
