// `weir doctor`: whether this machine can run the kernel engine, and the one command that mends what is missing.
// Input: the machine. Output: a line a finding, or JSON; exit code 1 when the engine cannot run. Changes nothing.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { delimiter, join } from 'node:path';
import { type Command, Option } from 'commander';
import pc from 'picocolors';
import { builtFile, loadAddon } from '../dataplane/xdp/index.ts';
import { safeText } from '../flow/index.ts';
import { examine, type Finding, isReady, type Machine, type Standing } from './doctor-checks.ts';
import { EXIT } from './failure.ts';
import type { SetExitCode } from './program.ts';
import { addColourOption } from './shared-options.ts';
import { type ColourChoice, DataOutput, wantsColour } from './terminal.ts';

interface DoctorOptions {
  readonly output: 'text' | 'json';
  readonly color: ColourChoice;
}

/** Adds `weir doctor`. */
export function addDoctorCommand(program: Command, setExitCode: SetExitCode): void {
  const command = program
    .command('doctor')
    .description('tell whether this machine can run the kernel engine, and what is missing')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'));
  addColourOption(command).action(async ({ output: format, color }: DoctorOptions) => {
    const findings = examine(thisMachine());
    const ready = isReady(findings);
    const output = new DataOutput();
    if (format === 'json') output.write(`${JSON.stringify({ ready, findings })}\n`);
    else output.write(textOf(findings, ready, wantsColour(color, process.stdout, process.env)));
    await output.end();
    setExitCode(ready ? EXIT.FINE : EXIT.DIFFERENT);
  });
}

const WORD: Record<Standing, string> = { ok: 'ok', note: 'note', missing: 'MISSING' };

/** Findings for people: aligned, the command that mends each beneath it. */
export function textOf(findings: readonly Finding[], ready: boolean, colour: boolean): string {
  const paint = pc.createColors(colour);
  const shade: Record<Standing, (text: string) => string> = { ok: paint.green, note: paint.yellow, missing: paint.red };
  const width = Math.max(...findings.map(({ name }) => name.length));
  const lines = findings.flatMap(({ name, standing, found, cost, command }) => [
    `${shade[standing](WORD[standing].padEnd(8))}${name.padEnd(width)}  ${safeText(found)}${cost === '' ? '' : `: ${cost}`}`,
    ...(command === '' || standing === 'ok' ? [] : [`${' '.repeat(8 + width + 2)}→ ${command}`]),
  ]);
  const verdict = ready ? 'the kernel engine can run here' : 'the kernel engine cannot run here; the simulator can';
  return `${lines.join('\n')}\n\n${verdict}\n`;
}

/** The machine that this process runs on. */
function thisMachine(): Machine {
  const addon = loadAddon();
  return {
    platform: process.platform,
    release: os.release(),
    read: (path) => {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
    exists: existsSync,
    has: (...programs) => programs.some(isOnPath),
    library: (name) => {
      const { status, stdout } = spawnSync('pkg-config', ['--modversion', name], { encoding: 'utf8', timeout: 5000 });
      return status === 0 ? stdout.trim() : undefined;
    },
    built: (name) => builtFile(name) !== undefined,
    addonError: addon instanceof Error ? (addon.message.split('\n', 1)[0] ?? '') : undefined,
    filters: filtersOf(addon),
    makesMap: ({ type }) => {
      if (addon instanceof Error) return undefined;
      const inner = type === ARRAY_OF_MAPS ? addon.mapCreate(ARRAY, 'weir_inner', 4, 4, 1, 0, 0) : 0;
      if (inner < 0) return inner;
      const [key, value, entries, flags] = SHAPES[type] ?? [4, 4, 1, 0];
      const map = addon.mapCreate(type, 'weir_probe', key, value, entries, flags, inner);
      if (inner > 0) addon.close(inner);
      return map < 0 ? map : addon.close(map);
    },
  };
}

function filtersOf(addon: ReturnType<typeof loadAddon>): string | undefined {
  const filters = addon instanceof Error ? undefined : addon.tcFilters(undefined);
  return typeof filters === 'string' ? filters : undefined;
}

const ARRAY = 2;
const ARRAY_OF_MAPS = 12;
/** Key bytes, value bytes, entries, flags of kinds that take no plain ones: a trie, a ring. */
const SHAPES: Readonly<Record<number, readonly [number, number, number, number]>> = {
  11: [8, 4, 1, 1],
  6: [4, 8, 1, 0],
  27: [0, 0, 65536, 0],
};

function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
