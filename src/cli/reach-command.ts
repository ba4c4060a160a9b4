// `weir reach`: who can reach whom, exactly. Input: manifests, perhaps an end. Output: rows as text, JSON, CSV, DOT or SVG.
// Exit codes: 0; 2 wrong usage or input.
import { performance } from 'node:perf_hooks';
import { type Command, Option } from 'commander';
import {
  namedRows,
  reach,
  REACH_FORMATS,
  reachCsv,
  reachDot,
  type ReachFormat,
  reachJson,
  reachSvg,
  reachText,
} from '../analysis/index.ts';
import { safeText } from '../flow/index.ts';
import { CommandFailure } from './failure.ts';
import { addQuestionOptions, loadQuestionWorld, type QuestionOptions } from './question-world.ts';
import { addColourOption } from './shared-options.ts';
import { type ColourChoice, DataOutput, tell, wantsColour } from './terminal.ts';

interface ReachOptions extends QuestionOptions {
  readonly from?: string;
  readonly to?: string;
  readonly verdict: 'allowed' | 'denied' | 'all';
  readonly output: ReachFormat;
  readonly color: ColourChoice;
}

/** Adds `weir reach`. */
export function addReachCommand(program: Command): void {
  const command = program
    .command('reach')
    .description('tell who can reach whom: all connections that policies allow, as classes')
    .option(
      '--from <end>',
      'only from there: pod:NS/NAME, namespace:NS, ip:ADDRESS, entity:NAME, service:NS/NAME, node:NAME',
    )
    .option('--to <end>', 'only to there')
    .addOption(new Option('--verdict <which>', 'what to tell').choices(['allowed', 'denied', 'all']).default('allowed'))
    .addOption(new Option('-o, --output <format>', 'output format').choices(REACH_FORMATS).default('text'));
  addColourOption(addQuestionOptions(command)).action(run);
}

async function run(options: ReachOptions): Promise<void> {
  const world = await loadQuestionWorld(options);
  const began = performance.now();
  const { from, to, verdict, output: format } = options;
  const result = reach(world, { ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) });
  if ('problem' in result) throw new CommandFailure(safeText(result.problem));
  const { tunnelPort } = world.settings;
  const output = new DataOutput();
  const rows = format === 'svg' ? [] : namedRows(result, verdict);
  for (const text of piecesOf()) {
    output.write(text);
    const wait = output.pause();
    if (wait !== undefined) await wait;
    if (output.closed) break;
  }
  await output.end();
  if (format === 'text') {
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    tell(`weir: ${rows.length} rows in ${seconds} s; UDP ${tunnelPort}, the overlay’s port, is refused to every pod`);
  }

  function piecesOf(): Iterable<string> {
    switch (format) {
      case 'text':
        return reachText(rows, tunnelPort, wantsColour(options.color, process.stdout, process.env));
      case 'json':
        return reachJson(rows, verdict);
      case 'csv':
        return reachCsv(rows, verdict);
      case 'dot':
        return reachDot(rows, tunnelPort);
      case 'svg': {
        const picture = reachSvg(result as Extract<typeof result, { rows: unknown }>, tunnelPort);
        if ('problem' in picture) throw new CommandFailure(`-o svg: ${picture.problem}`);
        return [picture.svg];
      }
    }
  }
}
