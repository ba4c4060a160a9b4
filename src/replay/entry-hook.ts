// The hook by which a packet enters the datapath, told from the vantage point and from whose addresses it has.
// Input: a vantage point and a tuple (raw words). Output: `hook`, how to run it, or the reason why nothing can be said.
// Invariant: replay.md, "Each packet", rule 4; allocates nothing but for addresses that nobody owns.
import { HOOK, type Hook, UNKNOWN_REASON } from '../schema/index.ts';
import type { Headers } from '../wire/index.ts';
import type { Directory } from './directory.ts';
import type { Vantage } from './vantage.ts';
import { RUN } from './way.ts';

const { XDP, FROM_HOST, FROM_CONTAINER, TO_CONTAINER } = HOOK;

/** What an owner is, in `EntryHook.traits`. */
const POD = 1;
/** A pod whose hooks are this dataplane's. */
const ENDPOINT = 2;
/** A node that the dataplane stands for. */
const OWN_NODE = 4;

/** Answers of the last `choose`. */
export class EntryHook {
  hook: Hook = HOOK.NONE;
  /** RUN bits: SKIP_SERVICE, TO_POD. */
  run = 0;
  /** UNKNOWN_REASON, 0 = known. */
  unknown: number = UNKNOWN_REASON.NONE;
  private readonly directory: Directory;
  private readonly masquerade4: boolean;
  private readonly masquerade6: boolean;
  /** By owner: bits, and its node as a number; 0 where the manifests do not say. Texts would be compared for every connection. */
  private readonly traits: Uint8Array;
  private readonly homes: Int32Array;

  /**
   * @param masquerade whether nodes put their own address in place of a pod's towards the outside
   * @param node the node that the dataplane stands for; undefined: every pod of the cluster is an endpoint of it
   */
  constructor(directory: Directory, masquerade: { readonly ipv4: boolean; readonly ipv6: boolean }, node?: string) {
    this.directory = directory;
    this.masquerade4 = masquerade.ipv4;
    this.masquerade6 = masquerade.ipv6;
    const { owners } = directory;
    const numbers = new Map<string | undefined, number>([[undefined, 0]]);
    this.traits = new Uint8Array(owners.length);
    this.homes = new Int32Array(owners.length);
    for (const [number, owner] of owners.entries()) {
      if (owner === undefined) continue;
      const home = numbers.get(owner.node) ?? numbers.size;
      numbers.set(owner.node, home);
      this.homes[number] = home;
      const own = node === undefined || owner.node === node;
      this.traits[number] = owner.kind === 'pod' ? POD | (own ? ENDPOINT : 0) : own ? OWN_NODE : 0;
    }
  }

  /** Fills `hook`, `run` and `unknown` for a packet from `s` to `d`; `ports` as Headers has them. */
  choose(
    at: Vantage,
    family: number,
    s0: number,
    s1: number,
    s2: number,
    s3: number,
    d0: number,
    d1: number,
    d2: number,
    d3: number,
    ports: number,
    protocol: number,
  ): void {
    const { directory, traits, homes } = this;
    const source = directory.ownerOf(family, s0, s1, s2, s3);
    const destination = directory.ownerOf(family, d0, d1, d2, d3);
    const sender = traits[source]!;
    this.run = (traits[destination]! & ENDPOINT) !== 0 ? RUN.TO_POD : 0;
    this.unknown = UNKNOWN_REASON.NONE;
    if (at.kind === 'pod' && (source === at.owner || destination === at.owner)) {
      this.hook = source === at.owner ? FROM_CONTAINER : TO_CONTAINER;
      return;
    }
    if (at.kind === 'node') {
      if ((sender & POD) !== 0 && homes[source] === homes[at.owner]) {
        this.hook = FROM_CONTAINER;
        if (directory.isBackend(family, d0, d1, d2, d3, ports >>> 16, protocol)) this.run |= RUN.SKIP_SERVICE;
        return;
      }
      if (source !== 0 && source === at.owner) {
        this.hook = FROM_HOST;
        const outside = destination === 0 && !directory.isServiceAddress(family, d0, d1, d2, d3);
        if (
          (family === 4 ? this.masquerade4 : this.masquerade6) &&
          outside &&
          !directory.inPodNetwork(family, d0, d1, d2, d3)
        ) {
          this.unknown = UNKNOWN_REASON.MASQUERADED;
        }
        return;
      }
      this.hook = XDP;
    } else {
      this.hook = (sender & ENDPOINT) !== 0 ? FROM_CONTAINER : (sender & OWN_NODE) !== 0 ? FROM_HOST : XDP;
    }
    if (source !== 0 || destination !== 0) return;
    const ours =
      directory.isServiceAddress(family, d0, d1, d2, d3) ||
      directory.isServiceAddress(family, s0, s1, s2, s3) ||
      directory.inPodNetwork(family, d0, d1, d2, d3) ||
      directory.inPodNetwork(family, s0, s1, s2, s3);
    if (!ours) this.unknown = UNKNOWN_REASON.NOT_OURS;
  }

  /** The same for a packet's own tuple. */
  chooseOf(at: Vantage, h: Headers, ports: number): void {
    this.choose(at, h.family, h.s0, h.s1, h.s2, h.s3, h.d0, h.d1, h.d2, h.d3, ports, h.protocol);
  }

  /** The same for a tuple among other words: `s` and `d` are the offsets of its ends in `int`, four words each. */
  chooseAt(at: Vantage, family: number, int: Int32Array, s: number, d: number, ports: number, protocol: number): void {
    this.choose(
      at,
      family,
      int[s]!,
      int[s + 1]!,
      int[s + 2]!,
      int[s + 3]!,
      int[d]!,
      int[d + 1]!,
      int[d + 2]!,
      int[d + 3]!,
      ports,
      protocol,
    );
  }
}
