// Hubble's compact form, one line a record, and behind it what Weir knows besides: the service, and the deciding rule.
// Input: records. Output: `<time>: <source> <id> <arrow> <destination> <id> <type> <verdict> (<summary>) [extras]`.
import { type Palette, palette } from './colour.ts';
import { type EndText, type EventText, eventText, rulesText } from './event-text.ts';
import { stampMilli } from './flow-time.ts';
import { type FlowPrinter, linePrinter } from './printer.ts';
import { type FlowRecord, type FlowRequest, isConnection } from './record.ts';
import { requestSummary, requestType } from './request-text.ts';
import { safeText } from './terminal-text.ts';

/** The compact printer (default of `-o`). */
export function compactPrinter(options: { readonly colour?: boolean } = {}): FlowPrinter {
  const colours = palette(options.colour ?? false);
  return linePrinter((record) => compactLine(record, colours));
}

function place(end: EndText, colours: Palette): string {
  const port = end.port === '' ? '' : `:${colours.port(end.port)}`;
  return `${colours.host(end.host)}${port} ${colours.identity(end.identity)}`;
}

function compactLine(record: FlowRecord, colours: Palette): string {
  const text = eventText(record);
  const verdict = colours.verdict(record.verdict, text.verdict);
  const line = `${stampMilli(record.time)}: ${place(text.left, colours)} ${text.arrow} ${place(text.right, colours)} ${text.type} ${verdict} (${text.summary})`;
  const whole = text.extras.length === 0 ? line : `${line} ${colours.faint(text.extras.join(' '))}`;
  if (isConnection(record) || record.l7 === undefined) return whole;
  return [whole, ...record.l7.map((request) => requestLine(record, request, text, colours))].join('\n');
}

/** Hubble's line of a request: a line of its own behind the packet that completes it. */
function requestLine(record: FlowRecord, request: FlowRequest, ends: EventText, colours: Palette): string {
  const [from, to] = ends.arrow === '<-' ? [ends.right, ends.left] : [ends.left, ends.right];
  const verdict = colours.verdict(request.verdict, request.verdict);
  const line = `${stampMilli(record.time)}: ${place(from, colours)} -> ${place(to, colours)} ${requestType(request)} ${verdict} (${safeText(requestSummary(request))})`;
  const rules = rulesText(request.by);
  return rules === '' ? line : `${line} ${colours.faint(rules)}`;
}
