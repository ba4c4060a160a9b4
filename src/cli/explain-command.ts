// `weir explain CAPTURE --packet N`: one packet's way, stage by stage, from the simulator's own trace.
// Input: a capture, manifests. Output: sentences, and the deciding rules with their YAML.
// Invariant: there is no second evaluator: everything told is what the run looked up and found.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Explainer, Judge } from '../analysis/index.ts';
import { CaptureOpenError, openCapture } from '../capture/file/index.ts';
import type { Sim } from '../dataplane/sim/index.ts';
import {
  type FlowRule,
  isoTime,
  l4Summary,
  type PacketRecord,
  placeText,
  ruleText,
  safeText,
  socketText,
  traceSentence,
} from '../flow/index.ts';
import { addressText, PURPOSE, replay } from '../replay/index.ts';
import { DROP, HOOK_NAME, TRACE_WORDS } from '../schema/index.ts';
import { CommandFailure } from './failure.ts';
import { addQuestionOptions, loadQuestionWorld, type QuestionOptions } from './question-world.ts';
import { addColourOption, addTopologyOption, wholeNumber } from './shared-options.ts';
import { DataOutput, tell } from './terminal.ts';
import { portOf } from './verdict-command.ts';
import { loadWorld, type World } from './world.ts';

interface ExplainOptions extends QuestionOptions {
  readonly packet?: string;
  readonly from?: string;
  readonly to?: string;
  readonly port?: string;
  readonly icmp?: string;
  readonly at: string;
}

const PURPOSE_TEXT: Readonly<Record<number, string>> = {
  [PURPOSE.INPUT]: '',
  [PURPOSE.OPENING]: ' (the opening of its connection, which was not captured)',
  [PURPOSE.PROBE]: ' (a question only: could the connection have been opened this way round?)',
  [PURPOSE.ORIGINAL]: ' (the packet that this one was translated from)',
};

/** Adds `weir explain`. */
export function addExplainCommand(program: Command): void {
  const command = program
    .command('explain')
    .description('tell one packet’s way through the datapath, or why policies answer a question as they do')
    .argument('[capture]', 'pcap or pcapng file; - is standard input')
    .option('--packet <n>', 'number of the packet, from 1')
    .option('--at <place>', 'where the capture was taken: auto, pod:NS/NAME, node:NAME, edge, any', 'auto')
    .option('--from <end>', 'without a capture: pod:NS/NAME, ip:ADDRESS, entity:NAME, service:NS/NAME or node:NAME')
    .option('--to <end>', 'the same')
    .option('--port <port/protocol>', 'destination port: 80/TCP')
    .option('--icmp <type>', 'an ICMP (or ICMPv6) message of this type instead of a port');
  addColourOption(addTopologyOption(addQuestionOptions(command))).action(
    async (path: string | undefined, options: ExplainOptions) => {
      if (path !== undefined) await explain(path, options);
      else await explainQuestion(options);
    },
  );
}

/** Explains a verdict: both gates, the entries that were asked, the rules that come nearest. */
async function explainQuestion(options: ExplainOptions): Promise<void> {
  const { from, to, packet, topology } = options;
  if (topology !== undefined) throw new CommandFailure('--topology: policies have no routes; name a capture');
  if (packet !== undefined) throw new CommandFailure('--packet: name the capture, too');
  if (from === undefined || to === undefined)
    throw new CommandFailure('give a capture and --packet N, or --from, --to and --port');
  const question = { from, to, ...portOf(options.port, options.icmp) };
  const world = await loadQuestionWorld(options);
  const result = new Explainer(world, new Judge(world)).explain(question);
  if ('problem' in result) throw new CommandFailure(safeText(result.problem));
  const output = new DataOutput();
  output.write(`${result.lines.map(safeText).join('\n')}\n`);
  await output.end();
}

/** For a packet that no rule allowed: the rules that come nearest. */
async function nearestTo(record: PacketRecord, options: ExplainOptions): Promise<readonly string[]> {
  if (record.drop?.code !== DROP.POLICY || record.policy === undefined) return [];
  const { source, destination, protocol, l4 } = record;
  const to = destination.behind ?? destination;
  if (source.ip === undefined || to.ip === undefined) return [];
  const world = await loadQuestionWorld(options, () => undefined);
  const judge = new Judge(world);
  const icmp = protocol.startsWith('ICMP');
  const question = {
    from: `ip:${source.ip}`,
    to: `ip:${to.ip}`,
    protocol: icmp ? 'ICMP' : protocol,
    port: (icmp ? l4?.icmpType : to.port) ?? 0,
  };
  const asked = judge.ask(question);
  if ('problem' in asked) return [];
  const [point] = asked.answer.points;
  const direction = record.policy.direction === 'EGRESS' ? 'egress' : 'ingress';
  if (point === undefined || point[direction].verdict === 'allowed') return [];
  return new Explainer(world, judge).nearMisses(
    { ...point, ...(destination.behind === undefined ? {} : { to: { ...point.to, port: to.port! } }) },
    direction,
    { ...question, port: destination.port ?? question.port },
  );
}

