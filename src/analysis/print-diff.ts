// Changes as text, JSON, Markdown, GitHub's annotations or JUnit. Input: a PolicyDiff. Output: text, in a fixed order.
// Invariant: the JSON has a line for each class and range of ports; words for people join ranges of one class.
import { jsonLine, palette, safeText } from '../flow/index.ts';
import type { Change, ChangeRow, PolicyDiff, Reasons } from './diff.ts';
import { EndNames, type EndSet } from './end-names.ts';
import { rangeText } from './ports-text.ts';
import { flowRule, shortRule } from './rule-text.ts';

export const DIFF_FORMATS = ['text', 'json', 'markdown', 'github'] as const;
export type DiffFormat = (typeof DIFF_FORMATS)[number];

/** Changes of one pair of sets, joined. */
interface NamedChange {
  readonly change: Change;
  readonly from: EndSet;
  readonly to: EndSet;
  readonly rows: readonly ChangeRow[];
}

/** Prints; lines come one by one. */
export function* diffLines(diff: PolicyDiff, format: DiffFormat, colour: boolean): Generator<string> {
  const changes = named(diff);
  switch (format) {
    case 'json':
      for (const { from, to, rows } of changes) for (const row of rows) yield jsonOf(from, to, row);
      return;
    case 'text':
      for (const change of changes) yield textOf(change, colour);
      return;
    case 'github':
      for (const change of changes) yield githubOf(change);
      return;
    case 'markdown':
      yield* markdownOf(changes);
  }
}

/** How many classes changed in which way, in words; undefined for none. */
export function diffSummary({ rows }: PolicyDiff): string | undefined {
  const counts = new Map<Change, number>();
  for (const { change } of rows) counts.set(change, (counts.get(change) ?? 0) + 1);
  if (counts.size === 0) return undefined;
  return [...counts]
    .sort()
    .map(([change, count]) => `${count} ${change.replaceAll('-', ' ')}`)
    .join(', ');
}

function named({ rows, units }: PolicyDiff): NamedChange[] {
  const names = new EndNames(units);
  const groups = new Map<string, NamedChange & { rows: ChangeRow[] }>();
  for (const row of rows) {
    const from = names.of(row.from);
    const to = names.of(row.to);
    const key = `${row.change}\0${from.name}\0${to.name}\0${JSON.stringify([row.before.verdict, row.after.verdict])}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { change: row.change, from, to, rows: [row] });
    else group.rows.push(row);
  }
  return [...groups.entries()].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, group]) => group);
}

function jsonOf(from: EndSet, to: EndSet, row: ChangeRow): string {
  const { change, protocol, first, last, example, before, after } = row;
  const by = { before: before.by.map(flowRule), after: after.by.map(flowRule) };
  const missing = before.missing ?? after.missing;
  const line = {
    change,
    from,
    to,
    protocol,
    ports: rangeText(first, last),
    example,
    ...(missing === undefined ? {} : { missing }),
    by,
  };
  return `${jsonLine(line)}\n`;
}

const SIGN: Readonly<Record<Change, string>> = {
  'newly-allowed': '+',
  'newly-denied': '-',
  'newly-redirected': '~',
  'no-longer-redirected': '~',
  'newly-audited': '~',
  'no-longer-audited': '~',
};

/** `TCP 80,443; UDP 53`, or `any`. */
function portWords(rows: readonly ChangeRow[]): string {
  const byProtocol = new Map<string, string[]>();
  for (const { protocol, first, last } of rows) {
    const list = byProtocol.get(protocol) ?? [];
    list.push(first === 0 && last === (protocol.startsWith('ICMP') ? 255 : 65535) ? '' : rangeText(first, last));
    byProtocol.set(protocol, list);
  }
  // The overlay's own port never changes: UDP in two pieces is UDP.
  const udp = byProtocol.get('UDP');
  if (udp?.length === 2 && udp[0]!.startsWith('0-') && udp[1]!.endsWith('-65535')) {
    const [low, high] = [Number(udp[0]!.slice(2)), Number(udp[1]!.split('-')[0])];
    if (high - low === 2) byProtocol.set('UDP', ['']);
  }
  const whole = [...byProtocol.values()].every((list) => list.length === 1 && list[0] === '');
  if (whole && ['TCP', 'UDP', 'SCTP'].every((name) => byProtocol.has(name)) && byProtocol.size > 3) return 'any';
  return [...byProtocol]
    .map(([name, list]) =>
      list[0] === '' ? name : `${name}${name.startsWith('ICMP') ? ' type' : ''} ${list.join(',')}`,
    )
    .join('; ');
}

function reasonText({ by, verdict, missing }: Reasons): string {
  if (missing !== undefined) return missing;
  if (by.length === 0) return verdict === 'allowed' ? 'allowed: nothing isolates' : verdict;
  const rules = by.slice(0, 3).map(shortRule).join(', ');
  const isolated = verdict === 'denied' && by.every(({ rule }) => /^(?:.*\.)?(?:in|e)gress$/.test(rule));
  const more = by.length > 3 ? ` and ${by.length - 3} more` : '';
  return isolated ? `denied: no rule allows it, isolated by ${rules}${more}` : `${verdict} by ${rules}${more}`;
}

const exampleText = ({ example: { from, to, protocol, port } }: ChangeRow): string =>
  `--from ${from} --to ${to} --port ${port}/${protocol}`;

function textOf({ change, from, to, rows }: NamedChange, colour: boolean): string {
  const c = palette(colour);
  const [first] = rows as [ChangeRow];
  const like = change === 'newly-allowed' ? 'FORWARDED' : change === 'newly-denied' ? 'DROPPED' : 'UNKNOWN';
  const head = `${SIGN[change]} ${change.replaceAll('-', ' ')}`;
  return `${[
    `${c.verdict(like, head)}  ${safeText(`${from.name} -> ${to.name}`)}  ${portWords(rows)}`,
    `    before   ${safeText(reasonText(first.before))}`,
    `    after    ${safeText(reasonText(first.after))}`,
    `    example  ${safeText(exampleText(first))}`,
  ].join('\n')}\n`;
}

const data = (text: string): string => safeText(text).replace(/%/g, '%25');
const property = (text: string): string => data(text).replace(/:/g, '%3A').replace(/,/g, '%2C');

function githubOf({ change, from, to, rows }: NamedChange): string {
  const [first] = rows as [ChangeRow];
  const rule = [...first.after.by, ...first.before.by].find(({ file }) => file !== '' && file !== '-');
  const place = rule === undefined ? '' : `file=${property(rule.file)},line=${rule.line},`;
  const level = change === 'newly-denied' ? 'error' : 'warning';
  const text = `${from.name} -> ${to.name} ${portWords(rows)}; before: ${reasonText(first.before)}; after: ${reasonText(first.after)}`;
  return `::${level} ${place}title=${change.replaceAll('-', ' ')}::${data(text)}\n`;
}

/** A table for a pull request's comment. */
function* markdownOf(changes: readonly NamedChange[]): Generator<string> {
  const cell = (text: string): string => safeText(text).replace(/[\\|`<>*_[\]]/g, '\\$&');
  if (changes.length === 0) {
    yield 'No connection changes.\n';
    return;
  }
  yield '| change | from | to | ports | before | after |\n| --- | --- | --- | --- | --- | --- |\n';
  for (const { change, from, to, rows } of changes) {
    const [first] = rows as [ChangeRow];
    const cells = [change.replaceAll('-', ' '), from.name, to.name, portWords(rows)];
    yield `| ${[...cells, reasonText(first.before), reasonText(first.after)].map(cell).join(' | ')} |\n`;
  }
}
