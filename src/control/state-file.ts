// A state file: Services and EndpointSlices without an API server (agent flag lb-state-file). Input: its text. Output: objects,
// problems. Invariant: the file is the whole desired state; a text with an error gives no objects at all, an empty one none.
import { readManifests } from './manifest/index.ts';
import type { Problem } from './problem.ts';
import type { EndpointSlice, Service } from './state.ts';

/** What a state file holds. */
export interface StateFile {
  readonly services: readonly Service[];
  readonly slices: readonly EndpointSlice[];
}

/**
 * Reads a state file: one map of `services` and `endpoints` (EndpointSlices), YAML or JSON. `undefined` is a missing file,
 * which holds nothing, as an empty one does. Without a state there were errors.
 */
export function readStateFile(
  text: string | undefined,
  file: string,
): { readonly state: StateFile | undefined; readonly problems: readonly Problem[] } {
  if (text === undefined) return { state: { services: [], slices: [] }, problems: [] };
  const { state, problems } = readManifests([{ file, text, stateFile: true }]);
  return {
    state: state === undefined ? undefined : { services: state.services, slices: state.endpointSlices },
    problems,
  };
}
