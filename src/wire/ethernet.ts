// Ethernet II header: offsets, readers, the value EthernetRepr, parse and emit. Tags are in vlan.ts.
// Input: bytes and the absolute offset of the frame. Output: fields, a value, or bytes written.
// Invariant: readers are unchecked; parse checks and copies; emit writes the whole header or nothing.

import { fits, readBe16, writeBe16, writeBytes } from './bytes.ts';

/** Size of the header in bytes. */
export const ETHERNET_BYTES = 14;
/** Offset of the destination MAC, 6 bytes. */
export const ETHERNET_DESTINATION = 0;
/** Offset of the source MAC, 6 bytes. */
export const ETHERNET_SOURCE = 6;
/** Offset of the Ethernet type, be16. */
export const ETHERNET_TYPE = 12;

/** An Ethernet header: MACs of 6 bytes each, type in host order. */
export interface EthernetRepr {
  readonly destination: Uint8Array;
  readonly source: Uint8Array;
  readonly etherType: number;
}

/** Ethernet type, host order; unchecked. */
export function readEtherType(bytes: Uint8Array, at: number): number {
  return readBe16(bytes, at + ETHERNET_TYPE);
}

/** Parses the header at `at`; `undefined` when it ends behind `end`. */
export function parseEthernet(bytes: Uint8Array, at: number, end: number): EthernetRepr | undefined {
  if (at + ETHERNET_BYTES > end) return undefined;
  return {
    destination: bytes.slice(at, at + 6),
    source: bytes.slice(at + ETHERNET_SOURCE, at + 12),
    etherType: readEtherType(bytes, at),
  };
}

/** Writes the header; returns 14, or 0 (nothing written) when it does not fit or a MAC is not 6 bytes long. */
export function emitEthernet(out: Uint8Array, at: number, repr: EthernetRepr): number {
  if (!fits(out, at, ETHERNET_BYTES) || repr.destination.length !== 6 || repr.source.length !== 6) return 0;
  writeBytes(out, at + ETHERNET_DESTINATION, repr.destination);
  writeBytes(out, at + ETHERNET_SOURCE, repr.source);
  writeBe16(out, at + ETHERNET_TYPE, repr.etherType);
  return ETHERNET_BYTES;
}
