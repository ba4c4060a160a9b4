// Gives names to outcomes: flow records of packets and of connections, for printers.
// Input: a Judge's numbers, the directory, provenance. Output: FlowRecords. Invariant: absent facts are absent keys.
import type { RuleRef } from '../control/provenance.ts';
import {
  type ConnectionRecord,
  FLOW_VERDICTS,
  type FlowEnd,
  type FlowL4,
  type FlowRule,
  type FlowService,
  type FlowTime,
  type FlowVerdict,
  ipProtocolName,
  type PacketRecord,
  socketText,
} from '../flow/index.ts';
import {
  ACTION,
  CT_STATUS_NAME,
  DROP,
  dropName,
  HOOK_NAME,
  POLICY_MATCH_NAME,
  RECORD_FLAG,
  UNKNOWN_REASON,
  UNKNOWN_TEXT,
} from '../schema/index.ts';
import type { Headers } from '../wire/index.ts';
import type { BackendText } from './backend-text.ts';
import { addressText, portNumber, stationText } from './address-text.ts';
import { AT, INT_STRIDE, REAL, REAL_STRIDE, STATE } from './connection-record.ts';
import type { Connections } from './connections.ts';
import type { Directory } from './directory.ts';
import { directionOf, isEgress, pathNames, pointOf } from './hook-path.ts';
import { OBSERVED_AS, OUTCOME, type Outcome, WAY } from './outcome.ts';
import { l4Of, protocolName } from './protocol-text.ts';
import type { ServiceNames } from './service-names.ts';
import type { Vantage } from './vantage.ts';

/** Where names come from. */
export interface DescribeOptions {
  readonly directory: Directory;
  readonly services: ServiceNames;
  readonly connections: Connections;
  readonly rulesOf: (cookie: number) => readonly RuleRef[];
  /** What a backend id stands for. */
  readonly backendText: BackendText;
  /** Paths of the captures, by index. */
  readonly captures: readonly string[];
  /** Seconds since 1970 at which the replay's clock began. */
  readonly start: () => number;
  /** Vantage point of an interface, by its number among all captures. */
  readonly vantageOf: (interfaceNumber: number) => Vantage | undefined;
}

/** What a packet's record needs besides its outcome. `bytes` still hold its link header. */
export interface PacketFacts {
  readonly capture: number;
  readonly number: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly linkType: number;
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly capturedBytes: number;
  readonly wireBytes: number;
}

const NO_RULES: readonly FlowRule[] = [];
const DECIDED_BY_POLICY: ReadonlySet<number> = new Set([DROP.POLICY, DROP.POLICY_DENY, DROP.POLICY_AUTH_REQUIRED]);
const TCP = 6;

/** A copy without properties that are undefined. A plain loop: it runs for every record. */
function present<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  const copy: Record<string, unknown> = {};
  for (const key in value) if (value[key] !== undefined) copy[key] = value[key];
  return copy as T;
}

/** An end while it is put together. */
type MadeEnd = { -readonly [K in keyof FlowEnd]: FlowEnd[K] };

/** Entries of a cache of texts before it begins anew. */
const MOST_TEXTS = 1 << 16;

/** See the head of this file. */
export class Describer {
  private readonly options: DescribeOptions;
  private readonly rulesOfEgress = new Map<number, Map<number, readonly FlowRule[]>>();
  private readonly texts4 = new Map<number, string>();

  constructor(options: DescribeOptions) {
    this.options = options;
  }

  /** Rules behind an outcome: of a drop those of the hook that dropped, else egress first. */
  rules(verdict: number, hook: number, egressCookie: number, ingressCookie: number): readonly FlowRule[] {
    const egressOnly = verdict === OUTCOME.DROPPED && isEgress(hook);
    const ingressOnly = verdict === OUTCOME.DROPPED && !egressOnly;
    const egress = ingressOnly ? 0 : egressCookie;
    const ingress = egressOnly ? 0 : ingressCookie;
    if (egress === 0 && ingress === 0) return NO_RULES;
    // Rule sets are few, and a cookie's never changes while captures are replayed.
    let known = this.rulesOfEgress.get(egress);
    if (known === undefined) this.rulesOfEgress.set(egress, (known = new Map<number, readonly FlowRule[]>()));
    let rules = known.get(ingress);
    if (rules === undefined) known.set(ingress, (rules = this.namedRules(egress, ingress)));
    return rules;
  }

