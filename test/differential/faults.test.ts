// The committed faults still apply: each names exactly one line of the kernel's programs as they are now.
// Input: native/bpf. Output: what does not fit. Whether each is detected is `npm run test:differential -- --faults`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../support/repository.ts';
import { FAULTS, lineText } from './faults.ts';

test('each fault names exactly one line', () => {
  assert.ok(FAULTS.length >= 30);
  for (const { file, before, after } of FAULTS) {
    const lines = readFileSync(join(ROOT, 'native/bpf', file), 'utf8').split('\n');
    const hits = lines.filter((line) => lineText(line) === before).length;
    assert.equal(hits, 1, `${file}: ${hits} lines say "${before}"`);
    assert.notEqual(before, after);
  }
});
