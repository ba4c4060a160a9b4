// Frames made wrong: flipped bytes, cut ends, lies about lengths, headers of one frame on the body of another, noise.
// Input: chance, frames that are right. Output: new frames of SHORTEST .. LONGEST bytes. Invariant: the input stays as it is.
import { leastBytes } from '../../../src/dataplane/xdp/index.ts';
import type { Random } from './random.ts';

/** The kernel's test run takes frames of more than a bare Ethernet header. */
export const SHORTEST = 15;
/** And none longer than a page has room for. */
export const LONGEST = 3000;

const INTERESTING: readonly number[] = [
  0, 1, 0x7f, 0x80, 0xff, 0x45, 0x46, 0x4f, 0x60, 6, 17, 1, 58, 132, 44, 43, 51, 59,
];

/** A frame of a length that both engines take. */
export function sized(bytes: Uint8Array): Uint8Array {
  if (bytes.length > LONGEST) return bytes.slice(0, LONGEST);
  if (bytes.length >= SHORTEST) return bytes;
  const out = new Uint8Array(SHORTEST);
  out.set(bytes);
  return out;
}

/** Bytes that both engines want of a frame at least. */
export function leastFor(hook: number, bytes: Uint8Array): number {
  return Math.max(SHORTEST, leastBytes(hook, (bytes[12]! << 8) | bytes[13]!));
}

/** The frame as a hook's test run takes it: longer by zeros where it has to be. */
export function fitting(hook: number, bytes: Uint8Array): Uint8Array {
  const fit = sized(bytes);
  const least = leastFor(hook, fit);
  if (fit.length >= least) return fit;
  const out = new Uint8Array(least);
  out.set(fit);
  return out;
}

const flip = (random: Random, out: Uint8Array): void => {
  const reach = Math.min(out.length, random.pick([out.length, 80, 60, 40]));
  for (let n = random.pick([1, 1, 1, 2, 5]); n > 0; n--) {
    const at = random.below(reach);
    out[at] = random.chance(40)
      ? random.pick(INTERESTING)
      : random.chance(50)
        ? out[at]! ^ (1 << random.below(8))
        : random.u32();
  }
};

/** Offset of the network header: behind up to two tags. */
export function networkOffset(bytes: Uint8Array): number {
  let at = 12;
  for (let i = 0; i < 2; i++) {
    const type = (bytes[at]! << 8) | bytes[at + 1]!;
    if (type !== 0x8100 && type !== 0x88a8 && type !== 0x9100) break;
    at += 4;
  }
  return at + 2;
}

/** Changes a length, an offset, a protocol: the fields that a parser believes. */
const lie = (random: Random, out: Uint8Array): void => {
  const l3 = networkOffset(out);
  if (l3 + 40 > out.length) return;
  const version = out[l3]! >>> 4;
  const put = (at: number, value: number): void => {
    out[at] = value >>> 8;
    out[at + 1] = value;
  };
  const rest = out.length - l3;
  if (version === 4) {
    const l4 = l3 + (out[l3]! & 15) * 4;
    switch (random.below(7)) {
      case 0:
        put(l3 + 2, random.pick([0, 19, 20, 21, 27, 28, 39, 40, rest - 1, rest, rest + 1, 0xffff]));
        break;
      case 1:
        out[l3] = 0x40 | random.below(16);
        break;
      case 2:
        put(l3 + 6, random.pick([0x2000, 0x1fff, 1, 2, 0x2001, 0x8000, 0x4000, 0xc000]));
        break;
      case 3:
        out[l3 + 9] = random.pick([0, 1, 2, 6, 17, 41, 47, 50, 58, 59, 132, 255]);
        break;
      case 4:
        out[l4 + 12] = random.below(16) << 4;
        break;
      case 5:
        out[l3] = (random.below(16) << 4) | 5;
        break;
      default:
        out[l3 + 8] = random.below(3);
    }
  } else if (version === 6) {
    switch (random.below(5)) {
      case 0:
        put(l3 + 4, random.pick([0, 1, 7, 8, 20, rest - 41, rest - 40, rest - 39, 0xffff]));
        break;
      case 1:
        out[l3 + 6] = random.pick([0, 43, 44, 51, 60, 59, 6, 17, 58, 132, 1, 50, 255]);
        break;
      case 2:
        out[l3 + 40] = random.pick([0, 43, 44, 51, 60, 59, 6, 17, 58, 132]);
        break;
      case 3:
        out[l3 + 41] = random.pick([0, 1, 2, 3, 0x7f, 0xff]);
        break;
      default:
        out[l3] = random.below(16) << 4;
    }
  }
};

/** A wrong frame made of a right one, and at times of another. */
export function mutated(random: Random, frame: Uint8Array, other: Uint8Array): Uint8Array {
  let out: Uint8Array = frame.slice();
  switch (random.below(8)) {
    case 0:
    case 1:
      flip(random, out);
      break;
    case 2:
    case 3:
    case 4:
      lie(random, out);
      if (random.chance(20)) lie(random, out);
      break;
    case 5:
      out = out.slice(0, random.below(out.length + 1));
      break;
    case 6: {
      // Headers of one on the body of the other.
      const cut = random.pick([14, 34, 54, random.below(out.length + 1)]);
      const tail = other.subarray(Math.min(other.length, cut));
      const head = out.subarray(0, Math.min(out.length, cut));
      out = new Uint8Array(head.length + tail.length);
      out.set(head);
      out.set(tail, head.length);
      break;
    }
    default: {
      // Longer than its headers say.
      const longer = new Uint8Array(out.length + random.between(1, 40));
      random.fill(longer);
      longer.set(out);
      out = longer;
    }
  }
  return sized(out);
}

/** Noise that begins with some Ethernet type. */
export function noise(random: Random): Uint8Array {
  const out = random.fill(new Uint8Array(random.pick([15, 16, 20, 33, 34, 42, 54, 60, 100])));
  const type = random.pick([
    0x0800, 0x86dd, 0x8100, 0x88a8, 0x9100, 0x0806, 0x88cc, 0x0040, 0x0100, 0x05ff, 0x0600, 0x8847,
  ]);
  out[12] = type >>> 8;
  out[13] = type;
  return out;
}
