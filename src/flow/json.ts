// One JSON object a line, with stable field names (docs/output.md). Input: records. Output: NDJSON.
// Invariants: fields keep their order; an absent fact is an absent key; `drop` and `by` are always there. The text is put together
// piece by piece: building objects for JSON.stringify takes five times as long, and this runs for every packet.
import { isoTime } from './flow-time.ts';
import { type FlowPrinter, linePrinter } from './printer.ts';
import { type FlowEnd, type FlowRecord, type FlowRequest, type FlowRule, isConnection } from './record.ts';
import { jsonLine } from './terminal-text.ts';

/** The `-o json` printer. */
export function jsonPrinter(): FlowPrinter {
  const texts = new JsonTexts();
  return linePrinter((record) => jsonText(record, texts));
}

const MOST_STRINGS = 1 << 14;

/** Strings and lists that come again and again, as JSON. */
class JsonTexts {
  private readonly strings = new Map<string, string>();
  private readonly lists = new WeakMap<object, string>();

  string(text: string): string {
    let quoted = this.strings.get(text);
    if (quoted === undefined) {
      if (this.strings.size >= MOST_STRINGS) this.strings.clear();
      this.strings.set(text, (quoted = jsonLine(text)));
    }
    return quoted;
  }

  /** Lists that records share are written once. */
  list(items: readonly (FlowRule | string)[]): string {
    let text = this.lists.get(items);
    if (text === undefined) this.lists.set(items, (text = jsonLine(items)));
    return text;
  }
}

function jsonText(record: FlowRecord, texts: JsonTexts): string {
  const flow = isConnection(record);
  let t = `{"capture":${texts.string(record.capture)}`;
  t += flow
    ? `,"flow":${record.flow},"first":${record.first},"time":"${isoTime(record.time)}","last":"${isoTime(record.last)}"`
    : `,"number":${record.number},"time":"${isoTime(record.time)}"`;
  if (record.at !== undefined) t += `,"at":${texts.string(record.at)}`;
  if (record.hook !== undefined) t += `,"hook":"${record.hook}"`;
  if (record.path !== undefined) t += `,"path":${texts.list(record.path)}`;
  t += `,"verdict":"${record.verdict}"`;
  if (record.unknown !== undefined) t += `,"unknown":${texts.string(record.unknown)}`;
  if (record.observed !== undefined) t += `,"observed":"${record.observed}"`;
  if (record.counterfactual === true) t += ',"counterfactual":true';
  t += endText('source', record.source, texts) + endText('destination', record.destination, texts);
  t += `,"protocol":${texts.string(record.protocol)}`;
  const { l4 } = record;
  if (!flow && l4?.tcpFlags !== undefined) t += `,"flags":${l4.tcpFlags}`;
  if (l4?.icmpType !== undefined) t += `,"icmp":{"type":${l4.icmpType},"code":${l4.icmpCode ?? 0}}`;
  if (!flow && record.reply !== undefined) t += `,"reply":${record.reply}`;
  if (record.ct !== undefined) t += `,"ct":"${record.ct}"`;
  if (record.policy !== undefined)
    t += `,"policy":{"match":"${record.policy.match}","direction":"${record.policy.direction}"}`;
  if (record.service !== undefined) t += serviceText(record.service, texts);
  if (record.proxyPort !== undefined) t += `,"proxyPort":${record.proxyPort}`;
  const { drop } = record;
  t += drop === undefined ? ',"drop":null' : `,"drop":{"code":${drop.code},"name":${texts.string(drop.name)}}`;
  t += `,"by":${texts.list(record.by)}`;
  if (!flow) {
    if (record.l7 !== undefined) t += `,"l7":[${record.l7.map(requestText).join(',')}]`;
    if (record.departure !== undefined) t += `,"departure":"${isoTime(record.departure)}"`;
    if (record.answered === true) t += ',"answered":true';
    return `${t},"bytes":${record.bytes}}`;
  }
  const { packets, bytes, verdicts, requests } = record;
  if (requests !== undefined) t += `,"requests":${JSON.stringify(requests)}`;
  return `${t},"packets":${JSON.stringify(packets)},"bytes":${JSON.stringify(bytes)},"verdicts":${JSON.stringify(verdicts)}}`;
}

/** Header lists become pairs of name and value, as they stand. */
const requestText = (request: FlowRequest): string => jsonLine(request);

function endText(name: string, end: FlowEnd, texts: JsonTexts): string {
  if (end.ip === undefined) return end.mac === undefined ? '' : `,"${name}":{"mac":"${end.mac}"}`;
  let t = `,"${name}":{"ip":"${end.ip}"`;
  if (end.port !== undefined) t += `,"port":${end.port}`;
  if (end.identity !== undefined) t += `,"identity":${end.identity}`;
  if (end.namespace !== undefined) t += `,"namespace":${texts.string(end.namespace)}`;
  if (end.pod !== undefined) t += `,"pod":${texts.string(end.pod)}`;
  if (end.node !== undefined) t += `,"node":${texts.string(end.node)}`;
  return `${t}}`;
}

function serviceText(service: NonNullable<FlowRecord['service']>, texts: JsonTexts): string {
  const parts: string[] = [];
  if (service.namespace !== undefined) parts.push(`"namespace":${texts.string(service.namespace)}`);
  if (service.name !== undefined) parts.push(`"name":${texts.string(service.name)}`);
  parts.push(`"frontend":${texts.string(service.frontend)}`);
  if (service.backend !== undefined) parts.push(`"backend":${texts.string(service.backend)}`);
  return `,"service":{${parts.join(',')}}`;
}
