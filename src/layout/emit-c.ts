// Emits C from descriptors: struct definitions with static asserts on size and every offset, and numbered constants.
// Input: StructTypes and constant tables. Output: text of a header. Invariant: same input, same bytes.
import type { PlacedField, StructType } from './struct.ts';

const snake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

function declaration(field: PlacedField): string {
  const { type } = field;
  const name = snake(field.name);
  switch (type.kind) {
    case 'be16':
    case 'be32':
      return `__${type.kind} ${name}`;
    case 'bytes':
    case 'pad':
      return `__u8 ${name}[${type.count}]`;
    case 'array':
      return `__${type.element ?? 'u32'} ${name}[${type.count}]`;
    default:
      return `__${type.kind} ${name}`;
  }
}

/** The C definition of a struct, with `_Static_assert`s that fail the build when a compiler lays it out otherwise. */
export function emitStruct(type: StructType): string {
  const lines = [`/* ${type.doc} */`, `struct ${type.name} {`];
  for (const field of type.fields) {
    lines.push(
      `\t${declaration(field)};${field.type.kind === 'pad' ? '' : ` /* @${field.offset} ${field.type.doc} */`}`,
    );
  }
  lines.push('};', `_Static_assert(sizeof(struct ${type.name}) == ${type.bytes}, "${type.name}: size");`);
  for (const field of type.fields) {
    lines.push(
      `_Static_assert(__builtin_offsetof(struct ${type.name}, ${snake(field.name)}) == ${field.offset}, "${type.name}.${snake(field.name)}");`,
    );
  }
  return lines.join('\n') + '\n';
}

/** `#define`s for a table of numbers; keys become `PREFIX_KEY`. */
export function emitConstants(prefix: string, doc: string, table: Readonly<Record<string, number>>): string {
  const lines = [`/* ${doc} */`];
  for (const [key, value] of Object.entries(table)) {
    const text = value < 0 ? `(${value})` : value > 0x7fffffff ? `0x${value.toString(16)}u` : String(value);
    lines.push(`#define ${prefix}_${key.toUpperCase()} ${text}`);
  }
  return lines.join('\n') + '\n';
}
