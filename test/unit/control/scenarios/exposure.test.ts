// Load-balancer scenarios about where a Service is reachable: types, addresses, annotations, source ranges, modes. Through the
// running control plane. Names L… are those of the scenario collection that they restate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ControllerWorld } from '../../../support/controller-world.ts';
import { as, ep, eps, node, on, pod, svc, tcp } from '../../../support/service-objects.ts';
import { expect, KPR, MAGLEV } from '../../../support/service-scenario.ts';

const WILD = 'wild 172.30.1.1 ClusterIP';
const CLUSTER = '172.30.1.1:7000/TCP';
const VIP = '203.0.113.1:7000/TCP';
const B = '10.20.1.1:9000';
/** A load balancer with a node port. */
const balanced = (nodePort: number, options: Parameters<typeof svc>[0] = {}): string =>
  svc({ ...options, ingress: ['203.0.113.1'], spec: { ports: [tcp('http', 7000, 9000, nodePort)], ...options.spec } });

test('L02 ClusterIP reachable from outside, Maglev and affinity', () => {
  const affine = { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 90 } } };
  const world = new ControllerWorld(MAGLEV).put(svc({ spec: affine }), eps(['10.20.1.1', '10.20.1.2']));
  assert.equal(
    world.lines,
    expect(
      `fe ${CLUSTER} ClusterIP aff=90s : 10.20.1.1:9000 10.20.1.2:9000`,
      `aff ${CLUSTER} : 10.20.1.1:9000`,
      `aff ${CLUSTER} : 10.20.1.2:9000`,
      `maglev ${CLUSTER} : 10.20.1.1:9000=511 10.20.1.2:9000=510`,
      WILD,
    ),
  );
  world.put(eps(['10.20.1.1']));
  assert.match(world.lines, /^maglev 172\.30\.1\.1:7000\/TCP : 10\.20\.1\.1:9000=1021$/m);
  assert.equal(world.put(eps([])).size('maglev4'), 0);
});

test('L03 ExternalIPs switched off, both ways to ask for them', () => {
  const service = svc({
    annotations: { 'service.cilium.io/external-ips': '192.0.2.8' },
    spec: { externalIPs: ['192.0.2.7'] },
  });
  const off = new ControllerWorld({ ...KPR, 'enable-external-ips': false }).put(service, eps(['10.20.1.1']));
  assert.equal(off.lines, expect(`fe ${CLUSTER} ClusterIP nr : ${B}`, WILD));
  const on = new ControllerWorld().put(service, eps(['10.20.1.1']));
  assert.equal(
    on.lines,
    expect(
      `fe ${CLUSTER} ClusterIP nr : ${B}`,
      `fe 192.0.2.7:7000/TCP ExternalIPs : ${B}`,
      `fe 192.0.2.8:7000/TCP ExternalIPs : ${B}`,
      WILD,
    ),
  );
});

test('L04 source ranges also guard ExternalIPs', () => {
  const world = new ControllerWorld().put(
    svc({ ingress: ['203.0.113.1'], spec: { externalIPs: ['192.0.2.7'], loadBalancerSourceRanges: ['10.64.0.0/10'] } }),
    eps(['10.20.1.1']),
  );
  assert.equal(
    world.lines,
    expect(
      `fe ${CLUSTER} ClusterIP nr : ${B}`,
      `fe ${VIP} LoadBalancer src : ${B}`,
      `fe 192.0.2.7:7000/TCP ExternalIPs src : ${B}`,
      ...[CLUSTER, VIP, '192.0.2.7:7000/TCP'].map((fe) => `src ${fe} : 10.64.0.0/10`),
      WILD,
      'wild 203.0.113.1 LoadBalancer',
    ),
  );
});

