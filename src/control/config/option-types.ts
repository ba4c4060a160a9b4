// The types of configuration options: how a raw value (Helm's typed one, or a ConfigMap's text) becomes a checked one.
// In: plain values. Out: a value or what was expected instead. Invariant: Helm's types are strict as in the chart's schema;
// the agent reads text, so text that spells a number, boolean, list or duration is that there.
import { labelFilterProblem } from '../label-filter.ts';
import { parsePrefix } from '../manifest/address.ts';

/** A value as YAML, JSON or `--set` gives it. */
export type RawValue = string | number | boolean | readonly RawValue[] | { readonly object: true };

/** A checked value, or the words for what it should have been. */
export type Checked<T> = { readonly value: T } | { readonly expected: string };

/** Does an option change what happens to packets, and does Weir do it? `neutral`: it does not matter to verdicts. */
export type OptionStatus = 'honoured' | 'not-yet' | 'neutral';

/** One option of the table. */
export interface OptionSpec<T> {
  /** Key of the agent's ConfigMap; undefined where only the chart has it. */
  readonly agent: string | undefined;
  readonly status: OptionStatus;
  readonly initial: T;
  /** For an option that is not honoured: the value that Weir behaves as with, where that is not the default. */
  readonly behavesAs?: T;
  /** `text` is true for ConfigMap values and for `--set` values that Helm leaves as strings. */
  readonly check: (raw: RawValue, text: boolean) => Checked<T>;
}

function spec<T>(
  agent: string | undefined,
  status: OptionStatus,
  initial: T,
  check: OptionSpec<T>['check'],
): OptionSpec<T> {
  return { agent, status, initial, check };
}

function checkFlag(raw: RawValue, text: boolean): Checked<boolean> {
  if (typeof raw === 'boolean') return { value: raw };
  // Go's strconv.ParseBool.
  if (text && typeof raw === 'string' && /^(?:1|t|T|TRUE|true|True)$/.test(raw)) return { value: true };
  if (text && typeof raw === 'string' && /^(?:0|f|F|FALSE|false|False)$/.test(raw)) return { value: false };
  return { expected: 'a boolean' };
}

/** true or false. */
export function flag(agent: string | undefined, status: OptionStatus, initial: boolean): OptionSpec<boolean> {
  return spec(agent, status, initial, checkFlag);
}

/** true or false, written with or without quotes (the chart takes both for some keys). */
export function looseFlag(agent: string | undefined, status: OptionStatus, initial: boolean): OptionSpec<boolean> {
  return spec(agent, status, initial, (raw) => checkFlag(raw, true));
}

/** true, false, or left open (`auto`), which only the default can be. */
export function autoFlag(agent: string | undefined, status: OptionStatus): OptionSpec<boolean | 'auto'> {
  return spec<boolean | 'auto'>(agent, status, 'auto', checkFlag);
}

/** An integer in min–max. */
export function integer(
  agent: string | undefined,
  status: OptionStatus,
  initial: number,
  min: number,
  max: number,
): OptionSpec<number> {
  return spec(agent, status, initial, (raw, text) => {
    const value = text && typeof raw === 'string' && /^[-+]?[0-9]+$/.test(raw) ? Number(raw) : raw;
    if (typeof value !== 'number' || !Number.isInteger(value)) return { expected: 'an integer' };
    return value < min || value > max ? { expected: `an integer in ${min}–${max}` } : { value };
  });
}

/** One of a set of integers. */
export function oneInteger(
  agent: string | undefined,
  status: OptionStatus,
  initial: number,
  choices: readonly number[],
): OptionSpec<number> {
  return spec(agent, status, initial, (raw, text) => {
    const value = text && typeof raw === 'string' && /^[0-9]+$/.test(raw) ? Number(raw) : raw;
    return typeof value === 'number' && choices.includes(value)
      ? { value }
      : { expected: `one of ${choices.join(', ')}` };
  });
}

/** A fraction of one. */
export function ratio(agent: string | undefined, status: OptionStatus, initial: number): OptionSpec<number> {
  return spec(agent, status, initial, (raw, text) => {
    const value = text && typeof raw === 'string' && /^[0-9.]+$/.test(raw) ? Number(raw) : raw;
    return typeof value === 'number' && value >= 0 && value <= 1 ? { value } : { expected: 'a number in 0–1' };
  });
}

/** One of a set of words; case does not matter, as in the agent. */
export function word<const T extends string>(
  agent: string | undefined,
  status: OptionStatus,
  initial: T,
  choices: readonly T[],
): OptionSpec<T> {
  return spec(agent, status, initial, (raw) => {
    const found = typeof raw === 'string' ? choices.find((choice) => choice === raw.toLowerCase()) : undefined;
    return found === undefined ? { expected: `one of ${choices.join(', ')}` } : { value: found };
  });
}

/** Any text. `form` must match it whole. */
export function text(
  agent: string | undefined,
  status: OptionStatus,
  initial: string,
  form?: RegExp,
  expected = 'a string',
): OptionSpec<string> {
  return spec(agent, status, initial, (raw) =>
    typeof raw === 'string' && (form === undefined || form.test(raw)) ? { value: raw } : { expected },
  );
}

