// Live traffic through attached programs, in network namespaces: a balancer in front of two machines, and pods of one node.
// What the kernel did is held against who answered, against the wire, and against a replay of the recordings.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BpfError, type Xdp } from '../../src/dataplane/xdp/index.ts';
import { DIRECTION, DROP, eventKind, HOOK, RECORD_FLAG } from '../../src/schema/index.ts';
import { skipFor } from './kernel.ts';
import { type Event, eventsOf, fillEngines, replayed } from './lab/cluster.ts';
import {
  CLUSTER_IP,
  type EastWest,
  hostEnd,
  POD,
  type PodName,
  PODS,
  SERVERS,
  startEastWest,
} from './lab/east-west.ts';
import { type Frame, framesOf } from './lab/frames.ts';
import { ADDRESS, BACKENDS, chosen, FRONTENDS, type NorthSouth, startNorthSouth, urlOf } from './lab/north-south.ts';
import { labMissing } from './lab/missing.ts';
import { fetchFrom, type Fetched, record, TIMED_OUT } from './lab/traffic.ts';

const skip = skipFor(labMissing());

/** Milliseconds in which the last segments of a closed connection arrive. */
const SETTLED = 50;
/** Trace events say by their subtype that a packet left for the network (Cilium's to-network). */
const TO_NETWORK = 11;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-lab-'));
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const subfolder = (name: string): string => {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
};

const ports = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

/** What both engines say of a packet besides time and interface. */
const comparable = ({ timeLow: _low, timeHigh: _high, ifindex: _ifindex, ...event }: Event): object => event;

