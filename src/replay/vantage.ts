// Where a capture was taken, inferred from who its packets are between. Input: tuples of the first packets of one
// interface. Output: a Vantage with its evidence. Invariant: the rules run in order (replay.md, "The vantage point").
import type { Headers } from '../wire/index.ts';
import { covers, type Directory } from './directory.ts';

/** Where an interface's packets were seen. `owner` numbers the pod or the node in the Directory. */
export interface Vantage {
  readonly kind: 'pod' | 'node' | 'edge' | 'any';
  readonly owner: number;
  /** `pod:NS/NAME`, `node:NAME`, `edge`, `any`. */
  readonly text: string;
  /** Why: one sentence. */
  readonly evidence: string;
  /** Set where the choice is a guess. */
  readonly warning?: string;
}

/** IP packets of an interface that are looked at. */
export const VANTAGE_PACKETS = 10_000;
/** Bytes of packets that are held meanwhile. */
export const VANTAGE_BYTES = 16 << 20;
const SHARE = 0.99;

const isCooked = (linkType: number): boolean => linkType === 113 || linkType === 276;
const isInitialTtl = (ttl: number): boolean => ttl === 64 || ttl === 128 || ttl === 255;

/** What was seen of one pod. */
interface Seen {
  /** Packets with it at an end. */
  packets: number;
  sent: number;
  sentWithInitialTtl: number;
  talksToService: boolean;
  /** TCP connections that it opened. */
  opened: number;
}

/** `--at`'s value, or an error text. `auto` gives undefined. */
export function parseVantage(text: string, directory: Directory): Vantage | undefined | { readonly error: string } {
  const evidence = 'as told';
  if (text === 'auto') return undefined;
  if (text === 'edge' || text === 'any') return { kind: text, owner: 0, text, evidence };
  const match = /^(pod|node):(.+)$/.exec(text);
  if (match === null) return { error: `--at ${text}: give auto, pod:NAMESPACE/NAME, node:NAME, edge or any` };
  const kind = match[1] === 'pod' ? 'pod' : 'node';
  const name = match[2]!;
  if (kind === 'pod' && !name.includes('/'))
    return { error: `--at ${text}: give the pod's namespace, too: pod:NAMESPACE/NAME` };
  const owner = directory.find(kind, name);
  if (owner === 0)
    return { error: `--at ${text}: the manifests hold no ${kind} ${name}${kind === 'pod' ? ' that is running' : ''}` };
  return { kind, owner, text, evidence };
}

/** Collects packets of one interface and infers its vantage point. */
export class VantageObserver {
  /** IP packets seen. */
  packets = 0;
  private readonly directory: Directory;
  private readonly linkType: number;
  private readonly pods = new Map<number, Seen>();
  private readonly nodes = new Map<string, number>();
  private readonly nodeOfAddress = new Map<string, string>();
  private serviceAddresses = 0;
  private podAddresses = 0;
  private firstSender = 0;

  constructor(directory: Directory, linkType: number) {
    this.directory = directory;
    this.linkType = linkType;
  }

  /** Whether more packets would not change anything. */
  get satisfied(): boolean {
    return this.packets >= VANTAGE_PACKETS || this.directory.empty || isCooked(this.linkType);
  }

  /** Takes in an IP packet's addresses; anything else is passed over. */
  observe(h: Headers): void {
    if (h.family === 0 || this.packets >= VANTAGE_PACKETS) return;
    this.packets++;
    const { directory } = this;
    const source = directory.ownerOf(h.family, h.s0, h.s1, h.s2, h.s3);
    const destination = directory.ownerOf(h.family, h.d0, h.d1, h.d2, h.d3);
    const fromService = directory.isServiceAddress(h.family, h.s0, h.s1, h.s2, h.s3);
    const toService = directory.isServiceAddress(h.family, h.d0, h.d1, h.d2, h.d3);
    // A node's address is a service's where the port is a NodePort.
    const fromFrontend = fromService || this.isFrontend(h, true);
    const toFrontend = toService || this.isFrontend(h, false);
    if (fromFrontend || toFrontend) this.serviceAddresses++;
    const sender = this.pod(source);
    const receiver = this.pod(destination);
    if (sender !== undefined || receiver !== undefined) this.podAddresses++;
    if (sender !== undefined) {
      sender.packets++;
      sender.sent++;
      if (isInitialTtl(h.ttl)) sender.sentWithInitialTtl++;
      if (toService) sender.talksToService = true;
      if (h.protocol === 6 && (h.tcpFlags & 0x17) === 2) sender.opened++;
      if (this.firstSender === 0) this.firstSender = source;
    }
    if (receiver !== undefined) {
      if (destination !== source) receiver.packets++;
      if (fromService) receiver.talksToService = true;
    }
    const a = this.nodeOf(h, true, source);
    const b = this.nodeOf(h, false, destination);
    if (a !== undefined) this.nodes.set(a, (this.nodes.get(a) ?? 0) + 1);
    if (b !== undefined && b !== a) this.nodes.set(b, (this.nodes.get(b) ?? 0) + 1);
  }

