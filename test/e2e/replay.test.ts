// `weir replay` and its neighbours as a process: streams, exit codes, files. The recorded exchange is judged packet by packet
// against the table beside it; everything else runs on hand-made captures.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { CaptureReader, memorySource, PcapWriter } from '../../src/capture/index.ts';
import { frame } from '../support/packets.ts';
import { captureOf, CLUSTER, POLICIES, type Step } from '../support/replay-world.ts';
import { ROOT, scratchFolder, weir } from '../support/run-cli.ts';
import { CAPTURES } from '../support/repository.ts';

interface Expected {
  readonly at: string;
  readonly packets: readonly {
    readonly number: number;
    readonly what: string;
    readonly verdict: string;
    readonly drop?: number;
    readonly hook?: string;
  }[];
}

const syn = (source: string, destination: string, sourcePort: number, destinationPort: number): Step => ({
  frame: frame({ protocol: 'tcp', source, destination, sourcePort, destinationPort, flags: 'S' }),
});
/** Allowed, denied on egress, denied on ingress. */
const CAPTURE = captureOf([
  syn('10.0.1.1', '10.0.2.1', 1, 8080),
  syn('10.0.1.3', '10.0.2.1', 2, 8080),
  syn('10.0.2.4', '10.0.2.1', 3, 8080),
]);

function lab(folder: string): { readonly capture: string; readonly manifests: string } {
  const capture = join(folder, 'a.pcapng');
  const manifests = join(folder, 'world.yaml');
  writeFileSync(capture, CAPTURE);
  writeFileSync(manifests, `${CLUSTER}\n---\n${POLICIES}`);
  return { capture, manifests };
}

function topologyFile(folder: string): string {
  const path = join(folder, 'topology.yaml');
  writeFileSync(
    path,
    `node: n1
interfaces:
- { name: eth0, ifindex: 2, mac: 02:00:00:00:00:01, mtu: 1500, addresses: [192.168.0.1/24] }
neighbours:
- { address: 192.168.0.2, interface: eth0, mac: 02:00:00:00:00:02 }
`,
  );
  return path;
}

describe('the recorded exchange', () => {
  const table = join(ROOT, 'fixtures/exchange/expected.json');
  const skip = existsSync(table) ? false : 'fixtures/exchange is not recorded';
  const files = skip === false ? (JSON.parse(readFileSync(table, 'utf8')) as Record<string, Expected>) : {};
  for (const [file, expected] of Object.entries(files)) {
    it(`${file}: every packet as tabled`, { skip }, async () => {
      // At the edge NodePort traffic alone looks as it does at the node: the place has to be told.
      const at = file.startsWith('edge') ? ['--at', 'edge'] : [];
      const run = await weir([
        'replay',
        `fixtures/exchange/${file}`,
        '-m',
        'fixtures/demo/manifests',
        '--values',
        'fixtures/demo/values.yaml',
        '-o',
        'json',
        ...at,
      ]);
      assert.equal(run.code, 0, run.stderr);
      const lines = run.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      assert.equal(lines.length, expected.packets.length);
      for (const { number, what, verdict, drop, hook } of expected.packets) {
        const line = lines[number - 1];
        assert.deepEqual([line.number, line.verdict, line.at], [number, verdict, expected.at], what);
        if (drop !== undefined) assert.equal(line.drop.code, drop, what);
        if (hook !== undefined) assert.equal(line.hook, hook, what);
      }
    });
  }
});

