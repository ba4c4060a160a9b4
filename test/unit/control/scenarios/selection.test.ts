// Load-balancer scenarios about which backends serve: weights, Maglev, topology, termination, node ports and node changes. Through
// the running control plane. Names L… are those of the scenario collection that they restate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ControllerWorld } from '../../../support/controller-world.ts';
import { as, ep, eps, node, on, svc, tcp } from '../../../support/service-objects.ts';
import { expect, KPR, MAGLEV } from '../../../support/service-scenario.ts';

const WILD = 'wild 172.30.1.1 ClusterIP';
const CLUSTER = '172.30.1.1:7000/TCP';
const TOPOLOGY = { ...KPR, 'loadBalancer.serviceTopology': true };
const unnamed = { ports: [{ name: 'http', port: 7090, protocol: 'TCP' }] };
const UNNAMED = svc({ spec: { ports: [{ port: 7090, protocol: 'TCP' }] } });

test('L05 slice weights and maintenance', () => {
  const [a, b] = [
    (weight: number): string => eps(['10.20.2.12', '10.20.2.13'], { ...unnamed, name: 'store-a', weight }),
    eps(['10.20.2.22', '10.20.2.23'], { ...unnamed, name: 'store-b', weight: 30 }),
  ];
  const world = new ControllerWorld(MAGLEV).put(UNNAMED, a(70), b);
  const text = (i: number): string => `10.20.2.${i}:7090`;
  const shares = world.lines
    .match(/^maglev.*$/m)![0]
    .split(' ')
    .slice(3);
  assert.deepEqual(
    shares.map((share) => Number(share.split('=')[1])).sort((x, y) => y - x),
    [358, 357, 153, 153],
  );
  assert.deepEqual(
    shares.map((share) => share.split('=')[0]),
    [12, 13, 22, 23].map(text),
  );
  assert.match(
    world.lines,
    /fe 172.30.1.1:7090\/TCP ClusterIP : 10.20.2.12:7090 10.20.2.13:7090 10.20.2.22:7090 10.20.2.23:7090/,
  );
  world.put(a(0));
  const maglev = world.lines.match(/^maglev.*$/m)![0];
  assert.match(maglev, /^maglev 172.30.1.1:7090\/TCP : 10.20.2.22:7090=51[01] 10.20.2.23:7090=51[01]$/);
  assert.equal(
    world.lines,
    expect(
      `fe 172.30.1.1:7090/TCP ClusterIP : ${text(22)} ${text(23)}`,
      `be ${text(12)} maintenance`,
      `be ${text(13)} maintenance`,
      maglev,
      WILD,
    ),
  );
});

const tap = (name: string, last: number, nodePort: number, annotations = {}): string =>
  svc({
    name,
    annotations,
    spec: { type: 'NodePort', clusterIP: `172.30.3.${last}`, ports: [tcp('http', 7000, 9000, nodePort)] },
  });
const four = (net: number): string[] => [1, 2, 3, 4].map((m) => `10.20.${net}.${m}`);
const list = (addresses: readonly string[]): string => addresses.map((address) => `${address}:9000`).join(' ');
const taps = [tap('tap', 1, 30190), eps(four(1), { of: 'tap' }), tap('tide', 2, 30191), eps(four(2), { of: 'tide' })];
const tapRows = (last: number, port: number, addresses: readonly string[], own: readonly string[]): string[] =>
  [
    `fe 0.0.0.0:${port}/TCP NodePort nr : ${list(addresses)}`,
    ...own.map((address) => `fe ${address}:${port}/TCP NodePort : ${list(addresses)}`),
    `fe 172.30.3.${last}:7000/TCP ClusterIP nr : ${list(addresses)}`,
  ].map((line) => line.trimEnd());
const tapWilds = ['wild 172.30.3.1 ClusterIP', 'wild 172.30.3.2 ClusterIP'];

