// The kernel engine's door.
export { createXdp, FRAME_BOUNDS, leastBytes, runnable, type Xdp, type XdpOptions } from './xdp.ts';
export { kernelUnavailable, KernelUnavailableError, type KernelUnavailable } from './availability.ts';
export { BpfError, checked, errnoName } from './error.ts';
export { createKernelMap, KernelMap, type KernelMapOptions, type MapDump, type MapWatch } from './kernel-map.ts';
export {
  loadObject,
  type LoadedObject,
  type ObjectMapName,
  type ObjectOptions,
  recentPlaces,
  recentSizes,
  sized,
  watches,
} from './object.ts';
export {
  attach,
  Attachment,
  type AttachOptions,
  attachTypes,
  HOOK_PLACES,
  type HookPlace,
  openAttachment,
} from './attachment.ts';
export { FramedDataplane } from './framed.ts';
export { RingEvents } from './ring-events.ts';
export { kernelHz } from './kernel-hz.ts';
export {
  builtFile,
  builtObject,
  type BpfAddon,
  type Handle,
  loadAddon,
  MAP_FLAG,
  MAP_TYPE,
  PACKAGE,
  TCX,
  XDP_MODE,
} from './addon.ts';
export { WildcardFilter } from './wildcard-filter.ts';
