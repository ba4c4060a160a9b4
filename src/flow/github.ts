// GitHub's workflow commands: an annotation at the policy for each kind of dropped traffic. Input: records. Output: lines.
import { type Finding, Findings } from './findings.ts';
import type { FlowPrinter } from './printer.ts';
import { placeText } from './record.ts';
import { safeText } from './terminal-text.ts';

/** Escapes as @actions/core does: data, and properties. */
const data = (text: string): string => safeText(text).replace(/%/g, '%25');
const property = (text: string): string => data(text).replace(/:/g, '%3A').replace(/,/g, '%2C');

/** The `-o github` printer. */
export function githubPrinter(): FlowPrinter {
  const findings = new Findings();
  return {
    begin: () => '',
    record(record) {
      findings.add(record);
      return '';
    },
    end: () =>
      findings
        .list()
        .filter(({ verdict }) => verdict === 'DROPPED')
        .map((finding) => `${annotation(finding)}\n`)
        .join(''),
  };
}

function annotation(finding: Finding): string {
  const rule = finding.by.find(({ file }) => file !== undefined && file !== '-');
  const place =
    rule === undefined ? '' : `file=${property(rule.file!)}${rule.line === undefined ? '' : `,line=${rule.line}`},`;
  const others = finding.by
    .filter((other) => other !== rule)
    .map(placeText)
    .filter((text) => text !== '');
  const more = others.length === 0 ? '' : `; also ${others.join(', ')}`;
  const times = finding.count === 1 ? 'once' : `${finding.count} times`;
  return `::error ${place}title=${property(finding.reason)}::${data(`${finding.subject} is dropped (${times}, first ${finding.first})${more}`)}`;
}
