// `weir verdict`: would this connection pass? One question, or a file of probes. Input: manifests, questions.
// Output: an answer each. Exit codes: 0; 1 when an expectation was missed; 2 wrong usage or input.
// Invariant: answers come in the order of the questions; every bad probe is told at once, and then none is answered.
import { type Command, Option } from 'commander';
import {
  ANSWER_FORMATS,
  type AnswerFormat,
  answerPrinter,
  type AskedAnswer,
  Judge,
  type PolicyWorld,
  type Question,
  type Verdict,
} from '../analysis/index.ts';
import type { Dataplane } from '../dataplane/index.ts';
import { safeText } from '../flow/index.ts';
import { CommandFailure, EXIT } from './failure.ts';
import { inKernel } from './kernel-engine.ts';
import { KernelGates } from './kernel-gates.ts';
import type { SetExitCode } from './program.ts';
import { readJson } from './fact-files.ts';
import { addQuestionOptions, loadQuestionWorld, type QuestionOptions } from './question-world.ts';
import { addColourOption } from './shared-options.ts';
import { type ColourChoice, DataOutput, tell, wantsColour } from './terminal.ts';
import { fill, type MakeDataplane } from './world.ts';

interface VerdictOptions extends QuestionOptions {
  readonly from?: string;
  readonly to?: string;
  readonly port?: string;
  readonly icmp?: string;
  readonly probes?: string;
  readonly expect?: Verdict;
  readonly output?: AnswerFormat;
  readonly dataplane: 'sim' | 'xdp';
  readonly color: ColourChoice;
}

/** A question with what its asker calls it and expects. */
export interface Probe extends Question {
  readonly id: string;
  readonly expect?: Verdict;
}

/** Adds `weir verdict`. */
export function addVerdictCommand(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('verdict')
    .description('tell whether policies let a connection pass, and which rule decides')
    .option('--from <end>', 'pod:NS/NAME, ip:ADDRESS, entity:NAME, service:NS/NAME or node:NAME')
    .option('--to <end>', 'the same; a service is translated to each of its backends')
    .option('--port <port/protocol>', 'destination port: 80/TCP (TCP where the protocol is left out)')
    .option('--icmp <type>', 'an ICMP (or ICMPv6) message of this type instead of a port')
    .option('--probes <file>', 'many questions: a JSON array of {"id","from","to","protocol","port"}')
    .addOption(
      new Option('--expect <verdict>', 'exit with 1 when an answer is another').choices([
        'allowed',
        'denied',
        'unknown',
      ]),
    )
    .addOption(new Option('-o, --output <format>', 'output format (text; of --probes compact)').choices(ANSWER_FORMATS))
    .addOption(
      new Option('--dataplane <engine>', 'xdp: the programs in the kernel are asked as well, and must agree (root)')
        .choices(['sim', 'xdp'])
        .default('sim'),
    );
  addColourOption(addQuestionOptions(command)).action(async (options: VerdictOptions) => {
    setExitCode(await verdict(options));
  });
}

async function verdict(options: VerdictOptions): Promise<number> {
  const probes = options.probes === undefined ? [singleProbe(options)] : await readProbes(options.probes, options);
  const world = await loadQuestionWorld(options);
  const judge = new Judge(world);
  const problems: string[] = [];
  const format = options.output ?? (options.probes === undefined ? 'text' : 'compact');
  const printer = answerPrinter(format, wantsColour(options.color, process.stdout, process.env));
  const output = new DataOutput();
  let missed = 0;
  const texts: string[] = [];
  const answers: AskedAnswer[] = [];
  for (const probe of probes) {
    const asked = ask(judge, probe);
    if (typeof asked === 'string') {
      problems.push(options.probes === undefined ? asked : `probe ${probe.id}: ${asked}`);
      continue;
    }
    if (asked.expect !== undefined && asked.expect !== asked.answer.verdict) missed++;
    if (problems.length > 0) continue;
    texts.push(printer.answer(asked));
    if (options.dataplane === 'xdp') answers.push(asked);
  }
  if (problems.length > 0) {
    const shown = problems.slice(0, 20);
    if (problems.length > shown.length) shown.push(`and ${problems.length - shown.length} more`);
    throw new CommandFailure(shown.map(safeText).join('\nweir: '));
  }
  const agreed = options.dataplane === 'sim' || (await inKernel((make) => agrees(world, answers, make)));
  for (const text of texts) {
    output.write(text);
    const wait = output.pause();
    if (wait !== undefined) await wait;
    if (output.closed) break;
  }
  output.write(printer.end());
  await output.end();
  return missed > 0 || !agreed ? EXIT.DIFFERENT : EXIT.FINE;
}

