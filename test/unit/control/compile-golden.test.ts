// The whole content of the maps for one small world, decoded, against a committed file: a change of layout, numbering or
// order shows as a line. WEIR_UPDATE_GOLDEN=1 writes the file anew.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Compiled, Compiler } from '../../../src/control/compile.ts';
import type { DesiredMap } from '../../../src/control/desired-map.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';
import { goldenFile, UPDATE_GOLDEN } from '../../support/repository.ts';

const WORLD = `
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 172.18.0.11}]}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {nodeName: n1, containers: [{name: c}]}, status: {podIP: 10.244.0.10}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}, spec: {nodeName: n1, containers: [{name: c}]}, status: {podIP: 10.244.0.11}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: shop}, spec: {type: NodePort, clusterIP: 10.96.0.10, ports: [{port: 5432, nodePort: 30432}]}}
---
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: db-1, namespace: shop, labels: {kubernetes.io/service-name: db}}, addressType: IPv4, endpoints: [{addresses: [10.244.0.11], nodeName: n1}, {addresses: [10.244.0.12], conditions: {ready: false, serving: true, terminating: true}}], ports: [{port: 5432}]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{port: 5432}]
    - from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}]
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
    - toEntities: [cluster]
      toPorts: [{ports: [{port: "1000", endPort: 1002, protocol: TCP}]}]
  egressDeny:
    - toEntities: [world]
`;

const plain = (value: unknown): unknown =>
  value instanceof Uint8Array
    ? Array.from(value, (b) => b.toString(16).padStart(2, '0')).join('')
    : typeof value === 'bigint'
      ? String(value)
      : value;
const fields = (decoded: object): string =>
  Object.entries(decoded)
    .map(([name, value]) => `${name}=${Array.isArray(value) ? value.join('/') : String(plain(value))}`)
    .join(' ');

function dump(compiled: Compiled): string {
  const lines: string[] = [];
  for (const map of Object.values(compiled.maps) as DesiredMap[]) {
    for (const [key, value] of map) {
      const body = map.spec.kind === 'array-of-arrays' ? `${value.length} bytes` : fields(map.spec.value.decode(value));
      lines.push(`${map.spec.name}: ${fields(map.spec.key.decode(key))} -> ${body}`);
    }
  }
  for (const [cookie, ids] of compiled.provenance.toJSON().cookies) {
    const rules = compiled.provenance.rulesOf(cookie).map((r) => `${r.kind} ${r.name} ${r.rule}:${r.line}`);
    lines.push(`cookie ${cookie}: ${rules.join(', ')} (${ids.length})`);
  }
  return `${lines.join('\n')}\n`;
}

test('the maps of a small world', () => {
  const file = goldenFile('control/shop-maps.txt');
  const compiled = new Compiler(configWith({ kubeProxyReplacement: true })).compile(stateOf(WORLD));
  assert.deepEqual(compiled.problems, []);
  const text = dump(compiled);
  if (UPDATE_GOLDEN) writeFileSync(file, text);
  assert.equal(text, readFileSync(file, 'utf8'));
});
