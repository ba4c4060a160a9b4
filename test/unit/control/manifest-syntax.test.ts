// Syntax of manifests: notations, positions, hostile input, bounds.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import {
  defaultLimits,
  readManifests,
  type InputLimits,
  type LoadResult,
} from '../../../src/control/manifest/index.ts';
import { parseJson } from '../../../src/control/manifest/json-tree.ts';
import { formatProblem } from '../../../src/control/problem.ts';

function load(text: string, limits: Partial<InputLimits> = {}): LoadResult {
  return readManifests([{ file: 'f.yaml', text }], { limits: { ...defaultLimits, ...limits } });
}

function problems(text: string, limits: Partial<InputLimits> = {}): string[] {
  return load(text, limits).problems.map(formatProblem);
}

const pod = (name: string): string => `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\n`;

test('CRLF, a byte order mark and comments move no line and no column', () => {
  const text = `\ufeff# a comment\r\n---\r\napiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: a # the name\r\nspec:\r\n  containers:\r\n    - name: c\r\n      ports:\r\n        - containerPort: 80\r\n`;
  const pod = load(text).state?.pods[0];
  assert.deepEqual(pod?.origin, { file: 'f.yaml', line: 3, column: 1 });
  assert.deepEqual(pod.ports[0]?.origin, { file: 'f.yaml', line: 11, column: 11 });
  assert.equal(pod.name, 'a');
});

test('empty documents, comments alone and a missing final line end are fine', () => {
  for (const text of ['', '\n', '# nothing', '---', '---\n---\n', '---\n# x\n...\n', '--- # x\n---\r\n', ' \n\t\n']) {
    const { state, problems } = load(text);
    assert.deepEqual(problems, [], JSON.stringify(text));
    assert.equal(state?.pods.length, 0);
  }
  assert.equal(load(pod('a').trimEnd()).state?.pods.length, 1);
});

test('so many problems that they do not fit on the stack are told up to the bound', () => {
  const repeated = `{${Array.from({ length: 150_000 }, () => '"k":1').join(',')}}`;
  assert.equal(problems(repeated).filter((line) => line.includes('duplicate key')).length, defaultLimits.problems);
});

test('a marker inside a literal block is none, one at the line start is', () => {
  const text = `apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: other\ndata:\n  text: |\n    ---\n    kind: Pod\n---\n${pod('a')}`;
  const { state } = load(text);
  assert.deepEqual(state?.unknownKinds, new Map([['v1/ConfigMap', 1]]));
  assert.deepEqual(state.pods[0]?.origin.line, 10);
});

test('tabs are told, with their place', () => {
  assert.deepEqual(problems('apiVersion: v1\nkind: Pod\nmetadata:\n\tname: a\n').slice(0, 1), [
    'f.yaml:4:1: tabs are not allowed as indentation',
  ]);
});

