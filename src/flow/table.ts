// A table for people: who talked to whom, through which service, with what verdict, and which lines of YAML decided.
// Input: records. Output: rows; every deciding rule has a line of its own. Invariant: rows are laid out in pages of 1,000,
// with the widths of the first, so that memory is bounded and long replays begin to print.
import Table from 'cli-table3';
import { palette, type Palette } from './colour.ts';
import { eventText } from './event-text.ts';
import { clockMilli } from './flow-time.ts';
import type { FlowPrinter } from './printer.ts';
import { type FlowEnd, type FlowRecord, type FlowRule, isConnection, placeText, socketText } from './record.ts';
import { safeText } from './terminal-text.ts';

const HEAD = ['TIME', 'FROM', 'TO', 'SERVICE', 'VERDICT', 'PACKETS', 'DECIDED BY'];
const PAGE = 1000;
/** Policies that a row names; a default deny may have dozens behind it. */
const MOST_RULES = 2;
const GAP = 2;

/** kubectl's short names. */
const SHORT: Readonly<Record<string, string>> = {
  NetworkPolicy: 'netpol',
  CiliumNetworkPolicy: 'cnp',
  CiliumClusterwideNetworkPolicy: 'ccnp',
};

/** The table printer. */
export function tablePrinter(options: { readonly colour?: boolean } = {}): FlowPrinter {
  const colours = palette(options.colour ?? false);
  let page: FlowRecord[] = [];
  let widths: number[] | undefined;
  const release = (): string => {
    const rows = page.map((record) => cellsOf(record));
    const head = widths === undefined;
    if (head) rows.unshift(HEAD.map((text) => [text]));
    widths ??= HEAD.map(
      (_, i) => Math.max(...rows.map((row) => Math.max(...row[i]!.map((line) => line.length)))) + GAP,
    );
    const table = new Table({
      style: { head: [], border: [], compact: true, 'padding-left': 0, 'padding-right': GAP },
      chars: NO_LINES,
    });
    rows.forEach((row, i) => {
      const record = head ? page[i - 1] : page[i];
      table.push(row.map((lines, column) => paint(colours, record, column, lines, widths![column]!)));
    });
    page = [];
    return `${table
      .toString()
      .split('\n')
      .map((line) => line.trimEnd())
      .join('\n')}\n`;
  };
  return {
    begin: () => '',
    record(record) {
      page.push(record);
      return page.length >= PAGE ? release() : '';
    },
    end: () => (page.length === 0 ? '' : release()),
  };
}

const NO_LINES = Object.fromEntries(
  ['top', 'bottom', 'left', 'right', 'mid', 'middle'].flatMap((side) =>
    ['', '-mid', '-left', '-right'].map((part) => [`${side}${part}`, '']),
  ),
);

/** A cell's lines, padded to the column so that pages line up, and coloured. */
function paint(
  colours: Palette,
  record: FlowRecord | undefined,
  column: number,
  lines: readonly string[],
  width: number,
): string {
  return lines
    .map((line, i) => {
      const padded = line.padEnd(width - GAP);
      if (record === undefined) return colours.faint(padded);
      if (column === 1 || column === 2) return colours.host(padded);
      if (column === 4) return i === 0 ? colours.verdict(record.verdict, padded) : colours.faint(padded);
      return column === 0 ? colours.faint(padded) : padded;
    })
    .join('\n');
}

function cellsOf(record: FlowRecord): string[][] {
  const { service, drop } = record;
  const verdict = [record.verdict as string];
  if (drop !== null && drop !== undefined) verdict.push(`${drop.name} (${drop.code})`);
  if (record.unknown !== undefined) verdict.push(record.unknown);
  if (record.counterfactual === true) verdict.push('counterfactual');
  return [
    [clockMilli(record.time)],
    [endText(record.source, '')],
    [endText(record.destination, record.protocol)],
    service === undefined ? ['-'] : [serviceText(service.namespace, service.name), service.frontend],
    verdict,
    [
      isConnection(record)
        ? `${record.packets.forward} + ${record.packets.reply}`
        : `#${record.number} ${eventText(record).summary}`,
    ],
    decidedBy(record),
  ].map((lines) => lines.map(safeText));
}

const serviceText = (namespace: string | undefined, name: string | undefined): string =>
  name === undefined ? '' : namespace === undefined ? name : `${namespace}/${name}`;

/** A pod by name, everything else by address. */
function endText(end: FlowEnd, protocol: string): string {
  const port = end.behind?.port ?? end.port ?? 0;
  const name = end.pod ?? end.node;
  const suffix = protocol === '' ? '' : ` ${protocol}`;
  if (name !== undefined) {
    const full = end.namespace === undefined ? name : `${end.namespace}/${name}`;
    return `${full}${port === 0 ? '' : `:${port}`}${suffix}`;
  }
  return `${socketText(end.behind?.ip ?? end.ip ?? end.mac ?? 'unknown', port)}${suffix}`;
}

/** One line a rule. Policies that only isolate are counted behind the first ones. */
function decidedBy(record: FlowRecord): string[] {
  const { by } = record;
  if (by.length === 0) return ['-'];
  const isolating = record.drop?.code === 133;
  const shown = isolating ? by.slice(0, MOST_RULES) : by;
  const lines = shown.map((rule) => ruleLine(rule));
  if (isolating) lines[0] = `no rule allows it; isolated by ${lines[0]!}`;
  if (by.length > shown.length) lines.push(`and ${by.length - shown.length} more`);
  return lines;
}

function ruleLine(rule: FlowRule): string {
  const name = rule.namespace === undefined ? rule.name : `${rule.namespace}/${rule.name}`;
  return [placeText(rule), SHORT[rule.kind] ?? rule.kind, name, rule.rule]
    .filter((part) => part !== undefined && part !== '')
    .join(' ');
}