test('L22 NodePort basics', () => {
  const world = new ControllerWorld(KPR, 'home').put(node(), ...taps);
  const rows = (one: readonly string[], two: readonly string[]): string =>
    expect(...tapRows(1, 30190, one, ['198.18.0.1']), ...tapRows(2, 30191, two, ['198.18.0.1']), ...tapWilds);
  assert.equal(world.lines, rows(four(1), four(2)));
  assert.deepEqual([world.size('reverseNat4'), world.size('backends4')], [6, 8]);
  assert.deepEqual(
    world.desired.frontends.filter((line) => line.includes('NodePort')).map((line) => line.split('/')[0]),
    ['0.0.0.0:30190', '0.0.0.0:30191'],
  );
  const ids = world.frontendIds;
  assert.equal(world.drop('EndpointSlice web/tide-a').lines, rows(four(1), []));
  assert.deepEqual([world.frontendIds, world.size('backends4')], [ids, 4]);
  assert.equal(world.drop('EndpointSlice web/tap-a').lines, rows([], []));
  assert.deepEqual([world.size('reverseNat4'), world.size('backends4')], [6, 0]);
  assert.equal(world.drop('Service web/tap', 'Service web/tide').lines, '');
});

test('L23 node addresses change', () => {
  const world = new ControllerWorld(KPR, 'home').put(node(), ...taps);
  const [ids, backends, desired] = [world.frontendIds, world.backendIds, world.desired.frontends];
  world.put(node(['198.18.0.2', ['CiliumInternalIP', '198.18.0.3']]));
  assert.equal(
    world.lines,
    expect(...tapRows(1, 30190, four(1), ['198.18.0.2']), ...tapRows(2, 30191, four(2), ['198.18.0.2']), ...tapWilds),
  );
  const now = world.frontendIds;
  for (const name of Object.keys(now)) {
    if (name in ids) assert.equal(now[name], ids[name], name);
    else assert.ok(!Object.values(ids).includes(now[name]!), name);
  }
  assert.deepEqual([world.backendIds, world.desired.frontends, world.size('reverseNat4')], [backends, desired, 6]);
  const chosen = new ControllerWorld({ ...KPR, 'nodePort.addresses': ['198.18.0.2/31'] }, 'home').put(
    node(['198.18.0.1', '198.18.0.2', ['CiliumInternalIP', '198.18.0.3']]),
    ...taps,
  );
  assert.match(chosen.lines, /^fe 198.18.0.2:30190/m);
  assert.match(chosen.lines, /^fe 198.18.0.3:30190/m);
  assert.doesNotMatch(chosen.lines, /^fe 198.18.0.1:/m);
});

test('L24 Maglev by annotation, default random', () => {
  const world = new ControllerWorld({ ...KPR, 'bpf.lbAlgorithmAnnotation': true }, 'home').put(
    node(),
    taps[0]!,
    taps[1]!,
    tap('tide', 2, 30191, { 'service.cilium.io/lb-algorithm': 'maglev' }),
    taps[3]!,
  );
  const shares = (name: string): number[] =>
    (world.lines.match(new RegExp(`^maglev ${name}.*$`, 'm'))?.[0] ?? '')
      .split(' ')
      .slice(3)
      .map((share) => Number(share.split('=')[1]))
      .sort((a, b) => b - a);
  assert.deepEqual(shares('198.18.0.1:30191'), [256, 255, 255, 255]);
  assert.deepEqual(shares('172.30.3.2:7000'), [256, 255, 255, 255]);
  assert.equal(world.size('maglev4'), 2);
  const [tide, rest] = [
    /3019[1].* alg=2 : |172.30.3.2:7000.* alg=2 : /,
    world.lines.split('\n').filter((l) => l.startsWith('fe')),
  ];
  assert.deepEqual(rest.filter((line) => tide.test(line)).length, 3);
  assert.deepEqual(rest.filter((line) => line.includes('alg=')).length, 3);
});

test('an algorithm that needs no table has none, whatever the node’s', () => {
  const named = tap('tap', 1, 30190, { 'service.cilium.io/lb-algorithm': 'random' });
  const world = new ControllerWorld({ ...MAGLEV, 'bpf.lbAlgorithmAnnotation': true }, 'home').put(
    node(),
    named,
    taps[1]!,
  );
  assert.equal(world.size('maglev4'), 0);
  assert.match(world.lines, /alg=1/);
});