test('anchors, aliases and merge keys: an aliased item stands where the alias is', () => {
  const text = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: x}
spec:
  podSelector: {}
  ingress:
    - &web
      ports:
        - &port {protocol: TCP, port: 80}
    - *web
    - ports:
        - <<: *port
          port: 81
        - *port
`;
  const rules = load(text).state?.networkPolicies[0]?.ingress;
  assert.deepEqual(
    rules?.map((rule) => rule.origin.line),
    [8, 10, 11],
  );
  assert.deepEqual(
    rules.map((rule) => rule.ports?.map((port) => [port.port, port.protocol, port.origin.line])),
    [
      [[80, 'TCP', 9]],
      [[80, 'TCP', 9]],
      [
        [81, 'TCP', 12],
        [80, 'TCP', 14],
      ],
    ],
  );
});

test('a YAML bomb dies at its bound, quickly', () => {
  const levels = Array.from(
    { length: 30 },
    (_, i) => `a${i}: &a${i} [${i === 0 ? 'x, x' : `*a${i - 1}, *a${i - 1}`}]`,
  ).join('\n');
  assert.deepEqual(problems(`${levels}\n`), [
    'f.yaml:15:18: the aliases of this document stand for more than 100000 values',
  ]);
  assert.match(problems('a: &a [*a]\n')[0]!, /^f\.yaml:1:8: alias \*a stands inside its own anchor/);
  assert.match(problems('a: *b\n')[0]!, /b/);
});

test('keys named like parts of objects are only keys', () => {
  const text = `apiVersion: v1\nkind: Pod\n__proto__: {kind: Node}\nconstructor: {prototype: {polluted: 1}}\nmetadata:\n  name: a\n  annotations:\n    __proto__: x\n    constructor: z\n`;
  for (const notation of [
    text,
    '{"apiVersion":"v1","kind":"Pod","__proto__":{"kind":"Node"},"metadata":{"name":"a","annotations":{"__proto__":"x","constructor":"z"}}}',
  ]) {
    const { state, problems } = load(notation);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      state?.pods[0]?.annotations,
      new Map([
        ['__proto__', 'x'],
        ['constructor', 'z'],
      ]),
    );
    assert.equal(({} as { polluted?: number }).polluted, undefined);
  }
  const rules = `{"apiVersion":"cilium.io/v2","kind":"CiliumNetworkPolicy","metadata":{"name":"p"},"spec":{"endpointSelector":{},"ingress":[{"toPorts":[{"ports":[{"port":"80","protocol":"TCP"}],"rules":{"http":[{"__proto__":{"x":1},"path":"/"}]}}]}]}}`;
  const value = load(rules).state?.ciliumPolicies[0]?.rules[0]?.ingress?.[0]?.toPorts?.[0]?.rules?.value as {
    http: object[];
  };
  assert.equal(Object.getPrototypeOf(value.http[0]), null);
  assert.deepEqual(Object.keys(value.http[0]!), ['__proto__', 'path']);
});

test('duplicate keys are errors in YAML and JSON', () => {
  assert.deepEqual(problems(`${pod('a')}kind: Node\n`), ['f.yaml:5:1: duplicate key "kind"']);
  assert.deepEqual(problems('{"apiVersion":"v1","kind":"Pod",\n "kind":"Node","metadata":{"name":"a"}}'), [
    'f.yaml:2:2: duplicate key "kind"',
  ]);
  const many = Array.from({ length: 40 }, (_, i) => `    k${i}: v`).join('\n');
  assert.deepEqual(problems(`${pod('a')}  annotations:\n${many}\n    k7: again\n`), [
    'f.yaml:46:5: duplicate key "k7"',
  ]);
});

test('YAML 1.1 booleans stay strings, with a warning where kubectl would differ', () => {
  const text = `${pod('a')}  namespace: y\n  labels:\n    a: yes\n    b: "on"\n    c: n\n    d: true\n    e: 80\n    f: 1e3\n    g:\n`;
  const { state, problems: found } = load(text);
  assert.equal(state, undefined);
  assert.deepEqual(found.map(formatProblem), [
    'f.yaml:7:8: Pod y/a: metadata.labels.a: unquoted yes is a string here, but kubectl reads it as a boolean; quote it',
    'f.yaml:10:8: Pod y/a: metadata.labels.d: expected a string, got boolean',
    'f.yaml:11:8: Pod y/a: metadata.labels.e: expected a string, got number',
    'f.yaml:12:8: Pod y/a: metadata.labels.f: expected a string, got number',
  ]);
});

test('JSON: errors carry their place, several values follow each other', () => {
  assert.deepEqual(problems('{"apiVersion": "v1",\n "kind" "Pod"}'), ['f.yaml:2:9: expected ":", got "\\""']);
  assert.deepEqual(problems('{"a": [1, 2'), ['f.yaml:1:12: expected "," or "]", got the end of the file']);
  assert.deepEqual(problems('{"a": 01, "b" "c"}'), ['f.yaml:1:7: not a JSON number']);
  assert.deepEqual(problems('{"a": "x\ny", "b" "c"}'), ['f.yaml:1:9: control character in a string']);
  assert.equal(
    load(
      '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}\n{"apiVersion":"v1","kind":"Pod","metadata":{"name":"b\\u0062"}}',
    ).state?.pods[1]?.name,
    'bb',
  );
  // What looks like JSON and is YAML in flow style is read as that.
  assert.equal(load('{apiVersion: v1, kind: Pod, metadata: {name: a}}').state?.pods.length, 1);
});

test('JSON is strict: no comments, no trailing commas, no bad escapes', () => {
  const issue = (text: string): string => {
    const { issues } = parseJson(text, defaultLimits);
    assert.equal(issues.length, 1, text);
    return `${issues[0]!.offset}: ${issues[0]!.message}`;
  };
  assert.equal(issue('{"a": [1, /* x */ 2]}'), '10: expected a JSON value, got "/"');
  assert.equal(issue('{"a": 1} // x\n'), '9: expected a JSON value, got "/"');
  assert.equal(issue('{"a": "x\\q", "b" "c"}'), '6: bad escape in a string');
  assert.equal(issue('{"a": "\\u12g4", "b" "c"}'), '6: bad escape in a string');
  assert.equal(issue('{"a": "x\u0001\\q"}'), '8: control character in a string');
  assert.equal(issue('{"a": "x'), '6: string without an end');
  assert.equal(issue('"'), '0: string without an end');
  assert.equal(issue('{"a": 1,\n}'), '9: expected a key in double quotes, got "}"');
  assert.equal(issue('[1,]'), '3: expected a JSON value, got "]"');
  for (const number of ['1.', '.5', '-', '-.5', '+1', '1e', '0x1', '00', '1.5.2'])
    assert.match(issue(`[${number}]`), /^1: (?:not a JSON number|expected a JSON value)/);
});

test('a quote without an end leaves the documents behind it alone', () => {
  assert.deepEqual(problems(`${pod('a')}---\nkind: "Pod\n---\n${pod('b')}---\nkind: 'x\n---\n${pod('b')}`), [
    'f.yaml:7:1: missing closing "quote',
    "f.yaml:14:1: missing closing 'quote",
    'f.yaml:15:1: duplicate Pod default/b: first at f.yaml:8:1',
  ]);
});

