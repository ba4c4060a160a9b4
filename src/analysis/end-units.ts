// The single ends of all connections of one cluster, or of two that are compared: pods, node addresses, atoms of the world's
// address space, reserved addresses, DNS names not resolved yet. Input: worlds. Output: EndUnit[]. Invariant: the world's atoms
// are disjoint and cover both families; a unit that one of two worlds lacks has no fact there.
import { parseAddress } from '../control/manifest/index.ts';
import { comparePrefixes, PrefixSet } from '../control/prefix.ts';
import type { IpAddress, IpPrefix } from '../control/index.ts';
import { IDENTITY } from '../schema/index.ts';
import type { PolicyWorld } from './policy-world.ts';

/** What a unit is in one world. */
export interface UnitFact {
  /** -1: no endpoint, so no gate of its own. */
  readonly policyId: number;
  /** As a peer; the own-node rule aside. */
  readonly identity: number;
  /** Name of the node that a pod runs on or that a node is. */
  readonly node: string | undefined;
}

export type UnitKind = 'pod' | 'node' | 'world' | 'reserved' | 'name';

/** One end. */
export interface EndUnit {
  readonly kind: UnitKind;
  /** `namespace/name`, a node's name, a prefix, an address, a DNS pattern. */
  readonly name: string;
  /** Bit 0: IPv4, bit 1: IPv6. */
  readonly families: number;
  /** By world; undefined: not there. */
  readonly facts: readonly (UnitFact | undefined)[];
  /** An address of it that can be asked about. */
  readonly example: string;
  /** Of an atom of the world: its prefix. */
  readonly prefix?: IpPrefix;
  /** Of a pod: what it is part of, `namespace/app`. */
  readonly workload?: string;
}

const isWorldIdentity = (identity: number): boolean =>
  identity === IDENTITY.WORLD ||
  identity === IDENTITY.WORLD_IPV4 ||
  identity === IDENTITY.WORLD_IPV6 ||
  identity >>> 24 === 1;

/** All units of some worlds. */
export function endUnits(worlds: readonly PolicyWorld[]): EndUnit[] {
  return [...podUnits(worlds), ...nodeUnits(worlds), ...worldUnits(worlds), ...nameUnits(worlds)];
}

interface Draft {
  readonly kind: UnitKind;
  readonly name: string;
  readonly example: string;
  readonly family: 4 | 6;
  readonly workload?: string;
  readonly facts: (UnitFact | undefined)[];
}

/** Drafts of one name with equal facts are one unit of both families. */
function settle(drafts: Iterable<Draft>): EndUnit[] {
  const units = new Map<string, EndUnit>();
  for (const { kind, name, example, family, facts, workload } of drafts) {
    const key = `${kind} ${name} ${JSON.stringify(facts)}`;
    const known = units.get(key);
    const families = (known?.families ?? 0) | (family === 4 ? 1 : 2);
    units.set(key, {
      kind,
      name,
      families,
      facts,
      example: known === undefined || family === 4 ? example : known.example,
      ...(workload === undefined ? {} : { workload }),
    });
  }
  return [...units.values()];
}

function podUnits(worlds: readonly PolicyWorld[]): EndUnit[] {
  const drafts = new Map<string, Draft>();
  worlds.forEach((world, w) => {
    for (const { pod, identities, node } of world.view.pods) {
      const name = `${pod.namespace}/${pod.name}`;
      for (const { address, identity } of identities) {
        const key = `${name} ${address.family}`;
        let draft = drafts.get(key);
        if (draft === undefined) {
          const facts = worlds.map(() => undefined);
          const workload = `${pod.namespace}/${workloadName(pod.name, pod.labels)}`;
          // A pod by its name is asked about in IPv4 where it has both families.
          const second = address.family === 6 && identities.some((one) => one.address.family === 4);
          const example = second ? `ip:${address.text}` : `pod:${name}`;
          draft = { kind: 'pod', name, example, family: address.family, workload, facts };
          drafts.set(key, draft);
        }
        const policyId = world.endpointAt(address)?.policyId ?? -1;
        draft.facts[w] ??= { policyId, identity, node: node?.name };
      }
    }
  });
  return settle(drafts.values());
}

