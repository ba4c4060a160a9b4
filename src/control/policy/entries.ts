// The entries of one policy while rules are merged into it. Input: identities, shapes, precedence and rule of each rule.
// Output: a PolicyBlock: words as they lie in the map, sorted, and the meta entry.
// Invariant: on one key the highest precedence wins; rules of equal precedence share the entry, and its cookie names them all.
import { BOUND, POLICY_FLAG, PRECEDENCE, PROXY_PORT } from '../../schema/index.ts';
import type { Provenance, RuleSets } from '../provenance.ts';
import { placeIn } from '../selector.ts';
import { isEgressWord, shapeOfWord } from './ports.ts';
import type { Region } from './region.ts';

/** What a policy's meta entry says, besides padding. */
export interface PolicyMeta {
  readonly flags: number;
  readonly ingressShapes: readonly number[];
  readonly egressShapes: readonly number[];
  readonly ingressCookie: number;
  readonly egressCookie: number;
}

/** One policy, ready for the maps. */
export interface PolicyBlock {
  readonly policyId: number;
  /** Words an entry: policy id, identity, shape word; precedence, cookie, proxy port and flags. */
  readonly words: Uint32Array;
  readonly meta: PolicyMeta;
}

/** Words of one entry in a block. */
export const ENTRY_WORDS = 6;

/** Every cookie in some policies, 0 and doubles included. */
export function* cookiesOf(blocks: Iterable<PolicyBlock>): IterableIterator<number> {
  for (const { words, meta } of blocks) {
    yield meta.ingressCookie;
    yield meta.egressCookie;
    for (let at = 4; at < words.length; at += ENTRY_WORDS) yield words[at]!;
  }
}

/** Numbers for shape words, shared by all policies of a compile, so that identity and shape fit one map key. */
export class ShapeTable {
  private readonly indexOf = new Map<number, number>();
  readonly words: number[] = [];

  index(word: number): number {
    let index = this.indexOf.get(word);
    if (index === undefined) {
      index = this.words.length;
      this.words.push(word);
      this.indexOf.set(word, index);
    }
    return index;
  }
}

/** Shape indices stay below this: 2 directions, 256 protocols and 2^17 port prefixes are more than any policy set names. */
const SHAPE_RADIX = 0x4000000;

/** Merges rules into entries. */
export class EntrySet {
  private readonly slots = new Map<number, number>();
  private readonly identities: number[] = [];
  private readonly shapes: number[] = [];
  private readonly precedences: number[] = [];
  private readonly rules: number[] = [];
  private readonly flags: number[] = [];
  private readonly table: ShapeTable;
  private readonly sets: RuleSets;
  private readonly only: number | undefined;

  /** `only`: entries of other identities are left out. */
  constructor(table: ShapeTable, sets: RuleSets, only?: number) {
    this.table = table;
    this.sets = sets;
    this.only = only;
  }

  /** What rules (by provenance number) say about a region. */
  add(region: Region, precedence: number, rules: readonly number[], flags: number): void {
    for (const { identities, shapes } of region) {
      if (this.only !== undefined && identities[placeIn(identities, this.only)] !== this.only) continue;
      const indices = shapes.map((word) => this.table.index(word));
      for (const identity of this.only === undefined ? identities : [this.only]) {
        for (const shape of indices) for (const rule of rules) this.merge(identity, shape, precedence, rule, flags);
      }
    }
  }

  private merge(identity: number, shape: number, precedence: number, rule: number, flags: number): void {
    const key = identity * SHAPE_RADIX + shape;
    const slot = this.slots.get(key);
    if (slot === undefined) {
      this.slots.set(key, this.identities.length);
      this.identities.push(identity);
      this.shapes.push(shape);
      this.precedences.push(precedence);
      this.rules.push(this.sets.add(0, rule));
      this.flags.push(flags);
    } else if (precedence > this.precedences[slot]!) {
      this.precedences[slot] = precedence;
      this.rules[slot] = this.sets.add(0, rule);
      this.flags[slot] = flags;
    } else if (precedence === this.precedences[slot]!) {
      this.rules[slot] = this.sets.add(this.rules[slot]!, rule);
    }
  }

  /** The finished policy. Isolating cookies: 0 where nothing isolates. */
  finish(
    policyId: number,
    cookies: { readonly ingress: number; readonly egress: number },
    enforced: { readonly ingress: boolean; readonly egress: boolean; readonly host: boolean },
    provenance: Provenance,
  ): PolicyBlock {
    const order = this.identities.map((_, slot) => slot);
    const word = (slot: number): number => this.table.words[this.shapes[slot]!]!;
    order.sort((a, b) => this.identities[a]! - this.identities[b]! || word(a) - word(b));
    const words = new Uint32Array(order.length * ENTRY_WORDS);
    const ingressShapes = [0, 0, 0];
    const egressShapes = [0, 0, 0];
    let at = 0;
    for (const slot of order) {
      const identity = this.identities[slot]!;
      const shape = word(slot);
      words[at] = policyId;
      words[at + 1] = identity;
      words[at + 2] = shape;
      words[at + 3] = this.precedences[slot]!;
      words[at + 4] = provenance.cookieOf(this.sets.members(this.rules[slot]!));
      // No authentication type, since authentication is not enforced.
      words[at + 5] = proxyPort(this.precedences[slot]!, shape) | (this.flags[slot]! << 16);
      at += ENTRY_WORDS;
      const bitmaps = isEgressWord(shape) ? egressShapes : ingressShapes;
      bitmaps[identityClass(identity)]! |= 1 << shapeOfWord(shape);
    }
    const meta: PolicyMeta = {
      flags:
        (enforced.ingress ? POLICY_FLAG.ENFORCE_INGRESS : 0) |
        (enforced.egress ? POLICY_FLAG.ENFORCE_EGRESS : 0) |
        (enforced.host ? POLICY_FLAG.HOST : 0),
      ingressShapes,
      egressShapes,
      ingressCookie: cookies.ingress,
      egressCookie: cookies.egress,
    };
    return { policyId, words, meta };
  }
}

/** The proxy port of an entry, raw be16: that of its direction where the entry redirects, else 0. */
function proxyPort(precedence: number, word: number): number {
  const verdict = precedence & 0xff;
  if (verdict < PRECEDENCE.REDIRECT_LOWEST || verdict > PRECEDENCE.REDIRECT_HIGHEST) return 0;
  const port = isEgressWord(word) ? PROXY_PORT.EGRESS : PROXY_PORT.INGRESS;
  return (port >>> 8) | ((port & 0xff) << 8);
}

/** Which bitmap of the meta entry an identity of a key belongs to: 0 identities, 1 aggregates, 2 everybody. */
export function identityClass(identity: number): 0 | 1 | 2 {
  if (identity === 0) return 2;
  return identity >= 11 && identity <= 14 ? 1 : 0;
}

/** Probes that a packet in one direction may need. */
export function probesOf(shapes: readonly number[]): number {
  let probes = 0;
  for (const bitmap of shapes) for (let bits = bitmap; bits !== 0; bits &= bits - 1) probes++;
  return probes;
}

/** True when a policy stays within the probes that the verifier grants. */
export const withinProbeBudget = ({ meta }: PolicyBlock): boolean =>
  Math.max(probesOf(meta.ingressShapes), probesOf(meta.egressShapes)) <= BOUND.POLICY_PROBES;
