// Judges what connections carry that policy hands to a proxy. In: packets of such connections in the order of the capture. Out: a
// verdict for each request, with the rules that let it pass or would have had to; what DNS answers teach.
// Invariant: nothing throws; at most MOST_CONNECTIONS connections and MOST_HELD bytes are held, the least recently met go first.
import type { InspectedRules, PolicyRule, RuleRef } from '../control/index.ts';
import { readDns, type DnsAnswer, DnsStream } from './dns.ts';
import { HttpReader } from './http.ts';
import { KafkaReader } from './kafka.ts';
import type { L7Finding, L7Request, RequestReader } from './request.ts';
import {
  askRules,
  type L7Answer,
  type L7Rules,
  type RuleProblems,
  serverNameRules,
  type ServerNameRules,
  l7Rules,
} from './rules.ts';
import { TcpStream } from './stream.ts';
import { ClientHelloReader } from './tls.ts';

/** Connections held at once. */
export const MOST_CONNECTIONS = 8192;
/** Bytes held at once for all of them. */
export const MOST_HELD = 64 * 1024 * 1024;
/** Bytes of one direction that wait for an earlier segment. */
const MOST_WAITING = 128 * 1024;

const TCP = 6;
const UDP = 17;

/** One request's verdict. */
export interface L7Judgement {
  readonly verdict: 'FORWARDED' | 'DROPPED' | 'UNKNOWN';
  /** Absent where the bytes hold no request that could be read. */
  readonly request?: L7Request;
  /** Of UNKNOWN the missing fact; of bytes that a proxy refuses what is wrong with them. */
  readonly reason?: string;
  /** Rules that let it pass; of a drop or UNKNOWN those of the gate that decided. */
  readonly by: readonly RuleRef[];
}

/** A packet of a connection that is redirected. */
export interface InspectedPacket {
  /** Whether the connection's opener sent it. */
  readonly forward: boolean;
  /** TCP: sequence number of the first payload byte (of a SYN: its own), as int32, and the flags byte. */
  readonly seq: number;
  readonly flags: number;
  /** Captured payload; read within the call. */
  readonly payload: Uint8Array;
  /** Payload on the wire, bytes. */
  readonly wireBytes: number;
}

/** Rules ready to be asked. */
interface ReadyRule {
  readonly rule: PolicyRule;
  readonly rules: L7Rules | undefined;
  readonly names: ServerNameRules | undefined;
}

/** One side's policy: where nothing is to be asked, everything passes. */
interface Gate {
  readonly ready: readonly ReadyRule[];
  readonly lifted: PolicyRule | undefined;
}

const SYN = 2;
const FIN_OR_RST = 5;

/** Turns the rules of a policy into what can be asked; the same rule is read once. */
export class ReadyRules {
  private readonly ready = new Map<PolicyRule, ReadyRule>();
  private readonly problems: RuleProblems;

  constructor(problems: RuleProblems) {
    this.problems = problems;
  }

  /** A rule of the policy that redirects. */
  of(rule: PolicyRule): ReadyRule {
    let ready = this.ready.get(rule);
    if (ready === undefined) {
      const item = rule.inspected ?? { origin: rule.origin };
      const { kind, namespace, name, rule: part } = rule.ref;
      const path = `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name} ${part}`;
      ready = { rule, rules: l7Rules(item, path, this.problems), names: serverNameRules(item) };
      this.ready.set(rule, ready);
    }
    return ready;
  }
}

/** One connection that is looked into. */
class Inspection {
  readonly found: L7Judgement[] = [];
  readonly learnt: DnsAnswer[] = [];
  private readonly gates: readonly Gate[];
  private readonly readers: RequestReader[] = [];
  private readonly client: TcpStream | undefined;
  private readonly server: TcpStream | undefined;
  /** DNS: transaction ids of queries that passed. */
  private readonly asked = new Map<string, true>();
  private readonly datagrams: boolean;

