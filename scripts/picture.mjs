// Writes docs/demo.svg: the demo's output as a terminal shows it. Run it after a change of the demo: node scripts/picture.mjs
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { stdout, stderr } = spawnSync(process.execPath, [join(root, 'scripts', 'demo.mjs'), '--color', 'always'], {
  encoding: 'utf8',
});
const COLOURS = { 2: '#7d8590', 31: '#ff7b72', 32: '#56d364', 33: '#e3b341', 35: '#d2a8ff', 36: '#79c0ff' };
const WIDTH = 7.22;
const HEIGHT = 17;
const text = (s) => s.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

// One connection of each kind is enough to see: same pods, service, verdict and rules as one before are left out.
const plain = (line) => line.replaceAll(/\u001b\[\d+m/g, '');
const kinds = new Set();
const lines = [];
let block = [];
const take = () => {
  const kind = block
    .map(plain)
    .join('\n')
    .replaceAll(/^\d\d:\S+|:\d{5}\b| {2,}|\d+ \+ \d+/gm, '');
  if (!kinds.has(kind)) lines.push(...block);
  kinds.add(kind);
  block = [];
};
for (const line of stdout.replace(' --color always', '').trim().split('\n')) {
  if (!line.startsWith(' ') && !plain(line).startsWith(' ')) take();
  block.push(line);
}
take();
lines.push('', ...stderr.split('\n').filter((line) => /^\d|^ {2}[A-Z]/.test(plain(line))));
let columns = 0;
const rows = lines.map((line, i) => {
  let colour = '#e6edf3';
  let at = 0;
  let row = '';
  for (const part of line.split(/(\u001b\[\d+m)/)) {
    const code = /^\u001b\[(\d+)m$/.exec(part)?.[1];
    if (code !== undefined) colour = COLOURS[code] ?? '#e6edf3';
    else if (part !== '') {
      if (part.trim() !== '')
        row += `<tspan x="${(16 + at * WIDTH).toFixed(1)}" fill="${colour}">${text(part.trimEnd())}</tspan>`;
      at += part.length;
    }
  }
  columns = Math.max(columns, at);
  return `<text y="${28 + i * HEIGHT}">${row}</text>`;
});
const width = Math.ceil(32 + columns * WIDTH);
const height = 40 + lines.length * HEIGHT;
writeFileSync(
  join(root, 'docs', 'demo.svg'),
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="12" xml:space="preserve"><rect width="100%" height="100%" rx="8" fill="#0d1117"/>\n${rows.join('\n')}\n</svg>\n`,
);
