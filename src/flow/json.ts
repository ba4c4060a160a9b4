// One JSON object a line, with stable field names (docs/output.md). Input: records. Output: NDJSON.
// Invariant: fields keep their order; an absent fact is an absent key; `drop` and `by` are always there.
import { isoTime } from './flow-time.ts';
import { type FlowPrinter, linePrinter } from './printer.ts';
import { type FlowEnd, type FlowRecord, isConnection } from './record.ts';
import { jsonLine } from './terminal-text.ts';

/** The `-o json` printer. */
export const jsonPrinter = (): FlowPrinter => linePrinter((record) => jsonLine(jsonRecord(record)));

/** What `-o json` prints of a record: plain data whose undefined properties JSON leaves out. */
export function jsonRecord(record: FlowRecord): Record<string, unknown> {
  const head = isConnection(record)
    ? {
        capture: record.capture,
        flow: record.flow,
        first: record.first,
        time: isoTime(record.time),
        last: isoTime(record.last),
      }
    : { capture: record.capture, number: record.number, time: isoTime(record.time) };
  return {
    ...head,
    at: record.at,
    hook: record.hook,
    path: record.path,
    verdict: record.verdict,
    unknown: record.unknown,
    observed: record.observed,
    counterfactual: record.counterfactual,
    source: endOf(record.source),
    destination: endOf(record.destination),
    protocol: record.protocol,
    flags: record.l4?.number === 6 && !isConnection(record) ? record.l4.tcpFlags : undefined,
    icmp: icmpOf(record),
    reply: isConnection(record) ? undefined : record.reply,
    ct: record.ct,
    policy: record.policy,
    service: record.service,
    proxyPort: record.proxyPort,
    drop: record.drop ?? null,
    by: record.by,
    ...(isConnection(record)
      ? { packets: record.packets, bytes: record.bytes, verdicts: record.verdicts }
      : { bytes: record.bytes }),
  };
}

function endOf(end: FlowEnd): Record<string, unknown> | undefined {
  const { ip, port, identity, namespace, pod, node, mac } = end;
  if (ip === undefined) return mac === undefined ? undefined : { mac };
  return { ip, port, identity, namespace, pod, node };
}

function icmpOf(record: FlowRecord): unknown {
  const { l4 } = record;
  return l4?.icmpType === undefined ? undefined : { type: l4.icmpType, code: l4.icmpCode };
}
