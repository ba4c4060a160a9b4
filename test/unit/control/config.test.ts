// Configuration: defaults, Helm values, ConfigMaps, --set; what is unknown, ignored or of the wrong type.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  defaultConfig,
  ipv6Enabled,
  optionKeys,
  options,
  resolveConfig,
  type Config,
  type ConfigSources,
  type OptionKey,
} from '../../../src/control/config/index.ts';
import { parseDuration } from '../../../src/control/config/option-types.ts';
import { parseSets } from '../../../src/control/config/set-values.ts';
import { readManifests } from '../../../src/control/manifest/index.ts';
import { formatProblem } from '../../../src/control/problem.ts';
import { emptyState } from '../../../src/control/state.ts';

/** What differs from the defaults, and the problems. */
function resolve(sources: ConfigSources): { changed: Partial<Config>; problems: string[] } {
  const { config, problems } = resolveConfig(sources);
  const initial = defaultConfig();
  const changed = Object.fromEntries(
    optionKeys
      .filter((key) => JSON.stringify(config[key]) !== JSON.stringify(initial[key]))
      .map((key) => [key, config[key]]),
  );
  return { changed, problems: problems.map((p) => `${p.severity} ${formatProblem(p)}`) };
}

const configMap = (data: string): ConfigSources => {
  const { state } = readManifests([
    {
      file: 'cm.yaml',
      text: `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\ndata:\n${data}`,
    },
  ]);
  return state?.ciliumConfig === undefined ? {} : { configMap: state.ciliumConfig };
};

test('defaults are the chart’s', () => {
  const config = defaultConfig();
  const expected: Partial<Config> = {
    'ipv4.enabled': true,
    'ipv6.enabled': 'auto',
    kubeProxyReplacement: false,
    'loadBalancer.algorithm': 'random',
    'loadBalancer.mode': 'snat',
    'loadBalancer.acceleration': 'disabled',
    'loadBalancer.dsrDispatch': 'opt',
    'maglev.tableSize': 16381,
    'maglev.hashSeed': 'JLfvgnHc2kaSUFaI',
    'bpf.lbExternalClusterIP': false,
    'bpf.lbMapMax': 65536,
    'bpf.ctTcpMax': 524288,
    'bpf.ctAnyMax': 262144,
    'bpf.policyMapMax': 16384,
    'bpf.natMax': 524288,
    'bpf-ct-timeout-regular-tcp': 8000,
    'bpf-ct-timeout-regular-any': 60,
    'bpf-ct-timeout-service-tcp': 8000,
    'bpf-ct-timeout-service-any': 60,
    'bpf-ct-timeout-regular-tcp-syn': 60,
    'bpf-ct-timeout-regular-tcp-fin': 10,
    'bpf-ct-timeout-service-tcp-grace': 60,
    policyEnforcementMode: 'default',
    policyAuditMode: false,
    policyCIDRMatchMode: [],
    policyDenyResponse: 'none',
    serviceNoBackendResponse: 'reject',
    enableNoServiceEndpointsRoutable: true,
    'daemon.enableSourceIPVerification': true,
    fragmentTracking: true,
    'enable-ipv6-fragment-tracking': false,
    'sctp.enabled': false,
    'hostFirewall.enabled': false,
    nodeSelectorLabels: false,
    'bpf.vlanBypass': [],
    'cluster.name': 'default',
    'cluster.id': 0,
    routingMode: 'tunnel',
    tunnelProtocol: 'vxlan',
    'nodePort.range': [30000, 32767],
    'bpf.monitorAggregation': 'medium',
    'bpf.monitorInterval': 5,
    'bpf.ctAccounting': false,
  };
  for (const [key, value] of Object.entries(expected)) assert.deepEqual(config[key as OptionKey], value, key);
  assert.deepEqual(resolve({}), { changed: {}, problems: [] });
});

test('every default is a value that its own check accepts', () => {
  for (const key of optionKeys) {
    const { initial, check, agent } = options[key] as {
      initial: unknown;
      agent: string | undefined;
      check: (raw: never, text: boolean) => unknown;
    };
    if (
      key === 'ipv6.enabled' ||
      (typeof initial === 'number' && key.startsWith('bpf-ct-timeout')) ||
      key === 'bpf.monitorInterval'
    )
      continue;
    const raw = key === 'nodePort.range' ? '30000,32767' : initial;
    assert.deepEqual(check(raw as never, false), { value: initial }, key);
    assert.ok(agent === undefined || /^[a-z0-9-]+$/i.test(agent), key);
  }
  const agents = optionKeys.flatMap((key) => options[key].agent ?? []);
  assert.equal(new Set(agents).size, agents.length);
});

