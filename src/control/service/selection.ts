// Which backends of a frontend are selectable, which only drain, which are idle. Input: a port's backends, what the Service
// and the node say. Output: slots in order. Invariant: a preference (node, zone) never leaves a Service without a backend
// that it would have otherwise; only a traffic policy Local does.
import { BACKEND_STATE } from '../../schema/index.ts';
import type { ServiceBackend } from './backends.ts';

/** Backends of a frontend by what they are good for, each list in slot order. */
export interface Slots {
  /** Selectable. */
  readonly backends: readonly ServiceBackend[];
  /** Only for connections that have them already: terminating, or quarantined. */
  readonly draining: readonly ServiceBackend[];
  /** In maintenance: no slot, but known. */
  readonly idle: readonly ServiceBackend[];
}

/** No backends at all. */
export const NO_SLOTS: Slots = { backends: [], draining: [], idle: [] };

/**
 * Active backends are selectable; without one, those that still serve while they terminate. A quarantined one keeps its state
 * and has a slot behind the selectable ones.
 */
export function slotsOf(offered: readonly ServiceBackend[], quarantined: ReadonlySet<string>): Slots {
  const sick = (backend: ServiceBackend): boolean => quarantined.size > 0 && quarantined.has(backend.key);
  const active = offered.filter((backend) => backend.state === BACKEND_STATE.ACTIVE && !sick(backend));
  const idle = offered.filter(({ state }) => state === BACKEND_STATE.MAINTENANCE);
  const rest = offered.filter(
    (backend) =>
      backend.state === BACKEND_STATE.TERMINATING || (backend.state === BACKEND_STATE.ACTIVE && sick(backend)),
  );
  if (active.length > 0) return { backends: active, draining: rest, idle };
  const standsIn = (backend: ServiceBackend): boolean =>
    backend.state === BACKEND_STATE.TERMINATING && backend.serving && !sick(backend);
  return { backends: rest.filter(standsIn), draining: rest.filter((backend) => !standsIn(backend)), idle };
}

const isActive = ({ state }: ServiceBackend): boolean => state === BACKEND_STATE.ACTIVE;

/** Those on the node, while one of them is active; otherwise all. */
export function preferNode(all: readonly ServiceBackend[], node: string): readonly ServiceBackend[] {
  const own = all.filter(({ nodeName }) => nodeName === node);
  return own.some(isActive) ? own : all;
}

/**
 * Those that hints give to the zone (Kubernetes' topology-aware routing): all of them instead when the node's zone is unknown,
 * when an active one has no hints, or when no active one has the zone's hint.
 */
export function preferZone(all: readonly ServiceBackend[], zone: string | undefined): readonly ServiceBackend[] {
  if (zone === undefined || all.some((backend) => isActive(backend) && backend.hints.length === 0)) return all;
  const own = all.filter(({ hints }) => hints.includes(zone));
  return own.some(isActive) ? own : all;
}
