// FlowRecord: one packet, or one connection, as printers see it. Plain data, names already resolved.
// Input: none. Output: types. Invariant: an absent fact is an absent key; nothing here refers to a map or a manifest.

/** Verdicts of a replay: Hubble's names, and OBSERVED for the datapath's own output seen in the capture. */
export type FlowVerdict = 'FORWARDED' | 'REDIRECTED' | 'DROPPED' | 'AUDIT' | 'UNKNOWN' | 'OBSERVED';

/** All verdicts, in the order of summaries. */
export const FLOW_VERDICTS: readonly FlowVerdict[] = [
  'FORWARDED',
  'REDIRECTED',
  'AUDIT',
  'DROPPED',
  'UNKNOWN',
  'OBSERVED',
];

/** A point in time: whole seconds since 1970 (may be negative) and 0..999,999,999 nanoseconds after them. */
export interface FlowTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** One end of a packet. `ip` and `port` are as captured; identity and pod name who that is (of a service: the backend). */
export interface FlowEnd {
  readonly ip?: string;
  readonly port?: number;
  /** Security identity; absent where nobody looked it up. */
  readonly identity?: number;
  readonly namespace?: string;
  readonly pod?: string;
  readonly node?: string;
  /** `source:key=value` each, sorted. */
  readonly labels?: readonly string[];
  /** Station address, where the link has one. */
  readonly mac?: string;
  /** The pod's own address and port where it is not what was captured: the backend behind a service address. */
  readonly behind?: { readonly ip: string; readonly port: number };
}

/** The service that a packet went through. */
export interface FlowService {
  readonly namespace?: string;
  readonly name?: string;
  /** `address:port`, IPv6 in brackets. */
  readonly frontend: string;
  readonly backend?: string;
}

/** A rule that decided, or a policy that isolates. Lines and columns count from 1. */
export interface FlowRule {
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  /** `ingress[0]`; absent for a policy as a whole. */
  readonly rule?: string;
  readonly file?: string;
  readonly line?: number;
}

/** What a conntrack-aware printer needs of TCP flags and of ICMP: the Hubble summary's parts. */
export interface FlowL4 {
  /** IP protocol number. */
  readonly number: number;
  /** TCP flags byte. */
  readonly tcpFlags?: number;
  readonly icmpType?: number;
  readonly icmpCode?: number;
}

/** A request within a connection that policy hands to a proxy. At most one of `http`, `dns`, `kafka`, `tls` is there. */
export interface FlowRequest {
  readonly verdict: 'FORWARDED' | 'DROPPED' | 'UNKNOWN';
  /** Of UNKNOWN the missing fact; of bytes that a proxy refuses what is wrong with them. */
  readonly reason?: string;
  /** Header names lower case, in order. */
  readonly http?: {
    readonly method: string;
    readonly path: string;
    readonly host: string;
    readonly version: string;
    readonly headers: readonly (readonly [string, string])[];
  };
  readonly dns?: { readonly name: string; readonly type: string };
  /** `topics` is absent where they could not be read. */
  readonly kafka?: {
    readonly api: string;
    readonly apiVersion: number;
    readonly clientId: string;
    readonly topics?: readonly string[];
  };
  readonly tls?: { readonly serverName?: string };
  readonly by: readonly FlowRule[];
}

/** What packets and connections have in common. */
export interface FlowFacts {
  /** The capture's path as given. */
  readonly capture: string;
  readonly time: FlowTime;
  /** The vantage point: `pod:NS/NAME`, `node:NAME`, `edge`, `any`. */
  readonly at?: string;
  /** Where the verdict fell; of a packet that went through, where it entered. */
  readonly hook?: string;
  /** The hooks passed, in order. */
  readonly path?: readonly string[];
  readonly verdict: FlowVerdict;
  /** Of UNKNOWN: the fact that is missing. */
  readonly unknown?: string;
  /** Of OBSERVED: the translated packet of a connection, or a copy of a packet seen before. */
  readonly observed?: 'output' | 'copy';
  /** The verdict is that of the connection's opening: this reply would never have been sent. */
  readonly counterfactual?: boolean;
  readonly source: FlowEnd;
  readonly destination: FlowEnd;
  /** `TCP`, `UDP`, `SCTP`, `ICMPv4`, `ICMPv6`, or what the packet is. */
  readonly protocol: string;
  readonly l4?: FlowL4;
  /** Conntrack's answer at the hook that is told: NEW, ESTABLISHED, REPLY, RELATED. */
  readonly ct?: string;
  readonly service?: FlowService;
  readonly drop?: { readonly code: number; readonly name: string };
  readonly by: readonly FlowRule[];
  /** A policy lookup decided: `match` and `direction` say how. */
  readonly policy?: { readonly match: string; readonly direction: 'INGRESS' | 'EGRESS' };
  /** Hubble's observation point of a packet that no policy lookup and no drop names: `to-endpoint`, `to-stack` … */
  readonly point?: string;
  /** Against the direction in which the connection was opened; absent where that is not known. */
  readonly reply?: boolean;
  readonly proxyPort?: number;
  /** Name of the node that the vantage point is on. */
  readonly node?: string;
}

/** One packet. */
export interface PacketRecord extends FlowFacts {
  /** 1-based number in its capture. */
  readonly number: number;
  /** Bytes on the wire. */
  readonly bytes: number;
  /** When a bandwidth limit lets the packet leave its node; absent: at once. */
  readonly departure?: FlowTime;
  /** What leaves is the datapath's answer to the sender: to what it dropped, or to a neighbour's question. */
  readonly answered?: true;
  /** Requests that this packet completes. */
  readonly l7?: readonly FlowRequest[];
}

/** One connection: `source` opened it. Facts are those of the first packet that has the connection's verdict. */
export interface ConnectionRecord extends FlowFacts {
  /** 1-based number in the order in which connections were first seen. */
  readonly flow: number;
  /** Number of the first packet in its capture. */
  readonly first: number;
  /** Time of the last packet. */
  readonly last: FlowTime;
  readonly packets: { readonly forward: number; readonly reply: number };
  /** Bytes on the wire. */
  readonly bytes: { readonly forward: number; readonly reply: number };
  /** Packets by verdict; those without packets are absent. */
  readonly verdicts: Readonly<Partial<Record<FlowVerdict, number>>>;
  /** Requests by verdict, where a proxy was asked; those without requests are absent. */
  readonly requests?: Readonly<Partial<Record<FlowRequest['verdict'], number>>>;
}

/** What a printer prints. */
export type FlowRecord = PacketRecord | ConnectionRecord;

/** Whether a record is a connection's. */
export const isConnection = (record: FlowRecord): record is ConnectionRecord => 'flow' in record;

/** `address:port`, IPv6 in brackets; the address alone where there is no port. */
export function socketText(ip: string, port: number | undefined): string {
  if (port === undefined || port === 0) return ip;
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** `Kind namespace/name rule file:line`, what is absent left out. */
export function ruleText(rule: FlowRule): string {
  const name = rule.namespace === undefined ? rule.name : `${rule.namespace}/${rule.name}`;
  const part = rule.rule === undefined ? '' : ` ${rule.rule}`;
  const place = placeText(rule);
  return `${rule.kind} ${name}${part}${place === '' ? '' : ` ${place}`}`;
}

/** `file:line`, or nothing. */
export function placeText(rule: FlowRule): string {
  if (rule.file === undefined) return '';
  return rule.line === undefined ? rule.file : `${rule.file}:${rule.line}`;
}
