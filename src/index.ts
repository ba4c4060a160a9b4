// The library's public door: load manifests, compile them, run packets or whole captures, print what came of it.
// Input: none. Output: the types and functions that the package promises; what is not here may change.
export {
  type ClusterState,
  type Config,
  type ConfigSources,
  defaultConfig,
  formatProblem,
  hasErrors,
  loadLabelExpressions,
  type LoadResult,
  type ManifestInput,
  type Problem,
  readManifests,
  resolveConfig,
  type ResolvedConfig,
} from './control/index.ts';
export { type CompileOptions } from './control/settings.ts';
export { type Compiled, type CompiledNames, Compiler } from './control/compile.ts';
export { type ContentDump, Controller, type Settled } from './control/controller.ts';
export { controlKey } from './control/object-kinds.ts';
export { MEMORY_MAPS, type MemoryDump, type MemoryMapName } from './control/service/remembered-numbers.ts';
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
export { collectConntrack, ConntrackGc, type GcOptions, mapPressure, type MapPressure } from './dataplane/index.ts';
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
export { CaptureOpenError, openCapture, type OpenCaptureOptions } from './capture/file/index.ts';
export * from './flow/index.ts';
export {
  type InterfaceVantage,
  type JudgedPacket,
  replay,
  type ReplayCapture,
  type ReplayOptions,
  type ReplayResult,
  type ReplaySink,
  Upkeep,
  type UpkeepStep,
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
// Types that the functions above are described with.
export type * from './control/state.ts';
export type * from './control/state-policy.ts';
export type * from './control/config/option-types.ts';
export type { options, OptionKey } from './control/config/options.ts';
export type { AddressIdentity, IdentityView, PodIdentity } from './control/identity.ts';
export type { LabelIndex, Requirement, Selector } from './control/selector.ts';
export type { Label, LabelSet } from './control/labels.ts';
export type { NodeAddressView, NodeView } from './control/nodes.ts';
export type { CompileSummary } from './control/compile.ts';
export type { CompiledMapName, DesiredMaps } from './control/desired-map.ts';
export type { DesiredMap } from './control/desired-map.ts';
export type { NamedRule } from './control/policy/compile-policies.ts';
export type { MapSizes } from './control/map-sizes.ts';
export type { Interface, Neighbour, Route, Topology } from './control/topology.ts';
export type {
  Direction,
  FqdnPeer,
  Isolation,
  NamedProtocol,
  NormalPolicies,
  Peer,
  PolicyRule,
  PortMatch,
  Requires,
  RuleTier,
  RuleVerdict,
} from './control/policy/rule.ts';
export type { HealthFact } from './control/service/backend-health.ts';
export type { FrontendName } from './control/service/plane.ts';
export type { FrontendType } from './control/service/frontend.ts';
export type { HealthAnswer, HealthCheck } from './control/service/health-check.ts';
export type { BackendRow, FrontendRow, ServiceRow } from './control/service/rows.ts';
export type { PacketIndex } from './capture/index.ts';
export type { LazyBytes } from './maps/index.ts';
export type {
  Inspected,
  InspectedEnds,
  InspectedPayload,
  NameAnswer,
  NameLearning,
  PayloadInspection,
} from './replay/index.ts';
export type { CollectedEntries, CollectedPass, CollectOptions } from './dataplane/index.ts';
export type { InputLimits } from './control/manifest/tree.ts';
export type { ManifestOptions } from './control/manifest/manifests.ts';
export type { PathRules } from './control/load/manifest-files.ts';
export type { MaglevSeed } from './control/maglev/seed.ts';
export type { ProvenanceData } from './control/provenance.ts';
export type * from './layout/struct.ts';
export type { decisionRecord } from './schema/record.ts';
export type { Hook } from './schema/codes.ts';
export type { MapName } from './schema/maps.ts';
export type { MapKind, MapSpec, UPDATE, UpdateFlag } from './schema/map-spec.ts';
export type { AppliedWrites, MapStats, TypedMap } from './maps/index.ts';
export type { Context } from './datapath/context.ts';
export type { StoredMapName } from './datapath/tables.ts';
export type { TraceBuffer } from './datapath/trace-buffer.ts';
export type { Headers } from './wire/headers.ts';
export type { Counts, Denied } from './replay/counts.ts';
export type { Describer, PacketFacts } from './replay/describe.ts';
export type { Directory, NodePlace, Owner } from './replay/directory.ts';
export type { Outcome } from './replay/outcome.ts';
export type { AfterHook } from './replay/way.ts';
export type { ByteWindow } from './capture/byte-window.ts';
export type { FormatDecoder } from './capture/decoder.ts';
export type { ByteSource, Chunk, ChunkSource, PacketVerdict } from './capture/packet-source.ts';
export type { CaptureReaderOptions } from './capture/reader.ts';
export type {
  InterfaceToWrite,
  PacketAnnotations,
  PcapngWriterOptions,
  PcapWriterOptions,
  VerdictToWrite,
} from './capture/writer.ts';
