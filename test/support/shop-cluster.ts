// A small shop as manifests, with policies that a reader can check by hand. Output: texts. Lines matter: tests name them.

/** Nodes, namespaces, pods, a Service: web and two api pods in `shop`, dns in `kube-system`, a stranger in `other`. */
export const SHOP = `
{apiVersion: v1, kind: Node, metadata: {name: n1}, status: {addresses: [{type: InternalIP, address: 172.18.0.11}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: [{type: InternalIP, address: 172.18.0.12}]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: sales}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other, labels: {team: ops}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: kube-system}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {nodeName: n1, containers: [{name: c}]}, status: {podIP: 10.244.1.10}}
---
{apiVersion: v1, kind: Pod, metadata: {name: api-1, namespace: shop, labels: {app: api}}, spec: {nodeName: n1, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}, status: {podIP: 10.244.1.11}}
---
{apiVersion: v1, kind: Pod, metadata: {name: api-2, namespace: shop, labels: {app: api}}, spec: {nodeName: n2, containers: [{name: c, ports: [{name: http, containerPort: 8080}]}]}, status: {podIP: 10.244.2.11}}
---
{apiVersion: v1, kind: Pod, metadata: {name: dns, namespace: kube-system, labels: {k8s-app: kube-dns}}, spec: {nodeName: n2, containers: [{name: c, ports: [{name: dns, containerPort: 53, protocol: UDP}]}]}, status: {podIP: 10.244.2.53}}
---
{apiVersion: v1, kind: Pod, metadata: {name: stranger, namespace: other, labels: {app: web}}, spec: {nodeName: n2, containers: [{name: c}]}, status: {podIP: 10.244.2.99}}
---
{apiVersion: v1, kind: Service, metadata: {name: api, namespace: shop}, spec: {clusterIP: 10.96.0.10, selector: {app: api}, ports: [{port: 80, targetPort: http, protocol: TCP}]}}
`;

/** api takes web on 8080 (line 2 the policy, 6 its rule); web speaks to api and to a name (line 10 the policy). */
export const SHOP_POLICIES = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api, namespace: shop}
spec: {podSelector: {matchLabels: {app: api}}, ingress: [
  {from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}
  ]}
---

apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  endpointSelector: {matchLabels: {app: web}}
  egress:
    - toEndpoints: [{matchLabels: {app: api}}]
      toPorts: [{ports: [{port: "8080", protocol: TCP}], rules: {http: [{method: GET}]}}]
    - toFQDNs: [{matchName: api.example.com}]
      toPorts: [{ports: [{port: "443", protocol: TCP}]}]
    - toEndpoints: [{matchLabels: {k8s:io.kubernetes.pod.namespace: kube-system}}]
      toPorts: [{ports: [{port: "53", protocol: UDP}]}]
`;