describe('weir replay', () => {
  it('prints data to stdout and everything else to stderr, and exits 0 whatever was denied', async (t) => {
    const { capture, manifests } = lab(scratchFolder(t));
    const run = await weir(['replay', capture, '-m', manifests, '--at', 'any']);
    assert.equal(run.code, 0);
    assert.equal(run.stdout.trimEnd().split('\n').length, 3);
    assert.match(run.stdout, /^Jan {2}2 03:04:05\.000: x\/a:1 /);
    assert.match(run.stderr, /at any: /);
    assert.match(run.stderr, /3 packets, .* 3 flows/);
    assert.match(run.stderr, /dropped: Policy denied \(133\): 1 {2}by NetworkPolicy x\/mute egress .*world\.yaml:\d+/);

    assert.doesNotMatch(run.stdout + run.stderr, /\u001b/);
  });
  it('--quiet is silent, --color always colours', async (t) => {
    const { capture, manifests } = lab(scratchFolder(t));
    const run = await weir(['replay', capture, '-m', manifests, '--quiet', '--color', 'always'], {
      env: { NO_COLOR: '1' },
    });
    assert.equal(run.stderr, '');
    assert.match(run.stdout, /\u001b\[36m/);
  });
  it('--expect-count: 0 when it fits, 1 when not, of packets, of flows and behind --verdict', async (t) => {
    const { capture, manifests } = lab(scratchFolder(t));
    const code = async (...more: string[]): Promise<number | null> =>
      (await weir(['replay', capture, '-m', manifests, '-o', 'none', ...more])).code;
    assert.deepEqual(
      [
        await code('--expect-count', '3'),
        await code('--expect-count', '2'),
        await code('--per', 'flow', '--expect-count', '3'),
        await code('--verdict', 'DROPPED', '--expect-count', '2'),
        await code('--verdict', 'DROPPED', '--expect-count', '0'),
      ],
      [0, 1, 0, 0, 1],
    );
  });
  it('--summary - writes the counters to standard output, alone, and no file', async (t) => {
    const folder = scratchFolder(t);
    const { capture, manifests } = lab(folder);
    for (const more of [[], ['-o', 'json'], ['-o', 'none'], ['--per', 'flow'], ['--dump-maps', join(folder, 'maps')]]) {
      const args = ['replay', capture, '-m', manifests, '--at', 'any', '--summary', '-', ...more];
      const run = await weir(args, { cwd: folder });
      assert.equal(run.code, 0, run.stderr);
      assert.match(run.stdout, /^\{[^\n]*\}\n$/, more.join(' '));
      const facts = JSON.parse(run.stdout);
      assert.equal(facts.packets, 3);
      assert.deepEqual(facts.collected, { passes: 0, connections: 0, translations: 0 });
      assert.equal(existsSync(join(folder, '-')), false);
    }
    const counted = await weir(['replay', capture, '-m', manifests, '--summary', '-', '--expect-count', '3']);
    assert.equal(counted.code, 0, counted.stderr);
  });
  it('counts a large capture the same whether a thread glances at its packets or not', async (t) => {
    const folder = scratchFolder(t);
    const { manifests } = lab(folder);
    const large = join(folder, 'large.pcap');
    const parts: Uint8Array[] = [];
    const writer = new PcapWriter(
      { write: (bytes) => parts.push(bytes.slice()) },
      { linkType: 1, snapLength: 262_144 },
    );
    const filling = new Uint8Array(262_000); // no packet that is known: only large
    for (let i = 0; i < 270; i++) {
      const port = 1000 + (i % 7);
      for (const flags of ['S', 'SA', 'A', 'A', 'PA', 'A']) {
        const [from, to, sourcePort, destinationPort] =
          flags === 'SA' || flags === 'PA'
            ? ['10.0.2.1', '10.0.1.1', 8080, port]
            : ['10.0.1.1', '10.0.2.1', port, 8080];
        const bytes = frame({ protocol: 'tcp', source: from, destination: to, sourcePort, destinationPort, flags });
        writer.packet(bytes, 0, bytes.length, bytes.length, 1_700_000_000, i);
      }
      writer.packet(filling, 0, filling.length, filling.length, 1_700_000_000, i);
    }
    writer.flush();
    writeFileSync(large, Buffer.concat(parts));
    const args = ['replay', large, '-m', manifests, '--at', 'node:n1'];
    const env = { NODE_DEBUG: 'worker' };
    const counted = await weir([...args, '--quiet', '--summary', '-'], { env });
    assert.equal(counted.code, 0, counted.stderr);
    assert.match(counted.stderr, /index-worker/);
    const whole = await weir([...args, '--quiet', '-o', 'none', '--per', 'flow', '--summary', join(folder, 's')], {
      env,
    });
    assert.equal(whole.code, 0, whole.stderr);
    assert.match(whole.stderr, /read-worker/);
    assert.doesNotMatch(whole.stderr, /index-worker/);
    const { seconds: _a, ...one } = JSON.parse(counted.stdout);
    const { seconds: _b, ...other } = JSON.parse(readFileSync(join(folder, 's'), 'utf8'));
    assert.deepEqual(one, other);
    assert.equal(one.packets, 270 * 7);
    assert.ok(one.verdicts.FORWARDED >= 270 * 6);
  });
  it('--dump-maps makes the folders that it needs, and says where none can be made', async (t) => {
    const folder = scratchFolder(t);
    const { capture, manifests } = lab(folder);
    const dump = (into: string): ReturnType<typeof weir> =>
      weir(['replay', capture, '-m', manifests, '-o', 'none', '--dump-maps', into]);
    for (const into of [join(folder, 'a', 'b', 'c'), `${join(folder, 'a', 'd')}/`, join(folder, 'a', '..', 'e')]) {
      const run = await dump(into);
      assert.equal(run.code, 0, run.stderr);
      assert.ok(existsSync(join(into, 'weir_policy.json')), into);
    }
    writeFileSync(join(folder, 'file'), '');
    const places = [join(folder, 'file'), join(folder, 'file', 'x')];
    // A file system that makes no folders, and says that the parent is missing.
    if (process.platform === 'linux') places.push('/proc/weir', '/proc/weir/maps');
    for (const into of places) {
      const run = await dump(into);
      assert.equal(run.code, 2, run.stderr);
      assert.match(run.stderr, /cannot be made: (?:it exists and is no|no such|its parent)/);
    }
  });
  it('--summary, -w and --dump-maps write files for their owner only', async (t) => {
    const folder = scratchFolder(t);
    const { capture, manifests } = lab(folder);
    const summary = join(folder, 's.json');
    const out = join(folder, 'out.pcapng');
    const dump = join(folder, 'maps');
    // What is there before keeps no wider mode.
    writeFileSync(summary, 'old');
    chmodSync(summary, 0o644);
    const run = await weir([
      'replay',
      capture,
      '-m',
      manifests,
      '--at',
      'any',
      '-o',
      'none',
      '--summary',
      summary,
      '-w',
      out,
      '--dump-maps',
      dump,
    ]);
    assert.equal(run.code, 0, run.stderr);
    const facts = JSON.parse(readFileSync(summary, 'utf8'));
    assert.equal(facts.packets, 3);
    assert.equal(facts.flows, 3);
    assert.deepEqual(facts.verdicts, { FORWARDED: 1, REDIRECTED: 0, AUDIT: 0, DROPPED: 2, UNKNOWN: 0, OBSERVED: 0 });
    assert.deepEqual(facts.drops, { 'Policy denied': 2 });
    assert.equal(typeof facts.seconds, 'number');
    if (process.platform !== 'win32') {
      for (const file of [summary, out, join(dump, 'weir_policy.json')])
        assert.equal(statSync(file).mode & 0o777, 0o600, file);
    }
    const policy = JSON.parse(readFileSync(join(dump, 'weir_policy.json'), 'utf8'));
    assert.equal(policy.map, 'weir_policy');
    assert.equal(policy.entries[0].key.length, policy.keyBytes * 2);
    // The packets are there as captured, with what was decided.
    const reader = new CaptureReader(memorySource([readFileSync(out)]));
    const original = new CaptureReader(memorySource([CAPTURE]));
    const comments: string[] = [];
    const codes: (bigint | undefined)[] = [];
    await original.fill();
    do {
      while (reader.next()) {
        assert.ok(original.next());
        assert.deepEqual(
          reader.bytes.slice(reader.offset, reader.offset + reader.capturedBytes),
          original.bytes.slice(original.offset, original.offset + original.capturedBytes),
        );
        const options = reader.packetOptions();
        comments.push(options.comments[0]!);
        codes.push(options.verdicts[0]?.code);
      }
    } while (await reader.fill());
    assert.deepEqual(codes, [0n, 2n, 2n]);
    assert.match(comments[1]!, /^DROPPED Policy denied \(133\) at from-container by NetworkPolicy x\/mute egress /);
  });
  it('writes no translated packets: a service’s packet stays as it was captured', async (t) => {
    const folder = scratchFolder(t);
    const { manifests } = lab(folder);
    const one = syn('10.0.1.1', '10.96.0.1', 1, 80);
    const capture = join(folder, 'v.pcapng');
    writeFileSync(capture, captureOf([one]));
    const run = await weir(['replay', capture, '-m', manifests, '--at', 'pod:x/a', '-w', '-']);
    assert.equal(run.code, 0, run.stderr);
    assert.ok(Buffer.from(run.stdout, 'utf8').length > 0);
  });
  it('reads standard input', async (t) => {
    const { manifests } = lab(scratchFolder(t));
    const run = await weir(['replay', '-', '-m', manifests, '-o', 'json'], { input: CAPTURE });
    assert.equal(run.code, 0, run.stderr);
    assert.equal(JSON.parse(run.stdout.split('\n')[0]!).capture, '-');
  });
  it('wrong usage and bad input exit 2 with a line, never a stack', async (t) => {
    const folder = scratchFolder(t);
    const { capture, manifests } = lab(folder);
    const text = join(folder, 'text.txt');
    writeFileSync(text, 'no capture');
    const cut = join(folder, 'cut.pcapng');
    writeFileSync(cut, CAPTURE.subarray(0, CAPTURE.length - 5));
    const yaml = join(folder, 'bad.yaml');
    writeFileSync(yaml, 'kind: [');
    const topology = topologyFile(folder);
    const wrong = join(folder, 'wrong.yaml');
    writeFileSync(wrong, 'interfaces:\n- nam: eth0\n  ifindex: many\n');
    const nobody = join(folder, 'nobody.yaml');
    writeFileSync(nobody, 'interfaces: []\n');
    const cases: readonly (readonly [args: readonly string[], message: RegExp])[] = [
      [['replay'], /missing required argument/],
      [['replay', join(folder, 'nothing.pcap'), '-m', manifests], /nothing\.pcap: no such file/],
      [['replay', folder, '-m', manifests], /is a directory/],
      [['replay', text, '-m', manifests], /text\.txt: offset 0: not a capture/],
      [['replay', cut, '-m', manifests], /cut\.pcapng: offset \d+: /],
      [['replay', capture, '-m', yaml], /bad\.yaml:1/],
      [['replay', capture, '-m', join(folder, 'none.yaml')], /none\.yaml/],
      [['replay', capture, '-m', manifests, '--at', 'pod:x/nobody'], /--at pod:x\/nobody/],
      [['replay', capture, '-m', manifests, '--at', 'moon'], /--at moon/],
      [['replay', capture, '-m', manifests, '-o', 'xml'], /Allowed choices/],
      [['replay', capture, '-m', manifests, '--expect-count', 'many'], /--expect-count many/],
      [['replay', capture, '-m', manifests, '-w', capture], /one of the inputs/],
      [
        ['replay', capture, '-m', manifests, '--summary', join(folder, 'no/such/s.json')],
        /cannot be written: no such folder/,
      ],
      [
        ['replay', capture, '-m', manifests, '-w', join(folder, 'new'), '--summary', join(folder, 'x', '..', 'new')],
        /this is one file/,
      ],
      [['replay', capture, '-m', manifests, '-w', yaml, '--summary', yaml], /this is one file/],
      [['replay', capture, '-m', manifests, '--dns', yaml, '-w', yaml], /one of the inputs/],
      [['replay', capture, '-m', manifests, '--values', yaml, '--values', yaml], /--values can be given once/],
      [['replay', '-', '-m', '-'], /standard input/],
      [['replay', capture, '-m', manifests, '-w', '-', '--summary', '-'], /standard output/],
      [['replay', capture, '-m', manifests, '--set', 'maglev.tableSize=7'], /tableSize/],
      [['replay', capture, '-m', manifests, '--node', 'n9'], /n9/],
      [['replay', capture, '-m', manifests, '--topology', topology, '--node', 'n2'], /topology\.yaml:1:7: .*n1 is not/],
      [
        ['replay', capture, '-m', manifests, '--topology', wrong],
        /wrong\.yaml:2:3: .*unknown key[^]*wrong\.yaml:3:12: /,
      ],
      [['replay', capture, '-m', manifests, '--topology', nobody], /nobody\.yaml:1:1: node: required, .* 2 nodes/],
      [['replay', capture, '-m', manifests, '--topology', join(folder, 'none.yaml')], /none\.yaml: no such file/],
      [['replay', capture, '--topology', topology], /name the manifests/],
      [['replay', capture, '-m', manifests, '--topology', topology, '-w', topology], /one of the inputs/],
      [['replay', capture, '-m', '-', '--topology', '-'], /standard input/],
      [['explain', '-m', manifests, '--topology', topology, '--from', 'pod:x/a', '--to', 'pod:x/d'], /name a capture/],
      [['explain', capture, '--packet', '99', '-m', manifests], /--packet 99: .* has 3 packets/],
      [['explain', capture, '--packet', '0', '-m', manifests], /counted from 1/],
      [['maglev', 'table', '--backend', 'nonsense'], /backend nonsense/],
      [['maglev', 'table', '--backend', '10.0.0.1:80', '--size', '7'], /tableSize/],
      [['nonsense'], /unknown command/],
    ];
    for (const [args, message] of cases) {
      const run = await weir(args);
      assert.equal(run.code, 2, `${args.join(' ')}\n${run.stderr}`);
      assert.match(run.stderr, message);
      assert.doesNotMatch(run.stderr, /\n\s+at .*:\d+:\d+/);
    }
  });
  it('prints the whole packets before damage', async (t) => {
    const folder = scratchFolder(t);
    const { manifests } = lab(folder);
    const cut = join(folder, 'cut.pcapng');
    writeFileSync(cut, CAPTURE.subarray(0, CAPTURE.length - 5));
    const run = await weir(['replay', cut, '-m', manifests, '-o', 'json']);
    assert.equal(run.code, 2);
    assert.equal(run.stdout.trimEnd().split('\n').length, 2);
    assert.match(run.stderr, /weir: .*cut\.pcapng: offset \d+: the file ends within/);
  });
});

describe('--topology', () => {
  const native = ['--set', 'routingMode=native', '--at', 'any'];
  it('sends what is for another node’s pod to its neighbour, and leaves the policy there to that node', async (t) => {
    const folder = scratchFolder(t);
    const { capture, manifests } = lab(folder);
    const topology = topologyFile(folder);
    const run = await weir(['replay', capture, '-m', manifests, '--topology', topology, ...native, '-o', 'json']);
    assert.equal(run.code, 0, run.stderr);
    const records = run.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      records.map(({ verdict, hook, path }) => [verdict, hook, path.length]),
      [
        ['FORWARDED', 'from-container', 1],
        ['DROPPED', 'from-container', 1],
        // Between two pods of another node, seen from here: nobody's business.
        ['FORWARDED', 'xdp', 2],
      ],
    );
    const explained = await weir([
      'explain',
      capture,
      '--packet',
      '1',
      '-m',
      manifests,
      '--topology',
      topology,
      ...native,
    ]);
    assert.equal(explained.code, 0, explained.stderr);
    assert.match(
      explained.stdout,
      /a route to 10\.0\.2\.1: by 192\.168\.0\.2 at interface 2\n +forward +the station of 192\.168\.0\.2 at interface 2 is 02:00:00:00:00:02\n +forward +redirected/,
    );
    const tunnel = await weir([
      'explain',
      capture,
      '--packet',
      '1',
      '-m',
      manifests,
      '--topology',
      topology,
      '--at',
      'any',
    ]);
    assert.match(
      tunnel.stdout,
      /into the overlay: a packet of 110 bytes from 192\.168\.0\.1 to 192\.168\.0\.2, identity \d+, redirected to another interface/,
    );
  });
  it('without one the way goes on to the pod, whatever --node says', async (t) => {
    const { capture, manifests } = lab(scratchFolder(t));
    for (const node of [[], ['--node', 'n1']]) {
      const run = await weir(['explain', capture, '--packet', '1', '-m', manifests, ...node, ...native]);
      assert.match(run.stdout, /\nto-container\n/);
      assert.doesNotMatch(run.stdout, /192\.168\.0\.2/);
    }
  });
});

