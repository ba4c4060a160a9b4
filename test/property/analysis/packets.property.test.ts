// Answers without packets against packets: `verdict`, `reach` and the naive evaluator say what happens to the first packet of a
// connection on its way through the pods' hooks, and what passes there is answered: replies of allowed flows pass.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Judge, PolicyWorld, reach } from '../../../src/analysis/index.ts';
import { ANSWER, intervalAt, type PlainFunction, PROTOCOLS } from '../../../src/analysis/side-functions.ts';
import { Compiler } from '../../../src/control/compile.ts';
import type { Config } from '../../../src/control/config/index.ts';
import { diff } from '../../../src/control/diff.ts';
import { settingsOf } from '../../../src/control/settings.ts';
import { Meta, Packet } from '../../../src/datapath/index.ts';
import { createSim, type Sim } from '../../../src/dataplane/sim/index.ts';
import { HOOK, VERDICT } from '../../../src/schema/index.ts';
import { naiveVerdict, type NaiveConnection } from '../../support/naive-policy.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';
import { cluster, OUTSIDE, policies, policiesWithHosts, tieredPolicies } from '../../support/policy-arbitraries.ts';
import { type Document, holds, type Spoil, spoiled } from '../../support/policy-laws.ts';
import { address, configWith } from '../../support/policy-world.ts';
import { CONNECTION_PORTS, loadDocuments } from '../../support/question-world.ts';

const configOf = (hostFirewall: boolean): Config =>
  configWith({ 'sctp.enabled': true, 'ipv6.enabled': true, 'hostFirewall.enabled': hostFirewall });
const SMALL = Object.fromEntries(
  ['ctTcp4', 'ctAny4', 'ctTcpNew4', 'ctAnyNew4', 'ctTcp6', 'ctAny6', 'ctTcpNew6', 'ctAnyNew6'].map((name) => [
    name,
    { maxEntries: 4096 },
  ]),
);

interface Sample {
  readonly from: number;
  readonly to: number;
  readonly port: number;
}
interface Input {
  readonly world: readonly Document[];
  readonly rules: readonly Document[];
  readonly kubernetes: boolean;
  readonly hostFirewall: boolean;
  readonly samples: readonly Sample[];
}
const input: fc.Arbitrary<Input> = fc.record({
  world: cluster,
  rules: fc.oneof(policies, tieredPolicies, policiesWithHosts),
  kubernetes: fc.boolean(),
  hostFirewall: fc.boolean(),
  samples: fc.array(fc.record({ from: fc.nat(40), to: fc.nat(40), port: fc.nat(CONNECTION_PORTS.length - 1) }), {
    minLength: 20,
    maxLength: 60,
  }),
});

/** A cluster with everything that can be asked about it. */
class Lab {
  readonly state: ReturnType<typeof loadDocuments>;
  readonly world: PolicyWorld;
  readonly judge: Judge;
  readonly pods: ReadonlyMap<string, string>;
  readonly sim: Sim;
  private readonly ends: readonly string[];
  private readonly hostFirewall: boolean;
  private serial = 0;

  constructor({ world, rules, kubernetes, hostFirewall }: Input, spoil: Spoil) {
    const config = configOf(hostFirewall);
    this.hostFirewall = hostFirewall;
    this.state = loadDocuments([...world, ...rules]);
    const options = { semantics: kubernetes ? ('kubernetes' as const) : ('cilium' as const) };
    const compiled = new Compiler(config, options).compile(this.state);
    const settings = settingsOf(config, this.state, options);
    this.world = new PolicyWorld({ state: this.state, settings, compiled, dnsKnown: true });
    this.judge = new Judge(this.world);
    this.sim = createSim({ seed: 1, specs: SMALL });
    assert.equal(this.sim.apply(diff(undefined, spoiled(compiled, spoil).maps)).failed, undefined);
    const own = this.state.pods.filter((pod) => !pod.hostNetwork);
    this.pods = new Map(own.flatMap((p) => p.podIPs.map((ip) => [ip.text, `${p.namespace}/${p.name}`] as const)));
    this.ends = [...this.pods.keys(), ...OUTSIDE];
  }

  /** The connections that a sample means, without those that cannot be. */
  *connections(samples: readonly Sample[]): Generator<NaiveConnection & { readonly text: string }> {
    for (const { from, to, port: at } of samples) {
      const source = address(this.ends[from % this.ends.length]!);
      const destination = address(this.ends[to % this.ends.length]!);
      const [protocol, port] = CONNECTION_PORTS[at]!;
      if (source.text === destination.text || source.family !== destination.family) continue;
      if (!this.isOurs(source.text) && !this.isOurs(destination.text)) continue;
      if (protocol.startsWith('ICMP') && (protocol === 'ICMP') !== (source.family === 4)) continue;
      yield { source, destination, protocol, port, text: `${source.text} -> ${destination.text} ${protocol} ${port}` };
    }
  }

  private isNode(end: string): boolean {
    return this.hostFirewall && end.startsWith('172.');
  }

  private isOurs(end: string): boolean {
    return this.pods.has(end) || this.isNode(end);
  }

