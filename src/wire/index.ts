// The wire room's door: protocols as views, parsers, emitters and checksums over bytes.
// Imports nothing from other rooms; nothing here throws.

export * from './address.ts';
export * from './arp.ts';
export * from './bytes.ts';
export * from './checksum.ts';
export * from './decapsulate.ts';
export * from './ethernet.ts';
export * from './geneve.ts';
export * from './glance.ts';
export * from './gre.ts';
export * from './headers.ts';
export * from './icmp-error.ts';
export * from './icmp.ts';
export * from './icmpv6.ts';
export * from './ipv4.ts';
export * from './ipv6.ts';
export * from './linux-cooked.ts';
export * from './ndp.ts';
export * from './parse-frame.ts';
export * from './parse-ip.ts';
export * from './protocol-numbers.ts';
export * from './sctp.ts';
export * from './tcp.ts';
export * from './udp.ts';
export * from './vlan.ts';
export * from './vxlan.ts';
