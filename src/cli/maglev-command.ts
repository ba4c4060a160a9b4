// `weir maglev table|diff|lookup`: Cilium's tables, bit for bit. Input: backends as `10.0.0.1:80/TCP[=WEIGHT]`.
// Output: tables, moved slots, the slot and backend of one client. Invariant: indices are in the order given.
import { type Command, Option } from 'commander';
import {
  DEFAULT_MAGLEV_SEED,
  DEFAULT_MAGLEV_SIZE,
  type MaglevBackend,
  type MaglevChange,
  maglevChange,
  maglevLookup,
  maglevSizeProblem,
  maglevTable,
  parseMaglevSeed,
  suggestedSize,
} from '../control/maglev/index.ts';
import type { IpAddress } from '../control/index.ts';
import { parseAddress } from '../control/manifest/index.ts';
import { tupleHash4, tupleHash6 } from '../datapath/index.ts';
import { CommandFailure } from './failure.ts';
import { wholeNumber } from './shared-options.ts';
import { DataOutput } from './terminal.ts';

interface TableOptions {
  readonly size: string;
  readonly seed: string;
  readonly output: 'text' | 'json';
}

const PROTOCOL: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };
const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];
/** Many in one option, separated by commas or blanks, or the option repeated. */
const collectList = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  ...value.split(/[\s,]+/).filter((item) => item !== ''),
];

/** A backend on the command line; `id` is its index. */
export function parseBackend(text: string, id: number): MaglevBackend {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})(?:\/([A-Za-z]+))?(?:=(\d{1,5}))?$/.exec(text);
  const wanted = 'give ADDRESS:PORT/PROTOCOL[=WEIGHT], IPv6 in brackets';
  if (match === null) throw new CommandFailure(`backend ${text}: ${wanted}`);
  const protocol = (match[4] ?? 'TCP').toUpperCase();
  const address = addressOf(match[1] ?? match[2]!, `backend ${text}`);
  const port = Number(match[3]);
  if (PROTOCOL[protocol] === undefined) throw new CommandFailure(`backend ${text}: the protocol is TCP, UDP or SCTP`);
  if (port < 1 || port > 65535) throw new CommandFailure(`backend ${text}: a port is 1 to 65535`);
  const weight = match[5] === undefined ? {} : { weight: Number(match[5]) };
  if (weight.weight !== undefined && weight.weight > 65535)
    throw new CommandFailure(`backend ${text}: a weight is 0 to 65535`);
  return { id, address: address.text, port, protocol, ...weight };
}

function addressOf(text: string, where: string): IpAddress {
  const result = parseAddress(text);
  if (!result.ok) throw new CommandFailure(`${where}: ${result.reason}`);
  return result.value;
}

function settingsOf(options: TableOptions): { size: number; seed: number; hash4: number; hash6: number } {
  const size = wholeNumber(options.size, '--size');
  const problem = maglevSizeProblem(size);
  if (problem !== undefined) throw new CommandFailure(problem);
  const seed = parseMaglevSeed(options.seed);
  if (typeof seed === 'string') throw new CommandFailure(seed);
  return { size, seed: seed.murmur, hash4: seed.hash4, hash6: seed.hash6 };
}

const backendsOf = (texts: readonly string[] | undefined, option: string): MaglevBackend[] => {
  if (texts === undefined || texts.length === 0) throw new CommandFailure(`${option}: give at least one backend`);
  return texts.map(parseBackend);
};

function addTableOptions(command: Command): Command {
  return command
    .option('--size <slots>', 'slots of the table (maglev.tableSize)', String(DEFAULT_MAGLEV_SIZE))
    .option('--seed <base64>', 'twelve bytes (maglev.hashSeed)', DEFAULT_MAGLEV_SEED)
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'));
}

