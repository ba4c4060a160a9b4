// Map sizes: from the configuration through the compiler into an engine, whose maps then fill at that size.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Compiler } from '../../../src/control/compile.ts';
import { diff } from '../../../src/control/diff.ts';
import { readManifests, resolveConfig } from '../../../src/control/index.ts';
import { mapSizes, sizeProblems } from '../../../src/control/map-sizes.ts';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import { ERRNO, MAPS } from '../../../src/schema/index.ts';
import { frame } from '../../support/packets.ts';
import { makeWorld, replayed, type Step } from '../../support/replay-world.ts';

const configOf = (...sets: string[]) => {
  const { config, problems } = resolveConfig({ sets });
  assert.deepEqual(problems, []);
  return config;
};
const problemsOf = (...sets: string[]): string[] => resolveConfig({ sets }).problems.map(({ message }) => message);

/** `count` services of one port and one backend each. */
function servicesOf(count: number): string {
  let text = '';
  for (let i = 1; i <= count; i++) {
    text += `{apiVersion: v1, kind: Service, metadata: {name: s${i}}, spec: {clusterIP: 10.96.0.${i}, ports: [{port: 80}]}}\n---\n`;
    text += `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s${i}, labels: {kubernetes.io/service-name: s${i}}}, addressType: IPv4, ports: [{port: 80, protocol: TCP}], endpoints: [{addresses: [10.0.0.${i}], conditions: {ready: true}}]}\n---\n`;
  }
  return text;
}

function compiled(text: string, ...sets: string[]) {
  const { state, problems } = readManifests([{ file: 'f.yaml', text }]);
  assert.deepEqual(problems, []);
  return new Compiler(configOf(...sets)).compile(state!);
}

