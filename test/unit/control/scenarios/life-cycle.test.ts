// Load-balancer scenarios about objects that come and go, through the running control plane. Names L… are those of the scenario
// collection that they restate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ControllerWorld } from '../../../support/controller-world.ts';
import { eps, node, svc, tcp } from '../../../support/service-objects.ts';
import { expect, KPR, MAGLEV } from '../../../support/service-scenario.ts';

const VIP = '172.30.1.1:7000/TCP';
const AFFINE = {
  spec: { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 90 } } },
};

test('L01 ClusterIP life cycle with affinity', () => {
  const world = new ControllerWorld().put(svc(AFFINE), eps(['10.20.1.1']));
  const full = expect(
    `fe ${VIP} ClusterIP nr aff=90s : 10.20.1.1:9000`,
    `aff ${VIP} : 10.20.1.1:9000`,
    'wild 172.30.1.1 ClusterIP',
  );
  assert.equal(world.lines, full);
  const first = { ...world.frontendIds, ...world.backendIds };
  world.drop('Service web/store', 'EndpointSlice web/store-a').put(svc(AFFINE), eps(['10.20.1.1']));
  assert.equal(world.lines, full);
  const second = { ...world.frontendIds, ...world.backendIds };
  for (const name of Object.keys(first)) assert.notEqual(second[name], first[name], name);
  world.put(eps(['10.20.1.1', '10.20.1.2', '10.20.1.3']));
  assert.equal(
    world.lines,
    expect(
      `fe ${VIP} ClusterIP nr aff=90s : 10.20.1.1:9000 10.20.1.2:9000 10.20.1.3:9000`,
      ...[1, 2, 3].map((i) => `aff ${VIP} : 10.20.1.${i}:9000`),
      'wild 172.30.1.1 ClusterIP',
    ),
  );
  assert.equal(world.frontendIds[VIP], second[VIP]);
  assert.equal(world.backendIds['10.20.1.1:9000'], second['10.20.1.1:9000']);
  world.drop('EndpointSlice web/store-a');
  assert.equal(world.lines, expect(`fe ${VIP} ClusterIP nr aff=90s :`, 'wild 172.30.1.1 ClusterIP'));
  assert.deepEqual([world.size('reverseNat4'), world.size('backends4'), world.frontendIds[VIP]], [1, 0, second[VIP]]);
  world.put(eps(['10.20.1.1']));
  assert.equal(world.lines, full);
  assert.equal(world.frontendIds[VIP], second[VIP]);
  assert.notEqual(world.backendIds['10.20.1.1:9000'], second['10.20.1.1:9000']);
  world.drop('Service web/store', 'EndpointSlice web/store-a');
  assert.deepEqual(
    Object.values(world.maps)
      .map(({ size }) => size)
      .filter(Boolean),
    [],
  );
});

test('L13 kube-proxy replacement switched off on restart', () => {
  const objects = [
    node(),
    svc({
      ingress: ['203.0.113.1'],
      spec: {
        externalIPs: ['192.0.2.1'],
        ports: [tcp('http', 7000, 9000, 30001), tcp('tls', 7443, 9443, 30002)],
      },
    }),
    eps(['10.20.1.1', '10.20.1.2'], {
      ports: [tcp('http', 9000, 0), tcp('tls', 9443, 0)].map(({ name, port }) => ({ name, port })),
    }),
  ];
  const world = new ControllerWorld(KPR, 'home').put(...objects);
  const rows = (flag: string, address: string, type: string, http = 7000, tls = 7443): string[] => [
    `fe ${address}:${http}/TCP ${type}${flag} : 10.20.1.1:9000 10.20.1.2:9000`,
    `fe ${address}:${tls}/TCP ${type}${flag} : 10.20.1.1:9443 10.20.1.2:9443`,
  ];
  const kept = [
    ...rows(' nr', '172.30.1.1', 'ClusterIP'),
    ...rows('', '192.0.2.1', 'ExternalIPs'),
    'wild 172.30.1.1 ClusterIP',
  ];
  assert.equal(
    world.lines,
    expect(
      ...kept,
      ...rows(' nr', '0.0.0.0', 'NodePort', 30001, 30002),
      ...rows('', '198.18.0.1', 'NodePort', 30001, 30002),
      ...rows('', '203.0.113.1', 'LoadBalancer'),
      'wild 203.0.113.1 LoadBalancer',
    ),
  );
  assert.equal(world.size('reverseNat4'), 10);
  const [before, ids, backends] = [world.lines, world.frontendIds, world.backendIds];
  world.restart({ ...KPR, kubeProxyReplacement: false });
  assert.deepEqual(world.desired, { services: [], frontends: [], backends: [] });
  world.settle();
  assert.equal(world.lines, before);
  world.put(...objects);
  assert.deepEqual(
    world.desired.frontends.map((line: string) => line.split(' ')[0]),
    [
      '172.30.1.1:7000/TCP',
      '172.30.1.1:7443/TCP',
      '192.0.2.1:7000/TCP',
      '192.0.2.1:7443/TCP',
      '203.0.113.1:7000/TCP',
      '203.0.113.1:7443/TCP',
    ],
  );
  assert.equal(world.lines, before);
  world.prune();
  assert.equal(world.lines, expect(...kept));
  assert.deepEqual([world.size('reverseNat4'), world.size('backends4')], [4, 4]);
  for (const [name, id] of Object.entries(world.frontendIds)) assert.equal(id, ids[name], name);
  assert.deepEqual(world.backendIds, backends);
});

