// What a packet speaks, for its record: the highest protocol that was read, and layer 4.
// Input: headers and how their dissection ended (WIRE). Output: names and numbers. Invariant: nothing is told that was not read.
import { etherTypeName, type FlowL4, ipProtocolName } from '../flow/index.ts';
import { type Headers, WIRE } from '../wire/index.ts';

const TCP = 6;

/** A packet's highest protocol that was read, in words. `status`: WIRE of its dissection. */
export function protocolName(h: Headers, status: number, linkType: number): string {
  if (status === WIRE.UNSUPPORTED_LINK_TYPE) return `link type ${linkType}`;
  if (h.family === 0) {
    if (status === WIRE.NOT_IP || status === WIRE.BAD_ETHERTYPE || status === WIRE.TOO_MANY_VLAN_TAGS) {
      return linkType === 0 || linkType === 108 ? 'no IP' : etherTypeName(h.etherType);
    }
    if (h.l3 === 0) return linkType === 1 ? 'Ethernet' : 'no IP';
    return h.etherType === 0x86dd ? 'IPv6' : h.etherType === 0x0800 ? 'IPv4' : 'IP';
  }
  // A header that was cut or wrong before its protocol was read has none.
  if (h.l4 === 0) return h.family === 4 ? 'IPv4' : 'IPv6';
  return ipProtocolName(h.protocol);
}

/** Its layer 4; undefined where there is none, or none was read. */
export function l4Of(h: Headers, status: number): FlowL4 | undefined {
  if (h.family === 0 || h.l4 === 0) return undefined;
  const whole = status === WIRE.OK && h.fragment !== 2;
  const icmp = h.protocol === 1 || h.protocol === 58;
  return {
    number: h.protocol,
    ...(h.protocol === TCP && whole ? { tcpFlags: h.tcpFlags } : {}),
    ...(icmp && whole ? { icmpType: h.icmpType, icmpCode: h.icmpCode } : {}),
  };
}