describe('weir explain', () => {
  it('tells one packet’s way and quotes the rule', async (t) => {
    const { capture, manifests } = lab(scratchFolder(t));
    const run = await weir(['explain', capture, '--packet', '2', '-m', manifests, '--at', 'any']);
    assert.equal(run.code, 0, run.stderr);
    assert.match(run.stdout, /^packet 2 of /);
    assert.match(run.stdout, /\nfrom-container\n {2}parse {6}TCP from 10\.0\.1\.3:2 to 10\.0\.2\.1:8080, SYN\n/);
    assert.match(
      run.stdout,
      /\nDROPPED at from-container: Policy denied \(133\)\n {2}by NetworkPolicy x\/mute egress .*world\.yaml:(\d+)\n +\1 \| apiVersion/,
    );
  });
});

describe('source NAT', () => {
  it('explain tells its steps, --dump-maps keeps the translations, bpf nat list prints them', async (t) => {
    const folder = scratchFolder(t);
    const { manifests } = lab(folder);
    const capture = join(folder, 'out.pcapng');
    // A pod to the outside, the same packet in its node's name, and the answer.
    const answer = { protocol: 'tcp', source: '203.0.113.7', destination: '192.168.0.1' } as const;
    writeFileSync(
      capture,
      captureOf([
        { ...syn('10.0.1.1', '203.0.113.7', 40000, 443), on: 'lxc' },
        { ...syn('192.168.0.1', '203.0.113.7', 50123, 443), on: 'eth0' },
        { frame: frame({ ...answer, sourcePort: 443, destinationPort: 50123, flags: 'SA' }), on: 'eth0' },
      ]),
    );
    const world = ['-m', manifests, '--at', 'any', '--set', 'bpf.masquerade=true'];
    const first = await weir(['explain', capture, '--packet', '1', ...world]);
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout, /\nto-netdev\n/);
    assert.match(first.stdout, / a translation is made in weir_nat4: port 40000, found at attempt 1\n/);
    assert.match(first.stdout, / source NAT: 10\.0\.1\.1:40000 becomes 192\.168\.0\.1:40000\n/);
    const third = await weir(['explain', capture, '--packet', '3', ...world]);
    assert.match(
      third.stdout,
      / source NAT of an answer: destination 192\.168\.0\.1:50123 becomes 10\.0\.1\.1:40000\n/,
    );
    const dump = join(folder, 'maps');
    const summary = join(folder, 's.json');
    const run = await weir(['replay', capture, ...world, '-o', 'none', '--dump-maps', dump, '--summary', summary]);
    assert.equal(run.code, 0, run.stderr);
    const facts = JSON.parse(readFileSync(summary, 'utf8'));
    assert.equal(facts.portsAdopted, 1);
    assert.deepEqual([facts.verdicts.FORWARDED, facts.verdicts.OBSERVED], [2, 1]);
    const list = await weir(['bpf', 'nat', 'list', '--maps', dump]);
    assert.equal(list.code, 0, list.stderr);
    assert.deepEqual(
      list.stdout
        .trim()
        .split('\n')
        .map((line) => line.replace(/ Created=.*/, '')),
      [
        'TCP IN 203.0.113.7:443 -> 192.168.0.1:50123 XLATE_DST 10.0.1.1:40000',
        'TCP OUT 10.0.1.1:40000 -> 203.0.113.7:443 XLATE_SRC 192.168.0.1:50123',
      ],
    );
  });
});

