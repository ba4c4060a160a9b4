// Pods and namespaces that a running control plane takes up alone, and what reaches further. Input: small clusters. Output: content and
// problems as a fresh compile has them (see PolicyHistory), and whether the whole was compiled for it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Controller } from '../../../src/control/controller.ts';
import type { ClusterObject } from '../../../src/control/state.ts';
import { Provenance } from '../../../src/control/provenance.ts';
import { emptyFacts, type NetworkPolicyPeer } from '../../../src/control/state.ts';
import { sizesOf } from '../../support/collection-sizes.ts';
import { objectsOf, PolicyHistory, wholeCompiles } from '../../support/policy-history.ts';
import { configWith, stateOf } from '../../support/policy-world.ts';

const NODES = ['n1', 'n2'].map((name, i) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  status: { addresses: [{ type: 'InternalIP', address: `172.18.0.1${i + 1}` }] },
}));
const namespace = (name: string): object => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
const pod = (
  name: string,
  ips: readonly string[],
  more: { labels?: object; http?: number; spec?: object } = {},
): object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'x', labels: more.labels ?? { app: 'a' } },
  spec: {
    nodeName: 'n1',
    containers: [{ name: 'c', ports: more.http === undefined ? [] : [{ name: 'http', containerPort: more.http }] }],
    ...more.spec,
  },
  status: { podIPs: ips.map((ip) => ({ ip })) },
});
const policy = (name: string, spec: object): object => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name, namespace: 'x' },
  spec,
});
const isolate = policy('isolate', {
  podSelector: {},
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ from: [{ podSelector: { matchLabels: { app: 'a' } } }] }],
  egress: [{ to: [{ podSelector: {} }], ports: [{ port: 'http' }] }],
});

const objects = (...documents: readonly object[]): ClusterObject[] =>
  objectsOf(stateOf(documents.map((document) => JSON.stringify(document)).join('\n---\n')));

class Cluster extends PolicyHistory {
  constructor(...documents: readonly object[]) {
    super({}, undefined);
    this.take(...NODES, namespace('x'), isolate, ...documents);
  }
  /** Takes objects and settles; true when the whole was compiled. */
  take(...documents: readonly object[]): boolean {
    for (const object of objects(...documents)) this.put(object);
    this.settle();
    return this.wasWhole;
  }
  /** Takes an object away and settles; true when the whole was compiled. */
  leave(document: object): boolean {
    for (const object of objects(document)) this.drop(object);
    this.settle();
    return this.wasWhole;
  }
}

describe('pods that are taken up alone', () => {
  test('one that comes, changes its labels and its node, and goes', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']));
    const other = pod('other', ['10.0.0.2', 'fd00::2']);
    assert.equal(cluster.take(other), false);
    assert.equal(cluster.take(pod('other', ['10.0.0.2', 'fd00::2'], { labels: { app: 'b' } })), false);
    assert.equal(cluster.take(pod('other', ['10.0.0.2'], { labels: { app: 'b' }, spec: { nodeName: 'n2' } })), false);
    assert.equal(cluster.leave(other), false);
  });

  test('one whose address another takes at once', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']), pod('two', ['10.0.0.2']));
    for (const object of objects(pod('one', ['10.0.0.1']))) cluster.drop(object);
    assert.equal(cluster.take(pod('three', ['10.0.0.1'], { labels: { app: 'c' } })), false);
  });

  test('a namespace with other labels', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']));
    assert.equal(cluster.take({ ...namespace('x'), metadata: { name: 'x', labels: { team: 't' } } }), false);
  });
});

