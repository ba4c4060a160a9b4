// Prints lists: columns for people as `cilium-dbg` lays them out, one JSON object a line, or YAML. Input: rows, each with its
// cells and its object. Output: text. Invariant: columns are at least as wide as their heads ask for; blanks at line ends are cut.
import { stringify } from 'yaml';
import { safeText } from '../../flow/index.ts';
import { DataOutput } from '../terminal.ts';

/** Formats of `-o`. */
export const LIST_FORMATS = ['table', 'json', 'yaml'] as const;
/** One of them. */
export type ListFormat = (typeof LIST_FORMATS)[number];

/** One line. */
export interface ListRow {
  readonly cells: readonly string[];
  readonly object: Readonly<Record<string, unknown>>;
}

/** A list. `head`: column names; a list without one prints its only cells as they are. */
export interface Listing {
  readonly head: readonly string[];
  /** Least widths of the columns. */
  readonly widths?: readonly number[];
  readonly rows: readonly ListRow[];
}

const GAP = 3;

/** A column keeps its least width while a blank is left behind the longest cell. */
function widthOf(lengths: readonly number[], least: number): number {
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  return longest < least ? least : longest + GAP;
}

/** A listing as text. */
export function listText({ head, widths = [], rows }: Listing, format: ListFormat): string {
  if (format === 'json') return rows.map(({ object }) => `${JSON.stringify(object)}\n`).join('');
  if (format === 'yaml') return rows.length === 0 ? '[]\n' : stringify(rows.map(({ object }) => object));
  const lines = [...(head.length === 0 ? [] : [head]), ...rows.map(({ cells }) => cells.map(safeText))];
  const columns = Math.max(0, ...lines.map((cells) => cells.length));
  const wide = Array.from({ length: columns }, (_, i) =>
    widthOf(
      lines.map((cells) => cells[i]?.length ?? 0),
      widths[i] ?? 0,
    ),
  );
  return lines
    .map((cells) =>
      `${cells.map((cell, i) => (i + 1 === cells.length ? cell : cell.padEnd(wide[i]!))).join('')}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/** Writes a listing to standard output. */
export async function printList(listing: Listing, format: ListFormat): Promise<void> {
  const output = new DataOutput();
  output.write(listText(listing, format));
  await output.end();
}
