// Bad manifests: every problem of a text at once, with exact places and words.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readManifests } from '../../../src/control/manifest/index.ts';
import { formatProblem } from '../../../src/control/problem.ts';

/** Loads the text; each expected line is `severity line:column: message`. */
function expectProblems(text: string, expected: string): void {
  const { state, problems } = readManifests([{ file: 'f', text }]);
  assert.equal(state === undefined, expected.includes('error '));
  const lines = problems.map((p) => `${p.severity} ${formatProblem(p).slice('f:'.length)}`);
  assert.deepEqual(
    lines,
    expected
      .trim()
      .split('\n')
      .map((line) => line.trim()),
  );
}

test('NetworkPolicy', () => {
  expectProblems(
    `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: p
  namespace: x
spec:
  podSelector:
    matchLabels:
      app: -web
      "bad key": v
    matchExpressions:
      - {key: a, operator: Equals, values: [b]}
      - {key: a, operator: In, values: []}
      - {key: a, operator: Exists, values: [b]}
      - {operator: In}
  policyTypes: [Ingress, ingress]
  ingress:
    - form:
        - podSelector: {}
    - from:
        - {}
        - ipBlock: {cidr: 10.0.0.0/8}
          podSelector: {}
        - ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16, 10.0.0.0/8, 10.1.0.0/16]}
        - ipBlock: {cidr: 10.0.0.1}
        - ipBlock: {cidr: 010.0.0.0/8}
      ports:
        - {port: 0}
        - {port: "80"}
        - {port: 80, endPort: 79}
        - {port: http, endPort: 90}
        - {endPort: 90}
        - {port: 80, protocol: tcp}
        - {port: 70000}
        - {port: 80.5}
        - {port: true}
  egress: all
`,
    `
    error 9:12: NetworkPolicy x/p: spec.podSelector.matchLabels.app: "-web" is not a label value
    error 10:7: NetworkPolicy x/p: spec.podSelector.matchLabels: "bad key" is not a label key
    error 12:28: NetworkPolicy x/p: spec.podSelector.matchExpressions[0].operator: "Equals" is not one of In, NotIn, Exists, DoesNotExist
    error 13:9: NetworkPolicy x/p: spec.podSelector.matchExpressions[1].values: required for operator In
    error 14:9: NetworkPolicy x/p: spec.podSelector.matchExpressions[2].values: not allowed with operator Exists
    error 15:9: NetworkPolicy x/p: spec.podSelector.matchExpressions[3].key: required
    error 16:26: NetworkPolicy x/p: spec.policyTypes[1]: "ingress" is not one of Ingress, Egress
    warning 18:7: NetworkPolicy x/p: spec.ingress[0].form: unknown field, it has no effect (did you mean from?)
    error 21:11: NetworkPolicy x/p: spec.ingress[1].from[0]: a peer needs podSelector, namespaceSelector or ipBlock
    error 22:11: NetworkPolicy x/p: spec.ingress[1].from[1]: ipBlock cannot be combined with podSelector or namespaceSelector in one peer
    error 24:48: NetworkPolicy x/p: spec.ingress[1].from[2].ipBlock.except[0]: 11.0.0.0/16 is not strictly inside 10.0.0.0/8
    error 24:61: NetworkPolicy x/p: spec.ingress[1].from[2].ipBlock.except[1]: 10.0.0.0/8 is not strictly inside 10.0.0.0/8
    error 25:27: NetworkPolicy x/p: spec.ingress[1].from[3].ipBlock.cidr: "10.0.0.1" is not a CIDR: it has no /length
    error 26:27: NetworkPolicy x/p: spec.ingress[1].from[4].ipBlock.cidr: "010.0.0.0" is not an IP address: leading zeros are not allowed
    error 28:18: NetworkPolicy x/p: spec.ingress[1].ports[0].port: 0 is not in 1–65535
    error 29:18: NetworkPolicy x/p: spec.ingress[1].ports[1].port: "80" is a string without a letter: a port number is written without quotes
    error 30:31: NetworkPolicy x/p: spec.ingress[1].ports[2].endPort: 79 is below port 80
    error 31:33: NetworkPolicy x/p: spec.ingress[1].ports[3].endPort: not allowed with a named port
    error 32:21: NetworkPolicy x/p: spec.ingress[1].ports[4].endPort: needs a port
    error 33:32: NetworkPolicy x/p: spec.ingress[1].ports[5].protocol: "tcp" is not one of TCP, UDP, SCTP
    error 34:18: NetworkPolicy x/p: spec.ingress[1].ports[6].port: 70000 is not in 1–65535
    error 35:18: NetworkPolicy x/p: spec.ingress[1].ports[7].port: expected an integer, got 80.5
    error 36:18: NetworkPolicy x/p: spec.ingress[1].ports[8].port: expected an integer or a port name, got boolean
    error 37:11: NetworkPolicy x/p: spec.egress: expected a list, got string`,
  );
});