/** A List long enough to be read in parts; `spoil` may change an item, `after` follows the items. */
const longList = (spoil: (item: string, index: number) => string = (item) => item, after = 'kind: List\n'): string =>
  `apiVersion: v1\nitems:\n${Array.from({ length: 60 }, (_, i) =>
    spoil(`- apiVersion: v1\n  kind: Pod\n  metadata:\n    name: p${i}\n    labels: {a: b, c: d}\n`, i),
  ).join('')}${after}`;

test('a long list: items and problems stand where they are written', () => {
  const { state, problems: found } = load(longList());
  assert.deepEqual(found, []);
  assert.deepEqual(
    state?.pods.map(({ name, origin }) => [name, origin.line, origin.column]),
    Array.from({ length: 60 }, (_, i) => [`p${i}`, 3 + 5 * i, 3]),
  );
  const change = (at: number, from: string, to: string): string[] =>
    problems(longList((item, i) => (i === at ? item.replace(from, to) : item)));
  for (const at of [0, 1, 20, 57, 58, 59]) {
    const line = 3 + 5 * at;
    assert.deepEqual(change(at, '{a: b', '{a: b, a: c'), [`f.yaml:${line + 4}:20: duplicate key "a"`]);
    assert.deepEqual(change(at, '{a: b, c: d}', '[x'), [
      `f.yaml:${line + 5}:1: flow sequence in block collection must be sufficiently indented and end with a ]`,
    ]);
    assert.deepEqual(change(at, '{a: b, c: d}', '*x'), [`f.yaml:${line + 4}:13: alias *x has no anchor before it`]);
    assert.deepEqual(change(at, '{a: b, c: d}', `${'['.repeat(150)}${']'.repeat(150)}`), [
      `f.yaml:${line + 4}:${13 + 97}: nested deeper than 100 levels`,
    ]);
  }
});

test('a long list: anchors reach from part to part, and a bomb spread over them dies at its bound', () => {
  const { state, problems: found } = load(
    longList((item, i) => (i === 20 ? item.replace('{a', '&l {a') : i > 20 ? item.replace(/\{.*\}/, '*l') : item)),
  );
  assert.deepEqual(found, []);
  assert.deepEqual([...state!.pods[59]!.labels].slice(0, 2), [
    ['a', 'b'],
    ['c', 'd'],
  ]);
  const bomb = longList((item, i) => (i < 20 ? item : `- &a${i} [${i === 20 ? 'x, x' : `*a${i - 1}, *a${i - 1}`}]\n`));
  assert.deepEqual(problems(bomb), ['f.yaml:117:15: the aliases of this document stand for more than 100000 values']);
});

test('a long list: anchors before it and in its last item are known behind them', () => {
  const labels = (item: string): string => item.replace(/\{.*\}/, '*l');
  const before = load(`x: &l {e: f}\n${longList(labels)}`);
  assert.deepEqual(before.problems, []);
  assert.equal(before.state?.pods[0]?.labels.get('e'), 'f');
  const last = (item: string, i: number): string => (i === 59 ? item.replace('{a', '&l {a') : item);
  const behind = load(longList(last, `kind: List\nmore:\n${'- {x: *l, y: {}, z: []}\n'.repeat(60)}`));
  assert.deepEqual(behind.problems, []);
  const again = (item: string, i: number): string =>
    i === 0 || i === 30 ? item.replace('{a: b', `&l {a: i${i}`) : i > 1 ? labels(item) : item;
  assert.deepEqual(
    [2, 29, 31, 59].map((i) => load(longList(again)).state?.pods[i]?.labels.get('a')),
    ['i0', 'i0', 'i30', 'i30'],
  );
});

