// Kafka requests (protocol guide: size int32, then header v1 or v2, then the body). In: the client's bytes in order. Out: a finding
// for each request, with the topics where the body's layout is known. Invariant: nothing throws; keeps at most MAX_REQUEST bytes
// of one request and passes over the rest.
import type { KafkaRequest, RequestReader, TakeFinding } from './request.ts';

/** As much of a request as is kept to read its topics, bytes. */
export const MAX_REQUEST = 64 * 1024;
/** Larger sizes are no Kafka (the broker's socket.request.max.bytes is 100 MiB). */
const MAX_SIZE = 100 * 1024 * 1024;
const MAX_TOPICS = 10_000;

/** Names that rules use, by api key. */
export const KAFKA_API: readonly string[] = [
  'produce',
  'fetch',
  'offsets',
  'metadata',
  'leaderandisr',
  'stopreplica',
  'updatemetadata',
  'controlledshutdown',
  'offsetcommit',
  'offsetfetch',
  'findcoordinator',
  'joingroup',
  'heartbeat',
  'leavegroup',
  'syncgroup',
  'describegroups',
  'listgroups',
  'saslhandshake',
  'apiversions',
  'createtopics',
  'deletetopics',
  'deleterecords',
  'initproducerid',
  'offsetforleaderepoch',
  'addpartitionstotxn',
  'addoffsetstotxn',
  'endtxn',
  'writetxnmarkers',
  'txnoffsetcommit',
  'describeacls',
  'createacls',
  'deleteacls',
  'describeconfigs',
  'alterconfigs',
];

/** First version with compact fields and tagged header, for the kinds whose topics are read. */
const FLEXIBLE: { readonly [apiKey: number]: number } = { 0: 9, 1: 12, 2: 6, 3: 9, 8: 8, 9: 6 };

/** Kinds that name topics. */
export const namesTopics = (apiKey: number): boolean => FLEXIBLE[apiKey] !== undefined;

/** Reads of a request's body that fail at its end. */
class Body {
  ok = true;
  at: number;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(bytes: Uint8Array, at: number) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = at;
  }

  skip(length: number): void {
    if (length < 0 || this.at + length > this.bytes.length) this.ok = false;
    else this.at += length;
  }

  int16(): number {
    const { at } = this;
    this.skip(2);
    return this.ok ? this.view.getInt16(at) : 0;
  }

  int32(): number {
    const { at } = this;
    this.skip(4);
    return this.ok ? this.view.getInt32(at) : 0;
  }

  /** Nullable string: empty for null. */
  text(): string {
    const length = this.int16();
    if (length < 0) return '';
    const { at } = this;
    this.skip(length);
    if (!this.ok) return '';
    let text = '';
    for (let i = 0; i < length; i++) text += String.fromCharCode(this.bytes[at + i]!);
    return text;
  }

  /** An array's length; null counts as 0. */
  count(): number {
    const count = this.int32();
    if (count > MAX_TOPICS) this.ok = false;
    return this.ok ? Math.max(0, count) : 0;
  }
}

/** Topics of a body in a version without compact fields; undefined where it cannot be read. */
function topicsOf(apiKey: number, version: number, body: Body): string[] | undefined {
  const topics: string[] = [];
  /** Reads a topic array whose partitions are `partition` bytes each, or whatever `each` reads. */
  const read = (each: () => void): void => {
    const count = body.count();
    for (let i = 0; i < count && body.ok; i++) {
      topics.push(body.text());
      each();
    }
  };
  const partitions = (bytes: number) => (): void => body.skip(body.count() * bytes);
  switch (apiKey) {
    case 0:
      if (version >= 3) body.text();
      body.skip(6);
      read(() => {
        const count = body.count();
        for (let i = 0; i < count && body.ok; i++) {
          body.skip(4);
          body.skip(Math.max(0, body.int32()));
        }
      });
      break;
    case 1:
      body.skip(12 + (version >= 3 ? 4 : 0) + (version >= 4 ? 1 : 0) + (version >= 7 ? 8 : 0));
      // Partition: number, [leader epoch], offset, [log start offset], max bytes.
      read(partitions(16 + (version >= 9 ? 4 : 0) + (version >= 5 ? 8 : 0)));
      break;
    case 2:
      body.skip(4 + (version >= 2 ? 1 : 0));
      read(partitions(12 + (version >= 4 ? 4 : 0) + (version === 0 ? 4 : 0)));
      break;
    case 3:
      read(() => undefined);
      break;
    case 8:
      body.text();
      if (version >= 1) {
        body.skip(4);
        body.text();
      }
      if (version >= 7) body.text();
      if (version >= 2 && version <= 4) body.skip(8);
      read(() => {
        const count = body.count();
        for (let i = 0; i < count && body.ok; i++) {
          body.skip(12 + (version >= 6 ? 4 : 0) + (version === 1 ? 8 : 0));
          body.text();
        }
      });
      break;
    case 9:
      body.text();
      read(partitions(4));
      break;
    default:
      return undefined;
  }
  return body.ok ? topics : undefined;
}

