// Colour choice, backends on the command line, the command tree. Expected values follow no-color.org and the option texts.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CommandFailure, messageOf } from '../../../src/cli/failure.ts';
import { parseBackend } from '../../../src/cli/maglev-command.ts';
import { makeProgram } from '../../../src/cli/program.ts';
import { wholeNumber } from '../../../src/cli/shared-options.ts';
import { wantsColour } from '../../../src/cli/terminal.ts';

describe('colour', () => {
  const table = [
    ['auto', true, {}, true],
    ['auto', false, {}, false],
    ['auto', true, { NO_COLOR: '1' }, false],
    ['auto', true, { NO_COLOR: '' }, true],
    ['auto', true, { TERM: 'dumb' }, false],
    ['always', false, { NO_COLOR: '1' }, true],
    ['never', true, {}, false],
  ] as const;
  for (const [choice, isTTY, env, wanted] of table) {
    it(`${choice}, ${isTTY ? 'terminal' : 'pipe'}, ${JSON.stringify(env)}`, () =>
      assert.equal(wantsColour(choice, { isTTY }, env), wanted));
  }
});

describe('backends', () => {
  it('are read with protocol, weight and IPv6', () => {
    assert.deepEqual(parseBackend('10.0.0.1:80', 0), { id: 0, address: '10.0.0.1', port: 80, protocol: 'TCP' });
    assert.deepEqual(parseBackend('10.0.0.1:80/udp=3', 1), {
      id: 1,
      address: '10.0.0.1',
      port: 80,
      protocol: 'UDP',
      weight: 3,
    });
    assert.deepEqual(parseBackend('[2001:DB8::1]:443/TCP', 2), {
      id: 2,
      address: '2001:db8::1',
      port: 443,
      protocol: 'TCP',
    });
  });
  it('that are none end in one line', () => {
    for (const text of [
      '',
      'x',
      '10.0.0.1',
      '10.0.0.1:0',
      '10.0.0.1:70000',
      '10.0.0.1:80/ICMP',
      '10.0.0.1:80=70000',
      '10.0.0.256:80',
      '2001:db8::1:80',
    ]) {
      assert.throws(
        () => parseBackend(text, 0),
        (error) => error instanceof CommandFailure && error.exitCode === 2 && !error.message.includes('\n'),
        text,
      );
    }
  });
});

describe('the command tree', () => {
  it('has what is built, each described', () => {
    const program = makeProgram(() => undefined);
    assert.deepEqual(
      program.commands.map((command) => command.name()),
      [
        'replay',
        'explain',
        'verdict',
        'reach',
        'diff',
        'lint',
        'maglev',
        'service',
        'bpf',
        'doctor',
        'version',
        'completion',
      ],
    );
    for (const command of program.commands) assert.notEqual(command.description(), '');
  });
});

describe('numbers and messages', () => {
  it('whole numbers only', () => {
    assert.equal(wholeNumber('12', '-n'), 12);
    for (const text of ['', '-1', '1.5', '1e3', 'x', '9'.repeat(20)])
      assert.throws(() => wholeNumber(text, '-n'), CommandFailure);
  });
  it('messages are one line', () => assert.equal(messageOf(new Error('a\n  b')), 'a b'));
});
