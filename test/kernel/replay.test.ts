// `weir replay --dataplane xdp`: the recorded captures through the loaded programs, line for line what the simulator says,
// for packets and for connections; and every conntrack entry that it leaves.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { kernelUnavailable } from '../../src/dataplane/xdp/index.ts';
import { weir } from '../support/run-cli.ts';
import { skipFor } from './kernel.ts';

const DEMO = ['-m', 'fixtures/demo/manifests', '--values', 'fixtures/demo/values.yaml'];
/** Capture and where it was taken, where that is not to be inferred. */
const CAPTURES: readonly (readonly [string, ...string[]])[] = [
  ['fixtures/demo/shop.pcapng'],
  ['fixtures/demo/shop-node.pcapng'],
  ['fixtures/exchange/pod.pcapng'],
  ['fixtures/exchange/node.pcapng'],
  ['fixtures/exchange/edge.pcapng', '--at', 'edge'],
  ['fixtures/exchange/any.pcap'],
  ['fixtures/protocols/fragments.pcapng'],
  ['fixtures/protocols/crafted.pcapng'],
  ['fixtures/protocols/ipv6.pcapng'],
  ['fixtures/protocols/gso.pcapng'],
];

const skip = skipFor(kernelUnavailable());

describe('replay through the kernel', { skip }, () => {
  for (const [capture, ...at] of CAPTURES) {
    for (const per of ['packet', 'flow']) {
      it(`${capture}, a record a ${per}`, async () => {
        const args = ['replay', capture, ...at, ...DEMO, '--per', per, '-o', 'json'];
        const sim = await weir(args);
        const kernel = await weir([...args, '--dataplane', 'xdp']);
        assert.equal(kernel.stdout, sim.stdout);
        assert.equal(kernel.code, sim.code, kernel.stderr);
        assert.ok(sim.stdout.length > 100);
      });
    }
  }

  it('leaves the same conntrack entries', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-kernel-maps-'));
    try {
      const contents: string[][] = [];
      for (const engine of ['sim', 'xdp']) {
        const out = join(folder, engine);
        const args = ['replay', 'fixtures/demo/shop.pcapng', ...DEMO, '-o', 'none', '--dump-maps', out];
        const { code, stderr } = await weir([...args, '--dataplane', engine]);
        assert.equal(code, 0, stderr);
        const { entries } = JSON.parse(readFileSync(join(out, 'weir_ct_tcp4.json'), 'utf8')) as { entries: unknown[] };
        contents.push(entries.map((entry) => JSON.stringify(entry)).sort());
      }
      assert.deepEqual(contents[1], contents[0]);
      assert.ok(contents[0]!.length > 10);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
