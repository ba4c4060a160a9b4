// The door of config/: Cilium's chart values, its ConfigMap and `--set` become one Config.
export {
  defaultConfig,
  ipv6Enabled,
  mentionsIpv6,
  isDsrBy,
  resolveConfig,
  type ConfigSources,
  type ResolvedConfig,
} from './config.ts';
export { optionKeys, options, type Config, type OptionKey } from './options.ts';
export type { OptionSpec, OptionStatus } from './option-types.ts';
