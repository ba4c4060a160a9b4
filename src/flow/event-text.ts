// The words of one line: who, which way, what kind of event, which verdict, the summary.
// Input: a record. Output: texts already safe for a terminal. Shared by compact and table.
import { identityText } from './identity-name.ts';
import { l4Summary } from './l4-summary.ts';
import { type FlowEnd, type FlowRecord, type FlowRule, isConnection, ruleText } from './record.ts';
import { safeText } from './terminal-text.ts';

/** The words of one line; `left` and `right` are as Hubble places them: a reply has its ends swapped. */
export interface EventText {
  readonly left: EndText;
  readonly right: EndText;
  readonly arrow: '->' | '<-' | '<>';
  readonly type: string;
  readonly verdict: string;
  readonly summary: string;
  /** What Weir adds to Hubble's line: service, rules; empty when there is nothing to add. */
  readonly extras: readonly string[];
}

/** One end: `host` without the port. */
export interface EndText {
  readonly host: string;
  readonly port: string;
  readonly identity: string;
}

/** Rules that a line names; a default deny may have dozens of policies behind it. */
const MOST_RULES = 3;

const WITH_PORTS = new Set(['TCP', 'UDP', 'SCTP']);

function endText(end: FlowEnd, protocol: string): EndText {
  const ip = end.behind?.ip ?? end.ip;
  const named = end.pod ?? (end.node === undefined ? undefined : end.node);
  const name = named === undefined ? undefined : end.namespace === undefined ? named : `${end.namespace}/${named}`;
  const address = ip ?? end.mac ?? 'unknown';
  const port = end.behind?.port ?? end.port ?? 0;
  const withPort = port !== 0 && WITH_PORTS.has(protocol);
  const host = name ?? (withPort && address.includes(':') ? `[${address}]` : address);
  return { host: safeText(host), port: withPort ? String(port) : '', identity: identityText(end.identity) };
}

/** Hubble's type column: `policy-verdict:L3-L4 INGRESS`, a drop's name, or the observation point. */
function typeText(record: FlowRecord): string {
  if (record.verdict === 'UNKNOWN') return record.unknown ?? 'UNKNOWN';
  if (record.policy !== undefined) return `policy-verdict:${record.policy.match} ${record.policy.direction}`;
  return record.drop?.name ?? record.point ?? 'UNKNOWN';
}

function verdictText(record: FlowRecord): string {
  if (record.policy === undefined || record.verdict === 'UNKNOWN') return record.verdict;
  if (record.verdict === 'DROPPED') return 'DENIED';
  return record.verdict === 'AUDIT' ? 'AUDITED' : 'ALLOWED';
}

function summaryText(record: FlowRecord): string {
  if (!isConnection(record)) return l4Summary(record.protocol, record.l4);
  const { packets, bytes, requests } = record;
  const asked = requests === undefined ? '' : `; requests: ${countsText(requests)}`;
  return `${record.protocol}; ${packets.forward}+${packets.reply} packets, ${bytes.forward}+${bytes.reply} bytes${asked}`;
}

const countsText = (counts: Readonly<Partial<Record<string, number>>>): string =>
  Object.entries(counts)
    .map(([verdict, count]) => `${count} ${verdict}`)
    .join(', ');

function arrowOf(record: FlowRecord): EventText['arrow'] {
  if (isConnection(record)) return '->';
  if (record.policy !== undefined && record.counterfactual !== true) return '->';
  if (record.drop !== undefined || record.reply === undefined) return '<>';
  return record.reply ? '<-' : '->';
}

/** `by RULE, RULE and 2 more`; empty without rules. */
export function rulesText(by: readonly FlowRule[]): string {
  if (by.length === 0) return '';
  const more = by.length - MOST_RULES;
  return safeText(`by ${by.slice(0, MOST_RULES).map(ruleText).join(', ')}${more > 0 ? ` and ${more} more` : ''}`);
}

function extrasOf(record: FlowRecord): string[] {
  const extras: string[] = [];
  const { service } = record;
  if (service !== undefined) {
    const name = service.name === undefined ? '' : `${service.namespace ?? ''}/${service.name} `;
    extras.push(safeText(`via ${name}${service.frontend}`));
  }
  if (record.by.length > 0) extras.push(rulesText(record.by));
  if (record.counterfactual === true) extras.push('counterfactual');
  return extras;
}

/** The words of a record's line. */
export function eventText(record: FlowRecord): EventText {
  const arrow = arrowOf(record);
  const source = endText(record.source, record.protocol);
  const destination = endText(record.destination, record.protocol);
  return {
    left: arrow === '<-' ? destination : source,
    right: arrow === '<-' ? source : destination,
    arrow,
    type: safeText(typeText(record)),
    verdict: verdictText(record),
    summary: safeText(summaryText(record)),
    extras: extrasOf(record),
  };
}
