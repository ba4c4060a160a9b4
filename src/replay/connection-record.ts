// What a connection's record holds: word offsets in `Connections.int`, number offsets in `Connections.real`, bits of its state.
// Input: nothing. Output: constants; hot code takes them into constants of its own module.
// Invariant: what a packet needs that changes nothing lies in the first cache line, what any other needs in the second.

/** Words of `int` a connection. */
export const INT_STRIDE = 48;
/** Numbers of `real` a connection. */
export const REAL_STRIDE = 8;

/**
 * Words before the first record; the numbers in AT begin with it. Large typed arrays begin 16 bytes behind a page (the
 * allocator's header), so this puts the records on cache lines.
 */
export const FRONT = 12;

/** Word offsets in `int`, from `number * INT_STRIDE`. Addresses and ports are raw. */
export const AT = {
  // The first cache line: all that a packet needs which can change nothing.
  /** Counts uses of the record, so that a tuple knows whether it still means the same connection. */
  GENERATION: 12,
  /** STATE bits; of a free record the next free one. */
  STATE: 13,
  /** Interface that ENTRY is for, + 1. */
  INTERFACE: 14,
  /** Second, + 1, in which packets went through without a change of state; negated: in which a SYN and ACK did (settled.ts). */
  SETTLED: 15,
  /** TCP flags of those packets: from the initiator in bits 0 to 7, from the other side in 8 to 15. Negated: interface + 1. */
  SETTLED_FLAGS: 16,
  /** Time of the last packet, since start. */
  LAST_NANOSECONDS: 17,
  LAST_SECONDS: 18,
  /**
   * The initiator's own tuple: source, destination as it was asked for; source port low half, destination port high half.
   * In the order of OUT_SOURCE and on, to which it is copied in one piece.
   */
  SOURCE: 19,
  DESTINATION: 23,
  PORTS: 27,
  // The second: what every other packet of a known connection needs.
  /** Hooks by which its packets enter and how they are run: forward HOOK, reply HOOK, forward RUN, reply RUN, a byte each. */
  ENTRY: 28,
  /** The heaviest verdict so far (OUTCOME), its drop reason, hook and unknown reason, a byte each from the lowest. */
  DECISION: 29,
  /** Packets by OUTCOME: six counters. */
  COUNTS: 30,
  /** Number of the connection in the order of first packets; 0 = the record is free. */
  FLOW: 36,
  /** The tuple after translation; equal where nothing is translated. */
  OUT_SOURCE: 37,
  OUT_DESTINATION: 41,
  OUT_PORTS: 45,
  /** Of the heaviest verdict: POLICY_MATCH + 1 and the hook that looked, its action, its conntrack status: a byte each. */
  MATCH: 46,
  /** Its hooks, as Outcome.path. */
  PATH: 47,
  /** Its rule sets of the egress and of the ingress hook. */
  EGRESS_COOKIE: 48,
  INGRESS_COOKIE: 49,
  SOURCE_IDENTITY: 50,
  DESTINATION_IDENTITY: 51,
  /** First packet: capture index, number in it, nanoseconds. */
  CAPTURE: 52,
  FIRST: 53,
  FIRST_NANOSECONDS: 54,
  /** ICMP: type << 8 | code of the first packet. */
  ICMP: 55,
  PROTOCOL: 56,
  /** Interface of the first packet, + 1. */
  FIRST_INTERFACE: 57,
  /** Backend id; reverse NAT index low half, proxy port (raw) high half. */
  BACKEND: 58,
  REVERSE_NAT: 59,
} as const;

/** Offsets in `real`, from `number * REAL_STRIDE`. */
export const REAL = {
  FIRST_SECONDS: 0,
  /** Counted only where somebody asks for connections. */
  FORWARD_PACKETS: 1,
  REPLY_PACKETS: 2,
  FORWARD_BYTES: 3,
  REPLY_BYTES: 4,
  /** Time of the last input each way, nanoseconds since start; of translated connections only. */
  FORWARD_INPUT: 5,
  REPLY_INPUT: 6,
  /** Of connections whose source is translated: hash of the content of the first input. */
  CONTENT: 7,
} as const;

/** Bits of `AT.STATE`. */
export const STATE = {
  IPV6: 1,
  /** Translated: the tuple that was asked for is not the one that goes on. */
  TRANSLATED: 2,
  /** The opening was dropped. */
  DROPPED: 4,
  /** No verdict can be told: every packet is UNKNOWN, for the reason in AT.UNKNOWN. */
  UNKNOWN: 8,
  /** Its opening went through the initiator's own hook, so that the initiator's conntrack knows it. */
  ORIGINATED: 16,
  /** A FIN was seen from the initiator, from the other side; a RST from either. */
  FIN_FORWARD: 32,
  FIN_REPLY: 64,
  RESET: 128,
  /** The other side has answered. */
  ANSWERED: 256,
  /** No two ends that answer each other: ICMP errors and the like. Every packet is an input. */
  LOOSE: 512,
  /** Service lookup is skipped: seen behind the translation. */
  SKIP_SERVICE: 1024,
  /** It has a decision of its own (AT.DECISION …). */
  DECIDED: 2048,
  /** Met since the clock hand last passed. */
  MET: 4096,
  /** Translated at its source: a node's address is in place of the initiator's. */
  MASQUERADED: 8192,
  /** Its first input is known to source-ports.ts. */
  PRINTED: 16384,
  /** The translated packet was seen as predicted or adopted. */
  CONFIRMED: 32768,
} as const;

/** What `find` found. */
export const ROLE = { NONE: 0, ASKED: 1, OUTPUT: 2 } as const;
