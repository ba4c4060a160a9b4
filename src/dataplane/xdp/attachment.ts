// Programs on interfaces. Input: a loaded program, an interface, perhaps another network namespace. Output: Attachment.
// Invariant: what is attached goes when its Attachment is closed, or with the process, unless it was pinned.
import { HOOK } from '../../schema/index.ts';
import { type BpfAddon, type Handle, TCX, XDP_MODE } from './addon.ts';
import { BpfError, checked } from './error.ts';

/** Where a hook's program hangs: what its name is in the object, and which direction of tc it takes. */
export interface HookPlace {
  readonly hook: number;
  readonly program: string;
  /** undefined: XDP. */
  readonly egress: boolean | undefined;
}

/** Every hook that has a program. A pod's own sending is ingress of the host's end of its pair. */
export const HOOK_PLACES: readonly HookPlace[] = [
  { hook: HOOK.XDP, program: 'weir_xdp', egress: undefined },
  { hook: HOOK.FROM_CONTAINER, program: 'weir_from_container', egress: false },
  { hook: HOOK.TO_CONTAINER, program: 'weir_to_container', egress: true },
  { hook: HOOK.FROM_NETDEV, program: 'weir_from_netdev', egress: false },
  { hook: HOOK.TO_NETDEV, program: 'weir_to_netdev', egress: true },
  { hook: HOOK.FROM_HOST, program: 'weir_from_host', egress: true },
  // Of no use on an interface: the hooks that lead to the node's stack call it.
  { hook: HOOK.TO_HOST, program: 'weir_to_host', egress: false },
];

/** Attach types of the tc programs, for a load that is to use tcx. */
export const attachTypes = (): ReadonlyMap<string, number> =>
  new Map(
    HOOK_PLACES.filter(({ egress }) => egress !== undefined).map(({ program, egress }) => [
      program,
      egress === true ? TCX.EGRESS : TCX.INGRESS,
    ]),
  );

/** How and where to attach. */
export interface AttachOptions {
  /** Number or name of the interface. */
  readonly device: number | string;
  /** Path of the network namespace that the interface is in; the process's own if absent. */
  readonly netns?: string;
  /** XDP: in the driver, in the stack, or whichever works (default). */
  readonly mode?: keyof typeof XDP_MODE;
  /** tc: tcx, clsact, or tcx where the kernel has it (default). */
  readonly tc?: 'tcx' | 'clsact' | 'any';
}

/** A program on an interface. */
export class Attachment {
  /** `xdp`, `tcx` or `clsact`. */
  readonly kind: 'xdp' | 'tcx' | 'clsact';
  readonly ifindex: number;
  private readonly addon: BpfAddon;
  private readonly link: Handle;

  constructor(addon: BpfAddon, link: Handle, kind: 'xdp' | 'tcx' | 'clsact', ifindex: number) {
    this.addon = addon;
    this.link = link;
    this.kind = kind;
    this.ifindex = ifindex;
  }

  /** Puts another program in place at once. Throws BpfError. */
  replace(program: Handle): void {
    checked(this.addon.linkUpdate(this.link, program), 'replace program of', this.text());
  }

  /**
   * Keeps it beyond the process. Throws BpfError; EOPNOTSUPP for clsact. Where others will write to the maps meanwhile, the engine
   * is to be made with `shared`: else its programs remember for a second what was, and wildcard entries that they do not know.
   */
  pin(path: string): void {
    checked(this.addon.linkPin(this.link, path), 'pin', path);
  }

  /** Link id, program id and interface as the kernel says; the interface is 0 when it is gone. */
  info(): { linkId: number; programId: number; ifindex: number } {
    const words = new Int32Array(4);
    checked(this.addon.linkInfo(this.link, words), 'ask about', this.text());
    return { linkId: words[0]! >>> 0, programId: words[1]! >>> 0, ifindex: words[3]! };
  }

  /** Takes the program off, pinned or not. */
  detach(): void {
    this.addon.linkDetach(this.link);
    this.addon.close(this.link);
  }

  /** Lets go: takes the program off unless it was pinned. Idempotent. */
  close(): void {
    this.addon.close(this.link);
  }

  private text(): string {
    return `${this.kind} link on interface ${this.ifindex}`;
  }
}

/** Attaches a program of a hook. Throws BpfError. */
export function attach(addon: BpfAddon, place: HookPlace, program: Handle, options: AttachOptions): Attachment {
  const { device, netns } = options;
  const ifindex =
    typeof device === 'number' ? device : checked(addon.interfaceIndex(device, netns), 'find interface', device);
  const object = `${place.program} on ${device}`;
  if (place.egress === undefined) {
    const mode = XDP_MODE[options.mode ?? 'ANY'];
    const link = checked(addon.linkXdp(program, ifindex, mode, netns), 'attach', object);
    return new Attachment(addon, link, 'xdp', ifindex);
  }
  const wanted = options.tc ?? 'any';
  if (wanted !== 'clsact') {
    const link = addon.linkTcx(program, ifindex, place.egress, netns);
    if (link >= 0) return new Attachment(addon, link, 'tcx', ifindex);
    // A kernel before 6.6 does not know the attach type: EINVAL. Anything else is about this interface or program.
    if (wanted === 'tcx' || link !== EINVAL) throw new BpfError('attach', object, link);
  }
  const link = checked(addon.linkClsact(program, ifindex, place.egress, netns), 'attach', object);
  return new Attachment(addon, link, 'clsact', ifindex);
}

const EINVAL = -22;

/** A pinned attachment. Throws BpfError. */
export function openAttachment(addon: BpfAddon, path: string): Attachment {
  const link = checked(addon.linkOpen(path), 'open', path);
  const words = new Int32Array(4);
  checked(addon.linkInfo(link, words), 'ask about', path);
  return new Attachment(addon, link, words[2] === LINK_TYPE_XDP ? 'xdp' : 'tcx', words[3]!);
}

/** BPF_LINK_TYPE_XDP. */
const LINK_TYPE_XDP = 6;