test('Helm values: typed, nested, with places', () => {
  const text = `kubeProxyReplacement: "true"
ipv6: {enabled: true}
loadBalancer:
  algorithm: maglev
maglev: {}
bpf:
  vlanBypass: [1, 2]
  monitorInterval: 10s
policyCIDRMatchMode: nodes
policyEnforcementMode: Always
hubble: {enabled: true, relay: {enabled: true}}
operator:
  replicas: 1
extraConfig:
  bpf-ct-timeout-regular-tcp: 2h13m20s
  enable-external-ips: false
nodePort: {range: "31000,32000"}
cluster: {name: null}
`;
  assert.deepEqual(resolve({ valuesText: text }), {
    changed: {
      kubeProxyReplacement: true,
      'ipv6.enabled': true,
      'loadBalancer.algorithm': 'maglev',
      'bpf.vlanBypass': [1, 2],
      'bpf.monitorInterval': 10,
      policyCIDRMatchMode: ['nodes'],
      policyEnforcementMode: 'always',
      'enable-external-ips': false,
      'nodePort.range': [31000, 32000],
    },
    problems: [],
  });
});

test('Helm values: wrong types are errors, all of them, and keep the default', () => {
  const text = `policyAuditMode: "true"
bpf:
  lbMapMax: "65536"
  policyMapMax: 100
  vlanBypass: [a]
maglev: {tableSize: 16384, hashSeed: short}
loadBalancer: {algorithm: leastconn}
hostFirewall: true
labels: [a]
nodePort: {range: "32767,30000"}
cluster: {name: Bad_Name}
extraConfig: {bpf-ct-timeout-regular-any: 5}
`;
  assert.deepEqual(resolve({ valuesText: text, valuesFile: 'v.yaml' }), {
    changed: {},
    problems: [
      'error v.yaml:1:18: policyAuditMode: expected a boolean, got "true"',
      'error v.yaml:3:13: bpf.lbMapMax: expected an integer, got "65536"',
      'error v.yaml:4:17: bpf.policyMapMax: expected an integer in 256–65536, got 100',
      'error v.yaml:5:15: bpf.vlanBypass: expected a list of integers in 0–4094, got a list',
      'error v.yaml:6:21: maglev.tableSize: expected one of 251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071, got 16384',
      'error v.yaml:6:38: maglev.hashSeed: expected 12 bytes in base64 (16 characters), got "short"',
      'error v.yaml:7:27: loadBalancer.algorithm: expected one of random, maglev, got "leastconn"',
      'error v.yaml:8:15: hostFirewall: expected an object, got true',
      'error v.yaml:9:9: labels: expected a string, got a list',
      'error v.yaml:10:19: nodePort.range: expected two ports such as "30000,32767", the first below the second, got "32767,30000"',
      'error v.yaml:11:17: cluster.name: expected a cluster name (at most 32 lower-case letters, digits and \'-\'), got "Bad_Name"',
      'error v.yaml:12:43: bpf-ct-timeout-regular-any: expected a duration such as 5s or 1h30m, got "5"',
    ],
  });
});

test('unknown keys warn once by name; known but not honoured ones only when they change something', () => {
  const text = `loadBalancer: {mode: dsr, algoritm: maglev, acceleration: disabled}
routingMode: native
policyEnforcmentMode: always
nonsense: {a: 1}
__proto__: {policyAuditMode: true}
egressGateway: {enabled: true, maxPolicyEntries: 5}
`;
  assert.deepEqual(resolve({ valuesText: text, sets: ['nonsense.b=2'] }), {
    changed: { 'loadBalancer.mode': 'dsr', routingMode: 'native', 'egressGateway.enabled': true },
    problems: [
      'warning values.yaml:1:27: loadBalancer.algoritm: unknown key, ignored (did you mean loadBalancer.algorithm?)',
      'warning values.yaml:3:1: policyEnforcmentMode: unknown key, ignored (did you mean policyEnforcementMode?)',
      'warning values.yaml:4:1: nonsense: unknown key, ignored',
      'warning values.yaml:5:1: __proto__: unknown key, ignored',
      'warning values.yaml:6:26: egressGateway.enabled: true is not honoured yet, Weir behaves as with false',
    ],
  });
});