const WORKLOAD_LABELS = ['app.kubernetes.io/name', 'app', 'k8s-app', 'name'];

/** What a pod is a replica of: by its labels, else by its name without what a controller appends. */
export function workloadName(pod: string, labels: ReadonlyMap<string, string>): string {
  for (const key of WORKLOAD_LABELS) {
    const value = labels.get(key);
    if (value !== undefined && value !== '') return value;
  }
  return pod.replace(/-[a-f0-9]{6,10}-[a-z0-9]{5}$/, '').replace(/-\d+$/, '');
}

function nodeUnits(worlds: readonly PolicyWorld[]): EndUnit[] {
  const drafts = new Map<string, Draft>();
  worlds.forEach((world, w) => {
    for (const node of world.view.nodes) {
      for (const { address } of node.addresses) {
        const key = `${node.name} ${address.text}`;
        let draft = drafts.get(key);
        if (draft === undefined) {
          const facts = worlds.map(() => undefined);
          draft = { kind: 'node', name: node.name, example: `ip:${address.text}`, family: address.family, facts };
          drafts.set(key, draft);
        }
        draft.facts[w] = {
          // A node that no policy selects is no endpoint: what may not leave a pod may leave it.
          policyId: world.endpointAt(address)?.policyId || -1,
          identity: world.identityAt(address).identity,
          node: node.name,
        };
      }
    }
  });
  return settle(drafts.values());
}

/** Atoms of the world: each prefix that any world knows, without the longer ones inside it; and single reserved addresses. */
function worldUnits(worlds: readonly PolicyWorld[]): EndUnit[] {
  const prefixes = new PrefixSet();
  const taken = new Set<string>();
  const owned = worlds.map((world) => {
    const set = new PrefixSet();
    const identities = new Map<string, number>();
    for (const { prefix, identity } of world.view.addresses) {
      if (isWorldIdentity(identity)) {
        set.add(prefix);
        prefixes.add(prefix);
        identities.set(prefix.text, identity);
      } else if (prefix.prefixLen === prefix.bytes.length * 8) taken.add(prefix.text);
    }
    return { set, identities };
  });
  const members = prefixes.members();
  const drafts: EndUnit[] = [];
  members.forEach((prefix, i) => {
    const enabled = worlds.some(({ settings }) => (prefix.family === 4 ? settings.ipv4 : settings.ipv6));
    if (!enabled) return;
    const example = freeAddress(prefix, members, i + 1, taken);
    if (example === undefined) return;
    const facts = owned.map(({ set, identities }): UnitFact | undefined => {
      const cover = set.covering(prefix).at(-1);
      return cover === undefined ? undefined : { policyId: -1, identity: identities.get(cover.text)!, node: undefined };
    });
    const families = prefix.family === 4 ? 1 : 2;
    drafts.push({ kind: 'world', name: prefix.text, families, facts, example: `ip:${example}`, prefix });
  });
  return [...drafts, ...reservedUnits(worlds)];
}

/** Addresses that facts make health, ingress, … endpoints. */
function reservedUnits(worlds: readonly PolicyWorld[]): EndUnit[] {
  const drafts = new Map<string, Draft>();
  worlds.forEach((world, w) => {
    for (const [text] of world.state.facts.entities) {
      const parsed = parseAddress(text);
      if (!parsed.ok) continue;
      const { identity, nodeId } = world.identityAt(parsed.value);
      const reserved = identity >= IDENTITY.UNMANAGED && identity < IDENTITY.WORLD_IPV4 && nodeId === 0;
      if (!reserved || identity === IDENTITY.REMOTE_NODE || identity === IDENTITY.KUBE_APISERVER) continue;
      let draft = drafts.get(text);
      if (draft === undefined) {
        const facts = worlds.map(() => undefined);
        draft = { kind: 'reserved', name: text, example: `ip:${text}`, family: parsed.value.family, facts };
        drafts.set(text, draft);
      }
      draft.facts[w] = { policyId: -1, identity, node: undefined };
    }
  });
  return settle(drafts.values());
}

