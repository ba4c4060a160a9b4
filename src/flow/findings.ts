// Records gathered by who speaks to whom and what became of it: what reports list once instead of packet by packet.
// Input: records. Output: findings in the order first seen. Invariant: bounded; further kinds are counted, not kept.
import { type FlowEnd, type FlowRecord, type FlowRule, isConnection, ruleText, socketText } from './record.ts';

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

  /** Takes in a record; OBSERVED ones are no finding. */
  add(record: FlowRecord): void {
    if (record.verdict === 'OBSERVED') return;
    const subject = `${endName(record.source, false)} -> ${endName(record.destination, true)}/${record.protocol}`;
    const reason = record.drop === undefined ? (record.unknown ?? '') : `${record.drop.name} (${record.drop.code})`;
    const key = `${record.verdict} ${subject} ${reason} ${record.by.map(ruleText).join()}`;
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
      verdict: record.verdict,
      subject,
      reason,
      hook: record.hook,
      by: record.by,
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
