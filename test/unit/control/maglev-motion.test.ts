// A Maglev table that changes while the xdp hook goes by it: which slots are on the move, what the table before says, how it ends.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MAGLEV_SLOT } from '../../../src/schema/index.ts';
import { ControllerWorld } from '../../support/controller-world.ts';
import { FlowHistory, historyConfig, LIFETIME } from '../../support/flow-history.ts';
import { eps, node, on, svc } from '../../support/service-objects.ts';

const CONFIG = { ...historyConfig('XDP'), 'maglev.tableSize': 8191 } as const;
const INGRESS = '203.0.113.20';
const backends = (count: number, state = '1/1/0'): string =>
  eps(Array.from({ length: count }, (_, i) => on('far', `10.244.9.${i + 1}`, i === 3 ? state : '1/1/0')));
const without = (count: number): string =>
  eps(Array.from({ length: count }, (_, i) => i).flatMap((i) => (i === 3 ? [] : [on('far', `10.244.9.${i + 1}`)])));

class Tables extends ControllerWorld {
  constructor(count: number) {
    super(CONFIG, 'home');
    this.controller.tellTime(500);
    this.put(node(), svc({ ingress: [INGRESS] }), backends(count));
  }
  at(seconds: number): this {
    this.controller.tellTime(seconds);
    return this.settle();
  }
  /** The table of the ingress address, which is the last frontend. */
  words(map: 'maglev4' | 'maglevPrevious4'): Uint32Array | undefined {
    const id = this.frontendIds[`${INGRESS}:7000/TCP`];
    for (const [key, value] of this.maps[map])
      if ((key[0]! | (key[1]! << 8)) === id) return new Uint32Array(value.slice().buffer);
    return undefined;
  }
  get moving(): number {
    return this.words('maglev4')!.filter((word) => word > MAGLEV_SLOT.BACKEND).length;
  }
}

describe('a table on the move', () => {
  test('one of a hundred that drains moves about one slot in a hundred, and the table before names it', () => {
    const world = new Tables(100);
    const old = world.words('maglev4')!;
    assert.equal(world.moving, 0);
    world.put(backends(100, '0/1/1'));
    assert.ok(world.moving > 8191 / 200 && world.moving < 8191 / 25, `${world.moving} slots`);
    const now = world.words('maglev4')!;
    const before = world.words('maglevPrevious4')!;
    assert.deepEqual(before, old);
    now.forEach((word, slot) => assert.equal(word > MAGLEV_SLOT.BACKEND, (word & MAGLEV_SLOT.BACKEND) !== old[slot]));
  });

  test('slots of one that leaves settle at once: nobody can stay', () => {
    const world = new Tables(100);
    const old = world.words('maglev4')!;
    const gone = world.backendIds['10.244.9.4:9000']!;
    world.put(without(100));
    world.words('maglev4')!.forEach((word, slot) => {
      if (old[slot] === gone) assert.ok(word <= MAGLEV_SLOT.BACKEND);
    });
    assert.equal(world.words('maglevPrevious4')?.includes(gone) ?? false, false);
  });

  test('after a lifetime the bits and the table before go, in that order', () => {
    const world = new Tables(10);
    world.put(backends(10, '0/1/1'));
    assert.ok(world.moving > 0);
    assert.equal(world.at(500 + LIFETIME).writes.length, 0);
    const { writes } = world.at(501 + LIFETIME);
    assert.equal(world.moving, 0);
    assert.equal(world.words('maglevPrevious4'), undefined);
    const maps = writes.map(({ map, op }) => `${op} ${map}`);
    assert.equal(maps[0], 'update weir_maglev4');
    assert.equal(maps.at(-1), 'delete weir_maglev_previous4');
    assert.deepEqual(world.at(502 + LIFETIME).writes, []);
  });

  test('each change has its own time', () => {
    const world = new Tables(10);
    world.put(backends(10, '0/1/1')).at(550).put(backends(11, '0/1/1'));
    const both = world.moving;
    world.at(501 + LIFETIME);
    assert.ok(world.moving > 0 && world.moving < both);
    assert.equal(world.at(551 + LIFETIME).moving, 0);
  });

  test('where one backend is left it has every slot, and nothing of the one before is kept after a lifetime', () => {
    const world = new Tables(2);
    world.put(eps([on('far', '10.244.9.1'), on('far', '10.244.9.2', '0/1/1')]));
    assert.ok(world.moving > 0);
    world.at(501 + LIFETIME);
    assert.deepEqual([...new Set(world.words('maglev4'))], [world.backendIds['10.244.9.1:9000']]);
    assert.equal(world.words('maglevPrevious4'), undefined);
  });

  test('a restart in the middle goes on, and pruning has nothing to do', () => {
    const world = new Tables(10);
    world.put(backends(10, '0/1/1'));
    const before = world.words('maglevPrevious4');
    const moving = world.moving;
    world.restart(CONFIG).controller.tellTime(520);
    world.put(node(), svc({ ingress: [INGRESS] }), backends(10, '0/1/1')).prune();
    assert.deepEqual([world.writes.length, world.moving], [0, moving]);
    assert.deepEqual(world.words('maglevPrevious4'), before);
    assert.equal(world.at(521 + LIFETIME).moving, 0);
  });

  test('without time tables change at once', () => {
    const world = new ControllerWorld(CONFIG, 'home').put(node(), svc({ ingress: [INGRESS] }), backends(10));
    world.put(backends(10, '0/1/1'));
    assert.equal(world.size('maglevPrevious4'), 0);
  });
});

describe('breaks are explained', () => {
  const flows = Array.from({ length: 20 }, (_, flow) => ({ kind: 'packet' as const, flow }));
  test('a connection that outlives the change, at xdp only', () => {
    const ready = { kind: 'backends' as const, states: ['ready', 'ready', 'ready'] as const };
    const more = { kind: 'backends' as const, states: ['ready', 'ready', 'ready', 'ready'] as const };
    const wait = { kind: 'wait' as const, seconds: LIFETIME / 2 };
    const steps = [ready, ...flows, more, ...flows, wait, ...flows, wait, ...flows, wait, ...flows];
    const texts = (entry: 'XDP' | 'FROM_NETDEV'): string[] =>
      new FlowHistory(entry).run(steps).fates.flatMap(({ kind, text }) => (kind === 'kept' ? [] : [text]));
    const broken = texts('XDP');
    assert.ok(broken.length > 0 && broken.length < 12);
    for (const text of broken)
      assert.match(
        text,
        /^flow \d+ of 10\.244\.9\.\d is delivered to 10\.244\.9\.4, which does not know it, while 10\.244\.9\.\d waits: it went on/,
      );
    assert.deepEqual(texts('FROM_NETDEV'), []);
  });

  test('a control plane without time breaks flows that have no excuse', () => {
    const ready = { kind: 'backends' as const, states: ['ready', 'ready', 'ready'] as const };
    const drains = { kind: 'backends' as const, states: ['ready', 'ready', 'draining'] as const };
    const causes = (tellsTime: boolean): boolean =>
      new FlowHistory('XDP', false, tellsTime)
        .run([ready, ...flows, drains, ...flows])
        .fates.some(({ cause }) => cause === 'unexplained');
    assert.deepEqual([causes(false), causes(true)], [true, false]);
  });
});