test('L25 a load-balancer address that is a node address, on a port of the node-port range', () => {
  const world = new ControllerWorld(KPR, 'home').put(node(), tap('tap', 1, 30190), eps(['10.20.1.4'], { of: 'tap' }));
  const row = /^fe 198.18.0.1:30190\/TCP NodePort : 10.20.1.4:9000$/m;
  assert.match(world.lines, row);
  const id = world.frontendIds['198.18.0.1:30190/TCP'];
  world.put(
    svc({
      name: 'wide',
      ingress: ['198.18.0.1'],
      spec: { clusterIP: '172.30.3.9', ports: [tcp('http', 30190, 30190)] },
    }),
    eps(['10.20.1.5'], { of: 'wide', ports: [{ name: 'http', port: 30190 }] }),
  );
  assert.match(world.lines, row);
  assert.deepEqual(world.desired.frontends, [
    '0.0.0.0:30190/TCP NodePort : 10.20.1.4:9000/TCP',
    '172.30.3.1:7000/TCP ClusterIP : 10.20.1.4:9000/TCP',
    '172.30.3.9:30190/TCP ClusterIP : 10.20.1.5:30190/TCP',
  ]);
  world.drop('Service web/wide');
  assert.match(world.lines, row);
  assert.equal(world.frontendIds['198.18.0.1:30190/TCP'], id);
});

test('L26 dual stack with Maglev', () => {
  const boot = as('UDP', tcp('boot', 69, 6969, 30202));
  const ports = [
    { name: 'web', port: 9000, protocol: 'TCP' },
    { name: 'boot', port: 6969, protocol: 'UDP' },
  ];
  const world = new ControllerWorld({ ...KPR, 'loadBalancer.algorithm': 'maglev' }, 'home').put(
    node(['198.18.0.1', 'fd00:18::1']),
    svc({
      spec: {
        type: 'NodePort',
        clusterIP: '172.30.1.1',
        clusterIPs: ['172.30.1.1', 'fd00:30::1'],
        ipFamilies: ['IPv4', 'IPv6'],
        ports: [tcp('web', 80, 9000, 30201), boot],
      },
    }),
    eps(['10.20.2.9', '10.20.1.5'], { ports }),
  );
  assert.match(world.lines, /^fe \[fd00:18::1\]:30201\/TCP NodePort :$/m);
  world.put(eps(['fd00:20:2::a', 'fd00:20:1::b'], { name: 'store-6', six: true, ports }));
  const frontends = world.lines.split('\n').filter((line) => line.startsWith('fe'));
  assert.equal(frontends.length, 12);
  for (const line of frontends) {
    const six = line.includes('[');
    const port = line.includes('UDP') ? 6969 : 9000;
    const wanted = six ? `[fd00:20:1::b]:${port} [fd00:20:2::a]:${port}` : `10.20.1.5:${port} 10.20.2.9:${port}`;
    assert.ok(line.endsWith(` : ${wanted}`), line);
  }
  const tables = world.lines.split('\n').filter((line) => line.startsWith('maglev'));
  assert.deepEqual(
    tables.map((line) => line.split(' ')[1]),
    ['198.18.0.1:30201/TCP', '198.18.0.1:30202/UDP', '[fd00:18::1]:30201/TCP', '[fd00:18::1]:30202/UDP'],
  );
  for (const line of tables) assert.match(line, /=51[01] .*=51[01]$/);
  assert.deepEqual(
    [world.size('backends4') + world.size('backends6'), world.size('reverseNat4') + world.size('reverseNat6')],
    [8, 12],
  );
});

const desired = (...addresses: string[]): string[] => [
  [`${CLUSTER} ClusterIP :`, ...addresses.map((address) => `${address}:9000/TCP`)].join(' '),
];
const single = (name: string, endpoint: string | Record<string, unknown>): string =>
  eps([endpoint], { name: `store-${name}` });

