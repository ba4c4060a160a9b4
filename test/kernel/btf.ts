// Reads the structs that a compiled BPF object describes (BTF, kernel/btf.h). Input: an ELF file's bytes. Output: structs by
// name, with sizes, members and their types in words. Invariant: reads only; throws on what it does not know.

/** One member of a struct. */
export interface BtfMember {
  readonly name: string;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Size in bytes, all elements. */
  readonly bytes: number;
  /** Name of its type, or of its elements' type: `__be16`, `__u8`. */
  readonly type: string;
  /** Elements; 1 = no array. */
  readonly count: number;
}

/** A struct of the object. */
export interface BtfStruct {
  readonly name: string;
  readonly bytes: number;
  readonly members: readonly BtfMember[];
}

interface RawType {
  readonly kind: number;
  readonly name: string;
  /** Size or type id, as the kind has it. */
  readonly sizeOrType: number;
  readonly members: readonly { readonly name: string; readonly type: number; readonly bits: number }[];
  readonly element: number;
  readonly count: number;
}

const KIND = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;
/** Bytes behind the header of a type, for each of its `vlen` parts; and once. */
const PART_BYTES: Readonly<Record<number, number>> = { 4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12 };
const FIXED_BYTES: Readonly<Record<number, number>> = { 1: 4, 3: 12, 14: 4, 17: 4 };

/** Bytes of a section of a 64-bit little-endian ELF file. */
export function elfSection(file: Uint8Array, wanted: string): Uint8Array | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const at = Number(view.getBigUint64(40, true));
  const size = view.getUint16(58, true);
  const count = view.getUint16(60, true);
  const names = at + view.getUint16(62, true) * size;
  const header = (base: number): { offset: number; bytes: number } => ({
    offset: Number(view.getBigUint64(base + 24, true)),
    bytes: Number(view.getBigUint64(base + 32, true)),
  });
  const strings = header(names);
  for (let n = 0; n < count; n++) {
    const base = at + n * size;
    const name = textAt(file, strings.offset + view.getUint32(base, true));
    if (name !== wanted) continue;
    const { offset, bytes } = header(base);
    return file.subarray(offset, offset + bytes);
  }
  return undefined;
}

function textAt(bytes: Uint8Array, at: number): string {
  return new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at)));
}

function rawTypes(section: Uint8Array): RawType[] {
  const view = new DataView(section.buffer, section.byteOffset, section.byteLength);
  if (view.getUint16(0, true) !== 0xeb9f) throw new Error('no BTF');
  const header = view.getUint32(4, true);
  const types = header + view.getUint32(8, true);
  const end = types + view.getUint32(12, true);
  const strings = header + view.getUint32(16, true);
  const name = (offset: number): string => textAt(section, strings + offset);
  const all: RawType[] = [{ kind: 0, name: 'void', sizeOrType: 0, members: [], element: 0, count: 0 }];
  for (let at = types; at < end;) {
    const info = view.getUint32(at + 4, true);
    const kind = (info >>> 24) & 0x1f;
    const vlen = info & 0xffff;
    const body = at + 12;
    const members = [];
    if (kind === KIND.STRUCT || kind === KIND.UNION) {
      for (let m = body; m < body + vlen * 12; m += 12) {
        const bits = view.getUint32(m + 8, true);
        members.push({
          name: name(view.getUint32(m, true)),
          type: view.getUint32(m + 4, true),
          bits: info >>> 31 !== 0 ? bits & 0xffffff : bits,
        });
      }
    }
    const array = kind === KIND.ARRAY;
    all.push({
      kind,
      name: name(view.getUint32(at, true)),
      sizeOrType: view.getUint32(at + 8, true),
      members,
      element: array ? view.getUint32(body, true) : 0,
      count: array ? view.getUint32(body + 8, true) : 0,
    });
    at = body + (FIXED_BYTES[kind] ?? 0) + (PART_BYTES[kind] ?? 0) * vlen;
  }
  return all;
}

/** Every named struct of the object. */
export function btfStructs(file: Uint8Array): Map<string, BtfStruct> {
  const section = elfSection(file, '.BTF');
  if (section === undefined) throw new Error('the object has no BTF');
  const types = rawTypes(section);
  const typeOf = (id: number): RawType => {
    const type = types[id];
    if (type === undefined) throw new Error(`no type ${id}`);
    return type;
  };
  const bytesOf = (id: number): number => {
    const type = typeOf(id);
    switch (type.kind) {
      case KIND.ARRAY:
        return bytesOf(type.element) * type.count;
      case KIND.PTR:
        return 8;
      case KIND.TYPEDEF:
      case KIND.CONST:
      case KIND.VOLATILE:
      case KIND.TYPE_TAG:
        return bytesOf(type.sizeOrType);
      default:
        return type.sizeOrType;
    }
  };
  const structs = new Map<string, BtfStruct>();
  for (const type of types) {
    if (type.kind !== KIND.STRUCT || type.name === '') continue;
    structs.set(type.name, {
      name: type.name,
      bytes: type.sizeOrType,
      members: type.members.map((member) => {
        const of = typeOf(member.type);
        const array = of.kind === KIND.ARRAY;
        return {
          name: member.name,
          offset: member.bits / 8,
          bytes: bytesOf(member.type),
          type: array ? typeOf(of.element).name : of.name,
          count: array ? of.count : 1,
        };
      }),
    });
  }
  return structs;
}
