// Tests of the pod hooks under live traffic: a Service inside the cluster, a policy, tcx and clsact.
// Input: a running lab. Output: tests of node:test. Invariant: a test takes its programs off again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Attachment, BpfError, type Xdp } from '../../../src/dataplane/xdp/index.ts';
import { DIRECTION, DROP, eventKind, HOOK } from '../../../src/schema/index.ts';
import { skipFor } from '../kernel.ts';
import { type Event, eventsOf, replayed } from './cluster.ts';
import { CLUSTER_IP, type EastWest, hostEnd, POD, type PodName, PODS, SERVERS } from './east-west.ts';
import { framesOf } from './frames.ts';
import { engines, ports, senderOf, SETTLED, sorted } from './judgement.ts';
import type { Network } from './network.ts';
import { fetchFrom, type Fetched, record, TIMED_OUT } from './traffic.ts';

/** The last has the kernel's own large segments with partial checksums instead of frames as on a wire. */
const CASES = [
  { tc: 'tcx', offload: false },
  { tc: 'clsact', offload: false },
  { tc: 'tcx', offload: true },
] as const;

/** What is missing for tcx. */
function tcxMissing(kernel: Xdp, netns: string): { readonly feature: string } | undefined {
  try {
    kernel.attach(HOOK.FROM_CONTAINER, { device: 'lo', netns, tc: 'tcx' }).close();
    return undefined;
  } catch (error) {
    if (error instanceof BpfError && error.code === 'EINVAL') return { feature: 'tcx (Linux 6.6)' };
    throw error;
  }
}

/** The pod hooks on every pod's pair. */
const attachPods = (kernel: Xdp, network: Network, tc: 'tcx' | 'clsact' | 'any'): Attachment[] =>
  PODS.flatMap((pod) =>
    [HOOK.FROM_CONTAINER, HOOK.TO_CONTAINER].map((hook) =>
      kernel.attach(hook, { device: hostEnd(pod), netns: network.path('node'), tc }),
    ),
  );

const clusterUrl = (family: number): string => `http://${family === 0 ? CLUSTER_IP[0] : `[${CLUSTER_IP[1]}]`}/`;

const isOf = (pod: PodName, address: string): boolean => (POD[pod] as readonly string[]).includes(address);
const isClients = ({ hook, source }: Event): boolean =>
  hook === HOOK.TO_CONTAINER && (isOf('client', source) || isOf('stranger', source));