describe('lab: a balancer', { skip }, () => {
  let lab: NorthSouth;
  before(async () => {
    lab = await startNorthSouth(subfolder('north-south'));
  });
  after(() => lab.close());

  for (const [index, mode] of (['NATIVE', 'GENERIC'] as const).entries()) {
    test(`weir_xdp, ${mode.toLowerCase()}: Maglev, IPIP, XDP_TX; a replay of what arrived says the same`, async () => {
      const { network, cluster } = lab;
      const own = subfolder(mode);
      const { kernel, sim } = fillEngines(cluster, lab.nextHops);
      const recordings = await Promise.all([
        record(network, 'switch', 'to-balancer', own, { direction: 'out', filter: '' }),
        ...BACKENDS.map((machine) =>
          record(network, 'switch', `to-${machine}`, own, { direction: 'out', filter: 'ip proto 4 or ip6 proto 41' }),
        ),
      ]);
      const attached = kernel.attach(HOOK.XDP, { device: 'eth0', netns: network.path('balancer'), mode });
      assert.equal(network.device('balancer', 'eth0').xdp, mode);
      const answers: { frontend: (typeof FRONTENDS)[number]; fetched: Fetched }[] = [];
      try {
        for (const [i, frontend] of FRONTENDS.entries()) {
          const from = ports(20_000 + 5000 * index + 100 * i, frontend.name === 'LoadBalancer' ? 32 : 8);
          for (const fetched of await fetchFrom(network, 'client', urlOf(frontend), from))
            answers.push({ frontend, fetched });
        }
        await sleep(SETTLED);
      } finally {
        attached.close();
        await Promise.all(recordings.map((recording) => recording.stop()));
      }

      // Who answered is whom Maglev names, and saw the client as it is.
      const expected = new Map<string, (typeof BACKENDS)[number]>();
      for (const { frontend, fetched } of answers) {
        const { family, address, port } = frontend;
        const client = ADDRESS.client[family === 4 ? 0 : 1];
        const server = chosen(family, fetched.port, port);
        expected.set(`${client} ${fetched.port}`, server);
        assert.deepEqual(
          fetched,
          {
            port: fetched.port,
            status: 0,
            server,
            client,
            clientPort: fetched.port,
            address: address,
            serverPort: port,
          },
          `${frontend.name} ${address}`,
        );
      }
      assert.equal(expected.size, 2 * (32 + 8 + 8));
      for (const family of [4, 6])
        assert.deepEqual(
          [...new Set(answers.filter((one) => one.frontend.family === family).map((one) => one.fetched.server))].sort(),
          [...BACKENDS],
        );

      // On the wire towards each machine: its own connections, all of them, in IPIP.
      const [inbound, ...towards] = await Promise.all(recordings.map(({ file }) => framesOf(file)));
      for (const [i, machine] of BACKENDS.entries()) {
        const frames = towards[i]!;
        assert.deepEqual(
          new Set(frames.map(clientOf)),
          new Set([...expected].filter(([, server]) => server === machine).map(([client]) => client)),
        );
        for (const { family, outer } of frames) {
          const at = family === 4 ? 0 : 1;
          assert.deepEqual(outer, { source: ADDRESS.balancer[at], destination: ADDRESS[machine][at], hops: 64 });
        }
      }
      assert.equal(towards[0]!.length + towards[1]!.length, inbound!.length, 'what arrived went on');

      // One event for each opening; every packet counted.
      const events = eventsOf(kernel);
      assert.equal(kernel.events.lost, 0);
      for (const event of events) {
        assert.deepEqual([event.type, event.subtype, event.hook], [eventKind.TRACE, TO_NETWORK, HOOK.XDP]);
        assert.ok((event.flags & RECORD_FLAG.ENCAPSULATED) !== 0);
      }
      assert.equal(events.length, inbound!.filter(({ opens }) => opens).length);
      assert.deepEqual(new Set(events.map((event) => `${event.source} ${event.sourcePort}`)), new Set(expected.keys()));
      const metrics = kernel.metrics();
      console.log(
        mode,
        'inbound',
        inbound!.length,
        'towards',
        towards.map((x) => x.length),
        'events',
        events.length,
        metrics,
      );

      // The simulator over what arrived: the same backend for each connection, the same events, the same counters.
      const { byClient, backendsOf } = await replayed(cluster, sim, 'node:balancer', [recordings[0]!.file]);
      for (const [client, server] of expected) {
        const connection = byClient.get(client);
        assert.equal(connection?.verdict, 'FORWARDED', client);
        const family = client.includes(':') ? 6 : 4;
        assert.equal(connection.service?.name, 'web');
        const id = cluster.backend(lab.backendSocket(family, server));
        assert.deepEqual(backendsOf.get(client), new Set([id]), `every packet of ${client}`);
      }
      assert.deepEqual(eventsOf(sim).map(comparable), events.map(comparable));
      assert.deepEqual(sim.metrics(), metrics);
      kernel.close();
      sim.close();
    });
  }

  test('what nobody serves and what is too long for the way is dropped, with the reason that a replay gives', async () => {
    const { network, cluster } = lab;
    const own = subfolder('dropped');
    const { kernel, sim } = fillEngines(cluster, lab.nextHops);
    const recording = await record(network, 'switch', 'to-balancer', own, { direction: 'out', filter: '' });
    const attached = kernel.attach(HOOK.XDP, { device: 'eth0', netns: network.path('balancer'), mode: 'NATIVE' });
    const answers: Fetched[][] = [];
    try {
      for (const [i, address] of ['203.0.113.80', '[2001:db8:113::80]'].entries()) {
        answers.push(await fetchFrom(network, 'client', `http://${address}:81/`, [30_000 + i], 0.5));
        answers.push(await fetchFrom(network, 'client', `http://${address}/`, [30_100 + i], 0.5, 4000));
      }
    } finally {
      attached.close();
      await recording.stop();
    }
    assert.deepEqual(
      answers.flat().map(({ status }) => status),
      [TIMED_OUT, TIMED_OUT, TIMED_OUT, TIMED_OUT],
    );
    const events = eventsOf(kernel);
    const reasons = (family: number, port: number): Set<number> =>
      new Set(
        events
          .filter((event) => event.type === eventKind.DROP && event.family === family && event.destinationPort === port)
          .map(({ subtype }) => subtype),
      );
    for (const family of [4, 6]) {
      assert.deepEqual(reasons(family, 81), new Set([DROP.NO_SERVICE]));
      assert.deepEqual(reasons(family, 80), new Set([DROP.FRAG_NEEDED]));
    }
    const { byClient } = await replayed(cluster, sim, 'node:balancer', [recording.file]);
    for (const [at, client] of ADDRESS.client.entries()) {
      assert.equal(byClient.get(`${client} ${30_000 + at}`)?.drop?.code, DROP.NO_SERVICE);
      assert.equal(byClient.get(`${client} ${30_100 + at}`)?.drop?.code, DROP.FRAG_NEEDED);
    }
    assert.deepEqual(eventsOf(sim).map(comparable), events.map(comparable));
    assert.deepEqual(sim.metrics(), kernel.metrics());
    console.log('drops', kernel.metrics());
    kernel.close();
    sim.close();
  });
});

