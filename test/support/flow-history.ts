// Histories of a Service: its backends come, drain and go, weights change, entries are evicted, the control plane restarts, and
// flows go on meanwhile. Input: steps. Output: what became of every packet, violations classified and explained.
// Invariant: a Controller writes, a simulator reads; nothing here decides which backend a flow gets.
import { createSim, type Sim } from '../../src/dataplane/sim/index.ts';
import { Meta, Packet } from '../../src/datapath/index.ts';
import { ACTION, backendValue4, backendValue6, HOOK, VERDICT } from '../../src/schema/index.ts';
import type { Config } from '../../src/control/config/index.ts';
import { MEMORY_MAPS, type MemoryDump } from '../../src/control/service/remembered-numbers.ts';
import { ControllerWorld } from './controller-world.ts';
import { SMALL } from './datapath-world.ts';
import { type Fate, fateOf } from './flow-fate.ts';
import { addressText, frame, plainAddress } from './packets.ts';
import { eps, node, on, pod, svc } from './service-objects.ts';

/** Seconds for which anything about a flow is remembered. */
export const LIFETIME = 100;

/** What a backend is, as its slice says. */
export type BackendState = 'absent' | 'ready' | 'draining' | 'idle';
const CONDITIONS = { ready: '1/1/0', draining: '0/1/1', idle: '0/0/0' } as const;

/** One step of a history. Flows and backends by number. */
export type Step =
  | { readonly kind: 'packet'; readonly flow: number }
  | { readonly kind: 'backends'; readonly states: readonly BackendState[]; readonly heavy?: number }
  | { readonly kind: 'evict'; readonly flow: number }
  | { readonly kind: 'restart' }
  | { readonly kind: 'wait'; readonly seconds: number };

/** Where flows enter. */
export type Entry = 'XDP' | 'FROM_NETDEV' | 'FROM_CONTAINER';

/** A flow that was seen. */
interface Flow {
  backend: string;
  seen: number;
  evicted: boolean;
  /** When the backends last changed since the flow's ports were first used, -1: never: an old entry may serve a new connection. */
  changed: number;
  /** Whether its backend was neither ready nor draining at any time since. */
  left: boolean;
  /** Since when the table alone gives another backend, -1: it gives this one. Only where flows go by the table. */
  away: number;
  isOpen: boolean;
  /** What the table alone gives, and since when. Only where flows go by the table. */
  home: string | undefined;
  homeSince: number;
  /** Where the last packet went, and where those of older connections did: what may still be remembered of them. */
  last: Visit;
  older: readonly Visit[];
}

/** A packet that a backend (undefined: none) got. */
interface Visit {
  readonly backend: string | undefined;
  readonly seen: number;
}

const TIMEOUTS = [
  'bpf-ct-timeout-regular-tcp',
  'bpf-ct-timeout-regular-any',
  'bpf-ct-timeout-service-tcp',
  'bpf-ct-timeout-service-any',
  'bpf-ct-timeout-service-tcp-grace',
  'bpf-ct-timeout-regular-tcp-syn',
] as const;

/** The configuration of histories. */
export const historyConfig = (entry: Entry): Partial<Config> => ({
  kubeProxyReplacement: true,
  'maglev.tableSize': 251,
  'loadBalancer.algorithm': 'maglev',
  'bpf.lbExternalClusterIP': true,
  ...Object.fromEntries(TIMEOUTS.map((key) => [key, LIFETIME])),
  ...(entry === 'XDP' ? { 'loadBalancer.mode': 'dsr' as const, 'loadBalancer.dsrDispatch': 'ipip' as const } : {}),
});

/** See the head of this file. */
export class FlowHistory {
  readonly sim: Sim;
  readonly world: ControllerWorld;
  now = 1000;
  /** Every packet of a flow that was seen before. */
  readonly fates: Fate[] = [];
  private readonly entry: Entry;
  private readonly six: boolean;
  private readonly config: Partial<Config>;
  private readonly flows = new Map<number, Flow>();
  private readonly packet = new Packet();
  private readonly meta = new Meta();
  /** When slots last began to move: the backends changed, or a new process took over what was on the move. */
  private moved = 0;
  private states: readonly BackendState[] = [];
  private heavy: number | undefined;
  private fresh: FlowHistory | undefined;
  private documents: readonly string[] = [];
  private readonly tellsTime: boolean;

