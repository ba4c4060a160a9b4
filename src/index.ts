// The library's public door: load manifests, compile them, run packets or whole captures, print what came of it.
// Input: none. Output: the types and functions that the package promises; what is not here may change.
export {
  type ClusterState,
  type Config,
  type ConfigSources,
  defaultConfig,
  formatProblem,
  hasErrors,
  type LoadResult,
  type ManifestInput,
  type Problem,
  readManifests,
  resolveConfig,
  type ResolvedConfig,
} from './control/index.ts';
export { type CompileOptions } from './control/settings.ts';
export { type Compiled, type CompiledNames, Compiler } from './control/compile.ts';
export { diff } from './control/diff.ts';
export { loadManifests, type LoadOptions } from './control/load/index.ts';
export {
  DEFAULT_MAGLEV_SEED,
  DEFAULT_MAGLEV_SIZE,
  type MaglevBackend,
  maglevLookup,
  type MaglevOptions,
  maglevTable,
  parseMaglevSeed,
} from './control/maglev/index.ts';
export { Provenance, type RuleRef } from './control/provenance.ts';
export {
  type Dataplane,
  type Decision,
  type Events,
  Meta,
  type Metric,
  Packet,
  type Trace,
} from './dataplane/index.ts';
export { createSim, type Sim, type SimOptions } from './dataplane/sim/index.ts';
export {
  type ByteSink,
  type CaptureError,
  type CaptureInterface,
  CaptureReader,
  memorySource,
  MergedCapture,
  type PacketOptions,
  type PacketSource,
  PcapngWriter,
  PcapWriter,
} from './capture/index.ts';
export { CaptureOpenError, openCapture } from './capture/file/index.ts';
export * from './flow/index.ts';
export {
  type InterfaceVantage,
  type JudgedPacket,
  replay,
  type ReplayCapture,
  type ReplayOptions,
  type ReplayResult,
  type ReplaySink,
  type Vantage,
} from './replay/index.ts';
export {
  ACTION,
  CT_STATUS,
  CT_STATUS_NAME,
  DROP,
  dropName,
  HOOK,
  HOOK_NAME,
  IDENTITY,
  MAPS,
  VERDICT,
  VERDICT_NAME,
} from './schema/index.ts';
export { applyWrites, type ByteMap, type MapWrite, typedMap } from './maps/index.ts';
