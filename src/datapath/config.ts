// Where the configuration's fields are in the words of the `weir_config` array: the view that stages read.
// Input: schema/record.ts. Output: word offsets (of u16 fields: word and shift). Invariant: derived, never written by hand.
import { configValue } from '../schema/index.ts';

const at = configValue.at;

/** Word offset of each field in `tables.config.words`. */
export const CONFIG_FEATURES = at.features >>> 2;
export const CONFIG_GLOBAL_EPOCH = at.globalEpoch >>> 2;
export const CONFIG_ALGORITHM = at.algorithm >>> 2;
export const CONFIG_MAGLEV_SIZE = at.maglevSize >>> 2;
export const CONFIG_HASH_SEED4 = at.hashSeed4 >>> 2;
export const CONFIG_HASH_SEED6 = at.hashSeed6 >>> 2;
export const CONFIG_RANDOM_SEED = at.randomSeed >>> 2;
export const CONFIG_CT_TCP = at.ctTcpLifetime >>> 2;
export const CONFIG_CT_ANY = at.ctAnyLifetime >>> 2;
export const CONFIG_CT_SERVICE_TCP = at.ctServiceTcpLifetime >>> 2;
export const CONFIG_CT_SERVICE_ANY = at.ctServiceAnyLifetime >>> 2;
export const CONFIG_CT_SYN = at.ctSynLifetime >>> 2;
export const CONFIG_CT_CLOSE = at.ctCloseLifetime >>> 2;
export const CONFIG_CT_GRACE = at.ctServiceGrace >>> 2;
export const CONFIG_REPORT_INTERVAL = at.reportInterval >>> 2;
/** First of the two u16 of the NodePort range: low half first port, high half last port. */
export const CONFIG_NODE_PORTS = at.nodePortFirst >>> 2;
export const CONFIG_LOOPBACK4 = at.loopback4 >>> 2;
/** First of four words. */
export const CONFIG_LOOPBACK6 = at.loopback6 >>> 2;
/** Low half: the node that this dataplane is; high half: raw UDP port of the overlay. */
export const CONFIG_NODE = at.nodeId >>> 2;
export const CONFIG_FLOW_LIFETIME = at.flowLifetime >>> 2;
export const CONFIG_ENCAP_SOURCE4 = at.encapSource4 >>> 2;
/** First of four words. */
export const CONFIG_ENCAP_SOURCE6 = at.encapSource6 >>> 2;
export const CONFIG_ROUTER4 = at.routerAddress4 >>> 2;
/** First of four words. */
export const CONFIG_ROUTER6 = at.routerAddress6 >>> 2;
/** Low byte: kept bits of the IPv4 source; next byte: of the IPv6 source. */
export const CONFIG_ENCAP_PREFIX = at.encapPrefix4 >>> 2;
/** Low half: first port that source NAT gives out; high half: the last. */
export const CONFIG_NAT_PORTS = at.natPortFirst >>> 2;