  /** Opens a connection: the packet, and whether both pods' hooks let it pass. */
  open({ source, destination, protocol, port }: NaiveConnection): {
    readonly packet: PacketSpec;
    readonly passed: boolean;
  } {
    this.serial++;
    const icmp = protocol.startsWith('ICMP');
    const packet: PacketSpec = {
      protocol: protocol.toLowerCase() as 'tcp',
      source: source.text,
      destination: destination.text,
      ...(icmp
        ? { type: port, id: this.serial }
        : { sourcePort: 20000 + this.serial, destinationPort: port, flags: 'S' }),
    };
    return { packet, passed: this.pass(packet) };
  }

  /** Sends a packet the way between pods: out of the source's, into the destination's. Each node has its own meta. */
  pass(packet: PacketSpec): boolean {
    const bytes = frame(packet);
    const run = (hook: number): boolean => {
      const verdict = this.sim.run(hook, new Packet().set(bytes.slice()), new Meta());
      assert.ok(verdict === VERDICT.FORWARDED || verdict === VERDICT.AUDIT || verdict === VERDICT.DROPPED);
      return verdict !== VERDICT.DROPPED;
    };
    if (this.pods.has(packet.source) && !run(HOOK.FROM_CONTAINER)) return false;
    if (this.isNode(packet.source) && !run(this.pods.has(packet.destination) ? HOOK.FROM_HOST : HOOK.TO_NETDEV))
      return false;
    if (this.isNode(packet.destination)) return run(HOOK.TO_HOST);
    return !this.pods.has(packet.destination) || run(HOOK.TO_CONTAINER);
  }

  /** Forgets every connection. */
  forget(): void {
    for (const [name, map] of Object.entries(this.sim.maps)) {
      if (!name.startsWith('ct')) continue;
      for (const [key] of [...map.entries()]) map.delete(key);
    }
  }
}

const answerTo = (packet: PacketSpec): PacketSpec => {
  const { source, destination, sourcePort, destinationPort, type } = packet;
  return {
    ...packet,
    source: destination,
    destination: source,
    ...(type === undefined
      ? { sourcePort: destinationPort!, destinationPort: sourcePort!, flags: 'SA' }
      : { type: type === 8 ? 0 : 129 }),
  };
};

const PROTOCOL_NAMES = PROTOCOLS.map(({ name }) => name.toUpperCase());

test('packets, verdict, reach and the naive evaluator agree about a sample of connections', () => {
  let met = 0;
  holds(
    input,
    (given, spoil) => {
      const lab = new Lab(given, spoil);
      const told = new Map<string, PlainFunction | undefined>();
      for (const connection of lab.connections(given.samples)) {
        const { source, destination, protocol, port, text } = connection;
        const options = {
          kubernetes: given.kubernetes,
          enforcement: 'default',
          hostFirewall: given.hostFirewall,
        } as const;
        const { egress, ingress } = naiveVerdict(lab.state, connection, options);
        const expected = egress !== 'deny' && ingress !== 'deny';
        assert.equal(lab.open(connection).passed, expected, `packet ${text}`);
        const asked = lab.judge.ask({ from: `ip:${source.text}`, to: `ip:${destination.text}`, protocol, port });
        assert.ok('answer' in asked, text);
        assert.equal(asked.answer.verdict === 'allowed', expected, `verdict ${text}`);
        met++;
        // A node is two ends, a pod's own and another: which one it is reach does not say of an address.
        if (source.text.startsWith('172.') || destination.text.startsWith('172.')) continue;
        const pair = `${source.text} ${destination.text}`;
        if (!told.has(pair)) {
          const rows = reach(lab.world, { from: `ip:${source.text}`, to: `ip:${destination.text}` });
          assert.ok('rows' in rows, 'problem' in rows ? rows.problem : '');
          assert.equal(rows.rows.length, 1, pair);
          told.set(pair, rows.rows[0]!.ports);
        }
        const kind = PROTOCOL_NAMES.indexOf(protocol.toUpperCase());
        assert.ok(kind >= 0, protocol);
        const { answer } = intervalAt(told.get(pair)![kind]!, port);
        assert.equal(answer !== ANSWER.DENIED, expected, `reach ${text}`);
      }
      lab.sim.close();
    },
    ({ value }) => ((value.precedence & 0xff) === 255 ? undefined : {}),
  );
  assert.ok(met > 200, `only ${met} connections`);
});

/** Holds for replies while conntrack remembers them; without it policy would be asked, which says no somewhere. */
function repliesPass(given: Input, forgetful: boolean): number {
  const lab = new Lab(given, () => ({}));
  let passed = 0;
  for (const connection of lab.connections(given.samples)) {
    const { packet, passed: opened } = lab.open(connection);
    if (!opened) continue;
    passed++;
    if (forgetful) lab.forget();
    assert.ok(lab.pass(answerTo(packet)), `the answer of ${connection.text}`);
    // And what the client says next, which is a packet of an answered connection now.
    const next = packet.type === undefined ? { ...packet, flags: 'A' } : packet;
    assert.ok(lab.pass(next), `what follows ${connection.text}`);
  }
  lab.sim.close();
  return passed;
}

test('replies of allowed flows pass', () => {
  let passed = 0;
  fc.assert(
    fc.property(input, (given) => {
      passed += repliesPass(given, false);
    }),
    { numRuns: Number(process.env['WEIR_RUNS'] ?? 25) },
  );
  assert.ok(passed > 100, `only ${passed} connections opened`);
  const found = fc.check(
    fc.property(input, (given) => {
      repliesPass(given, true);
    }),
    { numRuns: 200, seed: 7, endOnFailure: true },
  );
  assert.ok(found.failed, 'a conntrack that forgets was not found');
});
