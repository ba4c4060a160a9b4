// Fixed-size trace records that stages append in the simulator when tracing is on: what was looked up, under which
// key, what was found. Printers turn them into sentences; there is no second evaluator.
// Layout of one record (TRACE_WORDS int32 words): [kind, stage, result, keyWords, valueWords, key…, value…, map].
import { MAPS, type MapName } from './maps.ts';

/**
 * What a trace record tells. Addresses are raw words: one for IPv4, four for IPv6. "Stored" = the words of the map's key or
 * value struct. `result` is 1 = found, 0 = absent where nothing else is said.
 */
export const TRACE = {
  /** key: source (4 words), destination (4 words), raw ports; value: family, protocol, fragment, TCP flags, ICMP type, code; result: WIRE status. */
  PARSED: 1,
  /** Master entry of a frontend: key and value as stored. */
  SERVICE_LOOKUP: 2,
  /** Slot of a frontend: key and value as stored. */
  SERVICE_SLOT: 3,
  /** key: reverse NAT index, slot of the table; value: backend id, 1 = the slot is on the move; result 0: there is no table. */
  MAGLEV_SLOT: 4,
  /** key and value as stored; result 1: honoured, 2: found, but expired or no longer a backend of the frontend. */
  AFFINITY: 5,
  /** key: backend id; value as stored. */
  BACKEND: 6,
  /** key: destination (4 words) and raw ports before; value: the same after. */
  DNAT: 7,
  /** key and value as stored; result 2: found, but expired. */
  CT_LOOKUP: 8,
  /** key and value as stored; result 0 or a negative errno. */
  CT_CREATE: 9,
  /** An answer came: key as stored, value as stored in the established map. */
  CT_PROMOTE: 10,
  /** key: address; value as stored. */
  IPCACHE: 11,
  /** key: address; value as stored. */
  ENDPOINT: 12,
  /** key: policy id; value as stored. */
  POLICY_META: 13,
  /** key as stored; value as stored when found. */
  POLICY_PROBE: 14,
  /** key: policy id, identity, port, protocol, 1 = egress; value: precedence, cookie, POLICY_MATCH, 1 = audited; result: 0 or the drop reason. */
  POLICY_VERDICT: 15,
  /** key: reverse NAT index; value as stored. */
  REVERSE_NAT: 16,
  /** key: source (4 words) before; value: after. */
  LOOPBACK: 17,
  /** key: destination (4 words); value: ACTION, interface. */
  FORWARD: 18,
  /** result: the drop reason. */
  DROP: 19,
  /** key as stored; value: raw ports; result 2: recorded from a first fragment. */
  FRAGMENT: 20,
  /** The hook begins. key: HOOK; value: ifindex, mark, META_FLAG bits. */
  HOOK: 21,
  /** key: reverse NAT index, address; value as stored; result: whether a range covers the client. */
  SOURCE_RANGE: 22,
  /** key: address; value as stored. */
  ROUTE: 23,
  /** key as stored; value as stored. */
  NEIGHBOUR: 24,
  /** Flow that xdp remembers: key and value as stored; result 2: found, but expired or its backend may not serve any more. */
  FLOW: 25,
  /** key and value as stored. */
  FLOW_CREATE: 26,
  /** key: backend id; value as stored; result 0: unknown, so back to the router that the packet came from. */
  NEXT_HOP: 27,
  /** key: outer source (4 words), outer destination (4 words); value: outer length, ACTION, interface. */
  ENCAPSULATE: 28,
  /** key: source (4 words), destination (4 words) of the answer; value: ANSWER, MTU; result: ANSWERED, see there. */
  ANSWER: 29,
  /** NAT map: key and value as stored. */
  NAT_LOOKUP: 40,
  /** NAT map: key and value as stored; result: attempts that it took, 0: made again from the other half. */
  NAT_CREATE: 41,
  /** key: source (4 words) and raw ports before; value: the same after. */
  SNAT: 42,
  /** key: destination (4 words) and raw ports before; value: the same after. */
  NAT_BACK: 43,
  /** key: destination (4 words); value: NO_MASQUERADE, 0 = masqueraded; result: 1 = masqueraded. */
  MASQUERADE: 44,
  /** The packet quoted by an ICMP error. key: source (4 words), destination (4 words), raw ports; value: 1 = its source is replaced, else its destination; address (4 words), raw port. */
  NAT_ERROR: 45,
  /** Destinations that see pods as they are. key: address; value as stored. */
  NO_MASQUERADE: 46,
  /** A neighbour's question. key: address, interface as stored; value as stored; result 2: found, but the question may not be answered. */
  ANNOUNCED: 60,
  /** A bandwidth limit. key: endpoint id; value: limit as stored (4 words), seconds and nanoseconds of the departure, bytes; result 0: there is none, 1: at once, 2: later, 3: beyond the horizon. */
  LIMIT: 61,
  /** Direct server return, at the balancer. key: frontend (4 words) and raw port; value: bytes that the option adds. */
  DIRECT_RETURN: 47,
  /** The same at the backend's node: what the packet tells. key and value alike. */
  DIRECT_RETURN_TOLD: 48,
  /** The same for the answer. key: source (4 words) and raw ports before; value: after. */
  DIRECT_ANSWER: 49,
  /** Put into a packet of the overlay. key: outer source (4 words), destination (4 words); value: network identifier, raw source port, bytes, ACTION. */
  OVERLAY_ENTER: 50,
  /** Taken out of one. key alike; value: network identifier, raw source port. */
  OVERLAY_LEAVE: 51,
  /** An IPIP packet around one for a load balancer was opened. value: bytes of the outer header. */
  IPIP_OPENED: 52,
} as const;

/** Results of TRACE.ANSWER. */
export const ANSWERED = {
  /** Sent. */
  YES: 1,
  /** Too many answers within the second. */
  LIMITED: 2,
  /** What came must not be answered: an answer or error itself, a later fragment, group or impossible addresses, an unknown own address. */
  MUST_NOT: 0,
} as const;

/** Words of one trace record: a 5-word header, up to 10 key words, up to 16 value words, the map. */
export const TRACE_WORDS = 32;
/** Word offsets within a trace record. */
export const TRACE_AT = {
  KIND: 0,
  STAGE: 1,
  RESULT: 2,
  KEY_WORDS: 3,
  VALUE_WORDS: 4,
  KEY: 5,
  VALUE: 15,
  MAP: 31,
} as const;

/** Maps by the number that a trace record holds in its last word; 0 = no map was asked. */
export const TRACE_MAPS: readonly (MapName | undefined)[] = [undefined, ...(Object.keys(MAPS) as MapName[])];
/** The number of a map in trace records. */
export const traceMapNumber = (name: MapName): number => TRACE_MAPS.indexOf(name);