test('L18 old entries without protocol', () => {
  const slice = (...addresses: string[]): string =>
    eps(addresses, {
      ports: [
        { name: 'http', port: 9000, protocol: 'TCP' },
        { name: 'dns', port: 5353, protocol: 'UDP' },
        { name: 'sig', port: 3868, protocol: 'SCTP' },
      ],
    });
  const service = svc({
    spec: {
      ports: [
        tcp('http', 80, 9000),
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'sig', port: 3868, protocol: 'SCTP' },
      ],
    },
  });
  const sctp = { ...KPR, 'sctp.enabled': true };
  const world = new ControllerWorld(sctp).put(service, slice('10.20.1.1', '10.20.1.2'));
  assert.deepEqual([world.size('reverseNat4'), world.size('backends4')], [3, 6]);
  const [frontends, backends] = [world.frontendIds, world.backendIds];
  // Every entry loses its protocol: byte 8 of a service key (never a wildcard's), byte 6 of a backend.
  const dump = world.dump();
  const old = {
    ...dump,
    services4: [...dump.services4!].map(([key, value]) => [key.slice().fill(0, 8, 9), value] as const),
    backends4: [...dump.backends4!].map(([key, value]) => [key, value.slice().fill(0, 6, 7)] as const),
  };
  const fresh = new ControllerWorld(sctp);
  for (const [map, entries] of Object.entries(old))
    for (const [key, value] of entries)
      fresh.content.apply({ map: `weir_${map.replace('reverseNat', 'reverse_nat')}`, op: 'update', key, value });
  fresh.restart(sctp).put(service, slice('10.20.1.1')).prune();
  assert.equal(
    fresh.lines,
    expect(
      'fe 172.30.1.1:80/TCP ClusterIP nr : 10.20.1.1:9000',
      'fe 172.30.1.1:53/UDP ClusterIP nr : 10.20.1.1:5353',
      'fe 172.30.1.1:3868/SCTP ClusterIP nr : 10.20.1.1:3868',
      'wild 172.30.1.1 ClusterIP',
    ),
  );
  assert.deepEqual(fresh.frontendIds, frontends);
  for (const [name, id] of Object.entries(fresh.backendIds)) assert.equal(id, backends[name], name);
});

test('L19 a backend moves between slices in one batch', () => {
  const world = new ControllerWorld().put(svc(), eps(['10.20.1.1']));
  const id = world.backendIds['10.20.1.1:9000'];
  world.controller.remove('EndpointSlice', 'web/store-a');
  world.put(eps(['10.20.1.1', '10.20.1.2'], { name: 'store-b' }));
  assert.deepEqual(world.desired.frontends, [`${VIP} ClusterIP : 10.20.1.1:9000/TCP 10.20.1.2:9000/TCP`]);
  assert.equal(world.backendIds['10.20.1.1:9000'], id);
});

test('L20 many slices', () => {
  const slices = ['a', 'b', 'c'].map((name, i) =>
    eps(
      [1, 2, 3].map((m) => `10.20.${i}.${m}`),
      { name: `store-${name}` },
    ),
  );
  const names = ['a', 'b', 'c'].map((name) => `EndpointSlice web/store-${name}`);
  const nine = `${VIP} ClusterIP : ${[0, 1, 2].flatMap((i) => [1, 2, 3].map((m) => `10.20.${i}.${m}:9000/TCP`)).join(' ')}`;
  const world = new ControllerWorld().put(svc(), ...slices);
  assert.deepEqual(world.desired.frontends, [nine]);
  world.drop(...names);
  assert.deepEqual([world.desired.frontends, world.desired.backends], [[`${VIP} ClusterIP :`], []]);
  world.put(...slices);
  assert.deepEqual(world.desired.frontends, [nine]);
  world.drop('Service web/store');
  assert.deepEqual([world.desired.services, world.desired.frontends], [[], []]);
  assert.equal(world.desired.backends.length, 9);
  world.put(svc());
  assert.deepEqual(world.desired.frontends, [nine]);
});

