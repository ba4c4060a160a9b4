// A reach as a picture: a matrix, sources down the side, destinations across the top, a cell for what may pass. Input: rows.
// Output: one SVG document, or a word that it would be too large. Invariant: self-contained, no script, every text escaped.
import { safeText } from '../flow/index.ts';
import type { EndClass } from './end-classes.ts';
import { portsText } from './ports-text.ts';
import { allowsAnything, type Reach, type ReachRow } from './reach.ts';
import { ANSWER, type PlainFunction } from './side-functions.ts';

/** Cells of one picture, a side. */
const MOST = 150;
const CELL = 26;
const FONT = 'font-family="ui-sans-serif, system-ui, Helvetica, Arial, sans-serif"';

const COLOUR = {
  any: '#1a7f37',
  some: '#54aeff',
  proxy: '#bf8700',
  mixed: '#a475f9',
  none: '#f6f8fa',
} as const;

interface Cell {
  readonly kinds: Set<PlainFunction>;
  families: number;
  denied: boolean;
}

/** The picture; `problem` where it would have more cells than anybody can read. */
export function reachSvg(reach: Reach, tunnelPort: number): { readonly svg: string } | { readonly problem: string } {
  for (const level of ['workload', 'namespace'] as const) {
    // Too many is found out before any cell is made.
    const side = (of: (row: ReachRow) => readonly EndClass[]): number =>
      new Set(reach.rows.flatMap((row) => [...labels(of(row), level)])).size;
    if (side(({ from }) => from) > MOST || side(({ to }) => to) > MOST) continue;
    return { svg: new Matrix(reach.rows, level).svg(tunnelPort) };
  }
  return {
    problem: `the picture would have more than ${MOST} rows or columns: narrow it with --from or --to namespace:NAME`,
  };
}

class Matrix {
  readonly sources: readonly string[];
  readonly destinations: readonly string[];
  private readonly cells = new Map<string, Cell>();

  constructor(rows: readonly ReachRow[], level: 'workload' | 'namespace') {
    const sources = new Set<string>();
    const destinations = new Set<string>();
    for (const { from, to, ports, families } of rows) {
      const allows = allowsAnything(ports);
      for (const source of labels(from, level)) {
        sources.add(source);
        for (const destination of labels(to, level)) {
          destinations.add(destination);
          const key = `${source}\0${destination}`;
          let cell = this.cells.get(key);
          if (cell === undefined) this.cells.set(key, (cell = { kinds: new Set(), families: 0, denied: false }));
          cell.families |= families;
          if (allows) cell.kinds.add(ports);
          else cell.denied = true;
        }
      }
    }
    this.sources = [...sources].sort(byKind);
    this.destinations = [...destinations].sort(byKind);
  }

  svg(tunnelPort: number): string {
    const left = 24 + textWidth(this.sources);
    const top = 64 + Math.ceil(textWidth(this.destinations) * 0.72);
    const width = Math.max(
      left + this.destinations.length * CELL + Math.ceil(textWidth(this.destinations) * 0.72) + 16,
      620,
    );
    const height = top + this.sources.length * CELL + 56;
    const out = [
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="who can reach whom">`,
      `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
      `<text x="16" y="28" ${FONT} font-size="15" font-weight="600" fill="#1f2328">Who can reach whom</text>`,
      `<text x="16" y="46" ${FONT} font-size="11" fill="#59636e">from (rows) to (columns); point at a cell for its ports</text>`,
    ];
    this.destinations.forEach((name, column) => {
      const x = left + column * CELL + CELL / 2 + 4;
      out.push(
        `<text transform="translate(${x} ${top - 8}) rotate(-45)" ${FONT} font-size="11" fill="#1f2328">${xml(name)}</text>`,
      );
    });
    this.sources.forEach((name, row) => {
      const y = top + row * CELL;
      out.push(
        `<text x="${left - 8}" y="${y + CELL / 2 + 4}" text-anchor="end" ${FONT} font-size="11" fill="#1f2328">${xml(name)}</text>`,
      );
      this.destinations.forEach((destination, column) => {
        out.push(this.cell(name, destination, left + column * CELL, y, tunnelPort));
      });
    });
    out.push(...legend(16, height - 22), '</svg>');
    return `${out.join('\n')}\n`;
  }

