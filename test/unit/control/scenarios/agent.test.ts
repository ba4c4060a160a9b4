// What the agent's own reading of Services and slices adds to the scenarios: families that are off, ports and endpoints that name
// little, external IPs, host ports of pods that do not run, preferences beside traffic policies, annotations in other words.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ControllerWorld } from '../../../support/controller-world.ts';
import { ep, eps, node, on, pod, svc, tcp } from '../../../support/service-objects.ts';
import { expect, KPR } from '../../../support/service-scenario.ts';

const WILD = 'wild 172.30.1.1 ClusterIP';
const CLUSTER = '172.30.1.1:7000/TCP';
const VIP = '203.0.113.1:7000/TCP';
const B = '10.20.1.1:9000';
const LOCAL = { externalTrafficPolicy: 'Local' };

test('a family that is off has no frontends, no backends and no host ports, whatever Services ask for', () => {
  const dual = svc({
    ingress: ['203.0.113.1', 'fd00:9::1'],
    spec: {
      clusterIPs: ['172.30.1.1', 'fd00:1::1'],
      ipFamilies: ['IPv4', 'IPv6'],
      externalIPs: ['192.0.2.7', 'fd00:8::1'],
      ports: [tcp('http', 7000, 9000, 30100)],
    },
  });
  const twoPods = JSON.stringify({
    ...(JSON.parse(pod('p', '10.20.1.9', [{ containerPort: 80, hostPort: 7500 }])) as object),
    status: { phase: 'Running', podIP: '10.20.1.9', podIPs: [{ ip: '10.20.1.9' }, { ip: 'fd00:2::9' }] },
  });
  const objects = [
    node(['198.18.0.1', 'fd00:7::1']),
    dual,
    eps(['10.20.1.1']),
    eps(['fd00:2::1'], { six: true, name: 'six' }),
    twoPods,
  ];
  const four = [
    `fe 0.0.0.0:30100/TCP NodePort nr : ${B}`,
    `fe 198.18.0.1:30100/TCP NodePort : ${B}`,
    `fe 0.0.0.0:7500/TCP HostPort nr : 10.20.1.9:80`,
    `fe 198.18.0.1:7500/TCP HostPort : 10.20.1.9:80`,
    `fe ${CLUSTER} ClusterIP nr : ${B}`,
    `fe ${VIP} LoadBalancer : ${B}`,
    `fe 192.0.2.7:7000/TCP ExternalIPs : ${B}`,
    WILD,
    'wild 203.0.113.1 LoadBalancer',
  ];
  const off = new ControllerWorld({ ...KPR, 'ipv6.enabled': false }, 'home').put(...objects);
  assert.equal(off.lines, expect(...four));
  assert.deepEqual(off.desired.backends, ['10.20.1.1:9000/TCP', '10.20.1.9:80/TCP']);
  const other = new ControllerWorld({ ...KPR, 'ipv4.enabled': false, 'ipv6.enabled': true }, 'home').put(...objects);
  assert.equal(other.lines.includes('10.20.1.1'), false);
  assert.match(other.lines, /^fe \[fd00:1::1\]:7000\/TCP ClusterIP nr : \[fd00:2::1\]:9000$/m);
  assert.equal(
    new ControllerWorld({ ...KPR, 'ipv6.enabled': true }, 'home').put(...objects).size('services6') > 0,
    true,
  );
});

test('a family that only a load-balancer address or `ipFamilies` names is on, as the running control plane sees it, too', () => {
  const named = new ControllerWorld().put(svc(), svc({ name: 'six', ingress: ['fd00:9::1'], spec: { clusterIP: '' } }));
  assert.match(named.lines, /^fe \[fd00:9::1\]:7000\/TCP LoadBalancer :$/m);
  const port = { ipFamilies: ['IPv6'], type: 'NodePort', clusterIP: '', ports: [tcp('http', 7000, 9000, 30100)] };
  const asked = new ControllerWorld().put(svc({ name: 'six', spec: port }));
  assert.match(asked.lines, /^fe \[::\]:30100\/TCP NodePort nr :$/m);
  assert.equal(asked.drop('Service web/six').lines, '');
});

