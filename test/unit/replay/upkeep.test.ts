// What happens as time passes: Maglev transitions end, conntrack is collected, failed writes are made up for; in a replay on the
// capture's time. Input: a controller that changes, a simulator. Output: map contents.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CaptureReader, memorySource } from '../../../src/capture/index.ts';
import { Controller } from '../../../src/control/controller.ts';
import { resolveConfig } from '../../../src/control/index.ts';
import { ConntrackGc, type GcOptions } from '../../../src/dataplane/index.ts';
import { createSim, type Sim } from '../../../src/dataplane/sim/index.ts';
import type { MapWrite } from '../../../src/maps/index.ts';
import { replay, Upkeep } from '../../../src/replay/index.ts';
import { frame } from '../../support/packets.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { historyConfig, LIFETIME } from '../../support/flow-history.ts';
import { captureOf } from '../../support/replay-world.ts';
import { eps, node, on, svc } from '../../support/service-objects.ts';

const backends = (...last: number[]): string => eps(last.map((n) => on('far', `10.244.9.${n}`)));

function put(controller: Controller, ...documents: string[]): void {
  const state = stateOf(documents.join('\n---\n'));
  for (const list of [state.nodes, state.services, state.endpointSlices])
    for (const object of list) controller.upsert(object);
}

function made(): { controller: Controller; sim: Sim } {
  const controller = new Controller(configWith(historyConfig('XDP')), { node: 'home' });
  const tables = { innerEntries: 251 };
  const specs = { maglev4: tables, maglev6: tables, maglevPrevious4: tables, maglevPrevious6: tables };
  put(controller, node(), svc({ ingress: ['203.0.113.20'] }), backends(1, 2, 3, 4));
  return { controller, sim: createSim({ seed: 1, specs }) };
}

describe('upkeep', () => {
  test('a Maglev table that changes is settled a flow’s lifetime later, by the time alone', () => {
    const { controller, sim } = made();
    const upkeep = new Upkeep(controller, sim);
    assert.ok(upkeep.tick(100).applied > 0);
    assert.equal(sim.maps.maglevPrevious4.size, 0);
    put(controller, backends(1, 2, 3, 4, 5));
    upkeep.tick(200);
    const moving = sim.maps.maglevPrevious4.size;
    assert.ok(moving > 0);
    assert.equal(upkeep.tick(200 + LIFETIME).applied, 0);
    assert.equal(sim.maps.maglevPrevious4.size, moving);
    // Time that goes back ends nothing, and begins nothing anew.
    assert.equal(upkeep.tick(10).applied, 0);
    assert.ok(upkeep.tick(201 + LIFETIME).applied > 0);
    assert.equal(sim.maps.maglevPrevious4.size, 0);
  });

  test('what could not be written is, once it can be', () => {
    const { controller, sim } = made();
    let room = 5;
    const apply = (writes: Iterable<MapWrite>): ReturnType<Sim['apply']> => {
      const all = [...writes];
      const some = sim.apply(all.slice(0, room));
      return room >= all.length ? some : { ...some, failed: { index: room, errno: -12 } };
    };
    const upkeep = new Upkeep(controller, { maps: sim.maps, apply });
    const first = upkeep.tick(1);
    assert.deepEqual([first.applied, first.failed?.errno, first.failed?.index], [5, -12, 5]);
    assert.match(first.failed!.map, /^weir_/);
    assert.equal(upkeep.tick(1).applied, 5);
    // The control plane itself has nothing new to say by now.
    put(controller, backends(1, 2));
    room = 1e6;
    assert.equal(upkeep.tick(2).failed, undefined);
    const fresh = made();
    put(fresh.controller, backends(1, 2));
    new Upkeep(fresh.controller, fresh.sim).tick(2);
    for (const name of ['services4', 'reverseNat4', 'endpoints4', 'config', 'policyMeta'] as const) {
      const content = (of: Sim): string[] =>
        [...of.maps[name].entries()].map(([k, v]) => `${k.join()} ${v.join()}`).sort();
      assert.deepEqual(content(sim).length, content(fresh.sim).length, name);
    }
    assert.equal(upkeep.tick(3).applied, 0);
  });

  test('conntrack is collected when due', () => {
    const { controller, sim } = made();
    const upkeep = new Upkeep(controller, sim, new ConntrackGc(sim, { interval: 10 }));
    assert.deepEqual(
      [0, 5, 10, 12, 20].map((now) => upkeep.tick(now).collected !== undefined),
      [false, false, true, false, true],
    );
  });

  test('a replay collects as often as it is told', async () => {
    const { config } = resolveConfig({ sets: ['conntrackGCInterval=2s', 'conntrackGCMaxInterval=1h'] });
    assert.deepEqual([config.conntrackGCInterval, config.conntrackGCMaxInterval], [2, 3600]);
    const udp = { protocol: 'udp', source: '10.1.1.1', destination: '10.1.1.2' } as const;
    const steps = Array.from({ length: 10 }, (_, i) => ({ frame: frame(udp), ms: 1000 * i }));
    const passes = async (gc: GcOptions): Promise<number> => {
      const source = new CaptureReader(memorySource([captureOf(steps)]));
      const { collected } = await replay({
        captures: [{ path: 'a', source }],
        dataplane: createSim(),
        state: undefined,
        gc,
      });
      return collected.passes;
    };
    assert.deepEqual([await passes({ interval: 2 }), await passes({}), await passes({ maxInterval: 4 })], [4, 0, 2]);
  });

  test('in a replay the time is the capture’s', async () => {
    const { controller, sim } = made();
    const upkeep = new Upkeep(controller, sim);
    const seconds: number[] = [];
    const moving: number[] = [];
    const udp = {
      protocol: 'udp',
      source: '10.1.1.1',
      destination: '10.1.1.2',
      sourcePort: 1,
      destinationPort: 2,
    } as const;
    const steps = [0, 1, 500, 1000, 900, 2000 + LIFETIME * 1000].map((ms) => ({ frame: frame(udp), ms }));
    const source = new CaptureReader(memorySource([captureOf(steps)]));
    await replay({
      captures: [{ path: 'a', source }],
      dataplane: sim,
      state: stateOf(node()),
      everySecond: (second) => {
        if (second === 1) put(controller, backends(1, 2, 3));
        upkeep.tick(second);
        seconds.push(second);
        moving.push(sim.maps.maglevPrevious4.size);
      },
    });
    assert.deepEqual(seconds, [0, 1, 2 + LIFETIME]);
    assert.deepEqual([moving[0], moving[1]! > 0, moving[2]], [0, true, 0]);
  });
});