async function explain(path: string, options: ExplainOptions): Promise<void> {
  if (options.packet === undefined) throw new CommandFailure('--packet N: which packet of the capture?');
  const number = wholeNumber(options.packet, '--packet');
  if (number === 0) throw new CommandFailure('--packet 0: packets are counted from 1');
  const source = await openCapture(path).catch((cause: unknown) => {
    throw cause instanceof CaptureOpenError ? new CommandFailure(safeText(cause.message)) : cause;
  });
  const world = await loadWorld(options);
  for (const warning of world.warnings) tell(safeText(`weir: warning: ${warning}`));
  const lines: string[] = [];
  let found: PacketRecord | undefined;
  let evidence = '';
  const story = new Story(world);
  try {
    const result = await replay(
      {
        captures: [{ path, source }],
        dataplane: world.dataplane,
        state: world.state,
        rulesOf: world.rulesOf,
        masquerade: world.masquerade,
        interfaces: world.interfaces,
        gc: world.gc,
        ...(world.node === undefined ? {} : { node: world.node }),
        ...world.payloads,
        at: options.at,
        explain: { number, afterHook: (hook, purpose) => story.tell(hook, purpose) },
      },
      {
        packet(judged) {
          if (judged.facts.number !== number) return;
          found = judged.record();
          evidence = `${judged.vantage.text}: ${judged.vantage.evidence}`;
        },
      },
    );
    for (const error of result.errors) tell(safeText(`weir: ${path}: offset ${error.offset}: ${error.message}`));
    if (found === undefined)
      throw new CommandFailure(`--packet ${number}: ${path} has ${result.counts.packets} packets`);
  } catch (cause) {
    throw cause instanceof RangeError ? new CommandFailure(cause.message) : cause;
  } finally {
    await source.close();
  }
  lines.push(...headText(found, evidence), ...story.lines, ...verdictText(found), ...(await nearestTo(found, options)));
  const output = new DataOutput();
  output.write(`${lines.map(safeText).join('\n')}\n`);
  await output.end();
}

/** The hooks' traces as text. */
class Story {
  readonly lines: string[] = [];
  private readonly world: World<Sim>;

  constructor(world: World<Sim>) {
    this.world = world;
  }

  /** Adds what the hook that just ran looked up. */
  tell(hook: number, purpose: number): void {
    const { trace } = this.world.dataplane;
    this.lines.push('', `${HOOK_NAME[hook]}${PURPOSE_TEXT[purpose] ?? ''}`);
    for (let i = 1; i < trace.count; i++) {
      const { stage, text } = traceSentence(trace.words, i * TRACE_WORDS, {
        address: (words) =>
          addressText(words.length === 1 ? 4 : 6, words[0]!, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0),
        identity: (identity) => this.world.identityName(identity),
        rules: (cookie) => this.world.rulesOf(cookie).map(ruleOf),
      });
      this.lines.push(`  ${stage.padEnd(10)} ${text}`);
    }
    if (trace.lost > 0) this.lines.push(`  ${trace.lost} further steps did not fit`);
  }
}

/** A provenance rule as records have it. */
function ruleOf({ kind, namespace, name, rule, file, line }: ReturnType<World['rulesOf']>[number]): FlowRule {
  return {
    kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(rule === '' ? {} : { rule }),
    ...(file === '' ? {} : { file, line }),
  };
}

function headText(record: PacketRecord, evidence: string): string[] {
  const end = ({ ip, port, mac, namespace, pod, node }: PacketRecord['source']): string => {
    const address = ip === undefined ? (mac ?? 'nobody') : socketText(ip, port);
    const name = pod === undefined ? node : `${namespace}/${pod}`;
    return name === undefined ? address : `${address} (${name})`;
  };
  return [
    `packet ${record.number} of ${record.capture}, ${isoTime(record.time)}, ${record.bytes} bytes`,
    `${end(record.source)} to ${end(record.destination)}, ${l4Summary(record.protocol, record.l4)}`,
    `captured at ${evidence}`,
  ];
}

function verdictText(record: PacketRecord): string[] {
  const why: string[] = [];
  if (record.drop !== undefined) why.push(`${record.drop.name} (${record.drop.code})`);
  if (record.unknown !== undefined) why.push(record.unknown);
  if (record.observed === 'output') why.push('the translated packet of a connection that is simulated already');
  if (record.observed === 'copy') why.push('a copy of a packet seen on another interface just before');
  if (record.counterfactual === true)
    why.push('its connection was never let through, so that this answer would not exist');
  const at = record.hook === undefined ? '' : ` at ${record.hook}`;
  const lines = ['', `${record.verdict}${at}${why.length === 0 ? '' : `: ${why.join('; ')}`}`];
  for (const rule of record.by) lines.push(`  by ${ruleText(rule)}`, ...quoted(rule));
  return lines;
}

const MOST_LINES = 12;

/** The YAML of a rule: from its line to the end of its item. */
function quoted(rule: FlowRule): string[] {
  if (rule.file === undefined || rule.line === undefined || rule.file === '-') return [];
  let text: string[];
  try {
    text = readFileSync(rule.file, 'utf8').split('\n');
  } catch {
    return [`     (${placeText(rule)} cannot be read any more)`];
  }
  const from = rule.line - 1;
  const indent = (line: string): number => line.length - line.trimStart().length;
  const first = text[from];
  if (first === undefined) return [];
  // A list item's own content is indented behind its dash.
  const own = indent(first) + (first.trimStart().startsWith('- ') ? 1 : 0);
  let to = from + 1;
  while (to < text.length && to - from < MOST_LINES) {
    const line = text[to]!;
    if (line.startsWith('---') || (line.trim() !== '' && indent(line) < own)) break;
    to++;
  }
  const width = String(to).length;
  const lines = text.slice(from, to).map((line, i) => `     ${String(from + 1 + i).padStart(width)} | ${line}`);
  return to - from === MOST_LINES ? [...lines, `     ${' '.repeat(width)} | …`] : lines;
}