/** Label filters, `[source:][!]expression`, with blanks between them. */
export function labelFilters(agent: string | undefined, status: OptionStatus): OptionSpec<string> {
  return spec(agent, status, '', (raw) => {
    if (typeof raw !== 'string') return { expected: 'a string' };
    const problem = labelFilterProblem(raw);
    return problem === undefined ? { value: raw } : { expected: `label filters (${problem})` };
  });
}

/** An IP prefix of one family in canonical text, or nothing. `shortest`: the fewest bits that Weir can work with. */
export function prefix(
  agent: string | undefined,
  status: OptionStatus,
  family: 4 | 6,
  shortest: number,
): OptionSpec<string> {
  const expected = `an IPv${family} prefix of ${shortest} to ${family === 4 ? 32 : 128} bits`;
  return spec(agent, status, '', (raw) => {
    if (raw === '') return { value: '' };
    const parsed = typeof raw === 'string' ? parsePrefix(raw, false) : undefined;
    if (parsed?.ok !== true || parsed.value.family !== family || parsed.value.prefixLen < shortest) return { expected };
    return { value: parsed.value.text };
  });
}

/** A list of prefixes of either family, canonical; a bare address is one of full length. */
export function prefixes(agent: string | undefined, status: OptionStatus): OptionSpec<readonly string[]> {
  return spec<readonly string[]>(agent, status, [], (raw) => {
    const parsed = items(raw)?.map((item) => (typeof item === 'string' ? parsePrefix(item, true) : undefined));
    if (parsed === undefined) return { expected: 'a list of prefixes' };
    const value = parsed.flatMap((result) => (result?.ok === true ? [result.value.text] : []));
    return value.length === parsed.length ? { value } : { expected: 'a list of prefixes' };
  });
}

/** Go's time.Duration (`1h30m`, `100ms`, `0`), or a number of seconds; the value is in seconds. */
export function duration(agent: string | undefined, status: OptionStatus, initialSeconds: number): OptionSpec<number> {
  return spec(agent, status, initialSeconds, (raw) => {
    const seconds = typeof raw === 'string' ? parseDuration(raw) : typeof raw === 'number' && raw === 0 ? 0 : undefined;
    return seconds === undefined ? { expected: 'a duration such as 5s or 1h30m' } : { value: seconds };
  });
}

const units: ReadonlyMap<string, number> = new Map([
  ['ns', 1e-9],
  ['us', 1e-6],
  ['µs', 1e-6],
  ['ms', 1e-3],
  ['s', 1],
  ['m', 60],
  ['h', 3600],
]);

/** Seconds of a Go duration that is not negative; undefined when it is none. */
export function parseDuration(source: string): number | undefined {
  if (source === '0') return 0;
  if (source.length > 40 || !/^(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+$/.test(source)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of source.matchAll(/([0-9.]+)([a-zµ]+)/g)) seconds += Number(amount) * units.get(unit!)!;
  return seconds;
}

/** Items of a list, or of a text with blanks or commas between them. */
function items(raw: RawValue): readonly RawValue[] | undefined {
  if (typeof raw === 'string') return raw.split(/[\s,]+/).filter((item) => item !== '');
  if (typeof raw === 'object' && !('object' in raw)) return raw;
  return undefined;
}

/** A list of texts. */
export function texts(
  agent: string | undefined,
  status: OptionStatus,
  initial: readonly string[],
  choices?: readonly string[],
): OptionSpec<readonly string[]> {
  return spec(agent, status, initial, (raw) => {
    const list = items(raw);
    const ok = list?.every(
      (item): item is string => typeof item === 'string' && (choices === undefined || choices.includes(item)),
    );
    return ok === true
      ? { value: list as readonly string[] }
      : { expected: choices === undefined ? 'a list of strings' : `a list of ${choices.join(', ')}` };
  });
}

/** A list of integers. */
export function integers(
  agent: string | undefined,
  status: OptionStatus,
  initial: readonly number[],
  min: number,
  max: number,
): OptionSpec<readonly number[]> {
  return spec(agent, status, initial, (raw, asText) => {
    const list = typeof raw === 'number' ? [raw] : items(raw);
    const textual = asText || typeof raw === 'string';
    const value = list?.map((item) =>
      textual && typeof item === 'string' && /^[0-9]+$/.test(item) ? Number(item) : item,
    );
    const ok = value?.every(
      (item): item is number => typeof item === 'number' && Number.isInteger(item) && item >= min && item <= max,
    );
    return ok === true ? { value: value as readonly number[] } : { expected: `a list of integers in ${min}–${max}` };
  });
}

/** `first,last`, both included. */
export function portRange(
  agent: string | undefined,
  status: OptionStatus,
  initial: readonly [number, number],
): OptionSpec<readonly [number, number]> {
  return spec(agent, status, initial, (raw) => {
    const list = items(raw);
    const [first, last] = (list ?? []).map((item) =>
      typeof item === 'string' && /^[0-9]{1,5}$/.test(item) ? Number(item) : item,
    );
    const ok =
      list?.length === 2 &&
      typeof first === 'number' &&
      typeof last === 'number' &&
      first >= 1 &&
      first < last &&
      last <= 65535;
    return ok ? { value: [first, last] } : { expected: 'two ports such as "30000,32767", the first below the second' };
  });
}