  private namedRules(egress: number, ingress: number): readonly FlowRule[] {
    const rules = new Set([egress, ingress].flatMap((cookie) => (cookie === 0 ? [] : this.options.rulesOf(cookie))));
    return [...rules].map((rule) =>
      present<FlowRule>({
        kind: rule.kind,
        namespace: rule.namespace,
        name: rule.name,
        rule: rule.rule === '' ? undefined : rule.rule,
        file: rule.file === '' ? undefined : rule.file,
        line: rule.line === 0 ? undefined : rule.line,
      }),
    );
  }

  /** The record of the packet that a Judge judged last. */
  packet(out: Outcome, h: Headers, facts: PacketFacts, at: Vantage): PacketRecord {
    const ip = h.family !== 0;
    const [source, destination] = ip ? this.packetEnds(out, h, facts) : this.stations(facts);
    const l4 = l4Of(h, out.wire);
    const dropped = out.verdict === OUTCOME.DROPPED;
    const delayed = !dropped && (out.departureSeconds | out.departureNanoseconds) !== 0;
    const policy = out.match !== 0 && (!dropped || DECIDED_BY_POLICY.has(out.drop));
    return present<PacketRecord>({
      capture: this.options.captures[facts.capture]!,
      number: facts.number,
      time: { seconds: facts.seconds, nanoseconds: facts.nanoseconds },
      at: at.text,
      hook: out.hook === 0 ? undefined : HOOK_NAME[out.hook],
      path: pathNames(out.path),
      verdict: FLOW_VERDICTS[out.verdict]!,
      unknown: out.verdict === OUTCOME.UNKNOWN ? unknownText(out.unknown, facts.linkType) : undefined,
      observed: out.observed === OBSERVED_AS.NO ? undefined : out.observed === OBSERVED_AS.OUTPUT ? 'output' : 'copy',
      counterfactual: out.counterfactual === 1 ? true : undefined,
      source,
      destination,
      protocol: protocolName(h, out.wire, facts.linkType),
      l4,
      ct: out.ct === 255 ? undefined : CT_STATUS_NAME[out.ct],
      service: this.service(out.connection),
      drop: dropped ? { code: out.drop, name: dropName(out.drop) } : undefined,
      by: this.rules(out.verdict, out.hook, out.egressCookie, out.ingressCookie),
      policy: policy
        ? { match: POLICY_MATCH_NAME[out.match - 1] ?? 'none', direction: directionOf(out.matchHook) }
        : undefined,
      point: this.point(out, destination.pod !== undefined),
      reply: out.direction === WAY.UNKNOWN ? undefined : out.direction === WAY.REPLY,
      proxyPort: out.proxyPort === 0 ? undefined : portNumber(out.proxyPort),
      node: this.nodeOf(at),
      bytes: facts.wireBytes,
      departure: delayed ? this.time(out.departureSeconds, out.departureNanoseconds) : undefined,
      answered: (out.flags & RECORD_FLAG.ANSWERED) !== 0 && out.action === ACTION.TX ? true : undefined,
    });
  }

