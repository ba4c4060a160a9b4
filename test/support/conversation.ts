// TCP conversations and datagrams as steps of a hand-made capture. In: the two ends, what each says. Out: frames with right sequence numbers.
import { frame, type PacketSpec } from './packets.ts';
import type { Step } from './replay-world.ts';

/** The two ends as the capture shows them. */
export interface Ends {
  readonly client: string;
  readonly clientPort: number;
  readonly server: string;
  readonly serverPort: number;
}

/** One piece: who says it, and what; `lost` pieces were sent and not captured. */
export interface Said {
  readonly by: 'client' | 'server';
  readonly bytes: Uint8Array;
  readonly lost?: boolean;
}

const START: { readonly client: number; readonly server: number } = { client: 0xfffffff0, server: 5000 };

/** A handshake, what is said, and the end. The client's sequence numbers pass through zero. */
export function conversation(ends: Ends, said: readonly Said[]): Step[] {
  const next = { client: START.client, server: START.server };
  const steps: Step[] = [];
  const send = (by: 'client' | 'server', flags: string, payload: Uint8Array, lost = false): void => {
    const there = {
      source: ends.client,
      sourcePort: ends.clientPort,
      destination: ends.server,
      destinationPort: ends.serverPort,
    };
    const back = {
      source: ends.server,
      sourcePort: ends.serverPort,
      destination: ends.client,
      destinationPort: ends.clientPort,
    };
    const spec: PacketSpec = {
      protocol: 'tcp',
      ...(by === 'client' ? there : back),
      flags,
      sequence: next[by],
      payload,
    };
    next[by] = (next[by] + payload.length + (/[SF]/.test(flags) ? 1 : 0)) >>> 0;
    if (!lost) steps.push({ frame: frame(spec) });
  };
  const nothing = new Uint8Array(0);
  send('client', 'S', nothing);
  send('server', 'SA', nothing);
  send('client', 'A', nothing);
  for (const { by, bytes, lost } of said) send(by, 'PA', bytes, lost);
  send('client', 'FA', nothing);
  return steps;
}

/** One datagram. */
export const datagram = (ends: Ends, by: 'client' | 'server', payload: Uint8Array): Step => ({
  frame: frame({
    protocol: 'udp',
    ...(by === 'client'
      ? { source: ends.client, sourcePort: ends.clientPort, destination: ends.server, destinationPort: ends.serverPort }
      : {
          source: ends.server,
          sourcePort: ends.serverPort,
          destination: ends.client,
          destinationPort: ends.clientPort,
        }),
    payload,
  }),
});