  /** The vantage point, by what was seen so far. */
  infer(): Vantage {
    const any = (evidence: string): Vantage => ({ kind: 'any', owner: 0, text: 'any', evidence });
    if (isCooked(this.linkType))
      return any(`a Linux cooked capture${this.linkType === 276 ? ' (v2)' : ''}: all interfaces of a machine`);
    if (this.directory.empty) return any('no manifests');
    if (this.packets === 0) return any('no IP packets');
    return (
      this.inferPod() ??
      this.inferNode() ??
      this.inferEdge() ??
      any(`no pod or node is an end of 99 % of the ${this.packets} packets`)
    );
  }

  private isFrontend(h: Headers, source: boolean): boolean {
    const { directory } = this;
    if (source) return directory.isFrontend(h.family, h.s0, h.s1, h.s2, h.s3, h.ports & 0xffff, h.protocol);
    return directory.isFrontend(h.family, h.d0, h.d1, h.d2, h.d3, h.ports >>> 16, h.protocol);
  }

  private pod(number: number): Seen | undefined {
    if (this.directory.owners[number]?.kind !== 'pod') return undefined;
    let seen = this.pods.get(number);
    if (seen === undefined) {
      seen = { packets: 0, sent: 0, sentWithInitialTtl: 0, talksToService: false, opened: 0 };
      this.pods.set(number, seen);
    }
    return seen;
  }

  /** Name of the node whose address or pod network this end is in. */
  private nodeOf(h: Headers, source: boolean, owner: number): string | undefined {
    const known = this.directory.owners[owner];
    if (known?.node !== undefined) return known.node;
    const words = source ? [h.s0, h.s1, h.s2, h.s3] : [h.d0, h.d1, h.d2, h.d3];
    const key = `${h.family} ${words.join(' ')}`;
    const cached = this.nodeOfAddress.get(key);
    if (cached !== undefined) return cached === '' ? undefined : cached;
    const bytes = new Uint8Array(new Int32Array(words).buffer);
    const node = this.directory.nodes.find((place) =>
      place.prefixes.some((p) => p.family === h.family && covers(p, bytes)),
    );
    if (this.nodeOfAddress.size < 4 * VANTAGE_PACKETS) this.nodeOfAddress.set(key, node?.name ?? '');
    return node?.name;
  }

  private inferPod(): Vantage | undefined {
    const enough = [...this.pods].filter(([, seen]) => seen.packets >= SHARE * this.packets);
    if (enough.length === 0) return undefined;
    const [first, second] = enough;
    if (second === undefined) return this.podVantage(first![0], '');
    const pair = [first!, second] as const;
    const only = (test: (seen: Seen) => boolean): readonly [number, Seen] | undefined => {
      const [a, b] = pair;
      if (test(a[1]) === test(b[1])) return undefined;
      return test(a[1]) ? a : b;
    };
    const other = (chosen: readonly [number, Seen]): string => this.name(chosen === pair[0] ? pair[1][0] : pair[0][0]);
    const service = only((seen) => seen.talksToService);
    if (service !== undefined)
      return this.podVantage(service[0], `; so is ${other(service)}, but this one talks to a service address`);
    const ttl = only((seen) => seen.sent > 0 && seen.sentWithInitialTtl === seen.sent);
    if (ttl !== undefined) {
      return this.podVantage(ttl[0], `; so is ${other(ttl)}, but this one's packets still carry an initial TTL`);
    }
    const [a, b] = pair;
    const opener =
      a[1].opened === b[1].opened ? (b[0] === this.firstSender ? b : a) : a[1].opened > b[1].opened ? a : b;
    const how = a[1].opened === b[1].opened ? 'this one sent first' : 'this one opens the TCP connections';
    const warning = `${this.name(a[0])} and ${this.name(b[0])} are both an end of every packet: ${this.name(opener[0])} was taken because ${how}; say --at if that is wrong`;
    return { ...this.podVantage(opener[0], `; so is ${other(opener)}, but ${how}`), warning };
  }

  private podVantage(owner: number, more: string): Vantage {
    const seen = this.pods.get(owner)!;
    const name = this.name(owner);
    return {
      kind: 'pod',
      owner,
      text: `pod:${name}`,
      evidence: `pod ${name} (${this.directory.owners[owner]!.addresses.join(', ')}) is an end of ${seen.packets} of ${this.packets} packets${more}`,
    };
  }

  private inferNode(): Vantage | undefined {
    const enough = [...this.nodes].filter(([, count]) => count >= SHARE * this.packets);
    if (enough.length === 0) return undefined;
    // Traffic between two nodes alone has both at every packet: the one that more packets have, then the first seen.
    enough.sort((a, b) => b[1] - a[1]);
    const [name, count] = enough[0]!;
    const evidence = `${count} of ${this.packets} packets have an end among the addresses and pod networks of node ${name}`;
    const vantage: Vantage = { kind: 'node', owner: this.directory.find('node', name), text: `node:${name}`, evidence };
    const rival = enough[1];
    if (rival === undefined || rival[1] < count) return vantage;
    const warning = `nodes ${name} and ${rival[0]} are both an end of ${count} packets: ${name} was taken because it was seen first; say --at if that is wrong`;
    return { ...vantage, warning };
  }

  private inferEdge(): Vantage | undefined {
    if (this.serviceAddresses === 0 || this.podAddresses > 0) return undefined;
    const evidence = `service addresses are an end of ${this.serviceAddresses} of ${this.packets} packets, pods of none`;
    return { kind: 'edge', owner: 0, text: 'edge', evidence };
  }

  private name(owner: number): string {
    const who = this.directory.owners[owner]!;
    return `${who.namespace}/${who.name}`;
  }
}
