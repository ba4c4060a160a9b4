// The door of capture: reading, merging and writing packet captures, without node:* (that part is file/).
export { MAX_RECORD_BYTES } from './byte-window.ts';
export { maxPacketBytes } from './decoder.ts';
export { memorySource } from './memory-source.ts';
export { MergedCapture } from './merge.ts';
export { INDEX, INDEX_WORDS, type PacketIndex, PacketIndexer, type PlainPcap } from './packet-index.ts';
export { plainPcap } from './pcap.ts';
export type {
  ByteSource,
  CaptureError,
  CaptureInterface,
  Chunk,
  ChunkSource,
  PacketOptions,
  PacketSource,
  PacketVerdict,
} from './packet-source.ts';
export { MAX_INTERFACES } from './pcapng.ts';
export { CaptureReader, type CaptureReaderOptions } from './reader.ts';
export {
  type ByteSink,
  type InterfaceToWrite,
  type PacketAnnotations,
  PcapngWriter,
  type PcapngWriterOptions,
  PcapWriter,
  type PcapWriterOptions,
  type VerdictToWrite,
} from './writer.ts';
