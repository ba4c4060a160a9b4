// What a replay asks of those who know application protocols. Types only: the readers live elsewhere, and a replay without layer-7
// rules has none. Invariant: the replay calls in the order of the packets.
import type { FlowRequest } from '../flow/index.ts';

/** A connection that policy hands to a proxy, behind translation. */
export interface InspectedEnds {
  /** Canonical addresses. */
  readonly source: string;
  readonly destination: string;
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
  /** IP protocol and destination port. */
  readonly protocol: number;
  readonly port: number;
  /** Whether the egress hook of the source and the ingress hook of the destination were passed. */
  readonly egress: boolean;
  readonly ingress: boolean;
}

/** A packet's payload. */
export interface InspectedPayload {
  /** Whether the connection's opener sent it. */
  readonly forward: boolean;
  /** TCP: sequence number as int32, flags byte. */
  readonly seq: number;
  readonly flags: number;
  /** Captured payload; read within the call. */
  readonly payload: Uint8Array;
  /** Payload on the wire, bytes. */
  readonly wireBytes: number;
}

/** What a DNS answer that policy let pass has taught. */
export interface NameAnswer {
  /** Lower case, no final dot. */
  readonly name: string;
  readonly addresses: readonly string[];
  /** Seconds. */
  readonly ttl: number;
}

/** What a packet completed. */
export interface Inspected {
  readonly requests: readonly FlowRequest[];
  readonly answers: readonly NameAnswer[];
}

/** Looks into connections; numbers are a replay's records, told apart by generation. */
export interface PayloadInspection {
  /** Whether this generation of a connection's number was begun. */
  knows(connection: number, generation: number): boolean;
  /** A connection whose payloads follow; what was known under its number is forgotten. */
  begin(connection: number, generation: number, ends: InspectedEnds): void;
  /** Takes a packet's payload in; says what its requests came to. */
  packet(connection: number, packet: InspectedPayload): Inspected;
  /** The connection has ended. */
  forget(connection: number): void;
}
