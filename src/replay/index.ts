// The door of replay: captures, a dataplane and the cluster's objects in; judged packets and connections out.
export { addressText, portNumber } from './address-text.ts';
export { Counts, type Denied } from './counts.ts';
export { Describer, type PacketFacts, unknownText } from './describe.ts';
export { covers, Directory, type Owner } from './directory.ts';
export { Judge, type JudgeOptions } from './judge.ts';
export { NamedDoubt, type NameCompiler, NameLearning } from './name-learning.ts';
export { Opening } from './opening.ts';
export { OBSERVED_AS, OUTCOME, Outcome, WAY } from './outcome.ts';
export type {
  Inspected,
  InspectedEnds,
  InspectedPayload,
  NameAnswer,
  PayloadInspection,
} from './payload-inspection.ts';
export {
  type InterfaceVantage,
  type JudgedPacket,
  replay,
  type ReplayCapture,
  type ReplayOptions,
  type ReplayResult,
  type ReplaySink,
} from './replay.ts';
export { ServiceNames } from './service-names.ts';
export { Upkeep, type UpkeepStep } from './upkeep.ts';
export { parseVantage, type Vantage, VANTAGE_BYTES, VANTAGE_PACKETS, VantageObserver } from './vantage.ts';
export { VantageSource } from './vantage-source.ts';
export { type AfterHook, PURPOSE, RUN, Way } from './way.ts';
