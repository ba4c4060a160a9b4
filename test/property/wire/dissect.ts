// Runs every dissector of the wire room over one frame: the frame, the packet that an error quotes, tunnels inside.
// Not a test. Output: all that was said, as one list of numbers that tests compare.

import {
  decapsulate,
  Headers,
  MAX_TUNNELS,
  parseFrame,
  parseIcmpInner,
  parseInner,
  Tunnel,
  WIRE,
} from '../../../src/wire/index.ts';

/** Everything that this room says of a frame, tunnels and quoted packets included, as one comparable list. */
export function dissect(
  bytes: Uint8Array,
  linkType: number,
  offset: number,
  capturedEnd: number,
  wireEnd: number,
): number[] {
  const said: number[] = [];
  let h = new Headers();
  let status = parseFrame(h, linkType, bytes, offset, capturedEnd, wireEnd);
  said.push(status, ...(Object.values(h) as number[]));
  const quoted = new Headers();
  said.push(parseIcmpInner(quoted, h, bytes, capturedEnd, wireEnd), ...(Object.values(quoted) as number[]));
  const tunnel = new Tunnel();
  for (let depth = 0; depth < MAX_TUNNELS; depth++) {
    if (status !== WIRE.OK && status !== WIRE.UNKNOWN_L4) break;
    const found = decapsulate(tunnel, h, bytes, capturedEnd);
    said.push(found, ...(Object.values(tunnel) as number[]));
    if (found !== WIRE.OK) break;
    const next = new Headers();
    status = parseInner(next, tunnel, bytes, capturedEnd);
    said.push(status, ...(Object.values(next) as number[]));
    h = next;
  }
  return said;
}
