// Every packet of every capture ends in exactly one verdict: without manifests, and in a cluster made from the capture where
// everything is denied. There the connections that drop with 133 must be those that tshark finds.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, describe, it } from 'node:test';
import { openCapture } from '../../../src/capture/file/index.ts';
import { createSim } from '../../../src/dataplane/sim/index.ts';
import { replay, type JudgedPacket } from '../../../src/replay/index.ts';
import { isolatedPods, simulate, SMALL, unicastAddresses } from '../../support/captured-cluster.ts';
import { CAPTURES } from '../../support/repository.ts';

const folder = CAPTURES;
const skip = existsSync(folder) ? false : `no captures at ${folder}`;
const files = skip === false ? [...capturesIn(folder)] : [];

function* capturesIn(place: string): Generator<string> {
  for (const entry of readdirSync(place, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory()) yield* capturesIn(join(place, entry.name));
    else if (!entry.name.endsWith('.md')) yield join(place, entry.name);
  }
}

/** Files whose connections tshark and Weir count differently, and why Weir is right or at least not wrong. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  'PcapPlusPlus/tcp-malformed.pcap': 'TCP data offset below 5: 135',
  'nDPI/fuzz-2006-06-26-2594.pcap': 'fuzzed IP lengths and TCP offsets: 134, 135',
  'nDPI/fuzz-2006-09-29-28586.pcap': 'fuzzed TCP offset: 135',
  'nDPI/kerberos_fuzz.pcapng': 'fuzzed TCP offset: 135',
  'suricata-verify/frag-25.pcap': 'L4 headers that do not fit the packet: 135',
  'suricata-verify/frag-26.pcap': 'L4 headers that do not fit the packet: 135',
  'suricata-verify/test.pcap': 'L4 headers that do not fit the packet: 135',
  'tcpdump/bigtcp-ipv6-hbh.pcap': 'BIG TCP: tshark shows no ports',
  'tcpdump/bigtcp-ipv6-vxlan-ipv4.pcap': 'BIG TCP: tshark shows no ports',
  'tcpdump/bigtcp-ipv6-vxlan-ipv6.pcap': 'BIG TCP: tshark shows no ports',
  'tcpdump/bigtcp-ipv6.pcap': 'BIG TCP: tshark shows no ports',
  'tcpdump/udp-length-heapoverflow.pcap': 'cut by the snap length within the header: UNKNOWN',
  'tcpdump/vxlan_port_8472.pcap': 'a pod must not send to the overlay’s port: 170, before policy',
  'zeek/ip-discarder-truncated-tcp-oob.pcapng': 'cut by the snap length within the header: UNKNOWN',
};

/** Replays one file; verdicts by packet number, in order. */
async function verdicts(
  path: string,
  world: Partial<ReturnType<typeof simulate>>,
  look: (judged: JudgedPacket) => void,
): Promise<number> {
  const source = await openCapture(path, { bufferBytes: 65536 });
  let seen = 0;
  const result = await replay(
    {
      captures: [{ path, source }],
      dataplane: world.dataplane ?? createSim({ seed: 1, specs: SMALL }),
      state: world.state,
      at: 'any',
      seed: 1,
    },
    {
      packet(judged) {
        seen++;
        assert.equal(judged.record().number, seen, `${path}: packets come in order, each once`);
        look(judged);
      },
    },
  );
  await source.close();
  assert.equal(result.counts.packets, seen);
  assert.equal(
    result.counts.verdicts.reduce((a, b) => a + b, 0),
    seen,
  );
  assert.equal(seen, source.number, `${path}: every packet has a verdict`);
  return seen;
}

describe('every capture, no manifests', { skip }, () => {
  it('gives each packet one verdict; IP is UNKNOWN or a malformed header’s drop', async () => {
    let packets = 0;
    for (const path of files) {
      packets += await verdicts(path, {}, (judged) => {
        const { verdict, drop, unknown } = judged.record();
        const name = `${relative(folder, path)} packet ${judged.record().number}`;
        if (verdict === 'DROPPED')
          assert.ok([134, 135, 137, 139, 156, 166].includes(drop?.code ?? 0), `${name}: ${drop?.code}`);
        else if (verdict === 'UNKNOWN') assert.ok(unknown !== undefined, name);
        else assert.ok(verdict === 'FORWARDED' && judged.headers.family === 0, `${name}: ${verdict}`);
      });
    }
    assert.ok(packets > 1000);
  });
});

const tshark = spawnSync('tshark', ['--version']).status === 0 && spawnSync('mergecap', ['--version']).status === 0;

