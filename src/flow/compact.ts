// Hubble's compact form, one line a record, and behind it what Weir knows besides: the service, and the deciding rule.
// Input: records. Output: `<time>: <source> <id> <arrow> <destination> <id> <type> <verdict> (<summary>) [extras]`.
import { type Palette, palette } from './colour.ts';
import { type EndText, eventText } from './event-text.ts';
import { stampMilli } from './flow-time.ts';
import { type FlowPrinter, linePrinter } from './printer.ts';
import type { FlowRecord } from './record.ts';

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
  return text.extras.length === 0 ? line : `${line} ${colours.faint(text.extras.join(' '))}`;
}
