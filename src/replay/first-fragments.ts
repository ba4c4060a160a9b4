// What became of first fragments, for the later ones, which carry no ports. Input: headers and outcomes. Output: the same.
// Invariant: bounded as Cilium's own fragment map; the datapath tracks fragments of inputs itself.
import { be16, be32, bytes, struct, u32 } from '../layout/index.ts';
import { Lru10, Lru4 } from '../maps/index.ts';
import type { MapSpec } from '../schema/index.ts';
import type { Headers } from '../wire/index.ts';
import type { Outcome } from './outcome.ts';

const value = struct('weir_replay_fragment', 'Outcome of a first fragment', {
  connection: u32('record'),
  generation: u32('its generation'),
  facts: u32('verdict, observed, counterfactual, direction, four bits each; unknown reason in the high half'),
});
const key4 = struct('weir_replay_fragment_key4', 'Datagram', {
  source: be32('source'),
  destination: be32('destination'),
  id: u32('identification'),
  protocol: u32('protocol'),
});
const key6 = struct('weir_replay_fragment_key6', 'Datagram', {
  source: bytes(16, 'source'),
  destination: bytes(16, 'destination'),
  id: be32('identification'),
  protocol: be16('protocol'),
  pad: be16('zero'),
});
const MAX = 8192;
const spec = (name: string, key: MapSpec['key']): MapSpec => ({
  name: `weir_replay_${name}`,
  kind: 'lru-hash',
  doc: 'first fragments of a replay',
  key,
  value,
  maxEntries: MAX,
});

/** See the head of this file. The fields are the last `find`'s. */
export class FirstFragments {
  connection = 0;
  generation = 0;
  verdict = 0;
  observed = 0;
  counterfactual = 0;
  direction = 0;
  unknown = 0;
  private readonly four = new Lru4(spec('fragments4', key4));
  private readonly six = new Lru10(spec('fragments6', key6));

  /** Keeps the outcome of a first fragment that belongs to a connection. */
  remember(h: Headers, out: Outcome, generation: number): void {
    const { four, six } = this;
    let words: Int32Array;
    let at: number;
    if (h.family === 4) {
      at = four.insert(h.s0, h.d0, h.fragId, h.protocol);
      ({ words } = four);
    } else {
      at = six.insert(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, h.fragId, h.protocol);
      ({ words } = six);
    }
    if (at < 0) return;
    words[at] = out.connection;
    words[at + 1] = generation;
    words[at + 2] =
      out.verdict | (out.observed << 4) | (out.counterfactual << 8) | (out.direction << 12) | (out.unknown << 16);
  }

  /** Whether the datagram's first fragment was seen; then the fields say what became of it. */
  find(h: Headers): boolean {
    const { four, six } = this;
    const at =
      h.family === 4
        ? four.find(h.s0, h.d0, h.fragId, h.protocol)
        : six.find(h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, h.fragId, h.protocol);
    if (at < 0) return false;
    const words = h.family === 4 ? four.words : six.words;
    const facts = words[at + 2]!;
    this.connection = words[at]!;
    this.generation = words[at + 1]!;
    this.verdict = facts & 15;
    this.observed = (facts >>> 4) & 15;
    this.counterfactual = (facts >>> 8) & 15;
    this.direction = (facts >>> 12) & 15;
    this.unknown = facts >>> 16;
    return true;
  }
}
