// `weir replay`. Input: captures, manifests. Output: one record a packet or connection, a summary on stderr, files.
// Invariant: stdout carries records only; what was printed before damage in a capture stays printed.
import { existsSync, realpathSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { CaptureReader } from '../capture/index.ts';
import { CaptureOpenError, openCapture } from '../capture/file/index.ts';
import { FLOW_VERDICTS, type FlowPrinter, type FlowRecord, type FlowVerdict, safeText } from '../flow/index.ts';
import { type JudgedPacket, replay, type ReplayResult, type ReplaySink } from '../replay/index.ts';
import { AnnotatedCapture } from './annotated-capture.ts';
import { addFactOptions, type FactOptions, readFacts } from './fact-files.ts';
import { CommandFailure, EXIT, messageOf } from './failure.ts';
import { inKernel } from './kernel-engine.ts';
import { dumpMaps } from './map-dump.ts';
import { printerFor, RECORD_FORMATS, type RecordFormat } from './printers.ts';
import { preparePrivateFile, preparePrivateFolder, writePrivateFile } from './private-file.ts';
import type { SetExitCode } from './program.ts';
import { ReplayProgress } from './progress.ts';
import { summaryJson, summaryText } from './replay-summary.ts';
import {
  addClusterOptions,
  addColourOption,
  addTopologyOption,
  type ClusterOptions,
  wholeNumber,
} from './shared-options.ts';
import { type ColourChoice, DataOutput, tell, wantsColour } from './terminal.ts';
import { loadInto, loadWorld, type World } from './world.ts';

/** As a file to write: standard output; as one to read: standard input. */
const STDOUT = '-';
const STDIN = '-';

/** Options of `weir replay`. */
interface ReplayCommandOptions extends ClusterOptions, FactOptions {
  readonly at: string;
  readonly dataplane: 'sim' | 'xdp';
  readonly merge?: boolean;
  readonly per: 'packet' | 'flow';
  readonly expectCount?: string;
  readonly verdict?: readonly FlowVerdict[];
  readonly write?: string;
  readonly dumpMaps?: string;
  readonly summary?: string;
  readonly output: RecordFormat;
  readonly color: ColourChoice;
  readonly quiet?: boolean;
}

/** Adds `weir replay`. */
export function addReplayCommand(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('replay')
    .description('replay captures through a cluster’s services and policies')
    .argument('<capture...>', 'pcap or pcapng files, plain or gzip; - is standard input');
  addFactOptions(addTopologyOption(addClusterOptions(command)))
    .option('--at <place>', 'where the captures were taken: auto, pod:NS/NAME, node:NAME, edge, any', 'auto')
    .addOption(
      new Option('--dataplane <engine>', 'what runs the packets: the simulator, or the programs in the kernel (root)')
        .choices(['sim', 'xdp'])
        .default('sim'),
    )
    .option('--merge', 'sort the packets of all captures by time')
    .addOption(
      new Option('--per <unit>', 'one record a packet, or a connection').choices(['packet', 'flow']).default('packet'),
    )
    .addOption(
      new Option('--verdict <verdict...>', 'print only records with these verdicts').choices([...FLOW_VERDICTS]),
    )
    .option('--expect-count <n>', 'exit with 1 unless exactly this many records were printed')
    .option('-w, --write <file>', 'write the packets as pcapng, with the verdicts as comments; - is standard output')
    .option('--dump-maps <folder>', 'write the maps as they are at the end, one JSON file each')
    .option('--summary <file>', 'write counters as JSON; - is standard output')
    .addOption(new Option('-o, --output <format>', 'output format').choices([...RECORD_FORMATS]).default('compact'))
    .option('-q, --quiet', 'print no summary and no vantage points');
  addColourOption(command).action(async (captures: readonly string[], options: ReplayCommandOptions) => {
    setExitCode(await run(captures, options));
  });
}

async function run(paths: readonly string[], options: ReplayCommandOptions): Promise<number> {
  const expected = options.expectCount === undefined ? undefined : wholeNumber(options.expectCount, '--expect-count');
  checkPaths(paths, options);
  const readers = await openAll(paths, onlyCounts(options));
  let world: World | undefined;
  try {
    const choices = { amend: await readFacts(options) };
    world =
      options.dataplane === 'xdp'
        ? await inKernel((make): Promise<World> => loadInto(options, make, choices))
        : await loadWorld(options, choices);
    for (const warning of world.warnings) tell(safeText(`weir: warning: ${warning}`));
    // Files are made before the replay, so that what cannot be written is known at once.
    if (options.summary !== undefined && options.summary !== STDOUT) preparePrivateFile(options.summary);
    if (options.dumpMaps !== undefined) preparePrivateFolder(options.dumpMaps);
    const printing = new Printing(options, readers);
    const progress = ReplayProgress.maybe(paths, printing.printsToTerminal);
    const began = performance.now();
    let result: ReplayResult;
    try {
      result = await replay(
        {
          captures: paths.map((path, i) => ({ path, source: readers[i]!, bytes: fileBytes(path) })),
          dataplane: world.dataplane,
          state: world.state,
          rulesOf: world.rulesOf,
          masquerade: world.masquerade,
          interfaces: world.interfaces,
          gc: world.gc,
          ...(world.node === undefined ? {} : { node: world.node }),
          ...world.payloads,
          at: options.at,
          merge: options.merge ?? false,
          // Whoever asks for the kernel wants each packet to go through it.
          everyPacket: options.dumpMaps !== undefined || options.dataplane === 'xdp',
        },
        printing.sink(progress),
      );
    } catch (cause) {
      if (cause instanceof RangeError) throw new CommandFailure(cause.message);
      if (cause instanceof ReaderGone) return EXIT.FINE;
      throw cause;
    } finally {
      progress?.stop();
    }
    const seconds = (performance.now() - began) / 1000;
    const counters = (): string => `${JSON.stringify(summaryJson(result, seconds))}\n`;
    await printing.end(options.summary === STDOUT ? counters() : '');
    if (options.quiet !== true) tell(summaryText(result, seconds));
    if (options.summary !== undefined && options.summary !== STDOUT) writePrivateFile(options.summary, counters());
    if (options.dumpMaps !== undefined) dumpMaps(Object.values(world.dataplane.maps), options.dumpMaps);
    // Packets that nobody had to look at one by one are all printed, or would be.
    const records =
      options.per === 'packet' && options.verdict === undefined ? result.counts.packets : printing.records;
    return verdictOf(result, records, expected, options.per);
  } finally {
    world?.dataplane.close();
    await Promise.all(readers.map((reader) => reader.close()));
  }
}

function verdictOf(
  result: ReplayResult,
  records: number,
  expected: number | undefined,
  per: 'packet' | 'flow',
): number {
  for (const { path, message, offset } of result.errors) {
    const bare = message.replace(/ \(at byte \d+\)$/, '');
    tell(safeText(`weir: ${path}: offset ${offset}: ${bare}`));
  }
  if (result.errors.length > 0) return EXIT.BAD_INPUT;
  if (expected === undefined || records === expected) return EXIT.FINE;
  tell(`weir: expected ${expected} ${per === 'flow' ? 'flows' : 'packets'}, printed ${records}`);
  return EXIT.DIFFERENT;
}

/** Size of a file; 0 of anything else. */
function fileBytes(path: string): number {
  return path === STDIN ? 0 : (statSync(path, { throwIfNoEntry: false })?.size ?? 0);
}

/** Whether nothing is asked for that needs single packets or connections: most packets then need no more than a glance. */
function onlyCounts({
  output,
  per,
  verdict,
  write,
  summary,
  dumpMaps: folder,
  ...options
}: ReplayCommandOptions): boolean {
  const silent = output === 'none' || summary === STDOUT;
  return (
    silent &&
    per === 'packet' &&
    verdict === undefined &&
    write === undefined &&
    folder === undefined &&
    options.merge !== true &&
    options.dataplane === 'sim'
  );
}

async function openAll(paths: readonly string[], indexed: boolean): Promise<CaptureReader[]> {
  const readers: CaptureReader[] = [];
  try {
    // The first one is read while the manifests are; each has buffers of its own, so the others wait.
    for (const path of paths) readers.push(await openCapture(path, { early: readers.length === 0, indexed }));
  } catch (cause) {
    await Promise.all(readers.map((reader) => reader.close()));
    throw cause instanceof CaptureOpenError ? new CommandFailure(safeText(cause.message)) : cause;
  }
  return readers;
}

/** Files that would be read and written at once, and one standard stream for two purposes. */
function checkPaths(paths: readonly string[], options: ReplayCommandOptions): void {
  const stdins = [...paths, ...(options.manifests ?? []), options.values, options.topology].filter(
    (path) => path === '-',
  ).length;
  if (stdins > 1) throw new CommandFailure('- (standard input) can be given once only');
  if (options.write === STDOUT && options.summary === STDOUT)
    throw new CommandFailure('-w - and --summary -: standard output has room for one of them');
  const real = (path: string): string | undefined => {
    try {
      return statSync(path).isFile() ? realpathSync(path) : undefined;
    } catch {
      return undefined;
    }
  };
  const { manifests = [], values = [], topology = [], dns = [], entities = [] } = options;
  const inputs = new Set([...paths, ...manifests, values, topology, dns, entities].flat().map(real));
  inputs.delete(undefined);
  for (const [flag, path] of [
    ['-w', options.write],
    ['--summary', options.summary],
  ] as const) {
    if (path !== undefined && path !== STDOUT && inputs.has(real(path)))
      throw new CommandFailure(`${flag} ${path}: this is one of the inputs`);
  }
  const { write, summary } = options;
  if (write === undefined || summary === undefined || write === STDOUT || summary === STDOUT) return;
  // Files that are not there yet have no real path; devices take both.
  const same = real(write) === undefined ? resolve(write) === resolve(summary) : real(write) === real(summary);
  const special = existsSync(write) && real(write) === undefined;
  if (same && !special) throw new CommandFailure(`-w ${write} and --summary ${summary}: this is one file`);
}

/** Ends a replay whose reader went away (EPIPE) and that has no other purpose. */
class ReaderGone extends Error {}

/** Everything that a replay writes while it runs. */
class Printing {
  /** Records that passed the filter. */
  records = 0;
  private readonly options: ReplayCommandOptions;
  private readonly readers: readonly CaptureReader[];
  private readonly output = new DataOutput();
  private readonly printer: FlowPrinter | undefined;
  private readonly capture: AnnotatedCapture | undefined;
  private readonly wanted: ReadonlySet<FlowVerdict> | undefined;
  private readonly names = new Map<number, { readonly name: string }>();

  constructor(options: ReplayCommandOptions, readers: readonly CaptureReader[]) {
    this.options = options;
    this.readers = readers;
    // Packets or counters on standard output leave no room for records.
    const silent = options.output === 'none' || options.write === STDOUT || options.summary === STDOUT;
    const colour = wantsColour(options.color, process.stdout, process.env);
    this.printer = silent ? undefined : printerFor(options.output, colour);
    this.capture = options.write === undefined ? undefined : openAnnotated(options.write);
    this.wanted = options.verdict === undefined ? undefined : new Set(options.verdict);
  }

  get printsToTerminal(): boolean {
    return this.printer !== undefined && process.stdout.isTTY;
  }

  sink(progress: ReplayProgress | undefined): ReplaySink {
    const { options, printer, capture, output } = this;
    if (printer !== undefined) output.write(printer.begin());
    const filtered = this.wanted !== undefined;
    const perPacket = options.per === 'packet';
    // Without a printer, packets need no record.
    const needsPackets = (perPacket && (printer !== undefined || filtered)) || capture !== undefined;
    const needsFlows = !perPacket;
    return {
      ...(needsPackets ? { packet: (judged: JudgedPacket): void => this.packet(judged, perPacket) } : {}),
      ...(needsFlows ? { connection: (record: FlowRecord): void => this.print(record) } : {}),
      originals: capture !== undefined,
      vantage: ({ capture: path, interface: name, interfaceNumber, vantage }): void => {
        if (name !== undefined) this.names.set(interfaceNumber, { name });
        if (options.quiet === true) return;
        const where = name === undefined || this.readers.length === 0 ? path : `${path} (${name})`;
        tell(safeText(`weir: ${where}: at ${vantage.text}: ${vantage.evidence}`));
        if (vantage.warning !== undefined) tell(safeText(`weir: warning: ${where}: ${vantage.warning}`));
      },
      ...(progress === undefined
        ? {}
        : { progress: (packets: number, bytes: number): void => progress.update(packets, bytes) }),
      pause: () => {
        const wait = pauseOf(output);
        if (output.closed && !this.hasOtherPurpose) throw new ReaderGone();
        return wait;
      },
    };
  }

  /** Something is to come of the replay besides what is printed. */
  private get hasOtherPurpose(): boolean {
    const { write, summary, dumpMaps: folder, expectCount } = this.options;
    return write !== undefined || summary !== undefined || folder !== undefined || expectCount !== undefined;
  }

  private packet(judged: JudgedPacket, perPacket: boolean): void {
    try {
      this.capture?.add(judged, this.names.get(judged.interfaceNumber));
    } catch (cause) {
      throw new CommandFailure(`${this.options.write}: cannot be written: ${messageOf(cause)}`);
    }
    if (!perPacket) return;
    if (this.wanted !== undefined && !this.wanted.has(FLOW_VERDICTS[judged.outcome.verdict]!)) return;
    this.records++;
    if (this.printer !== undefined && !this.output.closed) this.output.write(this.printer.record(judged.record()));
  }

  private print(record: FlowRecord): void {
    if (this.wanted !== undefined && !this.wanted.has(record.verdict)) return;
    this.records++;
    if (this.printer !== undefined && !this.output.closed) this.output.write(this.printer.record(record));
  }

  /** @param text the last of what goes to standard output */
  async end(text: string): Promise<void> {
    if (this.printer !== undefined) this.output.write(this.printer.end());
    this.output.write(text);
    try {
      this.capture?.close();
      await this.output.end();
    } catch (cause) {
      throw new CommandFailure(`cannot write: ${messageOf(cause)}`);
    }
  }
}

function pauseOf(output: DataOutput): Promise<void> | undefined {
  try {
    return output.pause();
  } catch (cause) {
    throw new CommandFailure(`cannot write: ${messageOf(cause)}`);
  }
}

function openAnnotated(path: string): AnnotatedCapture {
  try {
    return new AnnotatedCapture(path);
  } catch (cause) {
    throw cause instanceof CommandFailure
      ? cause
      : new CommandFailure(`${path}: cannot be written: ${messageOf(cause)}`);
  }
}
