// Times as printers write them. Input: seconds and nanoseconds since 1970. Output: RFC 3339 or Go's StampMilli, in UTC.
// Invariant: nothing is rounded up; a time that no calendar holds is printed as seconds.
import type { FlowTime } from './record.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** Seconds of 0000-01-01 and of 9999-12-31T23:59:59, between which RFC 3339 is defined. */
const FIRST = -62_167_219_200;
const LAST = 253_402_300_799;

const digits = (value: number, length: number): string => String(value).padStart(length, '0');

/** The second that was printed last: neighbouring records share it. */
let lastSeconds = Number.NaN;
let lastText = '';

/** `2026-01-02T03:04:05.123456789Z`: always nine digits. Outside of the years 0 to 9999: seconds, `-62167219201.5`. */
export function isoTime(time: FlowTime): string {
  if (!(time.seconds >= FIRST && time.seconds <= LAST)) return `${time.seconds}.${digits(time.nanoseconds, 9)}`;
  if (time.seconds !== lastSeconds) {
    lastSeconds = time.seconds;
    lastText = new Date(time.seconds * 1000).toISOString().slice(0, 19);
  }
  return `${lastText}.${digits(time.nanoseconds, 9)}Z`;
}

/** As protobuf's JSON writes a Timestamp: 0, 3, 6 or 9 digits. */
export function protobufTime(time: FlowTime): string {
  const text = isoTime(time);
  if (!text.endsWith('Z')) return text;
  if (time.nanoseconds === 0) return `${text.slice(0, 19)}Z`;
  if (time.nanoseconds % 1_000_000 === 0) return `${text.slice(0, 23)}Z`;
  return time.nanoseconds % 1000 === 0 ? `${text.slice(0, 26)}Z` : text;
}

/** Go's StampMilli, which hubble prints: `Aug 29 16:10:09.388`, the day padded with a blank. UTC. */
export function stampMilli(time: FlowTime): string {
  if (!(time.seconds >= FIRST && time.seconds <= LAST)) return 'N/A';
  const date = new Date(time.seconds * 1000);
  const day = String(date.getUTCDate()).padStart(2, ' ');
  const clock = `${digits(date.getUTCHours(), 2)}:${digits(date.getUTCMinutes(), 2)}:${digits(date.getUTCSeconds(), 2)}`;
  return `${MONTHS[date.getUTCMonth()]!} ${day} ${clock}.${digits(Math.floor(time.nanoseconds / 1e6), 3)}`;
}

/** The time of day, `16:10:09.388`, UTC. */
export function clockMilli(time: FlowTime): string {
  const stamp = stampMilli(time);
  return stamp.slice(stamp.lastIndexOf(' ') + 1);
}