test('a ConfigMap: agent keys, everything is text', () => {
  assert.deepEqual(
    resolve(
      configMap(
        '  enable-policy: always\n  kube-proxy-replacement: "true"\n  bpf-lb-map-max: "1000"\n  vlan-bpf-bypass: "1 2"\n  enable-ipv6: "false"\n  labels: ""\n  policy-cidr-match-mode: ""\n  node-port-range: "30000,31000"\n  hubble-socket-path: /x\n  bpf-ct-timeout-service-any: 1m30s\n  enable-polcy: never\n  policy-audit-mode: maybe\n',
      ),
    ),
    {
      changed: {
        'ipv6.enabled': false,
        kubeProxyReplacement: true,
        'nodePort.range': [30000, 31000],
        'bpf.lbMapMax': 1000,
        'bpf-ct-timeout-service-any': 90,
        policyEnforcementMode: 'always',
        'bpf.vlanBypass': [1, 2],
      },
      problems: [
        'warning cm.yaml:15:17: enable-polcy: unknown key, ignored (did you mean enable-policy?)',
        'error cm.yaml:16:22: policy-audit-mode: expected a boolean, got "maybe"',
      ],
    },
  );
});

test('--values may be a ConfigMap, alone or in a list', () => {
  const map = '{apiVersion: v1, kind: ConfigMap, metadata: {name: cilium-config}, data: {enable-policy: never}}';
  for (const text of [
    map,
    `kind: List\nitems:\n- ${map}\n- {kind: Pod}\n`,
    '{"kind":"ConfigMapList","items":[{"metadata":{"name":"other"},"data":{"enable-policy":"always"}},{"metadata":{"name":"cilium-config"},"data":{"enable-policy":"never"}}]}',
    `---\n${map}\n---\n{kind: Secret}\n`,
  ]) {
    assert.deepEqual(
      resolve({ valuesText: text }),
      { changed: { policyEnforcementMode: 'never' }, problems: [] },
      text,
    );
  }
  assert.deepEqual(resolve({ valuesText: 'apiVersion: v1\nkind: Pod\n' }).problems, [
    'error values.yaml:1:1: this is a manifest, neither a Helm values file nor a cilium-config ConfigMap',
  ]);
  assert.deepEqual(resolve({ valuesText: '- 1\n' }).problems, [
    'error values.yaml:1:1: a values file is a map of keys',
  ]);
  assert.deepEqual(resolve({ valuesText: 'a: [\n' }).problems.length > 0, true);
  assert.deepEqual(resolve({ valuesText: '# nothing\n' }), { changed: {}, problems: [] });
});

test('precedence: --set over values over the ConfigMap; null goes back to the default', () => {
  const map = configMap('  enable-policy: never\n  bpf-lb-mode: dsr\n  bpf-lb-algorithm: maglev\n');
  assert.deepEqual(
    resolve({
      ...map,
      valuesText: 'policyEnforcementMode: always\nloadBalancer: {mode: snat, algorithm: null}\n',
      sets: ['policyEnforcementMode=default'],
    }),
    { changed: {}, problems: [] },
  );
  assert.deepEqual(resolve({ valuesText: 'ipv6: {enabled: true}\n', sets: ['ipv6.enabled=null'] }), {
    changed: {},
    problems: [],
  });
});

test('--set: Helm’s syntax', () => {
  assert.deepEqual(
    resolve({
      sets: [
        'bpf.lbExternalClusterIP=true,policyEnforcementMode=always',
        'bpf.vlanBypass={1,2}',
        'policyCIDRMatchMode[0]=nodes',
        'labels=a\\,b',
        'nodePort.range=30000\\,31000',
        'enable-external-ips=false',
        'extraConfig.bpf-ct-timeout-regular-any=5s',
        'operator.image.tag=v1',
      ],
    }),
    {
      changed: {
        'enable-external-ips': false,
        'nodePort.range': [30000, 31000],
        'bpf.lbExternalClusterIP': true,
        'bpf-ct-timeout-regular-any': 5,
        policyEnforcementMode: 'always',
        policyCIDRMatchMode: ['nodes'],
        labels: 'a,b',
        'bpf.vlanBypass': [1, 2],
      },
      problems: [],
    },
  );
  assert.deepEqual(
    resolve({
      sets: [
        '',
        'x',
        '=1',
        'bpf.lbMapMax=many',
        'a[b]=1',
        'a[99999]=1',
        'l={1',
        'l={1}2',
        'maglev=1',
        'bpf.vlanBypass.x=1',
        'k=1,k.l=2',
      ],
    }).problems,
    [
      'error --set : expected key=value',
      'error --set x: key "x" has no value',
      'error --set =1: a key is empty',
      'error --set a[b]=1: bad list index [b',
      'error --set a[99999]=1: list index 99999 is larger than 65536',
      'error --set l={1: list must end with }',
      'error --set l={1}2: unexpected text behind }',
      'error --set bpf.lbMapMax=many: bpf.lbMapMax: expected an integer, got "many"',
      'error --set bpf.vlanBypass.x=1: bpf.vlanBypass: expected a list of integers in 0–4094, got an object',
      'error --set maglev=1: maglev: expected an object, got 1',
      'warning --set k=1,k.l=2: k: unknown key, ignored',
    ],
  );
});

