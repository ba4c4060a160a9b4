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

/** Resolves names on the pods of an identity. */
export class NamedPortTable {
  private readonly byIdentity = new Map<number, Map<string, Set<number>>>();
  private readonly signatures = new Map<number, Set<string>>();

  constructor(pods: readonly PodIdentity[]) {
    for (const { pod, identities, namedPorts } of pods) {
      for (const { identity } of identities) this.note(identity, pod, namedPorts);
    }
  }

  /** Learns the ports of a pod of an identity. */
  note(identity: number, pod: Pod, signature: string): void {
    const seen = this.signatures.get(identity);
    if (seen?.has(signature) === true) return;
    if (seen === undefined) this.signatures.set(identity, new Set([signature]));
    else seen.add(signature);
    for (const { name, protocol, containerPort } of pod.ports) {
      if (name === undefined) continue;
      let ports = this.byIdentity.get(identity);
      if (ports === undefined) this.byIdentity.set(identity, (ports = new Map()));
      const key = `${name.toLowerCase()}/${protocol}`;
      const numbers = ports.get(key);
      if (numbers === undefined) ports.set(key, new Set([containerPort]));
      else numbers.add(containerPort);
    }
  }

  /** The identity has no pod left. */
  forget(identity: number): void {
    this.byIdentity.delete(identity);
    this.signatures.delete(identity);
  }

  /** True when some pod of the identity has exactly these named ports, and no pod has others. */
  knows(identity: number, signature: string): boolean {
    const seen = this.signatures.get(identity);
    return seen !== undefined && seen.size === 1 && seen.has(signature);
  }

  /** `name/PROTO` → numbers on the pods of an identity. */
  of(identity: number): ReadonlyMap<string, ReadonlySet<number>> {
    return this.byIdentity.get(identity) ?? new Map();
  }

  /** Identities with named ports among these; everybody and the cluster's aggregate stand for all of them. */
  candidates(identities: readonly number[]): readonly number[] {
    const all = identities.includes(IDENTITY.UNKNOWN) || identities.includes(IDENTITY.AGGREGATE_CLUSTER);
    const named = [...this.byIdentity.keys()].sort((a, b) => a - b);
    if (all) return named;
    const wanted = new Set(identities);
    return named.filter((identity) => wanted.has(identity));
  }

  /** An identity whose pods disagree about a name, or undefined. */
  ambiguous(identities: readonly number[], name: string, protocols: readonly string[]): number | undefined {
    return this.candidates(identities).find((identity) =>
      protocols.some((protocol) => {
        if ((this.signatures.get(identity)?.size ?? 0) < 2) return false;
        return (this.of(identity).get(`${name}/${protocol}`)?.size ?? 0) > 1;
      }),
    );
  }
}
