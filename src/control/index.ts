// The door of control/: manifests and configuration become a ClusterState; the compiler turns it into map writes.
export * from './state.ts';
export { formatProblem, hasErrors, type Problem } from './problem.ts';
export {
  readManifests,
  type InputLimits,
  type LoadResult,
  type ManifestInput,
  type ManifestOptions,
} from './manifest/index.ts';
export {
  defaultConfig,
  ipv6Enabled,
  resolveConfig,
  type Config,
  type ConfigSources,
  type OptionKey,
  type ResolvedConfig,
} from './config/index.ts';
export { loadLabelExpressions } from './label-filter.ts';
export type { RuleRef } from './provenance.ts';
export { FACT_ENTITIES } from './identity.ts';
export { type InspectedConnection, type InspectedRules, InspectedRuleTable } from './policy/inspected-rules.ts';
export { type NamePattern, namePattern } from './policy/name-pattern.ts';
export type { PolicyRule } from './policy/rule.ts';
