// Port matches → shapes of the policy map: protocol, port under a prefix, direction. Input: PortMatch. Output: the third word
// of a policy key, as both engines load it (little-endian): port in network order, protocol, shape byte.
import { POLICY_DIRECTION, SHAPE_ANY_PROTOCOL } from '../../schema/index.ts';
import { type Direction, type NamedProtocol, type PortMatch, PROTOCOL_NUMBER } from './rule.ts';

/** The third word of a policy key, u32. `shape`: port-prefix length 0..16, or SHAPE_ANY_PROTOCOL. */
export function shapeWord(direction: Direction, protocol: number, port: number, shape: number): number {
  const low = direction === 'egress' ? shape | POLICY_DIRECTION.EGRESS : shape;
  return (((port >>> 8) | ((port & 0xff) << 8) | (protocol << 16)) + low * 0x1000000) >>> 0;
}

/** The shape number of a key's third word: its bit in the meta entry's bitmaps. */
export const shapeOfWord = (word: number): number => (word >>> 24) & 0x7f;

/** True when a key's third word is for egress. */
export const isEgressWord = (word: number): boolean => (word & 0x80000000) !== 0;

/** The word of "every protocol, every port". */
export const anyProtocolWord = (direction: Direction): number => shapeWord(direction, 0, 0, SHAPE_ANY_PROTOCOL);

/** The fewest prefixes that make up `first`..`last`, each as its first port and its length in bits; at most 30. */
export function portPrefixes(first: number, last: number): { readonly port: number; readonly bits: number }[] {
  const prefixes: { port: number; bits: number }[] = [];
  let port = first;
  while (port <= last) {
    let size = port === 0 ? 0x10000 : port & -port;
    while (port + size - 1 > last) size >>>= 1;
    prefixes.push({ port, bits: 16 - Math.log2(size) });
    port += size;
  }
  return prefixes;
}

/** Ports behind a container-port name: those of the destination pod. */
export type NamedPorts = (name: string, protocol: NamedProtocol) => Iterable<number>;

/** The words of a match; `named` resolves names (a name that means nothing gives no word). */
export function portWords(match: PortMatch, direction: Direction, named: NamedPorts): number[] {
  switch (match.kind) {
    case 'all':
      return [anyProtocolWord(direction)];
    case 'ports':
      return portPrefixes(match.first, match.last).map(({ port, bits }) =>
        shapeWord(direction, match.protocol, port, bits),
      );
    case 'icmp':
      return [shapeWord(direction, PROTOCOL_NUMBER[match.family === 4 ? 'ICMP' : 'ICMPv6'], match.type, 16)];
    case 'named':
      return match.protocols.flatMap((protocol) =>
        [...named(match.name, protocol)].map((port) => shapeWord(direction, PROTOCOL_NUMBER[protocol], port, 16)),
      );
  }
}