test('Cilium policies', () => {
  expectProblems(
    `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: p
  namespace: x
specs:
  - endpointSelector: {}
    nodeSelector: {}
    ingress: [{}]
  - description: neither
    egress: [{}]
  - nodeSelector: {}
    ingress: [{}]
  - endpointSelector: {}
    ingresss: [{}]
  - endpointSelector: {}
    ingress:
      - fromEndpoints: [{}]
        fromEntities: [world]
        fromCIDR: []
      - fromEntities: [internet]
      - toPorts:
          - ports:
              - {port: 80}
              - {port: "65536"}
              - {port: "080"}
              - {port: http_alt}
              - {protocol: TCP}
              - {port: "80", protocol: tcp}
              - {port: "80", endPort: 79}
              - {port: http, endPort: 90}
        icmps: [{fields: [{type: 8}]}]
      - icmps: [{fields: [{type: EchoRequest, family: IPv5}, {type: RouterSolicitation}, {type: 256}, {family: IPv6}]}]
      - toPorts:
          - ports: [{port: "53", protocol: UDP}]
            rules: {dns: [{matchPattern: "*"}]}
          - ports: [{port: "80", protocol: UDP}]
            rules: {http: [{}]}
          - ports: [{port: "80", protocol: TCP}]
            rules: {http: [{}], kafka: [{}]}
          - ports: [{port: "0", protocol: TCP}]
            rules: {l7proto: custom}
          - rules: {l7: [{}]}
      - fromCIDRSet:
          - {cidr: 10.0.0.0/8, except: [11.0.0.0/8]}
          - {cidr: 10.0.0.1}
          - {}
          - {cidr: 10.0.0.0/8, cidrGroupRef: g}
    egress:
      - toFQDNs:
          - {}
          - {matchName: a.b, matchPattern: "*.b"}
          - {matchName: "a b"}
      - toServices:
          - {k8sService: {namespace: n}}
          - {}
      - toEndpoints: [{}]
        toFQDNs: [{matchName: a.b}]
    egressDeny:
      - toFQDNs: [{matchName: a.b}]
      - toPorts:
          - ports: [{port: "80"}]
            rules: {http: [{}]}
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: host}
spec:
  nodeSelector: {matchLabels: {"k8s:a b": c}}
  ingress:
    - toPorts:
        - ports: [{port: "80", protocol: TCP}]
          rules: {http: [{}]}
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: none}
`,
    `
    error 7:5: CiliumNetworkPolicy x/p: specs[0]: endpointSelector and nodeSelector cannot both be set
    error 10:5: CiliumNetworkPolicy x/p: specs[1]: endpointSelector or nodeSelector is required
    error 12:19: CiliumNetworkPolicy x/p: specs[2].nodeSelector: only a CiliumClusterwideNetworkPolicy can select nodes
    warning 14:5: CiliumNetworkPolicy x/p: specs[3]: no ingress or egress rules, so it has no effect
    warning 15:5: CiliumNetworkPolicy x/p: specs[3].ingresss: unknown field, it has no effect (did you mean ingress?)
    error 19:9: CiliumNetworkPolicy x/p: specs[4].ingress[0]: fromEndpoints and fromEntities cannot be combined in one rule; write one rule for each
    error 21:24: CiliumNetworkPolicy x/p: specs[4].ingress[1].fromEntities[0]: "internet" is not one of all, world, world-ipv4, world-ipv6, cluster, host, init, ingress, unmanaged, remote-node, health, none, kube-apiserver
    error 24:24: CiliumNetworkPolicy x/p: specs[4].ingress[2].toPorts[0].ports[0].port: expected a string, got number; write "80"
    error 25:24: CiliumNetworkPolicy x/p: specs[4].ingress[2].toPorts[0].ports[1].port: "65536" is not a port (0–65535)
    error 26:24: CiliumNetworkPolicy x/p: specs[4].ingress[2].toPorts[0].ports[2].port: "080" is not a port (0–65535)
    error 27:24: CiliumNetworkPolicy x/p: specs[4].ingress[2].toPorts[0].ports[3].port: "http_alt" is neither a port number nor a port name
    error 28:17: CiliumNetworkPolicy x/p: specs[4].ingress[2].toPorts[0].ports[4].port: required
    error 29:40: CiliumNetworkPolicy x/p: specs[4].ingress[2].toPorts[0].ports[5].protocol: "tcp" is not one of ANY, TCP, UDP, SCTP, ICMP, ICMPV6, ICMPv6, VRRP, IGMP
    warning 30:39: CiliumNetworkPolicy x/p: specs[4].ingress[2].toPorts[0].ports[6].endPort: 79 is below port 80 and is ignored
    warning 31:39: CiliumNetworkPolicy x/p: specs[4].ingress[2].toPorts[0].ports[7].endPort: is ignored with a named port
    error 32:16: CiliumNetworkPolicy x/p: specs[4].ingress[2]: icmps and toPorts cannot be combined in one rule; write two rules
    error 33:55: CiliumNetworkPolicy x/p: specs[4].ingress[3].icmps[0].fields[0].family: "IPv5" is not one of IPv4, IPv6
    error 33:69: CiliumNetworkPolicy x/p: specs[4].ingress[3].icmps[0].fields[1].type: "RouterSolicitation" is not an ICMP type of IPv4
    error 33:97: CiliumNetworkPolicy x/p: specs[4].ingress[3].icmps[0].fields[2].type: 256 is not in 0–255
    error 33:103: CiliumNetworkPolicy x/p: specs[4].ingress[3].icmps[0].fields[3].type: required
    error 36:20: CiliumNetworkPolicy x/p: specs[4].ingress[4].toPorts[0].rules.dns: DNS rules are for egress only
    error 38:20: CiliumNetworkPolicy x/p: specs[4].ingress[4].toPorts[1].rules: http rules need protocol TCP, not UDP
    error 40:20: CiliumNetworkPolicy x/p: specs[4].ingress[4].toPorts[2].rules: http and kafka cannot be combined; one kind of layer-7 rule for each toPorts item
    error 42:20: CiliumNetworkPolicy x/p: specs[4].ingress[4].toPorts[3].rules: layer-7 rules cannot be used with port 0
    error 43:25: CiliumNetworkPolicy x/p: specs[4].ingress[4].toPorts[4].rules.l7: needs l7proto
    error 45:41: CiliumNetworkPolicy x/p: specs[4].ingress[5].fromCIDRSet[0].except[0]: 11.0.0.0/8 is not inside 10.0.0.0/8
    error 46:20: CiliumNetworkPolicy x/p: specs[4].ingress[5].fromCIDRSet[1].cidr: "10.0.0.1" is not a CIDR: it has no /length
    error 47:13: CiliumNetworkPolicy x/p: specs[4].ingress[5].fromCIDRSet[2]: exactly one of cidr, cidrGroupRef and cidrGroupSelector is needed
    error 48:13: CiliumNetworkPolicy x/p: specs[4].ingress[5].fromCIDRSet[3]: exactly one of cidr, cidrGroupRef and cidrGroupSelector is needed, got cidr and cidrGroupRef
    error 51:13: CiliumNetworkPolicy x/p: specs[4].egress[0].toFQDNs[0]: matchName or matchPattern is required
    error 52:13: CiliumNetworkPolicy x/p: specs[4].egress[0].toFQDNs[1]: only one of matchName and matchPattern is allowed
    error 53:25: CiliumNetworkPolicy x/p: specs[4].egress[0].toFQDNs[2].matchName: "a b" is not a DNS name
    error 55:26: CiliumNetworkPolicy x/p: specs[4].egress[1].toServices[0].k8sService.serviceName: required
    error 56:13: CiliumNetworkPolicy x/p: specs[4].egress[1].toServices[1]: k8sService or k8sServiceSelector is required
    error 58:9: CiliumNetworkPolicy x/p: specs[4].egress[2]: toEndpoints and toFQDNs cannot be combined in one rule; write one rule for each
    warning 60:9: CiliumNetworkPolicy x/p: specs[4].egressDeny[0].toFQDNs: unknown field, it has no effect
    warning 63:13: CiliumNetworkPolicy x/p: specs[4].egressDeny[1].toPorts[0].rules: unknown field, it has no effect
    error 69:32: CiliumClusterwideNetworkPolicy host: spec.nodeSelector.matchLabels: "k8s:a b" is not a label key
    error 73:18: CiliumClusterwideNetworkPolicy host: spec.ingress[0].toPorts[0].rules: a policy that selects nodes cannot have layer-7 rules
    error 75:1: CiliumNetworkPolicy none: spec or specs: required`,
  );
});

