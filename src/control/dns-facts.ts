// What DNS answers have taught, and until when. In: names with addresses and lifetimes, the time. Out: the facts that a compile reads.
// Invariant: an address stays while it is fresh or somebody still uses it; at most MOST_NAMES names of MOST_ADDRESSES each, the oldest
// go first and are counted.
import { parseAddress } from './manifest/address.ts';
import type { IpAddress } from './state.ts';

/** Names held at once. */
export const MOST_NAMES = 10_000;
/** Addresses of one name: Cilium's `tofqdns-endpoint-max-ip-per-hostname`. */
export const MOST_ADDRESSES = 1000;

interface Learnt {
  readonly address: IpAddress;
  /** Second after which it is stale; Infinity for what a file told. */
  expires: number;
}

/** See the head of this file. */
export class DnsFacts {
  /** Names and addresses given up for want of room. */
  refused = 0;
  private readonly names = new Map<string, Map<string, Learnt>>();
  private next = Infinity;

  /** @param known what is known from the beginning and never goes stale */
  constructor(known: ReadonlyMap<string, readonly IpAddress[]> = new Map()) {
    for (const [name, addresses] of known) {
      this.names.set(name, new Map(addresses.map((address) => [address.text, { address, expires: Infinity }])));
    }
  }

  /** The first second at which something may be stale. */
  get due(): number {
    return this.next;
  }

  /** Learns an answer; true when it tells an address that was not known for the name. Texts that are no addresses are left out. */
  learn(name: string, addresses: readonly string[], expires: number): boolean {
    let own = this.names.get(name);
    if (own === undefined) {
      if (this.names.size >= MOST_NAMES) {
        const [oldest] = this.names.keys();
        this.names.delete(oldest!);
        this.refused++;
      }
      this.names.set(name, (own = new Map()));
    }
    let changed = false;
    for (const text of addresses) {
      const parsed = parseAddress(text);
      if (!parsed.ok) continue;
      const known = own.get(parsed.value.text);
      if (known !== undefined) known.expires = Math.max(known.expires, expires);
      else if (own.size >= MOST_ADDRESSES) this.refused++;
      else {
        own.set(parsed.value.text, { address: parsed.value, expires });
        changed = true;
      }
    }
    this.next = Math.min(this.next, expires);
    return changed;
  }

  /**
   * Forgets what is stale and used by nobody; true when anything was forgotten.
   * @param now second
   * @param inUse which of these addresses somebody still talks to
   */
  expire(now: number, inUse: (addresses: ReadonlySet<string>) => ReadonlySet<string>): boolean {
    const stale = new Set<string>();
    for (const own of this.names.values()) {
      for (const [text, { expires }] of own) if (expires <= now) stale.add(text);
    }
    const used = stale.size === 0 ? stale : inUse(stale);
    let changed = false;
    this.next = Infinity;
    for (const [name, own] of this.names) {
      for (const [text, learnt] of own) {
        if (learnt.expires > now) this.next = Math.min(this.next, learnt.expires);
        // Looked at again in a second.
        else if (used.has(text)) this.next = Math.min(this.next, now + 1);
        else {
          own.delete(text);
          changed = true;
        }
      }
      if (own.size === 0) this.names.delete(name);
    }
    return changed;
  }

  /** As `Facts.dnsNames`. */
  toMap(): ReadonlyMap<string, readonly IpAddress[]> {
    return new Map([...this.names].map(([name, own]) => [name, [...own.values()].map(({ address }) => address)]));
  }
}