/** The tree of assignments as plain data. */
function plain(node: ReturnType<typeof parseSets>['root'] | unknown): unknown {
  const tree = node as ReturnType<typeof parseSets>['root']['values'][number];
  if (tree.kind === 'scalar') return tree.value;
  if (tree.kind === 'sequence') return tree.items.map(plain);
  return new Map(tree.keys.map((key, i) => [key, plain(tree.values[i])]));
}

test('--set: values and their types', () => {
  const tree = (...sets: string[]): unknown => plain(parseSets(sets).root);
  assert.deepEqual(
    tree('a=1,b=01,c=-3,d=1.5,e=TRUE,f=null,g=,h=9007199254740993,i=a=b,j=0'),
    new Map<string, unknown>([
      ['a', 1],
      ['b', '01'],
      ['c', -3],
      ['d', '1.5'],
      ['e', true],
      ['f', null],
      ['g', ''],
      ['h', '9007199254740993'],
      ['i', 'a=b'],
      ['j', 0],
    ]),
  );
  assert.deepEqual(
    tree('a.b\\.c=x', 'a.d={}', 'a.e={x,1}', 'l[1].k=v', 'l[0]=z', '__proto__.x=1'),
    new Map<string, unknown>([
      [
        'a',
        new Map<string, unknown>([
          ['b.c', 'x'],
          ['d', []],
          ['e', ['x', 1]],
        ]),
      ],
      ['l', ['z', new Map([['k', 'v']])]],
      ['__proto__', new Map([['x', 1]])],
    ]),
  );
});

test('Go durations', () => {
  for (const [text, seconds] of [
    ['0', 0],
    ['5s', 5],
    ['1h30m', 5400],
    ['100ms', 0.1],
    ['1.5m', 90],
    ['2h13m20s', 8000],
  ] as const)
    assert.equal(parseDuration(text), seconds, text);
  for (const text of ['', '5', '-5s', '5 s', 's', '1d', '1h30', '9'.repeat(50)])
    assert.equal(parseDuration(text), undefined, text);
});

test('ipv6.enabled auto: on when the manifests hold IPv6, an explicit setting wins', () => {
  const config = defaultConfig();
  assert.equal(ipv6Enabled(config, emptyState()), false);
  const { state } = readManifests([
    {
      file: 'f',
      text: '{apiVersion: v1, kind: Pod, metadata: {name: a}, status: {podIPs: [{ip: 10.0.0.1}, {ip: "fd00::1"}]}}',
    },
  ]);
  assert.equal(ipv6Enabled(config, state!), true);
  assert.equal(ipv6Enabled({ ...config, 'ipv6.enabled': false }, state!), false);
  assert.equal(ipv6Enabled({ ...config, 'ipv6.enabled': true }, emptyState()), true);
});

test('nothing throws: arbitrary values files and assignments', () => {
  const keys = fc.constantFrom(
    'bpf',
    'lbMapMax',
    'maglev',
    'tableSize',
    'nodePort',
    'range',
    'extraConfig',
    'data',
    'kind',
    'items',
    'labels',
    '__proto__',
    'x',
  );
  const tree = fc.letrec<{ node: unknown }>((tie) => ({
    node: fc.oneof(
      { depthSize: 'small' },
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie('node'), { maxLength: 2 }),
      fc.array(fc.tuple(keys, tie('node')), { maxLength: 4 }).map((pairs) => Object.fromEntries(pairs)),
    ),
  })).node;
  const set = fc.oneof(
    fc.string(),
    fc
      .array(
        fc.constantFrom('bpf', '.', 'lbMapMax', '=', ',', '{', '}', '[0]', '[', ']', '\\', '1', 'true', 'labels', ' '),
        { maxLength: 12 },
      )
      .map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        tree.map((value) => JSON.stringify(value)),
      ),
      fc.array(set, { maxLength: 3 }),
      (valuesText, sets) => {
        const { config, problems } = resolveConfig({ valuesText, sets });
        assert.deepEqual(Object.keys(config), optionKeys);
        for (const problem of problems) assert.ok(!/undefined|\[object/.test(problem.message), problem.message);
      },
    ),
    { numRuns: 1000 },
  );
});
