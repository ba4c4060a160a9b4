// Answers as text: `-o json|compact|text|table|junit|github`. Input: answers in the order of the questions. Output: whole lines.
// Invariant: text from manifests is made harmless; JSON keys are those of the command-line contract.
import { jsonLine, palette, safeText } from '../flow/index.ts';
import type { RuleRef } from '../control/provenance.ts';
import { flowRule, shortRule } from './rule-text.ts';
import type { Answer, PointAnswer, Question, SideAnswer, Verdict } from './verdict.ts';

/** An answer with its question. */
export interface AskedAnswer {
  readonly id: string;
  readonly question: Question;
  readonly answer: Answer;
  /** What the asker expects. */
  readonly expect?: Verdict;
}

export const ANSWER_FORMATS = ['compact', 'text', 'table', 'json', 'junit', 'github'] as const;
export type AnswerFormat = (typeof ANSWER_FORMATS)[number];

/** Call `answer` for each, `end` once. */
export interface AnswerPrinter {
  answer(asked: AskedAnswer): string;
  end(): string;
}

/** The printer of a format. */
export function answerPrinter(format: AnswerFormat, colour: boolean): AnswerPrinter {
  const paint = verdictPaint(colour);
  switch (format) {
    case 'json':
      return lines(new JsonAnswers());
    case 'compact':
      return lines({ line: (asked) => `${safeText(compactText(asked, paint))}\n` });
    case 'text':
      return lines({ line: (asked) => `${answerText(asked, paint).join('\n')}\n` });
    case 'github':
      return lines({ line: githubText });
    case 'junit':
      return junitAnswers();
    case 'table':
      return tableAnswers(paint);
  }
}

type Paint = (verdict: Verdict, text: string) => string;
function verdictPaint(colour: boolean): Paint {
  const colours = palette(colour);
  const like = { allowed: 'FORWARDED', denied: 'DROPPED', unknown: 'UNKNOWN' } as const;
  return (verdict, text) => colours.verdict(like[verdict], text);
}

const lines = (printer: { line(asked: AskedAnswer): string }): AnswerPrinter => ({
  answer: (asked) => printer.line(asked),
  end: () => '',
});

/** One object a line. Sides and rules repeat: their texts are remembered. */
class JsonAnswers {
  private readonly sides = new WeakMap<SideAnswer, string>();

  line({ id, answer, expect }: AskedAnswer): string {
    const { verdict, egress, ingress, reason, points } = answer;
    let t = `{"id":${jsonLine(id)},"verdict":"${verdict}"`;
    if (expect !== undefined) t += `,"expect":"${expect}"`;
    if (reason !== undefined) t += `,"reason":${jsonLine(reason)}`;
    t += `,"egress":${this.side(egress)},"ingress":${this.side(ingress)}`;
    const several = points.length > 1 || points.some(({ to }) => to.port !== undefined);
    if (several) t += `,"points":[${points.map((point) => this.point(point)).join(',')}]`;
    return `${t}}\n`;
  }

  private side(side: SideAnswer): string {
    let text = this.sides.get(side);
    if (text === undefined) this.sides.set(side, (text = jsonLine(sideJson(side))));
    return text;
  }

  private point({ from, to, port, verdict, egress, ingress }: PointAnswer): string {
    const end = (point: PointAnswer['from']): unknown => ({
      name: point.name,
      ...(point.address === undefined ? {} : { ip: point.address.text }),
    });
    return `{"from":${jsonLine(end(from))},"to":${jsonLine(end(to))},"port":${port},"verdict":"${verdict}","egress":${this.side(egress)},"ingress":${this.side(ingress)}}`;
  }
}

function sideJson({ verdict, redirected, audit, reason, by }: SideAnswer): unknown {
  return {
    verdict,
    ...(redirected === true ? { redirected } : {}),
    ...(audit === true ? { audit } : {}),
    ...(reason === undefined ? {} : { reason }),
    by: by.map(flowRule),
  };
}

const bare = (end: string): string => end.replace(/^(?:pod|ip):/, '');

