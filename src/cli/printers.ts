// Which printer a format name means. Input: `-o`'s value. Output: a FlowPrinter.
import {
  compactPrinter,
  type FlowPrinter,
  githubPrinter,
  jsonPrinter,
  jsonpbPrinter,
  junitPrinter,
  sarifPrinter,
  tablePrinter,
} from '../flow/index.ts';
import { versionText } from './version-command.ts';

/** Formats of flow records; `none` prints nothing. */
export const RECORD_FORMATS = ['compact', 'table', 'json', 'jsonpb', 'junit', 'sarif', 'github', 'none'] as const;
export type RecordFormat = (typeof RECORD_FORMATS)[number];

/** The printer of a format. */
export function printerFor(format: Exclude<RecordFormat, 'none'>, colour: boolean): FlowPrinter {
  switch (format) {
    case 'compact':
      return compactPrinter({ colour });
    case 'table':
      return tablePrinter({ colour });
    case 'json':
      return jsonPrinter();
    case 'jsonpb':
      return jsonpbPrinter();
    case 'junit':
      return junitPrinter();
    case 'sarif':
      return sarifPrinter(versionText());
    case 'github':
      return githubPrinter();
  }
}
