// Findings as lines, JSON, SARIF, GitHub's annotations or JUnit. Input: findings. Output: text.
import { jsonLine, palette, safeText } from '../flow/index.ts';
import { LINT_RULES, type LintFinding, type LintRule, type Severity } from './lint/finding.ts';

export const LINT_FORMATS = ['text', 'json', 'sarif', 'github', 'junit'] as const;
export type LintFormat = (typeof LINT_FORMATS)[number];

/** `file:line:column`, what is 0 left out. */
const place = ({ file, line, column }: LintFinding): string =>
  line === 0 ? file : column === 0 ? `${file}:${line}` : `${file}:${line}:${column}`;

/** All findings in a format. */
export function lintText(
  findings: readonly LintFinding[],
  format: LintFormat,
  colour: boolean,
  version: string,
): string {
  switch (format) {
    case 'text': {
      const c = palette(colour);
      const like = { error: 'DROPPED', warning: 'UNKNOWN', info: 'FORWARDED' } as const;
      return findings
        .map((finding) => {
          const severity = c.verdict(like[finding.severity], finding.severity);
          return `${safeText(place(finding))}: ${severity}: ${safeText(finding.message)} [${finding.rule}]\n`;
        })
        .join('');
    }
    case 'json':
      return findings.map((finding) => `${jsonLine(finding)}\n`).join('');
    case 'sarif':
      return sarif(findings, version);
    case 'github':
      return findings.map(github).join('');
    case 'junit':
      return junit(findings);
  }
}

const LEVEL: Readonly<Record<Severity, string>> = { error: 'error', warning: 'warning', info: 'note' };

function sarif(findings: readonly LintFinding[], version: string): string {
  const used = [...new Set(findings.map(({ rule }) => rule))].sort();
  const rules = used.map((id) => ({
    id,
    shortDescription: { text: LINT_RULES[id][1] },
    defaultConfiguration: { level: LEVEL[LINT_RULES[id][0]] },
  }));
  const results = findings.map((finding) => ({
    ruleId: finding.rule,
    level: LEVEL[finding.severity],
    message: { text: finding.message },
    locations:
      finding.line === 0 || finding.file === '-'
        ? []
        : [
            {
              physicalLocation: {
                artifactLocation: { uri: encodeURI(finding.file) },
                region: { startLine: finding.line, ...(finding.column > 0 ? { startColumn: finding.column } : {}) },
              },
            },
          ],
  }));
  const run = { tool: { driver: { name: 'weir', version, rules } }, results };
  return `${jsonLine({ $schema: 'https://json.schemastore.org/sarif-2.1.0.json', version: '2.1.0', runs: [run] })}\n`;
}

const data = (text: string): string => safeText(text).replace(/%/g, '%25');
const property = (text: string): string => data(text).replace(/:/g, '%3A').replace(/,/g, '%2C');

function github({ severity, file, line, column, message, rule }: LintFinding): string {
  const level = severity === 'info' ? 'notice' : severity;
  const at = line === 0 ? '' : `file=${property(file)},line=${line}${column > 0 ? `,col=${column}` : ''},`;
  return `::${level} ${at}title=${property(rule)}::${data(message)}\n`;
}

const XML: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const xml = (text: string): string => safeText(text).replace(/[&<>"]/g, (c) => XML[c]!);

/** A test case a rule: it fails where it found an error or a warning. */
function junit(findings: readonly LintFinding[]): string {
  const rules = Object.keys(LINT_RULES) as LintRule[];
  const failing = (rule: LintRule): readonly LintFinding[] =>
    findings.filter((finding) => finding.rule === rule && finding.severity !== 'info');
  const failures = rules.filter((rule) => failing(rule).length > 0).length;
  const head = `tests="${rules.length}" failures="${failures}"`;
  const cases = rules.map((rule) => {
    const found = failing(rule);
    const open = `    <testcase classname="weir lint" name="${rule}"`;
    if (found.length === 0) return `${open}/>`;
    const lines = found.map((finding) => xml(`${place(finding)}: ${finding.message}`)).join('\n');
    return `${open}><failure message="${found.length} found">${lines}</failure></testcase>`;
  });
  return `${['<?xml version="1.0" encoding="UTF-8"?>', `<testsuites name="weir lint" ${head}>`, `  <testsuite name="weir lint" ${head}>`, ...cases, '  </testsuite>', '</testsuites>'].join('\n')}\n`;
}