  constructor(entry: Entry, six = false, tellsTime = true) {
    this.entry = entry;
    this.six = six;
    this.tellsTime = tellsTime;
    this.config = historyConfig(entry);
    const tables = { innerEntries: 251 };
    const specs = { ...SMALL, maglevPrevious4: tables, maglevPrevious6: tables };
    this.sim = createSim({ seed: 7, specs });
    this.world = new ControllerWorld(this.config, 'home');
    this.tell();
    this.world.put(...this.fixed());
    this.write();
  }

  private fixed(): string[] {
    const clusterIP = this.six ? 'fd00:30::1' : '172.30.1.1';
    const ingress = [this.six ? 'fd00:20::1' : '203.0.113.20'];
    const families = { ipFamilies: [this.six ? 'IPv6' : 'IPv4'], clusterIPs: [clusterIP] };
    const client = this.six ? 'fd00:1::5' : '10.244.1.5';
    return [
      node(['198.18.0.1', 'fd00:18::1']),
      pod('client', client, []),
      svc({ ingress, spec: { type: 'LoadBalancer', clusterIP, ...families } }),
    ];
  }

  private tell(): void {
    if (this.tellsTime) this.world.controller.tellTime(this.now);
  }

  private write(): void {
    const { failed } = this.sim.apply(this.world.writes);
    if (failed !== undefined) throw new Error(`a write failed: ${JSON.stringify(failed)}`);
  }

  /** Address of a backend. */
  address(i: number): string {
    return plainAddress(this.six ? `fd00:9::${i + 1}` : `10.244.9.${i + 1}`);
  }

  /** Runs steps. */
  run(steps: readonly Step[]): this {
    for (const step of steps) this.step(step);
    return this;
  }

  private step(step: Step): void {
    switch (step.kind) {
      case 'packet':
        this.send(step.flow);
        return;
      case 'wait':
        this.now += step.seconds;
        this.tell();
        this.world.settle();
        this.write();
        return;
      case 'evict':
        this.evict(step.flow);
        return;
      case 'restart':
        if (this.now - this.moved <= LIFETIME) this.moved = this.now;
        this.world.restart(this.config, this.memory());
        this.tell();
        this.world.put(...this.fixed(), ...this.documents);
        this.write();
        this.world.prune();
        this.write();
        return;
      case 'backends':
        this.change(step.states, step.heavy);
    }
  }

  private change(states: readonly BackendState[], heavy: number | undefined): void {
    this.states = states;
    const lists = [0, 1].map((half) =>
      states.flatMap((state, i) =>
        state === 'absent' || i % 2 !== half ? [] : [on('far', this.address(i), CONDITIONS[state])],
      ),
    );
    // Two slices, so that a weight changes the table and nobody comes or goes.
    this.documents = lists.map((list, half) =>
      eps(list, {
        name: `store-${half}`,
        six: this.six,
        ...(half === 1 && heavy !== undefined ? { weight: heavy } : {}),
      }),
    );
    this.tell();
    this.world.put(...this.documents);
    this.write();
    this.moved = this.now;
    for (const flow of this.flows.values()) {
      flow.changed = this.now;
      if (!this.serves(flow.backend)) flow.left = true;
    }
    this.heavy = heavy;
    this.fresh = undefined;
    for (const [number, flow] of this.flows) {
      const home = this.homeOf(number);
      if (home !== flow.home) Object.assign(flow, { home, homeSince: this.now });
      if (home === flow.backend) flow.away = -1;
      else if (flow.away < 0) flow.away = this.now;
    }
  }

  /** The backend that a node without a past gives a flow, where flows go by the table; undefined: none, or they do not. */
  private homeOf(number: number): string | undefined {
    if (this.entry !== 'XDP') return this.flows.get(number)?.backend;
    if (this.fresh === undefined) {
      this.fresh = new FlowHistory(this.entry, this.six);
      this.fresh.change(this.states, this.heavy);
    }
    return this.fresh.ask(number, 'S');
  }

  private serves(backend: string): boolean {
    return this.states.some((state, i) => this.address(i) === backend && (state === 'ready' || state === 'draining'));
  }