describe(
  'every capture, everything denied',
  { skip: skip !== false ? skip : tshark ? false : 'tshark and mergecap are missing' },
  () => {
    const work = mkdtempSync(join(tmpdir(), 'weir-captures-'));
    after(() => rmSync(work, { recursive: true, force: true }));

    /** Two-way key of a connection. */
    const key = (protocol: string, a: string, aPort: number | string, b: string, bPort: number | string): string => {
      const ends = [`${a} ${aPort}`, `${b} ${bPort}`].sort();
      return `${protocol} ${ends[0]} ${ends[1]}`;
    };

    it('drops each new connection with 133; the connections are those of tshark', async () => {
      // tshark is slow to start: it reads all files that capinfos can read, one behind the other.
      const readable = files.filter((path) => spawnSync('capinfos', ['-c', '-M', path]).status === 0);
      const merged = join(work, 'all.pcapng');
      const counts: number[] = [];
      const ours: Set<string>[] = [];
      const pods: Set<string>[] = [];
      const judgedBy: Map<number, string>[] = [];
      for (const path of readable) {
        const addresses = await unicastAddresses(path);
        pods.push(new Set(addresses));
        const world = simulate(isolatedPods(addresses));
        const denied = new Set<string>();
        const by = new Map<number, string>();
        counts.push(
          await verdicts(path, world, (judged) => {
            const record = judged.record();
            by.set(record.number, `${record.verdict} ${record.drop?.code ?? record.unknown ?? ''}`);
            const { protocol, source, destination } = record;
            if (
              record.drop?.code === 133 &&
              (protocol === 'TCP' || protocol === 'UDP') &&
              judged.headers.fragment === 0
            ) {
              denied.add(key(protocol, source.ip!, source.port ?? 0, destination.ip!, destination.port ?? 0));
            }
          }),
        );
        ours.push(denied);
        judgedBy.push(by);
      }
      const merge = spawnSync('mergecap', ['-a', '-F', 'pcapng', '-w', merged, ...readable], { encoding: 'utf8' });
      assert.equal(merge.status, 0, merge.stderr);
      const fields = [
        'frame.encap_type',
        'frame.protocols',
        'ip.src',
        'ipv6.src',
        'ip.dst',
        'ipv6.dst',
        'tcp.srcport',
        'udp.srcport',
        'tcp.dstport',
        'udp.dstport',
        'ip.flags.mf',
        'ip.frag_offset',
        'tcp.len',
      ];
      const run = spawnSync(
        'tshark',
        [
          '-n',
          '-r',
          merged,
          '-o',
          'ip.defragment:FALSE',
          '-o',
          'ipv6.defragment:FALSE',
          '-T',
          'fields',
          '-E',
          'occurrence=f',
          ...fields.flatMap((f) => ['-e', f]),
        ],
        { encoding: 'utf8', maxBuffer: 1 << 28 },
      );
      // Records that are no packets (journal entries, custom blocks) have no encapsulation.
      const rows = run.stdout
        .trimEnd()
        .split('\n')
        .filter((line) => !line.startsWith('\t'));
      assert.equal(
        rows.length,
        counts.reduce((a, b) => a + b, 0),
        'tshark sees the packets that Weir sees',
      );
      let row = 0;
      const strange: string[] = [];
      readable.forEach((path, i) => {
        const theirs = new Map<string, number>();
        const exception = relative(folder, path).replaceAll('\\', '/') in EXCEPTIONS;
        for (let n = 1; n <= counts[i]!; n++) {
          const [, chain = '', s4, s6, d4, d6, tcpS, udpS, tcpD, udpD, mf, offset] = rows[row++]!.split('\t');
          const protocols = chain.split(':');
          const at = protocols.findIndex((p) => p === 'ip' || p === 'ipv6');
          const l4 = protocols.slice(at + 1).find((p) => !p.startsWith('ipv6.') && p !== 'ah');
          if (l4 !== 'tcp' && l4 !== 'udp') continue;
          if (protocols.includes('ipv6.fraghdr')) continue;
          // IP right behind the link header, as Weir reads it: no PPPoE, MPLS, 802.11 or LLC in between.
          if (
            !/^(eth:ethertype|sll:ethertype|sll|null|raw|ip|ipv6)$/.test(
              at === 0 ? 'ip' : protocols.slice(0, at).join(':').replaceAll(':vlan:ethertype', ''),
            )
          )
            continue;
          if (mf === '1' || mf === 'True' || (offset !== undefined && offset !== '' && offset !== '0')) continue;
          const four = protocols[at] === 'ip';
          const source = (four ? s4 : s6)!;
          const target = (four ? d4 : d6)!;
          if (!pods[i]!.has(source) && !pods[i]!.has(target)) continue;
          const name = key(
            l4.toUpperCase(),
            source,
            (l4 === 'tcp' ? tcpS : udpS)!,
            target,
            (l4 === 'tcp' ? tcpD : udpD)!,
          );
          if (!theirs.has(name)) theirs.set(name, n);
        }
        if (exception) return;
        for (const [name, n] of theirs) {
          if (!ours[i]!.has(name))
            strange.push(`${relative(folder, path)}#${n}: only tshark: ${name} (${judgedBy[i]!.get(n)})`);
        }
        for (const name of ours[i]!)
          if (!theirs.has(name)) strange.push(`${relative(folder, path)}: only Weir: ${name}`);
      });
      assert.deepEqual(strange, []);
    });
  },
);
