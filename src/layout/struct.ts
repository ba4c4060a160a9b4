// How a binary struct is described once: name, ordered fields, offsets, and a codec for control, tests and the CLI.
// Input: field declarations. Output: a StructType with offsets, sizes, encode and decode.
// Invariant: no implicit padding; every field is naturally aligned; a struct's size is a multiple of its alignment.

/**
 * Scalar encodings. `u*` are in host order (Weir hosts are little-endian, as BPF targets are); `be*` are network order:
 * the bytes on the wire, decoded to their numeric value.
 */
export type ScalarKind = 'u8' | 'u16' | 'u32' | 'u64' | 'be16' | 'be32';

/** One declared field. `T` is the decoded TypeScript type and exists only for inference. */
export interface FieldType<T> {
  readonly kind: ScalarKind | 'bytes' | 'array' | 'pad';
  /** Size of one element in bytes. */
  readonly elementBytes: number;
  /** Number of elements; 1 for scalars. */
  readonly count: number;
  /** Alignment in bytes. */
  readonly align: number;
  /** Element encoding of an array. */
  readonly element?: 'u16' | 'u32';
  /** What the field holds: units, byte order where it matters, Cilium's name where it differs. */
  readonly doc: string;
  /** Phantom: never set. */
  readonly decoded?: T;
}

const scalar = <T>(kind: ScalarKind, bytes: number, doc: string): FieldType<T> => ({
  kind,
  elementBytes: bytes,
  count: 1,
  align: bytes,
  doc,
});

/** Unsigned 8-bit integer. */
export const u8 = (doc: string): FieldType<number> => scalar('u8', 1, doc);
/** Unsigned 16-bit integer in host order. */
export const u16 = (doc: string): FieldType<number> => scalar('u16', 2, doc);
/** Unsigned 32-bit integer in host order. */
export const u32 = (doc: string): FieldType<number> => scalar('u32', 4, doc);
/** Unsigned 64-bit integer in host order, decoded as bigint. */
export const u64 = (doc: string): FieldType<bigint> => scalar('u64', 8, doc);
/** Unsigned 16-bit integer in network order (ports); decoded to its numeric value. */
export const be16 = (doc: string): FieldType<number> => scalar('be16', 2, doc);
/** Unsigned 32-bit integer in network order (IPv4 addresses); decoded to its numeric value, 10.0.0.1 = 0x0a000001. */
export const be32 = (doc: string): FieldType<number> => scalar('be32', 4, doc);
/** Raw bytes in wire order: IPv6 addresses (16), MAC addresses (6). Byte-aligned. */
export const bytes = (length: number, doc: string): FieldType<Uint8Array> => ({
  kind: 'bytes',
  elementBytes: 1,
  count: length,
  align: 1,
  doc,
});
/** A fixed array of u16 or u32 in host order. */
export const array = (element: 'u16' | 'u32', count: number, doc: string): FieldType<readonly number[]> => ({
  kind: 'array',
  elementBytes: element === 'u16' ? 2 : 4,
  count,
  align: element === 'u16' ? 2 : 4,
  element,
  doc,
});
/** Explicit padding: always zero, absent from decoded values. */
export const pad = (length: number): FieldType<never> => ({
  kind: 'pad',
  elementBytes: 1,
  count: length,
  align: 1,
  doc: 'padding, zero',
});

/** Ordered field declarations; insertion order is memory order. */
export type Fields = Readonly<Record<string, FieldType<unknown>>>;

/** The decoded form of a struct: one property a field, padding left out. */
export type Decoded<F extends Fields> = {
  -readonly [
    K in keyof F as F[K] extends FieldType<infer T> ? ([T] extends [never] ? never : K) : never
  ]: F[K] extends FieldType<infer T> ? T : never;
};

/** A field with its place. */
export interface PlacedField {
  readonly name: string;
  readonly type: FieldType<unknown>;
  /** Byte offset from the start of the struct. */
  readonly offset: number;
  /** Size in bytes, all elements. */
  readonly bytes: number;
}

