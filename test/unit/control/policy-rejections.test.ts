// What the API server or the agent would refuse in a policy: one row a rule, each with the place and the words, and all
// problems of a file at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readManifests } from '../../../src/control/manifest/index.ts';
import { formatProblem } from '../../../src/control/problem.ts';

const PREFIX = {
  network: '{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: x}, spec: ',
  cilium: '{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: x}, spec: ',
  cluster: '{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: p}, spec: ',
  admin: '{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: p}, spec: ',
  baseline:
    '{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: default}, spec: ',
} as const;
const TIER = 'tier: Admin, priority: 1, subject: {namespaces: {}}';
const rule = (text: string): string => `{${TIER}, egress: [{${text}}]}`;
const to = (peer: string): string => rule(`action: Accept, to: [${peer}]`);
const protocol = (item: string): string => rule(`action: Accept, to: [{namespaces: {}}], protocols: [${item}]`);
const admin = (port: string): string =>
  `{priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: [{namespaces: {}}], ports: [${port}]}]}`;
const many = (count: number, item: string): string => Array.from({ length: count }, () => item).join(', ');
const ports = (list: string): string => `{endpointSelector: {}, ingress: [{toPorts: [{ports: [${list}]}]}]}`;

/** Kind, spec, where the problem starts in the spec, what is said (without the object). */
const ROWS: readonly (readonly [keyof typeof PREFIX, spec: string, at: string, RegExp])[] = [
  [
    'network',
    '{podSelector: {matchExpressions: [{key: a, operator: Gt, values: ["1"]}]}}',
    'Gt',
    /"Gt" is not one of In, NotIn/,
  ],
  ['network', '{podSelector: {}, ingress: [{ports: [{port: 5, endPort: 4}]}]}', '4}', /endPort: 4 is below port 5/],
  [
    'network',
    '{podSelector: {}, ingress: [{ports: [{port: web, endPort: 4}]}]}',
    '4}',
    /not allowed with a named port/,
  ],
  ['network', '{podSelector: {}, ingress: [{from: [{}]}]}', '{}]}]', /a peer needs podSelector/],
  [
    'network',
    '{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}',
    '10.0.0.0/33',
    /10\.0\.0\.0\/33|33/,
  ],
  [
    'network',
    '{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "::/0", except: [10.0.0.0/8]}}]}]}',
    '10.0',
    /not strictly inside/,
  ],
  ['network', '{podSelector: {}, policyTypes: [Both]}', 'Both', /"Both" is not one of Ingress, Egress/],
  ['cilium', ports(many(41, '{port: "1"}')), '[{port:', /41 ports, the most is 40/],
  [
    'cilium',
    `{endpointSelector: {}, ingress: [{icmps: [{fields: [${many(41, '{type: 8}')}]}]}]}`,
    '[{type',
    /41 items, the most is 40/,
  ],
  ['cilium', ports('{port: "1", protocol: QUIC}'), 'QUIC', /"QUIC" is not one of ANY, TCP/],
  ['cilium', ports('{port: "-1"}'), '"-1"', /neither a port number nor a port name|is not a port/],
  [
    'cilium',
    '{endpointSelector: {}, ingress: [{icmps: [{fields: [{type: 8}]}], toPorts: [{ports: [{port: "1"}]}]}]}',
    '[{fields',
    /cannot be combined/,
  ],
  [
    'cilium',
    '{endpointSelector: {}, egress: [{toEntities: [everybody]}]}',
    'everybody',
    /"everybody" is not one of all/,
  ],
  ['cilium', '{endpointSelector: {}, egress: [{toCIDR: [10.0.0.0/8, 2001:db8::/129]}]}', '2001', /2001:db8::\/129/],
  ['cilium', '{endpointSelector: {}, egress: [{toFQDNs: [{matchPattern: "a b"}]}]}', '"a b"', /is not a DNS pattern/],
  [
    'cilium',
    '{endpointSelector: {}, ingress: [{toPorts: [{ports: [{port: "1", protocol: UDP}], rules: {http: [{}]}}]}]}',
    '{http',
    /http rules need protocol TCP/,
  ],
  ['cilium', '{ingress: [{}]}', '{ingress', /endpointSelector or nodeSelector is required/],
  ['cluster', '{priority: 1, subject: {namespaces: {}}}', '{priority', /spec.tier: required/],
  [
    'cluster',
    '{tier: Middle, priority: 1, subject: {namespaces: {}}}',
    'Middle',
    /"Middle" is not one of Admin, Baseline/,
  ],
  ['cluster', '{tier: Admin, subject: {namespaces: {}}}', '{tier', /spec.priority: required/],
  ['cluster', '{tier: Admin, priority: 1001, subject: {namespaces: {}}}', '1001', /1001 is not in 0–1000/],
  ['cluster', '{tier: Admin, priority: 1}', '{tier', /spec.subject: required/],
  ['cluster', '{tier: Admin, priority: 1, subject: {}}', '{}', /exactly one of namespaces, pods is needed/],
  [
    'cluster',
    '{tier: Admin, priority: 1, subject: {namespaces: {}, pods: {podSelector: {}}}}',
    '{namespaces',
    /got namespaces and pods/,
  ],
  ['cluster', '{tier: Admin, priority: 1, subject: {pods: {}}}', '{}', /podSelector: required/],
  ['cluster', rule('to: [{namespaces: {}}]'), '{to', /action: required/],
  ['cluster', rule('action: Allow, to: [{namespaces: {}}]'), 'Allow', /"Allow" is not one of Accept, Deny, Pass/],
  ['cluster', rule('action: Accept'), '{action', /egress\[0\].to: required/],
  ['cluster', rule('action: Accept, to: []'), '[]', /to: must not be empty/],
  [
    'cluster',
    rule(`action: Accept, to: [${many(26, '{namespaces: {}}')}]`),
    '[{namespaces',
    /26 items, the most is 25/,
  ],
  [
    'cluster',
    `{${TIER}, egress: [${many(26, '{action: Deny, to: [{namespaces: {}}]}')}]}`,
    '[{action',
    /egress: 26 items/,
  ],
  [
    'cluster',
    rule(`action: Accept, name: ${'n'.repeat(101)}, to: [{namespaces: {}}]`),
    'nnn',
    /101 characters, the most is 100/,
  ],
  ['cluster', to('{namespaces: {}, nodes: {}}'), '{namespaces: {}, nodes', /only one of namespaces, pods, nodes/],
  ['cluster', to('{networks: []}'), '[]', /networks: must not be empty/],
  ['cluster', to(`{networks: [${many(26, '10.0.0.0/8')}]}`), '[10', /26 items, the most is 25/],
  ['cluster', to('{networks: [10.0.0.1]}'), '10.0.0.1', /is not a CIDR/],
  ['cluster', to('{domainNames: ["a.*.org"]}'), '"a.*', /is not a domain name/],
  ['cluster', rule('action: Deny, to: [{domainNames: [a.org]}]'), '[a.org', /not allowed with action Deny/],
  ['cluster', protocol('{}'), '{}]}]', /exactly one of tcp, udp, sctp/],
  ['cluster', protocol('{tcp: {}}'), '{}}]}]', /tcp.destinationPort: required/],
  ['cluster', protocol('{tcp: {destinationPort: {number: 0}}}'), '0}', /0 is not in 1–65535/],
  [
    'cluster',
    protocol('{tcp: {destinationPort: {number: 1, range: {start: 1, end: 2}}}}'),
    '{number',
    /exactly one of number, range/,
  ],
  [
    'cluster',
    protocol('{tcp: {destinationPort: {range: {start: 2, end: 2}}}}'),
    '{start',
    /start 2 is not below end 2/,
  ],
  ['cluster', protocol('{tcp: {destinationPort: {range: {start: 2}}}}'), '{start', /range.end: required/],
  ['cluster', protocol('{destinationNamedPort: WEB}'), 'WEB', /is not a port name/],
  [
    'cluster',
    rule('action: Accept, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: web}]'),
    '{action',
    /have no named ports/,
  ],
  ['admin', '{priority: -1, subject: {namespaces: {}}}', '-1', /-1 is not in 0–1000/],
  [
    'admin',
    admin('{portNumber: {port: 1}, namedPort: web}'),
    '{portNumber',
    /exactly one of portNumber, portRange, namedPort/,
  ],
  ['admin', admin('{portRange: {start: 9, end: 8}}'), '{start', /start 9 is not below end 8/],
  ['admin', admin('{portNumber: {protocol: ICMP, port: 1}}'), 'ICMP', /"ICMP" is not one of TCP, UDP, SCTP/],
  [
    'baseline',
    '{subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}',
    'Pass',
    /"Pass" is not one of Allow, Deny/,
  ],
];

