// What `weir verdict --dataplane xdp` makes of an engine's answers; the engine is made up here, the real one is asked in
// test/kernel/verdict.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Judge, PolicyWorld } from '../../../src/analysis/index.ts';
import { KernelGates } from '../../../src/cli/kernel-gates.ts';
import { Compiler } from '../../../src/control/compile.ts';
import { readManifests, resolveConfig } from '../../../src/control/index.ts';
import { settingsOf } from '../../../src/control/settings.ts';
import type { Packet } from '../../../src/datapath/index.ts';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import { DROP, HOOK, VERDICT } from '../../../src/schema/index.ts';
import { CLUSTER, POLICIES } from '../../support/replay-world.ts';

const { state } = readManifests([{ file: 'cluster.yaml', text: `${CLUSTER}---\n${POLICIES}` }]);
const { config } = resolveConfig({});
const compiled = new Compiler(config).compile(state!);
const settings = settingsOf(config, state!, { semantics: 'cilium' });
const world = new PolicyWorld({ state: state!, settings, compiled, dnsKnown: true });
const judge = new Judge(world);

/** Asks of one connection what an engine says that drops everything for one reason, or nothing (0). */
function ask(from: string, to: string, protocol: string, port: number, reason: number) {
  const seen: { hook: number; bytes: Uint8Array }[] = [];
  const gates = new KernelGates(
    {
      run: (hook: number, packet: Packet) => {
        seen.push({ hook, bytes: packet.bytes.slice(packet.offset, packet.capturedEnd) });
        return reason === 0 ? VERDICT.FORWARDED : VERDICT.DROPPED;
      },
      decision: () => ({ ...createSim({ seed: 1 }).decision(), dropReason: reason }),
    },
    world,
  );
  const asked = judge.ask({ from, to, protocol, port });
  if ('problem' in asked) assert.fail(asked.problem);
  const different = asked.answer.points.flatMap((point) => gates.differences(point, protocol));
  return { different, seen, asked: gates.asked, passedOver: gates.passedOver };
}

test('an engine that agrees is told by its gates alone', () => {
  const { different, seen, asked, passedOver } = ask('ip:10.0.1.1', 'ip:10.0.2.4', 'TCP', 443, 0);
  assert.deepEqual([different, asked, passedOver], [[], 2, 0]);
  assert.deepEqual(
    seen.map(({ hook }) => hook),
    [HOOK.FROM_CONTAINER, HOOK.TO_CONTAINER],
  );
  const [{ bytes } = { bytes: new Uint8Array() }] = seen;
  // IPv4, from 10.0.1.1 to 10.0.2.4, TCP to port 443, a SYN.
  assert.deepEqual([bytes[0], [...bytes.subarray(12, 20)], bytes[9]], [0x45, [10, 0, 1, 1, 10, 0, 2, 4], 6]);
  assert.deepEqual([bytes[22]! * 256 + bytes[23]!, bytes[33]], [443, 2]);
});

test('an engine that says otherwise is told, gate by gate', () => {
  assert.deepEqual(ask('ip:10.0.1.1', 'ip:10.0.2.4', 'TCP', 443, DROP.POLICY_DENY).different, [
    '10.0.1.1 → 10.0.2.4 443/TCP, egress: allowed, but the kernel says Policy denied by denylist',
    '10.0.1.1 → 10.0.2.4 443/TCP, ingress: allowed, but the kernel says Policy denied by denylist',
  ]);
  // Pod c may reach nobody.
  assert.deepEqual(ask('ip:10.0.1.3', 'ip:10.0.2.4', 'UDP', 53, 0).different, [
    '10.0.1.3 → 10.0.2.4 53/UDP, egress: denied, but the kernel says allowed',
  ]);
});

test('what never came to the policy, and ends without an address, are counted and not asked', () => {
  const unrelated = ask('ip:10.0.1.1', 'ip:10.0.2.4', 'SCTP', 443, DROP.UNKNOWN_L4);
  assert.deepEqual([unrelated.different, unrelated.asked, unrelated.passedOver], [[], 0, 2]);
  const entity = ask('ip:10.0.1.1', 'entity:world', 'TCP', 443, DROP.POLICY);
  assert.deepEqual([entity.different, entity.asked], [[], 0]);
  assert.ok(entity.passedOver > 0);
});

test('ICMP is asked by its type, in both families', () => {
  const four = ask('ip:10.0.1.1', 'ip:10.0.2.4', 'ICMP', 13, 0);
  assert.deepEqual([four.different, four.seen[0]!.bytes[20]], [[], 13]);
  const six = ask('ip:fd00:1::1', 'ip:fd00:2::1', 'ICMPV6', 128, 0);
  assert.deepEqual([six.seen[0]!.bytes[40], six.seen[0]!.bytes[6]], [128, 58]);
});