test('a slice port without a name is behind every Service port of its protocol, one with a name only behind that', () => {
  const two = svc({ spec: { ports: [tcp('http', 7000, 9000), tcp('adm', 7001, 9001)] } });
  const slice = (ports: Record<string, unknown>[]): string => eps(['10.20.1.1'], { ports });
  const both = new ControllerWorld().put(two, slice([{ port: 9000, protocol: 'TCP' }]));
  assert.equal(
    both.lines,
    expect(`fe ${CLUSTER} ClusterIP nr : ${B}`, `fe 172.30.1.1:7001/TCP ClusterIP nr : ${B}`, WILD),
  );
  const none = both.put(slice([{ port: 9000, protocol: 'UDP' }]));
  assert.equal(none.lines, expect(`fe ${CLUSTER} ClusterIP nr :`, 'fe 172.30.1.1:7001/TCP ClusterIP nr :', WILD));
  const named = both.put(slice([{ name: 'adm', port: 9001, protocol: 'TCP' }]));
  assert.equal(
    named.lines,
    expect(`fe ${CLUSTER} ClusterIP nr :`, 'fe 172.30.1.1:7001/TCP ClusterIP nr : 10.20.1.1:9001', WILD),
  );
});

test('an endpoint that names no node counts as local, for frontends and for health checks', () => {
  const service = svc({
    ingress: ['203.0.113.1'],
    spec: { ...LOCAL, internalTrafficPolicy: 'Local', healthCheckNodePort: 32001 },
  });
  const world = new ControllerWorld(KPR, 'home').put(node(), service, eps(['10.20.1.1', on('east', '10.20.2.1')]));
  assert.match(world.lines, /^fe 203\.0\.113\.1:7000\/TCP LoadBalancer local ilocal : 10\.20\.1\.1:9000$/m);
  assert.deepEqual(
    world.controller.healthChecks().map(({ localEndpoints }) => localEndpoints),
    [1],
  );
});

test('external IPs have the external scope alone, also where the traffic policies differ', () => {
  const service = svc({ ingress: ['203.0.113.1'], spec: { ...LOCAL, externalIPs: ['192.0.2.7'] } });
  const far = '10.20.2.1:9000';
  const world = new ControllerWorld(KPR, 'home').put(
    node(),
    service,
    eps([on('home', '10.20.1.1'), on('east', '10.20.2.1')]),
  );
  assert.equal(
    world.lines,
    expect(
      `fe 192.0.2.7:7000/TCP ExternalIPs local two : ${B}`,
      `fe ${VIP} LoadBalancer local two : ${B}`,
      `fe ${VIP}/i LoadBalancer local two : ${B} ${far}`,
      `fe ${CLUSTER} ClusterIP nr local : ${B} ${far}`,
      WILD,
      'wild 203.0.113.1 LoadBalancer',
    ),
  );
});

test('what the operator puts into slices of Ingress Services is no backend', () => {
  const dummy = eps(['192.192.192.192'], { ports: [{ name: 'http', port: 9999, protocol: 'TCP' }] });
  const world = new ControllerWorld().put(svc(), dummy);
  assert.equal(world.lines, expect(`fe ${CLUSTER} ClusterIP nr :`, WILD));
  assert.deepEqual(world.desired.backends, []);
  const real = eps(['192.192.192.192'], { ports: [{ name: 'http', port: 9998, protocol: 'TCP' }] });
  assert.match(world.put(real).lines, /: 192\.192\.192\.192:9998$/m);
});