test('L21 equal names in two namespaces', () => {
  const twin = (namespace: string, last: number): string =>
    svc({ name: 'twin', namespace, spec: { clusterIP: `172.30.1.${last}`, sessionAffinity: 'ClientIP' } });
  const slice = (namespace: string, net: number, ...hosts: number[]): string =>
    eps(
      hosts.map((h) => `10.${net}.1.${h}`),
      { name: 'twin', of: 'twin', namespace },
    );
  const left = '172.30.1.61:7000/TCP ClusterIP : 10.20.1.1:9000/TCP';
  const right = '172.30.1.62:7000/TCP ClusterIP : 10.21.1.1:9000/TCP 10.21.1.2:9000/TCP';
  const world = new ControllerWorld().put(twin('left', 61), slice('left', 20, 1, 2));
  assert.deepEqual(world.desired.frontends, [`${left} 10.20.1.2:9000/TCP`]);
  world.put(twin('right', 62), slice('right', 21, 1, 2));
  assert.deepEqual(world.desired.frontends, [`${left} 10.20.1.2:9000/TCP`, right]);
  world.put(slice('left', 20, 1));
  assert.deepEqual(world.desired.frontends, [left, right]);
});

test('L32 a Service deleted while nobody looked', () => {
  const slice = eps(['10.20.1.1', '10.20.1.2'], {
    ports: [
      { name: 'http', port: 9000 },
      { name: 'tls', port: 9443 },
    ],
  });
  const world = new ControllerWorld(KPR, 'home').put(
    node(),
    svc({
      ingress: ['203.0.113.1'],
      spec: { externalIPs: ['192.0.2.1'], ports: [tcp('http', 7000, 9000, 30001), tcp('tls', 7443, 9443, 30002)] },
    }),
    slice,
  );
  assert.deepEqual([world.size('reverseNat4'), world.size('backends4')], [10, 4]);
  const before = world.lines;
  world.restart().settle();
  assert.equal(world.lines, before);
  world.put(node(), slice).prune();
  assert.deepEqual(
    Object.values(world.maps)
      .map(({ size }) => size)
      .filter(Boolean),
    [],
  );
  assert.deepEqual([world.desired.services, world.desired.frontends, world.desired.backends.length], [[], [], 4]);
});

test('L33 periodic pruning', () => {
  const world = new ControllerWorld().put(
    svc({ spec: { clusterIPs: ['172.30.1.1', '172.30.1.2'] } }),
    eps(['10.20.1.1', '10.20.1.2', '10.20.1.3']),
  );
  assert.deepEqual([world.size('backends4'), world.size('reverseNat4')], [3, 2]);
  const full = world.dump();
  world.prune();
  assert.deepEqual(world.writes, []);
  world.drop('Service web/store', 'EndpointSlice web/store-a');
  for (const [map, entries] of Object.entries(full))
    for (const [key, value] of entries)
      world.content.apply({ map: `weir_${map.replace('reverseNat', 'reverse_nat')}`, op: 'update', key, value });
  assert.notEqual(world.lines, '');
  world.prune();
  assert.deepEqual(
    Object.values(world.maps)
      .map(({ size }) => size)
      .filter(Boolean),
    [],
  );
});

test('pruning also writes what somebody took away, and mends what somebody changed', () => {
  const world = new ControllerWorld().put(svc(), eps(['10.20.1.1', '10.20.1.2']));
  const full = world.content.dump();
  const [[key, value]] = [...world.dump().services4!] as [readonly [Uint8Array, Uint8Array]];
  world.content.apply({ map: 'weir_services4', op: 'update', key, value: value.map((byte) => byte ^ 1) });
  const [backend] = [...world.dump().backends4!];
  world.content.apply({ map: 'weir_backends4', op: 'update', key: backend![0], value: new Uint8Array(12) });
  const writes = world.controller.prune(world.dump());
  assert.equal(writes.length, 2);
  for (const write of writes) world.content.apply(write);
  assert.deepEqual(world.content.dump(), full);
});

