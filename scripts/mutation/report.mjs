// What docs/mutation.md shows of a run: shares by file, and every survivor with the reason why it is harmless. In: results,
// harmless.yaml (place and change → reason), the page. Out: the page, and survivors without a reason. Invariant: a reason that
// fits no survivor is told, so that none outlives its code.
import { parse } from 'yaml';

const BEGIN = '<!-- survivors: written by npm run mutation -- --report -->';
const END = '<!-- end of survivors -->';
const cell = (text) => text.replaceAll('|', '\\|');
const code = (text) => `<code>${cell(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</code>`;
const changeOf = ({ operator, original, replacement }) =>
  operator === 'block' ? 'block → {}' : `${original} → ${replacement}`;

/** `reasons`: the text of harmless.yaml. Answers the new page and what is wrong. */
export function report(page, results, reasons) {
  const groups = Object.entries(parse(reasons)).flatMap(([file, list]) =>
    list.map((group) => ({ file, changes: [], ...group, found: [] })),
  );
  const unexplained = [];
  const survivors = results.filter(({ by }) => by === null);
  for (const survivor of survivors) {
    const change = changeOf(survivor);
    const group = groups.find(
      ({ file, place, changes }) =>
        file === survivor.file &&
        (place === survivor.place || place === survivor.place.split('.')[0]) &&
        (changes.length === 0 || changes.some((text) => change.includes(text))),
    );
    if (group === undefined) unexplained.push(`${survivor.file} ${survivor.place}: ${change}`);
    else group.found.push(change);
  }
  const stale = groups
    .filter(({ found }) => found.length === 0)
    .map(({ file, place, why }) => `${file} ${place}: ${why}`);
  const files = [...new Set(results.map(({ file }) => file))];
  const share = (list) => {
    const killed = list.filter(({ by }) => by !== null).length;
    return `${list.length} | ${killed} | ${((100 * killed) / list.length).toFixed(1)} %`;
  };
  const table = [
    '| file | mutants | noticed | share |',
    '|---|---|---|---|',
    ...files.map((file) => `| \`${file}\` | ${share(results.filter((result) => result.file === file))} |`),
    `| all | ${share(results)} |`,
    '',
    '## Survivors',
    '',
    '| place | changes | why they are harmless |',
    '|---|---|---|',
    ...groups
      .filter(({ found }) => found.length > 0)
      .map(({ file, place, found, why }) => {
        const name = file.split('/').pop();
        return `| \`${name}\` ${cell(place)} | ${found.map(code).join('<br>')} | ${cell(why)} |`;
      }),
  ];
  const [before, rest] = page.split(BEGIN);
  const [, after] = rest.split(END);
  const text = `${before}${BEGIN}\n\n<!-- prettier-ignore-start -->\n\n${table.join('\n')}\n\n<!-- prettier-ignore-end -->\n\n${END}${after}`;
  return { text, unexplained, stale };
}