/**
 * DNS names that rules of any world speak of and nobody resolved: destinations of which only the rule is known. In a world
 * without such a rule they are there, too: something in the world.
 */
function nameUnits(worlds: readonly PolicyWorld[]): EndUnit[] {
  const names = new Set(
    worlds
      .filter(({ dnsKnown }) => !dnsKnown)
      .flatMap(({ compiled }) => compiled.namedRules.filter(({ addresses }) => addresses === 0))
      .map(({ pattern }) => pattern),
  );
  const facts = worlds.map((): UnitFact => ({ policyId: -1, identity: -1, node: undefined }));
  return [...names].sort().map((name): EndUnit => ({ kind: 'name', name, families: 3, facts, example: name }));
}

/** An address of a prefix that no longer prefix and no single address has; undefined where none is left. */
function freeAddress(
  prefix: IpPrefix,
  members: readonly IpPrefix[],
  from: number,
  taken: ReadonlySet<string>,
): string | undefined {
  const bits = prefix.bytes.length * 8;
  const value = (bytes: Uint8Array): bigint => bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const size = 1n << BigInt(bits - prefix.prefixLen);
  const first = value(prefix.bytes);
  // Nobody has the first address of the whole IPv4 space.
  let at = prefix.prefixLen === 0 ? (prefix.family === 4 ? 0x08080808n : 0x20010db8n << 96n) : first;
  let wrapped = prefix.prefixLen !== 0;
  const holes: [bigint, bigint][] = [];
  for (let i = from; i < members.length; i++) {
    const inner = members[i]!;
    if (inner.family !== prefix.family) break;
    const start = value(inner.bytes);
    if (start >= first + size) break;
    holes.push([start, start + (1n << BigInt(bits - inner.prefixLen))]);
  }
  for (let tries = 0; tries < 100_000; tries++) {
    const hole = holes.find(([start, end]) => at >= start && at < end);
    if (hole === undefined) {
      const text = textOf(at, prefix.family);
      if (!taken.has(`${text}/${bits}`)) return text;
      at += 1n;
    } else at = hole[1];
    if (at >= first + size) {
      if (wrapped) return undefined;
      wrapped = true;
      at = first + 1n;
    }
  }
  return undefined;
}

function textOf(value: bigint, family: 4 | 6): string {
  const length = family === 4 ? 4 : 16;
  const bytes = Array.from({ length }, (_, i) => Number((value >> BigInt(8 * (length - 1 - i))) & 255n));
  if (family === 4) return bytes.join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  const parsed = parseAddress(groups.join(':'));
  return parsed.ok ? parsed.value.text : groups.join(':');
}

/** A single address of the world as a unit of its own. */
export function addressUnit(address: IpAddress, units: readonly EndUnit[]): EndUnit | undefined {
  const bits = address.bytes.length * 8;
  const host: IpPrefix = {
    family: address.family,
    text: `${address.text}/${bits}`,
    bytes: address.bytes,
    prefixLen: bits,
  };
  const set = new PrefixSet();
  for (const { prefix } of units) if (prefix !== undefined) set.add(prefix);
  const cover = set.covering(host).at(-1);
  const unit = units.find(
    ({ prefix }) => prefix !== undefined && cover !== undefined && comparePrefixes(prefix, cover) === 0,
  );
  return unit === undefined ? undefined : { ...unit, name: host.text, prefix: host, example: `ip:${address.text}` };
}
