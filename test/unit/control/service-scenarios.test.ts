// Load-balancer scenarios: objects and options give exactly these tables. Names L… are those of the scenario collection that
// they restate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  KPR,
  MAGLEV,
  NODE,
  service,
  shop,
  AFFINE,
  endpoint,
  slice,
  one,
  compiler,
  lines,
  expect,
} from '../../support/service-scenario.ts';
import { backendIds, frontendIds, serviceLines } from '../../support/service-view.ts';

test('L01 ClusterIP life cycle with affinity', () => {
  const compile = compiler();
  const [svc] = [shop(AFFINE)];
  const first = compile(svc, one);
  const full = expect(
    'fe 172.20.7.10:8000/TCP ClusterIP nr aff=75s : 10.61.1.4:8080',
    'aff 172.20.7.10:8000/TCP : 10.61.1.4:8080',
    'wild 172.20.7.10 ClusterIP',
  );
  assert.equal(lines(first), full);
  compile();
  const second = compile(svc, one);
  assert.equal(lines(second), full);
  assert.notDeepEqual(frontendIds(second), frontendIds(first));
  assert.notDeepEqual(backendIds(second), backendIds(first));
  const third = compile(
    svc,
    slice(
      'shop-1',
      ['10.61.1.4', '10.61.1.5', '10.61.1.6'].map((a) => endpoint(a)),
    ),
  );
  assert.equal(
    lines(third),
    expect(
      'fe 172.20.7.10:8000/TCP ClusterIP nr aff=75s : 10.61.1.4:8080 10.61.1.5:8080 10.61.1.6:8080',
      ...[4, 5, 6].map((i) => `aff 172.20.7.10:8000/TCP : 10.61.1.${i}:8080`),
      'wild 172.20.7.10 ClusterIP',
    ),
  );
  assert.deepEqual(frontendIds(third), frontendIds(second));
  assert.equal(backendIds(third)['10.61.1.4:8080'], backendIds(second)['10.61.1.4:8080']);
  const fourth = compile(svc);
  assert.equal(lines(fourth), expect('fe 172.20.7.10:8000/TCP ClusterIP nr aff=75s :', 'wild 172.20.7.10 ClusterIP'));
  assert.deepEqual(frontendIds(fourth), frontendIds(second));
  assert.equal(fourth.maps.reverseNat4.size, 1);
  const fifth = compile(svc, one);
  assert.equal(lines(fifth), full);
  assert.deepEqual(frontendIds(fifth), frontendIds(second));
  assert.notEqual(backendIds(fifth)['10.61.1.4:8080'], backendIds(third)['10.61.1.4:8080']);
  assert.equal(lines(compile()), '');
});

test('L02 ClusterIP reachable from outside, Maglev and affinity', () => {
  const compiled = compiler(MAGLEV)(shop(AFFINE), slice('shop-1', [endpoint('10.61.1.4'), endpoint('10.61.1.5')]));
  assert.equal(
    lines(compiled),
    expect(
      'fe 172.20.7.10:8000/TCP ClusterIP aff=75s : 10.61.1.4:8080 10.61.1.5:8080',
      'aff 172.20.7.10:8000/TCP : 10.61.1.4:8080',
      'aff 172.20.7.10:8000/TCP : 10.61.1.5:8080',
      'maglev 172.20.7.10:8000/TCP : 10.61.1.4:8080=511 10.61.1.5:8080=510',
      'wild 172.20.7.10 ClusterIP',
    ),
  );
});

test('L02 a ClusterIP that is not reachable from outside has no Maglev table; a single backend has all of one', () => {
  const two = slice('shop-1', [endpoint('10.61.1.4'), endpoint('10.61.1.5')]);
  assert.equal(compiler({ ...MAGLEV, 'bpf.lbExternalClusterIP': false })(shop(), two).maps.maglev4.size, 0);
  assert.ok(lines(compiler(MAGLEV)(shop(), one)).includes('maglev 172.20.7.10:8000/TCP : 10.61.1.4:8080=1021'));
  assert.equal(compiler(MAGLEV)(shop()).maps.maglev4.size, 0);
});

