// The parts of the policy compiler by themselves: port prefixes, shapes, regions, the ladder's precedences, number allocators,
// the label index. Each case is worked out by hand.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LabelSet, reservedLabel } from '../../../src/control/labels.ts';
import { Ladder, type Layer, precedenceOf, priorityOf, type Rung } from '../../../src/control/policy/ladder.ts';
import { portPrefixes, shapeOfWord, shapeWord } from '../../../src/control/policy/ports.ts';
import { holdsShape, intersect, type Region } from '../../../src/control/policy/region.ts';
import { compareRules, type PolicyRule } from '../../../src/control/policy/rule.ts';
import { labelEquals, LabelIndex, placeIn, selectorOf } from '../../../src/control/selector.ts';
import { HashedIds, StickyIds } from '../../../src/control/sticky-ids.ts';

const ANY = shapeWord('ingress', 0, 0, 17);
const TCP = shapeWord('ingress', 6, 0, 0);
const TCP80 = shapeWord('ingress', 6, 80, 16);
const UDP80 = shapeWord('ingress', 17, 80, 16);
/** 80..81. */
const TCP80_81 = shapeWord('ingress', 6, 80, 15);

test('port ranges become the fewest prefixes', () => {
  assert.deepEqual(portPrefixes(0, 65535), [{ port: 0, bits: 0 }]);
  assert.deepEqual(portPrefixes(80, 80), [{ port: 80, bits: 16 }]);
  assert.deepEqual(portPrefixes(79, 82), [
    { port: 79, bits: 16 },
    { port: 80, bits: 15 },
    { port: 82, bits: 16 },
  ]);
  assert.deepEqual(
    portPrefixes(1, 65535)
      .map(({ bits }) => bits)
      .reverse(),
    Array.from({ length: 16 }, (_, i) => i + 1),
  );
  assert.equal(portPrefixes(1, 65534).length, 30);
});

test('a shape word is what both engines load: port in network order, protocol, shape and direction', () => {
  assert.equal(TCP80, 0x10065000);
  assert.equal(shapeWord('egress', 17, 0x1234, 16), 0x90113412);
  assert.equal(shapeOfWord(shapeWord('egress', 6, 0, 3)), 3);
});

test('a shape holds another of its direction and protocol with a longer prefix; any protocol holds all', () => {
  const holds = (outer: number, inner: number): boolean => holdsShape(outer, inner);
  assert.ok(holds(ANY, TCP80) && holds(TCP, TCP80) && holds(TCP80_81, TCP80) && holds(TCP80, TCP80) && holds(ANY, ANY));
  assert.ok(!holds(TCP80, TCP80_81) && !holds(TCP80, TCP) && !holds(TCP80, ANY) && !holds(TCP, ANY));
  assert.ok(!holds(TCP80_81, UDP80) && !holds(TCP, UDP80));
  assert.ok(!holds(TCP80_81, shapeWord('ingress', 6, 82, 16)));
  assert.ok(holds(TCP80_81, shapeWord('ingress', 6, 81, 16)));
  assert.ok(!holds(ANY, shapeWord('egress', 6, 80, 16)));
  assert.ok(!holds(shapeWord('ingress', 6, 0x0050, 16), shapeWord('ingress', 6, 0x5000, 16)));
});

test('regions meet where identities and shapes nest', () => {
  const region = (identities: number[], ...shapes: number[]): Region => [{ identities, shapes }];
  assert.deepEqual(intersect(region([300, 400], ANY), region([0], TCP80)), region([300, 400], TCP80));
  assert.deepEqual(intersect(region([11], TCP), region([1, 300, 0x1000001], TCP80)), region([300], TCP80));
  assert.deepEqual(intersect(region([13], ANY), region([0x1000001], ANY)), region([0x1000001], ANY));
  assert.deepEqual(intersect(region([0], TCP80), region([11, 1], TCP80_81)), region([1, 11], TCP80));
  assert.deepEqual(intersect(region([300], ANY), region([400], ANY)), []);
  assert.deepEqual(intersect(region([300], TCP80), region([300], UDP80)), []);
  const parts: Region = [...region([300], TCP80), ...region([400], UDP80)];
  assert.deepEqual(intersect(parts, region([400], ANY)), region([400], UDP80));
});

const layer = (identities: number[], verdict: Layer['verdict'], rule: number, audited = false): Layer => ({
  region: [{ identities, shapes: [ANY] }],
  verdict,
  rules: [rule],
  audited,
});
const rung = (priority: number, next: number, layers: Layer[], implicit = false): Rung => ({
  layers,
  priority,
  next,
  implicit,
});

/** `identities verdict rules`, the highest precedence first; verdict: the byte, with `a` where the denial is only shown. */
function ladder(rungs: readonly Rung[]): { said: string[]; fits: boolean } {
  const placed: { precedence: number; text: string }[] = [];
  const fits = new Ladder(rungs, (region, precedence, rules, flags) => {
    const who = region.map(({ identities }) => identities.join('+')).join(' ');
    placed.push({ precedence, text: `${who} ${precedence & 0xff}${flags === 0 ? '' : 'a'} ${rules.join()}` });
  }).build();
  return { said: placed.sort((a, b) => b.precedence - a.precedence).map(({ text }) => text), fits };
}

