// Linux cooked capture headers, v1 (link type 113) and v2 (276): what they say beside the protocol.
// Input: bytes and the absolute offset of the frame. Output: fields. Dissection is in parse-frame.ts.
// Invariant: readers are unchecked; parseFrame's status other than BAD_LINK and CUT says that the header was captured.

import { readBe16, readBe32 } from './bytes.ts';

/** Size of the v1 header. */
export const COOKED_BYTES = 16;
/** Size of the v2 header. */
export const COOKED_V2_BYTES = 20;

/** Packet types, as in Linux `sockaddr_ll`. */
export const COOKED_PACKET = { HOST: 0, BROADCAST: 1, MULTICAST: 2, OTHER_HOST: 3, OUTGOING: 4 } as const;

/** Packet type of a cooked frame of link type 113 or 276. */
export function readCookedPacketType(bytes: Uint8Array, at: number, linkType: number): number {
  return linkType === 276 ? bytes[at + 10]! : readBe16(bytes, at);
}

/** Interface index of a v2 frame; 0 for v1, which does not carry one. */
export function readCookedInterface(bytes: Uint8Array, at: number, linkType: number): number {
  return linkType === 276 ? readBe32(bytes, at + 4) : 0;
}
