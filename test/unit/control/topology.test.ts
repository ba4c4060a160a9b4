// topology.yaml and what becomes of it: problems with their places, routes and neighbours in the maps, order of precedence.
// Input: texts, the small cluster of the replay tests. Output: decoded entries.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Compiled, Compiler } from '../../../src/control/compile.ts';
import { diff } from '../../../src/control/diff.ts';
import { formatAddress } from '../../../src/control/manifest/index.ts';
import { formatProblem, readManifests, resolveConfig } from '../../../src/control/index.ts';
import { readTopology, type Topology } from '../../../src/control/topology.ts';
import {
  neighbourKey4,
  neighbourKey6,
  neighbourValue,
  routeKey4,
  routeKey6,
  routeValue,
} from '../../../src/schema/index.ts';
import { CLUSTER } from '../../support/replay-world.ts';

const ETH0 = `
interfaces:
- { name: eth0, ifindex: 2, mac: 02:00:00:00:00:01, mtu: 1500, addresses: [192.168.0.1/24, "fd0a::1/64"] }
`;

function topologyOf(text: string): Topology {
  const { topology, problems } = readTopology(text, 't.yaml');
  assert.deepEqual(problems, []);
  return topology!;
}
const problemsOf = (text: string): string[] => {
  const { topology, problems } = readTopology(text, 't.yaml');
  assert.equal(topology, undefined);
  return problems.map(formatProblem);
};

describe('reading', () => {
  test('a whole one', () => {
    const { node, interfaces, routes, neighbours } = topologyOf(`node: n1${ETH0}
routes:
- { to: 0.0.0.0/0, via: 192.168.0.254 }
- { to: 198.51.100.0/24, interface: eth0, mtu: 1400 }
- { to: 203.0.113.0/24, type: tunnel }
neighbours:
- { address: 192.168.0.254, interface: eth0, mac: 02:00:00:00:00:FE }
`);
    assert.equal(node, 'n1');
    assert.deepEqual(
      interfaces.map(({ name, ifindex, mtu, addresses }) => [
        name,
        ifindex,
        mtu,
        addresses.map(({ address, prefix }) => `${address.text} in ${prefix.text}`),
      ]),
      [['eth0', 2, 1500, ['192.168.0.1 in 192.168.0.0/24', 'fd0a::1 in fd0a::/64']]],
    );
    assert.deepEqual(
      routes.map(({ to, via, type, mtu, interface: through }) => [to.text, via?.text, type, mtu, through?.name]),
      [
        ['0.0.0.0/0', '192.168.0.254', 'unicast', 1500, 'eth0'],
        ['198.51.100.0/24', undefined, 'unicast', 1400, 'eth0'],
        ['203.0.113.0/24', undefined, 'tunnel', 0, undefined],
      ],
    );
    assert.deepEqual(neighbours[0]!.mac, Uint8Array.of(2, 0, 0, 0, 0, 0xfe));
  });
  test('JSON reads alike', () => {
    assert.equal(topologyOf('{"interfaces":[{"name":"a","ifindex":1}]}').interfaces[0]!.mtu, 0);
  });
  test('every problem is told, in the order of the text, with its place', () => {
    assert.deepEqual(
      problemsOf(`nodes: n1
interfaces:
- { name: eth0, ifindex: 0, mac: 02:00:00:00:00, mut: 9 }
- { name: eth1, ifindex: 3, mac: 01:00:5e:00:00:01, mtu: 67, addresses: [10.0.0.1] }
- { name: eth1, ifindex: 4 }
- { name: eth2, ifindex: 3, mac: 00:00:00:00:00:00 }
routes:
- { to: 10.0.0.0/8, interface: eth9 }
- { to: 10.1.0.0/16, via: "fd00::1", interface: eth1 }
- { to: 10.2.0.0/16 }
- { to: 10.3.0.0/16, via: 10.4.4.4 }
- { via: 10.4.4.4, interface: eth1 }
- { to: 10.5.0.0/16, interface: eth1, type: local }
- { to: 10.6.0.0/16, interface: eth1, type: blackhole }
- 7
neighbours:
- { address: 10.0.0.9, mac: 02:00:00:00:00:09 }
- { address: 10.0.0.9, interface: eth1, mac: 02:00:00:00:00:09 }
- { address: 10.0.0.9, interface: eth1, mac: 02:00:00:00:00:0a }
`),
      [
        't.yaml:1:1: nodes: unknown key (did you mean node?)',
        't.yaml:3:26: interfaces[0].ifindex: 0 is not in 1–100',
        't.yaml:3:34: interfaces[0].mac: expected six bytes like 02:00:5e:10:00:01',
        't.yaml:3:50: interfaces[0].mut: unknown key (did you mean mtu?)',
        't.yaml:4:34: interfaces[1].mac: 01:00:5e:00:00:01 is a group’s address',
        't.yaml:4:58: interfaces[1].mtu: 67 is not in 68–65535',
        't.yaml:4:74: interfaces[1].addresses[0]: "10.0.0.1" is not a CIDR: it has no /length',
        't.yaml:5:3: interfaces[2]: "eth1" is there already',
        't.yaml:6:3: interfaces[3]: ifindex 3 is eth1’s',
        't.yaml:6:34: interfaces[3].mac: all zero is no station',
        't.yaml:8:32: routes[0].interface: no interface is named "eth9" (did you mean eth1?)',
        't.yaml:9:27: routes[1].via: fd00::1 is no IPv4 address',
        't.yaml:10:3: routes[2]: interface: required',
        't.yaml:11:3: routes[3]: interface: required, since no interface has 10.4.4.4 on link',
        't.yaml:12:3: routes[4].to: required',
        't.yaml:13:33: routes[5].interface: a local route has none',
        't.yaml:14:45: routes[6].type: "blackhole" is not one of unicast, local, tunnel',
        't.yaml:15:3: routes[7]: expected an object, got number',
        't.yaml:17:3: neighbours[0].interface: required',
        't.yaml:19:3: neighbours[2]: 10.0.0.9 on eth1 is there already',
      ],
    );
  });
  test('files that are none', () => {
    assert.match(problemsOf('')[0]!, /^t\.yaml:1:1: the file is empty/);
    assert.match(problemsOf('[]')[0]!, /expected an object, got list/);
    assert.match(problemsOf('node: n1')[0]!, /interfaces: required/);
    assert.match(problemsOf(`${ETH0}---\nnode: n2\n`)[0]!, /second one/);
    assert.match(problemsOf('interfaces: {')[0]!, /^t\.yaml:/);
    assert.match(
      problemsOf('__proto__: 1\ninterfaces: []\n')[0]!,
      /^t\.yaml:1:1: __proto__: unknown key; known are node/,
    );
    assert.match(
      problemsOf(
        'interfaces:\n- { name: a, ifindex: 1, addresses: [10.0.0.1/8] }\n- { name: b, ifindex: 2, addresses: [10.1.1.1/8] }',
      )[0]!,
      /^t\.yaml:3:38: .*10\.0\.0\.0\/8 is on link at a already/,
    );
  });
  test('no more than a hundred problems are listed, the rest is counted', () => {
    const problems = problemsOf(`interfaces: [{ name: a, ifindex: 1 }]\nroutes:\n${'- 7\n'.repeat(150)}`);
    assert.equal(problems.length, 101);
    assert.match(problems[100]!, /50 more problems/);
  });
});

