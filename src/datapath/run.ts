// One call of a hook: begin, dispatch, finish. Input: HOOK number, packet, meta, tables. Output: a VERDICT; the packet's
// bytes, the meta and `cx.record` changed. Invariant: every call ends in exactly one verdict and one record.
import { ACTION, HOOK, TRACE, VERDICT } from '../schema/index.ts';
import { type Context } from './context.ts';
import { fromContainer } from './hooks/from-container.ts';
import { fromHost } from './hooks/from-host.ts';
import { fromNetdev, xdp } from './hooks/from-netdev.ts';
import { toContainer } from './hooks/to-container.ts';
import { toNetdev } from './hooks/to-netdev.ts';
import { finish } from './outcome.ts';
import { type Meta, type Packet } from './packet.ts';
import { type Tables } from './tables.ts';

const { FROM_CONTAINER, TO_CONTAINER, FROM_NETDEV, TO_NETDEV, XDP, FROM_HOST } = HOOK;

/** Hooks that this datapath has. The overlay's and the sockets' hooks are numbered, but not built. */
export const BUILT_HOOKS: readonly number[] = [XDP, FROM_NETDEV, TO_NETDEV, FROM_HOST, FROM_CONTAINER, TO_CONTAINER];

/**
 * Runs one packet through one hook. Never throws, whatever the bytes. A hook that is not built gives VERDICT.ERROR and
 * leaves the packet to the stack.
 */
export function run(cx: Context, tables: Tables, hook: number, packet: Packet, meta: Meta): number {
  cx.begin(hook, packet, meta, tables);
  if (cx.tracing !== 0) {
    cx.trace.open(TRACE.HOOK, 0, 1, 0).key(hook).value(cx.ifindex).value(cx.mark).value(cx.metaFlags);
  }
  return finish(cx, tables, meta, dispatch(cx, tables, hook));
}

const dispatch = (cx: Context, tables: Tables, hook: number): number => {
  switch (hook) {
    case FROM_CONTAINER:
      return fromContainer(cx, tables);
    case TO_CONTAINER:
      return toContainer(cx, tables);
    case FROM_NETDEV:
      return fromNetdev(cx, tables);
    case TO_NETDEV:
      return toNetdev(cx, tables);
    case XDP:
      return xdp(cx, tables);
    case FROM_HOST:
      return fromHost(cx, tables);
    default:
      // Nothing is parsed: what the headers hold is another packet's.
      cx.headers.family = 0;
      cx.action = ACTION.STACK;
      return VERDICT.ERROR;
  }
};
