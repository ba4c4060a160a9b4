// Load-balancer scenarios that reach beyond ClusterIPs: objects and options give exactly these tables. Names L… are those of the scenario collection that
// they restate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Config } from '../../../src/control/config/index.ts';
import {
  KPR,
  NODE,
  shop,
  endpoint,
  slice,
  one,
  compiler,
  lines,
  expect,
  INGRESS,
  balanced,
  tap,
} from '../../support/service-scenario.ts';
import { frontendIds, serviceLines } from '../../support/service-view.ts';

test('L04 source ranges also guard ExternalIPs, L37 and load-balancer addresses', () => {
  const compile = compiler();
  const ranges = ', externalIPs: [192.0.2.77], loadBalancerSourceRanges: [10.128.0.0/9]';
  assert.equal(
    lines(compile(balanced(ranges), one)),
    expect(
      'fe 172.20.7.10:8000/TCP ClusterIP nr : 10.61.1.4:8080',
      'fe 203.0.113.20:8000/TCP LoadBalancer src : 10.61.1.4:8080',
      'fe 192.0.2.77:8000/TCP ExternalIPs src : 10.61.1.4:8080',
      'src 172.20.7.10:8000/TCP : 10.128.0.0/9',
      'src 203.0.113.20:8000/TCP : 10.128.0.0/9',
      'src 192.0.2.77:8000/TCP : 10.128.0.0/9',
      'wild 172.20.7.10 ClusterIP',
      'wild 203.0.113.20 LoadBalancer',
    ),
  );
  const deny = lines(compile(balanced(ranges, ', annotations: {service.cilium.io/src-ranges-policy: deny}'), one));
  assert.ok(deny.includes('fe 203.0.113.20:8000/TCP LoadBalancer src src-deny : 10.61.1.4:8080'));
  assert.ok(deny.includes('fe 172.20.7.10:8000/TCP ClusterIP nr : 10.61.1.4:8080'));
});

test('L14 load balancer, node port and ipMode', () => {
  const compile = compiler();
  const svc = (status: string): string =>
    balanced('', '', status).replace('{name: web, port', '{name: web, nodePort: 30140, port');
  const backends = slice('shop-1', [endpoint('10.61.1.4'), endpoint('10.61.1.5')]);
  const nodePort = [
    'fe 0.0.0.0:30140/TCP NodePort nr : 10.61.1.4:8080 10.61.1.5:8080',
    'fe 198.51.100.7:30140/TCP NodePort : 10.61.1.4:8080 10.61.1.5:8080',
    'fe 172.20.7.10:8000/TCP ClusterIP nr : 10.61.1.4:8080 10.61.1.5:8080',
    'wild 172.20.7.10 ClusterIP',
  ];
  assert.equal(
    lines(compile(NODE, svc(INGRESS), backends)),
    expect(
      ...nodePort,
      'fe 203.0.113.20:8000/TCP LoadBalancer : 10.61.1.4:8080 10.61.1.5:8080',
      'wild 203.0.113.20 LoadBalancer',
    ),
  );
  const proxied = 'status: {loadBalancer: {ingress: [{ip: 203.0.113.20, ipMode: Proxy}]}}';
  assert.equal(lines(compile(NODE, svc(proxied), backends)), expect(...nodePort));
});

test('L15 wildcards depend on the load-balancer class', () => {
  const compile = compiler();
  const wild = (kind: string): string[] =>
    serviceLines(compile(balanced(kind === '' ? '' : `, loadBalancerClass: ${kind}`), one)).filter((line) =>
      line.startsWith('wild'),
    );
  const both = ['wild 172.20.7.10 ClusterIP', 'wild 203.0.113.20 LoadBalancer'];
  assert.deepEqual(
    ['', 'io.cilium/bgp-control-plane', 'io.cilium/l2-announcer', 'io.cilium/node', 'example.org/lb'].map(wild),
    [both, both, both, [], []],
  );
});

test('L16 wildcards switched off', () => {
  const compiled = compiler({ ...KPR, 'bpf-lb-enable-wildcard-entries': false })(balanced(), one);
  assert.equal(lines(compiled).includes('wild'), false);
});

