// What an ICMP or ICMPv6 message is to a replay: an echo, an error about another packet, or neighbour discovery.
// Input: dissected headers. Output: booleans.
import type { Headers } from '../wire/index.ts';

const ICMP = 1;
const ICMPV6 = 58;

/** Echo request or reply: messages that answer each other. */
export const isEcho = (h: Headers): boolean =>
  h.family === 4
    ? h.protocol === ICMP && (h.icmpType === 8 || h.icmpType === 0)
    : h.protocol === ICMPV6 && (h.icmpType === 128 || h.icmpType === 129);

/** Messages that carry the packet that they are about (RFC 792, RFC 4443). */
export const isIcmpError = (h: Headers): boolean =>
  h.family === 4
    ? h.protocol === ICMP &&
      (h.icmpType === 3 || h.icmpType === 4 || h.icmpType === 5 || h.icmpType === 11 || h.icmpType === 12)
    : h.protocol === ICMPV6 && h.icmpType >= 1 && h.icmpType <= 4;

/** Router and neighbour discovery (RFC 4861): only with a hop limit of 255, which nothing that was routed has. */
export const isNeighbourDiscovery = (h: Headers): boolean =>
  h.protocol === ICMPV6 && h.icmpType >= 133 && h.icmpType <= 137 && h.ttl === 255;