  /** The record of a connection, as it stands. */
  connection(number: number): ConnectionRecord {
    const { connections, captures } = this.options;
    const { int, real } = connections;
    const base = number * INT_STRIDE;
    const r = number * REAL_STRIDE;
    const word = (at: number): number => int[base + at]!;
    const six = (word(AT.STATE) & STATE.IPV6) !== 0;
    const protocol = word(AT.PROTOCOL);
    const decision = word(AT.DECISION);
    const verdict = decision & 0xff;
    const hook = (decision >>> 16) & 0xff;
    const drop = (decision >>> 8) & 0xff;
    const match = word(AT.MATCH);
    const ports = protocol === TCP || protocol === 17 || protocol === 132 ? word(AT.PORTS) : 0;
    const source = this.end(
      six,
      word(AT.SOURCE),
      word(AT.SOURCE + 1),
      word(AT.SOURCE + 2),
      word(AT.SOURCE + 3),
      ports & 0xffff,
      word(AT.SOURCE_IDENTITY),
    );
    const d = AT.DESTINATION;
    const destination = this.behind(
      number,
      this.end(six, word(d), word(d + 1), word(d + 2), word(d + 3), ports >>> 16, word(AT.DESTINATION_IDENTITY)),
    );
    const verdicts: Partial<Record<FlowVerdict, number>> = {};
    FLOW_VERDICTS.forEach((name, i) => {
      if (word(AT.COUNTS + i) > 0) verdicts[name] = word(AT.COUNTS + i);
    });
    const vantage = this.options.vantageOf(word(AT.FIRST_INTERFACE) - 1);
    const policy = (match & 0xff) !== 0 && (verdict !== OUTCOME.DROPPED || DECIDED_BY_POLICY.has(drop));
    const ct = match >>> 24;
    const icmp = protocol === 1 || protocol === 58;
    return present<ConnectionRecord>({
      capture: captures[word(AT.CAPTURE)]!,
      flow: word(AT.FLOW),
      first: word(AT.FIRST),
      time: this.time(real[r + REAL.FIRST_SECONDS]!, word(AT.FIRST_NANOSECONDS)),
      last: this.time(word(AT.LAST_SECONDS), word(AT.LAST_NANOSECONDS)),
      at: vantage?.text,
      hook: hook === 0 ? undefined : HOOK_NAME[hook],
      path: pathNames(word(AT.PATH)),
      verdict: FLOW_VERDICTS[verdict]!,
      unknown: verdict === OUTCOME.UNKNOWN ? unknownText(decision >>> 24, 0) : undefined,
      source,
      destination,
      protocol: ipProtocolName(protocol),
      l4: present<FlowL4>({
        number: protocol,
        icmpType: icmp ? word(AT.ICMP) >>> 8 : undefined,
        icmpCode: icmp ? word(AT.ICMP) & 0xff : undefined,
      }),
      ct: ct === 255 || word(AT.PATH) === 0 ? undefined : CT_STATUS_NAME[ct],
      service: this.service(number),
      drop: verdict === OUTCOME.DROPPED ? { code: drop, name: dropName(drop) } : undefined,
      by: this.rules(verdict, hook, word(AT.EGRESS_COOKIE), word(AT.INGRESS_COOKIE)),
      policy: policy
        ? { match: POLICY_MATCH_NAME[(match & 0xff) - 1] ?? 'none', direction: directionOf((match >>> 8) & 0xff) }
        : undefined,
      point: pointOf(word(AT.PATH), (match >>> 16) & 0xff),
      packets: { forward: real[r + REAL.FORWARD_PACKETS]!, reply: real[r + REAL.REPLY_PACKETS]! },
      bytes: { forward: real[r + REAL.FORWARD_BYTES]!, reply: real[r + REAL.REPLY_BYTES]! },
      verdicts,
      node: vantage === undefined ? undefined : this.nodeOf(vantage),
    });
  }

  private time(seconds: number, nanoseconds: number): FlowTime {
    return { seconds: seconds + this.options.start(), nanoseconds };
  }

  private nodeOf(at: Vantage): string | undefined {
    return at.owner === 0 ? undefined : this.options.directory.owners[at.owner]?.node;
  }

  /** One end; `port` raw, 0 = none. */
  private end(six: boolean, a0: number, a1: number, a2: number, a3: number, port: number, identity: number): MadeEnd {
    const family = six ? 6 : 4;
    const { directory } = this.options;
    const owner = directory.owners[directory.ownerOf(family, a0, a1, a2, a3)];
    const end: MadeEnd = { ip: this.text(family, a0, a1, a2, a3) };
    if (port !== 0) end.port = portNumber(port);
    if (identity !== 0) end.identity = identity >>> 0;
    if (owner === undefined) return end;
    if (owner.namespace !== undefined) end.namespace = owner.namespace;
    if (owner.kind === 'pod') {
      end.pod = owner.name;
      end.labels = owner.labels;
    } else end.node = owner.name;
    return end;
  }

  private text(family: number, a0: number, a1: number, a2: number, a3: number): string {
    if (family !== 4) return addressText(family, a0, a1, a2, a3);
    let text = this.texts4.get(a0);
    if (text === undefined) {
      if (this.texts4.size >= MOST_TEXTS) this.texts4.clear();
      this.texts4.set(a0, (text = addressText(4, a0, 0, 0, 0)));
    }
    return text;
  }

