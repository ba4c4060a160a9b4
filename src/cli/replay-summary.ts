// What a replay came to, for people (stderr) and for scripts (--summary). Input: a ReplayResult. Output: text, JSON.
import { FLOW_VERDICTS, ruleText, safeText } from '../flow/index.ts';
import { OUTCOME, type ReplayResult, unknownText } from '../replay/index.ts';
import { dropName, HOOK } from '../schema/index.ts';

const TOP = 10;
/** Rules that a line of the summary names; a default deny may have dozens of policies behind it. */
const MOST_RULES = 2;
const count = (value: number): string => value.toLocaleString('en-US').replace(/,/g, ' ');

/** The content of `--summary FILE`. `seconds` is how long the replay took. */
export function summaryJson(result: ReplayResult, seconds: number): Record<string, unknown> {
  const { counts } = result;
  const verdicts = Object.fromEntries(FLOW_VERDICTS.map((name, i) => [name, counts.verdicts[i]]));
  const drops: Record<string, number> = {};
  counts.drops.forEach((packets, code) => {
    if (packets > 0) drops[dropName(code)] = packets;
  });
  const unknown: Record<string, number> = {};
  counts.unknown.forEach((packets, reason) => {
    if (packets > 0) unknown[unknownText(reason, -1).replace(' -1', '')] = packets;
  });
  return {
    packets: counts.packets,
    bytes: counts.bytes,
    verdicts,
    drops,
    flows: result.flows,
    seconds,
    unknown,
    requests: result.requests,
    counterfactual: counts.counterfactual,
    backendsAdopted: result.adoptions,
    portsAdopted: result.portAdoptions,
    flowsForgotten: result.forgotten,
    timesClamped: result.clamped,
    collected: result.collected,
    at: result.vantages.map(({ capture, interface: name, vantage }) => ({
      capture,
      ...(name === undefined ? {} : { interface: name }),
      at: vantage.text,
      evidence: vantage.evidence,
    })),
  };
}

/** The table at the end of a replay. */
export function summaryText(result: ReplayResult, seconds: number): string {
  const { counts, describer } = result;
  const lines = [
    `${count(counts.packets)} packets, ${count(counts.bytes)} bytes, ${count(result.flows)} flows in ${seconds.toFixed(2)} s`,
  ];
  FLOW_VERDICTS.forEach((name, i) => {
    const packets = counts.verdicts[i]!;
    if (packets > 0) lines.push(`  ${name.padEnd(10)} ${count(packets)}`);
  });
  counts.unknown.forEach((packets, reason) => {
    if (packets > 0) lines.push(`  unknown: ${unknownText(reason, -1).replace(' -1', '')}: ${count(packets)}`);
  });
  const denied = counts.topDenied(TOP);
  for (const { drop, cookie, packets } of denied) {
    const rules = describer.rules(OUTCOME.DROPPED, HOOK.TO_CONTAINER, 0, cookie).map(ruleText);
    const more = rules.length > MOST_RULES ? ` and ${rules.length - MOST_RULES} more` : '';
    const by = rules.length === 0 ? '' : `  by ${rules.slice(0, MOST_RULES).join(', ')}${more}`;
    lines.push(`  dropped: ${dropName(drop)} (${drop}): ${count(packets)}${safeText(by)}`);
  }
  const requests = Object.entries(result.requests).map(([verdict, number]) => `${count(number)} ${verdict}`);
  if (requests.length > 0) lines.push(`  requests: ${requests.join(', ')}`);
  if (counts.counterfactual > 0)
    lines.push(`  ${count(counts.counterfactual)} of the drops are answers within dropped connections`);
  if (result.adoptions > 0)
    lines.push(`  ${count(result.adoptions)} connections went on with the backend that the capture shows`);
  if (result.portAdoptions > 0)
    lines.push(`  ${count(result.portAdoptions)} connections went on with the source port that the capture shows`);
  if (result.forgotten > 0)
    lines.push(`  ${count(result.forgotten)} connections were forgotten: more were alive than memory is kept for`);
  if (result.clamped > 0)
    lines.push(`  ${count(result.clamped)} packets were older than the one before: the clock stood still for them`);
  return `${lines.join('\n')}\n`;
}
