// What direct server return adds to packets, put together by hand. Input: a frame, a frontend. Output: frames with the option;
// what a frame's option says. Shares no code with the product.
import { addressBytes, addressText, internetChecksum } from './packets.ts';

/** A frame of IPv4 or IPv6 without VLAN tags with the option of a frontend, as a balancer on a little-endian machine sends it. */
export function withOption(frame: Uint8Array, frontend: string, port: number): Uint8Array {
  const address = addressBytes(frontend);
  const four = address.length === 4;
  const option = four
    ? [0x9a, 8, port & 0xff, port >> 8, ...address.slice().reverse()]
    : [frame[20]!, 2, 0x1b, 20, ...address, port >> 8, port & 0xff, 0, 0];
  const at = 14 + (four ? 20 : 40);
  const out = Uint8Array.from([...frame.subarray(0, at), ...option, ...frame.subarray(at)]);
  if (four) {
    out[14] = out[14]! + 2;
    put16(out, 16, get16(out, 16) + 8);
    put16(out, 24, 0);
    put16(out, 24, internetChecksum(out.subarray(14, 14 + (out[14]! & 15) * 4)));
  } else {
    out[20] = 60;
    put16(out, 18, get16(out, 18) + 24);
  }
  return out;
}

/** What the option says that follows the fixed header directly, if there is one. */
export function optionOf(frame: Uint8Array): { readonly address: string; readonly port: number } | undefined {
  if (frame[14]! >> 4 === 4) {
    if ((frame[14]! & 15) < 7 || frame[34] !== 0x9a || frame[35] !== 8) return undefined;
    return { address: addressText(frame.slice(38, 42).reverse()), port: frame[36]! | (frame[37]! << 8) };
  }
  if (frame[20] !== 60 || frame[55] !== 2 || frame[56] !== 0x1b || frame[57] !== 20) return undefined;
  return { address: addressText(frame.slice(58, 74)), port: get16(frame, 74) };
}

const get16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
const put16 = (bytes: Uint8Array, at: number, value: number): void => {
  bytes[at] = value >> 8;
  bytes[at + 1] = value & 0xff;
};

/** An IPv4 frame with other options, whose length is a multiple of four. */
export function withIpOptions(frame: Uint8Array, options: Uint8Array): Uint8Array {
  const out = Uint8Array.from([...frame.subarray(0, 34), ...options, ...frame.subarray(34)]);
  out[14] = out[14]! + options.length / 4;
  put16(out, 16, get16(out, 16) + options.length);
  put16(out, 24, 0);
  put16(out, 24, internetChecksum(out.subarray(14, 34 + options.length)));
  return out;
}

/** An IPv6 frame with so many empty destination options headers before what it has. */
export function withExtensions(frame: Uint8Array, count: number): Uint8Array {
  const headers = Array.from({ length: count }, (_, i) => [
    i === count - 1 ? frame[20]! : 60,
    0,
    1,
    4,
    0,
    0,
    0,
    0,
  ]).flat();
  const out = Uint8Array.from([...frame.subarray(0, 54), ...headers, ...frame.subarray(54)]);
  if (count > 0) out[20] = 60;
  put16(out, 18, get16(out, 18) + headers.length);
  return out;
}