  private packetEnds(out: Outcome, h: Headers, facts: PacketFacts): [MadeEnd, MadeEnd] {
    let { sourceIdentity, destinationIdentity } = out;
    const { connections } = this.options;
    const base = out.connection * INT_STRIDE;
    if (out.connection !== 0 && out.observed !== OBSERVED_AS.NO) {
      const reply = out.direction === WAY.REPLY;
      sourceIdentity = connections.int[base + (reply ? AT.DESTINATION_IDENTITY : AT.SOURCE_IDENTITY)]!;
      destinationIdentity = connections.int[base + (reply ? AT.SOURCE_IDENTITY : AT.DESTINATION_IDENTITY)]!;
    }
    const withPorts = h.protocol === TCP || h.protocol === 17 || h.protocol === 132;
    const ports = withPorts ? h.ports : 0;
    const six = h.family === 6;
    const mac = facts.linkType === 1 && facts.capturedBytes >= 12;
    let source = this.end(six, h.s0, h.s1, h.s2, h.s3, ports & 0xffff, sourceIdentity);
    let destination = this.end(six, h.d0, h.d1, h.d2, h.d3, ports >>> 16, destinationIdentity);
    if (mac) {
      source.mac = stationText(facts.bytes, facts.offset + 6);
      destination.mac = stationText(facts.bytes, facts.offset);
    }
    if (out.connection !== 0) {
      const { int } = connections;
      const d = base + AT.DESTINATION;
      const isAsked = (a0: number, a1: number, a2: number, a3: number, port: number): boolean =>
        a0 === int[d] &&
        a1 === int[d + 1] &&
        a2 === int[d + 2] &&
        a3 === int[d + 3] &&
        port === int[base + AT.PORTS]! >>> 16;
      if (isAsked(h.d0, h.d1, h.d2, h.d3, ports >>> 16)) destination = this.behind(out.connection, destination);
      else if (isAsked(h.s0, h.s1, h.s2, h.s3, ports & 0xffff)) source = this.behind(out.connection, source);
    }
    return [source, destination];
  }

  /** The end with what is behind it where it is a service's address that the connection was translated from. */
  private behind(connection: number, end: MadeEnd): MadeEnd {
    const { int } = this.options.connections;
    const base = connection * INT_STRIDE;
    const state = int[base + AT.STATE]!;
    if ((state & STATE.TRANSLATED) === 0 || int[base + AT.BACKEND] === 0) return end;
    const o = base + AT.OUT_DESTINATION;
    const six = (state & STATE.IPV6) !== 0;
    const made = this.end(
      six,
      int[o]!,
      int[o + 1]!,
      int[o + 2]!,
      int[o + 3]!,
      int[base + AT.OUT_PORTS]! >>> 16,
      end.identity ?? 0,
    );
    made.behind = { ip: made.ip!, port: made.port ?? 0 };
    made.ip = end.ip!;
    if (end.port === undefined) delete made.port;
    else made.port = end.port;
    if (end.mac !== undefined) made.mac = end.mac;
    return made;
  }

  private service(connection: number): FlowService | undefined {
    if (connection === 0) return undefined;
    const { int } = this.options.connections;
    const base = connection * INT_STRIDE;
    const state = int[base + AT.STATE]!;
    const family = (state & STATE.IPV6) === 0 ? 4 : 6;
    const protocol = int[base + AT.PROTOCOL]!;
    if (protocol !== TCP && protocol !== 17 && protocol !== 132) return undefined;
    const text = (at: number): string =>
      this.text(family, int[base + at]!, int[base + at + 1]!, int[base + at + 2]!, int[base + at + 3]!);
    const ip = text(AT.DESTINATION);
    const port = portNumber(int[base + AT.PORTS]! >>> 16);
    const name = this.options.services.find(ip, port, protocol);
    const id = int[base + AT.BACKEND]!;
    const translated = (state & STATE.TRANSLATED) !== 0 && id !== 0;
    if (name === undefined && !translated) return undefined;
    return present<FlowService>({
      namespace: name?.namespace,
      name: name?.name,
      frontend: socketText(ip, port),
      backend: translated
        ? socketText(text(AT.OUT_DESTINATION), portNumber(int[base + AT.OUT_PORTS]! >>> 16))
        : id === 0
          ? undefined
          : this.options.backendText(family, id),
    });
  }

  private stations(facts: PacketFacts): [FlowEnd, FlowEnd] {
    if (facts.linkType !== 1 || facts.capturedBytes < 12) return [{}, {}];
    return [{ mac: stationText(facts.bytes, facts.offset + 6) }, { mac: stationText(facts.bytes, facts.offset) }];
  }

  private point(out: Outcome, toPod: boolean): string | undefined {
    if (out.observed !== OBSERVED_AS.NO) return toPod ? 'to-endpoint' : 'to-network';
    return pointOf(out.path, out.action);
  }
}

/** The missing fact in words; of a link type with its number. */
export function unknownText(reason: number, linkType: number): string {
  const text = UNKNOWN_TEXT[reason];
  if (reason === UNKNOWN_REASON.LINK_TYPE) return `${text} ${linkType}`;
  return text === undefined || text === '' ? 'nobody knows' : text;
}
