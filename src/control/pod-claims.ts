// What pods lay claim to, endpoints or not: addresses and namespaces. Input: pods as they come, change and go. Output: whether
// somebody else claims the same. Invariant: of pods on the host's network the addresses are the node's, of those that have ended
// nobody's.
import { hostPrefix } from './prefix.ts';
import type { IpAddress, Pod } from './state.ts';

/** Addresses of a pod that has any of its own, each once: none once it has ended. */
export const livingAddresses = ({ phase, podIPs, hostNetwork }: Pod): readonly IpAddress[] =>
  hostNetwork || phase === 'Succeeded' || phase === 'Failed'
    ? []
    : [...new Map(podIPs.map((address) => [address.text, address])).values()];

/** Text of an address' prefix, as the ipcache has it. */
export const prefixText = (address: IpAddress): string => hostPrefix(address).text;

/** See the head of this file. */
export class PodClaims {
  /** Address → how many pods. */
  private readonly addresses = new Map<string, number>();
  private readonly namespaces = new Map<string, number>();

  constructor(pods: Iterable<Pod>) {
    for (const pod of pods) this.change(undefined, pod);
  }

  /** A pod has come, gone or changed. */
  change(before: Pod | undefined, after: Pod | undefined): void {
    if (before !== undefined) this.count(before, -1);
    if (after !== undefined) this.count(after, 1);
  }

  /** Whether a pod (the same one before and after) shares none of its addresses with another, and names none twice. */
  isAlone(before: Pod | undefined, after: Pod | undefined): boolean {
    const own = new Set(before === undefined ? [] : livingAddresses(before).map(({ text }) => text));
    for (const pod of [before, after]) {
      if (pod === undefined) continue;
      const living = livingAddresses(pod);
      if (living.length > 0 && living.length < pod.podIPs.length) return false;
      for (const { text } of living) if ((this.addresses.get(text) ?? 0) > (own.has(text) ? 1 : 0)) return false;
    }
    return true;
  }

  /** Whether some pod is in a namespace. */
  populates(namespace: string): boolean {
    return this.namespaces.has(namespace);
  }

  /** Whether every pod is in one of these namespaces. */
  isWithin(namespaces: { has(name: string): boolean }): boolean {
    return [...this.namespaces.keys()].every((name) => namespaces.has(name));
  }

  private count(pod: Pod, by: 1 | -1): void {
    add(this.namespaces, pod.namespace, by);
    for (const { text } of livingAddresses(pod)) add(this.addresses, text, by);
  }
}

function add(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
