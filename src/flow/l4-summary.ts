// The summary that Hubble puts at the end of a line: TCP flags, ICMP's type, or the protocol's name.
// Input: protocol numbers as on the wire. Output: text as Hubble's L3/L4 parser writes it (gopacket's ICMP names).
import type { FlowL4 } from './record.ts';

/** Order in which Hubble prints them, with their bits. */
export const TCP_FLAGS: readonly (readonly [name: string, bit: number])[] = [
  ['SYN', 2],
  ['ACK', 16],
  ['RST', 4],
  ['FIN', 1],
  ['PSH', 8],
  ['URG', 32],
  ['ECE', 64],
  ['CWR', 128],
];

const ICMP4: Readonly<Record<number, string>> = {
  0: 'EchoReply',
  3: 'DestinationUnreachable',
  4: 'SourceQuench',
  5: 'Redirect',
  8: 'EchoRequest',
  9: 'RouterAdvertisement',
  10: 'RouterSolicitation',
  11: 'TimeExceeded',
  12: 'ParameterProblem',
  13: 'TimestampRequest',
  14: 'TimestampReply',
  17: 'AddressMaskRequest',
  18: 'AddressMaskReply',
};
const ICMP4_UNREACHABLE: readonly string[] = [
  'Net',
  'Host',
  'Protocol',
  'Port',
  'FragmentationNeeded',
  'SourceRoutingFailed',
  'NetUnknown',
  'HostUnknown',
  'SourceIsolated',
  'NetAdminProhibited',
  'HostAdminProhibited',
  'NetTOS',
  'HostTOS',
  'CommAdminProhibited',
  'HostPrecedence',
  'PrecedenceCutoff',
];
const ICMP6: Readonly<Record<number, string>> = {
  1: 'DestinationUnreachable',
  2: 'PacketTooBig',
  3: 'TimeExceeded',
  4: 'ParameterProblem',
  128: 'EchoRequest',
  129: 'EchoReply',
  130: 'MLDv1MulticastListenerQueryMessage',
  131: 'MLDv1MulticastListenerReportMessage',
  132: 'MLDv1MulticastListenerDoneMessage',
  133: 'RouterSolicitation',
  134: 'RouterAdvertisement',
  135: 'NeighborSolicitation',
  136: 'NeighborAdvertisement',
  137: 'Redirect',
  143: 'MLDv2MulticastListenerReportMessageV2',
};
const ICMP6_UNREACHABLE: readonly string[] = [
  'NoRouteToDst',
  'AdminProhibited',
  'BeyondScopeOfSrc',
  'AddressUnreachable',
  'PortUnreachable',
  'SrcAddressFailedPolicy',
  'RejectRouteToDst',
];

const PROTOCOLS: Readonly<Record<number, string>> = {
  0: 'IPv6 hop-by-hop',
  1: 'ICMPv4',
  2: 'IGMP',
  4: 'IPIP',
  6: 'TCP',
  17: 'UDP',
  33: 'DCCP',
  41: 'IPv6 in IP',
  46: 'RSVP',
  47: 'GRE',
  50: 'ESP',
  51: 'AH',
  58: 'ICMPv6',
  59: 'IPv6 no next header',
  88: 'EIGRP',
  89: 'OSPF',
  103: 'PIM',
  112: 'VRRP',
  115: 'L2TP',
  132: 'SCTP',
  136: 'UDPLite',
};

const ETHER_TYPES: Readonly<Record<number, string>> = {
  0x0806: 'ARP',
  0x8035: 'RARP',
  0x809b: 'AppleTalk',
  0x8100: 'VLAN',
  0x8137: 'IPX',
  0x8808: 'Ethernet flow control',
  0x8809: 'LACP',
  0x8847: 'MPLS',
  0x8848: 'MPLS',
  0x8863: 'PPPoE',
  0x8864: 'PPPoE',
  0x888e: 'EAPOL',
  0x88a8: 'VLAN',
  0x88cc: 'LLDP',
  0x88e5: 'MACsec',
  0x88f7: 'PTP',
};

/** Name of an IP protocol number. */
export const ipProtocolName = (number: number): string => PROTOCOLS[number] ?? `IP protocol ${number}`;

/** Name of what an Ethernet type (host order) announces; below 0x600 it is a length, and LLC follows. */
export function etherTypeName(type: number): string {
  if (type < 0x600) return 'LLC';
  return ETHER_TYPES[type] ?? `Ethernet 0x${type.toString(16).padStart(4, '0')}`;
}

/** `SYN, ACK`: the flags that are set. */
export function tcpFlagsText(flags: number): string {
  return TCP_FLAGS.filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name)
    .join(', ');
}

/** Hubble's Summary: `TCP Flags: SYN`, `ICMPv4 EchoRequest`, or the protocol's name. */
export function l4Summary(protocol: string, l4: FlowL4 | undefined): string {
  if (l4 === undefined) return protocol;
  if (l4.number === 6) return l4.tcpFlags === undefined ? 'TCP' : `TCP Flags: ${tcpFlagsText(l4.tcpFlags)}`;
  if (l4.icmpType === undefined) return protocol;
  const six = l4.number === 58;
  const type = (six ? ICMP6 : ICMP4)[l4.icmpType] ?? String(l4.icmpType);
  const unreachable = l4.icmpType === (six ? 1 : 3);
  const code = unreachable ? (six ? ICMP6_UNREACHABLE : ICMP4_UNREACHABLE)[l4.icmpCode ?? 0] : undefined;
  return `${protocol} ${type}${code === undefined ? '' : `(${code})`}`;
}