for (const [kind, spec, at, message] of ROWS) {
  test(`refused: ${kind} ${spec.slice(0, 70)}`, () => {
    const text = `# first line\n${PREFIX[kind]}${spec}}\n`;
    const { state, problems } = readManifests([{ file: 'f.yaml', text }]);
    assert.equal(state, undefined);
    const errors = problems.filter(({ severity }) => severity === 'error');
    assert.equal(errors.length, 1, errors.map(formatProblem).join('\n'));
    assert.match(errors[0]!.message, message);
    const column = PREFIX[kind].length + spec.indexOf(at) + 1;
    assert.deepEqual([errors[0]!.file, errors[0]!.line, errors[0]!.column], ['f.yaml', 2, column], errors[0]!.message);
  });
}

test('refused: all of it is said at once, and what is fine beside it does not help', () => {
  const texts = ROWS.map(([kind, spec], i) => `${PREFIX[kind].replace('name: p', `name: p${i}`)}${spec}}`);
  const { state, problems } = readManifests([{ file: 'f.yaml', text: texts.slice(0, -1).join('\n---\n') }]);
  assert.equal(state, undefined);
  assert.equal(problems.filter(({ severity }) => severity === 'error').length, ROWS.length - 1);
});

test('refused: a second BaselineAdminNetworkPolicy cannot be, since there is one name', () => {
  const text =
    PREFIX.baseline.replace('name: default', 'name: other') +
    '{subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}}';
  const { problems } = readManifests([{ file: 'f.yaml', text }]);
  assert.match(problems.map(formatProblem).join(), /there is only one, named default/);
});
