// What every printer of flow records is: text out for records in, with something at the beginning and at the end.
// Input: FlowRecords in order. Output: text, whole lines. Invariant: memory is bounded, but for reports that are one document.
import type { FlowRecord } from './record.ts';

/** Turns records into text. Call `begin` once, `record` for each, `end` once. */
export interface FlowPrinter {
  /** What stands before the first record. */
  begin(): string;
  /** A record's text, which may be held back until `end`. */
  record(record: FlowRecord): string;
  /** What is left. */
  end(): string;
}

/** A printer whose lines do not depend on each other. */
export function linePrinter(line: (record: FlowRecord) => string): FlowPrinter {
  return { begin: () => '', record: (record) => `${line(record)}\n`, end: () => '' };
}