function compiledFor(node: string | undefined, text: string | undefined, sets: readonly string[] = []): Compiled {
  const { state } = readManifests([{ file: 'c.yaml', text: CLUSTER }]);
  const compiler = new Compiler(resolveConfig({ sets }).config, {
    ...(node === undefined ? {} : { node }),
    ...(text === undefined ? {} : { topology: topologyOf(text) }),
  });
  const compiled = compiler.compile(state!);
  assert.deepEqual(
    compiled.problems.filter(({ severity }) => severity === 'error'),
    [],
  );
  assert.equal(text !== undefined && compiler.plane() !== undefined, false);
  return compiled;
}
const four = (number: number): string =>
  formatAddress(Uint8Array.of(number >>> 24, number >>> 16, number >>> 8, number));
function routesOf({ maps }: Compiled): Record<string, string> {
  const found: Record<string, string> = {};
  const say = (to: string, length: number, value: Uint8Array, bytes: number): void => {
    const { ifindex, mtu, flags, gateway } = routeValue.decode(value);
    const hop = formatAddress(gateway.subarray(0, bytes));
    const what = ['', 'on link', 'local', '', 'tunnel'][flags] ?? String(flags);
    found[`${to}/${length}`] = [what, hop === '0.0.0.0' || hop === '::' ? '' : `via ${hop}`, ifindex, mtu]
      .filter((part) => part !== '' && part !== 0)
      .join(' ');
  };
  for (const [key, value] of maps.routes4) {
    const { prefixLength, address } = routeKey4.decode(key);
    say(four(address), prefixLength, value, 4);
  }
  for (const [key, value] of maps.routes6) {
    const { prefixLength, address } = routeKey6.decode(key);
    say(formatAddress(address), prefixLength, value, 16);
  }
  return found;
}