describe('weir maglev, version, completion', () => {
  it('prints Cilium’s table', async () => {
    const run = await weir([
      'maglev',
      'table',
      '--backend',
      '10.0.0.1:80/TCP',
      '--backend',
      '10.0.0.2:80/TCP=2',
      '--size',
      '251',
      '-o',
      'json',
    ]);
    const { size, table } = JSON.parse(run.stdout);
    assert.equal(size, 251);
    assert.equal(table.length, 251);
    assert.deepEqual([...new Set(table)].sort(), [0, 1]);
  });
  it('tells how many slots move', async () => {
    const run = await weir([
      'maglev',
      'diff',
      '--before',
      '10.0.0.1:80/TCP,10.0.0.2:80/TCP',
      '--after',
      '10.0.0.2:80/TCP,10.0.0.1:80/TCP',
      '--size',
      '251',
      '-o',
      'json',
    ]);
    assert.deepEqual(JSON.parse(run.stdout), { size: 251, moved: 0, share: 0, unavoidable: 0, suggestedSize: 251 });
    const all = await weir([
      'maglev',
      'diff',
      '--before',
      '10.0.0.1:80',
      '--after',
      '10.0.0.2:80',
      '--size',
      '251',
      '-o',
      'json',
    ]);
    assert.deepEqual(JSON.parse(all.stdout), { size: 251, moved: 251, share: 1, unavoidable: 1, suggestedSize: 251 });
  });
  it('looks one client up', async () => {
    const run = await weir([
      'maglev',
      'lookup',
      '--backend',
      '10.0.0.1:80',
      '--backend',
      '10.0.0.2:80',
      '--source',
      '1.1.1.1:30000',
      '--port',
      '80',
      '-o',
      'json',
    ]);
    const { slot, index, backend } = JSON.parse(run.stdout);
    assert.ok(slot >= 0 && slot < 16381);
    assert.equal(backend, ['10.0.0.1:80', '10.0.0.2:80'][index]);
  });
  it('prints a version and completions that name the commands', async () => {
    const version = await weir(['version', '-o', 'json']);
    assert.equal(
      JSON.parse(version.stdout).version,
      JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version,
    );
    for (const shell of ['bash', 'zsh', 'fish']) {
      const run = await weir(['completion', shell]);
      assert.equal(run.code, 0);
      for (const word of ['replay', 'maglev', 'expect-count']) assert.ok(run.stdout.includes(word), `${shell} ${word}`);
    }
  });
});

describe('public captures', () => {
  const folder = CAPTURES;
  const skip = existsSync(folder) ? false : `no captures in ${folder} (WEIR_CAPTURES names another folder)`;
  it('replay to one line a packet, twice the same', { skip }, async () => {
    const all =
      skip === false
        ? readdirSync(folder, { recursive: true })
            .map(String)
            .filter((file) => /\.(pcap|pcapng|cap)$/.test(file))
            .sort()
        : [];
    const sample = all.filter((_, i) => i % 40 === 0).map((file) => join(folder, file));
    assert.ok(sample.length > 10);
    const run = (): ReturnType<typeof weir> =>
      weir(['replay', ...sample, '-m', 'fixtures/demo/manifests', '-o', 'json']);
    const first = await run();
    assert.ok(first.code === 0 || first.code === 2, first.stderr);
    const lines = first.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const packets = Number(/^([\d ]+) packets/m.exec(first.stderr)![1]!.replace(/ /g, ''));
    assert.equal(lines.length, packets);
    const numbers = new Map<string, number>();
    for (const { capture, number } of lines) {
      assert.equal(number, (numbers.get(capture) ?? 0) + 1);
      numbers.set(capture, number);
    }
    assert.equal((await run()).stdout, first.stdout);
  });
});
