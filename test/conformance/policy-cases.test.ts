// Published truth tables of policies through the compiled maps: both gates of new connections. Skipped where the folder of
// cases is absent (WEIR_POLICY_CASES, by default the shared folder beside the repository).
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { caseFolders, readCase } from '../support/policy-cases.ts';
import { connectionVerdict } from '../support/policy-world.ts';
import { POLICY_CASES } from '../support/repository.ts';

const ROOT = POLICY_CASES;

const folders = caseFolders(ROOT);
if (folders.length === 0) {
  test('policy truth tables', { skip: `no cases in ${ROOT}` }, () => undefined);
}
for (const folder of folders) {
  test(`truth table ${folder}`, () => {
    const { compiled, probes } = readCase(join(ROOT, folder));
    assert.ok(probes.length > 0);
    const wrong = probes.filter((probe) => {
      const verdict = connectionVerdict(compiled, probe);
      const got = probe.side === 'combined' ? verdict.allowed : verdict[probe.side].verdict !== 'denied';
      return got !== probe.allowed;
    });
    assert.deepEqual(
      wrong.map(({ name, allowed }) => `${name}: should be ${allowed ? 'allowed' : 'denied'}`),
      [],
    );
  });
}
