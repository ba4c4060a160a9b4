// JUnit: one test case for each kind of traffic; it fails when the traffic was dropped. Input: records. Output: one XML document.
import { type Finding, Findings } from './findings.ts';
import type { FlowPrinter } from './printer.ts';
import { ruleText } from './record.ts';
import { safeText } from './terminal-text.ts';

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const xml = (text: string): string => safeText(text).replace(/[&<>"]/g, (c) => ESCAPES[c]!);

/** The `-o junit` printer. */
export function junitPrinter(): FlowPrinter {
  const findings = new Findings();
  return {
    begin: () => '',
    record(record) {
      findings.add(record);
      return '';
    },
    end() {
      const all = findings.list();
      const failures = all.filter(({ verdict }) => verdict === 'DROPPED').length;
      const skipped = all.filter(({ verdict }) => verdict === 'UNKNOWN').length;
      const head = `tests="${all.length}" failures="${failures}" skipped="${skipped}"`;
      const lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        `<testsuites name="weir replay" ${head}>`,
        `  <testsuite name="weir replay" ${head}>`,
        ...all.map(testCase),
        '  </testsuite>',
        '</testsuites>',
      ];
      return `${lines.join('\n')}\n`;
    },
  };
}

function testCase(finding: Finding): string {
  const open = `    <testcase classname="${xml(finding.first)}" name="${xml(finding.subject)}"`;
  if (finding.verdict === 'UNKNOWN') return `${open}><skipped message="${xml(finding.reason)}"/></testcase>`;
  if (finding.verdict !== 'DROPPED') return `${open}/>`;
  const where = finding.hook === undefined ? '' : ` at ${finding.hook}`;
  const rules = finding.by.map((rule) => xml(`by ${ruleText(rule)}`)).join('\n');
  const message = xml(`${finding.reason}${where}, ${finding.count} times`);
  return `${open}><failure type="dropped" message="${message}">${rules}</failure></testcase>`;
}
