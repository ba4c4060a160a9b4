// What a way through the hooks is called, in records. Input: Outcome.path, actions. Output: names, cached by path.
import { ACTION, HOOK, HOOK_NAME } from '../schema/index.ts';

const PATHS = new Map<number, readonly string[]>();

/** Names of the hooks of an Outcome.path; undefined of none. */
export function pathNames(bits: number): readonly string[] | undefined {
  if (bits === 0) return undefined;
  let names = PATHS.get(bits);
  if (names === undefined) {
    const made: string[] = [];
    for (let rest = bits; rest !== 0; rest >>>= 4) made.push(HOOK_NAME[rest & 15]!);
    PATHS.set(bits, (names = made));
  }
  return names;
}

/** Hubble's observation point behind the last hook. */
export function pointOf(bits: number, action: number): string | undefined {
  if (bits === 0) return undefined;
  let last = bits;
  while (last > 15) last >>>= 4;
  if (action === ACTION.PROXY) return 'to-proxy';
  if (last === HOOK.TO_CONTAINER || action === ACTION.LOCAL) return 'to-endpoint';
  if (last === HOOK.TO_HOST || action === ACTION.HOST) return 'to-host';
  return action === ACTION.STACK && last !== HOOK.TO_NETDEV ? 'to-stack' : 'to-network';
}

/** Whether a hook is on a packet's way out. */
export const isEgress = (hook: number): boolean =>
  hook === HOOK.FROM_CONTAINER || hook === HOOK.FROM_HOST || hook === HOOK.TO_NETDEV;

/** The same as Hubble names it. */
export const directionOf = (hook: number): 'INGRESS' | 'EGRESS' => (isEgress(hook) ? 'EGRESS' : 'INGRESS');