const clientOf = ({ source, sourcePort }: Frame): string => `${source} ${sourcePort}`;

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

describe('lab: pods of a node', { skip }, () => {
  let lab: EastWest;
  before(async () => {
    lab = await startEastWest(subfolder('east-west'));
  });
  after(() => lab.close());

  for (const [index, tc] of (['tcx', 'clsact'] as const).entries()) {
    test(`${tc}: a ClusterIP there and back, a policy that drops; a replay of what pods sent says the same`, async (context) => {
      const { network, cluster } = lab;
      const own = subfolder(tc);
      const { kernel, sim } = fillEngines(cluster, lab.endpoints);
      const recordings = new Map(
        await Promise.all(PODS.map(async (pod) => [pod, await record(network, pod, 'eth0', own)] as const)),
      );
      const missing = tc === 'tcx' ? skipFor(tcxMissing(kernel, network.path('node'))) : false;
      if (missing !== false) {
        context.skip(missing);
        return;
      }
      const attached = PODS.flatMap((pod) =>
        [HOOK.FROM_CONTAINER, HOOK.TO_CONTAINER].map((hook) =>
          kernel.attach(hook, { device: hostEnd(pod), netns: network.path('node'), tc }),
        ),
      );
      const fetch = (pod: PodName, family: number, count: number, seconds: number): Promise<Fetched[]> => {
        const url = `http://${family === 0 ? CLUSTER_IP[0] : `[${CLUSTER_IP[1]}]`}/`;
        return fetchFrom(network, pod, url, ports(20_000 + 5000 * index + 100 * family, count), seconds);
      };
      let answers: Fetched[][];
      try {
        assert.deepEqual(new Set(attached.map(({ kind }) => kind)), new Set([tc]));
        answers = await Promise.all([
          fetch('client', 0, 8, 5),
          fetch('client', 1, 8, 5),
          fetch('stranger', 0, 2, 1.5),
          fetch('stranger', 1, 2, 1.5),
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
          [source, destination].filter((address) => !(POD.client as readonly string[]).includes(address)),
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
          frames.get(server)!.filter(({ source }) => (POD.stranger as readonly string[]).includes(source)),
          [],
        );
      const attempts = frames.get('stranger')!;
      assert.ok(attempts.length >= denied.length && attempts.every(({ opens }) => opens));
      const drops = events.filter(({ type }) => type === eventKind.DROP);
      assert.equal(drops.length, attempts.length);
      for (const { subtype, hook, cookie, source } of drops) {
        assert.deepEqual([subtype, hook], [DROP.POLICY, HOOK.TO_CONTAINER]);
        assert.ok((POD.stranger as readonly string[]).includes(source));
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
      console.log(
        tc,
        'sent',
        sent,
        'got',
        all.length - sent,
        'drops',
        drops.length,
        'events',
        events.length,
        kernel.metrics(),
      );
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
      assert.deepEqual(
        new Set(byClient.keys()),
        new Set(events.filter(fromPod).map((event) => `${event.source} ${event.sourcePort}`)),
      );
      for (const [client, connection] of byClient) {
        const mine = events.filter((event) => `${event.source} ${event.sourcePort}` === client);
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
      kernel.close();
      sim.close();
    });
  }
});

/** Events without their times, by client: two recordings give no common order. */
const sorted = (events: readonly Event[]): string[] => events.map((event) => JSON.stringify(comparable(event))).sort();
const fromPod = ({ hook, source }: Event): boolean =>
  hook === HOOK.TO_CONTAINER && ([...POD.client, ...POD.stranger] as string[]).includes(source);