test('L34 quarantine by health check', () => {
  const world = new ControllerWorld().put(svc(), eps(['10.20.1.1', '10.20.1.2'])).health('10.20.1.2', false);
  const wild = 'wild 172.30.1.1 ClusterIP';
  assert.equal(world.lines, expect(`fe ${VIP} ClusterIP nr : 10.20.1.1:9000 | 10.20.1.2:9000(quarantined)`, wild));
  const [frontends, backends] = [world.frontendIds, world.backendIds];
  const more = eps(['10.20.1.1', '10.20.1.2', '10.20.1.3'], { name: 'store-b' });
  world.restart().put(more, svc()).prune();
  assert.equal(
    world.lines,
    expect(`fe ${VIP} ClusterIP nr : 10.20.1.1:9000 10.20.1.3:9000 | 10.20.1.2:9000(quarantined)`, wild),
  );
  assert.deepEqual(world.frontendIds, frontends);
  for (const [name, id] of Object.entries(backends)) assert.equal(world.backendIds[name], id, name);
  assert.ok(!Object.values(backends).includes(world.backendIds['10.20.1.3:9000']!));
  world.health('10.20.1.2', true);
  assert.equal(world.lines, expect(`fe ${VIP} ClusterIP nr : 10.20.1.1:9000 10.20.1.2:9000 10.20.1.3:9000`, wild));
});

test('L34 a quarantine without anybody healthy leaves no backend to choose, and ends with its pod', () => {
  const world = new ControllerWorld(MAGLEV).put(svc(AFFINE), eps(['10.20.1.1', '10.20.1.2']));
  world.health('10.20.1.1', false).health('10.20.1.2', false);
  assert.equal(
    world.lines,
    expect(
      `fe ${VIP} ClusterIP aff=90s : | 10.20.1.1:9000(quarantined) 10.20.1.2:9000(quarantined)`,
      // Their clients stay with them: they are active by what the slices say.
      `aff ${VIP} : 10.20.1.1:9000`,
      `aff ${VIP} : 10.20.1.2:9000`,
      'wild 172.30.1.1 ClusterIP',
    ),
  );
  world.put(eps([])).put(eps(['10.20.1.1']));
  assert.match(world.lines, /ClusterIP aff=90s : 10.20.1.1:9000$/m);
});

test('L35 a re-list replaces everything of its kind', () => {
  const one = `${VIP} ClusterIP : 10.20.1.1:9000/TCP`;
  const world = new ControllerWorld().put(svc(), eps(['10.20.1.1']));
  assert.deepEqual(world.desired.frontends, [one]);
  world.relist('EndpointSlice');
  assert.deepEqual([world.desired.frontends, world.desired.backends], [[`${VIP} ClusterIP :`], []]);
  world.put(eps(['10.20.1.1']));
  assert.deepEqual(world.desired.frontends, [one]);
  world.relist('Service');
  assert.deepEqual(world.desired, { services: [], frontends: [], backends: ['10.20.1.1:9000/TCP'] });
});

test('L44 state from a file', () => {
  const file = (text: string | undefined): ControllerWorld => {
    assert.deepEqual(world.controller.loadStateFile(text, 'state.yaml'), []);
    return world.settle();
  };
  const world = new ControllerWorld();
  assert.equal(file(undefined).lines, '');
  const services = `services:
- metadata: {name: store, namespace: web}
  spec: {type: LoadBalancer, ports: [{name: http, port: 7000, protocol: TCP, targetPort: 9000}]}
  status: {loadBalancer: {ingress: [{ip: 203.0.113.1}]}}
`;
  const endpoints = `endpoints:
- metadata: {name: store-a, namespace: web, labels: {kubernetes.io/service-name: store}}
  addressType: IPv4
  endpoints: [{addresses: [10.20.1.1], conditions: {ready: true}}]
  ports: [{name: http, port: 9000, protocol: TCP}]
`;
  file(services + endpoints);
  assert.equal(
    world.lines,
    expect('fe 203.0.113.1:7000/TCP LoadBalancer : 10.20.1.1:9000', 'wild 203.0.113.1 LoadBalancer'),
  );
  assert.deepEqual(world.desired.services, ['web/store api']);
  file(services);
  assert.equal(world.lines, expect('fe 203.0.113.1:7000/TCP LoadBalancer :', 'wild 203.0.113.1 LoadBalancer'));
  assert.deepEqual(world.desired.backends, []);
  assert.notDeepEqual(world.controller.loadStateFile('services: {a: 1}', 'state.yaml'), []);
  assert.match(world.settle().lines, /^fe 203/m);
  assert.equal(file('').lines, '');
});