describe('routes', () => {
  test('without a topology there are none, whatever is compiled for', () => {
    for (const node of [undefined, 'n1']) {
      const { maps } = compiledFor(node, undefined, ['routingMode=native']);
      for (const name of ['routes4', 'routes6', 'neighbours4', 'neighbours6'] as const)
        assert.equal(maps[name].size, 0);
      assert.equal(
        diff(undefined, maps).some(({ map }) => /route|neighbour/.test(map)),
        false,
      );
    }
  });
  test('natively: another node’s pods behind its InternalIP where that is on link; the own networks are the stack’s', () => {
    assert.deepEqual(
      routesOf(compiledFor('n1', `${ETH0}routes: [{ to: 0.0.0.0/0, via: 192.168.0.254 }]`, ['routingMode=native'])),
      {
        '0.0.0.0/0': 'via 192.168.0.254 2 1500',
        '192.168.0.0/24': 'on link 2 1500',
        '192.168.0.1/32': 'local',
        '10.0.1.0/24': 'local',
        '10.0.2.0/24': 'via 192.168.0.2 2 1500',
        'fd0a::/64': 'on link 2 1500',
        'fd0a::1/128': 'local',
        // Node n2 has no IPv6 address that its network could be behind.
        'fd00:1::/64': 'local',
      },
    );
  });
  test('natively, and the other node is not on link: the topology’s own routes decide', () => {
    const text = ETH0.replace('192.168.0.1/24', '192.168.0.1/31');
    assert.equal(routesOf(compiledFor('n1', text, ['routingMode=native']))['10.0.2.0/24'], undefined);
  });
  test('tunnel: other nodes’ pods are marked, on link or not', () => {
    const routes = routesOf(compiledFor('n1', ETH0, ['routingMode=tunnel']));
    assert.equal(routes['10.0.2.0/24'], 'tunnel via 192.168.0.2');
    assert.equal(routes['fd00:2::/64'], 'tunnel');
    assert.equal(routes['10.0.1.0/24'], 'local');
  });
  test('tunnel: a pod outside its node’s networks is marked by itself', () => {
    const stray = ETH0;
    const { state } = readManifests([
      { file: 'c.yaml', text: CLUSTER.replace('{ ip: 10.0.2.4 }', '{ ip: 10.0.1.77 }') },
    ]);
    const compiler = new Compiler(resolveConfig({ sets: ['routingMode=tunnel'] }).config, {
      node: 'n1',
      topology: topologyOf(stray),
    });
    const routes = routesOf(compiler.compile(state!));
    assert.equal(routes['10.0.1.77/32'], 'tunnel via 192.168.0.2');
    assert.equal(routes['10.0.2.1/32'], undefined);
  });
  test('what the topology says itself wins over what manifests tell', () => {
    const text = `${ETH0}routes: [{ to: 10.0.2.0/24, via: 192.168.0.254, mtu: 1400 }, { to: 192.168.0.1/32, type: tunnel }]`;
    const routes = routesOf(compiledFor('n1', text, ['routingMode=native']));
    assert.equal(routes['10.0.2.0/24'], 'via 192.168.0.254 2 1400');
    assert.equal(routes['192.168.0.1/32'], 'tunnel');
  });
  test('neighbours have the next hop’s station and the interface’s own', () => {
    const { maps } = compiledFor(
      'n1',
      `${ETH0}neighbours:
- { address: 192.168.0.2, interface: eth0, mac: 02:00:00:00:00:02 }
- { address: "fd0a::2", interface: eth0, mac: 02:00:00:00:00:12 }`,
    );
    const [key4, value4] = [...maps.neighbours4][0]!;
    const [key6, value6] = [...maps.neighbours6][0]!;
    assert.deepEqual(neighbourKey4.decode(key4), { ifindex: 2, address: 0xc0a80002 });
    assert.deepEqual(formatAddress(neighbourKey6.decode(key6).address), 'fd0a::2');
    assert.deepEqual(neighbourValue.decode(value4), {
      destination: Uint8Array.of(2, 0, 0, 0, 0, 2),
      source: Uint8Array.of(2, 0, 0, 0, 0, 1),
    });
    assert.equal(neighbourValue.decode(value6).destination[5], 0x12);
  });
  test('a next hop is there before its route, and goes after it', () => {
    const text = `${ETH0}neighbours: [{ address: 192.168.0.2, interface: eth0, mac: 02:00:00:00:00:02 }]`;
    const { maps } = compiledFor('n1', text);
    const empty = compiledFor('n1', undefined).maps;
    const order = (writes: ReturnType<typeof diff>): string[] => [
      ...new Set(writes.map(({ map }) => map).filter((map) => /route|neighbour/.test(map))),
    ];
    const made = order(diff(undefined, maps));
    const undone = order(diff(maps, empty));
    assert.ok(made.findIndex((m) => m.includes('neighbour')) < made.findIndex((m) => m.includes('route')), made.join());
    assert.ok(
      undone.findIndex((m) => m.includes('route')) < undone.findIndex((m) => m.includes('neighbour')),
      undone.join(),
    );
  });
  test('more routes than there are places is an error that tells so', () => {
    const routes = Array.from(
      { length: 16_384 },
      (_, i) => `- { to: 10.${128 + (i >> 8)}.${i & 255}.0/24, interface: eth0 }`,
    );
    const { state } = readManifests([{ file: 'c.yaml', text: CLUSTER }]);
    const compiler = new Compiler(resolveConfig({}).config, {
      node: 'n1',
      topology: topologyOf(`${ETH0}routes:\n${routes.join('\n')}`),
    });
    assert.match(
      compiler
        .compile(state!)
        .problems.map(({ message }) => message)
        .join(),
      /weir_routes4 has 16384 places; 163\d\d are needed/,
    );
  });
});
