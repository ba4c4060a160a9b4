// The door of flow: flow records and the printers that turn them into text.
export { compactPrinter } from './compact.ts';
export { palette, type Palette } from './colour.ts';
export { isoTime, protobufTime, stampMilli } from './flow-time.ts';
export { identityText, reservedIdentityName } from './identity-name.ts';
export { jsonPrinter } from './json.ts';
export { jsonpbPrinter } from './jsonpb.ts';
export { etherTypeName, ipProtocolName, l4Summary, tcpFlagsText } from './l4-summary.ts';
export { type FlowPrinter, linePrinter } from './printer.ts';
export * from './record.ts';
export { requestSummary, requestType, requestUrl } from './request-text.ts';
export { githubPrinter } from './github.ts';
export { junitPrinter } from './junit.ts';
export { sarifPrinter } from './sarif.ts';
export { tablePrinter } from './table.ts';
export { jsonLine, safeText } from './terminal-text.ts';
export { type TraceNames, type TraceSentence, traceSentence } from './trace-text.ts';