/** Declares the tests. */
export function podTests(theLab: () => EastWest, subfolder: (name: string) => string): void {
  for (const [index, { tc, offload }] of CASES.entries()) {
    const how = `${tc}${offload ? ', segments and checksums left to the device' : ''}`;
    test(`${how}: a ClusterIP there and back, a policy that drops; a replay of what pods sent says the same`, async (context) => {
      const lab = theLab();
      const { network, cluster } = lab;
      const own = subfolder(`pods-${index}`);
      const { kernel, sim } = engines(context, cluster, lab.endpoints);
      const missing = tc === 'tcx' ? skipFor(tcxMissing(kernel, network.path('node'))) : false;
      if (missing !== false) {
        context.skip(missing);
        return;
      }
      for (const pod of PODS) {
        network.offload(pod, 'eth0', offload);
        network.offload('node', hostEnd(pod), offload);
      }
      const recordings = new Map(
        await Promise.all(PODS.map(async (pod) => [pod, await record(network, pod, 'eth0', own)] as const)),
      );
      const attached = attachPods(kernel, network, tc);
      const fetch = (pod: PodName, family: number, from: readonly number[], seconds: number): Promise<Fetched[]> =>
        fetchFrom(network, pod, clusterUrl(family), from, seconds, offload ? 200_000 : 0);
      const first = 20_000 + 5000 * index;
      let answers: Fetched[][];
      try {
        assert.deepEqual(new Set(attached.map(({ kind }) => kind)), new Set([tc]));
        answers = await Promise.all([
          ...[0, 1].map((family) => fetch('client', family, ports(first + 100 * family, 8), 5)),
          ...ports(first, 2).flatMap((port) =>
            [0, 1].map((family) => fetch('stranger', family, [port + 100 * family], 1.5)),
          ),
        ]);
        await sleep(SETTLED);
      } finally {
        for (const attachment of attached) attachment.close();
        await Promise.all([...recordings.values()].map((recording) => recording.stop()));
      }
      const frames = new Map(
        await Promise.all([...recordings].map(async ([pod, { file }]) => [pod, await framesOf(file)] as const)),
      );
      const events = eventsOf(kernel);
      assert.equal(kernel.events.lost, 0);
      const large = [...frames.values()].flat().some(({ bytes }) => bytes > 1514);
      assert.equal(large, offload, 'segments larger than a frame');

      // Allowed: the server sees the client, the client sees the Service alone.
      const served = new Map<string, string>();
      for (const [family, fetched] of answers.slice(0, 2).entries()) {
        const address = POD.client[family as 0 | 1];
        for (const one of fetched) {
          const server = SERVERS.find((name) => name === one.server);
          assert.ok(server !== undefined, JSON.stringify(one));
          const answer = { port: one.port, status: 0, server, client: address, clientPort: one.port };
          assert.deepEqual(one, { ...answer, address: POD[server][family as 0 | 1], serverPort: 8080 });
          served.set(`${address} ${one.port}`, server);
        }
        assert.deepEqual([...new Set(fetched.map(({ server }) => server))].sort(), [...SERVERS]);
      }
      assert.equal(served.size, 16);
      for (const { source, destination } of frames.get('client')!)
        assert.deepEqual(
          [source, destination].filter((address) => !isOf('client', address)),
          [CLUSTER_IP[source.includes(':') ? 1 : 0]],
        );

      // Denied: silence, no segment at a server, and an event with the line of the policy for each attempt.
      const denied = answers.slice(2).flat();
      assert.deepEqual(
        denied.map(({ status }) => status),
        [TIMED_OUT, TIMED_OUT, TIMED_OUT, TIMED_OUT],
      );
      for (const server of SERVERS)
        assert.deepEqual(
          frames.get(server)!.filter(({ source }) => isOf('stranger', source)),
          [],
        );
      const attempts = frames.get('stranger')!;
      assert.ok(attempts.length >= denied.length && attempts.every(({ opens }) => opens));
      const drops = events.filter(({ type }) => type === eventKind.DROP);
      assert.equal(drops.length, attempts.length);
      for (const { subtype, hook, cookie, source } of drops) {
        assert.deepEqual([subtype, hook], [DROP.POLICY, HOOK.TO_CONTAINER]);
        assert.ok(isOf('stranger', source));
        const [rule, ...others] = cluster.compiled.provenance.rulesOf(cookie);
        assert.deepEqual(others, []);
        assert.deepEqual(
          [rule?.kind, rule?.namespace, rule?.name, rule?.line],
          ['NetworkPolicy', 'shop', 'web-for-clients', 2],
        );
        assert.match(rule!.file, /test\/kernel\/lab\/policies\.yaml$/);
      }

      // Each segment that a pod sent was judged once, each that it got a second time.
      const owners = new Map(PODS.flatMap((pod) => POD[pod].map((address) => [address as string, pod])));
      const all = [...frames].flatMap(([pod, list]) => list.map(({ source }) => owners.get(source) === pod));
      const sent = all.filter((own) => own).length;
      assert.deepEqual(
        kernel.metrics().map(({ reason, direction, packets }) => [reason, direction, Number(packets)]),
        [
          [0, DIRECTION.INGRESS, all.length - sent],
          [0, DIRECTION.EGRESS, sent],
          [DROP.POLICY, DIRECTION.INGRESS, attempts.length],
        ],
      );

      // The simulator over what the clients sent and got: verdict, reason, rule and backend of each connection.
      const { byClient, result } = await replayed(cluster, sim, 'auto', [
        recordings.get('client')!.file,
        recordings.get('stranger')!.file,
      ]);
      assert.deepEqual(
        result.vantages.map(({ vantage }) => vantage.text),
        ['pod:shop/client', 'pod:shop/stranger'],
      );
      assert.deepEqual(new Set(byClient.keys()), new Set(events.filter(isClients).map(senderOf)));
      for (const [client, connection] of byClient) {
        const mine = events.filter((event) => senderOf(event) === client);
        const drop = mine.find(({ type }) => type === eventKind.DROP);
        assert.equal(connection.verdict, drop === undefined ? 'FORWARDED' : 'DROPPED', client);
        assert.equal(connection.drop?.code, drop?.subtype);
        const rules = cluster.compiled.provenance.rulesOf(mine.find(({ cookie }) => cookie !== 0)!.cookie);
        assert.deepEqual(
          connection.by.map(({ name, file, line }) => ({ name, file, line })),
          rules.map(({ name, file, line }) => ({ name, file, line })),
        );
        const backends = new Set(
          mine
            .filter(({ hook }) => hook === HOOK.TO_CONTAINER)
            .map((event) => `${event.destination} ${event.destinationPort}`),
        );
        assert.deepEqual(
          new Set([`${connection.destination.behind?.ip} ${connection.destination.behind?.port}`]),
          backends,
          client,
        );
        if (drop === undefined) assert.equal(connection.destination.pod, served.get(client));
      }
      const opening = eventsOf(sim).filter(({ type }) => type !== eventKind.TRACE);
      assert.deepEqual(sorted(opening), sorted(events.filter(({ type }) => type !== eventKind.TRACE)));
    });
  }

  test('a pod reaches itself through its Service, and its neighbour by policy alone', async (context) => {
    const lab = theLab();
    const { network, cluster } = lab;
    const own = subfolder('hairpin');
    const { kernel, sim } = engines(context, cluster, lab.endpoints);
    const recording = await record(network, 'web-1', 'eth0', own);
    const attached = attachPods(kernel, network, 'any');
    let answers: Fetched[];
    try {
      const fetch = (family: number, port: number): Promise<Fetched[]> =>
        fetchFrom(network, 'web-1', clusterUrl(family), [port + 100 * family], 2);
      answers = (
        await Promise.all(ports(40_000, 6).flatMap((port) => [0, 1].map((family) => fetch(family, port))))
      ).flat();
      await sleep(SETTLED);
    } finally {
      for (const attachment of attached) attachment.close();
      await recording.stop();
    }
    const events = eventsOf(kernel);
    assert.equal(kernel.events.lost, 0);
    const { byClient } = await replayed(cluster, sim, 'pod:shop/web-1', [recording.file]);
    assert.equal(byClient.size, answers.length);
    const itself = answers.filter(({ status }) => status === 0);
    assert.deepEqual(
      new Set(itself.map(({ server, client }) => `${server} ${client}`)),
      new Set(['web-1 169.254.42.1', 'web-1 fe80::1']),
      'its own server sees the loopback address',
    );
    for (const { port, status } of answers) {
      const connection = byClient.get(`${POD['web-1'][port < 40_100 ? 0 : 1]} ${port}`);
      const told = [connection?.verdict, connection?.drop?.code, connection?.destination.pod];
      if (status === 0) assert.deepEqual(told, ['FORWARDED', undefined, 'web-1']);
      else assert.deepEqual([status, ...told], [TIMED_OUT, 'DROPPED', DROP.POLICY, 'web-2']);
    }
    assert.deepEqual(sorted(eventsOf(sim)), sorted(events));
    assert.deepEqual(sim.metrics(), kernel.metrics());
  });
}
