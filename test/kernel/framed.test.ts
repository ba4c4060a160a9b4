// Packets of captures in the kernel: other link types, cut by the snap length, longer than a test run takes. The simulator, which
// takes them as they are, must say the same, and the packet come back in its own form.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Meta, Packet } from '../../src/datapath/index.ts';
import { createSim, type Sim } from '../../src/dataplane/sim/index.ts';
import { createXdp, FramedDataplane, kernelUnavailable } from '../../src/dataplane/xdp/index.ts';
import { HOOK, UNKNOWN_REASON, VERDICT } from '../../src/schema/index.ts';
import { frame } from '../support/packets.ts';
import { skipFor } from './kernel.ts';

const skip = skipFor(kernelUnavailable());
const sizes = { ctTcp4: { maxEntries: 1024 }, ctTcp6: { maxEntries: 1024 }, policy: { maxEntries: 1024 } };
const HOOKS = [HOOK.XDP, HOOK.FROM_NETDEV, HOOK.FROM_CONTAINER, HOOK.TO_CONTAINER, HOOK.FROM_HOST, HOOK.TO_NETDEV];

const tcp = frame({
  protocol: 'tcp',
  source: '10.0.0.1',
  destination: '10.0.0.2',
  sourcePort: 4000,
  destinationPort: 80,
});
const tcp6 = frame({
  protocol: 'tcp',
  source: 'fd00::1',
  destination: 'fd00::2',
  sourcePort: 4000,
  destinationPort: 80,
});
/** A frame whose IP packet is `more` bytes longer than captured, as the length field says. */
function longer(bytes: Uint8Array, more: number): Uint8Array {
  const copy = bytes.slice();
  const four = copy[14]! >>> 4 === 4;
  const at = 14 + (four ? 2 : 4);
  const length = ((copy[at]! << 8) | copy[at + 1]!) + more;
  copy[at] = length >>> 8;
  copy[at + 1] = length;
  return copy;
}
const raw = (bytes: Uint8Array): Uint8Array => bytes.slice(14);
const behind = (header: readonly number[], bytes: Uint8Array): Uint8Array => Uint8Array.of(...header, ...raw(bytes));
const padded = (bytes: Uint8Array, size: number): Uint8Array => {
  const big = new Uint8Array(size);
  big.set(bytes);
  return big;
};

const CASES: readonly (readonly [string, Uint8Array, linkType: number, wire?: number])[] = [
  ['Ethernet', tcp, 1],
  ['raw IPv4', raw(tcp), 101],
  ['raw IPv6', raw(tcp6), 101],
  ['raw IPv4 by its own link type', raw(tcp), 228],
  ['raw, a wrong version', padded(Uint8Array.of(0x95), 40), 101],
  ['loopback, IPv4', behind([2, 0, 0, 0], tcp), 0],
  ['loopback, no IP', behind([9, 0, 0, 0], tcp), 0],
  ['cooked v1', behind([0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], tcp), 113],
  ['cooked v1, ARP', behind([0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 6], tcp), 113],
  ['cut behind the headers', longer(tcp, 1400), 1, tcp.length + 1400],
  ['raw IPv6, cut behind the headers', raw(longer(tcp6, 900)), 101, tcp6.length - 14 + 900],
  ['longer than a test run takes', padded(longer(tcp, 40_000), tcp.length + 40_000), 1],
  ['IPv6, longer than a test run takes', padded(longer(tcp6, 30_000), tcp6.length + 30_000), 1],
  ['too short for its IPv4 header', tcp.slice(0, 30), 1],
  ['too short, with a length that would fit', longer(tcp.slice(0, 33), -20), 1],
  ['too short for its IPv6 header', tcp6.slice(0, 50), 1],
  ['raw, too short for its header', raw(tcp).slice(0, 12), 101],
  ['no bytes behind the link header', tcp.slice(0, 14), 1],
  ['longer, and its length does not fit', padded(longer(tcp, 60_000), tcp.length + 40_000), 1],
];

describe('packets of captures in the kernel', { skip }, () => {
  let sim: Sim;
  let kernel: FramedDataplane;
  before(() => {
    sim = createSim({ specs: sizes, seed: 1 });
    kernel = new FramedDataplane(createXdp({ specs: sizes }));
  });
  after(() => {
    sim.close();
    kernel.close();
  });

  for (const [name, bytes, linkType, wire] of CASES) {
    it(name, () => {
      for (const hook of HOOKS) {
        const outputs = [sim, kernel].map((engine) => {
          // In the middle of a larger buffer, whose other bytes are nobody's to touch.
          const buffer = new Uint8Array(bytes.length + 64).fill(0xaa);
          buffer.set(bytes, 32);
          const packet = new Packet().view(buffer, 32, 32 + bytes.length, 32 + (wire ?? bytes.length), linkType, 5, 0);
          const verdict = engine.run(hook, packet, new Meta());
          return {
            verdict,
            record: Buffer.from(engine.record).toString('hex'),
            buffer: Buffer.from(buffer).toString('hex'),
          };
        });
        assert.deepEqual(outputs[1], outputs[0], `hook ${hook}`);
        assert.notEqual(outputs[1]!.verdict, VERDICT.ERROR);
      }
    });
  }

  it('what is not known is unknown, whatever the hook', () => {
    const cut = longer(tcp, 1400).slice(0, 40);
    for (const hook of HOOKS) {
      const snapped = new Packet().view(cut.slice(), 0, cut.length, tcp.length + 1400, 1, 5, 0);
      assert.equal(kernel.run(hook, snapped, new Meta()), VERDICT.UNKNOWN);
      assert.equal(kernel.decision().unknownReason, UNKNOWN_REASON.TRUNCATED);
      assert.equal(kernel.run(hook, new Packet().set(tcp.slice(), 5, 0, 147), new Meta()), VERDICT.UNKNOWN);
      assert.equal(kernel.decision().unknownReason, UNKNOWN_REASON.LINK_TYPE);
    }
  });

  it('a frame without a whole link header never reaches a program', () => {
    for (const hook of HOOKS)
      assert.equal(kernel.run(hook, new Packet().set(Uint8Array.of(1, 2, 3)), new Meta()), VERDICT.ERROR);
  });
});