test('L17 one port number, two protocols', () => {
  const svc = `{apiVersion: v1, kind: Service, metadata: {name: shop, namespace: lab}, spec: {type: LoadBalancer, clusterIP: 172.20.7.10, clusterIPs: [172.20.7.10], ports: [{name: web, nodePort: 30180, port: 80, protocol: TCP, targetPort: 8080}, {name: tls, nodePort: 30181, port: 443, protocol: TCP, targetPort: 9443}, {name: dtls, nodePort: 30181, port: 443, protocol: UDP, targetPort: 9443}]}, ${INGRESS}}`;
  const ports =
    '[{name: web, port: 8080, protocol: TCP}, {name: tls, port: 9443, protocol: TCP}, {name: dtls, port: 9443, protocol: UDP}]';
  const compiled = compiler()(NODE, svc, slice('shop-1', [endpoint('10.61.1.4'), endpoint('10.61.1.5')], { ports }));
  const ids = frontendIds(compiled);
  assert.equal(Object.keys(ids).length, 12);
  assert.equal(compiled.maps.reverseNat4.size, 12);
  assert.notEqual(ids['172.20.7.10:443/TCP'], ids['172.20.7.10:443/UDP']);
  assert.equal(compiled.maps.backends4.size, 6);
  assert.deepEqual(
    serviceLines(compiled).filter((line) => line.startsWith('wild')),
    ['wild 172.20.7.10 ClusterIP', 'wild 203.0.113.20 LoadBalancer'],
  );
});

test('L24 Maglev by annotation, default random', () => {
  const compiled = compiler({ ...KPR, 'bpf.lbAlgorithmAnnotation': true })(
    NODE,
    tap('', 'tap', 71, 30190),
    tap(', annotations: {service.cilium.io/lb-algorithm: maglev}', 'tide', 72, 30191),
    slice(
      'tap-1',
      [1, 2, 3, 4].map((i) => endpoint(`10.61.1.${i}`)),
      { of: 'tap' },
    ),
    slice(
      'tide-1',
      [1, 2, 3, 4].map((i) => endpoint(`10.61.2.${i}`)),
      { of: 'tide' },
    ),
  );
  const all = serviceLines(compiled);
  assert.equal(all.filter((line) => line.includes('alg=2')).length, 3);
  const share = '10.61.2.1:8080=256 10.61.2.2:8080=255 10.61.2.3:8080=255 10.61.2.4:8080=255';
  assert.deepEqual(
    all.filter((line) => line.startsWith('maglev')),
    [`maglev 172.20.7.72:8000/TCP : ${share}`, `maglev 198.51.100.7:30191/TCP : ${share}`],
  );
});

test('L25 a load balancer cannot take a node port of a node address', () => {
  const wide = `{apiVersion: v1, kind: Service, metadata: {name: wide, namespace: lab}, spec: {type: LoadBalancer, clusterIP: 172.20.7.73, clusterIPs: [172.20.7.73], ports: [{name: web, port: 30190, protocol: TCP, targetPort: 30190}]}, status: {loadBalancer: {ingress: [{ip: 198.51.100.7}]}}}`;
  const compiled = compiler()(
    NODE,
    tap('', 'tap', 71, 30190),
    slice('tap-1', [endpoint('10.61.1.4')], { of: 'tap' }),
    wide,
    slice('wide-1', [endpoint('10.61.1.5')], { of: 'wide', ports: '[{name: web, port: 30190, protocol: TCP}]' }),
  );
  assert.ok(lines(compiled).includes('fe 198.51.100.7:30190/TCP NodePort : 10.61.1.4:8080'));
  assert.equal(lines(compiled).includes('198.51.100.7:30190/TCP LoadBalancer'), false);
  assert.match(compiled.problems.map((p) => p.message).join(), /lab\/wide cannot have 198.51.100.7:30190/);
});

test('L26 dual stack with Maglev', () => {
  const node = NODE.replace('[{type', "[{type: InternalIP, address: 'fd77:0:3::7'}, {type");
  const svc = `{apiVersion: v1, kind: Service, metadata: {name: shop, namespace: lab}, spec: {type: NodePort, clusterIP: 172.20.7.81, clusterIPs: [172.20.7.81, 'fd77:0:1::51'], ports: [{name: web, nodePort: 30201, port: 80, protocol: TCP, targetPort: 8080}, {name: boot, nodePort: 30202, port: 69, protocol: UDP, targetPort: 6969}], ipFamilies: [IPv4, IPv6], ipFamilyPolicy: RequireDualStack}}`;
  const ports = '[{name: web, port: 8080, protocol: TCP}, {name: boot, port: 6969, protocol: UDP}]';
  const four = slice('shop-4', [endpoint('10.61.2.9'), endpoint('10.61.1.54')], { ports });
  const six = slice('shop-6', [endpoint('fd77:0:9:2::a3'), endpoint('fd77:0:9:1::24')], { ports, type: 'IPv6' });
  const compiled = compiler({ ...KPR, 'loadBalancer.algorithm': 'maglev' })(node, svc, four, six);
  const all = serviceLines(compiled);
  assert.equal(all.filter((line) => line.startsWith('fe ')).length, 12);
  assert.ok(all.includes('fe 198.51.100.7:30201/TCP NodePort : 10.61.1.54:8080 10.61.2.9:8080'));
  assert.ok(all.includes('fe [::]:30202/UDP NodePort nr : [fd77:0:9:1::24]:6969 [fd77:0:9:2::a3]:6969'));
  const tables = all.filter((line) => line.startsWith('maglev'));
  assert.deepEqual(tables.map((line) => line.split(' ')[1]).sort(), [
    '198.51.100.7:30201/TCP',
    '198.51.100.7:30202/UDP',
    '[fd77:0:3::7]:30201/TCP',
    '[fd77:0:3::7]:30202/UDP',
  ]);
  assert.ok(
    tables.every((line) => /=511 .*=510$/.test(line)),
    tables.join('\n'),
  );
  const without = serviceLines(compiler(KPR)(node, svc, four));
  assert.ok(without.includes('fe [fd77:0:1::51]:80/TCP ClusterIP nr :'));
});