/** Adds `weir maglev`. */
export function addMaglevCommand(program: Command): void {
  const maglev = program.command('maglev').description('Maglev tables as Cilium fills them');
  addTableOptions(maglev.command('table').description('print the table of some backends'))
    .requiredOption('--backend <address:port/protocol=weight>', 'a backend (repeatable)', collect)
    .action(async (options: TableOptions & { readonly backend: readonly string[] }) => {
      const { size, seed } = settingsOf(options);
      const backends = backendsOf(options.backend, '--backend');
      await print(tableText(maglevTable(backends, { size, seed }), options.backend, size, options.output));
    });
  addTableOptions(maglev.command('diff').description('tell how many slots another list of backends moves'))
    .requiredOption('--before <backends>', 'backends before (repeatable, or a list with commas)', collectList)
    .requiredOption('--after <backends>', 'backends after (repeatable, or a list with commas)', collectList)
    .action(
      async (options: TableOptions & { readonly before: readonly string[]; readonly after: readonly string[] }) => {
        const { size, seed } = settingsOf(options);
        const before = backendsOf(options.before, '--before');
        const after = backendsOf(options.after, '--after');
        const change = maglevChange(before, after, { size, seed });
        await print(
          options.output === 'json' ? `${JSON.stringify(changeObject(change, after))}\n` : changeText(change, after),
        );
      },
    );
  addTableOptions(maglev.command('lookup').description('tell the slot and the backend of one client'))
    .requiredOption('--backend <address:port/protocol=weight>', 'a backend (repeatable)', collect)
    .requiredOption('--source <address:port>', 'the client')
    .option('--destination <address>', 'the service address (it does not count for the hash)')
    .requiredOption('--port <port>', 'the service port')
    .addOption(new Option('--protocol <name>', 'TCP, UDP or SCTP').default('TCP'))
    .option('--affinity', 'the service has session affinity: the client’s port does not count')
    .action(lookup);
}

interface LookupOptions extends TableOptions {
  readonly backend: readonly string[];
  readonly source: string;
  readonly port: string;
  readonly protocol: string;
  readonly affinity?: boolean;
}

async function lookup(options: LookupOptions): Promise<void> {
  const { size, seed, hash4, hash6 } = settingsOf(options);
  const backends = backendsOf(options.backend, '--backend');
  const client = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(options.source);
  if (client === null) throw new CommandFailure(`--source ${options.source}: give ADDRESS:PORT, IPv6 in brackets`);
  const address = addressOf(client[1] ?? client[2]!, '--source');
  const protocol = PROTOCOL[options.protocol.toUpperCase()];
  if (protocol === undefined) throw new CommandFailure(`--protocol ${options.protocol}: TCP, UDP or SCTP`);
  const port = portOf(options.port, '--port');
  const sourcePort = options.affinity === true ? 0 : portOf(client[3]!, '--source');
  const { bytes } = address;
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ports = rawPort(sourcePort) | (rawPort(port) << 16);
  const hash =
    address.family === 4
      ? tupleHash4(words.getInt32(0, true), ports, protocol, hash4)
      : tupleHash6(
          words.getInt32(0, true),
          words.getInt32(4, true),
          words.getInt32(8, true),
          words.getInt32(12, true),
          ports,
          protocol,
          hash6,
        );
  const found = maglevLookup(maglevTable(backends, { size, seed }), hash);
  if (found === undefined) throw new CommandFailure('no backend has a weight above 0');
  const { slot, backendId: index } = found;
  const backend = options.backend[index]!;
  await print(
    options.output === 'json'
      ? `${JSON.stringify({ hash: hash >>> 0, size, slot, index, backend })}\n`
      : `slot ${slot} of ${size}: ${backend}\n`,
  );
}

const rawPort = (port: number): number => ((port & 0xff) << 8) | (port >>> 8);

function portOf(text: string, option: string): number {
  const port = wholeNumber(text, option);
  if (port > 65535) throw new CommandFailure(`${option}: a port is at most 65535`);
  return port;
}

function tableText(table: Uint32Array, names: readonly string[], size: number, output: 'text' | 'json'): string {
  if (output === 'json') return `${JSON.stringify({ size, table: Array.from(table) })}\n`;
  const slots = names.map(() => 0);
  for (const index of table) slots[index]! += 1;
  const rows = names.map((name, i) => `${name}  ${slots[i]} slots (${((100 * slots[i]!) / size).toFixed(2)} %)`);
  return `${rows.join('\n')}\n`;
}

/** Six digits behind the point are enough for any table. */
const rounded = (share: number): number => Math.round(share * 1e6) / 1e6;
const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

function changeObject(change: MaglevChange, after: readonly MaglevBackend[]): Record<string, number> {
  const { size, moved, share, unavoidable } = change;
  const suggested = suggestedSize(after.length);
  return { size, moved, share: rounded(share), unavoidable: rounded(unavoidable), suggestedSize: suggested };
}

function changeText({ size, moved, share, unavoidable }: MaglevChange, after: readonly MaglevBackend[]): string {
  const suggested = suggestedSize(after.length);
  const verdict =
    size >= suggested
      ? `the table is large enough for ${after.length} backends (suggested: ${suggested})`
      : `suggested table size for ${after.length} backends: ${suggested}`;
  return `${moved} of ${size} slots move (${percent(share)} of the flows; ${percent(unavoidable)} cannot stay)\n${verdict}\n`;
}

async function print(text: string): Promise<void> {
  const output = new DataOutput();
  output.write(text);
  await output.end();
}
