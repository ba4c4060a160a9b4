// ARP for IPv4 over Ethernet (RFC 826): offsets, readers, the value ArpRepr, parse and emit.
// Input: bytes and the absolute offset behind the Ethernet header. Output: fields, a value, or bytes written.
// Invariant: parse accepts only hardware 1, protocol 0x0800, lengths 6 and 4; emit writes everything or nothing.

import { fits, readBe16, readRaw32, writeBe16, writeBytes, writeRaw32 } from './bytes.ts';

/** Size of an IPv4-over-Ethernet message. */
export const ARP_BYTES = 28;
/** Offset of the operation, be16. */
export const ARP_OPERATION = 6;
/** Offset of the sender's MAC. */
export const ARP_SENDER_MAC = 8;
/** Offset of the sender's IPv4 address. */
export const ARP_SENDER_ADDRESS = 14;
/** Offset of the target's MAC. */
export const ARP_TARGET_MAC = 18;
/** Offset of the target's IPv4 address. */
export const ARP_TARGET_ADDRESS = 24;
/** Operation numbers. */
export const ARP = { REQUEST: 1, REPLY: 2 } as const;

/** An ARP message; MACs of 6 bytes, raw addresses. */
export interface ArpRepr {
  readonly operation: number;
  readonly senderMac: Uint8Array;
  readonly senderAddress: number;
  readonly targetMac: Uint8Array;
  readonly targetAddress: number;
}

/** Whether the bytes at `at` are an ARP message for IPv4 over Ethernet that ends by `end`; after it, readers are safe. */
export function isArp(bytes: Uint8Array, at: number, end: number): boolean {
  if (at + ARP_BYTES > end) return false;
  return readBe16(bytes, at) === 1 && readBe16(bytes, at + 2) === 0x0800 && bytes[at + 4] === 6 && bytes[at + 5] === 4;
}

/** Operation, host order; unchecked. */
export function readArpOperation(bytes: Uint8Array, at: number): number {
  return readBe16(bytes, at + ARP_OPERATION);
}

/** Raw IPv4 address that is asked for; unchecked. */
export function readArpTargetAddress(bytes: Uint8Array, at: number): number {
  return readRaw32(bytes, at + ARP_TARGET_ADDRESS);
}

/** Parses the message at `at`; `undefined` when {@link isArp} is false. */
export function parseArp(bytes: Uint8Array, at: number, end: number): ArpRepr | undefined {
  if (!isArp(bytes, at, end)) return undefined;
  return {
    operation: readArpOperation(bytes, at),
    senderMac: bytes.slice(at + ARP_SENDER_MAC, at + ARP_SENDER_MAC + 6),
    senderAddress: readRaw32(bytes, at + ARP_SENDER_ADDRESS),
    targetMac: bytes.slice(at + ARP_TARGET_MAC, at + ARP_TARGET_MAC + 6),
    targetAddress: readArpTargetAddress(bytes, at),
  };
}

/** Writes the message; returns 28, or 0 (nothing written) when it does not fit or a MAC is not 6 bytes long. */
export function emitArp(out: Uint8Array, at: number, repr: ArpRepr): number {
  if (!fits(out, at, ARP_BYTES) || repr.senderMac.length !== 6 || repr.targetMac.length !== 6) return 0;
  writeBe16(out, at, 1);
  writeBe16(out, at + 2, 0x0800);
  out[at + 4] = 6;
  out[at + 5] = 4;
  writeBe16(out, at + ARP_OPERATION, repr.operation);
  writeBytes(out, at + ARP_SENDER_MAC, repr.senderMac);
  writeRaw32(out, at + ARP_SENDER_ADDRESS, repr.senderAddress);
  writeBytes(out, at + ARP_TARGET_MAC, repr.targetMac);
  writeRaw32(out, at + ARP_TARGET_ADDRESS, repr.targetAddress);
  return ARP_BYTES;
}