describe('pods that reach further', () => {
  test('an address that two pods claim goes to the other one', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']), pod('three', ['10.0.0.3']));
    assert.equal(cluster.take(pod('two', ['10.0.0.1'])), true);
    assert.equal(cluster.leave(pod('one', ['10.0.0.1'])), true);
    assert.equal(cluster.leave(pod('two', ['10.0.0.1'])), false);
  });

  test('a pod that takes an address over does not go on with an epoch of its own that is older', () => {
    const cluster = new Cluster(pod('old', ['10.0.0.9']), pod('last', ['10.0.0.1']));
    cluster.take(pod('last', ['10.0.0.1'], { labels: { app: 'b' } }));
    cluster.take(pod('old', ['10.0.0.9', '10.0.0.1']));
    cluster.leave(pod('last', ['10.0.0.1']));
  });

  test('an address twice on one pod, and one of a node', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']));
    assert.equal(cluster.take(pod('two', ['10.0.0.2', '10.0.0.2'])), true);
    assert.equal(cluster.leave(pod('two', ['10.0.0.2'])), true);
    assert.equal(cluster.take(pod('two', ['172.18.0.11'])), true);
    assert.equal(cluster.leave(pod('two', ['172.18.0.11'])), true);
  });

  test('one of those that disagree about a port name goes', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1'], { http: 80 }));
    assert.equal(cluster.take(pod('two', ['10.0.0.2'], { http: 81 })), true);
    assert.equal(cluster.leave(pod('two', ['10.0.0.2'])), true);
  });

  test('a node that only a pod names, with an address or without', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']));
    for (const ips of [['10.0.0.2'], []]) {
      assert.equal(cluster.take(pod('two', ips, { spec: { nodeName: 'n3' } })), true);
      assert.equal(cluster.leave(pod('two', ips)), true);
    }
  });

  test('a namespace whose only pods have no address', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1'], { labels: { app: 'b' } }));
    cluster.take(
      policy('by-label', {
        podSelector: {},
        ingress: [{ from: [{ namespaceSelector: { matchLabels: { a: 'b' } } }] }],
      }),
    );
    const waiting = { ...pod('waiting', []), metadata: { name: 'waiting', namespace: 'y' } };
    assert.equal(cluster.take(waiting), true);
    assert.equal(cluster.take(namespace('y')), true);
    assert.equal(cluster.leave(namespace('y')), true);
  });

  test('an address that a fact speaks of', () => {
    const [one] = objects(pod('one', ['10.0.0.1']));
    const facts = { ...emptyFacts(), entities: new Map([['10.0.0.1', ['health'] as const]]) };
    const state = { ...stateOf(...[...NODES, namespace('x'), isolate].map((o) => JSON.stringify(o))), facts };
    const controller = new Controller(configWith({}));
    controller.replaceAll({ ...state, pods: [one as never] });
    controller.settle();
    assert.equal(controller.content().ipcache4?.size, 4);
    controller.remove('Pod', 'x/one');
    controller.settle();
    assert.equal(controller.content().ipcache4?.size, 4, 'the address is the fact’s now');
  });
});