  constructor(gates: readonly Gate[], protocol: number) {
    this.gates = gates;
    const kinds = new Set(gates.flatMap(({ ready }) => ready.map(({ rules }) => rules?.kind)));
    const names = gates.some(({ ready }) => ready.some(({ names: list }) => list !== undefined));
    const take = (finding: L7Finding): void => this.take(finding);
    this.datagrams = protocol === UDP && kinds.has('dns');
    if (protocol !== TCP) return;
    if (names) this.readers.push(new ClientHelloReader(take));
    if (kinds.has('http')) this.readers.push(new HttpReader(take));
    if (kinds.has('kafka')) this.readers.push(new KafkaReader(take));
    if (kinds.has('dns')) this.readers.push(new DnsStream((bytes) => this.query(bytes), take));
    if (kinds.has('l7')) this.readers.push(new CustomReader(take));
    if (this.readers.length === 0) return;
    const { readers } = this;
    this.client = new TcpStream(
      {
        data: (chunk): void => readers.forEach((reader) => reader.data(chunk)),
        gap: (bytes): void => readers.forEach((reader) => reader.gap(bytes)),
      },
      MOST_WAITING,
    );
    if (!kinds.has('dns')) return;
    const answers = new DnsStream(
      (bytes) => this.answer(bytes),
      () => undefined,
    );
    this.server = new TcpStream(answers, MOST_WAITING);
  }

  get held(): number {
    let held = (this.client?.waitingBytes ?? 0) + (this.server?.waitingBytes ?? 0) + this.asked.size * QUERY_BYTES;
    for (const reader of this.readers) held += reader.held;
    return held;
  }

  packet({ forward, seq, flags, payload, wireBytes }: InspectedPacket): void {
    if (this.datagrams) {
      // A datagram that the capture cut cannot be read.
      if (payload.length < wireBytes) {
        if (forward) this.take({ missing: 'the rest of the DNS message' });
      } else if (wireBytes > 0) {
        if (forward) this.query(payload);
        else this.answer(payload);
      }
      return;
    }
    const stream = forward ? this.client : this.server;
    if (stream === undefined) return;
    const syn = (flags & SYN) !== 0;
    if (syn) stream.syn(seq);
    stream.segment(syn ? (seq + 1) | 0 : seq, payload, wireBytes);
    if ((flags & FIN_OR_RST) !== 0 && wireBytes === 0) stream.end();
  }

  private query(bytes: Uint8Array): void {
    const message = readDns(bytes);
    if (message === undefined) return this.take({ malformed: 'not a DNS message' });
    if (message.response) return;
    for (const request of message.questions) {
      if (!this.judge(request)) continue;
      this.asked.set(`${message.id} ${request.name}`, true);
      // The oldest will hardly be answered any more.
      if (this.asked.size > MOST_QUERIES) this.asked.delete(this.asked.keys().next().value!);
    }
  }

  private answer(bytes: Uint8Array): void {
    const message = readDns(bytes);
    if (message?.answer === undefined) return;
    // Only what was asked for, and let pass, is believed.
    if (this.asked.delete(`${message.id} ${message.answer.name}`)) this.learnt.push(message.answer);
  }

  private take(finding: L7Finding): void {
    if ('request' in finding) {
      this.judge(finding.request);
      return;
    }
    const by = this.gates.flatMap(({ ready }) => ready.map(({ rule }) => rule.ref));
    if ('malformed' in finding) this.found.push({ verdict: 'DROPPED', reason: finding.malformed, by });
    else this.found.push({ verdict: 'UNKNOWN', reason: finding.missing, by });
  }

  /** Every gate has to let it pass. */
  private judge(request: L7Request): boolean {
    const by: RuleRef[] = [];
    let unknown: L7Judgement | undefined;
    for (const gate of this.gates) {
      const asked = gate.ready.filter((one) => speaksOf(one, request));
      if (asked.length === 0) continue;
      if (gate.lifted !== undefined) {
        by.push(gate.lifted.ref);
        continue;
      }
      const answers = asked.map((one) => ({ ref: one.rule.ref, answer: ask(one, request) }));
      const passing = answers.filter(({ answer }) => answer === 'pass');
      if (passing.length > 0) {
        by.push(...passing.map(({ ref }) => ref));
        continue;
      }
      const missing = answers.find(({ answer }) => answer !== 'fail');
      const refs = answers.map(({ ref }) => ref);
      if (missing === undefined) {
        this.found.push({ verdict: 'DROPPED', request, by: distinct(refs) });
        return false;
      }
      unknown ??= {
        verdict: 'UNKNOWN',
        request,
        reason: (missing.answer as { readonly missing: string }).missing,
        by: distinct(refs),
      };
    }
    this.found.push(unknown ?? { verdict: 'FORWARDED', request, by: distinct(by) });
    return unknown === undefined;
  }
}

