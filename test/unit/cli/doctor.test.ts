// What `weir doctor` makes of machines that lack something: one finding a fact, the command that mends it, no false comfort.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { examine, type Finding, isReady, type Machine } from '../../../src/cli/doctor-checks.ts';
import { textOf } from '../../../src/cli/doctor-command.ts';

const ALL_CAPABILITIES = '000001ffffffffff';
const files: Readonly<Record<string, string>> = {
  '/proc/mounts': 'proc /proc proc rw 0 0\nnone /sys/fs/bpf bpf rw 0 0\n',
  '/proc/self/status': `Name:\tnode\nCapEff:\t${ALL_CAPABILITIES}\n`,
  '/proc/sys/net/core/bpf_jit_enable': '1\n',
};
const machine = (change: Partial<Machine> = {}): Machine => ({
  platform: 'linux',
  release: '6.18.1-x',
  read: (path) => files[path],
  exists: () => true,
  has: () => true,
  library: () => '1.1.2',
  built: () => true,
  addonError: undefined,
  makesMap: () => 0,
  filters: '',
  ...change,
});
const withFile =
  (name: string, text: string | undefined) =>
  (path: string): string | undefined =>
    path === name ? text : files[path];
const named = (findings: readonly Finding[], name: string): Finding => findings.find((one) => one.name === name)!;
const notOk = (findings: readonly Finding[]): string[] =>
  findings.filter(({ standing }) => standing !== 'ok').map(({ name, standing }) => `${standing} ${name}`);

describe('doctor', () => {
  it('finds nothing where nothing is missing', () => {
    const findings = examine(machine());
    assert.deepEqual(notOk(findings), []);
    assert.ok(isReady(findings));
  });

  it('says one thing elsewhere than on Linux', () => {
    const findings = examine(machine({ platform: 'darwin' }));
    assert.equal(findings.length, 1);
    assert.ok(!isReady(findings));
    assert.match(textOf(findings, false, false), /simulator/);
  });

  it('names an old kernel, and one without tcx only as a note', () => {
    assert.deepEqual(notOk(examine(machine({ release: '5.4.0' }))), ['missing kernel', 'note tcx']);
    assert.deepEqual(notOk(examine(machine({ release: '6.5.13' }))), ['note tcx']);
    assert.deepEqual(notOk(examine(machine({ release: '5.15.0-9' }))), ['note tcx']);
    assert.deepEqual(notOk(examine(machine({ release: '5.10.0-9' }))), ['missing kernel', 'note tcx']);
  });

  it('reads effective capabilities, not the user’s name', () => {
    const status = (bits: bigint): string => `CapEff:\t${bits.toString(16).padStart(16, '0')}\n`;
    const judged = (bits: bigint): string[] =>
      notOk(examine(machine({ read: withFile('/proc/self/status', status(bits)) })));
    assert.deepEqual(judged(0n), ['missing privileges']);
    assert.deepEqual(judged((1n << 39n) | (1n << 38n)), ['missing privileges'], 'no CAP_NET_ADMIN');
    assert.deepEqual(judged((1n << 39n) | (1n << 38n) | (1n << 12n)), ['note privileges'], 'tables are not read back');
    assert.deepEqual(judged((1n << 39n) | (1n << 38n) | (1n << 21n) | (1n << 12n)), []);
    assert.deepEqual(judged((1n << 21n) | (1n << 12n)), [], 'CAP_SYS_ADMIN holds what CAP_BPF does');
    assert.deepEqual(notOk(examine(machine({ read: withFile('/proc/self/status', undefined) }))), [
      'missing privileges',
    ]);
  });

  it('takes a mount by its type, not by its name', () => {
    const read = withFile('/proc/mounts', 'bpf /sys/fs/bpf tmpfs rw 0 0\n');
    assert.deepEqual(notOk(examine(machine({ read }))), ['note BPF file system']);
  });

  it('misses tools only while they are needed', () => {
    const bare = { has: () => false, library: () => undefined };
    assert.ok(isReady(examine(machine(bare))), 'built already: notes');
    const findings = examine(machine({ ...bare, built: () => false, addonError: 'weir_bpf.node is not built' }));
    assert.ok(!isReady(findings));
    for (const name of ['clang', 'libbpf', 'addon', 'kernel programs']) {
      assert.equal(named(findings, name).standing, 'missing');
      assert.equal(named(findings, name).command, 'npm run setup:kernel');
    }
  });

  it('tells a map that the kernel refuses from one that it may not be asked for', () => {
    assert.deepEqual(notOk(examine(machine({ makesMap: ({ type }) => (type === 27 ? -22 : 0) }))), [
      'missing map: ring buffer',
    ]);
    assert.ok(!isReady(examine(machine({ makesMap: () => -1 }))), 'all capabilities, but of a user namespace');
    assert.ok(examine(machine({ makesMap: () => undefined })).every(({ name }) => !name.startsWith('map:')));
  });

  it('names filters that a killed process may have left, and how to take them off', () => {
    const filters = 'eth0 ingress 49152 1 77 weir_from_netde\nx;reboot egress 49151 1 78 weir_to_netdev\n';
    const findings = examine(machine({ filters })).filter(({ name }) => name === 'tc filter');
    assert.deepEqual(
      findings.map(({ standing, found, command }) => [standing, found, command]),
      [
        ['note', 'weir_from_netde on eth0, ingress', 'tc filter del dev eth0 ingress pref 49152 handle 1 bpf'],
        ['note', 'weir_to_netdev on x;reboot, egress', ''],
      ],
    );
    assert.ok(isReady(findings));
  });

  it('prints the command beneath what it mends, and nothing that a terminal would obey', () => {
    const findings = examine(machine({ addonError: 'lib\u001b[2Jbpf.so.1: not found' }));
    const text = textOf(findings, isReady(findings), false);
    assert.match(text, /MISSING addon[^\n]*\n +→ npm run setup:kernel\n/);
    assert.ok(!text.includes('\u001b'));
  });
});
