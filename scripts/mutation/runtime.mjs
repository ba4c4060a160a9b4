// What the text of mutants calls at run time (see mutants.mjs): each place asks here which of its forms is wanted. In: the number of
// the mutant that is on, 0 for none. Out: values, and which mutants could have made a difference since `begin`: one whose
// value was never another than the original's cannot be noticed. Invariant: operands are evaluated once, in their order.
let mutant = 0;
let differed = new Uint8Array(0);
let steps = 0;
let limit = Infinity;
let last;

/** Turns a mutant on (0: none), and forgets what differed. More than `most` steps throw: a loop without end. */
export function begin(number, most = Infinity) {
  mutant = number;
  differed.fill(0);
  steps = 0;
  limit = most;
}
/** For mutants 1..`count`. */
export function provide(count) {
  differed = new Uint8Array(count + 1);
}
/** The numbers of mutants that would have given another value since `begin`. */
export function found() {
  const numbers = [];
  for (let i = 1; i < differed.length; i++) if (differed[i] !== 0) numbers.push(i);
  return numbers;
}
/** Steps since `begin`, and whether they passed the limit. */
export const taken = () => steps;
export const endless = () => steps > limit;

function step() {
  if (++steps > limit) throw new Error('no end');
}
function pick(id, original, other) {
  step();
  if (other !== original) differed[id] = 1;
  return mutant === id ? other : original;
}
function pick2(id, original, one, two) {
  step();
  if (one !== original) differed[id] = 1;
  if (two !== original) differed[id + 1] = 1;
  return mutant === id ? one : mutant === id + 1 ? two : original;
}

const operators = {
  /** Whether the mutant is on, where any difference shows. */
  __on(id) {
    step();
    differed[id] = 1;
    return mutant === id;
  },
  /** A condition: `id` makes it true, `id + 1` false. */
  __if(id, condition) {
    step();
    differed[condition ? id + 1 : id] = 1;
    return mutant === id ? true : mutant === id + 1 ? false : condition;
  },
  /** The left side of && (mutant ||), || (&&), ?? (&&): whether the right one is asked; else `__last()` is the value. */
  __and(id, left) {
    step();
    differed[id] = 1;
    last = left;
    return mutant === id ? !left : left;
  },
  __or(id, left) {
    step();
    differed[id] = 1;
    last = left;
    return mutant === id ? left : !left;
  },
  __nullish(id, left) {
    step();
    differed[id] = 1;
    last = left;
    return mutant === id ? left : left === undefined || left === null;
  },
  __last: () => last,
  /** The target of ?. (mutant: .). */
  __target(id, target) {
    step();
    if (target === undefined || target === null) {
      differed[id] = 1;
      if (mutant === id) throw new TypeError('no such property of nothing');
    }
    return target;
  },
  __not: (id, value) => pick(id, !value, value),
  __minus: (id, value) => pick(id, -value, value),
  __tilde: (id, value) => pick(id, ~value, value),
  __add: (id, a, b) => pick(id, a + b, a - b),
  __subtract: (id, a, b) => pick(id, a - b, a + b),
  __multiply: (id, a, b) => pick(id, a * b, a / b),
  __divide: (id, a, b) => pick(id, a / b, a * b),
  __remainder: (id, a, b) => pick(id, a % b, a * b),
  __less: (id, a, b) => pick2(id, a < b, a <= b, a >= b),
  __most: (id, a, b) => pick2(id, a <= b, a < b, a > b),
  __more: (id, a, b) => pick2(id, a > b, a >= b, a <= b),
  __least: (id, a, b) => pick2(id, a >= b, a > b, a < b),
  __same: (id, a, b) => pick(id, a === b, a !== b),
  __other: (id, a, b) => pick(id, a !== b, a === b),
  __both: (id, a, b) => pick(id, a & b, a | b),
  __either: (id, a, b) => pick(id, a | b, a & b),
  __xor: (id, a, b) => pick(id, a ^ b, a & b),
  __left: (id, a, b) => pick(id, a << b, a >> b),
  __right: (id, a, b) => pick(id, a >> b, a << b),
  __unsigned: (id, a, b) => pick(id, a >>> b, a << b),
};
Object.assign(globalThis, operators);