const END = rung(priorityOf('default'), 0, [layer([0], 'allow', 99)]);

test('rungs above one another have precedences above one another; layers of one rung differ by their verdict', () => {
  const first = rung(priorityOf('admin', 3), 2, [layer([300], 'allow', 1)]);
  const second = rung(priorityOf('admin', 3), 2, [layer([0], 'deny', 2)]);
  const normal = rung(priorityOf('normal'), 0, [
    layer([400], 'allow', 3),
    layer([400], 'deny', 4),
    layer([400], 'redirect', 5),
  ]);
  assert.deepEqual(ladder([first, second, normal, END]), {
    said: ['300 1 1', '0 255 2', '400 255 4', '400 128 5', '400 1 3', '0 1 99'],
    fits: true,
  });
  assert.ok(precedenceOf(priorityOf('admin', 1000), 1) > precedenceOf(priorityOf('normal'), 255));
  assert.ok(precedenceOf(priorityOf('normal'), 1) > precedenceOf(priorityOf('baseline', 0), 255));
  assert.ok(precedenceOf(priorityOf('baseline', 1000), 1) > precedenceOf(priorityOf('default'), 255));
  assert.equal(precedenceOf(priorityOf('default'), 1) >>> 0, precedenceOf(priorityOf('default'), 1));
  assert.equal(priorityOf('admin', 2) - priorityOf('admin', 1), 4096);
  assert.equal(priorityOf('baseline', 2) - priorityOf('baseline', 1), 256);
});

test('a pass places the next tier again within what it covers; one that nothing follows places nothing', () => {
  const pass = rung(priorityOf('admin', 1), 2, [layer([11], 'pass', 1)]);
  const deny = rung(priorityOf('admin', 2), 2, [layer([0], 'deny', 2)]);
  const normal = rung(priorityOf('normal'), 0, [layer([300], 'allow', 3)]);
  assert.deepEqual(ladder([pass, deny, normal, END]).said, ['300 1 3', '11 1 99', '0 255 2', '300 1 3', '0 1 99']);
  const shut = rung(priorityOf('normal'), 0, [layer([0], 'deny', 4)], true);
  assert.deepEqual(ladder([pass, deny, normal, shut]).said, ['300 1 3', '11 255 4', '0 255 2', '300 1 3']);
  assert.deepEqual(ladder([rung(priorityOf('admin', 1), 1, [layer([11], 'pass', 1)]), normal, END]).said, [
    '300 1 3',
    '0 1 99',
  ]);
});

test('an audited denial is shown where the rest allows, and gives way where the rest denies', () => {
  const shown = rung(priorityOf('normal'), 0, [layer([0], 'deny', 1, true)]);
  const allow = rung(priorityOf('normal'), 0, [layer([300], 'allow', 2)]);
  const shut = rung(priorityOf('normal'), 0, [layer([0], 'deny', 3)], true);
  assert.deepEqual(ladder([shown, allow, END]).said, ['300 255a 1', '0 255a 1', '300 1 2', '0 1 99']);
  assert.deepEqual(ladder([shown, allow, shut]).said, ['300 255a 1', '0 255 3', '300 1 2']);
});

test('an audited pass: what a later rule of the tier allows is shown where the next tier denies', () => {
  const pass = rung(priorityOf('admin', 1), 2, [layer([300], 'pass', 1, true)]);
  const allow = rung(priorityOf('admin', 2), 2, [layer([0], 'allow', 2)]);
  const deny = rung(priorityOf('normal'), 0, [layer([0], 'deny', 3)]);
  // Of one identity only the highest entry speaks; those below it are what the walk goes on to say.
  const first = (rungs: readonly Rung[]): string | undefined =>
    ladder(rungs).said.find((text) => text.startsWith('300'));
  assert.equal(first([pass, allow, deny, END]), '300 255a 3');
  const refuse = rung(priorityOf('admin', 2), 2, [layer([0], 'deny', 4)]);
  assert.equal(first([pass, refuse, deny, END]), '300 255 4');
  assert.equal(first([pass, allow, END]), '300 1 2');
});