test('affinity is for backends that are active: none for what stands in while it terminates', () => {
  const service = svc({ spec: { sessionAffinity: 'ClientIP' } });
  const fe = `fe ${CLUSTER} ClusterIP nr aff=10800s :`;
  const world = new ControllerWorld().put(service, eps(['10.20.1.1', ep('10.20.1.2', '0/1/1')]));
  const leaving = 'be 10.20.1.2:9000 terminating';
  assert.equal(world.lines, expect(`${fe} ${B} | 10.20.1.2:9000`, `aff ${CLUSTER} : ${B}`, leaving, WILD));
  assert.equal(world.put(eps([ep('10.20.1.2', '0/1/1')])).lines, expect(`${fe} 10.20.1.2:9000`, leaving, WILD));
  assert.equal(
    world.put(eps(['10.20.1.2'])).lines,
    expect(`${fe} 10.20.1.2:9000`, `aff ${CLUSTER} : 10.20.1.2:9000`, WILD),
  );
});

test('host ports are of pods that run', () => {
  const world = new ControllerWorld(KPR, 'home').put(node());
  const port = [{ containerPort: 80, hostPort: 7500 }];
  for (const [phase, rows] of [
    ['Pending', 0],
    ['Running', 2],
    ['Unknown', 2],
    ['Failed', 0],
  ] as const)
    assert.equal(
      world
        .put(pod('p', '10.20.1.9', port, { phase }))
        .lines.split('\n')
        .filter(Boolean).length,
      rows,
      phase,
    );
});

test('an internal policy Local switches preferences off; the older annotation counts where the newer field says nothing known', () => {
  const zone = node(undefined, { 'topology.kubernetes.io/zone': 'a' });
  const hinted = (address: string, name: string, on: string): object =>
    ep(address, '1/1/0', { nodeName: on, zone: name, hints: { forZones: [{ name }] } });
  const slice = eps([hinted('10.20.1.1', 'a', 'east') as never, hinted('10.20.1.2', 'b', 'home') as never]);
  const lines = (options: Parameters<typeof svc>[0]): string =>
    new ControllerWorld({ ...KPR, 'loadBalancer.serviceTopology': true }, 'home').put(zone, svc(options), slice).lines;
  const near = { ingress: ['203.0.113.1'], spec: { trafficDistribution: 'PreferClose' } };
  assert.match(lines(near), /LoadBalancer : 10\.20\.1\.1:9000$/m);
  const local = { ...near, spec: { ...near.spec, internalTrafficPolicy: 'Local' } };
  assert.match(lines(local), /LoadBalancer ilocal two : 10\.20\.1\.1:9000 10\.20\.1\.2:9000$/m);
  const auto = { 'service.kubernetes.io/topology-mode': 'Auto' };
  assert.match(
    lines({ spec: { trafficDistribution: 'Whatever' }, annotations: auto }),
    /ClusterIP nr : 10\.20\.1\.1:9000$/m,
  );
  assert.match(lines({ spec: { trafficDistribution: 'Whatever' } }), /nr : 10\.20\.1\.1:9000 10\.20\.1\.2:9000$/m);
});

test('annotations: capitals do not matter, the selector of nodes comes before the name of one', () => {
  const config = { ...KPR, 'bpf.lbModeAnnotation': true };
  const annotated = (annotations: Record<string, string>): string =>
    new ControllerWorld(config, 'home').put(
      node(undefined, { 'service.cilium.io/node': 'red', size: 'big' }),
      svc({ ingress: ['203.0.113.1'], annotations, spec: { loadBalancerSourceRanges: ['10.64.0.0/10'] } }),
      eps(['10.20.1.1']),
    ).lines;
  assert.match(annotated({ 'service.cilium.io/forwarding-mode': 'DSR' }), /LoadBalancer src dsr :/);
  assert.match(annotated({ 'service.cilium.io/src-ranges-policy': 'Deny' }), /LoadBalancer src src-deny :/);
  assert.match(annotated({ 'service.cilium.io/proxy-delegation': 'Delegate-If-Local' }), /LoadBalancer src deleg :/);
  const by = (selector: string, name: string): boolean =>
    annotated({ 'service.cilium.io/node-selector': selector, 'service.cilium.io/node': name }) !== '';
  assert.deepEqual([by('size=big', 'blue'), by('size=small', 'red'), by('', 'blue')], [true, false, true]);
});
