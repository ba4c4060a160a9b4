// Bytes of map entries as people read them: addresses, ports, protocols, service flags. Input: decoded fields. Output: text.
import { formatAddress } from '../../control/manifest/address.ts';
import { SERVICE_FLAG } from '../../schema/index.ts';

/** An address field (be32 number or 16 bytes). */
export const addressText = (address: number | Uint8Array): string =>
  typeof address === 'number'
    ? formatAddress(Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address))
    : formatAddress(address);

/** `address:port`, IPv6 in brackets. */
export const socketText = (address: number | Uint8Array, port: number): string =>
  typeof address === 'number' ? `${addressText(address)}:${port}` : `[${addressText(address)}]:${port}`;

const PROTOCOLS: Readonly<Record<number, string>> = {
  0: 'ANY',
  1: 'ICMP',
  6: 'TCP',
  17: 'UDP',
  58: 'ICMPv6',
  132: 'SCTP',
};

/** Name of an IP protocol number. */
export const protocolText = (protocol: number): string => PROTOCOLS[protocol] ?? String(protocol);

const F = SERVICE_FLAG;

/** The type that flags of a master entry tell. */
export function serviceType(flags: number): string {
  if ((flags & F.LOCAL_REDIRECT) !== 0) return 'LocalRedirect';
  if ((flags & F.HOST_PORT) !== 0) return 'HostPort';
  if ((flags & F.NODE_PORT) !== 0) return 'NodePort';
  if ((flags & F.LOAD_BALANCER) !== 0) return 'LoadBalancer';
  return (flags & F.EXTERNAL_IP) !== 0 ? 'ExternalIPs' : 'ClusterIP';
}

/** Flags of a master entry in Cilium's words, type first. */
export function serviceFlags(flags: number): string[] {
  const words = [serviceType(flags)];
  const put = (flag: number, word: string): void => void ((flags & flag) !== 0 && words.push(word));
  put(F.EXT_LOCAL, 'Local');
  put(F.INT_LOCAL, 'InternalLocal');
  put(F.TWO_SCOPES, 'two-scopes');
  put(F.AFFINITY, 'sessionAffinity');
  if ((flags & F.ROUTABLE) === 0) words.push('non-routable');
  put(F.SOURCE_RANGE, 'check source-range');
  if ((flags & F.SOURCE_RANGE) !== 0) put(F.DENY_OR_QUARANTINED, 'deny');
  put(F.NAT46X64, '46x64');
  put(F.L7LB, 'l7-load-balancer');
  put(F.L7_DELEGATE, (flags & F.HOST_PORT) !== 0 ? 'loopback' : 'delegate-if-local');
  put(F.FORWARD_DSR, 'dsr');
  return words;
}

/** BACKEND_STATE by number. */
export const BACKEND_STATE_TEXT: readonly string[] = ['none', 'active', 'terminating', 'quarantined', 'maintenance'];
