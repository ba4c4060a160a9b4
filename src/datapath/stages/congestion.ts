// Marks of congestion (ECN) that a packet of the overlay got on its way, handed on to the packet that was inside, as the kernel's
// device does it before any program sees the packet (RFC 6040 §4.2; INET_ECN_decapsulate in Linux's inet_ecn.h).
// Input: the inner packet, parsed; the outer header's traffic class in `cx.tunnelTos`. Output: CONTINUE or a drop.
// Invariant: a right IPv4 checksum stays right; a frame with a VLAN tag, and one that is no IP, stay as they are.
import { DROP, STAGE } from '../../schema/index.ts';
import * as wire from '../../wire/index.ts';
import type { Context } from '../context.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { adjust16, readRaw16, writeRaw16 } = wire;
const { CONTINUE, drop } = verdicts;

const PARSE = STAGE.PARSE;
/** The two bits in a traffic class. */
const MASK = 3;
const NOT_CAPABLE = 0;
const ECT1 = 1;
const ECT0 = 2;
const CONGESTED = 3;

/**
 * Puts the outer packet's mark into the inner one. Congestion that a sender without ECN could not be told of is told by a loss: 134,
 * which the kernel's device counts as a frame error.
 */
export function takeCongestion(cx: Context): number {
  const h = cx.headers;
  const outer = cx.tunnelTos & MASK;
  if (h.vlanCount !== 0 || (outer & ECT1) === 0) return CONTINUE;
  const inner = h.tos & MASK;
  if (outer === CONGESTED) {
    if (inner === NOT_CAPABLE) return drop(cx, DROP.INVALID, PARSE);
    if (inner !== CONGESTED) writeMark(cx, CONGESTED);
  } else if (inner === ECT0) writeMark(cx, ECT1);
  return CONTINUE;
}

/** Replaces the two bits, in the packet and in the headers. */
const writeMark = (cx: Context, mark: number): void => {
  const { bytes, headers: h } = cx;
  const { l3 } = h;
  h.tos = (h.tos & ~MASK) | mark;
  if (h.family === 6) {
    bytes[l3 + 1] = (bytes[l3 + 1]! & 0xcf) | (mark << 4);
    return;
  }
  const before = readRaw16(bytes, l3);
  bytes[l3 + 1] = h.tos;
  const check = l3 + 10;
  writeRaw16(bytes, check, adjust16(readRaw16(bytes, check), before, readRaw16(bytes, l3)));
};