  private cell(source: string, destination: string, x: number, y: number, tunnelPort: number): string {
    const cell = this.cells.get(`${source}\0${destination}`);
    const box = (fill: string, title: string, mark = ''): string =>
      `<g><title>${xml(title)}</title><rect x="${x + 1}" y="${y + 1}" width="${CELL - 2}" height="${CELL - 2}" rx="4" fill="${fill}" stroke="#d1d9e0" stroke-width="${fill === COLOUR.none ? 1 : 0}"/>${mark}</g>`;
    if (cell === undefined) return '';
    if (cell.kinds.size === 0) return box(COLOUR.none, `${source} → ${destination}: nothing`);
    const texts = [...cell.kinds].map((ports) => portsText(ports, cell.families, tunnelPort));
    const title = `${source} → ${destination}: ${[...new Set(texts)].join(' or ')}${cell.denied ? ' (some of them only)' : ''}`;
    if (cell.denied || new Set(texts).size > 1) return box(COLOUR.mixed, title);
    if (texts[0] === 'any') return box(COLOUR.any, title);
    const proxy = [...cell.kinds].some((ports) =>
      ports.some((list) => list.some((i) => i.answer === ANSWER.REDIRECTED)),
    );
    const port = /^(?:TCP|UDP) (\d{1,5})(?: \(.*)?$/.exec(texts[0]!)?.[1];
    const mark =
      port === undefined
        ? ''
        : `<text x="${x + CELL / 2}" y="${y + CELL / 2 + 3}" text-anchor="middle" ${FONT} font-size="${port.length > 4 ? 7 : 8}" fill="#ffffff">${port}</text>`;
    return box(proxy ? COLOUR.proxy : COLOUR.some, title, mark);
  }
}

/** Names of a class's members at a level; pods first, then nodes, then the world. */
function labels(classes: readonly EndClass[], level: 'workload' | 'namespace'): Set<string> {
  const found = new Set<string>();
  for (const { kind, members } of classes) {
    if (kind === 'own-node') found.add('own node');
    else if (kind === 'nodes') found.add('other nodes');
    else if (kind === 'name') for (const { name } of members) found.add(`${name} (DNS)`);
    else if (kind !== 'pods') for (const { name } of members) found.add(name.endsWith('/0') ? `world ${name}` : name);
    else {
      for (const { name, workload } of members) {
        found.add(level === 'workload' ? workload! : `${name.slice(0, name.indexOf('/'))}/`);
      }
    }
  }
  return found;
}

/** Pods by name, then the own node, other nodes, the world. */
function byKind(a: string, b: string): number {
  const rank = (name: string): number =>
    name === 'own node' ? 1 : name === 'other nodes' ? 2 : /^world|^[\d:.]|\(DNS\)$/.test(name) ? 3 : 0;
  return rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0);
}

const textWidth = (names: readonly string[]): number =>
  Math.min(320, names.reduce((most, name) => Math.max(most, name.length), 4) * 6.4);

function legend(x: number, y: number): string[] {
  const items = [
    [COLOUR.any, 'everything'],
    [COLOUR.some, 'some ports'],
    [COLOUR.proxy, 'through a proxy'],
    [COLOUR.mixed, 'differs by pod'],
    [COLOUR.none, 'nothing'],
  ] as const;
  return items.map(([fill, text], i) => {
    const at = x + i * 120;
    const stroke = fill === COLOUR.none ? ' stroke="#d1d9e0"' : '';
    return `<rect x="${at}" y="${y - 11}" width="14" height="14" rx="3" fill="${fill}"${stroke}/><text x="${at + 20}" y="${y}" ${FONT} font-size="11" fill="#59636e">${text}</text>`;
  });
}

const XML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const xml = (text: string): string => safeText(text).replace(/[&<>"']/g, (c) => XML[c]!);
