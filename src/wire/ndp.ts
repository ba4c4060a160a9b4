// Neighbour discovery (RFC 4861): router and neighbour solicitations and advertisements with their options.
// Input: bytes and the absolute offset of the ICMPv6 header. Output: a value, an offset, or bytes written.
// Invariant: an option of length 0 or behind the end makes a message unreadable (§4.6); emit writes everything or
// nothing and leaves the checksum 0 for the caller.

import {
  fits,
  type Ipv6Words,
  readBe16,
  readBe32,
  readIpv6Words,
  writeBe16,
  writeBe32,
  writeBytes,
  writeIpv6Words,
} from './bytes.ts';

/** Option types. */
export const NDP_OPTION = {
  SOURCE_LINK_ADDRESS: 1,
  TARGET_LINK_ADDRESS: 2,
  PREFIX_INFORMATION: 3,
  REDIRECTED_HEADER: 4,
  MTU: 5,
} as const;

/** Flag bits of an advertisement's first byte behind the checksum: for neighbours router, solicited, override. */
export const NDP_FLAG = { ROUTER: 0x80, SOLICITED: 0x40, OVERRIDE: 0x20 } as const;

/** Options that one message may hold before it is refused. */
export const NDP_MAX_OPTIONS = 32;

/** An option: its type and the bytes behind type and length, 8n − 2 of them. */
export interface NdpOptionRepr {
  readonly kind: number;
  readonly body: Uint8Array;
}

/** Router solicitation, type 133. */
export interface RouterSolicitationRepr {
  readonly type: 133;
  readonly options: readonly NdpOptionRepr[];
}
/** Router advertisement, type 134; times in the units of the RFC: seconds, milliseconds, milliseconds. */
export interface RouterAdvertisementRepr {
  readonly type: 134;
  readonly hopLimit: number;
  /** Managed 0x80, other 0x40, and later RFCs' bits. */
  readonly flags: number;
  readonly lifetimeSeconds: number;
  readonly reachableMs: number;
  readonly retransmitMs: number;
  readonly options: readonly NdpOptionRepr[];
}
/** Neighbour solicitation, type 135. */
export interface NeighbourSolicitationRepr {
  readonly type: 135;
  readonly target: Ipv6Words;
  readonly options: readonly NdpOptionRepr[];
}
/** Neighbour advertisement, type 136. */
export interface NeighbourAdvertisementRepr {
  readonly type: 136;
  /** {@link NDP_FLAG} bits. */
  readonly flags: number;
  readonly target: Ipv6Words;
  readonly options: readonly NdpOptionRepr[];
}
/** A neighbour discovery message. */
export type NdpRepr =
  RouterSolicitationRepr | RouterAdvertisementRepr | NeighbourSolicitationRepr | NeighbourAdvertisementRepr;

/** Bytes of a message before its options; 0 for a type that is not one of the four. */
export function ndpFixedBytes(type: number): number {
  if (type === 133) return 8;
  if (type === 134) return 16;
  return type === 135 || type === 136 ? 24 : 0;
}

/**
 * Absolute offset of the first option of a kind (its type byte), or -1 when there is none or the options are malformed
 * before it. Zero allocation: this is what the datapath uses to answer a solicitation.
 *
 * @param at absolute offset of the ICMPv6 header of a message of the given type
 * @param end absolute end of the captured message
 */
export function findNdpOption(bytes: Uint8Array, at: number, end: number, type: number, kind: number): number {
  const fixed = ndpFixedBytes(type);
  if (fixed === 0) return -1;
  let option = at + fixed;
  for (let i = 0; i < NDP_MAX_OPTIONS && option + 8 <= end; i++) {
    const size = bytes[option + 1]! << 3;
    if (size === 0 || option + size > end) return -1;
    if (bytes[option] === kind) return option;
    option += size;
  }
  return -1;
}

/** Parses the message at `at`, options up to `end`; `undefined` when the type is another, or anything does not fit. */
export function parseNdp(bytes: Uint8Array, at: number, end: number): NdpRepr | undefined {
  if (at + 8 > end) return undefined;
  const type = bytes[at]!;
  const fixed = ndpFixedBytes(type);
  if (fixed === 0 || at + fixed > end) return undefined;
  const options = parseOptions(bytes, at + fixed, end);
  if (options === undefined) return undefined;
  if (type === 133) return { type, options };
  if (type === 135) return { type, target: readIpv6Words(bytes, at + 8), options };
  if (type === 136) return { type, flags: bytes[at + 4]! & 0xe0, target: readIpv6Words(bytes, at + 8), options };
  return {
    type: 134,
    hopLimit: bytes[at + 4]!,
    flags: bytes[at + 5]!,
    lifetimeSeconds: readBe16(bytes, at + 6),
    reachableMs: readBe32(bytes, at + 8) >>> 0,
    retransmitMs: readBe32(bytes, at + 12) >>> 0,
    options,
  };
}

function parseOptions(bytes: Uint8Array, at: number, end: number): NdpOptionRepr[] | undefined {
  const options: NdpOptionRepr[] = [];
  while (at < end) {
    if (at + 8 > end || options.length === NDP_MAX_OPTIONS) return undefined;
    const size = bytes[at + 1]! << 3;
    if (size === 0 || at + size > end) return undefined;
    options.push({ kind: bytes[at]!, body: bytes.slice(at + 2, at + size) });
    at += size;
  }
  return options;
}

/**
 * Writes a message with code 0 and checksum 0. Returns its size, or 0 (nothing written) when it does not fit or an
 * option's size is not a multiple of 8 from 8 to 2,040.
 */
export function emitNdp(out: Uint8Array, at: number, repr: NdpRepr): number {
  const fixed = ndpFixedBytes(repr.type);
  let size = fixed;
  for (const option of repr.options) {
    const optionBytes = option.body.length + 2;
    if ((optionBytes & 7) !== 0 || optionBytes > 2040) return 0;
    size += optionBytes;
  }
  if (repr.options.length > NDP_MAX_OPTIONS || !fits(out, at, size)) return 0;
  out[at] = repr.type;
  out[at + 1] = 0;
  writeBe16(out, at + 2, 0);
  writeBe32(out, at + 4, 0);
  if (repr.type === 134) {
    out[at + 4] = repr.hopLimit;
    out[at + 5] = repr.flags;
    writeBe16(out, at + 6, repr.lifetimeSeconds);
    writeBe32(out, at + 8, repr.reachableMs);
    writeBe32(out, at + 12, repr.retransmitMs);
  } else if (repr.type !== 133) {
    if (repr.type === 136) out[at + 4] = repr.flags & 0xe0;
    writeIpv6Words(out, at + 8, repr.target);
  }
  let cursor = at + fixed;
  for (const option of repr.options) {
    out[cursor] = option.kind;
    out[cursor + 1] = (option.body.length + 2) >>> 3;
    writeBytes(out, cursor + 2, option.body);
    cursor += option.body.length + 2;
  }
  return size;
}
