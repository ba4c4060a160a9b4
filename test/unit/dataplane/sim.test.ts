// The simulator as a Dataplane: applying writes, running, closing. Input: map writes as control makes them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Meta, Packet } from '../../../src/datapath/index.ts';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import {
  configValue,
  endpointKey4,
  endpointValue,
  ERRNO,
  FEATURE,
  HOOK,
  MAPS,
  VERDICT,
} from '../../../src/schema/index.ts';
import { DEFAULT_CONFIG, SMALL } from '../../support/datapath-world.ts';
import { frame } from '../../support/packets.ts';

const zero = new Uint8Array(4);
const config = { map: MAPS.config.name, op: 'update', key: zero, value: configValue.encode(DEFAULT_CONFIG) } as const;
const endpoint = {
  map: MAPS.endpoints4.name,
  op: 'update',
  key: endpointKey4.encode({ address: 0x0a000001 }),
  value: endpointValue.encode({
    ifindex: 7,
    endpointId: 1,
    nodeId: 1,
    identity: 300,
    policyId: 0,
    epoch: 0,
    flags: 0,
    mac: new Uint8Array(6),
    nodeMac: new Uint8Array(6),
  }),
} as const;
const packet = (): Packet =>
  new Packet().set(
    frame({ protocol: 'udp', source: '10.0.0.1', destination: '10.0.0.2', sourcePort: 1, destinationPort: 2 }),
  );

test('writes apply in order; packets run on them; the record is the decision', () => {
  const sim = createSim({ specs: SMALL });
  assert.equal(sim.name, 'sim');
  assert.deepEqual(sim.apply([config, endpoint]), { applied: 2 });
  assert.equal(sim.run(HOOK.FROM_CONTAINER, packet(), new Meta()), VERDICT.FORWARDED);
  assert.equal(sim.record[0], VERDICT.FORWARDED);
  assert.equal(sim.record.length, 60);
  assert.equal(sim.recordWords[3], 300);
  assert.equal(sim.decision().sourceIdentity, 300);
  assert.equal(sim.maps.ctAnyNew4.size, 2);
});

test('a write that fails stops the list and is named', () => {
  const sim = createSim({ specs: SMALL });
  const unknown = { ...endpoint, map: 'weir_nothing' };
  assert.deepEqual(sim.apply([config, unknown, endpoint]), { applied: 1, failed: { index: 1, errno: ERRNO.EBADF } });
  assert.equal(sim.maps.endpoints4.size, 0);
});

test('every map of the schema that holds entries is there under its name', () => {
  const sim = createSim({ specs: SMALL });
  const stored = Object.keys(MAPS).filter((name) => name !== 'events');
  assert.deepEqual(Object.keys(sim.maps).sort(), stored.sort());
  for (const name of stored as (keyof typeof sim.maps)[]) assert.equal(sim.maps[name].spec.name, MAPS[name].name);
});

test('bounds can be set, by map', () => {
  const sim = createSim({ specs: { ...SMALL, endpoints4: { maxEntries: 1 } } });
  assert.deepEqual(sim.apply([endpoint]), { applied: 1 });
  const second = { ...endpoint, key: endpointKey4.encode({ address: 2 }) };
  assert.deepEqual(sim.apply([second]), { applied: 0, failed: { index: 0, errno: ERRNO.E2BIG } });
});

test('an empty simulator answers every hook', () => {
  const sim = createSim({ specs: SMALL });
  for (const hook of Object.values(HOOK)) {
    const verdict = sim.run(hook, packet(), new Meta());
    assert.ok(Object.values(VERDICT).includes(verdict as never), `${hook}`);
  }
});

test('after close everything answers with an error value, nothing throws', () => {
  const sim = createSim({ specs: SMALL });
  sim.apply([config, endpoint]);
  sim.run(HOOK.FROM_CONTAINER, packet(), new Meta());
  sim.close();
  sim.close();
  assert.equal(sim.run(HOOK.FROM_CONTAINER, packet(), new Meta()), VERDICT.ERROR);
  assert.equal(sim.decision().verdict, VERDICT.ERROR);
  assert.deepEqual(sim.apply([config]), { applied: 0, failed: { index: 0, errno: ERRNO.EBADF } });
  assert.deepEqual(sim.metrics(), []);
  assert.equal(sim.events.poll(new Uint8Array(200)), false);
  for (const map of Object.values(sim.maps)) {
    assert.equal(map.size, 0);
    assert.equal(map.update(zero, zero), ERRNO.EBADF);
    assert.equal(map.delete(zero), ERRNO.EBADF);
    assert.equal(map.lookup(zero, zero), false);
    assert.equal(map.nextKey(undefined, zero), false);
    assert.deepEqual([...map.entries()], []);
  }
});

test('two simulators share nothing', () => {
  const one = createSim({ specs: SMALL });
  const two = createSim({ specs: SMALL });
  one.apply([config, endpoint]);
  assert.equal(two.maps.endpoints4.size, 0);
  one.run(HOOK.FROM_CONTAINER, packet(), new Meta());
  assert.notEqual(two.record[0], VERDICT.FORWARDED);
});

test('an unread feature bit costs nothing and changes nothing', () => {
  const sim = createSim({ specs: SMALL });
  const all = { ...DEFAULT_CONFIG, features: DEFAULT_CONFIG.features | FEATURE.POLICY_DENY_ICMP | FEATURE.L7_PROXY };
  sim.apply([{ ...config, value: configValue.encode(all) }, endpoint]);
  assert.equal(sim.run(HOOK.FROM_CONTAINER, packet(), new Meta()), VERDICT.FORWARDED);
});
