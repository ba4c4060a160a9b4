// A sequence as TypeScript text, to be pasted into test/differential/examples.ts. Input: a sequence. Output: a literal.
// Invariant: the text evaluates to an equal sequence; bytes are written with `hex`, the configuration with `config`.
import { NO_META, type Sequence, type Step } from './step.ts';
import { hexText, type WorldEntry } from './world.ts';

/** Any plain value as TypeScript. */
function literal(value: unknown): string {
  if (value instanceof Uint8Array) {
    return value.length > 0 && value.every((byte) => byte === 0)
      ? `new Uint8Array(${value.length})`
      : `hex('${hexText(value)}')`;
  }
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value === 'string') return `'${value}'`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'object' && value !== null) {
    return `{ ${Object.entries(value)
      .map(([key, field]) => `${key}: ${literal(field)}`)
      .join(', ')} }`;
  }
  return String(value);
}

/** An entry; of the configuration only what is not zero. */
function entryText(entry: WorldEntry): string {
  if (entry.map !== 'config' || !('value' in entry)) return literal(entry);
  const set = Object.entries(entry.value).filter(([, value]) =>
    value instanceof Uint8Array ? value.some((byte) => byte !== 0) : value !== 0,
  );
  return `config(${literal(Object.fromEntries(set))})`;
}

function stepText(step: Step): string {
  if ('writes' in step) return `{ writes: [${step.writes.map(entryText).join(', ')}] }`;
  const { meta } = step;
  const changed = Object.entries(meta).filter(
    ([field, value]) => literal(value) !== literal(NO_META[field as keyof typeof NO_META]),
  );
  const metaText =
    changed.length === 0
      ? 'NO_META'
      : `{ ...NO_META, ${changed.map(([field, value]) => `${field}: ${literal(value)}`).join(', ')} }`;
  const { hook, bytes, seconds, nanoseconds } = step;
  return `{ hook: ${hook}, bytes: ${literal(bytes)}, seconds: ${seconds}, nanoseconds: ${nanoseconds}, meta: ${metaText} }`;
}

/** The literal of a sequence. */
export function sequenceText({ loaded, tables, world, steps }: Sequence): string {
  const list = (items: readonly string[]): string =>
    items.length === 0 ? '[]' : `[\n    ${items.join(',\n    ')},\n  ]`;
  return [
    '{',
    `  loaded: ${loaded},`,
    `  tables: ${list(tables.map(literal))},`,
    `  world: ${list(world.map(entryText))},`,
    `  steps: ${list(steps.map(stepText))},`,
    '}',
  ].join('\n');
}
