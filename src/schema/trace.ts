// Fixed-size trace records that stages append in the simulator when tracing is on: what was looked up, under which
// key, what was found. Printers turn them into sentences; there is no second evaluator.
// Layout of one record (TRACE_WORDS int32 words): [kind, stage, result, keyWords, valueWords, key…, value…].

/** What a trace record tells. */
export const TRACE = {
  /** Headers parsed: key = tuple (addresses, ports), value = [protocol, fragment]. */
  PARSED: 1,
  /** A map lookup: key and value as stored; result 1 = found. `map` index in value[0] of the header word. */
  SERVICE_LOOKUP: 2,
  SERVICE_SLOT: 3,
  MAGLEV_SLOT: 4,
  AFFINITY: 5,
  BACKEND: 6,
  DNAT: 7,
  CT_LOOKUP: 8,
  CT_CREATE: 9,
  CT_PROMOTE: 10,
  IPCACHE: 11,
  ENDPOINT: 12,
  POLICY_META: 13,
  POLICY_PROBE: 14,
  POLICY_VERDICT: 15,
  REVERSE_NAT: 16,
  LOOPBACK: 17,
  FORWARD: 18,
  DROP: 19,
  FRAGMENT: 20,
  HOOK: 21,
} as const;

/** Words of one trace record: a 5-word header, up to 10 key words, up to 16 value words, one spare. */
export const TRACE_WORDS = 32;
/** Word offsets within a trace record. */
export const TRACE_AT = { KIND: 0, STAGE: 1, RESULT: 2, KEY_WORDS: 3, VALUE_WORDS: 4, KEY: 5, VALUE: 15 } as const;
