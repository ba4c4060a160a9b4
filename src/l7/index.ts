// The door of l7/: what connections carry that policy hands to a proxy, read and judged.
export * from './request.ts';
export { ConnectionInspection, type ConnectionEnds } from './connection-inspection.ts';
export { type DnsAnswer, dnsName, type DnsMessage, readDns } from './dns.ts';
export {
  type InspectedPacket,
  Inspector,
  type L7Judgement,
  MOST_CONNECTIONS,
  MOST_HELD,
  ReadyRules,
} from './inspector.ts';
export { markRefusedRules } from './refused-rules.ts';
export {
  askRules,
  l7Rules,
  type L7Answer,
  type L7Rule,
  type L7Rules,
  RuleProblems,
  serverNameRules,
  type ServerNameRules,
} from './rules.ts';
export { MOST_SEGMENTS, type StreamSink, TcpStream } from './stream.ts';
