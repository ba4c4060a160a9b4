// Several processors over the same connections while control changes the policy: two processes run packets, pinned to a CPU each,
// a third one moves the epoch. Invariant: an established connection stays so, is never denied, keeps its backend and has one entry; a
// decision is whole. It depends on luck what happens at once: races.test.ts has the moments that are known.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Meta, Packet } from '../../src/dataplane/index.ts';
import { createXdp, kernelUnavailable } from '../../src/dataplane/xdp/index.ts';
import { CT_KEY, HOOK, MAPS } from '../../src/schema/index.ts';
import { typedMap } from '../../src/maps/index.ts';
import { World } from '../support/datapath-world.ts';
import { frame } from '../support/packets.ts';
import { commandMissing, copyMaps, mountBpfFs, skipFor } from './kernel.ts';
import { AUDITED_COOKIE, BACKENDS, CLIENT, FLOWS, PLAIN_COOKIE, specs, VIP } from './stress.ts';

const skip =
  skipFor(kernelUnavailable()) ||
  skipFor(commandMissing('taskset')) ||
  skipFor(availableParallelism() < 2 ? { feature: 'a second processor' } : undefined);
const PACKETS = Number(process.env['WEIR_PACKETS'] ?? 60_000);
const CHILD = fileURLToPath(import.meta.resolve('./stress-child.js'));
const SHARED = [
  ...(['config', 'endpoints4', 'services4', 'backends4', 'reverseNat4', 'policy', 'policyMeta', 'ipcache4'] as const),
  ...(['ctTcp4', 'ctTcpNew4', 'ctAny4', 'ctAnyNew4'] as const),
];

interface Told {
  readonly wrong: Readonly<Record<string, number>>;
  readonly audited: number;
  readonly plain: number;
  readonly backends: readonly (readonly [number, number])[];
}

/** One processor's share; what it said. */
const runOn = (cpu: number, folder: string): Promise<Told> =>
  new Promise((resolve, reject) => {
    const args = ['-c', `${cpu}`, process.execPath, CHILD, folder, `${PACKETS}`, `${cpu}`];
    const child = spawn('taskset', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(text) as Told);
      else reject(new Error(`ended with ${code}`));
    });
  });

describe('two processors and control', { skip }, () => {
  test('an established connection stays what it is', async () => {
    const world = new World();
    world.endpoint(CLIENT, { policyId: 3, identity: 1001 });
    BACKENDS.forEach((address, i) => world.endpoint(address, { identity: 1002 }).backend(i + 1, address, 8080));
    world.service(VIP, 80, { backends: BACKENDS.map((_, i) => i + 1) });
    const fs = mountBpfFs();
    const engine = createXdp({ specs, shared: true });
    const decide = (audit: boolean): void => {
      const rule = audit
        ? { identity: 1002, cookie: AUDITED_COOKIE, verdict: 'deny' as const }
        : { identity: 1002, cookie: PLAIN_COOKIE };
      world.policy(3, { egress: [rule], audit: true });
      world.configure({ globalEpoch: world.config.globalEpoch + 1 });
      const { policy, policyMeta, config } = world.sim.maps;
      copyMaps({ ...world.sim, maps: { policyMeta, policy, config } } as never, engine);
    };
    try {
      copyMaps(world.sim, engine);
      decide(false);
      for (let flow = 0; flow < FLOWS; flow++) {
        const port = { source: CLIENT, sourcePort: 1000 + flow };
        const there = new Packet().set(
          frame({ ...port, protocol: 'tcp', destination: VIP, destinationPort: 80 }),
          1000,
        );
        engine.run(HOOK.FROM_CONTAINER, there, new Meta());
        const source = BACKENDS[engine.decision().backendId - 1]!;
        const back = { protocol: 'tcp' as const, source, destination: CLIENT, sourcePort: 8080, flags: 'SA' };
        const answer = new Packet().set(frame({ ...back, destinationPort: 1000 + flow }), 1000);
        engine.run(HOOK.TO_CONTAINER, answer, new Meta());
      }
      for (const name of SHARED) {
        const map = engine.kernelMaps[name]!;
        assert.equal(engine.addon.mapPin(map.handle, join(fs.path, MAPS[name].name)), 0);
      }
      const children = [0, 1].map((cpu) => runOn(cpu, fs.path));
      let running = true;
      const all = Promise.all(children).finally(() => (running = false));
      let turns = 0;
      while (running) {
        decide(turns++ % 2 === 0);
        await new Promise((resolve) => setImmediate(resolve));
      }
      const told = await all;
      for (const { wrong } of told)
        assert.deepEqual(wrong, { verdict: 0, status: 0, backend: 0, decision: 0, errors: 0 });
      assert.deepEqual(new Map(told[0]!.backends), new Map([...told[1]!.backends].sort(([a], [b]) => a - b)));
      for (const { audited, plain } of told) assert.ok(audited > 0 && plain > 0, `${audited} and ${plain}`);
      assert.ok(turns > 10);
      const left = (['ctTcp4', 'ctTcpNew4'] as const).map(
        (name) =>
          [...typedMap(MAPS[name], engine.maps[name])].filter(([key]) => (key.flags & CT_KEY.SERVICE) === 0).length,
      );
      assert.deepEqual(left, [FLOWS, 0], 'one entry a connection, among the answered');
    } finally {
      engine.close();
      for (const name of SHARED) engine.addon.unpin(join(fs.path, MAPS[name].name));
      fs.remove();
    }
  });
});