/** A described struct: the one source of the C header, of BTF checks and of codecs. */
export interface StructType<F extends Fields = Fields> {
  /** C name, snake_case, `weir_` prefixed. */
  readonly name: string;
  readonly doc: string;
  readonly fields: readonly PlacedField[];
  /** Total size in bytes. */
  readonly bytes: number;
  /** Alignment in bytes: the largest field alignment. */
  readonly align: number;
  /** Byte offset of each field by name. */
  readonly at: Readonly<Record<keyof F & string, number>>;
  /** Encodes into a fresh array, or into `out` at `offset`. Every byte is written, padding as zero. */
  encode(value: Decoded<F>, out?: Uint8Array, offset?: number): Uint8Array;
  /** Decodes from `source` at `offset`. */
  decode(source: Uint8Array, offset?: number): Decoded<F>;
  /** Phantom: never set. */
  readonly decoded?: Decoded<F>;
}

/** The decoded value type of a StructType. */
export type ValueOf<S> = S extends StructType<infer F> ? Decoded<F> : never;

const NAME = /^[a-z][a-zA-Z0-9]*$/;

/**
 * Declares a struct. Throws at module load (a programming error, not a configuration error) when a field would need
 * implicit padding, so the mistake cannot reach a header.
 */
export function struct<F extends Fields>(name: string, doc: string, declared: F): StructType<F> {
  const fields: PlacedField[] = [];
  const at: Record<string, number> = Object.create(null) as Record<string, number>;
  let offset = 0;
  let align = 1;
  for (const [field, type] of Object.entries(declared)) {
    if (!NAME.test(field)) throw new Error(`${name}.${field}: field names are camelCase`);
    if (offset % type.align !== 0) {
      throw new Error(
        `${name}.${field}: offset ${offset} needs ${type.align - (offset % type.align)} bytes of explicit pad`,
      );
    }
    const size = type.elementBytes * type.count;
    fields.push({ name: field, type, offset, bytes: size });
    at[field] = offset;
    offset += size;
    if (type.align > align) align = type.align;
  }
  if (offset % align !== 0) throw new Error(`${name}: size ${offset} is not a multiple of ${align}; pad it explicitly`);
  const total = offset;
  return {
    name,
    doc,
    fields,
    bytes: total,
    align,
    at: at as Readonly<Record<keyof F & string, number>>,
    encode(value, out = new Uint8Array(total), base = 0) {
      encodeFields(fields, value as Record<string, unknown>, out, base);
      return out;
    },
    decode(source, base = 0) {
      return decodeFields(fields, source, base) as Decoded<F>;
    },
  };
}

function encodeFields(
  fields: readonly PlacedField[],
  value: Record<string, unknown>,
  out: Uint8Array,
  base: number,
): void {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  for (const { name, type, offset, bytes: size } of fields) {
    const at = base + offset;
    const given = value[name];
    switch (type.kind) {
      case 'u8':
        out[at] = given as number;
        break;
      case 'u16':
        view.setUint16(at, given as number, true);
        break;
      case 'u32':
        view.setUint32(at, given as number, true);
        break;
      case 'u64':
        view.setBigUint64(at, given as bigint, true);
        break;
      case 'be16':
        view.setUint16(at, given as number, false);
        break;
      case 'be32':
        view.setUint32(at, given as number, false);
        break;
      case 'bytes':
        out.fill(0, at, at + size);
        out.set((given as Uint8Array).subarray(0, size), at);
        break;
      case 'array':
        for (let i = 0; i < type.count; i++) {
          const element = (given as readonly number[])[i] ?? 0;
          if (type.element === 'u16') view.setUint16(at + i * 2, element, true);
          else view.setUint32(at + i * 4, element, true);
        }
        break;
      case 'pad':
        out.fill(0, at, at + size);
        break;
    }
  }
}

function decodeFields(fields: readonly PlacedField[], source: Uint8Array, base: number): Record<string, unknown> {
  const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
  const value: Record<string, unknown> = {};
  for (const { name, type, offset, bytes: size } of fields) {
    const at = base + offset;
    switch (type.kind) {
      case 'u8':
        value[name] = view.getUint8(at);
        break;
      case 'u16':
        value[name] = view.getUint16(at, true);
        break;
      case 'u32':
        value[name] = view.getUint32(at, true);
        break;
      case 'u64':
        value[name] = view.getBigUint64(at, true);
        break;
      case 'be16':
        value[name] = view.getUint16(at, false);
        break;
      case 'be32':
        value[name] = view.getUint32(at, false);
        break;
      case 'bytes':
        value[name] = source.slice(at, at + size);
        break;
      case 'array':
        value[name] = Array.from({ length: type.count }, (_, i) =>
          type.element === 'u16' ? view.getUint16(at + i * 2, true) : view.getUint32(at + i * 4, true),
        );
        break;
      case 'pad':
        break;
    }
  }
  return value;
}