test('a long list: nesting in an item is told before anything recurses', () => {
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  for (const at of [10, 59]) {
    const [problem] = problems(longList((item, i) => (i === at ? item.replace(/\{.*\}/, deep) : item)));
    assert.equal(problem, `f.yaml:${7 + 5 * at}:110: nested deeper than 100 levels`);
  }
});

test('a long list: syntax errors stand in parts where they stand as a whole', () => {
  // A list whose root has an anchor is read as a whole.
  const shifted = (text: string): string[] =>
    problems(`&root\n${text}`).map((line) => line.replace(/:(\d+):/, (_, n: string) => `:${Number(n) - 1}:`));
  const spoils = [
    ['- api', '-  api'],
    ['- api', 'api'],
    ['- api', '- - api'],
    ['  kind', ' kind'],
    ['kind:', 'kind'],
    ['{a', '"{a'],
  ] as const;
  for (const [from, to] of spoils) {
    for (let at = 0; at < 60; at += 5) {
      const text = longList((item, i) => (i === at ? item.replace(from, to) : item));
      const found = problems(text);
      assert.ok(found.length > 0, text);
      assert.deepEqual(found, shifted(text), `${to} in item ${at}`);
    }
  }
});

test('two long lists in one document are two lists', () => {
  const slice = (count: number): string =>
    `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nmetadata: {name: s}\nendpoints:\n${Array.from(
      { length: count },
      (_, i) => `- addresses: [10.0.${i}.1]\n  conditions: {ready: true, serving: true}\n`,
    ).join(
      '',
    )}ports:\n${Array.from({ length: count }, (_, i) => `- name: p${i}\n  port: ${i + 1}\n  protocol: TCP\n`).join('')}`;
  const { state, problems: found } = load(slice(90));
  assert.deepEqual(found, []);
  const [read] = state!.endpointSlices;
  assert.equal(read?.endpoints.length, 90);
  assert.equal(read.ports.length, 90);
  assert.equal(read.ports[89]?.port, 90);
});

