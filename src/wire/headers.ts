// The one reusable result of dissecting a packet, and the status numbers of every parser in this room.
// Input: none. Output: class Headers, WIRE. Invariant: every field is an int32, so that V8 keeps them all as small
// integers; multi-byte values marked "raw" are the network-order bytes as a little-endian load reads them.

/**
 * What a parser says of a packet. Nothing here throws; a status is the whole error.
 *
 * `CUT` and the `BAD_*` codes are told apart by who lacks the bytes: when the needed bytes were on the wire but the
 * snap length cut them, it is `CUT` (never a drop); when the packet itself is too short or wrong, it is `BAD_*`.
 * The number behind each is the drop reason that Cilium gives to such a packet.
 */
export const WIRE = {
  /** Everything needed was read. A later fragment is OK, too: ports 0, `fragment` 2. */
  OK: 0,
  /** The needed bytes end at or before the wire length but after the captured length. */
  CUT: 1,
  /** The frame is shorter than its link header or VLAN tags. */
  BAD_LINK: 2,
  /** No reader for this link type. */
  UNSUPPORTED_LINK_TYPE: 3,
  /** Ethernet type below 0x600: an 802.3 length, LLC (166). */
  BAD_ETHERTYPE: 4,
  /** Neither IPv4 nor IPv6; `etherType` says what, `l3` where (139). */
  NOT_IP: 5,
  /** A third VLAN tag. */
  TOO_MANY_VLAN_TAGS: 6,
  /** Wrong version, header length below 20, or a header or total length that the wire length cannot hold (134). */
  BAD_IP: 7,
  /** IPv6: more than 4 extension headers, one that overruns the packet, or no next header (156). */
  BAD_EXTENSION: 8,
  /** The fixed L4 header does not fit into the IP packet, or a TCP data offset is wrong (135). */
  BAD_L4: 9,
  /** An IP protocol that connection tracking does not know; addresses, `protocol` and `l4` are filled (137). */
  UNKNOWN_L4: 10,
  /** Asked for an inner packet where there is none: no ICMP error, no tunnel. */
  NO_INNER: 11,
  /** A tunnel header of a form that this room does not read (version, routing present, unknown inner protocol). */
  BAD_TUNNEL: 12,
} as const;

/** One of the {@link WIRE} numbers. */
export type WireStatus = (typeof WIRE)[keyof typeof WIRE];

/** Name of a status number, for printers; unknown numbers give their decimal text. Allocates nothing for known ones. */
export function wireStatusName(status: number): string {
  return STATUS_NAMES[status] ?? String(status);
}
const STATUS_NAMES: readonly string[] = Object.keys(WIRE);

/** Values of {@link Headers.fragment}. */
export const FRAGMENT = { NONE: 0, FIRST: 1, LATER: 2 } as const;

/**
 * One dissected packet. Made once and filled again by each parse: a parser sets every field, so nothing of the packet
 * before remains. After a status other than OK, the layers before the failing one are filled and the rest is 0.
 * Offsets are absolute in the buffer that was parsed, whatever the frame's own offset was.
 */
export class Headers {
  /** Bytes from the frame's first byte to `l3`: link header with its VLAN tags; 0 for raw IP. */
  linkHeaderBytes = 0;
  /** Final Ethernet type behind the VLAN tags, host order; 0 where the link type carries none. */
  etherType = 0;
  /** VLAN tags in the frame: 0, 1 or 2. */
  vlanCount = 0;
  /** Outer tag control information, host order (priority 3 bits, DEI 1, id 12); 0 when absent. */
  vlanTci0 = 0;
  /** Inner tag control information, host order; 0 when absent. */
  vlanTci1 = 0;
  /** Absolute offset of the network header (also for ARP and other types); 0 when the link header did not fit. */
  l3 = 0;
  /** Absolute offset behind the IP header with options and extension headers. In a later fragment: of its data. */
  l4 = 0;
  /** Absolute offset of the L4 payload, at most the end of the L3 packet, possibly behind the captured bytes. */
  payload = 0;
  /** 4, 6, or 0 when the packet is not IP or its first bytes were not there. */
  family = 0;
  /** L4 protocol number, behind IPv6 extension headers; in a later IPv6 fragment what its fragment header names. */
  protocol = 0;
  /** Source address, raw: 4 words for IPv6; for IPv4 `s0`, the others 0. */
  s0 = 0;
  s1 = 0;
  s2 = 0;
  s3 = 0;
  /** Destination address, raw: 4 words for IPv6; for IPv4 `d0`, the others 0. */
  d0 = 0;
  d1 = 0;
  d2 = 0;
  d3 = 0;
  /** Raw ports: the source port's bytes in the low half, the destination port's in the high half. TCP, UDP, SCTP. */
  ports = 0;
  /** TCP flags byte: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128. */
  tcpFlags = 0;
  /** ICMP or ICMPv6 type. */
  icmpType = 0;
  /** ICMP or ICMPv6 code. */
  icmpCode = 0;
  /** Bytes 4 and 5 of the ICMP header, raw be16: the identifier of echo messages, otherwise whatever the type puts there. */
  icmpId = 0;
  /** 0 no fragment (also an IPv6 atomic fragment, RFC 6946), 1 the first, 2 a later one without an L4 header. */
  fragment = 0;
  /** IPv4 identification (raw be16, in every IPv4 packet), or the IPv6 fragment header's (raw be32). */
  fragId = 0;
  /** Time to live, or hop limit. */
  ttl = 0;
  /** Type of service or traffic class: DSCP in the upper 6 bits, ECN in the lower 2. */
  tos = 0;
  /** IPv4: header length with options. IPv6: 40 plus the extension headers that were walked. */
  ipHeaderBytes = 0;
  /** Bytes of the whole IP packet by its own header; from the wire length where that says 0 (GSO, jumbogram). */
  l3Length = 0;
  /** Absolute offset of the L4 checksum (TCP, UDP, ICMP, ICMPv6); 0 where there is none to adjust (SCTP, fragments). */
  l4ChecksumOffset = 0;
  /** IPv6 extension headers walked, fragment header included. */
  extensionHeaders = 0;
}

/**
 * Clears everything from the network layer on; `l3` becomes the given absolute offset.
 * @param h result to clear
 * @param l3 absolute offset of the network header, 0 when there is none
 */
export function clearNetwork(h: Headers, l3: number): void {
  h.l3 = l3;
  h.l4 = 0;
  h.payload = 0;
  h.family = 0;
  h.protocol = 0;
  h.s0 = 0;
  h.s1 = 0;
  h.s2 = 0;
  h.s3 = 0;
  h.d0 = 0;
  h.d1 = 0;
  h.d2 = 0;
  h.d3 = 0;
  h.ports = 0;
  h.tcpFlags = 0;
  h.icmpType = 0;
  h.icmpCode = 0;
  h.icmpId = 0;
  h.fragment = 0;
  h.fragId = 0;
  h.ttl = 0;
  h.tos = 0;
  h.ipHeaderBytes = 0;
  h.l3Length = 0;
  h.l4ChecksumOffset = 0;
  h.extensionHeaders = 0;
}

/**
 * Sets the link layer's fields.
 * @param etherType host order, 0 when the link type carries none
 */
export function setLink(h: Headers, linkHeaderBytes: number, etherType: number): void {
  h.linkHeaderBytes = linkHeaderBytes;
  h.etherType = etherType;
  h.vlanCount = 0;
  h.vlanTci0 = 0;
  h.vlanTci1 = 0;
}