test('L03 ExternalIPs switched off', () => {
  const svc = shop(', externalIPs: [192.0.2.77]');
  const off = compiler({ ...KPR, 'enable-external-ips': false })(svc, one);
  assert.equal(
    lines(off),
    expect('fe 172.20.7.10:8000/TCP ClusterIP nr : 10.61.1.4:8080', 'wild 172.20.7.10 ClusterIP'),
  );
  const on = compiler()(svc, one);
  assert.ok(lines(on).includes('fe 192.0.2.77:8000/TCP ExternalIPs : 10.61.1.4:8080'));
});

test('L05 slice weights and maintenance', () => {
  const compile = compiler(MAGLEV);
  const svc = service(
    'shop',
    '{type: ClusterIP, clusterIP: 172.20.7.10, clusterIPs: [172.20.7.10], ports: [{port: 8090, protocol: TCP}]}',
  );
  const ports = '[{name: web, port: 8090, protocol: TCP}]';
  const a = (weight: number): string =>
    slice(
      'shop-a',
      ['10.61.2.12', '10.61.2.13'].map((x) => endpoint(x)),
      { ports, weight },
    );
  const b = slice(
    'shop-b',
    ['10.61.2.22', '10.61.2.23'].map((x) => endpoint(x)),
    { ports, weight: 30 },
  );
  assert.equal(
    lines(compile(svc, a(70), b)),
    expect(
      'fe 172.20.7.10:8090/TCP ClusterIP : 10.61.2.12:8090 10.61.2.13:8090 10.61.2.22:8090 10.61.2.23:8090',
      'maglev 172.20.7.10:8090/TCP : 10.61.2.12:8090=358 10.61.2.13:8090=357 10.61.2.22:8090=153 10.61.2.23:8090=153',
      'wild 172.20.7.10 ClusterIP',
    ),
  );
  assert.equal(
    lines(compile(svc, a(0), b)),
    expect(
      'fe 172.20.7.10:8090/TCP ClusterIP : 10.61.2.22:8090 10.61.2.23:8090',
      'be 10.61.2.12:8090 maintenance',
      'be 10.61.2.13:8090 maintenance',
      'maglev 172.20.7.10:8090/TCP : 10.61.2.22:8090=511 10.61.2.23:8090=510',
      'wild 172.20.7.10 ClusterIP',
    ),
  );
});

test('L06 headless Services have nothing', () => {
  const compile = compiler();
  const none = service(
    'shop',
    '{type: ClusterIP, clusterIP: None, ports: [{name: web, port: 8000, targetPort: 8080}]}',
  );
  assert.equal(lines(compile(none, one)), '');
  assert.equal(
    lines(compile(shop(), one)),
    expect('fe 172.20.7.10:8000/TCP ClusterIP nr : 10.61.1.4:8080', 'wild 172.20.7.10 ClusterIP'),
  );
  const labelled = shop().replace('namespace: lab}', 'namespace: lab, labels: {service.kubernetes.io/headless: ""}}');
  assert.equal(lines(compile(labelled, one)), '');
  const named = service('shop', '{type: ExternalName, externalName: example.org}');
  assert.equal(lines(compile(named, one)), '');
});

test('L19 a backend that moves between slices stays', () => {
  const compile = compiler();
  const before = compile(shop(), slice('shop-a', [endpoint('10.61.1.4')]));
  const after = compile(shop(), slice('shop-b', [endpoint('10.61.1.4'), endpoint('10.61.1.5')]));
  assert.ok(lines(after).includes(': 10.61.1.4:8080 10.61.1.5:8080'));
  assert.equal(backendIds(after)['10.61.1.4:8080'], backendIds(before)['10.61.1.4:8080']);
});

test('L20 many slices are one list in address order', () => {
  const slices = ['a', 'b', 'c'].map((name, i) =>
    slice(
      `shop-${name}`,
      [3, 1, 2].map((j) => endpoint(`10.61.${i + 1}.${j}`)),
    ),
  );
  const wanted = [1, 2, 3].flatMap((i) => [1, 2, 3].map((j) => `10.61.${i}.${j}:8080`)).join(' ');
  assert.ok(
    lines(compiler()(shop(), ...slices.reverse())).includes(`fe 172.20.7.10:8000/TCP ClusterIP nr : ${wanted}`),
  );
  const twice = lines(compiler()(shop(), one, slice('shop-2', [endpoint('10.61.1.4')])));
  assert.ok(twice.includes('fe 172.20.7.10:8000/TCP ClusterIP nr : 10.61.1.4:8080\n'));
});

