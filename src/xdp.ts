// The package's second door, `weir/xdp`: the kernel engine behind the same Dataplane interface as the simulator's.
// Input: none. Output: what loads it, puts its programs on interfaces, and says why it cannot run. Importing it loads nothing
// native: createXdp() does.
export {
  attach,
  Attachment,
  type AttachOptions,
  type BpfAddon,
  BpfError,
  createXdp,
  FRAME_BOUNDS,
  FramedDataplane,
  type Handle,
  HOOK_PLACES,
  type HookPlace,
  KernelMap,
  type KernelUnavailable,
  KernelUnavailableError,
  kernelUnavailable,
  leastBytes,
  type MapDump,
  type MapWatch,
  openAttachment,
  runnable,
  type Xdp,
  type XdpOptions,
} from './dataplane/xdp/index.ts';