test('a walk goes down only, through what it is about, and past what neither reading waits for', () => {
  const at = (priority: number): number => priorityOf('admin', priority);
  const normal = (layers: Layer[]): Rung => rung(priorityOf('normal'), 0, layers);
  const shown = normal([layer([0], 'deny', 2, true)]);
  // Not again what stands above, nor what is about others, nor a second audited denial.
  assert.deepEqual(ladder([normal([layer([400], 'deny', 1)]), shown, normal([layer([300], 'allow', 3)]), END]).said, [
    '400 255 1',
    '300 255a 2',
    '0 255a 2',
    '300 1 3',
    '0 1 99',
  ]);
  const narrow = normal([layer([500], 'deny', 4, true)]);
  const others = normal([layer([500], 'deny', 4, true), layer([600], 'allow', 5)]);
  assert.deepEqual(ladder([normal([layer([300], 'deny', 2, true)]), others, END]).said, [
    '300 255a 2',
    '500 255a 4',
    '600 1 5',
    '0 1 99',
  ]);
  assert.deepEqual(ladder([shown, narrow, END]).said, ['0 255a 2', '500 255a 4', '0 1 99']);
  // One reading has settled, the other has passed the tier: nobody waits for the rest of the tier.
  const rungs = [
    rung(at(1), 3, [layer([300], 'pass', 1, true)]),
    rung(at(2), 3, [layer([300], 'allow', 2)]),
    rung(at(3), 3, [layer([0], 'deny', 3)]),
    normal([layer([0], 'deny', 4)]),
    END,
  ];
  const below = ['300 1 2', '0 255 3', '0 255 4', '0 1 99'];
  assert.deepEqual(ladder(rungs).said, ['300 255a 4', '300 1 2', '300 255 3', '300 255 4', '300 1 99', ...below]);
});

test('rules of an ordered tier: by priority, kind, name and place', () => {
  const rule = (priority: number, kind: string, name: string, position: number): PolicyRule =>
    ({ priority, ref: { kind, name }, position }) as PolicyRule;
  const ascending = [
    rule(1, 'B', 'b', 9),
    rule(2, 'A', 'b', 9),
    rule(2, 'B', 'a', 9),
    rule(2, 'B', 'b', 0),
    rule(2, 'B', 'b', 1),
    rule(10, 'A', 'a', 0),
  ];
  for (const [i, a] of ascending.entries()) {
    for (const [j, b] of ascending.entries())
      assert.equal(Math.sign(compareRules(a, b)), Math.sign(i - j), `${i} ${j}`);
  }
});

test('what a pass places again takes room, too: of its own priority, not of the last', () => {
  const pass = rung(priorityOf('baseline', 1), 2, [layer([0], 'pass', 1)]);
  const followers = (count: number, priority: number): Rung[] =>
    Array.from({ length: count }, (_, i) => rung(priorityOf('baseline', priority), 0, [layer([300 + i], 'deny', i)]));
  const rungs = (second: number, third: number): Rung[] => [pass, ...followers(second, 2), ...followers(third, 3)];
  assert.equal(ladder(rungs(100, 100)).fits, true);
  assert.equal(ladder(rungs(150, 150)).fits, false);
});

test('more rules than a priority has room for do not fit', () => {
  const many = Array.from({ length: 257 }, (_, i) =>
    rung(priorityOf('baseline', 1), 257, [layer([300 + i], 'deny', i)]),
  );
  assert.equal(ladder([...many.slice(0, 256), rung(priorityOf('baseline', 2), 0, [layer([0], 'deny', 0)])]).fits, true);
  assert.equal(ladder([...many, rung(priorityOf('baseline', 2), 0, [layer([0], 'deny', 0)])]).fits, false);
});

test('one name more or less: the numbers that all names together would have', () => {
  for (const make of [(): StickyIds => new StickyIds(10, 13), (): HashedIds => new HashedIds(10, 13)]) {
    const one = make();
    const all = make();
    const assign = (names: string[]): ReadonlyMap<string, number> =>
      all instanceof StickyIds ? all.assign(names).ids : all.assign(names, new Map()).ids;
    const claimed = ['a', 'b', 'c'].map((name) => one.claim(name));
    assert.deepEqual(
      claimed,
      [...['a'], 'b', 'c'].map((name, i) => assign(['a', 'b', 'c'].slice(0, i + 1)).get(name)),
    );
    assert.equal(one.claim('b'), claimed[1]);
    one.release('b');
    assert.notEqual(one.claim('d'), claimed[1]);
    assert.equal(assign(['a', 'c', 'd']).get('d'), one.claim('d'));
    one.claim('e');
    assert.equal(one.claim('f'), undefined);
    one.release('a');
    assert.equal(one.claim('g'), claimed[0]);
  }
});

test('the label index with sets that come in any order and go', () => {
  const index = new LabelIndex();
  const set = (app: string): LabelSet => new LabelSet([{ source: 'k8s', key: 'app', value: app }, reservedLabel('x')]);
  for (const id of [5, 1, 9, 3]) index.add(id, set(id < 4 ? 'web' : 'db'));
  const web = selectorOf([labelEquals('k8s', 'app', 'web')]);
  assert.deepEqual(index.select(web), [1, 3]);
  assert.deepEqual(index.select(selectorOf([])), [1, 3, 5, 9]);
  index.remove(3);
  index.remove(77);
  assert.deepEqual(index.select(web), [1]);
  index.add(2, set('web'));
  assert.deepEqual(index.select(selectorOf([labelEquals('any', 'app', 'web')])), [1, 2]);
  assert.deepEqual(
    [0, 1, 4, 9, 10].map((wanted) => placeIn([1, 4, 9], wanted)),
    [0, 0, 1, 2, 3],
  );
});
