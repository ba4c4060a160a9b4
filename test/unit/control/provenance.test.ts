// The table of rules and cookies while both come and go: what is out of use is forgotten, after a while, and no number comes back.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Provenance, type RuleRef } from '../../../src/control/provenance.ts';

const rule = (name: string, kind = 'NetworkPolicy'): RuleRef => ({ kind, name, rule: 'ingress', file: 'f', line: 1 });
const namesOf = (table: Provenance, cookie: number): string[] => table.rulesOf(cookie).map(({ name }) => name);

describe('what is out of use', () => {
  test('the youngest cookies stay, and what is used', () => {
    const table = new Provenance(2);
    const cookies = ['a', 'b', 'c', 'd', 'e'].map((name) => table.cookieOf([table.register(rule(name))]));
    table.register(rule('alone'));
    table.register(rule('own', 'builtin'));
    table.tidy({ cookies: [cookies[1]!, 0], rules: [rule('a')] });
    assert.deepEqual(
      cookies.map((cookie) => namesOf(table, cookie)),
      [[], ['b'], [], ['d'], ['e']],
    );
    // `a` is a policy's that nobody is selected by.
    assert.deepEqual(
      table.toJSON().rules.map(({ name }) => name),
      ['a', 'b', 'd', 'e', 'own'],
    );
  });

  test('numbers do not come back', () => {
    const table = new Provenance(0);
    const first = table.register(rule('a'));
    const cookie = table.cookieOf([first]);
    table.tidy({ cookies: [], rules: [] });
    const again = table.register(rule('a'));
    assert.ok(again > first);
    assert.ok(table.cookieOf([again]) > cookie);
    assert.deepEqual(namesOf(table, cookie), []);
  });

  test('tables that are tidied when they ask for it stay small, however much comes', () => {
    const table = new Provenance(16);
    const kept = table.cookieOf([table.register(rule('kept'))]);
    let tidied = 0;
    for (let i = 0; i < 10_000; i++) {
      table.cookieOf([table.register(rule(`r${i}`)), 1]);
      if (!table.isFull) continue;
      tidied++;
      table.tidy({ cookies: [kept], rules: [] });
    }
    const { rules, cookies } = table.toJSON();
    assert.ok(rules.length + cookies.length < 150, `${rules.length} rules, ${cookies.length} cookies`);
    assert.ok(tidied > 100 && tidied < 1000, `tidied ${tidied} times`);
    assert.deepEqual(namesOf(table, kept), ['kept']);
  });

  test('a table that was persisted goes on', () => {
    const table = new Provenance(1);
    for (const name of ['a', 'b', 'c']) table.cookieOf([table.register(rule(name))]);
    table.tidy({ cookies: [], rules: [] });
    const again = Provenance.from(table.toJSON());
    assert.equal(again.isFull, false);
    assert.equal(again.cookieOf([again.register(rule('d'))]), 4);
    assert.deepEqual(namesOf(again, 3), ['c']);
  });
});
