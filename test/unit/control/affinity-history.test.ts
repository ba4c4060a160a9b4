// Session affinity through the life of a Service: a running control plane writes, a simulator reads and remembers. Input: clients at
// each hook that balances, both families, both algorithms. Output: the backend that each client gets.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { Config } from '../../../src/control/config/index.ts';
import { MEMORY_MAPS } from '../../../src/control/service/remembered-numbers.ts';
import { createSim, type Sim } from '../../../src/dataplane/sim/index.ts';
import { Meta, Packet } from '../../../src/datapath/index.ts';
import { HOOK } from '../../../src/schema/index.ts';
import { ControllerWorld } from '../../support/controller-world.ts';
import { SMALL } from '../../support/datapath-world.ts';
import { frame, seen } from '../../support/packets.ts';
import { eps, node, on, pod, svc } from '../../support/service-objects.ts';

const TIMEOUT = 300;
const CLIENTS = Array.from({ length: 12 }, (_, i) => i + 1);
const AFFINE = { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: TIMEOUT } } };

/** A node with one affine Service that is told again after a restart. */
class Scene {
  readonly sim: Sim;
  readonly world: ControllerWorld;
  now = 1000;
  private readonly packet = new Packet();
  private readonly meta = new Meta();
  private port = 20_000;
  private readonly config: Partial<Config>;
  private readonly hook: 'FROM_NETDEV' | 'FROM_CONTAINER';
  private readonly six: boolean;

  constructor(hook: 'FROM_NETDEV' | 'FROM_CONTAINER', six: boolean, algorithm: 'random' | 'maglev') {
    this.hook = hook;
    this.six = six;
    this.config = {
      kubeProxyReplacement: true,
      'maglev.tableSize': 251,
      'loadBalancer.algorithm': algorithm,
      'bpf.lbExternalClusterIP': true,
    };
    this.sim = createSim({ seed: 7, specs: SMALL });
    this.world = new ControllerWorld(this.config, 'home');
    this.tell(
      node(['198.18.0.1', 'fd00:18::1']),
      ...CLIENTS.map((i) => pod(`c${i}`, this.client(i), [])),
      this.service,
    );
  }

  get service(): string {
    const clusterIP = this.six ? 'fd00:30::1' : '172.30.1.1';
    const families = { ipFamilies: [this.six ? 'IPv6' : 'IPv4'], clusterIP, clusterIPs: [clusterIP] };
    const ingress = [this.six ? 'fd00:20::1' : '203.0.113.20'];
    return svc({ ingress, spec: { type: 'LoadBalancer', ...families, ...AFFINE } });
  }

  client(i: number): string {
    return this.six ? `fd00:1::${i}` : `10.244.1.${i}`;
  }

  backend(i: number): string {
    return this.six ? `fd00:9:0:0:0:0:0:${i}` : `10.244.9.${i}`;
  }

  slice(...conditions: readonly string[]): string {
    return eps(
      conditions.flatMap((word, i) => (word === '' ? [] : [on('home', this.backend(i + 1), word)])),
      { six: this.six },
    );
  }

  tell(...documents: string[]): void {
    this.world.put(...documents);
    this.write();
  }

  write(): void {
    assert.equal(this.sim.apply(this.world.writes).failed, undefined);
  }

  restart(...documents: string[]): void {
    const memory = Object.fromEntries(MEMORY_MAPS.map((name) => [name, this.sim.maps[name].entries()]));
    this.world.restart(this.config, memory);
    const all = [node(['198.18.0.1', 'fd00:18::1']), ...CLIENTS.map((i) => pod(`c${i}`, this.client(i), []))];
    this.tell(...all, ...documents);
    this.world.prune();
    this.write();
  }