/** Queries of one connection that wait for their answer. */
const MOST_QUERIES = 1024;
/** Memory of one of them, at most: a name has 255 bytes. */
const QUERY_BYTES = 350;

const distinct = (refs: readonly RuleRef[]): readonly RuleRef[] => [...new Set(refs)];

/** Whether a rule has something to say about a request of this kind. */
const speaksOf = ({ rules, names }: ReadyRule, { protocol }: L7Request): boolean =>
  protocol === 'tls' ? names !== undefined : rules !== undefined && (rules.kind === protocol || rules.kind === 'l7');

function ask({ rules, names }: ReadyRule, request: L7Request): L7Answer {
  if (request.protocol !== 'tls') return rules === undefined ? 'pass' : askRules(rules, request);
  const { serverName } = request;
  if (names === undefined) return 'pass';
  return serverName !== undefined && names.names.some(({ matches }) => matches(serverName)) ? 'pass' : 'fail';
}

/** A custom parser's protocol: that it was spoken is all that can be told. */
class CustomReader implements RequestReader {
  readonly held = 0;
  private readonly take: (finding: L7Finding) => void;
  private told = false;

  constructor(take: (finding: L7Finding) => void) {
    this.take = take;
  }

  data(): void {
    if (!this.told) this.take({ missing: 'a parser for the protocol that l7proto names' });
    this.told = true;
  }

  gap(): void {
    this.data();
  }
}

/** See the head of this file. */
export class Inspector {
  /** Connections given up because too many, or too many bytes, were held. */
  forgotten = 0;
  private readonly connections = new Map<number, { readonly generation: number; readonly inspection: Inspection }>();
  private readonly ready: ReadyRules;
  /** Bytes of all connections. */
  held = 0;

  constructor(ready: ReadyRules) {
    this.ready = ready;
  }

  /** Whether a connection is looked into already. */
  knows(connection: number, generation: number): boolean {
    return this.connections.get(connection)?.generation === generation;
  }

  /** Begins to look into a connection; `gates`: what each side's policy asks. */
  begin(connection: number, generation: number, protocol: number, gates: readonly InspectedRules[]): void {
    this.forget(connection);
    const made = gates.map(({ rules, lifted }): Gate => ({ ready: rules.map((rule) => this.ready.of(rule)), lifted }));
    const inspection = new Inspection(made, protocol);
    this.connections.set(connection, { generation, inspection });
    this.held += inspection.held;
    this.shed();
  }

  /**
   * Looks at a packet of a connection that was begun. What it completes goes to `found` and `learnt`, which are read at once.
   */
  packet(
    connection: number,
    packet: InspectedPacket,
  ): { readonly found: readonly L7Judgement[]; readonly learnt: readonly DnsAnswer[] } {
    const entry = this.connections.get(connection);
    if (entry === undefined) return NOTHING;
    // The most recently met is the last to go.
    this.connections.delete(connection);
    this.connections.set(connection, entry);
    const { inspection } = entry;
    const before = inspection.held;
    inspection.packet(packet);
    this.held += inspection.held - before;
    this.shed();
    const { found, learnt } = inspection;
    if (found.length === 0 && learnt.length === 0) return NOTHING;
    return { found: found.splice(0), learnt: learnt.splice(0) };
  }

  /** Lets go of a connection. */
  forget(connection: number): void {
    const entry = this.connections.get(connection);
    if (entry === undefined) return;
    this.held -= entry.inspection.held;
    this.connections.delete(connection);
  }

  private shed(): void {
    while (this.connections.size > MOST_CONNECTIONS || (this.held > MOST_HELD && this.connections.size > 0)) {
      const [oldest] = this.connections.keys();
      this.forget(oldest!);
      this.forgotten++;
    }
  }
}

const NOTHING = { found: [] as readonly L7Judgement[], learnt: [] as readonly DnsAnswer[] };
