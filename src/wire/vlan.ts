// VLAN tag (IEEE 802.1Q) behind an Ethernet type of 0x8100, 0x88a8 or 0x9100: TCI and the next type.
// Input: bytes and the absolute offset behind the announcing type. Output: fields, a value, or bytes written.
// Invariant: readers are unchecked; parse checks; emit writes the whole tag or nothing.

import { fits, readBe16, writeBe16 } from './bytes.ts';

/** Size of a tag without the type that announces it. */
export const VLAN_BYTES = 4;

/** A tag: priority 0–7, drop eligible 0 or 1, identifier 0–4095; the Ethernet type that follows, host order. */
export interface VlanRepr {
  readonly priority: number;
  readonly dropEligible: number;
  readonly id: number;
  readonly etherType: number;
}

/** VLAN identifier of a tag control information in host order. */
export function vlanId(tci: number): number {
  return tci & 0xfff;
}

/** Priority code point of a tag control information in host order. */
export function vlanPriority(tci: number): number {
  return (tci >>> 13) & 7;
}

/** Parses the tag at `at`; `undefined` when it ends behind `end`. */
export function parseVlan(bytes: Uint8Array, at: number, end: number): VlanRepr | undefined {
  if (at + VLAN_BYTES > end) return undefined;
  const tci = readBe16(bytes, at);
  return {
    priority: vlanPriority(tci),
    dropEligible: (tci >>> 12) & 1,
    id: vlanId(tci),
    etherType: readBe16(bytes, at + 2),
  };
}

/** Writes the tag; returns 4, or 0 (nothing written) when it does not fit. */
export function emitVlan(out: Uint8Array, at: number, repr: VlanRepr): number {
  if (!fits(out, at, VLAN_BYTES)) return 0;
  writeBe16(out, at, ((repr.priority & 7) << 13) | ((repr.dropEligible & 1) << 12) | (repr.id & 0xfff));
  writeBe16(out, at + 2, repr.etherType);
  return VLAN_BYTES;
}
