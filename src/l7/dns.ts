// DNS messages (RFC 1035 §4; over TCP with a length before each, RFC 7766 §8) through dns-packet. In: messages, or a TCP stream's
// bytes in order. Out: queries, and what answers teach: the name that was asked for and the addresses behind it, CNAMEs followed by
// the server. Invariant: nothing throws; a message is at most 65,535 bytes.
import { Buffer } from 'node:buffer';
import { type Answer, decode, type Packet, type Question, RECURSION_DESIRED } from 'dns-packet';
import type { DnsRequest, RequestReader, TakeFinding } from './request.ts';

/** What an answer teaches. */
export interface DnsAnswer {
  /** The name that was asked for: lower case, no final dot. */
  readonly name: string;
  /** Of every A and AAAA record, in order. */
  readonly addresses: readonly string[];
  /** Seconds: the lowest of the records that led there. */
  readonly ttl: number;
}

/** A message that could be read. */
export interface DnsMessage {
  readonly response: boolean;
  /** Transaction id. */
  readonly id: number;
  /** The questions as requests. */
  readonly questions: readonly DnsRequest[];
  /** Of a positive response; undefined where it teaches nothing. */
  readonly answer: DnsAnswer | undefined;
}

/** Lower case, without the final dot. */
export const dnsName = (name: string): string => {
  const lower = name.toLowerCase();
  return lower.length > 1 && lower.endsWith('.') ? lower.slice(0, -1) : lower;
};

/** Reads a message; undefined for bytes that are none. */
export function readDns(bytes: Uint8Array): DnsMessage | undefined {
  if (bytes.length < 12) return undefined;
  let packet: Packet;
  try {
    packet = decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  } catch {
    return undefined;
  }
  const questions = (packet.questions ?? []).map(requestOf);
  const response = packet.type === 'response';
  return { response, id: packet.id ?? 0, questions, answer: response ? answerOf(packet, bytes, questions) : undefined };
}

const requestOf = ({ name, type }: Question): DnsRequest => {
  const text = String(type);
  return { protocol: 'dns', name: dnsName(name), type: text.replace(/^UNKNOWN_/, 'TYPE') };
};

function answerOf(packet: Packet, bytes: Uint8Array, questions: readonly DnsRequest[]): DnsAnswer | undefined {
  const [question] = questions;
  // RCODE: the low four bits of the flags.
  if (question === undefined || (bytes[3]! & 15) !== 0) return undefined;
  const addresses: string[] = [];
  let ttl = 0xffffffff;
  for (const answer of packet.answers ?? []) {
    if (answer.type !== 'A' && answer.type !== 'AAAA' && answer.type !== 'CNAME') continue;
    ttl = Math.min(ttl, ttlOf(answer));
    if (answer.type !== 'CNAME') addresses.push(answer.data);
  }
  return addresses.length === 0 ? undefined : { name: question.name, addresses, ttl };
}

/** A TTL with the top bit set means 0 (RFC 2181 §8). */
const ttlOf = (answer: Answer): number => {
  const ttl = 'ttl' in answer ? (answer.ttl ?? 0) : 0;
  return ttl > 0x7fffffff || ttl < 0 ? 0 : ttl;
};

/** The flag of a query that dns-packet sets for recursion: re-exported for tests that make messages. */
export const QUERY_FLAGS: number = RECURSION_DESIRED;

/** Messages of a TCP stream. */
export class DnsStream implements RequestReader {
  private readonly message: (bytes: Uint8Array) => void;
  private readonly take: TakeFinding;
  private pending: Uint8Array = new Uint8Array(0);
  private broken = false;

  constructor(message: (bytes: Uint8Array) => void, take: TakeFinding) {
    this.message = message;
    this.take = take;
  }

  get held(): number {
    return this.pending.length;
  }

  data(chunk: Uint8Array): void {
    if (this.broken) return;
    const { pending } = this;
    let bytes = chunk;
    if (pending.length > 0) {
      bytes = new Uint8Array(pending.length + chunk.length);
      bytes.set(pending);
      bytes.set(chunk, pending.length);
    }
    let at = 0;
    while (at + 2 <= bytes.length) {
      const length = (bytes[at]! << 8) | bytes[at + 1]!;
      if (at + 2 + length > bytes.length) break;
      this.message(bytes.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    this.pending = bytes.slice(at);
  }

  gap(): void {
    if (this.broken) return;
    this.broken = true;
    this.take({ missing: 'a part of the DNS stream is not in the capture' });
  }
}
