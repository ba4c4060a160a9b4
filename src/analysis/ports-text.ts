// Answers by protocol and port as words and as ranges. Input: plain functions. Output: `TCP 80, 8080-8089; UDP 53; ICMP`.
import { ANSWER, type PlainFunction, type PlainInterval, PROTOCOLS } from './side-functions.ts';

/** One contiguous range with one answer. */
export interface PortRange {
  readonly protocol: string;
  readonly first: number;
  readonly last: number;
  readonly answer: number;
}

/** `80`, `80-89`. */
export const rangeText = (first: number, last: number): string => (first === last ? String(first) : `${first}-${last}`);

/** Ranges that are let through (or may be), of the protocols that these families have. */
export function portRanges(ports: PlainFunction, families: number, denied = false): PortRange[] {
  return PROTOCOLS.flatMap(({ name, families: has }, i) =>
    (has & families) === 0
      ? []
      : ports[i]!.filter(({ answer }) => denied === (answer === ANSWER.DENIED)).map((range) => ({
          protocol: name,
          ...range,
        })),
  );
}

/**
 * What is let through, in words. `tunnelPort`: the overlay's UDP port, which no pod may send to; a hole of only this port
 * does not make "any" less than any.
 */
export function portsText(ports: PlainFunction, families: number, tunnelPort: number): string {
  const lists = PROTOCOLS.flatMap(({ name, families: has, last }, i) =>
    (has & families) === 0 ? [] : [{ name, last, list: withoutHole(ports[i]!, name === 'UDP' ? tunnelPort : -1) }],
  );
  const answers = [ANSWER.ALLOWED, ANSWER.REDIRECTED, ANSWER.AUDITED, ANSWER.UNKNOWN];
  const words = answers.flatMap((answer) => {
    const whole = lists.every(({ list, last }) => covers(list, answer, last));
    const text = whole
      ? 'any'
      : lists
          .flatMap(({ name, last, list }) => {
            const hits = list.filter((range) => range.answer === answer);
            if (hits.length === 0) return [];
            if (covers(list, answer, last)) return [name];
            const ranges = hits.map((range) => rangeText(range.first, range.last));
            return [`${name} ${name.startsWith('ICMP') ? 'type ' : ''}${ranges.join(',')}`];
          })
          .join('; ');
    return text === '' ? [] : [`${text}${SUFFIX[answer] ?? ''}`];
  });
  return words.length === 0 ? 'nothing' : words.join('; ');
}

const SUFFIX: Readonly<Record<number, string>> = {
  [ANSWER.REDIRECTED]: ' (through a proxy)',
  [ANSWER.AUDITED]: ' (audit mode)',
  [ANSWER.UNKNOWN]: ' (once resolved)',
};

const covers = (list: readonly PlainInterval[], answer: number, last: number): boolean =>
  list.length === 1 && list[0]!.answer === answer && list[0]!.last === last;

function withoutHole(list: readonly PlainInterval[], port: number): readonly PlainInterval[] {
  const at = list.findIndex(({ first, last }) => first === port && last === port);
  const before = list[at - 1];
  const after = list[at + 1];
  if (at < 1 || before === undefined || after === undefined || before.answer !== after.answer) return list;
  return [...list.slice(0, at - 1), { ...before, last: after.last }, ...list.slice(at + 2)];
}
