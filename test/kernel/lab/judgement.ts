// What the lab's tests share when they compare: both engines for one test, events without what cannot be equal.
// Input: a cluster; events of either engine. Output: plain values. Invariant: the engines of a test are closed behind it.
import type { TestContext } from 'node:test';
import { type Event, fillEngines } from './cluster.ts';
import type { Frame } from './frames.ts';

/** Milliseconds in which the last segments of a closed connection arrive. */
export const SETTLED = 50;

/** `count` port numbers from `first` on. */
export const ports = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

/** Who sent: address and port. */
export const senderOf = ({ source, sourcePort }: Frame | Event): string => `${source} ${sourcePort}`;

/** What both engines say of a packet: all but time and interface. */
export const comparable = ({ timeLow: _low, timeHigh: _high, ifindex: _ifindex, ...event }: Event): object => event;

/** The same as sorted texts, where there is no common order. */
export const sorted = (events: readonly Event[]): string[] =>
  events.map((event) => JSON.stringify(comparable(event))).sort();

/** Both engines for one test. */
export function engines(
  context: TestContext,
  ...filling: Parameters<typeof fillEngines>
): ReturnType<typeof fillEngines> {
  const made = fillEngines(...filling);
  context.after(() => {
    made.kernel.close();
    made.sim.close();
  });
  return made;
}