  /** Everything that is remembered about flows of one port goes, as an LRU map may do at any time. */
  private evict(flow: number): void {
    const port = 10000 + flow;
    for (const [name, map] of Object.entries(this.sim.maps)) {
      if (map.spec.kind !== 'lru-hash' || !/^(flows|ct)/.test(name)) continue;
      for (const [key] of [...map.entries()]) {
        const at = key.findIndex((byte, i) => byte === port >> 8 && key[i + 1] === (port & 255));
        if (at >= 0) map.delete(key.slice());
      }
    }
    const known = this.flows.get(flow);
    if (known === undefined) return;
    known.older = [];
    known.last = { backend: undefined, seen: this.now };
    // Where only flows of slots on the move are remembered, there is nothing to lose at other times.
    if (this.entry !== 'XDP' || this.now - this.moved <= LIFETIME) known.evicted = true;
  }

  private memory(): MemoryDump {
    return Object.fromEntries(MEMORY_MAPS.map((name) => [name, this.sim.maps[name].entries()]));
  }

  /** Sends a packet of a flow. Returns the backend that gets it, undefined: none. */
  private ask(number: number, flags: 'A' | 'S'): string | undefined {
    const { entry, six } = this;
    const inside = entry === 'FROM_CONTAINER';
    const bytes = frame({
      protocol: 'tcp',
      source: inside ? (six ? 'fd00:1::5' : '10.244.1.5') : six ? 'fd00:99::7' : '198.51.100.7',
      destination: inside ? (six ? 'fd00:30::1' : '172.30.1.1') : six ? 'fd00:20::1' : '203.0.113.20',
      sourcePort: 10000 + number,
      destinationPort: 7000,
      flags,
    });
    this.sim.run(HOOK[entry], this.packet.set(bytes, this.now), this.meta.reset());
    const { backendId, verdict, action } = this.sim.decision();
    const passed = verdict !== VERDICT.DROPPED && (entry !== 'XDP' || action !== ACTION.STACK);
    return passed && backendId !== 0 ? this.backendAddress(backendId) : undefined;
  }

  private send(number: number): void {
    const known = this.flows.get(number);
    const { entry } = this;
    const got = this.ask(number, known?.isOpen === true ? 'A' : 'S');
    if (known?.isOpen !== true) {
      const changed = known?.changed ?? -1;
      if (got === undefined) return;
      const older = known === undefined ? [] : [...known.older, known.last].filter((visit) => this.isRemembered(visit));
      const last = { backend: got, seen: this.now };
      const opened = { evicted: false, changed, left: false, away: -1, isOpen: true, last, older };
      const flow: Flow = {
        ...opened,
        backend: got,
        seen: this.now,
        home: known?.home,
        homeSince: known?.homeSince ?? -1,
      };
      this.flows.set(number, flow);
      const home = this.homeOf(number);
      if (known === undefined) Object.assign(flow, { home, homeSince: this.moved });
      // An entry of an older connection of the same ports may have served it: then the table has given another for longer.
      if (home !== got) flow.away = flow.homeSince;
      return;
    }
    const fate = fateOf({
      flow: number,
      from: known.backend,
      to: got,
      stays: this.serves(known.backend),
      left: known.left,
      idle: this.now - known.seen,
      sinceChange: known.changed < 0 ? undefined : this.now - known.changed,
      sinceAway: known.away < 0 ? undefined : this.now - known.away,
      evicted: known.evicted,
      older: known.older.some((visit) => visit.backend === got && this.isRemembered(visit)),
      stateless: entry === 'XDP',
      lifetime: LIFETIME,
    });
    this.fates.push(fate);
    known.last = { backend: got, seen: this.now };
    // A connection that was cut is opened anew with its next packet.
    if (fate.kind === 'kept') Object.assign(known, { seen: this.now, evicted: false });
    else known.isOpen = false;
  }

  private isRemembered({ seen }: Visit): boolean {
    return this.now - seen <= LIFETIME;
  }

  private backendAddress(id: number): string {
    const map = this.sim.maps[this.six ? 'backends6' : 'backends4'];
    const layout = this.six ? backendValue6 : backendValue4;
    const value = new Uint8Array(layout.bytes);
    map.lookup(Uint8Array.of(id & 255, id >> 8, 0, 0), value);
    const { address } = layout.decode(value);
    return addressText(
      typeof address === 'number' ? Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address) : address,
    );
  }
}
