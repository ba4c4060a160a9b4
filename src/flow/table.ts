// Columns padded to the widest cell, as `hubble observe -o table`, with the deciding rule as the last one.
// Input: records. Output: rows. Invariant: widths come from the first 1,000 rows, so that memory is bounded and long replays
// begin to print.
import { palette, type Palette } from './colour.ts';
import { type EndText, eventText } from './event-text.ts';
import { stampMilli } from './flow-time.ts';
import { type FlowPrinter } from './printer.ts';
import { type FlowRecord, type FlowVerdict } from './record.ts';

const HEAD = ['TIMESTAMP', 'SOURCE', 'DESTINATION', 'TYPE', 'VERDICT', 'SUMMARY', 'DECIDED BY'];
const VERDICT_COLUMN = 4;
const MEASURED = 1000;

interface Row {
  readonly cells: readonly string[];
  readonly verdict: FlowVerdict | undefined;
}

/** The table printer. */
export function tablePrinter(options: { readonly colour?: boolean } = {}): FlowPrinter {
  const colours = palette(options.colour ?? false);
  let waiting: Row[] | undefined = [{ cells: HEAD, verdict: undefined }];
  let widths: number[] = [];
  const release = (): string => {
    const rows = waiting ?? [];
    waiting = undefined;
    widths = HEAD.map((_, i) => Math.max(...rows.map((row) => row.cells[i]!.length)));
    return rows.map((row) => rowText(row, widths, colours)).join('');
  };
  return {
    begin: () => '',
    record(record) {
      const row = { cells: cellsOf(record), verdict: record.verdict };
      if (waiting === undefined) return rowText(row, widths, colours);
      waiting.push(row);
      return waiting.length > MEASURED ? release() : '';
    },
    end: () => (waiting === undefined ? '' : release()),
  };
}

const endCell = (end: EndText): string => (end.port === '' ? end.host : `${end.host}:${end.port}`);

function cellsOf(record: FlowRecord): string[] {
  const text = eventText(record);
  // Columns say which end is which: replies are not turned round here.
  const turned = text.arrow === '<-';
  const source = endCell(turned ? text.right : text.left);
  const destination = endCell(turned ? text.left : text.right);
  return [
    stampMilli(record.time),
    source,
    destination,
    text.type,
    text.verdict,
    text.summary,
    text.extras.length === 0 ? '-' : text.extras.join(' '),
  ];
}

function rowText(row: Row, widths: readonly number[], colours: Palette): string {
  const last = row.cells.length - 1;
  let line = '';
  row.cells.forEach((cell, i) => {
    const shown = i === VERDICT_COLUMN && row.verdict !== undefined ? colours.verdict(row.verdict, cell) : cell;
    line += i === last ? shown : shown + ' '.repeat(Math.max(0, widths[i]! - cell.length) + 3);
  });
  return `${line}\n`;
}
