// Tests of weir_xdp under live traffic: native and generic, both families, every kind of address a Service has outside.
// Input: a running lab. Output: tests of node:test. Invariant: a test takes its program off again.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DROP, eventKind, HOOK, RECORD_FLAG } from '../../../src/schema/index.ts';
import { eventsOf, replayed } from './cluster.ts';
import { framesOf } from './frames.ts';
import { comparable, engines, ports, senderOf, SETTLED, sorted } from './judgement.ts';
import { ADDRESS, BACKENDS, chosen, FRONTENDS, type NorthSouth, PORT_OF, urlOf } from './north-south.ts';
import { fetchFrom, type Fetched, record, TIMED_OUT } from './traffic.ts';

/** What tcpdump is asked for: 4 in 4, 6 in 6. */
const IPIP = 'ip proto 4 or ip6 proto 41';
/** Trace events say by their subtype that a packet left for the network (Cilium's to-network). */
const TO_NETWORK = 11;

/** How the program is attached, and by which interface the balancer sends: its own one back, or another. */
const CASES = [
  { mode: 'NATIVE', out: 'eth0' },
  { mode: 'GENERIC', out: 'eth0' },
  { mode: 'NATIVE', out: 'eth1' },
  { mode: 'GENERIC', out: 'eth1' },
] as const;

/** Declares the tests. */
export function balancerTests(theLab: () => NorthSouth, subfolder: (name: string) => string): void {
  for (const [index, { mode, out }] of CASES.entries()) {
    const how = `${mode.toLowerCase()}, ${out === 'eth0' ? 'XDP_TX' : 'XDP_REDIRECT'}`;
    test(`weir_xdp, ${how}: Maglev, IPIP; a replay of what arrived says the same`, async (context) => {
      const lab = theLab();
      const { network, cluster } = lab;
      const own = subfolder(`balancer-${index}`);
      const { kernel, sim } = engines(context, cluster, lab.nextHops(out));
      const recordings = await Promise.all([
        record(network, 'switch', PORT_OF.eth0, own, { direction: 'out', filter: '' }),
        record(network, 'switch', PORT_OF[out], own, { direction: 'in', filter: IPIP }),
        ...BACKENDS.map((machine) =>
          record(network, 'switch', `to-${machine}`, own, { direction: 'out', filter: IPIP }),
        ),
      ]);
      const attached = kernel.attach(HOOK.XDP, { device: 'eth0', netns: network.path('balancer'), mode });
      assert.equal(network.device('balancer', 'eth0').xdp, mode);
      const answers: { frontend: (typeof FRONTENDS)[number]; fetched: Fetched }[] = [];
      try {
        for (const [i, frontend] of FRONTENDS.entries()) {
          const from = ports(20_000 + 1000 * index + 100 * i, frontend.name === 'LoadBalancer' ? 32 : 8);
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
            address,
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
      const [inbound, outbound, ...towards] = await Promise.all(recordings.map(({ file }) => framesOf(file)));
      for (const [i, machine] of BACKENDS.entries()) {
        const frames = towards[i]!;
        assert.deepEqual(
          new Set(frames.map(senderOf)),
          new Set([...expected].filter(([, server]) => server === machine).map(([client]) => client)),
        );
        for (const { family, outer } of frames) {
          const at = family === 4 ? 0 : 1;
          assert.deepEqual(outer, { source: ADDRESS.balancer[at], destination: ADDRESS[machine][at], hops: 64 });
        }
      }
      assert.equal(outbound!.length, inbound!.length, `what arrived went on by ${out}`);
      assert.equal(towards[0]!.length + towards[1]!.length, inbound!.length, 'and to a machine');

      // One event for each opening; every packet counted.
      const events = eventsOf(kernel);
      assert.equal(kernel.events.lost, 0);
      for (const event of events) {
        assert.deepEqual([event.type, event.subtype, event.hook], [eventKind.TRACE, TO_NETWORK, HOOK.XDP]);
        assert.ok((event.flags & RECORD_FLAG.ENCAPSULATED) !== 0);
      }
      assert.equal(events.length, inbound!.filter(({ opens }) => opens).length);
      assert.deepEqual(new Set(events.map(senderOf)), new Set(expected.keys()));
      const metrics = kernel.metrics();

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
    });
  }

  test('what nobody serves and what is too long for the way is dropped, with the reason that a replay gives', async (context) => {
    const lab = theLab();
    const { network, cluster } = lab;
    const own = subfolder('dropped');
    const { kernel, sim } = engines(context, cluster, lab.nextHops('eth0'));
    const recording = await record(network, 'switch', PORT_OF.eth0, own, { direction: 'out', filter: '' });
    const attached = kernel.attach(HOOK.XDP, { device: 'eth0', netns: network.path('balancer'), mode: 'NATIVE' });
    let answers: Fetched[][];
    try {
      answers = await Promise.all(
        ['203.0.113.80', '[2001:db8:113::80]'].flatMap((address, at) => [
          fetchFrom(network, 'client', `http://${address}:81/`, [30_000 + at], 1),
          fetchFrom(network, 'client', `http://${address}/`, [30_100 + at], 1, 4000),
        ]),
      );
      await sleep(SETTLED);
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
    assert.deepEqual(sorted(eventsOf(sim)), sorted(events));
    assert.deepEqual(sim.metrics(), kernel.metrics());
  });
}
