// Container-port names: on one pod, and on the pods of an identity. Input: pods with identities. Output: port numbers.
// Invariant: a name matches with its protocol only; names are compared in lower case.
import { IDENTITY } from '../../schema/index.ts';
import type { PodIdentity } from '../identity.ts';
import type { Pod } from '../state.ts';
import type { NamedPorts } from './ports.ts';

/** Resolves names on one pod. A pod's containers may give one name several numbers. */
export function podPorts(pod: Pod): NamedPorts {
  return (name, protocol) =>
    pod.ports
      .filter((port) => port.name?.toLowerCase() === name && port.protocol === protocol)
      .map(({ containerPort }) => containerPort);
}

interface IdentityPorts {
  /** `namedPortsText` → a pod with these ports, and how many addresses of the identity have them. */
  readonly signatures: Map<string, { readonly pod: Pod; count: number }>;
  /** `name/PROTO` → numbers; undefined: to be worked out. */
  numbers: Map<string, Set<number>> | undefined;
}

/** Resolves names on the pods of an identity. */
export class NamedPortTable {
  private readonly byIdentity = new Map<number, IdentityPorts>();
  /** Identities with named ports, ascending; undefined: to be worked out. */
  private named: readonly number[] | undefined;

  constructor(pods: readonly PodIdentity[]) {
    for (const pod of pods) this.join(pod);
  }

  /** Learns the ports of a pod: of each of its identities, once an address. */
  join({ pod, identities, namedPorts }: PodIdentity): void {
    for (const { identity } of identities) {
      let ports = this.byIdentity.get(identity);
      if (ports === undefined) this.byIdentity.set(identity, (ports = { signatures: new Map(), numbers: undefined }));
      const same = ports.signatures.get(namedPorts);
      if (same !== undefined) {
        same.count++;
        continue;
      }
      ports.signatures.set(namedPorts, { pod, count: 1 });
      this.forget(ports);
    }
  }

  /** A pod that has joined goes. */
  leave({ identities, namedPorts }: PodIdentity): void {
    for (const { identity } of identities) {
      const ports = this.byIdentity.get(identity)!;
      const own = ports.signatures.get(namedPorts)!;
      if (--own.count > 0) continue;
      ports.signatures.delete(namedPorts);
      if (ports.signatures.size === 0) this.byIdentity.delete(identity);
      this.forget(ports);
    }
  }

  private forget(ports: IdentityPorts): void {
    ports.numbers = undefined;
    this.named = undefined;
  }

  /** True when the pods of the identity have exactly these named ports, and there are some. */
  knows(identity: number, signature: string): boolean {
    const seen = this.byIdentity.get(identity)?.signatures;
    return seen !== undefined && seen.size === 1 && seen.has(signature);
  }

  /** `name/PROTO` → numbers on the pods of an identity. */
  of(identity: number): ReadonlyMap<string, ReadonlySet<number>> {
    const ports = this.byIdentity.get(identity);
    if (ports === undefined) return NO_PORTS;
    return (ports.numbers ??= numbersOf([...ports.signatures.values()].map(({ pod }) => pod)));
  }

  /** Identities with named ports among these; everybody and the cluster's aggregate stand for all of them. */
  candidates(identities: readonly number[]): readonly number[] {
    const all = identities.includes(IDENTITY.UNKNOWN) || identities.includes(IDENTITY.AGGREGATE_CLUSTER);
    this.named ??= [...this.byIdentity]
      .filter(([, { signatures }]) => signatures.size > 1 || !signatures.has(''))
      .map(([identity]) => identity)
      .sort((a, b) => a - b);
    if (all) return this.named;
    const wanted = new Set(identities);
    return this.named.filter((identity) => wanted.has(identity));
  }

  /** An identity whose pods disagree about a name, or undefined. */
  ambiguous(identities: readonly number[], name: string, protocols: readonly string[]): number | undefined {
    return this.candidates(identities).find((identity) =>
      protocols.some((protocol) => {
        if ((this.byIdentity.get(identity)?.signatures.size ?? 0) < 2) return false;
        return (this.of(identity).get(`${name}/${protocol}`)?.size ?? 0) > 1;
      }),
    );
  }
}

const NO_PORTS: ReadonlyMap<string, ReadonlySet<number>> = new Map();

function numbersOf(pods: readonly Pod[]): Map<string, Set<number>> {
  const numbers = new Map<string, Set<number>>();
  for (const { name, protocol, containerPort } of pods.flatMap(({ ports }) => ports)) {
    if (name === undefined) continue;
    const key = `${name.toLowerCase()}/${protocol}`;
    const known = numbers.get(key);
    if (known === undefined) numbers.set(key, new Set([containerPort]));
    else known.add(containerPort);
  }
  return numbers;
}