test('L27 PreferSameNode', () => {
  const shop = (trafficDistribution: string): string => svc({ spec: { trafficDistribution } });
  const world = new ControllerWorld(TOPOLOGY, 'home').put(
    shop('PreferSameNode'),
    single('a', on('home', '10.20.1.4')),
    single('b', on('east', '10.20.2.4')),
  );
  assert.deepEqual(world.desired.frontends, desired('10.20.1.4'));
  assert.equal(world.desired.backends.length, 2);
  assert.deepEqual(world.drop('EndpointSlice web/store-a').desired.frontends, desired('10.20.2.4'));
  assert.deepEqual(world.put(single('a', on('home', '10.20.1.4'))).desired.frontends, desired('10.20.1.4'));
  assert.deepEqual(world.put(shop('Anything')).desired.frontends, desired('10.20.1.4', '10.20.2.4'));
  const off = new ControllerWorld(KPR, 'home').put(
    shop('PreferSameNode'),
    single('a', on('home', '10.20.1.4')),
    single('b', on('east', '10.20.2.4')),
  );
  assert.deepEqual(off.desired.frontends, desired('10.20.1.4', '10.20.2.4'));
});

test('L28 zone hints', () => {
  const hinted = (name: string, address: string, ...zones: string[]): string =>
    single(
      name,
      ep(address, '1/1/0', {
        nodeName: 'west',
        zone: 'x',
        ...(zones.length > 0 && { hints: { forZones: zones.map((zone) => ({ name: zone })) } }),
      }),
    );
  const zone = (name: string): string => node(undefined, { 'topology.kubernetes.io/zone': name });
  const auto = svc({ annotations: { 'service.kubernetes.io/topology-mode': 'auto' } });
  const b = hinted('b', '10.20.2.4', 'umber');
  const world = new ControllerWorld(TOPOLOGY, 'home').put(
    zone('amber'),
    auto,
    hinted('a', '10.20.1.4', 'amber', 'cobalt'),
    b,
  );
  const both = desired('10.20.1.4', '10.20.2.4');
  assert.deepEqual(world.desired.frontends, desired('10.20.1.4'));
  assert.deepEqual(world.put(zone('jade')).desired.frontends, both);
  assert.deepEqual(world.put(zone('cobalt')).desired.frontends, desired('10.20.1.4'));
  assert.deepEqual(world.put(hinted('b', '10.20.2.4')).desired.frontends, both);
  assert.deepEqual(world.put(b).desired.frontends, desired('10.20.1.4'));
  assert.deepEqual(world.put(svc()).desired.frontends, both);
  for (const trafficDistribution of ['PreferSameZone', 'PreferClose'])
    assert.deepEqual(world.put(svc({ spec: { trafficDistribution } })).desired.frontends, desired('10.20.1.4'));
  assert.deepEqual(world.put(node()).desired.frontends, both); // a node without a zone
});

test('L29 same-node preference while a pod restarts', () => {
  const a = (conditions: string): string => single('a', on('home', '10.20.1.4', conditions));
  const world = new ControllerWorld(TOPOLOGY, 'home').put(
    svc({ spec: { trafficDistribution: 'PreferSameNode' } }),
    a('1/1/0'),
    single('b', on('east', '10.20.2.4')),
  );
  const alone = expect(`fe ${CLUSTER} ClusterIP nr : 10.20.1.4:9000`, WILD);
  const [both, other] = [desired('10.20.1.4', '10.20.2.4'), `fe ${CLUSTER} ClusterIP nr : 10.20.2.4:9000`];
  assert.equal(world.lines, alone);
  world.put(a('0/1/1'));
  assert.equal(world.lines, expect(`${other} | 10.20.1.4:9000`, 'be 10.20.1.4:9000 terminating', WILD));
  assert.deepEqual(world.desired.frontends, both);
  world.put(a('0/0/0'));
  assert.equal(world.lines, expect(other, 'be 10.20.1.4:9000 maintenance', WILD));
  assert.deepEqual(world.desired.frontends, both);
  assert.equal(world.put(a('1/1/0')).lines, alone);
});