  /** Opens a connection of each client from a port of its own: the backends. */
  ask(): string[] {
    return CLIENTS.map((i) => {
      const inside = this.hook === 'FROM_CONTAINER';
      const bytes = frame({
        protocol: 'tcp',
        source: inside ? this.client(i) : this.six ? `fd00:99::${i}` : `198.51.100.${i}`,
        destination: inside ? (this.six ? 'fd00:30::1' : '172.30.1.1') : this.six ? 'fd00:20::1' : '203.0.113.20',
        sourcePort: this.port++,
        destinationPort: 7000,
        flags: 'S',
      });
      this.sim.run(HOOK[this.hook], this.packet.set(bytes, this.now), this.meta.reset());
      return this.sim.decision().backendId === 0 ? '' : seen(this.packet.bytes).destination;
    });
  }
}

for (const hook of ['FROM_NETDEV', 'FROM_CONTAINER'] as const) {
  for (const six of [false, true]) {
    for (const algorithm of ['random', 'maglev'] as const) {
      describe(`${hook}, IPv${six ? 6 : 4}, ${algorithm}`, () => {
        let s: Scene;
        const READY = '1/1/0';
        const three = [READY, READY, READY];
        beforeEach(() => {
          s = new Scene(hook, six, algorithm);
          s.tell(s.slice(...three));
        });

        test('clients keep their backends while others come, and through a restart that finds others first', () => {
          const first = s.ask();
          assert.ok(new Set(first).size > 1);
          s.tell(s.slice(...three, READY, READY));
          assert.deepEqual(s.ask(), first);
          s.restart(s.service, s.slice(READY, READY, READY, READY, READY, READY));
          assert.deepEqual(s.ask(), first);
        });

        test('who used a backend that goes, or drains, chooses again; nobody else', () => {
          for (const fate of ['', '0/1/1', '0/0/0']) {
            s = new Scene(hook, six, algorithm);
            s.tell(s.slice(...three));
            const first = s.ask();
            s.tell(s.slice(fate, READY, READY));
            const second = s.ask();
            first.forEach((backend, i) => {
              if (backend !== s.backend(1)) assert.equal(second[i], backend);
              else assert.notEqual(second[i], backend, `${fate}`);
            });
            assert.deepEqual(s.ask(), second);
            // It comes back: nobody returns to it who has chosen since.
            s.tell(s.slice(...three));
            assert.deepEqual(s.ask(), second);
          }
        });

        test('each connection renews it; past the timeout it counts no more', () => {
          const first = s.ask();
          s.now += TIMEOUT - 1;
          s.tell(s.slice(...three, READY, READY, READY, READY, READY));
          assert.deepEqual(s.ask(), first);
          s.now += TIMEOUT - 1;
          assert.deepEqual(s.ask(), first);
          s.now += TIMEOUT;
          assert.notDeepEqual(s.ask(), first);
        });

        test('a Service made anew, also while nobody looked, knows nobody', () => {
          for (const restarted of [false, true]) {
            s = new Scene(hook, six, algorithm);
            s.tell(s.slice(READY));
            const only = s.ask();
            assert.deepEqual(new Set(only), new Set([s.backend(1)]));
            const more = s.slice(READY, READY, READY, READY, READY, READY);
            if (restarted) {
              s.restart(s.slice(READY));
              s.tell(s.service, more);
            } else {
              s.world.drop('Service web/store');
              s.write();
              s.tell(s.service, more);
            }
            assert.ok(new Set(s.ask()).size > 2, `restarted ${restarted}`);
          }
        });

        test('switched off it binds nobody, switched on again it has forgotten nobody within the timeout', () => {
          s.tell(s.slice(...three, READY, READY, READY));
          const first = s.ask();
          s.tell(s.service.replace('"ClientIP"', '"None"'));
          const free = Array.from({ length: 6 }, () => s.ask());
          assert.ok(free.some((backends) => backends.some((backend, i) => backend !== first[i])));
          s.tell(s.service);
          assert.deepEqual(s.ask(), first);
        });
      });
    }
  }
}