test('workloads and services', () => {
  expectProblems(
    `apiVersion: v1
kind: Pod
metadata:
  name: UPPER_case
  namespace: a/b
  labels: [a]
spec:
  hostNetwork: "true"
  containers:
    - name: c
      ports:
        - {containerPort: 0}
        - {name: a-name-that-is-too-long, containerPort: 80}
        - {name: x}
        - {containerPort: 80, protocol: ICMP}
    - 7
status:
  phase: Sleeping
  podIP: 10.0.0.300
---
apiVersion: v1
kind: Pod
metadata: {generateName: a-}
---
apiVersion: v1
kind: Pod
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: x}
spec:
  type: Headless
  clusterIP: 10.96.0.1
  clusterIPs: [10.96.0.2]
  ports:
    - {port: 80, targetPort: WEB}
    - {name: a, port: 80}
    - {name: a, port: 81, nodePort: 99999}
    - {name: b}
  externalIPs: [192.0.2.1/32]
  loadBalancerSourceRanges: [10.0.0.0]
  sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}
---
apiVersion: v1
kind: Service
metadata: {name: t, namespace: x}
spec: {clusterIP: 10.96.0.3}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: e, namespace: x, annotations: {service.cilium.io/weight: heavy}}
addressType: IPv4
endpoints:
  - addresses: ['fd00::1', 10.0.0.1]
  - conditions: {ready: yes}
---
apiVersion: v1
kind: Node
metadata: {name: n}
status: {addresses: [{type: InternalIP, address: n1}]}
---
apiVersion: cilium.io/v2
kind: CiliumIdentity
metadata: {name: twelve}
`,
    `
    error 4:9: Pod a/b/UPPER_case: metadata.name: "UPPER_case" is not a DNS name (lower-case letters, digits, '-' and '.')
    error 5:14: Pod a/b/UPPER_case: metadata.namespace: "a/b" is not a DNS name
    error 6:11: Pod a/b/UPPER_case: metadata.labels: expected an object, got list
    error 8:16: Pod a/b/UPPER_case: spec.hostNetwork: expected a boolean, got string
    error 12:27: Pod a/b/UPPER_case: spec.containers[0].ports[0].containerPort: 0 is not in 1–65535
    error 13:18: Pod a/b/UPPER_case: spec.containers[0].ports[1].name: "a-name-that-is-too-long" is longer than 15 characters
    error 14:11: Pod a/b/UPPER_case: spec.containers[0].ports[2].containerPort: required
    error 15:41: Pod a/b/UPPER_case: spec.containers[0].ports[3].protocol: "ICMP" is not one of TCP, UDP, SCTP
    error 16:7: Pod a/b/UPPER_case: spec.containers[1]: expected an object, got number
    error 18:10: Pod a/b/UPPER_case: status.phase: "Sleeping" is not one of Pending, Running, Succeeded, Failed, Unknown
    error 19:10: Pod a/b/UPPER_case: status.podIP: "10.0.0.300" is not an IP address
    error 23:11: Pod: metadata.name: required
    error 25:1: Pod: metadata.name: required
    error 32:9: Service x/s: spec.type: "Headless" is not one of ClusterIP, NodePort, LoadBalancer, ExternalName
    error 33:14: Service x/s: spec.clusterIP: 10.96.0.1 is not the first of spec.clusterIPs (10.96.0.2)
    error 36:7: Service x/s: spec.ports[0].name: required when a Service has more than one port
    error 36:30: Service x/s: spec.ports[0].targetPort: "WEB" is not a port name (lower-case letters, digits and '-')
    error 38:7: Service x/s: spec.ports[2].name: duplicate port name "a"
    error 38:37: Service x/s: spec.ports[2].nodePort: 99999 is not in 0–65535
    error 39:7: Service x/s: spec.ports[3].port: required
    error 40:17: Service x/s: spec.externalIPs[0]: "192.0.2.1/32" is not an IP address
    error 41:30: Service x/s: spec.loadBalancerSourceRanges[0]: "10.0.0.0" is not a CIDR: it has no /length
    error 42:54: Service x/s: spec.sessionAffinityConfig.clientIP.timeoutSeconds: 0 is not in 1–86400
    error 47:7: Service x/t: spec.ports: required
    warning 51:11: EndpointSlice x/e: metadata.annotations.service.cilium.io/weight: "heavy" is not a weight (0–65535) and is ignored
    error 54:17: EndpointSlice x/e: endpoints[0].addresses[0]: fd00::1 is not of addressType IPv4
    error 55:5: EndpointSlice x/e: endpoints[1].addresses: required
    error 55:25: EndpointSlice x/e: endpoints[1].conditions.ready: expected a boolean, got string
    error 60:50: Node n: status.addresses[0].address: "n1" is not an IP address
    error 64:18: CiliumIdentity twelve: metadata.name: "twelve" is not an identity number`,
  );
});