test('L43 graceful termination', () => {
  const compile = compiler(MAGLEV);
  const svc = service(
    'shop',
    '{type: ClusterIP, clusterIP: 172.20.7.10, clusterIPs: [172.20.7.10], ports: [{port: 8090, protocol: TCP}]}',
  );
  const ports = '[{name: "", port: 8090, protocol: TCP}]';
  const step = (a: string, b: string): string => {
    const compiled = compile(svc, slice('shop-1', [endpoint('10.61.5.12', a), endpoint('10.61.5.13', b)], { ports }));
    assert.deepEqual(backendIds(compiled), { '10.61.5.12:8090': 1, '10.61.5.13:8090': 2 });
    return serviceLines(compiled)
      .filter((line) => !line.startsWith('wild'))
      .join('\n')
      .replaceAll('172.20.7.10:8090/TCP', 'F')
      .replaceAll('10.61.5.12:8090', 'a')
      .replaceAll('10.61.5.13:8090', 'b');
  };
  const both = expect('fe F ClusterIP : a b', 'maglev F : a=511 b=510');
  assert.equal(step('1/1/0', '1/1/0'), both);
  assert.equal(step('0/1/1', '1/1/0'), expect('be a terminating', 'fe F ClusterIP : b | a', 'maglev F : b=1021'));
  assert.equal(
    step('0/1/1', '0/1/1'),
    expect('be a terminating', 'be b terminating', 'fe F ClusterIP : a b', 'maglev F : a=511 b=510'),
  );
  assert.equal(
    step('0/1/1', '0/0/1'),
    expect('be a terminating', 'be b terminating', 'fe F ClusterIP : a | b', 'maglev F : a=1021'),
  );
  assert.equal(step('0/0/0', '1/0/1'), expect('be a maintenance', 'fe F ClusterIP : b', 'maglev F : b=1021'));
  assert.equal(step('1/1/0', '1/0/0'), both);
});

test('publishNotReadyAddresses makes every address active', () => {
  const idle = slice('shop-1', [endpoint('10.61.1.4', '0/0/0')]);
  assert.ok(lines(compiler()(shop(), idle)).includes('fe 172.20.7.10:8000/TCP ClusterIP nr :\n'));
  assert.ok(
    lines(compiler()(shop(', publishNotReadyAddresses: true'), idle)).includes('ClusterIP nr : 10.61.1.4:8080'),
  );
});

test('Endpoints stand in where there is no slice; not ready ones are in maintenance', () => {
  const endpoints =
    '{apiVersion: v1, kind: Endpoints, metadata: {name: shop, namespace: lab}, subsets: [{addresses: [{ip: 10.61.1.9}], notReadyAddresses: [{ip: 10.61.1.10}], ports: [{name: web, port: 8080}]}]}';
  const alone = lines(compiler()(shop(), endpoints));
  assert.ok(alone.includes('ClusterIP nr : 10.61.1.9:8080'));
  assert.ok(alone.includes('be 10.61.1.10:8080 maintenance'));
  assert.ok(lines(compiler()(shop(), endpoints, one)).includes('ClusterIP nr : 10.61.1.4:8080'));
});

test('equal backends share one Maglev table, kept from compile to compile', () => {
  const compile = compiler({ ...KPR, 'loadBalancer.algorithm': 'maglev' });
  const documents = [
    NODE,
    `{apiVersion: v1, kind: Service, metadata: {name: shop, namespace: lab}, spec: {type: NodePort, clusterIP: 172.20.7.10, externalIPs: [192.0.2.1], ports: [{name: web, nodePort: 30190, port: 8000, targetPort: 8080}]}}`,
    slice('shop-1', [endpoint('10.61.1.4'), endpoint('10.61.1.5')]),
  ];
  const first = compile(...documents).maps.maglev4;
  assert.equal(first.size, 2);
  assert.equal(first.keptAt(0), first.keptAt(1));
  assert.equal(compile(...documents).maps.maglev4.keptAt(0), first.keptAt(0));
  assert.equal(first.spec.innerEntries, 1021);
});
