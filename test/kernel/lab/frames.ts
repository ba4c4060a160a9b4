// Frames of a recording as a test looks at them: Ethernet, perhaps an outer IP header, IP, TCP. Read by hand, so that what
// Weir did is not judged by Weir's own parser. Input: a capture file. Output: Frame[]. Invariant: other frames are left out.
import { openCapture } from '../../../src/capture/file/index.ts';
import { readAll } from '../../support/capture-reading.ts';

/** A TCP segment on the wire. */
export interface Frame {
  readonly family: 4 | 6;
  /** Bytes on the wire. */
  readonly bytes: number;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** The first segment of a connection: SYN without ACK. */
  readonly opens: boolean;
  /** Addresses and hop limit of the header around it. */
  readonly outer?: { readonly source: string; readonly destination: string; readonly hops: number };
}

interface Header {
  readonly family: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly hops: number;
  readonly end: number;
}

function address6(view: DataView, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(at + 2 * i).toString(16)).join(':');
  const zeros = /(?:^|:)0(?::0)+(?=:|$)/.exec(groups);
  if (zeros === null) return groups;
  const [before, after] = [groups.slice(0, zeros.index), groups.slice(zeros.index + zeros[0].length)];
  return `${before}:${after === '' ? ':' : after}`;
}

function header(view: DataView, at: number): Header | undefined {
  if (view.byteLength < at + 20) return undefined;
  if (view.getUint8(at) >>> 4 === 4) {
    const text = (from: number): string => [0, 1, 2, 3].map((i) => view.getUint8(from + i)).join('.');
    const [hops, protocol] = [view.getUint8(at + 8), view.getUint8(at + 9)];
    const end = at + 4 * (view.getUint8(at) & 15);
    return { family: 4, source: text(at + 12), destination: text(at + 16), protocol, hops, end };
  }
  if (view.byteLength < at + 40) return undefined;
  const [protocol, hops] = [view.getUint8(at + 6), view.getUint8(at + 7)];
  const [source, destination] = [address6(view, at + 8), address6(view, at + 24)];
  return { family: 6, source, destination, protocol, hops, end: at + 40 };
}

/** The TCP segments of a capture, in order. */
export async function framesOf(file: string): Promise<Frame[]> {
  const { packets, error } = await readAll(await openCapture(file));
  if (error !== undefined) throw new Error(error.message);
  return packets.flatMap(({ data, wireBytes }) => {
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const type = view.getUint16(12);
    let ip = type === 0x0800 || type === 0x86dd ? header(view, 14) : undefined;
    let outer: Frame['outer'];
    if (ip?.protocol === 4 || ip?.protocol === 41) {
      outer = { source: ip.source, destination: ip.destination, hops: ip.hops };
      ip = header(view, ip.end);
    }
    if (ip?.protocol !== 6 || view.byteLength < ip.end + 14) return [];
    const { family, source, destination, end } = ip;
    return [
      {
        family,
        bytes: wireBytes,
        source,
        destination,
        sourcePort: view.getUint16(end),
        destinationPort: view.getUint16(end + 2),
        opens: (view.getUint8(end + 13) & 0x12) === 2,
        ...(outer === undefined ? {} : { outer }),
      },
    ];
  });
}