test('every bound has its problem', () => {
  const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);
  for (const text of [
    nested(150, '[', ']'),
    nested(20_000, '[', ']'),
    `x: ${nested(150, '{a: ', '}')}`,
    Array.from({ length: 150 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
    `${'- '.repeat(5000)}a`,
  ]) {
    assert.match(problems(text)[0]!, /nested deeper than 100 levels$/, text.slice(0, 20));
  }
  assert.deepEqual(problems([pod('a'), pod('b'), pod('c')].join('---\n'), { documents: 2 }), [
    'f.yaml:10:1: more than 2 documents in one file',
  ]);
  assert.deepEqual(problems('{"kind":"A","apiVersion":"b"}'.repeat(3), { documents: 2 }), [
    'f.yaml:1:59: more than 2 documents in one file',
  ]);
  assert.deepEqual(problems('- 1\n- 2\n- 3\n- 4\n', { problems: 2 }), [
    'f.yaml:1:3: expected a Kubernetes object, got number',
    'f.yaml:2:3: expected a Kubernetes object, got number',
    'f.yaml: 2 more problems are not listed',
  ]);
});

test('objects without kind: an error in a named file, a warning in a directory', () => {
  const text = 'replicas: 3\n---\nkind: Pod\nmetadata: {name: a}\n';
  assert.deepEqual(problems(text), ['f.yaml:1:1: kind and apiVersion: required', 'f.yaml:3:1: apiVersion: required']);
  const found = readManifests([{ file: 'd/v.yaml', text: 'replicas: 3\n---\n- 1\n---\njust words\n', found: true }]);
  assert.deepEqual(
    found.problems.map((p) => `${p.severity} ${formatProblem(p)}`),
    [
      'error d/v.yaml:3:3: expected a Kubernetes object, got number',
      'warning d/v.yaml:1:1: not a Kubernetes object (no apiVersion and no kind): skipped',
      'warning d/v.yaml:5:1: not a Kubernetes object: skipped',
    ].sort((a, b) => Number(a.split(':')[1]) - Number(b.split(':')[1])),
  );
});

test('lists: List, typed lists whose items leave their kind out, lists in lists', () => {
  const { state, problems: found } = load(`apiVersion: v1
kind: PodList
items:
  - metadata: {name: a}
  - {apiVersion: v1, kind: Pod, metadata: {name: b}}
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: List
    items:
      - {apiVersion: v1, kind: Pod, metadata: {name: c}}
---
apiVersion: v1
kind: List
items: []
`);
  assert.deepEqual(found, []);
  assert.deepEqual(
    state?.pods.map((p) => [p.name, p.origin.line, p.origin.column]),
    [
      ['a', 4, 5],
      ['b', 5, 5],
      ['c', 13, 9],
    ],
  );
});

test('the same object twice: the second is an error that names the first', () => {
  const { problems: found } = readManifests([
    { file: 'a.yaml', text: pod('x') },
    { file: 'b.yaml', text: `${pod('y')}---\n${pod('x')}  namespace: default\n---\n${pod('x')}  namespace: other\n` },
  ]);
  assert.deepEqual(found.map(formatProblem), ['b.yaml:6:1: duplicate Pod default/x: first at a.yaml:1:1']);
});

test('a kind that is read warns in a group where it is not, unless others own that group', () => {
  const entries = ['v1 NetworkPolicy', 'apps/v1 Pod', 'cilium.io/v2 NetworkPolicy', 'serving.knative.dev/v1 Service'];
  const { problems: found } = load(
    entries
      .map((entry) => entry.split(' '))
      .map(([apiVersion, kind], i) => `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: o${i}}\n`)
      .join('---\n'),
  );
  assert.deepEqual(
    found.map(({ severity, message }) => [severity, message.split(' is ')[0]]),
    [
      ['warning', 'NetworkPolicy of v1'],
      ['warning', 'Pod of apps/v1'],
      ['warning', 'NetworkPolicy of cilium.io/v2'],
    ],
  );
});

test('kinds that are not read are counted; those that steer traffic warn once', () => {
  const { state, problems: found } = load(
    [
      'apps/v1 Deployment',
      'apps/v1 Deployment',
      'policy.networking.k8s.io/v1beta1 ClusterNetworkPolicy',
      'policy.networking.k8s.io/v1beta1 ClusterNetworkPolicy',
      'crd.projectcalico.org/v1 NetworkPolicy',
      'cilium.io/v3 CiliumNetworkPolicy',
      'cilium.io/v2 CiliumLocalRedirectPolicy',
    ]
      .map((entry) => entry.split(' '))
      .map(([apiVersion, kind], i) => `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: o${i}}\n`)
      .join('---\n'),
  );
  assert.equal(state?.unknownKinds.get('apps/v1/Deployment'), 2);
  assert.equal(state.unknownKinds.size, 5);
  assert.deepEqual(
    found.map((p) => [p.severity, p.line, p.message.split(' is ')[0]]),
    [
      ['warning', 9, 'ClusterNetworkPolicy of policy.networking.k8s.io/v1beta1'],
      ['warning', 17, 'NetworkPolicy of crd.projectcalico.org/v1'],
      ['warning', 21, 'CiliumNetworkPolicy of cilium.io/v3'],
      ['warning', 25, 'CiliumLocalRedirectPolicy of cilium.io/v2'],
    ],
  );
});

test('a kind that is nearly one that is read warns once and proposes it; the cluster’s other kinds do not', () => {
  const documents = [
    'networking.k8s.io/v1 NetworkPolcy',
    'networking.k8s.io/v1 NetworkPolcy',
    'networking.k8s.io/v1 networkpolicy',
    'v1 Services',
    'example.com/v1 NetworkPolcy',
    'v1 Event',
    'v1 Secret',
    'v1 Binding',
    'rbac.authorization.k8s.io/v1 Role',
    'batch/v1 Job',
    'networking.k8s.io/v1 Ingress',
    'cilium.io/v2 CiliumNode',
    'cilium.io/v2alpha1 CiliumEndpointSlice',
    'cilium.io/v2 CiliumLoadBalancerIPPool',
    'coordination.k8s.io/v1alpha2 LeaseCandidate',
  ];
  const { state, problems: found } = load(
    documents
      .map((entry) => entry.split(' '))
      .map(([apiVersion, kind], i) => `apiVersion: ${apiVersion}\nkind: ${kind}\nmetadata: {name: o${i}}\n`)
      .join('---\n'),
  );
  assert.equal(state?.unknownKinds.get('networking.k8s.io/v1/NetworkPolcy'), 2);
  assert.deepEqual(
    found.map((p) => [p.severity, p.line, p.message.split(';')[0]]),
    [
      ['warning', 1, 'NetworkPolcy of networking.k8s.io/v1 is not read (did you mean NetworkPolicy?)'],
      ['warning', 9, 'networkpolicy of networking.k8s.io/v1 is not read (did you mean NetworkPolicy?)'],
      ['warning', 13, 'Services of v1 is not read (did you mean Service?)'],
    ],
  );
});
