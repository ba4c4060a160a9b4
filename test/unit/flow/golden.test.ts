// Every output format of one small replay, byte by byte. test/golden/README.md derives what the lines must say by hand.
// `npm test -- --update` rewrites the files; read the difference before committing it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import {
  compactPrinter,
  type FlowPrinter,
  type FlowRecord,
  githubPrinter,
  jsonPrinter,
  jsonpbPrinter,
  junitPrinter,
  sarifPrinter,
  tablePrinter,
} from '../../../src/flow/index.ts';
import { frame, type PacketSpec } from '../../support/packets.ts';
import { makeWorld, replayed, type Step } from '../../support/replay-world.ts';
import { goldenFile, UPDATE_GOLDEN } from '../../support/repository.ts';

const packet = (
  on: string,
  protocol: PacketSpec['protocol'],
  source: string,
  destination: string,
  more: Partial<PacketSpec> = {},
): Step => ({
  frame: frame({ protocol, source, destination, payload: new Uint8Array(0), ...more }),
  on,
});
const tcp = (
  on: string,
  source: string,
  destination: string,
  sourcePort: number,
  destinationPort: number,
  flags: string,
): Step => packet(on, 'tcp', source, destination, { sourcePort, destinationPort, flags });
const arp = Uint8Array.from([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6, ...new Uint8Array(46)]);

/** See test/golden/README.md. */
const CAPTURE: readonly Step[] = [
  tcp('lxc-a', '10.0.1.1', '10.96.0.1', 40000, 80, 'S'),
  tcp('lxc-a', '10.96.0.1', '10.0.1.1', 80, 40000, 'SA'),
  tcp('lxc-a', '10.0.1.1', '10.96.0.1', 40000, 80, 'A'),
  tcp('lxc-c', '10.0.1.3', '10.0.2.1', 40001, 8080, 'S'),
  tcp('eth0', '10.0.2.1', '10.0.1.3', 8080, 40001, 'RA'),
  tcp('eth0', '10.0.2.4', '10.0.2.1', 40002, 8080, 'S'),
  packet('eth0', 'icmp', '203.0.113.7', '10.0.1.1', { type: 8, id: 7 }),
  packet('eth0', 'udp', '10.0.2.4', '203.0.113.7', { sourcePort: 5000, destinationPort: 53 }),
  packet('lxc-d', 'udp', '10.0.2.4', '203.0.113.7', { sourcePort: 5000, destinationPort: 53 }),
  tcp('eth0', '10.0.1.1', '203.0.113.7', 40003, 50000, 'A'),
  { frame: arp, on: 'eth0' },
  packet('eth0', 'udp', 'fd00:1::1', 'fd00:2::1', { sourcePort: 40004, destinationPort: 9 }),
];

async function records(per: 'packet' | 'flow'): Promise<readonly FlowRecord[]> {
  const world = makeWorld({ sets: ['ipv6.enabled=true'] });
  const { packets, connections } = await replayed(world, [CAPTURE], { at: 'any' });
  return per === 'packet' ? packets : connections;
}

function textOf(printer: FlowPrinter, all: readonly FlowRecord[]): string {
  return printer.begin() + all.map((record) => printer.record(record)).join('') + printer.end();
}

function compare(name: string, text: string): void {
  const file = goldenFile(name);
  if (UPDATE_GOLDEN) {
    writeFileSync(file, text);
  }
  assert.equal(text, readFileSync(file, 'utf8'), `${name}: npm test -- --update rewrites it`);
}

const FORMATS: Readonly<Record<string, () => FlowPrinter>> = {
  'compact.txt': () => compactPrinter(),
  'compact-colour.txt': () => compactPrinter({ colour: true }),
  'table.txt': () => tablePrinter(),
  'json.jsonl': jsonPrinter,
  'jsonpb.jsonl': jsonpbPrinter,
  'junit.xml': junitPrinter,
  'sarif.json': () => sarifPrinter('0.0.0'),
  'github.txt': githubPrinter,
};

describe('golden outputs', () => {
  for (const per of ['packet', 'flow'] as const) {
    for (const [name, make] of Object.entries(FORMATS)) {
      it(`${per}, ${name}`, async () => compare(`${per}-${name}`, textOf(make(), await records(per))));
    }
  }
});
