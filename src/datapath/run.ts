// One call of a hook: begin, dispatch, finish. Input: HOOK number, packet, meta, tables. Output: a VERDICT; the packet's
// bytes, the meta and `cx.record` changed. Invariant: every call ends in exactly one verdict and one record.
import { ACTION, ANSWER, HOOK, TRACE, VERDICT } from '../schema/index.ts';
import type { Context } from './context.ts';
import * as fromContainerHook from './hooks/from-container.ts';
import * as fromHostHook from './hooks/from-host.ts';
import * as fromNetdevHook from './hooks/from-netdev.ts';
import * as fromOverlayHook from './hooks/from-overlay.ts';
import * as toContainerHook from './hooks/to-container.ts';
import * as toHostHook from './hooks/to-host.ts';
import * as toNetdevHook from './hooks/to-netdev.ts';
import * as toOverlayHook from './hooks/to-overlay.ts';
import * as xdpHook from './hooks/xdp.ts';
import * as outcome from './outcome.ts';
import type { Meta, Packet } from './packet.ts';
import * as answerStage from './stages/answer.ts';
import type { Tables } from './tables.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { fromContainer } = fromContainerHook;
const { fromHost } = fromHostHook;
const { fromOverlay } = fromOverlayHook;
const { toOverlay } = toOverlayHook;
const { fromNetdev } = fromNetdevHook;
const { toContainer } = toContainerHook;
const { toHost } = toHostHook;
const { toNetdev } = toNetdevHook;
const { xdp } = xdpHook;
const { answer } = answerStage;
const { finish } = outcome;

const NEIGHBOUR = ANSWER.NEIGHBOUR;
const { FROM_CONTAINER, TO_CONTAINER, FROM_NETDEV, TO_NETDEV, XDP, FROM_HOST, TO_HOST } = HOOK;
const { FROM_OVERLAY, TO_OVERLAY } = HOOK;

/** Hooks that this datapath has. The sockets' hooks are numbered, but not built. */
export const BUILT_HOOKS: readonly number[] = [
  XDP,
  FROM_NETDEV,
  TO_NETDEV,
  FROM_HOST,
  FROM_CONTAINER,
  TO_CONTAINER,
  TO_HOST,
  FROM_OVERLAY,
  TO_OVERLAY,
];

/**
 * Runs one packet through one hook. Never throws, whatever the bytes. A hook that is not built gives VERDICT.ERROR and
 * leaves the packet to the stack.
 */
export function run(cx: Context, tables: Tables, hook: number, packet: Packet, meta: Meta): number {
  cx.begin(hook, packet, meta, tables);
  if (cx.tracing !== 0) {
    cx.trace.open(TRACE.HOOK, 0, 1, 0).key(hook).value(cx.ifindex).value(cx.mark).value(cx.metaFlags);
  }
  const verdict = dispatch(cx, tables, hook);
  if (cx.moved !== 0) takeMoved(cx, packet);
  // Only who sends into this node is answered: pods, and the network.
  if (cx.answer !== 0 && (hook === FROM_CONTAINER || hook === FROM_NETDEV)) sendAnswer(cx, tables, packet);
  else if (cx.grownBytes !== 0) takeGrown(cx, packet);
  return finish(cx, tables, meta, verdict);
}

/** What was dropped, or asked, is answered: the packet is the answer now, in the context's buffer, where the next such run overwrites it. */
const sendAnswer = (cx: Context, tables: Tables, packet: Packet): void => {
  // To a neighbour the answer is there already.
  const length = cx.answer === NEIGHBOUR ? cx.grownBytes : answer(cx, tables);
  cx.grownBytes = 0;
  if (length === 0) return;
  packet.bytes = cx.grown;
  packet.offset = 0;
  packet.capturedEnd = length;
  packet.wireEnd = length;
};

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
      return runXdp(cx, tables);
    case FROM_HOST:
      return fromHost(cx, tables);
    case TO_HOST:
      return toHost(cx, tables);
    case FROM_OVERLAY:
      return fromOverlay(cx, tables);
    case TO_OVERLAY:
      return toOverlay(cx, tables);
    default:
      // Nothing is parsed: what the headers hold is another packet's.
      cx.headers.family = 0;
      cx.action = ACTION.STACK;
      return VERDICT.ERROR;
  }
};

const runXdp = (cx: Context, tables: Tables): number => {
  cx.probesFlow = 0;
  return xdp(cx, tables);
};

/** What another packet held is the packet now, whatever becomes of it. */
const takeMoved = (cx: Context, packet: Packet): void => {
  cx.moved = 0;
  packet.offset = cx.offset;
  packet.capturedEnd = cx.capturedEnd;
  packet.wireEnd = cx.wireEnd;
  packet.linkType = cx.linkType;
};

/** A packet that a hook made longer moves into the context's buffer, where the next such run overwrites it. */
const takeGrown = (cx: Context, packet: Packet): void => {
  const more = cx.grownBytes;
  cx.grownBytes = 0;
  packet.bytes = cx.grown;
  packet.capturedEnd = (cx.capturedEnd - cx.offset + more) | 0;
  packet.wireEnd = (cx.wireEnd - cx.offset + more) | 0;
  packet.offset = 0;
};
