// SARIF 2.1.0: dropped traffic as results at the policies that dropped it. Input: records. Output: one JSON document.
import { type Finding, Findings } from './findings.ts';
import type { FlowPrinter } from './printer.ts';
import { ruleText } from './record.ts';
import { jsonLine } from './terminal-text.ts';

const SCHEMA = 'https://json.schemastore.org/sarif-2.1.0.json';

/** The `-o sarif` printer. */
export function sarifPrinter(version: string): FlowPrinter {
  const findings = new Findings();
  return {
    begin: () => '',
    record(record) {
      findings.add(record);
      return '';
    },
    end() {
      const dropped = findings.list().filter(({ verdict }) => verdict === 'DROPPED');
      const reasons = [...new Set(dropped.map(({ reason }) => reason))];
      const driver = {
        name: 'weir',
        version,
        rules: reasons.map((reason) => ({ id: ruleId(reason), shortDescription: { text: reason } })),
      };
      const run = { tool: { driver }, results: dropped.map(result) };
      return `${jsonLine({ $schema: SCHEMA, version: '2.1.0', runs: [run] })}\n`;
    },
  };
}

/** `Policy denied (133)` → `dropped/133`. */
const ruleId = (reason: string): string => `dropped/${/\((\d+)\)$/.exec(reason)?.[1] ?? 'other'}`;

function result(finding: Finding): unknown {
  const rules = finding.by.length === 0 ? '' : ` by ${finding.by.map(ruleText).join(', ')}`;
  const times = finding.count === 1 ? 'once' : `${finding.count} times`;
  return {
    ruleId: ruleId(finding.reason),
    level: 'error',
    message: { text: `${finding.subject}: ${finding.reason}, ${times}, first ${finding.first}${rules}` },
    locations: finding.by
      .filter(({ file }) => file !== undefined && file !== '-')
      .map(({ file, line }) => ({
        physicalLocation: {
          artifactLocation: { uri: encodeURI(file!) },
          ...(line === undefined ? {} : { region: { startLine: line } }),
        },
      })),
  };
}