/** `shop/web -> shop/db:5432/TCP`. */
export function questionText({ from, to, protocol, port }: Question): string {
  const what = protocol.startsWith('ICMP') ? ` ${protocol} type ${port}` : `:${port}/${protocol}`;
  return `${bare(from)} -> ${bare(to)}${what}`;
}

const MOST_RULES = 3;

/** Why a side says what it says, in one phrase. */
export function sideText({ verdict, by, redirected, audit, reason, open }: SideAnswer): string {
  const named = by.slice(0, MOST_RULES).map(shortRule).join(', ');
  const rules = by.length > MOST_RULES ? `${named} and ${by.length - MOST_RULES} more` : named;
  if (verdict === 'unknown') return reason ?? 'it depends';
  if (open === true) return 'nothing isolates it';
  const isolates = reason === 'Policy denied' || by.every(isIsolation);
  if (verdict === 'denied' || audit === true) {
    const told =
      by.length === 0
        ? (reason ?? '')
        : isolates
          ? `no rule allows it; isolated by ${rules}`
          : `${reason ?? 'denied'} by ${rules}`;
    return audit === true ? `${told} (audit mode: not enforced)` : told;
  }
  // A builtin rule is a sentence of its own.
  const built = by.every(({ kind }) => kind === 'builtin');
  return `${built ? '' : 'by '}${rules}${redirected === true ? ', through a proxy' : ''}`;
}

/** Whether a rule is what isolates: a policy's direction as a whole. */
export const isIsolation = ({ rule }: RuleRef): boolean => /^(?:.*\.)?(?:in|e)gress$/.test(rule);

function compactText({ id, question, answer, expect }: AskedAnswer, paint: Paint): string {
  const { verdict, egress, ingress, reason } = answer;
  const failed = expect !== undefined && expect !== verdict ? ` (expected ${expect})` : '';
  const why: string[] = [];
  if (answer.points.length === 0 && reason !== undefined) why.push(reason);
  else if (verdict === 'allowed') {
    for (const [name, side] of [
      ['egress', egress],
      ['ingress', ingress],
    ] as const) {
      if (side.open !== true) why.push(`${name} ${sideText(side)}`);
    }
  } else if (reason !== undefined && answer.points.length > 1) why.push(reason);
  else {
    if (egress.verdict === verdict) why.push(`egress: ${sideText(egress)}`);
    if (ingress.verdict === verdict) why.push(`ingress: ${sideText(ingress)}`);
  }
  const text = why.length === 0 ? '' : `  ${why.join('; ')}`;
  return `${id}: ${questionText(question)} ${paint(verdict, verdict.toUpperCase())}${failed}${text}`;
}

/** Several lines: the verdict, each side, each point behind a service. */
export function answerText({ question, answer, expect }: AskedAnswer, paint: Paint): string[] {
  const { verdict, egress, ingress, reason, points } = answer;
  const head = `${paint(verdict, verdict)}  ${safeText(questionText(question))}`;
  const out = [expect !== undefined && expect !== verdict ? `${head}  (expected ${expect})` : head];
  if (points.length === 0) return [...out, `  ${safeText(reason ?? '')}`];
  const side = (name: string, one: SideAnswer, indent = '  '): string =>
    `${indent}${name.padEnd(8)} ${one.verdict.padEnd(8)} ${safeText(sideText(one))}`;
  const several = points.length > 1;
  const translated = points.some(({ to }) => to.port !== undefined);
  if (!several && !translated) return [...out, side('egress', egress), side('ingress', ingress)];
  if (several && verdict === 'unknown' && reason !== undefined) out.push(`  ${safeText(reason)}`);
  for (const point of points.slice(0, 20)) {
    const port = point.to.port === undefined ? '' : ` (after translation port ${point.port})`;
    out.push(
      `  ${paint(point.verdict, point.verdict)} ${safeText(point.from.name)} -> ${safeText(point.to.name)}${port}`,
      side('egress', point.egress, '    '),
      side('ingress', point.ingress, '    '),
    );
  }
  if (points.length > 20) out.push(`  and ${points.length - 20} more`);
  return out;
}

