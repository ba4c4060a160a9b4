// How often a run reached what it must reach: hooks, stages, verdicts, reasons, statuses, flags, maps.
// Input: decision records of engine A. Output: counts by name, a table, what is below its bound. Invariant: no allocation a packet.
import {
  ACTION,
  CT_STATUS_NAME,
  decisionRecord,
  DROP,
  dropName,
  HOOK,
  HOOK_NAME,
  POLICY_MATCH_NAME,
  RECORD_FLAG,
  STAGE,
  STAGE_NAME,
  VERDICT,
  VERDICT_NAME,
} from '../../../src/schema/index.ts';

const AT = decisionRecord.at;

/** Counts by a number. */
const counts = (): Float64Array => new Float64Array(256);

/** Entries of one kind: name to count. */
export type Counted = Readonly<Record<string, number>>;

/** Counts of a run. */
export class Histogram {
  packets = 0;
  parsed = 0;
  sequences = 0;
  writes = 0;
  encapsulated = 0;
  private readonly hooks = counts();
  private readonly stages = counts();
  private readonly verdicts = counts();
  private readonly reasons = counts();
  private readonly actions = counts();
  private readonly statuses = counts();
  private readonly matches = counts();
  private readonly flags = counts();

  /** Counts one run of engine A. */
  packet(record: Uint8Array, parsed: boolean): void {
    this.packets++;
    if (parsed) this.parsed++;
    this.hooks[record[AT.hook]!]!++;
    this.stages[record[AT.stage]!]!++;
    this.verdicts[record[AT.verdict]!]!++;
    this.reasons[record[AT.dropReason]!]!++;
    this.actions[record[AT.action]!]!++;
    this.statuses[record[AT.ctStatus]!]!++;
    this.matches[record[AT.policyMatch]!]!++;
    const flags = record[AT.flags]! | (record[AT.flags + 1]! << 8);
    for (let bit = 0; bit < 16; bit++) if ((flags & (1 << bit)) !== 0) this.flags[bit]!++;
  }

  /** Everything that the contract names, counted; zero where nothing was. */
  counted(made: ReadonlyMap<string, number>): Counted {
    const out: Record<string, number> = {};
    for (const hook of Object.values(HOOK)) out[`hook ${HOOK_NAME[hook]}`] = this.hooks[hook]!;
    for (const stage of Object.values(STAGE)) out[`stage ${STAGE_NAME[stage]}`] = this.stages[stage]!;
    for (const verdict of Object.values(VERDICT)) out[`verdict ${VERDICT_NAME[verdict]}`] = this.verdicts[verdict]!;
    for (const [name, action] of Object.entries(ACTION)) out[`action ${name}`] = this.actions[action]!;
    for (const reason of Object.values(DROP)) {
      if (reason !== 0) out[`drop ${reason} ${dropName(reason)}`] = this.reasons[reason]!;
    }
    for (const [status, name] of [...CT_STATUS_NAME.entries(), [255, 'NONE'] as const]) {
      out[`conntrack ${name}`] = this.statuses[status]!;
    }
    for (const [match, name] of POLICY_MATCH_NAME.entries()) out[`match ${name}`] = this.matches[match]!;
    for (const [name, flag] of Object.entries(RECORD_FLAG)) out[`flag ${name}`] = this.flags[31 - Math.clz32(flag)]!;
    for (const [map, entries] of made) out[`map ${map}`] = entries;
    return out;
  }
}

/** What a run must reach, and what nobody can. */
export interface Expectation {
  /** Least count among `packets` packets. */
  readonly least: number;
  readonly packets: number;
  /** Entries that cannot be reached, each with the reason. */
  readonly unreachable: Readonly<Record<string, string>>;
}

/** Lines about entries that are below their bound, or above zero although unreachable. Bounds grow with the run. */
export function shortfalls(counted: Counted, packets: number, expected: Expectation): string[] {
  const least = Math.floor((expected.least * packets) / expected.packets);
  const lines: string[] = [];
  for (const [name, count] of Object.entries(counted)) {
    const why = expected.unreachable[name];
    if (why === undefined && count < least) lines.push(`${name}: ${count}, expected at least ${least}`);
    if (why !== undefined && count > 0) lines.push(`${name}: ${count}, but it counts as unreachable (${why})`);
  }
  for (const name of Object.keys(expected.unreachable)) {
    if (!(name in counted)) lines.push(`${name}: named as unreachable, but there is no such entry`);
  }
  return lines;
}

/** A table of three columns. */
export function table(counted: Counted, expected: Expectation): string {
  const names = Object.keys(counted);
  const width = Math.max(...names.map((name) => name.length));
  return names
    .map((name) => {
      const why = expected.unreachable[name];
      return `${name.padEnd(width)} ${String(counted[name]).padStart(10)}${why === undefined ? '' : `  unreachable: ${why}`}`;
    })
    .join('\n');
}
