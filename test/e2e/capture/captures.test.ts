// Real captures: the reader counts what capinfos counts, and times, lengths and link types are tshark's.
// Input: the folder WEIR_CAPTURES, or ../shared/captures beside the repository; skipped where it or a tool is absent.
// The differences from Wireshark are named below, each with its reason.
import { deepStrictEqual, equal, ok } from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { test } from 'node:test';
import { openCapture } from '../../../src/capture/file/index.ts';
import { CAPTURES } from '../../support/repository.ts';

const root = CAPTURES;
const files = existsSync(root)
  ? readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(pcap|pcapng|cap|gz)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
  : [];

/** Why this cannot run: what is missing; false when nothing is. */
function missing(tool: string): string | false {
  if (files.length === 0) return `no captures in ${root} (WEIR_CAPTURES)`;
  return spawnSync(tool, ['--version']).error === undefined ? false : `${tool} is not installed`;
}

const nameOf = (path: string): string => `${basename(dirname(path))}/${basename(path)}`;

/** Files that capinfos refuses to read, and what the reader makes of them: packets, and the error's beginning. */
const refusedByCapinfos: Readonly<Record<string, readonly [packets: number, error: string | undefined]>> = {
  // Link types that Wireshark 4.0 does not know; the reader needs no dissector, and the consumer judges the link type.
  'libpcap/brcm-tag-stp.pcap': [4, undefined],
  'libpcap/brcm-tag.pcap': [15, undefined],
  'libpcap/dsa.pcap': [8, undefined],
  'tcpdump/frf16_magic_ie-oobr.pcap': [1, undefined],
  'tcpdump/juniper_es_oobr.pcap': [1, undefined],
  'tcpdump/juniper_monitor_invalid_cookie_length.pcap': [1, undefined],
  'tcpdump/kday6.pcap': [1, undefined],
  // Refused by both.
  'libpcap/linktype-reserved-field-not-zero.pcap': [0, 'reserved bits of the link type'],
  'libpcap/pcapng-invalid-vers-1.pcapng': [0, 'pcapng version 0.1 is not supported'],
  'libpcap/pcapng-invalid-vers-2.pcapng': [0, 'pcapng version 1.1 is not supported'],
  // Wireshark reports the option before the block; the lengths of the block are wrong as well.
  'libpcap/shb-option-too-long.pcapng': [0, 'damaged at a section header: its two lengths differ'],
};

/** Files that end within a packet: capinfos counts those before, and says so. */
const cut = new Set(['nDPI/fuzz-2021-10-13.pcap', 'scapy/bad_rsn_parsing_overrides_ssid.pcap']);

async function count(path: string): Promise<readonly [packets: number, error: string | undefined]> {
  const reader = await openCapture(path, { bufferBytes: 1 << 16 });
  let packets = 0;
  do while (reader.next()) packets++;
  while (await reader.fill());
  await reader.close();
  return [packets, reader.error?.message];
}

test('packet counts are those of capinfos', { skip: missing('capinfos') }, async () => {
  const counts = new Map<string, number>();
  for (let from = 0; from < files.length; from += 200) {
    const { stdout } = spawnSync('capinfos', ['-c', '-M', '-T', '-r', ...files.slice(from, from + 200)], {
      encoding: 'utf8',
    });
    for (const line of stdout.trim().split('\n')) {
      const [path, packets] = line.split('\t');
      if (path !== undefined && packets !== undefined) counts.set(path, Number(packets));
    }
  }
  ok(counts.size > files.length - 20, `capinfos read ${counts.size} of ${files.length}`);
  let total = 0;
  for (const path of files) {
    const name = nameOf(path);
    const [packets, error] = await count(path);
    total += packets;
    const expected = counts.get(path);
    if (expected === undefined) {
      const exception = refusedByCapinfos[name];
      ok(exception, `${name}: capinfos fails, the reader finds ${packets} packets, ${error}`);
      deepStrictEqual([packets, error?.startsWith(exception[1] ?? '')], [exception[0], exception[1] && true], name);
    } else {
      equal(packets, expected, name);
      equal(error?.includes('ends within packet') === true, cut.has(name), `${name}: ${error}`);
      equal(error === undefined, !cut.has(name), `${name}: ${error}`);
    }
  }
  ok(total > 50_000, `${total} packets`);
});

/** Files that tshark shows otherwise than the file (and capinfos) says. */
const shownOtherwise = new Set([
  // A fraction beyond one second is printed as it is (1418145370.1000000000); the reader carries it into the seconds.
  'tcpdump/timestamp_invalid_micro.pcap',
  'tcpdump/timestamp_invalid_nano.pcap',
  // Custom blocks are shown as frames without a time; neither capinfos nor the reader counts them as packets.
  'pcapng-test-generator/output_le__basic__test017.pcapng',
  'pcapng-test-generator/test017.pcapng',
]);

test('times and lengths are those of tshark', { skip: missing('tshark') }, async () => {
  const sample = files.filter(
    (path, i) => i % 11 === 0 || /nano|time|big_endian|modified|multi|test\d+\.pcapng$/.test(path),
  );
  let compared = 0;
  for (const path of sample) {
    const name = nameOf(path);
    if (refusedByCapinfos[name] || shownOtherwise.has(name)) continue;
    const fields = ['time_epoch', 'cap_len', 'len'].flatMap((field) => ['-e', `frame.${field}`]);
    const arguments_ = ['-n', '-r', path, '-T', 'fields', ...fields];
    const { stdout } = spawnSync('tshark', arguments_, { encoding: 'utf8', maxBuffer: 1 << 28 });
    const expected = stdout === '' ? [] : stdout.trimEnd().split('\n');
    const reader = await openCapture(path);
    const found: string[] = [];
    do {
      while (reader.next()) {
        const time = `${reader.seconds}.${String(reader.nanoseconds).padStart(9, '0')}`;
        found.push(`${time}\t${reader.capturedBytes}\t${reader.wireBytes}`);
      }
    } while (await reader.fill());
    await reader.close();
    deepStrictEqual([name, ...found], [name, ...expected]);
    compared += found.length;
  }
  ok(compared > 1000, `${compared} packets in ${sample.length} files`);
});