function tableAnswers(paint: Paint): AnswerPrinter {
  const rows: { readonly cells: readonly string[]; readonly verdict: Verdict }[] = [];
  return {
    answer({ id, question, answer }) {
      const { verdict, egress, ingress, reason } = answer;
      const decisive = egress.verdict === verdict && verdict !== 'allowed' ? egress : ingress;
      const why = answer.points.length === 1 ? sideText(decisive) : (reason ?? sideText(decisive));
      const { from, to, protocol, port } = question;
      rows.push({ verdict, cells: [id, bare(from), bare(to), `${port}/${protocol}`, verdict, why].map(safeText) });
      return '';
    },
    end() {
      const head = ['ID', 'FROM', 'TO', 'PORT', 'VERDICT', 'DECIDED BY'];
      const widths = head.map((text, i) => rows.reduce((w, { cells }) => Math.max(w, cells[i]!.length), text.length));
      const line = (cells: readonly string[], verdict?: Verdict): string =>
        cells
          .map((cell, i) => {
            const padded = i === cells.length - 1 ? cell : cell.padEnd(widths[i]! + 2);
            return i === 4 && verdict !== undefined ? paint(verdict, padded) : padded;
          })
          .join('');
      return `${[line(head), ...rows.map(({ cells, verdict }) => line(cells, verdict))].join('\n')}\n`;
    },
  };
}

/** A failure where an expectation was missed; without one, where the verdict is denied. */
const isFailure = ({ answer, expect }: AskedAnswer): boolean =>
  expect === undefined ? answer.verdict === 'denied' : expect !== answer.verdict;

const XML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const xml = (text: string): string => safeText(text).replace(/[&<>"]/g, (c) => XML[c]!);

function junitAnswers(): AnswerPrinter {
  const cases: string[] = [];
  let failures = 0;
  let skipped = 0;
  const plain: Paint = (_, text) => text;
  return {
    answer(asked) {
      const { id, question, answer, expect } = asked;
      const open = `    <testcase classname="${xml(id)}" name="${xml(questionText(question))}"`;
      const why = answerText(asked, plain).map(xml).join('\n');
      if (isFailure(asked)) {
        failures++;
        const message = expect === undefined ? answer.verdict : `${answer.verdict}, expected ${expect}`;
        cases.push(`${open}><failure type="${answer.verdict}" message="${xml(message)}">${why}</failure></testcase>`);
      } else if (answer.verdict === 'unknown' && expect === undefined) {
        skipped++;
        cases.push(`${open}><skipped message="${xml(answer.reason ?? '')}"/></testcase>`);
      } else cases.push(`${open}/>`);
      return '';
    },
    end() {
      const head = `tests="${cases.length}" failures="${failures}" skipped="${skipped}"`;
      const all = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        `<testsuites name="weir verdict" ${head}>`,
        `  <testsuite name="weir verdict" ${head}>`,
        ...cases,
        '  </testsuite>',
        '</testsuites>',
      ];
      return `${all.join('\n')}\n`;
    },
  };
}

const githubData = (text: string): string => safeText(text).replace(/%/g, '%25');
const githubProperty = (text: string): string => githubData(text).replace(/:/g, '%3A').replace(/,/g, '%2C');

function githubText(asked: AskedAnswer): string {
  if (!isFailure(asked)) return '';
  const { question, answer, expect } = asked;
  const side = answer.egress.verdict === answer.verdict ? answer.egress : answer.ingress;
  const rule = side.by.find(({ file }) => file !== '' && file !== '-');
  const place = rule === undefined ? '' : `file=${githubProperty(rule.file)},line=${rule.line},`;
  const wish = expect === undefined ? '' : ` (expected ${expect})`;
  const why = answer.points.length === 1 ? sideText(side) : (answer.reason ?? sideText(side));
  return `::error ${place}title=${answer.verdict}${wish}::${githubData(`${questionText(question)}: ${why}`)}\n`;
}
