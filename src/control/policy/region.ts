// Regions of connections: identities of the other end × shapes of the L4 header. Input: regions of rules. Output: what two of
// them have in common. Invariant: identities nest in their aggregates and these in everybody, shapes nest as prefixes do, so
// that two of a kind are disjoint or one holds the other; an intersection is never coarser than either.
import { aggregateOf, IDENTITY, SHAPE_ANY_PROTOCOL } from '../../schema/index.ts';
import { isEgressWord, shapeOfWord } from './ports.ts';

/** Identities (ascending; 0 = everybody, aggregates as they are) and shape words; each pair of the two belongs to the region. */
export interface RegionPart {
  readonly identities: readonly number[];
  readonly shapes: readonly number[];
}

/** A union of products. */
export type Region = readonly RegionPart[];

/** What both regions hold. */
export function intersect(a: Region, b: Region): Region {
  const parts: RegionPart[] = [];
  for (const one of a) {
    for (const other of b) {
      const shapes = commonShapes(one.shapes, other.shapes);
      if (shapes.length === 0) continue;
      const identities = commonIdentities(one.identities, other.identities);
      if (identities.length > 0) parts.push({ identities, shapes });
    }
  }
  return parts;
}

/** True when `set` holds everybody that `identity` stands for. */
const holdsIdentity = (set: ReadonlySet<number>, identity: number): boolean =>
  set.has(identity) || set.has(IDENTITY.UNKNOWN) || set.has(aggregateOf(identity));

function commonIdentities(a: readonly number[], b: readonly number[]): readonly number[] {
  const inA = new Set(a);
  const inB = new Set(b);
  const common = new Set<number>();
  for (const identity of a) if (holdsIdentity(inB, identity)) common.add(identity);
  for (const identity of b) if (holdsIdentity(inA, identity)) common.add(identity);
  return [...common].sort((x, y) => x - y);
}

function commonShapes(a: readonly number[], b: readonly number[]): readonly number[] {
  const common = new Set<number>();
  for (const one of a) {
    for (const other of b) {
      if (holdsShape(one, other)) common.add(other);
      else if (holdsShape(other, one)) common.add(one);
    }
  }
  return [...common];
}

/** True when every packet of the inner shape is one of the outer. */
export function holdsShape(outer: number, inner: number): boolean {
  if (outer === inner) return true;
  if (isEgressWord(outer) !== isEgressWord(inner)) return false;
  const bits = shapeOfWord(outer);
  if (bits === SHAPE_ANY_PROTOCOL) return true;
  if (shapeOfWord(inner) === SHAPE_ANY_PROTOCOL || shapeOfWord(inner) < bits) return false;
  if (((outer ^ inner) & 0x00ff0000) !== 0) return false;
  return ((portOfWord(outer) ^ portOfWord(inner)) & (0xffff << (16 - bits)) & 0xffff) === 0;
}

/** The port of a shape word, which carries it in network order. */
const portOfWord = (word: number): number => ((word & 0xff) << 8) | ((word >>> 8) & 0xff);
