// A reach as text, JSON, CSV or DOT. Input: rows. Output: text. Invariant: JSON, CSV and DOT are complete and exact; text joins
// what people read as one thing. Names from manifests are made harmless for each format.
import { jsonLine, palette, safeText } from '../flow/index.ts';
import { EndNames, type EndSet } from './end-names.ts';
import { portRanges, portsText, rangeText } from './ports-text.ts';
import { allowsAnything, type Reach, type ReachRow } from './reach.ts';
import { ANSWER } from './side-functions.ts';

export const REACH_FORMATS = ['text', 'json', 'csv', 'dot', 'svg'] as const;
export type ReachFormat = (typeof REACH_FORMATS)[number];

/** A row with its sets named. */
export interface NamedRow extends ReachRow {
  readonly source: EndSet;
  readonly destination: EndSet;
}

/** Rows of a verdict, sets named, sorted by destination and source. */
export function namedRows({ rows, units }: Reach, which: 'allowed' | 'denied' | 'all' = 'allowed'): NamedRow[] {
  const names = new EndNames(units);
  const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return rows
    .filter(({ ports }) => which !== 'allowed' || allowsAnything(ports))
    .map((row) => ({ ...row, source: names.of(row.from), destination: names.of(row.to) }))
    .sort((a, b) => compare(a.destination.name, b.destination.name) || compare(a.source.name, b.source.name));
}

/** Destinations as headings, sources beneath with what they may reach. */
export function* reachText(rows: readonly NamedRow[], tunnelPort: number, colour: boolean): Generator<string> {
  const c = palette(colour);
  const width = Math.min(
    60,
    rows.reduce((most, { source }) => Math.max(most, source.name.length), 0),
  );
  let heading: string | undefined;
  for (const { source, destination, families, ports } of rows) {
    if (destination.name !== heading) {
      yield `${heading === undefined ? '' : '\n'}to ${c.host(safeText(destination.name))}\n`;
      heading = destination.name;
    }
    const words = portsText(ports, families, tunnelPort);
    const shown = words === 'nothing' ? c.verdict('DROPPED', words) : c.verdict('FORWARDED', words);
    yield `  from ${safeText(source.name).padEnd(width)}  ${shown}\n`;
  }
}

const VERDICT: Readonly<Record<number, string>> = {
  [ANSWER.DENIED]: 'denied',
  [ANSWER.UNKNOWN]: 'unknown',
};

/** One object a range of ports. ICMP ranges are types. */
export function* reachJson(rows: readonly NamedRow[], which: 'allowed' | 'denied' | 'all'): Generator<string> {
  const texts = new WeakMap<EndSet, string>();
  const textOf = (set: EndSet): string => {
    let text = texts.get(set);
    if (text === undefined) texts.set(set, (text = jsonLine(set)));
    return text;
  };
  for (const { source, destination, ports, families } of rows) {
    for (const { protocol, first, last, answer } of ranges(ports, families, which)) {
      const more =
        answer === ANSWER.REDIRECTED ? ',"redirected":true' : answer === ANSWER.AUDITED ? ',"audit":true' : '';
      yield `{"from":${textOf(source)},"to":${textOf(destination)},"protocol":"${protocol}","ports":"${rangeText(first, last)}","verdict":"${VERDICT[answer] ?? 'allowed'}"${more}}\n`;
    }
  }
}

const ranges = (
  ports: ReachRow['ports'],
  families: number,
  which: 'allowed' | 'denied' | 'all',
): ReturnType<typeof portRanges> => [
  ...(which === 'denied' ? [] : portRanges(ports, families)),
  ...(which === 'allowed' ? [] : portRanges(ports, families, true)),
];

/** A cell of CSV (RFC 4180), harmless in a spreadsheet: what would begin a formula gets an apostrophe. */
function cell(text: string): string {
  const safe = safeText(text);
  const plain = /^[=+\-@]/.test(safe) ? `'${safe}` : safe;
  return /[",;]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/** A header and a line a range. */
export function* reachCsv(rows: readonly NamedRow[], which: 'allowed' | 'denied' | 'all'): Generator<string> {
  yield 'from,to,protocol,ports,verdict\r\n';
  for (const { source, destination, ports, families } of rows) {
    for (const { protocol, first, last, answer } of ranges(ports, families, which)) {
      const verdict = answer === ANSWER.REDIRECTED ? 'redirected' : (VERDICT[answer] ?? 'allowed');
      // Spreadsheets take 8-11 for a date: a range is written with three dots.
      const port = first === last ? String(first) : `${first}...${last}`;
      yield `${[source.name, destination.name, protocol, port, verdict].map(cell).join()}\r\n`;
    }
  }
}

const quoted = (text: string): string => `"${safeText(text).replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;

/** Graphviz: a node a set of ends, an edge a row. */
export function* reachDot(rows: readonly NamedRow[], tunnelPort: number): Generator<string> {
  yield 'digraph reach {\n  rankdir=LR;\n  node [shape=box, style="rounded,filled", fillcolor="#f6f8fa", color="#57606a", fontname="Helvetica"];\n  edge [color="#1a7f37", fontname="Helvetica", fontsize=10];\n';
  for (const { source, destination, ports, families } of rows) {
    const label = portsText(ports, families, tunnelPort);
    yield `  ${quoted(source.name)} -> ${quoted(destination.name)} [label=${quoted(label)}];\n`;
  }
  yield '}\n';
}