test('L30 zone hints and terminating endpoints', () => {
  const hints = { hints: { forZones: [{ name: 'amber' }] } };
  const world = new ControllerWorld(TOPOLOGY, 'home').put(
    node(undefined, { 'topology.kubernetes.io/zone': 'amber' }),
    svc({ annotations: { 'service.kubernetes.io/topology-mode': 'auto' } }),
    single('a', ep('10.20.1.4', '1/1/0', hints)),
    single('b', ep('10.20.2.4', '1/1/0', hints)),
  );
  const both = desired('10.20.1.4', '10.20.2.4');
  assert.deepEqual(world.desired.frontends, both);
  assert.deepEqual(world.put(single('b', ep('10.20.2.4', '0/1/1'))).desired.frontends, desired('10.20.1.4'));
  assert.deepEqual(world.put(single('a', ep('10.20.1.4', '0/1/1'))).desired.frontends, both);
  assert.deepEqual(world.drop('EndpointSlice web/store-a', 'EndpointSlice web/store-b').desired.frontends, desired());
});

test('L39 a Service on selected nodes only', () => {
  const told = (value: string, note = ''): string => svc({ annotations: { 'service.cilium.io/node': value, note } });
  const home = (value: string): string => node(undefined, { 'service.cilium.io/node': value });
  const world = new ControllerWorld(KPR, 'home').put(home('red'), told('red'), eps(['10.20.1.1', '10.20.1.2']));
  const shown = desired('10.20.1.1', '10.20.1.2');
  assert.deepEqual([world.desired.services, world.desired.frontends], [['web/store k8s'], shown]);
  world.put(told('blue'));
  assert.deepEqual([world.desired.services, world.desired.frontends, world.desired.backends.length], [[], [], 2]);
  assert.deepEqual(world.put(home('blue')).desired.frontends, []);
  assert.deepEqual(world.put(told('blue', 'updated')).desired.frontends, shown);
  assert.deepEqual(world.put(home('green')).desired.frontends, shown);
  // The Service may come before the node.
  assert.deepEqual(new ControllerWorld(KPR, 'home').put(told('red')).put(home('red')).desired.services, [
    'web/store k8s',
  ]);
  const selecting = (selector: string): string => svc({ annotations: { 'service.cilium.io/node-selector': selector } });
  for (const [selector, exposed] of [
    ['service.cilium.io/node in (green, red)', 1],
    ['service.cilium.io/node=green,!gpu', 1],
    ['service.cilium.io/node!=green', 0],
    ['gpu', 0],
    // What cannot be read is as if it were not there.
    ['no selector at all (', 1],
  ] as const)
    assert.equal(world.put(selecting(selector)).desired.services.length, exposed, selector);
});

test('L43 graceful termination', () => {
  const world = new ControllerWorld(MAGLEV).put(UNNAMED);
  const [a, b] = ['10.20.5.12:7090', '10.20.5.13:7090'];
  const step = (first: string, second: string): ControllerWorld =>
    world.put(
      eps([ep('10.20.5.12', first), ep('10.20.5.13', second)], { ports: [{ name: '', port: 7090, protocol: 'TCP' }] }),
    );
  const fe = 'fe 172.30.1.1:7090/TCP ClusterIP :';
  const table = `maglev 172.30.1.1:7090/TCP : ${a}=510 ${b}=511`;
  const whole = (backend: string): string => `maglev 172.30.1.1:7090/TCP : ${backend}=1021`;
  const is = (...lines: string[]): void => {
    const text = world.lines.replace(/=51[01] /, '=510 ').replace(/=51[01]$/m, '=511');
    assert.equal(text, expect(...lines, WILD));
  };
  step('1/1/0', '1/1/0');
  is(`${fe} ${a} ${b}`, table);
  const ids = [world.frontendIds, world.backendIds];
  step('0/1/1', '1/1/0');
  is(`${fe} ${b} | ${a}`, `be ${a} terminating`, whole(b));
  step('0/1/1', '0/1/1');
  is(`${fe} ${a} ${b}`, `be ${a} terminating`, `be ${b} terminating`, table);
  step('0/1/1', '0/0/1');
  is(`${fe} ${a} | ${b}`, `be ${a} terminating`, `be ${b} terminating`, whole(a));
  assert.deepEqual(world.desired.backends, [`${a}/TCP terminating`, `${b}/TCP terminating-not-serving`]);
  step('0/0/0', '1/0/1');
  is(`${fe} ${b}`, `be ${a} maintenance`, whole(b));
  step('1/1/0', '1/0/0');
  is(`${fe} ${a} ${b}`, table);
  assert.deepEqual([world.frontendIds, world.backendIds], ids);
});