test('a typo in a policy that still loads is a warning, elsewhere silence', () => {
  expectProblems(
    `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p}, spec: {podSelecter: {}, ingress: [{from: [{podSelector: {matchLabel: {a: b}}}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {continers: []}}
`,
    `
    warning 1:84: NetworkPolicy p: spec.podSelector: absent, which selects every pod of the namespace; write {} if that is meant
    warning 1:85: NetworkPolicy p: spec.podSelecter: unknown field, it has no effect (did you mean podSelector?)
    warning 1:135: NetworkPolicy p: spec.ingress[0].from[0].podSelector.matchLabel: unknown field, it has no effect (did you mean matchLabels?)`,
  );
});

test('fields of layer-7 rules that nobody knows are told, since such a rule lets more pass than was meant', () => {
  const rules = (kind: string, item: string): string =>
    `{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {name: p, namespace: x}, spec: {endpointSelector: {}, egress: [{toPorts: [{ports: [{port: "80", protocol: TCP}], rules: {${kind}: [${item}]}}]}]}}`;
  const said = (kind: string, item: string): string =>
    readManifests([{ file: 'f.yaml', text: rules(kind, item) }])
      .problems.map(({ severity, message }) => `${severity} ${message.replace(/^.*egress/, 'egress')}`)
      .join('\n');
  assert.equal(
    said('http', '{paths: /v1}'),
    'warning egress[0].toPorts[0].rules.http[0].paths: unknown field, it has no effect (did you mean path?)',
  );
  assert.match(said('dns', '{matchName: a.b, name: c.d}'), /^warning .*dns\[0\]\.name: unknown field/);
  assert.match(said('kafka', '{topics: t}'), /^warning .*kafka\[0\]\.topics: unknown field/);
  assert.equal(said('http', '{method: GET, path: /, host: h, headers: [a], headerMatches: [{name: b}]}'), '');
});