test('L06 headless Services', () => {
  const world = new ControllerWorld().put(svc({ spec: { clusterIP: 'None' } }), eps(['10.20.1.1']));
  assert.equal(world.lines, '');
  assert.deepEqual(world.desired, { services: ['web/store k8s'], frontends: [], backends: [`${B}/TCP`] });
  assert.deepEqual(world.drop('Service web/store').desired.backends, [`${B}/TCP`]);
  assert.equal(world.put(svc()).lines, expect(`fe ${CLUSTER} ClusterIP nr : ${B}`, WILD));
  world.put(svc({ labels: { 'service.kubernetes.io/headless': '' } }));
  assert.equal(world.lines, '');
  assert.deepEqual(world.desired.services, ['web/store k8s']);
  assert.equal(world.put(svc({ spec: { clusterIP: 'none' } })).lines, '');
  assert.equal(world.put(svc({ spec: { type: 'ExternalName', externalName: 'a.example', clusterIP: '' } })).lines, '');
});

test('L07 health check node port', () => {
  const local = { externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' };
  const service = (port: number, policies: object = local): string =>
    balanced(30110, { spec: { ...policies, ...(port === 0 ? {} : { healthCheckNodePort: port }) } });
  const world = new ControllerWorld(KPR, 'home').put(
    node(),
    service(32001),
    eps([on('home', '10.20.1.1'), on('home', '10.20.1.2'), on('east', '10.20.2.1'), on('east', '10.20.2.2')]),
  );
  const two = '10.20.1.1:9000 10.20.1.2:9000';
  const rest = (flags: string, backends: string): string[] => [
    `fe 0.0.0.0:30110/TCP NodePort nr${flags} : ${backends}`.trimEnd(),
    `fe 198.18.0.1:30110/TCP NodePort${flags} : ${backends}`.trimEnd(),
    `fe ${CLUSTER} ClusterIP nr${flags} : ${backends}`.trimEnd(),
    `fe ${VIP} LoadBalancer${flags} : ${backends}`.trimEnd(),
    WILD,
    'wild 203.0.113.1 LoadBalancer',
  ];
  const probe = (port: number): string => `fe 203.0.113.1:${port}/TCP LoadBalancer local ilocal : 198.18.0.1:${port}`;
  assert.equal(world.lines, expect(...rest(' local ilocal', two), probe(32001)));
  assert.deepEqual(
    [world.size('backends4'), world.desired.services],
    [3, ['web/store k8s', 'web/store:healthserver local']],
  );
  const [check] = world.controller.healthChecks();
  assert.deepEqual(check, {
    port: 32001,
    namespace: 'web',
    name: 'store',
    localEndpoints: 2,
    answer: {
      status: 200,
      headers: {
        'Content-Type': 'application/json',
        'X-Content-Type-Options': 'nosniff',
        'X-Load-Balancing-Endpoint-Weight': '2',
      },
      body: '{"service":{"namespace":"web","name":"store"},"localEndpoints":2}',
    },
  });
  world.put(service(32002));
  assert.equal(world.lines, expect(...rest(' local ilocal', two), probe(32002)));
  assert.deepEqual(
    world.controller.healthChecks().map(({ port }) => port),
    [32002],
  );
  world.put(service(32002, {}));
  assert.equal(world.lines, expect(...rest('', `${two} 10.20.2.1:9000 10.20.2.2:9000`)));
  assert.deepEqual(world.controller.healthChecks(), []);
  world.put(service(32002), eps([on('east', '10.20.2.1'), on('east', '10.20.2.2')]));
  assert.equal(world.lines, expect(...rest(' local ilocal', ''), probe(32002)));
  const [empty] = world.controller.healthChecks();
  assert.deepEqual([empty!.answer.status, empty!.localEndpoints], [503, 0]);
  assert.equal(world.put(service(0)).lines, expect(...rest(' local ilocal', '')));
  assert.deepEqual(world.controller.healthChecks(), []);
});

test('L08 HostPort', () => {
  const ports = (hostPort: number): Record<string, unknown>[] =>
    ['TCP', 'UDP'].map((protocol) => ({ containerPort: 9000, hostPort, protocol }));
  const rows = (port: number, backend: string): string =>
    expect(
      ...['TCP', 'UDP'].flatMap((protocol) => [
        `fe 0.0.0.0:${port}/${protocol} HostPort nr : ${backend}:9000`,
        `fe 198.18.0.1:${port}/${protocol} HostPort : ${backend}:9000`,
      ]),
    );
  const world = new ControllerWorld(KPR, 'home').put(node(), pod('first', '10.20.1.13', ports(7500)));
  assert.equal(world.lines, rows(7500, '10.20.1.13'));
  assert.equal(world.size('reverseNat4'), 4);
  assert.deepEqual(world.desired.services, ['web/first:host-port:7500:first-uid k8s']);
  const [frontends, backends] = [world.frontendIds, world.backendIds];
  world.put(pod('first', '10.20.1.13', ports(7500), { phase: 'Succeeded' }));
  assert.equal(world.lines, '');
  world.put(pod('second', '10.20.1.14', ports(7500)));
  assert.equal(world.lines, rows(7500, '10.20.1.14'));
  const used = new Set([...Object.values(frontends), ...Object.values(backends)]);
  assert.ok(
    Object.values(world.frontendIds).every((id) => !Object.values(frontends).includes(id)),
    String(used),
  );
  assert.deepEqual(world.drop('Pod web/first').writes, []);
  const [before, kept] = [world.frontendIds, world.backendIds];
  world.put(pod('second', '10.20.1.14', ports(7600)));
  assert.equal(world.lines, rows(7600, '10.20.1.14'));
  assert.deepEqual(world.backendIds, kept);
  assert.ok(Object.values(world.frontendIds).every((id) => !Object.values(before).includes(id)));
  assert.equal(world.put(pod('second', '198.18.0.1', ports(7600), { spec: { hostNetwork: true } })).lines, '');
  assert.equal(world.put(pod('second', '10.20.1.14', ports(7600))).lines, rows(7600, '10.20.1.14'));
  assert.equal(world.put(pod('second', '10.20.1.14', ports(7600), { spec: { nodeName: 'east' } })).lines, '');
});

test('L08 host addresses of a HostPort: one, loopback, and the range of node ports', () => {
  const at = (hostPort: number, hostIP: string): Record<string, unknown> => ({ containerPort: 9000, hostPort, hostIP });
  const world = new ControllerWorld(KPR, 'home').put(node(['198.18.0.1', '198.18.0.2']));
  world.put(
    pod('p', '10.20.1.1', [
      at(81, '198.18.0.2'),
      at(82, '127.0.0.1'),
      at(83, '0.0.0.0'),
      at(84, '::1'),
      { containerPort: 9000, hostPort: 30500 },
    ]),
  );
  assert.equal(
    world.lines,
    expect(
      `fe 198.18.0.2:81/TCP HostPort : ${B}`,
      `fe 0.0.0.0:82/TCP HostPort nr loopback : ${B}`,
      `fe 0.0.0.0:83/TCP HostPort nr : ${B}`,
      `fe 198.18.0.1:83/TCP HostPort : ${B}`,
      `fe 198.18.0.2:83/TCP HostPort : ${B}`,
    ),
  );
});

test('L09 HostPort versus LoadBalancer on the node address', () => {
  const world = new ControllerWorld(KPR, 'home').put(node(), svc({ ingress: ['198.18.0.1'] }), eps(['10.20.1.1']));
  const service = [`fe 198.18.0.1:7000/TCP LoadBalancer : ${B}`, `fe ${CLUSTER} ClusterIP nr : ${B}`, WILD];
  assert.equal(world.lines, expect(...service));
  const id = world.frontendIds['198.18.0.1:7000/TCP'];
  world.put(pod('edge', '10.20.1.9', [{ containerPort: 9090, hostPort: 7000 }]));
  const both = expect(...service, 'fe 0.0.0.0:7000/TCP HostPort nr : 10.20.1.9:9090');
  assert.equal(world.lines, both);
  assert.equal(world.frontendIds['198.18.0.1:7000/TCP'], id);
  assert.deepEqual(world.prune().writes, []);
  // The other order: the pod's row gives way, and comes back when the Service goes.
  const other = new ControllerWorld(KPR, 'home').put(
    node(),
    pod('edge', '10.20.1.9', [{ containerPort: 9090, hostPort: 7000 }]),
  );
  assert.equal(other.put(svc({ ingress: ['198.18.0.1'] }), eps(['10.20.1.1'])).lines, both);
  assert.match(other.drop('Service web/store').lines, /^fe 198.18.0.1:7000\/TCP HostPort : 10.20.1.9:9090$/m);
});

test('L10 hybrid mode: TCP by direct server return, UDP by source NAT', () => {
  const world = new ControllerWorld({ ...KPR, 'loadBalancer.mode': 'hybrid' }).put(
    svc({ name: 'a', spec: { type: 'NodePort', ports: [tcp('http', 7000, 9000, 30120)] } }),
    eps(['10.20.1.1'], { of: 'a' }),
    svc({
      name: 'b',
      spec: { type: 'NodePort', clusterIP: '172.30.1.2', ports: [as('UDP', tcp('dns', 53, 5353, 30121))] },
    }),
    eps(['10.20.1.2'], { of: 'b', ports: [{ name: 'dns', port: 5353, protocol: 'UDP' }] }),
  );
  assert.equal(
    world.lines,
    expect(
      `fe 0.0.0.0:30120/TCP NodePort nr dsr : ${B}`,
      `fe ${CLUSTER} ClusterIP nr dsr : ${B}`,
      'fe 0.0.0.0:30121/UDP NodePort nr : 10.20.1.2:5353',
      'fe 172.30.1.2:53/UDP ClusterIP nr : 10.20.1.2:5353',
      WILD,
      'wild 172.30.1.2 ClusterIP',
    ),
  );
});

test('L11 forwarding mode per Service', () => {
  const rows = (dsr: string): string =>
    expect(
      `fe 0.0.0.0:30120/TCP NodePort nr${dsr} : ${B}`,
      `fe ${CLUSTER} ClusterIP nr${dsr} : ${B}`,
      `fe ${VIP} LoadBalancer${dsr} : ${B}`,
      WILD,
      'wild 203.0.113.1 LoadBalancer',
    );
  const annotated = balanced(30120, { annotations: { 'service.cilium.io/forwarding-mode': 'dsr' } });
  const world = new ControllerWorld({ ...KPR, 'bpf.lbModeAnnotation': true }).put(balanced(30120), eps(['10.20.1.1']));
  assert.equal(world.lines, rows(''));
  const ids = world.frontendIds;
  assert.equal(world.put(annotated).lines, rows(' dsr'));
  assert.deepEqual(world.frontendIds, ids);
  const off = new ControllerWorld().put(annotated, eps(['10.20.1.1']));
  assert.equal(off.lines, rows(''));
});

test('L12 a load balancer without address or endpoints', () => {
  const ports = [tcp('http', 80, 80, 30979), tcp('https', 443, 443, 31988)];
  const world = new ControllerWorld().put(svc({ ingress: [], spec: { ports } }), eps([], { ports: [] }));
  assert.deepEqual(world.desired.frontends, [
    '0.0.0.0:30979/TCP NodePort :',
    '0.0.0.0:31988/TCP NodePort :',
    '172.30.1.1:443/TCP ClusterIP :',
    '172.30.1.1:80/TCP ClusterIP :',
  ]);
  assert.deepEqual(world.desired.backends, []);
});

test('L14 load balancer and ipMode', () => {
  const world = new ControllerWorld(KPR, 'home').put(node(), balanced(30140), eps(['10.20.1.1', '10.20.1.2']));
  const rows = (backends: string): string =>
    expect(
      `fe 0.0.0.0:30140/TCP NodePort nr : ${backends}`.trimEnd(),
      `fe 198.18.0.1:30140/TCP NodePort : ${backends}`.trimEnd(),
      `fe ${CLUSTER} ClusterIP nr : ${backends}`.trimEnd(),
      `fe ${VIP} LoadBalancer : ${backends}`.trimEnd(),
      WILD,
      'wild 203.0.113.1 LoadBalancer',
    );
  assert.equal(world.lines, rows(`${B} 10.20.1.2:9000`));
  assert.equal(world.drop('EndpointSlice web/store-a').lines, rows(''));
  assert.equal(world.drop('Service web/store').lines, '');
  world.put(
    svc({ ingress: [{ ip: '203.0.113.1', ipMode: 'Proxy' }], spec: { ports: [tcp('http', 7000, 9000, 30140)] } }),
  );
  assert.deepEqual(world.desired.frontends, ['0.0.0.0:30140/TCP NodePort :', '172.30.1.1:7000/TCP ClusterIP :']);
});

test('L15 wildcards depend on the load-balancer class', () => {
  const classes = [
    undefined,
    'io.cilium/bgp-control-plane',
    'io.cilium/l2-announcer',
    'io.cilium/node',
    'a.example/lb',
  ];
  const world = new ControllerWorld().put(
    ...classes.map((loadBalancerClass, i) =>
      svc({
        name: `s${i}`,
        ingress: [`203.0.113.3${i}`],
        spec: { clusterIP: `172.30.2.${i}`, ...(loadBalancerClass === undefined ? {} : { loadBalancerClass }) },
      }),
    ),
  );
  assert.deepEqual(
    world.lines.split('\n').filter((line) => line.startsWith('wild')),
    [
      ...[0, 1, 2].map((i) => `wild 172.30.2.${i} ClusterIP`),
      ...[0, 1, 2].map((i) => `wild 203.0.113.3${i} LoadBalancer`),
    ],
  );
  assert.equal(world.size('services4'), 10 + 6);
});

test('L16 wildcards switched off', () => {
  const objects = [
    node(),
    svc({ ingress: ['203.0.113.1'], spec: { ports: [tcp('http', 7000, 9000, 30150), tcp('tls', 7443, 9443, 30151)] } }),
    eps(['10.20.1.1', '10.20.1.2'], {
      ports: [
        { name: 'http', port: 9000 },
        { name: 'tls', port: 9443 },
      ],
    }),
  ];
  const world = new ControllerWorld({ ...KPR, 'bpf-lb-enable-wildcard-entries': false }, 'home').put(...objects);
  assert.ok(!world.lines.includes('wild'));
  assert.deepEqual([world.size('reverseNat4'), world.size('backends4')], [8, 4]);
});

test('L17 one port number, two protocols', () => {
  const tls = tcp('tls', 443, 9443, 30181);
  const world = new ControllerWorld(KPR, 'home').put(
    node(),
    svc({
      ingress: ['203.0.113.1'],
      spec: { ports: [tcp('web', 80, 9000, 30180), tls, as('UDP', { ...tls, name: 'dtls' })] },
    }),
    eps(['10.20.1.1', '10.20.1.2'], {
      ports: [
        { name: 'web', port: 9000 },
        { name: 'tls', port: 9443 },
        { name: 'dtls', port: 9443, protocol: 'UDP' },
      ],
    }),
  );
  assert.equal(world.lines.split('\n').filter((line) => line.startsWith('fe')).length, 12);
  assert.deepEqual([world.size('reverseNat4'), world.size('backends4')], [12, 6]);
  assert.notEqual(world.frontendIds['172.30.1.1:443/TCP'], world.frontendIds['172.30.1.1:443/UDP']);
  assert.notEqual(world.backendIds['10.20.1.1:9443'], world.backendIds['10.20.1.1:9443/UDP']);
});

test('L31 proxy delegation', () => {
  const world = new ControllerWorld(KPR, 'home').put(
    node(),
    svc({
      ingress: ['203.0.113.9'],
      annotations: {
        'service.cilium.io/type': 'LoadBalancer',
        'service.cilium.io/src-ranges-policy': 'allow',
        'service.cilium.io/proxy-delegation': 'delegate-if-local',
      },
      spec: {
        clusterIP: '',
        ports: [tcp('http', 80, 80)],
        externalTrafficPolicy: 'Local',
        internalTrafficPolicy: 'Local',
        loadBalancerSourceRanges: ['192.168.40.0/24'],
      },
    }),
    eps([on('home', '198.18.0.21'), ep('198.18.0.1'), on('east', '198.18.0.8')], {
      ports: [{ name: 'http', port: 80 }],
    }),
  );
  assert.equal(
    world.lines,
    expect(
      'fe 203.0.113.9:80/TCP LoadBalancer local ilocal src deleg : 198.18.0.1:80 198.18.0.21:80',
      'src 203.0.113.9:80/TCP : 192.168.40.0/24',
      'wild 203.0.113.9 LoadBalancer',
    ),
  );
  assert.deepEqual([world.size('reverseNat4'), world.size('backends4')], [1, 2]);
});

test('L36 scale to zero annotation', () => {
  const told = (value?: string): string =>
    balanced(30210, value === undefined ? {} : { annotations: { 'service.cilium.io/scale-to-zero': value } });
  const world = new ControllerWorld({ ...KPR, 'enable-scale-to-zero': true }).put(told(), eps(['10.20.1.1']));
  const lines = world.lines;
  const set = (): number[] => [...world.maps.scaleToZero].map(([key]) => key[0]! | (key[1]! << 8)).sort();
  const all = Object.values(world.frontendIds).sort();
  assert.deepEqual([all.length, set()], [3, []]);
  for (const [value, wanted] of [
    ['true', all],
    ['yes', []],
    ['true', all],
    [undefined, []],
  ] as const) {
    world.put(told(value));
    assert.deepEqual([set(), world.lines], [wanted, lines]);
  }
  world.put(told('true')).drop('Service web/store');
  assert.deepEqual([set(), world.lines], [[], '']);
  const off = new ControllerWorld().put(told('true'), eps(['10.20.1.1']));
  assert.equal(off.size('scaleToZero'), 0);
});

for (const [name, all, flag] of [
  ['L37 source ranges, default', false, ''],
  ['L38 source ranges on all types', true, ' src'],
] as const) {
  test(name, () => {
    const guarded = (policy?: string): string =>
      svc({
        ingress: ['203.0.113.1'],
        ...(policy === undefined ? {} : { annotations: { 'service.cilium.io/src-ranges-policy': policy } }),
        spec: { loadBalancerSourceRanges: ['10.64.0.0/10'] },
      });
    const rows = (deny: string): string =>
      expect(
        `fe ${CLUSTER} ClusterIP nr${flag}${all ? deny : ''} : ${B}`,
        `fe ${VIP} LoadBalancer src${deny} : ${B}`,
        `src ${CLUSTER} : 10.64.0.0/10`,
        `src ${VIP} : 10.64.0.0/10`,
        WILD,
        'wild 203.0.113.1 LoadBalancer',
      );
    const world = new ControllerWorld({ ...KPR, 'bpf.lbSourceRangeAllTypes': all }).put(guarded(), eps(['10.20.1.1']));
    assert.equal(world.lines, rows(''));
    world.put(guarded('deny'));
    assert.equal(world.lines, rows(' src-deny'));
    assert.deepEqual(
      world.writes.map(({ map }) => map),
      new Array(all ? 2 : 1).fill('weir_services4'),
    );
    assert.equal(world.put(guarded('allow')).lines, rows(''));
  });
}

test('L40 scope annotation', () => {
  const spec = { externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Cluster' };
  const world = new ControllerWorld(KPR, 'home').put(
    svc({ ingress: ['203.0.113.1'], spec }),
    eps([on('home', '10.20.1.1'), on('east', '10.20.2.1')]),
  );
  const [local, both] = ['10.20.1.1:9000/TCP', '10.20.1.1:9000/TCP 10.20.2.1:9000/TCP'];
  const outside = [`${CLUSTER} ClusterIP : ${both}`, `${VIP} LoadBalancer : ${local}`];
  assert.deepEqual(world.desired.frontends, [...outside, `${VIP}/i LoadBalancer : ${both}`]);
  world.take(svc({ ingress: ['203.0.113.1'], spec, annotations: { 'service.cilium.io/scope': 'external-only' } }));
  world.controller.settle();
  assert.deepEqual(world.desired.frontends, outside);
});

test('L41 type annotation', () => {
  const both = '10.20.1.1:9000/TCP 10.20.1.2:9000/TCP';
  const rows = {
    NodePort: `0.0.0.0:30220/TCP NodePort : ${both}`,
    ClusterIP: `${CLUSTER} ClusterIP : ${both}`,
    LoadBalancer: `${VIP} LoadBalancer : ${both}`,
  };
  const world = new ControllerWorld().put(balanced(30220), eps(['10.20.1.1', '10.20.1.2']));
  assert.deepEqual(world.desired.frontends, Object.values(rows));
  for (const type of ['LoadBalancer', 'NodePort', 'ClusterIP'] as const) {
    world.put(balanced(30220, { annotations: { 'service.cilium.io/type': type } }));
    assert.deepEqual(world.desired.frontends, [rows[type]]);
  }
  assert.deepEqual(world.put(balanced(30220)).desired.frontends, Object.values(rows));
});

test('L42 traffic policies', () => {
  const policies = (external: string): string =>
    svc({ ingress: ['203.0.113.1'], spec: { externalTrafficPolicy: external, internalTrafficPolicy: 'Local' } });
  const wilds = [WILD, 'wild 203.0.113.1 LoadBalancer'];
  const world = new ControllerWorld(KPR, 'home').put(
    policies('Local'),
    eps([on('home', '10.20.1.1'), on('east', '10.20.2.1')]),
  );
  assert.equal(
    world.lines,
    expect(`fe ${VIP} LoadBalancer local ilocal : ${B}`, `fe ${CLUSTER} ClusterIP nr local ilocal : ${B}`, ...wilds),
  );
  const ids = world.frontendIds;
  world.put(policies('Cluster'));
  assert.equal(
    world.lines,
    expect(
      `fe ${VIP} LoadBalancer ilocal two : ${B} 10.20.2.1:9000`,
      `fe ${VIP}/i LoadBalancer ilocal two : ${B}`,
      `fe ${CLUSTER} ClusterIP nr ilocal : ${B}`,
      ...wilds,
    ),
  );
  assert.equal(world.size('reverseNat4'), 3);
  for (const [name, id] of Object.entries(ids)) assert.equal(world.frontendIds[name], id, name);
});

test('two Services that claim one address: the older one keeps it, whatever the order; without an age the first by name', () => {
  const claim = (name: string, created?: string): string => {
    const service = JSON.parse(
      svc({ name, spec: { clusterIP: `172.30.1.${name.length}`, externalIPs: ['192.0.2.7'] } }),
    ) as {
      metadata: Record<string, unknown>;
    };
    if (created !== undefined) service.metadata['creationTimestamp'] = created;
    return JSON.stringify(service);
  };
  const owner = (world: ControllerWorld): string =>
    world.controller.frontendRows().find(({ address }) => address.startsWith('192.0.2.7'))!.service;
  const world = new ControllerWorld().put(claim('zz', '2026-01-01T00:00:00Z')).put(claim('a', '2026-01-02T00:00:00Z'));
  assert.equal(owner(world), 'web/zz');
  assert.match(
    world.controller
      .settle()
      .problems.map(({ message }) => message)
      .join(),
    /web\/a cannot have 192.0.2.7:7000\/TCP: Service web\/zz has it/,
  );
  assert.equal(owner(world.drop('Service web/zz')), 'web/a');
  assert.equal(owner(new ControllerWorld().put(claim('b')).put(claim('aaa'))), 'web/aaa');
});
