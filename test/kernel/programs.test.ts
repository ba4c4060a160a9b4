// The real programs load, within the verifier's limits, and answer as the simulator does: a first look. What proves it is
// test/differential. Input: the native build's object. Output: loads in every shape, and one small world through all hooks.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Meta, Packet } from '../../src/dataplane/index.ts';
import { createSim } from '../../src/dataplane/sim/index.ts';
import { createXdp, HOOK_PLACES, kernelUnavailable } from '../../src/dataplane/xdp/index.ts';
import type { MapWrite } from '../../src/maps/index.ts';
import { HOOK, HOOK_NAME, MAPS } from '../../src/schema/index.ts';
import { DEFAULT_CONFIG, SMALL, World } from '../support/datapath-world.ts';
import { frame } from '../support/packets.ts';
import { copyMaps, skipFor } from './kernel.ts';

const skip = skipFor(kernelUnavailable());
const TC_ACT_OK = 0;
const TC_ACT_SHOT = 2;

/** The sizes of a test world, in the kernel's terms: nothing larger than a test needs. */
const specs = Object.fromEntries(
  Object.entries(MAPS).map(([name, { maxEntries, ...spec }]) => [
    name,
    {
      maxEntries: Math.min(maxEntries, 1024),
      ...('innerEntries' in spec ? { innerEntries: 251 } : {}),
      ...SMALL[name as keyof typeof MAPS],
    },
  ]),
);

const FRAMES: readonly Uint8Array[] = [
  frame({ protocol: 'tcp', source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 4000, destinationPort: 80 }),
  frame({ protocol: 'udp', source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 53, destinationPort: 53 }),
  frame({ protocol: 'tcp', source: 'fd00::1', destination: 'fd00::2', sourcePort: 4000, destinationPort: 80 }),
  frame({ protocol: 'icmp', source: '10.0.0.1', destination: '10.0.0.2', type: 8, id: 9 }),
  frame({ protocol: 'tcp', source: '10.0.0.1', destination: '10.0.0.2', vlan: [5] }),
  frame({ protocol: 99, source: '10.0.0.1', destination: '10.0.0.2' }),
  Uint8Array.from({ length: 60 }, (_, i) => (i === 12 ? 8 : i === 13 ? 6 : 0)),
  new Uint8Array(64),
];

describe('the programs', { skip }, () => {
  for (const [title, options] of [
    ['test runs', {}],
    ['traffic', { recording: false }],
    ['no features', { features: 0 }],
    ['IPv4 alone', { features: 1 }],
  ] as const) {
    test(`load for ${title}`, () => {
      const engine = createXdp({ specs, ...options });
      assert.deepEqual([...engine.programs.keys()].sort(), HOOK_PLACES.map(({ hook }) => hook).sort());
      for (const program of engine.programs.values()) {
        const words = new Int32Array(6);
        engine.addon.programInfo(program, words);
        assert.ok(words[2]! > 0 && words[2]! < 1e6, `${words[2]} instructions`);
      }
      engine.close();
    });
  }

  test('load alone, hook by hook', () => {
    for (const { hook } of HOOK_PLACES) {
      const engine = createXdp({ specs, hooks: [hook] });
      assert.deepEqual([...engine.programs.keys()], [hook]);
      engine.close();
    }
  });

  test('attached, a redirect to a proxy is dropped: nothing is there that would take it', () => {
    const world = new World();
    world.endpoint('10.0.0.1', { identity: 1001 }).endpoint('10.0.0.2', { identity: 1002, policyId: 3 });
    world.policy(3, {
      ingress: [
        { identity: 1001, protocol: 'tcp', port: 80, verdict: 'redirect', proxyPort: 9999 },
        { identity: 1001, protocol: 'tcp', port: 53 },
      ],
    });
    for (const recording of [true, false]) {
      const kernel = createXdp({ specs, recording });
      copyMaps(world.sim, kernel);
      const actionOf = (destinationPort: number): number => {
        const bytes = frame({
          protocol: 'tcp',
          source: '10.0.0.1',
          destination: '10.0.0.2',
          sourcePort: 4000,
          destinationPort,
        });
        const result = new Int32Array(4);
        const program = kernel.programs.get(HOOK.TO_CONTAINER)!;
        assert.equal(kernel.addon.programRun(program, bytes, undefined, undefined, undefined, 1, -1, result), 0);
        return result[0]!;
      };
      assert.equal(actionOf(80), recording ? TC_ACT_OK : TC_ACT_SHOT);
      assert.equal(actionOf(53), TC_ACT_OK);
      assert.equal(actionOf(81), TC_ACT_SHOT);
      // A verdict in both: what is dropped counts as what it is.
      assert.equal(kernel.metrics().find(({ reason }) => reason === 0)?.packets, 2n);
      kernel.close();
    }
  });

  test('a packet of each kind through each hook gives the simulator’s record and bytes', () => {
    const kernel = createXdp({ specs });
    const sim = createSim({ specs });
    const writes: MapWrite[] = [
      {
        map: MAPS.config.name,
        op: 'update',
        key: new Uint8Array(4),
        value: MAPS.config.value.encode(DEFAULT_CONFIG),
      },
    ];
    assert.deepEqual(kernel.apply(writes), { applied: 1 });
    assert.deepEqual(sim.apply(writes), { applied: 1 });
    const verdicts = new Set<number>();
    for (const { hook } of HOOK_PLACES) {
      for (const bytes of FRAMES) {
        const [a, b] = [sim, kernel].map((engine) => {
          const packet = new Packet().set(bytes.slice(), 100, 7);
          const meta = new Meta();
          meta.ifindex = 3;
          const verdict = engine.run(hook, packet, meta);
          return {
            verdict,
            decision: engine.decision(),
            bytes: packet.bytes.slice(packet.offset, packet.capturedEnd),
            meta,
          };
        });
        assert.deepEqual(b, a, HOOK_NAME[hook]);
        verdicts.add(a!.verdict);
      }
    }
    assert.ok(verdicts.size >= 2, 'more than one verdict was met');
    assert.deepEqual(kernel.metrics(), sim.metrics());
    assert.equal(kernel.run(HOOK.CONNECT, new Packet().set(new Uint8Array(60)), new Meta()), 3);
    sim.run(HOOK.CONNECT, new Packet().set(new Uint8Array(60)), new Meta());
    assert.deepEqual(kernel.decision(), sim.decision());
    kernel.close();
    sim.close();
  });
});