/** Reads a whole request behind its size field; undefined where it is none. */
export function readKafka(bytes: Uint8Array): KafkaRequest | undefined {
  const body = new Body(bytes, 0);
  const apiKey = body.int16();
  const apiVersion = body.int16();
  const correlationId = body.int32();
  if (!body.ok || apiKey < 0 || apiVersion < 0 || apiKey > 255 || apiVersion > 255) return undefined;
  const clientId = body.text();
  if (!body.ok) return undefined;
  const flexible = FLEXIBLE[apiKey];
  const topics = flexible === undefined ? [] : apiVersion >= flexible ? undefined : topicsOf(apiKey, apiVersion, body);
  return { protocol: 'kafka', apiKey, apiVersion, correlationId, clientId, topics };
}

/** See the head of this file. */
export class KafkaReader implements RequestReader {
  private readonly take: TakeFinding;
  private kept = new Uint8Array(1024);
  /** Bytes of the size field read so far, its value, and how much of the request has come. */
  private sizeBytes = 0;
  private size = 0;
  private come = 0;
  /** Bytes of it from its beginning without a gap. */
  private whole = MAX_REQUEST;
  private broken = false;

  constructor(take: TakeFinding) {
    this.take = take;
  }

  get held(): number {
    return this.kept.length;
  }

  data(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.broken) {
      if (this.sizeBytes < 4) {
        this.size = this.size * 256 + chunk[at++]!;
        if (++this.sizeBytes === 4 && (this.size < 8 || this.size > MAX_SIZE))
          this.fail({ malformed: 'not a Kafka request' });
        continue;
      }
      const part = Math.min(chunk.length - at, this.size - this.come);
      const room = Math.max(0, Math.min(part, MAX_REQUEST - this.come));
      if (room > 0) this.keep(chunk.subarray(at, at + room));
      this.come += part;
      at += part;
      if (this.come === this.size) this.end();
    }
  }

  gap(bytes: number): void {
    if (this.broken) return;
    // Within a request only its own topics may be lost.
    if (bytes > 0 && this.sizeBytes === 4 && this.come + bytes <= this.size) {
      this.whole = Math.min(this.whole, this.come);
      this.come += bytes;
      if (this.come === this.size) this.end();
      return;
    }
    this.fail({ missing: 'a part of the Kafka stream is not in the capture' });
  }

  private keep(part: Uint8Array): void {
    const end = this.come + part.length;
    if (end > this.kept.length) {
      const larger = new Uint8Array(Math.min(MAX_REQUEST, Math.max(end, 2 * this.kept.length)));
      larger.set(this.kept.subarray(0, this.come));
      this.kept = larger;
    }
    this.kept.set(part, this.come);
  }

  private end(): void {
    const request = readKafka(this.kept.subarray(0, Math.min(this.size, this.whole)));
    this.size = this.come = this.sizeBytes = 0;
    this.whole = MAX_REQUEST;
    if (request === undefined) this.fail({ malformed: 'not a Kafka request' });
    else this.take({ request });
  }

  private fail(finding: Parameters<TakeFinding>[0]): void {
    this.broken = true;
    this.take(finding);
  }
}
