// Every classic pcap of a folder of public captures: no throw, int32 only, and no look behind the captured bytes.
// The folder is WEIR_CAPTURES, else ../shared/captures from the repository's root; without it the test is skipped.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Headers, parseFrame, WIRE } from '../../../src/wire/index.ts';
import { dissect } from './dissect.ts';
import { CAPTURES } from '../../support/repository.ts';

const folder = CAPTURES;
const skip = existsSync(folder) ? false : `no captures: ${folder} (set WEIR_CAPTURES)`;

/** Looks like the first byte of an IPv4 header. */
const POISON = 0x45;

/** Calls back with each packet of a classic pcap file; other files give none. */
function forEachPacket(
  file: string,
  packet: (bytes: Uint8Array, linkType: number, start: number, captured: number, wire: number) => void,
): void {
  const bytes = readFileSync(file);
  if (bytes.length < 24) return;
  const magic = bytes.readUInt32LE(0);
  const little = magic === 0xa1b2c3d4 || magic === 0xa1b23c4d;
  if (!little && magic !== 0xd4c3b2a1 && magic !== 0x4d3cb2a1) return;
  const read = (at: number): number => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const linkType = read(20) & 0xffff;
  for (let at = 24; at + 16 <= bytes.length;) {
    const captured = read(at + 8);
    const start = at + 16;
    if (start + captured > bytes.length) return;
    packet(bytes, linkType, start, start + captured, start + Math.min(read(at + 12), 0x7fffff));
    at = start + captured;
  }
}

describe('public captures', { skip }, () => {
  it('are dissected without a throw, whatever lies behind each packet', () => {
    let packets = 0;
    let whole = 0;
    const h = new Headers();
    // The packet alone, at the same offset: everything around it is poison.
    let alone = new Uint8Array(0);
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/cap$/.test(entry.name)) continue;
      forEachPacket(path.join(entry.parentPath, entry.name), (bytes, linkType, start, captured, wire) => {
        packets++;
        if (alone.length < bytes.length + 64) alone = new Uint8Array(bytes.length + 64).fill(POISON);
        const said = dissect(bytes, linkType, start, captured, wire);
        assert.ok(
          said.every((value) => value === (value | 0)),
          entry.name,
        );
        alone.set(bytes.subarray(start, captured), start);
        const again = dissect(alone, linkType, start, captured, wire);
        alone.fill(POISON, start, captured);
        assert.ok(said.length === again.length && said.every((value, i) => value === again[i]), entry.name);
        const status = parseFrame(h, linkType, bytes, start, captured, wire);
        if (status !== WIRE.OK) return;
        whole++;
        // A shorter snap length makes the same packet cut, never bad.
        for (let end = start; end < captured; end += 7) {
          const got = parseFrame(h, linkType, bytes, start, end, Math.max(wire, captured));
          assert.ok(got === WIRE.CUT || got === WIRE.OK, `${entry.name}: status ${got}`);
        }
      });
    }
    assert.ok(packets > 0 && whole > 0, `${folder} holds no packets`);
  });
});