test('L42 traffic policies on a node', () => {
  const compile = compiler(KPR, 'n-home');
  const policies = (external: string, internal: string): string =>
    `, externalTrafficPolicy: ${external}, internalTrafficPolicy: ${internal}`;
  const backends = slice('shop-1', [
    endpoint('10.61.1.4', '1/1/0', 'n-home'),
    endpoint('10.61.2.4', '1/1/0', 'n-east'),
  ]);
  const node = NODE.replace('198.51.100.7', '198.51.100.8');
  const rows = (external: string, internal: string): string =>
    serviceLines(compile(node, balanced(policies(external, internal)), backends))
      .filter((line) => line.startsWith('fe'))
      .join('\n');
  assert.equal(
    rows('Local', 'Local'),
    expect(
      'fe 203.0.113.20:8000/TCP LoadBalancer local ilocal : 10.61.1.4:8080',
      'fe 172.20.7.10:8000/TCP ClusterIP nr local ilocal : 10.61.1.4:8080',
    ),
  );
  assert.equal(
    rows('Cluster', 'Local'),
    expect(
      'fe 203.0.113.20:8000/TCP LoadBalancer ilocal two : 10.61.1.4:8080 10.61.2.4:8080',
      'fe 203.0.113.20:8000/TCP/i LoadBalancer ilocal two : 10.61.1.4:8080',
      'fe 172.20.7.10:8000/TCP ClusterIP nr ilocal : 10.61.1.4:8080',
    ),
  );
  assert.equal(
    rows('Local', 'Cluster'),
    expect(
      'fe 203.0.113.20:8000/TCP LoadBalancer local two : 10.61.1.4:8080',
      'fe 203.0.113.20:8000/TCP/i LoadBalancer local two : 10.61.1.4:8080 10.61.2.4:8080',
      'fe 172.20.7.10:8000/TCP ClusterIP nr local : 10.61.1.4:8080 10.61.2.4:8080',
    ),
  );
});

test('L13 without kube-proxy replacement ClusterIPs and ExternalIPs remain, node ports and load balancers do not', () => {
  const svc = balanced(', externalIPs: [192.0.2.77]').replace('{name: web, port', '{name: web, nodePort: 30140, port');
  const types = serviceLines(compiler({})(NODE, svc, one)).map((line) => line.split(' ')[2]);
  assert.deepEqual([...new Set(types)].sort(), ['ClusterIP', 'ExternalIPs']);
});

test('two Services that claim one address and port: the first by name has it, and that is said', () => {
  const twin = shop().replace('name: shop', 'name: abc');
  const compiled = compiler()(shop(), twin, slice('abc-1', [endpoint('10.61.1.7')], { of: 'abc' }), one);
  assert.ok(lines(compiled).includes('fe 172.20.7.10:8000/TCP ClusterIP nr : 10.61.1.7:8080'));
  assert.match(
    compiled.problems.map((p) => p.message).join(),
    /lab\/shop cannot have 172.20.7.10:8000\/TCP: Service lab\/abc has it/,
  );
});

test('what is not honoured is said', () => {
  const said = (text: string, changes?: Partial<Config>): string =>
    compiler(changes)(text)
      .problems.map((p) => p.message)
      .join('\n');
  assert.match(said(shop(', selector: {app: shop}')), /no EndpointSlice or Endpoints object tells its backends/);
  assert.match(
    said(shop().replace('namespace: lab}', 'namespace: lab, annotations: {service.cilium.io/lb-algorithm: maglev}}')),
    /annotation service.cilium.io\/lb-algorithm, but bpf.lbAlgorithmAnnotation is off/,
  );
  assert.match(said(shop(', internalTrafficPolicy: Local')), /traffic policy Local/);
  const global = shop().replace('namespace: lab}', 'namespace: lab, annotations: {service.cilium.io/global: "true"}}');
  assert.match(said(global), /annotation service.cilium.io\/global, which is not honoured/);
  const pod =
    '{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: lab}, spec: {containers: [{name: c, ports: [{containerPort: 80, hostPort: 30444}]}]}, status: {podIP: 10.61.1.113}}';
  assert.match(said(pod), /hostPort 30444 is in the range of node ports/);
});
