// The door of manifest/: text → documents → typed objects → ClusterState. Pure; files are load/'s business.
export {
  containsAddress,
  containsPrefix,
  formatAddress,
  parseAddress,
  parsePrefix,
  type AddressResult,
} from './address.ts';
export { readManifests, type LoadResult, type ManifestInput, type ManifestOptions } from './manifests.ts';
export { defaultLimits, type InputLimits } from './tree.ts';