/** Whether the programs in the kernel say the same; tells on stderr what they were asked, and each difference. */
function agrees(world: PolicyWorld, answers: readonly AskedAnswer[], make: MakeDataplane<Dataplane>): boolean {
  const dataplane = make({ specs: world.compiled.sizes });
  fill(dataplane, world.compiled);
  try {
    const kernel = new KernelGates(dataplane, world);
    const different = answers.flatMap(({ question, answer }) =>
      answer.points.flatMap((point) => kernel.differences(point, question.protocol.toUpperCase())),
    );
    for (const text of different) tell(safeText(`weir: ${text}`));
    const rest = kernel.passedOver === 0 ? '' : `; ${kernel.passedOver} could not be asked`;
    tell(`weir: ${kernel.asked} gates asked in the kernel, ${different.length} differ${rest}`);
    return different.length === 0;
  } finally {
    dataplane.close();
  }
}

/** One answer, or what is wrong with the question. */
export function ask(judge: Judge, probe: Probe): AskedAnswer | string {
  const result = judge.ask(probe);
  if ('problem' in result) return result.problem;
  const { id, expect } = probe;
  return { id, question: probe, answer: result.answer, ...(expect === undefined ? {} : { expect }) };
}

function singleProbe({ from, to, port, icmp, expect }: VerdictOptions): Probe {
  if (from === undefined || to === undefined) throw new CommandFailure('give --from and --to, or --probes FILE');
  return { id: '1', from, to, ...portOf(port, icmp), ...(expect === undefined ? {} : { expect }) };
}

/** `80/TCP`, `80`, `8/ICMP`, or `--icmp 8`. */
export function portOf(port: string | undefined, icmp: string | undefined): { protocol: string; port: number } {
  if (icmp !== undefined) {
    if (port !== undefined) throw new CommandFailure('--port and --icmp exclude each other');
    if (!/^\d{1,3}$/.test(icmp)) throw new CommandFailure(`--icmp ${icmp}: a type is 0 to 255`);
    return { protocol: 'ICMP', port: Number(icmp) };
  }
  if (port === undefined) throw new CommandFailure('give --port 80/TCP, or --icmp TYPE');
  const match = /^(\d{1,5})(?:\/([A-Za-z0-9]{1,8}))?$/.exec(port);
  if (match === null) throw new CommandFailure(`--port ${port}: give 80/TCP`);
  return { protocol: protocolName(match[2] ?? 'TCP'), port: Number(match[1]) };
}

const protocolName = (text: string): string => (/^icmpv6$/i.test(text) ? 'ICMPv6' : text.toUpperCase());

async function readProbes(path: string, options: VerdictOptions): Promise<Probe[]> {
  for (const [name, value] of [
    ['--from', options.from],
    ['--to', options.to],
    ['--port', options.port],
    ['--icmp', options.icmp],
  ] as const) {
    if (value !== undefined) throw new CommandFailure(`${name} and --probes exclude each other`);
  }
  const list = await readJson(path, '--probes');
  if (!Array.isArray(list)) throw new CommandFailure(`--probes ${path}: a JSON array is expected`);
  const problems: string[] = [];
  const probes = list.flatMap((item: unknown, i): Probe[] => {
    const probe = probeOf(item, i, options.expect);
    if (typeof probe !== 'string') return [probe];
    problems.push(`--probes ${path}: item ${i + 1}: ${probe}`);
    return [];
  });
  if (problems.length > 0) {
    const shown = problems.slice(0, 20);
    if (problems.length > shown.length) shown.push(`and ${problems.length - shown.length} more`);
    throw new CommandFailure(shown.map(safeText).join('\nweir: '));
  }
  return probes;
}

const VERDICTS: readonly unknown[] = ['allowed', 'denied', 'unknown'];

/** One item of a probes file, or what is wrong with it. */
function probeOf(item: unknown, index: number, expected: Verdict | undefined): Probe | string {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return 'an object is expected';
  const { id, from, to, protocol = 'TCP', port, icmpType, expect } = item as Record<string, unknown>;
  if (typeof from !== 'string' || typeof to !== 'string') return 'from and to: texts are expected';
  if (typeof protocol !== 'string') return 'protocol: a text is expected';
  const name = protocolName(protocol);
  const icmp = name.startsWith('ICMP');
  const number = icmp ? (icmpType ?? port) : port;
  if (typeof number !== 'number') return icmp ? 'icmpType: a number is expected' : 'port: a number is expected';
  if (id !== undefined && typeof id !== 'string' && typeof id !== 'number') return 'id: a text is expected';
  if (expect !== undefined && !VERDICTS.includes(expect)) return 'expect: allowed, denied or unknown';
  const wish = (expect as Verdict | undefined) ?? expected;
  return {
    id: id === undefined ? String(index + 1) : String(id),
    from,
    to,
    protocol: name,
    port: number,
    ...(wish === undefined ? {} : { expect: wish }),
  };
}
