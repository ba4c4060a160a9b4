// Lookups in the service maps: masters and slots. Input: the destination address in the headers, port, slot, scope.
// Output: word offsets. Invariant: every lookup is counted and traced. Twin: native/bpf/service_map.h.
import { serviceValue, STAGE, TRACE, traceMapNumber } from '../../schema/index.ts';
import type { Context } from '../context.ts';
import type { Tables } from '../tables.ts';

const SERVICE = STAGE.SERVICE;
const SERVICES4 = traceMapNumber('services4');
const SERVICES6 = traceMapNumber('services6');
const VALUE_WORDS = serviceValue.bytes >>> 2;

/** Words of the service map of the packet's family. */
export function serviceWords(cx: Context, tables: Tables): Int32Array {
  return cx.headers.family === 4 ? tables.services4.words : tables.services6.words;
}

/**
 * Looks an entry up: master (slot 0) or slot.
 * @param portSlot raw port in the low half, slot number in the high half
 * @param protocolScope protocol in the low byte, scope in the next
 * @returns word offset in {@link serviceWords}, or -1
 */
export function findService(cx: Context, tables: Tables, portSlot: number, protocolScope: number): number {
  const h = cx.headers;
  cx.probesService = (cx.probesService + 1) | 0;
  const at =
    h.family === 4
      ? tables.services4.find(h.d0, portSlot, protocolScope)
      : tables.services6.find(h.d0, h.d1, h.d2, h.d3, portSlot, protocolScope);
  if (cx.tracing !== 0) traceService(cx, tables, at, portSlot, protocolScope);
  return at;
}

const traceService = (cx: Context, tables: Tables, at: number, portSlot: number, protocolScope: number): void => {
  const h = cx.headers;
  const four = h.family === 4;
  const kind = portSlot >>> 16 === 0 ? TRACE.SERVICE_LOOKUP : TRACE.SERVICE_SLOT;
  const t = cx.trace.open(kind, SERVICE, at >= 0 ? 1 : 0, four ? SERVICES4 : SERVICES6).key(h.d0);
  if (!four) t.key(h.d1).key(h.d2).key(h.d3);
  t.key(portSlot).key(protocolScope).values(serviceWords(cx, tables), at, VALUE_WORDS);
};
