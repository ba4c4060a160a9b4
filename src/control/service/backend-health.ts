// Which backends are sick behind which Service: what health checks found, and the quarantines of a process before.
// Input: facts, a restart's quarantines. Output: backends to leave out. Invariant: a fact outlives neither its backend nor, while a
// process starts, the wait for it.
import type { L4Protocol } from '../state.ts';
import { backendKeyOf, type ServiceBackend } from './backends.ts';

/** A backend's health behind one Service, as a health check found it. */
export interface HealthFact {
  readonly namespace: string;
  /** The Service's name. */
  readonly name: string;
  /** Canonical address text. */
  readonly address: string;
  readonly port: number;
  readonly protocol: L4Protocol;
  readonly healthy: boolean;
}

const NONE: ReadonlySet<string> = new Set();

/** See the head of this file. Services are `namespace/name`, frontends and backends their keys. */
export class BackendHealth {
  /** Service → backend → healthy. */
  private readonly found = new Map<string, Map<string, boolean>>();
  /** Frontend → backends. */
  private quarantined = new Map<string, ReadonlySet<string>>();

  /** Takes over what a process before knew. */
  restore(quarantined: ReadonlyMap<string, ReadonlySet<string>>): void {
    this.quarantined = new Map(quarantined);
  }

  /** Takes what a check found. Answers the Service that it is about. */
  learn({ namespace, name, address, port, protocol, healthy }: HealthFact): string {
    const service = `${namespace}/${name}`;
    let known = this.found.get(service);
    if (known === undefined) this.found.set(service, (known = new Map()));
    const key = backendKeyOf(address, port, protocol);
    // That a backend is well has to be remembered only against what an earlier process found.
    if (healthy && this.quarantined.size === 0) known.delete(key);
    else known.set(key, healthy);
    return service;
  }

  /** The sick backends behind a frontend of a Service. */
  sickBehind = (service: string, frontend: string): ReadonlySet<string> => {
    const facts = this.found.get(service);
    const restored = this.quarantined.get(frontend) ?? NONE;
    if (facts === undefined) return restored;
    const sick = new Set([...restored].filter((key) => facts.get(key) !== true));
    for (const [key, healthy] of facts) if (!healthy) sick.add(key);
    return sick;
  };

  /** A frontend is gone. */
  drop(frontend: string): void {
    this.quarantined.delete(frontend);
  }

  /** Facts about backends that are gone are of no use to anybody. `behind`: keys of a Service's backends. */
  forgetFacts(behind: (service: string) => Iterable<string>): void {
    for (const [service, facts] of this.found) {
      const known = new Set(behind(service));
      for (const key of facts.keys()) if (!known.has(key)) facts.delete(key);
      if (facts.size === 0) this.found.delete(service);
    }
  }

  /** The same of quarantines, once the process has met what there is. `of`: a frontend's backends. */
  forgetQuarantines(of: (frontend: string) => readonly ServiceBackend[]): void {
    for (const [frontend, sick] of this.quarantined) {
      const left = of(frontend).filter(({ key }) => sick.has(key));
      if (left.length === 0) this.quarantined.delete(frontend);
      else if (left.length < sick.size) this.quarantined.set(frontend, new Set(left.map(({ key }) => key)));
    }
  }
}