describe('policies that are taken up alone', () => {
  const cidr = (name: string, block: string): object =>
    policy(name, { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: block } }] }] });

  test('one that comes, changes and goes', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']), pod('two', ['10.0.0.2'], { labels: { app: 'b' } }));
    const open = policy('open', { podSelector: { matchLabels: { app: 'b' } }, ingress: [{}] });
    assert.equal(cluster.take(open), false);
    const few = cluster.writes;
    assert.equal(cluster.take(policy('open', { podSelector: { matchLabels: { app: 'a' } }, ingress: [{}] })), false);
    assert.equal(cluster.leave(open), false);
    assert.ok(few < 8, `${few} writes for a policy of one pod`);
  });

  test('the first and the last policy of a pod', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']));
    assert.equal(cluster.leave(isolate), false);
    assert.equal(cluster.controller.content().policy?.size, 0);
    assert.equal(cluster.take(isolate), false);
  });

  test('a policy and a pod in one settle', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1'], { http: 80 }));
    const named = policy('named', { podSelector: {}, ingress: [{ ports: [{ port: 'http' }] }] });
    assert.equal(cluster.take(named, pod('two', ['10.0.0.2'], { labels: { app: 'b' }, http: 81 })), false);
    assert.equal(cluster.leave(named), false);
  });

  test('a prefix that others name is nothing new; the first and the last of its kind reach further', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']));
    assert.equal(cluster.take(cidr('first', '203.0.113.0/24')), true);
    assert.equal(cluster.take(cidr('second', '203.0.113.0/24')), false);
    assert.equal(cluster.leave(cidr('first', '203.0.113.0/24')), false);
    assert.equal(cluster.leave(cidr('second', '203.0.113.0/24')), true);
  });

  test('a policy of the admin tiers, but not one at a priority that another has', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']), pod('two', ['10.0.0.2'], { labels: { app: 'b' } }));
    const at = (name: string, priority: number): object => ({
      ...tier,
      metadata: { name },
      spec: { ...tier.spec, priority },
    });
    assert.equal(cluster.take(at('one', 1)), false);
    assert.equal(cluster.take(at('two', 2)), false);
    assert.equal(cluster.take(at('two', 3)), false);
    assert.equal(cluster.take(at('two', 1)), true, 'a warning comes');
    assert.equal(cluster.leave(at('one', 1)), true, 'and goes');
    assert.equal(cluster.leave(at('two', 1)), false);
  });

  test('policies in audit mode: what is shown is what the first of them denies, in whatever order they came', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']), pod('two', ['10.0.0.2'], { labels: { app: 'b' } }));
    const denying = (name: string): object => ({
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumNetworkPolicy',
      metadata: { name, namespace: 'x', annotations: shown },
      spec: { endpointSelector: {}, ingressDeny: [{ fromEndpoints: [{ matchLabels: { app: 'a' } }] }] },
    });
    for (const name of ['c', 'b', 'a']) assert.equal(cluster.take(denying(name)), false);
    for (const name of ['a', 'c', 'b']) assert.equal(cluster.leave(denying(name)), false);
  });

  test('policies in audit mode that isolate: shown where no other policy isolates, as long as there is one', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']));
    const audited = (name: string): object => ({
      ...policy(name, { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }),
      metadata: { name, namespace: 'x', annotations: shown },
    });
    for (const name of ['a', 'b', 'c']) assert.equal(cluster.take(audited(name)), false);
    // Meanwhile provenance forgets what nobody speaks of.
    for (const name of ['more', 'last'])
      assert.equal(cluster.take(policy(name, { podSelector: {}, ingress: [{}] })), false);
    for (const name of ['last', 'more', 'isolate']) assert.equal(cluster.leave(policy(name, {})), false);
    for (const name of ['b', 'a', 'c']) assert.equal(cluster.leave(policy(name, {})), false);
    assert.equal(cluster.controller.content().policy?.size, 0);
  });

  test('a policy that names a Service, which has changed since the last whole compile', () => {
    const cluster = new Cluster(pod('one', ['10.0.0.1']), pod('two', ['10.0.0.2'], { labels: { app: 'b' } }));
    const service = (app: string): object => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 's', namespace: 'x' },
      spec: { clusterIP: '10.96.0.1', selector: { app }, ports: [{ port: 80 }] },
    });
    const naming = {
      apiVersion: 'cilium.io/v2',
      kind: 'CiliumNetworkPolicy',
      metadata: { name: 'naming', namespace: 'x' },
      spec: { endpointSelector: {}, egress: [{ toServices: [{ k8sService: { serviceName: 's', namespace: 'x' } }] }] },
    };
    assert.equal(cluster.take(service('a')), false);
    assert.equal(cluster.take(naming), true);
    assert.equal(cluster.leave(naming), true);
    assert.equal(cluster.take(service('b')), false);
    assert.equal(cluster.take(naming), true);
  });

  test('a policy that makes port names matter which pods disagree about', () => {
    const labels = { app: 'b' };
    const cluster = new Cluster(pod('one', ['10.0.0.1'], { labels }));
    assert.equal(cluster.leave(isolate), false);
    assert.equal(
      cluster.take(pod('two', ['10.0.0.2'], { labels, http: 80 }), pod('three', ['10.0.0.3'], { labels, http: 81 })),
      false,
    );
    assert.equal(cluster.take(isolate), true);
    assert.equal(cluster.leave(isolate), true);
  });
});

const shown = { 'weir.dev/policy-audit-mode': 'enabled' };
const tier = {
  apiVersion: 'policy.networking.k8s.io/v1alpha2',
  kind: 'ClusterNetworkPolicy',
  metadata: { name: 'tier' },
  spec: {
    tier: 'Admin',
    priority: 1,
    subject: { namespaces: {} },
    ingress: [{ action: 'Deny', from: [{ pods: { podSelector: { matchLabels: { app: 'b' } } } }] }],
  },
};

const withLabel = (peer: NetworkPolicyPeer, app: string): NetworkPolicyPeer => ({
  ...peer,
  podSelector: { ...peer.podSelector!, matchLabels: new Map([['app', app]]) },
});

