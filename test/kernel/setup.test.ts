// `npm run setup:kernel`: what it does as root, with an apt-get that only notes how it was called, in a mount namespace of its own
// where nothing is installed. Invariant: while packages are installed no server starts, and afterwards everything is as it was.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, beforeEach, describe, test } from 'node:test';
import { ROOT } from '../support/repository.ts';
import { commandMissing, skipFor } from './kernel.ts';

const skip =
  process.getuid?.() === 0 ? skipFor(commandMissing('unshare', 'mount', 'sh')) : skipFor({ feature: 'root' });

describe('setup:kernel', { skip }, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'weir-setup-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  beforeEach(() => {
    // What apt-get sees of the policy, a line a call.
    writeFileSync(
      join(folder, 'apt-get'),
      `#!/bin/sh
if [ -e /usr/sbin/policy-rc.d ]; then /usr/sbin/policy-rc.d; policy=$?; else policy=none; fi
echo "$1 $policy" >>"${folder}/calls"
[ "$1" != "\$(/bin/cat ${folder}/fails 2>/dev/null)" ]
`.replace('\\$', '$'),
    );
    chmodSync(join(folder, 'apt-get'), 0o755);
    for (const name of ['calls', 'fails']) rmSync(join(folder, name), { force: true });
  });

  /** Runs the script where /usr/sbin holds nothing but `policy`; what it left there is printed last. */
  const setup = (policy: string | undefined, ...args: readonly string[]) => {
    const script = [
      'set -e',
      'mount -t tmpfs none /usr/sbin',
      policy === undefined ? ':' : `printf '%s' '${policy}' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d`,
      `status=0; PATH="${folder}" "${process.execPath}" "${ROOT}/scripts/setup-kernel.mjs" ${args.join(' ')} || status=$?`,
      'echo "left: $(cat /usr/sbin/policy-rc.d 2>/dev/null || echo none)"',
      'exit $status',
    ].join('\n');
    return spawnSync('unshare', ['--mount', 'sh', '-c', script], { encoding: 'utf8' });
  };
  const calls = (): string[] => readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');

  test('servers that come with packages do not start meanwhile; then nothing stands in their way', () => {
    const { status, stdout, stderr } = setup(undefined, '--packages');
    assert.equal(status, 0, stderr);
    assert.deepEqual(calls(), ['update 101', 'install 101']);
    assert.match(stdout, /left: none/);
    assert.match(stdout, /libbpf-dev/);
  });

  test('also when apt-get fails, at either step', () => {
    for (const step of ['update', 'install']) {
      rmSync(join(folder, 'calls'), { force: true });
      writeFileSync(join(folder, 'fails'), step);
      const { status, stdout, stderr } = setup(undefined, '--packages');
      assert.equal(status, 2);
      assert.match(stderr, new RegExp(`apt-get ${step} failed`));
      assert.match(stdout, /left: none/);
      assert.equal(calls().at(-1), `${step} 101`);
    }
  });

  test('a policy that is there already decides, and stays', () => {
    const policy = '#!/bin/sh\nexit 104\n';
    const { status, stdout } = setup(policy, '--packages');
    assert.equal(status, 0);
    assert.deepEqual(calls(), ['update 104', 'install 104']);
    assert.ok(stdout.includes(`left: ${policy.trim()}`));
  });

  test('--dry-run says what it would do, and does nothing', () => {
    const { status, stdout } = setup(undefined, '--dry-run');
    assert.equal(status, 0);
    assert.match(stdout, /apt-get install -y/);
    assert.throws(calls, /ENOENT/);
    assert.match(stdout, /left: none/);
  });
});
