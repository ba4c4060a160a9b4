// Policy verdicts asked of the programs in the kernel as well: the first packet of a connection, at the hook of each pod that has
// a say in it. Input: an engine that holds the compiled maps, answers. Output: where the kernel says otherwise.
// Invariant: questions change no map; a gate without an address, of a node, or without a verdict yet is counted, not asked.
import { addressWords, type PointAnswer, type PolicyWorld, type SideAnswer } from '../analysis/index.ts';
import { Meta, type Packet } from '../datapath/index.ts';
import type { Dataplane } from '../dataplane/index.ts';
import { Opening } from '../replay/index.ts';
import { DROP, dropName, HOOK, META_FLAG, VERDICT } from '../schema/index.ts';

const NUMBER: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };
const BY_POLICY: ReadonlySet<number> = new Set([DROP.POLICY, DROP.POLICY_DENY, DROP.POLICY_AUTH_REQUIRED]);
/** A port that nobody asks about. */
const SOURCE_PORT = 40000;

/** See the head of this file. */
export class KernelGates {
  /** Gates that the kernel was asked about, and those that it could not be. */
  asked = 0;
  passedOver = 0;
  private readonly dataplane: Pick<Dataplane, 'run' | 'decision'>;
  private readonly world: Pick<PolicyWorld, 'endpointAt'>;
  private readonly opening = new Opening();
  private readonly meta = new Meta();

  constructor(dataplane: Pick<Dataplane, 'run' | 'decision'>, world: Pick<PolicyWorld, 'endpointAt'>) {
    this.dataplane = dataplane;
    this.world = world;
  }

  /** Asks both gates of one connection; what differs, in words. `protocol` as in a Question. */
  differences({ from, to, port, egress, ingress }: PointAnswer, protocol: string): string[] {
    const source = from.address;
    const destination = to.address;
    return [
      this.gate('egress', egress, from.address, source, destination, protocol, port),
      this.gate('ingress', ingress, to.address, source, destination, protocol, port),
    ].filter((text) => text !== undefined);
  }

  private gate(
    side: 'egress' | 'ingress',
    told: SideAnswer,
    own: PointAnswer['from']['address'],
    source: PointAnswer['from']['address'],
    destination: PointAnswer['from']['address'],
    protocol: string,
    port: number,
  ): string | undefined {
    const endpoint = own === undefined ? undefined : this.world.endpointAt(own);
    if (own !== undefined && endpoint === undefined) return undefined;
    if (source === undefined || destination === undefined || endpoint?.host === true || told.verdict === 'unknown') {
      this.passedOver++;
      return undefined;
    }
    const packet = this.first(source, destination, protocol, port);
    this.meta.reset();
    this.meta.flags = META_FLAG.PROBE | META_FLAG.SKIP_SERVICE;
    const hook = side === 'egress' ? HOOK.FROM_CONTAINER : HOOK.TO_CONTAINER;
    const dropped = this.dataplane.run(hook, packet, this.meta) === VERDICT.DROPPED;
    const reason = dropped ? this.dataplane.decision().dropReason : 0;
    // What is dropped for another reason never came to the policy.
    if (dropped && !BY_POLICY.has(reason)) {
      this.passedOver++;
      return undefined;
    }
    this.asked++;
    if (dropped === (told.verdict === 'denied')) return undefined;
    return `${source.text} → ${destination.text} ${port}/${protocol}, ${side}: ${told.verdict}, but the kernel says ${dropped ? dropName(reason) : 'allowed'}`;
  }

  private first(
    source: NonNullable<PointAnswer['from']['address']>,
    destination: NonNullable<PointAnswer['from']['address']>,
    protocol: string,
    port: number,
  ): Packet {
    const { family } = source;
    const icmp = protocol.startsWith('ICMP');
    const number = icmp ? (family === 4 ? 1 : 58) : NUMBER[protocol]!;
    const [s0, s1 = 0, s2 = 0, s3 = 0] = addressWords(source);
    const [d0, d1 = 0, d2 = 0, d3 = 0] = addressWords(destination);
    const raw = (value: number): number => ((value & 0xff) << 8) | (value >>> 8);
    const ports = icmp ? 0 : raw(SOURCE_PORT) | (raw(port) << 16);
    const packet = this.opening.make(family, s0!, s1, s2, s3, d0!, d1, d2, d3, ports, number, 0, 0);
    if (icmp) packet.bytes[packet.offset + (family === 4 ? 20 : 40)] = port;
    return packet;
  }
}
