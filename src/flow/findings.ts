// Records gathered by who speaks to whom and what became of it: what reports list once instead of packet by packet.
// Input: records. Output: findings in the order first seen. Invariant: bounded; further kinds are counted, not kept.
import { type FlowEnd, type FlowRecord, type FlowRule, isConnection, ruleText, socketText } from './record.ts';
import { requestSummary } from './request-text.ts';

/** A kind of traffic and its verdict. */
export interface Finding {
  readonly verdict: FlowRecord['verdict'];
  /** `shop/a -> shop/b:8080/TCP`. */
  readonly subject: string;
  /** `Policy denied (133)`, or what is missing. */
  readonly reason: string;
  readonly hook: string | undefined;
  readonly by: readonly FlowRule[];
  /** `capture.pcap packet 12`. */
  readonly first: string;
  /** Records of this kind. */
  count: number;
}

const MOST = 10_000;

/** See the head of this file. */
export class Findings {
  /** Records of kinds that were not kept. */
  beyond = 0;
  private readonly kinds = new Map<string, Finding>();

  /** Takes in a record and its requests; OBSERVED ones are no finding. */
  add(record: FlowRecord): void {
    if (record.verdict === 'OBSERVED') return;
    const reason = record.drop === undefined ? (record.unknown ?? '') : `${record.drop.name} (${record.drop.code})`;
    this.keep(record, '', record.verdict, reason, record.by);
    if (isConnection(record)) return;
    for (const request of record.l7 ?? []) {
      const denied = request.verdict === 'DROPPED' ? (request.reason ?? 'Layer-7 policy denied') : request.reason;
      this.keep(record, ` ${requestSummary(request)}`, request.verdict, denied ?? '', request.by);
    }
  }

  private keep(
    record: FlowRecord,
    request: string,
    verdict: FlowRecord['verdict'],
    reason: string,
    by: readonly FlowRule[],
  ): void {
    const subject = `${endName(record.source, false)} -> ${endName(record.destination, true)}/${record.protocol}${request}`;
    const key = `${verdict} ${subject} ${reason} ${by.map(ruleText).join()}`;
    const known = this.kinds.get(key);
    if (known !== undefined) {
      known.count++;
      return;
    }
    if (this.kinds.size >= MOST) {
      this.beyond++;
      return;
    }
    const number = isConnection(record) ? record.first : record.number;
    this.kinds.set(key, {
      verdict,
      subject,
      reason,
      hook: record.hook,
      by,
      first: `${record.capture} packet ${number}`,
      count: 1,
    });
  }

  /** Everything gathered. */
  list(): Finding[] {
    return [...this.kinds.values()];
  }
}

/** Pod, node or address; of a destination with its port. Ports of sources are chance. */
function endName(end: FlowEnd, withPort: boolean): string {
  const port = end.behind?.port ?? end.port;
  const name = end.pod === undefined ? end.node : `${end.namespace}/${end.pod}`;
  if (name !== undefined) return withPort && port !== undefined ? `${name}:${port}` : name;
  const ip = end.behind?.ip ?? end.ip ?? end.mac ?? 'unknown';
  return withPort ? socketText(ip, port) : ip;
}