/** Forgets with every settle, so that counts can be compared. */
class Tidy extends Provenance {
  override get isFull(): boolean {
    return true;
  }
}

/** Numbers of names that are gone rest: as many as there are numbers, whatever the cluster. */
const RESTING = /\.(identityNumbers\.pods\.(known|names)|ids\.(resting|queue)|frontendIds\.(resting|queue))\b/;

test('after 10,000 changes back and forth nothing is kept that a new control plane would not keep', () => {
  const start = objects(
    ...NODES,
    ...['x', 'y'].map(namespace),
    isolate,
    policy('named', { podSelector: {}, ingress: [{ ports: [{ port: 'http' }] }] }),
    policy('labelled', { podSelector: { matchLabels: { app: 'b' } }, egress: [{ ports: [{ port: 'http' }] }] }),
    ...[1, 2, 3, 4].map((i) =>
      pod(`p${i}`, [`10.0.0.${i}`, `fd00::${i}`], { labels: { app: i % 2 ? 'a' : 'b' }, http: 80 }),
    ),
  );
  const over = (changes: number): Map<string, number> => {
    const before = wholeCompiles();
    const controller = new Controller(configWith({ 'ipv6.enabled': true }), {}, new Tidy(0));
    for (const object of start) controller.upsert(object);
    controller.settle();
    const [template] = objects(pod('t', ['10.0.0.9'], { http: 80 })) as [ClusterObject & { kind: 'Pod' }];
    const take = (...list: readonly ClusterObject[]): void => {
      for (const object of list) controller.upsert(object);
      assert.deepEqual(controller.settle().problems, []);
    };
    const [isolating] = objects(isolate) as [ClusterObject & { kind: 'NetworkPolicy' }];
    const [admin] = objects(tier) as [ClusterObject & { kind: 'ClusterNetworkPolicy' }];
    const [x] = objects(namespace('x')) as [ClusterObject & { kind: 'Namespace' }];
    const ruleOf = (i: number): typeof isolating => ({
      ...isolating,
      name: `rule${i}`,
      podSelector: { ...isolating.podSelector, matchLabels: new Map([['app', i % 2 ? 'a' : `v${i}`]]) },
      ingress: isolating.ingress!.map((one) => ({
        ...one,
        peers: one.peers!.map((peer) => withLabel(peer, `v${i}`)),
      })),
    });
    for (let i = 0; i < changes; i++) {
      const ip = {
        family: 4 as const,
        text: `10.${1 + (i >> 8)}.${i & 255}.1`,
        bytes: Uint8Array.of(10, 1 + (i >> 8), i & 255, 1),
      };
      const port = { ...(start.find(({ kind }) => kind === 'Pod') as typeof template).ports[0]!, containerPort: 1 + i };
      // New names, addresses, labels and ports each time.
      take({
        ...template,
        name: `more${i}`,
        podIPs: [ip],
        labels: new Map([['app', i % 3 ? 'c' : `v${i}`]]),
        ports: [port],
      });
      // Half of them select a pod, each has a selector that nobody had before.
      take(ruleOf(i));
      take({ ...admin, name: `tier${i}`, priority: i % 1000 });
      controller.remove('NetworkPolicy', `x/rule${i}`);
      controller.remove('ClusterNetworkPolicy', `tier${i}`);
      if (i % 100 === 0) take({ ...x, labels: new Map([['turn', `${i}`]]) }, template);
      controller.remove('Pod', `x/more${i}`);
      controller.settle();
    }
    // Policies alone, too: nothing that pods do may be needed to forget them.
    for (let i = 0; i < changes; i++) {
      take(ruleOf(i));
      controller.remove('NetworkPolicy', `x/rule${i}`);
    }
    controller.settle();
    const sizes = sizesOf(controller);
    controller.remove('Pod', 'x/t');
    take(x);
    assert.equal(wholeCompiles() - before, 1);
    for (const [path, size] of sizesOf(controller)) sizes.set(path, Math.max(size, sizes.get(path) ?? 0));
    return sizes;
  };
  const fresh = over(101);
  const old = over(2501);
  const grown = [...old].filter(([path, size]) => size > (fresh.get(path) ?? 0) && !RESTING.test(path));
  assert.deepEqual(grown, []);
});
