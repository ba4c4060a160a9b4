// VXLAN header (RFC 7348): behind UDP, before an Ethernet frame.
// Input: bytes and the absolute offset of the header. Output: fields, a value, or bytes written.
// Invariant: readers are unchecked; parse accepts only headers with the I flag; emit writes everything or nothing.

import { fits, readBe24, writeBe24 } from './bytes.ts';

/** Size of the header. */
export const VXLAN_BYTES = 8;
/** Destination ports, host order: IANA's, and the one Linux and Cilium default to. */
export const VXLAN_PORT = { IANA: 4789, LINUX: 8472 } as const;
/** The flag that says that the network identifier is valid. */
export const VXLAN_FLAG_VNI = 0x08;

/** A VXLAN header: the network identifier, 24 bits (Cilium puts the source identity there). */
export interface VxlanRepr {
  readonly vni: number;
}

/** Network identifier; unchecked. */
export function readVxlanVni(bytes: Uint8Array, at: number): number {
  return readBe24(bytes, at + 4);
}

/** Parses the header at `at`; `undefined` without the I flag (§4.1) or when it ends behind `end`. Reserved bits are ignored. */
export function parseVxlan(bytes: Uint8Array, at: number, end: number): VxlanRepr | undefined {
  if (at + VXLAN_BYTES > end || (bytes[at]! & VXLAN_FLAG_VNI) === 0) return undefined;
  return { vni: readVxlanVni(bytes, at) };
}

/** Writes the header; returns 8, or 0 (nothing written) when it does not fit. */
export function emitVxlan(out: Uint8Array, at: number, repr: VxlanRepr): number {
  if (!fits(out, at, VXLAN_BYTES)) return 0;
  out[at] = VXLAN_FLAG_VNI;
  writeBe24(out, at + 1, 0);
  writeBe24(out, at + 4, repr.vni);
  out[at + 7] = 0;
  return VXLAN_BYTES;
}
