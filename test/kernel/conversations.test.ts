// Connections through a ClusterIP that go on for long, in the simulator and in the kernel: opened, answered, going on while
// endpoints, policies, backends and time change, closed, opened anew. They are what the quick way of from-container is made
// for, and random packets are seldom part of one. Invariant: no difference, and the quick way was gone often enough.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { kernelUnavailable } from '../../src/dataplane/xdp/index.ts';
import { ACTION, CT_STATUS, decisionRecord, HOOK, RECORD_FLAG } from '../../src/schema/index.ts';
import { Conversation } from '../support/differential/conversation.ts';
import { engineB, simulator } from '../support/differential/engines.ts';
import { Pair } from '../support/differential/pair.ts';
import { Random } from '../support/differential/random.ts';
import { ends, parsed } from '../support/differential/replies.ts';
import type { Step } from '../support/differential/step.ts';
import { SPAN } from '../support/differential/traffic.ts';
import { skipFor } from './kernel.ts';

const skip = skipFor(kernelUnavailable());
const seed = Number(process.env['WEIR_SEED'] ?? 1);
const SEQUENCES = Number(process.env['WEIR_SEQUENCES'] ?? 400);
const STEPS = 64;
describe('long connections through a ClusterIP', { skip }, () => {
  test('the kernel and the simulator agree, on the quick way and off it', () => {
    const pair = new Pair(simulator(), engineB('xdp', process.env['WEIR_OBJECT'])(0xffffffff));
    const { flags, ctStatus } = decisionRecord.at;
    let quick = 0;
    try {
      for (let index = 0; index < SEQUENCES; index++) {
        const conversation = new Conversation(new Random(seed, 0xc0e, index));
        const steps: Step[] = [];
        let difference = pair.begin([], conversation.world(), index * SPAN);
        while (steps.length < STEPS && difference === undefined) {
          const step = conversation.next();
          steps.push(step);
          difference = pair.step(step, steps.length - 1);
          if ('writes' in step) continue;
          conversation.took(pair.outcome());
          const { record } = pair;
          const set = new DataView(record.buffer, record.byteOffset).getUint32(flags, true);
          const translated = (set & (RECORD_FLAG.DNAT | RECORD_FLAG.POLICY_LOOKED_UP)) === RECORD_FLAG.DNAT;
          if (translated && record[ctStatus] === CT_STATUS.ESTABLISHED) quick++;
        }
        difference ??= pair.end();
        assert.equal(difference, undefined, `seed ${seed}, sequence ${index}: ${JSON.stringify(difference)}`);
      }
    } finally {
      pair.close();
    }
    assert.ok(quick > SEQUENCES * 5, `${quick} packets of established connections`);
  });

  test('within one second: another backend, a connection begun anew', () => {
    const pair = new Pair(simulator(), engineB('xdp', process.env['WEIR_OBJECT'])(0xffffffff));
    let turned = 0;
    try {
      for (let index = 0; index < 24; index++) {
        const conversation = new Conversation(new Random(seed, 0x7a2, index));
        let difference = pair.begin([], conversation.world(), index * SPAN);
        let number = 0;
        for (let port = 1024; port < 1033 && difference === undefined; port++) {
          const backends = new Set<string>();
          for (const step of conversation.turning(port)) {
            difference = pair.step(step, number++);
            if (difference !== undefined) break;
            if ('writes' in step) continue;
            const outcome = pair.outcome();
            const { action, bytes } = outcome;
            conversation.took(outcome);
            if (step.hook === HOOK.FROM_CONTAINER && action !== ACTION.DROP)
              backends.add(String(ends(bytes, parsed(bytes)!)[1]));
          }
          if (backends.size > 1) turned++;
        }
        difference ??= pair.end();
        assert.equal(difference, undefined, `seed ${seed}, sequence ${index}: ${JSON.stringify(difference)}`);
      }
    } finally {
      pair.close();
    }
    assert.ok(turned > 24, `${turned} connections were given another backend`);
  });

  test('an entry that is past its lifetime as soon as it is refreshed', () => {
    const pair = new Pair(simulator(), engineB('xdp', process.env['WEIR_OBJECT'])(0xffffffff));
    const names = ['ctTcpLifetime', 'ctServiceTcpLifetime', 'ctCloseLifetime'] as const;
    try {
      for (let index = 0; index < 36; index++) {
        const lifetimes = { [names[index % 3]!]: index % 4 < 2 ? 0x80000000 : 0xffffffff };
        const conversation = new Conversation(new Random(seed, 0x3e1, index), lifetimes);
        let difference = pair.begin([], conversation.world(), index * SPAN);
        let number = 0;
        for (let port = 1024; port < 1028; port++) {
          for (const step of conversation.ending(port)) {
            difference ??= pair.step(step, number++);
            if ('writes' in step) continue;
            conversation.took(pair.outcome());
          }
        }
        difference ??= pair.end();
        assert.equal(difference, undefined, `${JSON.stringify(lifetimes)}, ${index}: ${JSON.stringify(difference)}`);
      }
    } finally {
      pair.close();
    }
  });
});
