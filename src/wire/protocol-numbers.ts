// Numbers that name protocols: link types, Ethernet types, IP protocol numbers.
// Owns names only; hot code repeats the few it needs as module-local constants.

/** Link types of captures that {@link ./parse-frame.ts} reads (tcpdump.org/linktypes.html). */
export const LINK_TYPE = {
  NULL: 0,
  ETHERNET: 1,
  RAW_BSD: 12,
  RAW_OPENBSD: 14,
  RAW: 101,
  LOOP: 108,
  LINUX_COOKED: 113,
  IPV4: 228,
  IPV6: 229,
  LINUX_COOKED_V2: 276,
} as const;

/** Ethernet types, host order (IEEE 802 numbers, IANA). A value below 0x600 is an 802.3 length, not a type. */
export const ETHER_TYPE = {
  IPV4: 0x0800,
  ARP: 0x0806,
  TRANSPARENT_ETHERNET: 0x6558,
  VLAN: 0x8100,
  IPV6: 0x86dd,
  QINQ: 0x88a8,
  QINQ_OLD: 0x9100,
} as const;

/** IP protocol numbers (IANA); the IPv6 extension headers share the number space. */
export const IP_PROTOCOL = {
  HOP_BY_HOP: 0,
  ICMP: 1,
  IGMP: 2,
  IPIP: 4,
  TCP: 6,
  UDP: 17,
  IPV6: 41,
  ROUTING: 43,
  FRAGMENT: 44,
  GRE: 47,
  ESP: 50,
  AUTHENTICATION: 51,
  ICMPV6: 58,
  NO_NEXT_HEADER: 59,
  DESTINATION_OPTIONS: 60,
  SCTP: 132,
} as const;
