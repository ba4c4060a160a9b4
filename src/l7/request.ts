// What an application asked for, as layer-7 rules see it. Types only. Invariant: texts are as sent, except that DNS and server
// names are lower case without the final dot, and header names are lower case.

/** An HTTP request head (RFC 9112 §3, RFC 9113 §8.3). */
export interface HttpRequest {
  readonly protocol: 'http';
  /** `HTTP/1.0`, `HTTP/1.1`, `HTTP/2`. */
  readonly version: string;
  readonly method: string;
  /** The request target as Envoy's `:path`: with the query, without scheme and authority. */
  readonly path: string;
  /** `Host` or `:authority`; empty where there is none. */
  readonly host: string;
  /** In order, names lower case; pseudo-headers are left out. */
  readonly headers: readonly (readonly [string, string])[];
}

/** A DNS query (RFC 1035 §4). */
export interface DnsRequest {
  readonly protocol: 'dns';
  readonly name: string;
  /** `A`, `AAAA`, …; `TYPE65` for one without a name. */
  readonly type: string;
}

/** A Kafka request header with the topics of its body. */
export interface KafkaRequest {
  readonly protocol: 'kafka';
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly correlationId: number;
  readonly clientId: string;
  /** undefined: the body of this kind and version is not read; []: such a request names none. */
  readonly topics: readonly string[] | undefined;
}

/** A TLS ClientHello (RFC 8446 §4.1.2, RFC 6066 §3). */
export interface TlsRequest {
  readonly protocol: 'tls';
  /** The server name asked for; undefined where the client sent none. */
  readonly serverName: string | undefined;
}

/** One request. */
export type L7Request = HttpRequest | DnsRequest | KafkaRequest | TlsRequest;

/** A request, or why there is none to judge although bytes were sent. */
export type L7Finding =
  | { readonly request: L7Request }
  /** What a proxy would refuse before it asks any rule. */
  | { readonly malformed: string }
  /** The fact that is missing. */
  | { readonly missing: string };

/** Reads the bytes that a client sends. Nothing throws; after `missing` or `malformed` a reader may have ended. */
export interface RequestReader {
  /** Bytes kept, roughly. */
  readonly held: number;
  data(chunk: Uint8Array): void;
  gap(bytes: number): void;
}

/** Takes what a reader finds. */
export type TakeFinding = (finding: L7Finding) => void;
