// What became of a packet of a connection that a backend has: kept, or broken, how and why. Input: facts about one packet.
// Output: a Fate with its text. Invariant: a break whose cause is none of the known ones says so, and is a defect.

/** What is known about the packet. Seconds. */
export interface FateFacts {
  readonly flow: number;
  /** Backend that has the connection. */
  readonly from: string;
  /** Backend that got the packet; undefined: none did. */
  readonly to: string | undefined;
  /** Whether the backend may still have connections: ready or draining. */
  readonly stays: boolean;
  /** Whether it could not at any time since the connection was opened. */
  readonly left: boolean;
  /** Since the flow's last packet. */
  readonly idle: number;
  /** Since the last change of the backends in the flow's life; undefined: there was none. */
  readonly sinceChange: number | undefined;
  /** Since the table alone gives another backend; undefined: it gives this one, or the hook does not go by it. */
  readonly sinceAway: number | undefined;
  /** Whether what was remembered of the flow has been evicted since its last packet. */
  readonly evicted: boolean;
  /** Whether the backend that got the packet had an older connection of the same ports, seen within a lifetime. */
  readonly older: boolean;
  /** Whether the hook goes by the table and remembers only flows of slots on the move. */
  readonly stateless: boolean;
  readonly lifetime: number;
}

/** Causes of a break. `unexplained` is a defect. */
export type Cause = 'backend left' | 'idle' | 'evicted' | 'outlived' | 'older connection' | 'unexplained';

/** `reset`: another backend got it and has no such connection; `dropped`: nobody did. */
export interface Fate {
  readonly kind: 'kept' | 'reset' | 'dropped' | 'misdelivered';
  readonly cause: Cause | undefined;
  readonly text: string;
}

function causeOf(facts: FateFacts): Cause {
  const { left, idle, evicted, sinceChange, sinceAway, older, lifetime, stateless } = facts;
  if (left) return 'backend left';
  if (idle >= lifetime) return 'idle';
  if (evicted && (stateless || sinceChange !== undefined)) return 'evicted';
  if (sinceAway !== undefined && sinceAway > lifetime) return 'outlived';
  if (older && stateless) return 'older connection';
  return 'unexplained';
}

const WHY: Readonly<Record<Cause, string>> = {
  'backend left': 'its backend is, or was for a while, neither ready nor draining',
  idle: 'nothing was seen of it for longer than a flow is remembered',
  evicted: 'what was remembered of it was evicted, and its backend cannot be told from the table',
  outlived: 'it went on for longer after a change than the table keeps both ways',
  'older connection':
    'what was remembered of an older connection of the same ports had not run out when its slot moved again',
  unexplained: 'no known cause: a defect',
};

/** Classifies. */
export function fateOf(facts: FateFacts): Fate {
  const { flow, from, to, stays } = facts;
  if (to === from) return { kind: 'kept', cause: undefined, text: `flow ${flow} stays with ${from}` };
  const cause = causeOf(facts);
  // A backend that is gone cannot miss the packet; where it stays, the connection is cut though both ends are well.
  const kind = to === undefined ? 'dropped' : stays ? 'misdelivered' : 'reset';
  const what =
    to === undefined
      ? 'is dropped'
      : stays
        ? `is delivered to ${to}, which does not know it, while ${from} waits`
        : `goes on at ${to}, which resets it`;
  return { kind, cause, text: `flow ${flow} of ${from} ${what}: ${WHY[cause]}` };
}