describe('map sizes', () => {
  it('are the schema’s by default, but for neighbours, which the chart has larger', () => {
    const sizes = mapSizes(configOf());
    for (const [name, { maxEntries, innerEntries }] of Object.entries(sizes)) {
      const spec: { maxEntries: number; innerEntries?: number } = MAPS[name as keyof typeof MAPS];
      assert.equal(maxEntries, name.startsWith('neighbours') ? 524288 : spec.maxEntries, name);
      assert.equal(innerEntries, spec.innerEntries, name);
    }
  });

  it('follow their options', () => {
    const sizes = mapSizes(
      configOf('bpf.lbMapMax=100', 'bpf.ctTcpMax=4096', 'bpf.ctAnyMax=2048', 'bpf.natMax=1024', 'maglev.tableSize=251'),
    );
    assert.deepEqual(sizes.services4, { maxEntries: 100 });
    assert.deepEqual(sizes.maglev6, { maxEntries: 100, innerEntries: 251 });
    assert.deepEqual(sizes.ctTcp6, { maxEntries: 4096 });
    assert.deepEqual(sizes.ctTcpNew6, { maxEntries: 1024 });
    assert.deepEqual(sizes.ctAnyNew4, { maxEntries: 512 });
    assert.deepEqual(sizes.nat4, { maxEntries: 1024 });
    assert.deepEqual(mapSizes(configOf('bpf-fragments-map-max=300')).fragments4, { maxEntries: 300 });
    assert.deepEqual(mapSizes(configOf('bpf.neighMax=7')).neighbours6, { maxEntries: 7 });
  });

  it('of one service map win over those of all; a reverse NAT index has 16 bits', () => {
    const sizes = mapSizes(configOf('bpf.lbMapMax=100000', 'bpf-lb-affinity-map-max=50'));
    assert.deepEqual(sizes.services6, { maxEntries: 100000 });
    assert.deepEqual(sizes.affinity4, { maxEntries: 50 });
    assert.deepEqual(sizes.reverseNat4, { maxEntries: 65536 });
  });

  it('have Cilium’s bounds', () => {
    assert.deepEqual(problemsOf('bpf.ctTcpMax=1023', 'bpf.ctAnyMax=16777216', 'bpf.natMax=1000'), [
      'bpf.ctTcpMax: expected an integer in 1024–16777215, got 1023',
      'bpf.ctAnyMax: expected an integer in 1024–16777215, got 16777216',
      'bpf.natMax: expected an integer in 1024–16777215, got 1000',
    ]);
    assert.deepEqual(problemsOf('bpf.lbMapMax=0', 'bpf-fragments-map-max=65537'), [
      'bpf.lbMapMax: expected an integer in 1–16777215, got 0',
      'bpf-fragments-map-max: expected an integer in 256–65536, got 65537',
    ]);
  });

  it('of NAT go with conntrack’s: the default shrinks, a larger one is refused', () => {
    const small = ['bpf.ctTcpMax=1024', 'bpf.ctAnyMax=2048'];
    assert.deepEqual(mapSizes(configOf(...small)).nat6, { maxEntries: 2048 });
    assert.deepEqual(sizeProblems(configOf(...small)), []);
    assert.deepEqual(sizeProblems(configOf(...small, 'bpf.natMax=3072')), []);
    assert.deepEqual(sizeProblems(configOf(...small, 'bpf.natMax=3073')), [
      'bpf.natMax: 3073 entries are more than bpf.ctTcpMax and bpf.ctAnyMax have together (3072)',
    ]);
    assert.equal(compiled('', ...small, 'bpf.natMax=3073').problems.length, 1);
  });

  it('are what content is checked against', () => {
    const text = servicesOf(3);
    // Three masters, slots and wildcards; arrays have a first place that is nobody's.
    assert.deepEqual(compiled(text, 'bpf.lbMapMax=9').problems, []);
    assert.deepEqual(
      compiled(text, 'bpf.lbMapMax=8').problems.map(({ message }) => message),
      ['weir_services4 (cilium_lb4_services_v2 [bpf.lbMapMax]) has 8 places; 9 are needed'],
    );
    assert.deepEqual(
      compiled(text, 'bpf-lb-service-backend-map-max=3', 'bpf-lb-rev-nat-map-max=3').problems.map(
        ({ message }) => message,
      ),
      ['no room for 2 more frontends or backends (bpf.lbMapMax)'],
    );
  });

  it('bound each endpoint’s policy', () => {
    const peers = Array.from({ length: 300 }, (_, i) => `{port: ${1000 + 2 * i}, protocol: TCP}`).join(', ');
    const text = `{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {nodeName: n}, status: {podIPs: [{ip: 10.0.0.1}]}}\n---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelector: {}, ingress: [{ports: [${peers}]}]}}\n`;
    assert.deepEqual(compiled(text).problems, []);
    const [first, ...more] = compiled(text, 'bpf.policyMapMax=256').problems;
    assert.match(
      first!.message,
      /^the policy of pod default\/a has 30\d entries, more than bpf\.policyMapMax \(256\)$/,
    );
    assert.deepEqual(more, []);
  });

  it('reach the engine: its maps are full there', () => {
    const { sizes, maps } = compiled(servicesOf(3), 'bpf.lbMapMax=10');
    const sim = createSim({ specs: sizes, seed: 1 });
    assert.equal(sim.apply(diff(undefined, maps)).failed, undefined);
    const key = new Uint8Array(MAPS.services4.key.bytes);
    const value = new Uint8Array(MAPS.services4.value.bytes);
    assert.equal(sim.maps.services4.update(key.fill(1), value), 0);
    assert.equal(sim.maps.services4.update(key.fill(2), value), ERRNO.E2BIG);
    sim.close();
  });

  it('bound what a replay tracks: a full conntrack table forgets old connections', async () => {
    const steps: Step[] = [];
    for (let i = 0; i < 1500; i++) {
      const tuple = { protocol: 'tcp' as const, source: '10.0.1.1', destination: '10.0.2.1', destinationPort: 8080 };
      steps.push({ frame: frame({ ...tuple, sourcePort: 20000 + i, flags: 'S' }) });
    }
    for (const [max, size] of [
      [1024, 256],
      [65536, 3000],
    ] as const) {
      const world = makeWorld({ sets: [`bpf.ctTcpMax=${max}`] });
      await replayed(world, [steps], { at: 'node:n1' });
      const { ctTcpNew4 } = world.sim.maps;
      assert.equal(ctTcpNew4.spec.maxEntries, max / 4);
      assert.ok(max === 1024 ? ctTcpNew4.size === size : ctTcpNew4.size >= 1500, `${ctTcpNew4.size}`);
      assert.equal(ctTcpNew4.stats.evicted > 0, max === 1024);
    }
  });
});
