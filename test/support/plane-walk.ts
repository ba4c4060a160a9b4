// A cluster whose pods come, go and change one by one, through a plane and through whole compiles. Input: a state, steps.
// Output: which steps the plane took. Invariant: what a plane writes is what lies between two whole compiles, and no more.
import assert from 'node:assert/strict';
import type { RowChanges } from '../../src/control/row-changes.ts';
import { type Compiled, Compiler } from '../../src/control/compile.ts';
import type { CompiledMapName } from '../../src/control/desired-map.ts';
import { diff } from '../../src/control/diff.ts';
import type { Provenance } from '../../src/control/provenance.ts';
import type { ClusterState, Pod } from '../../src/control/state.ts';
import { MAPS, policyMeta, policyValue } from '../../src/schema/index.ts';
import { address, configWith } from './policy-world.ts';

/** What becomes of a pod. */
export interface Step {
  readonly pod: number;
  readonly kind: 'add' | 'remove' | 'label' | 'move' | 'end';
  readonly value: string;
  readonly node: string;
}

/** The pods after a step, and the pod before and after; undefined: the step does nothing. */
function take(pods: readonly Pod[], step: Step, count: number): { pods: Pod[]; before?: Pod; after?: Pod } | undefined {
  const own = pods.filter(({ hostNetwork }) => !hostNetwork);
  const before = own[step.pod % Math.max(1, own.length)];
  if (before === undefined) return undefined;
  if (step.kind === 'add') {
    const name = `more${count}`;
    const labels = new Map([['pod', step.value], ...(step.pod > 5 ? [['zone', step.value] as const] : [])]);
    const podIPs = [address(`10.244.9.${count}`), address(`fd00::9:${count}`)].slice(0, (step.pod % 2) + 1);
    const http = step.value === 'a' ? 80 : 81;
    const ports = before.ports.map((port) => (port.name === 'http' ? { ...port, containerPort: http } : port));
    const after: Pod = { ...before, name, labels, podIPs, ports, nodeName: step.node };
    return { pods: [...pods, after], after };
  }
  const others = pods.filter((pod) => pod !== before);
  if (step.kind === 'remove') return { pods: others, before };
  const after: Pod = {
    ...before,
    ...(step.kind === 'label' && { labels: new Map([...before.labels, ['tier', step.value]]) }),
    ...(step.kind === 'move' && { nodeName: step.node }),
    ...(step.kind === 'end' && { phase: 'Succeeded' as const }),
  };
  return { pods: [...others, after], before, after };
}

/** Map, key and value; cookies by the rules that they stand for, since their numbers hang on the order of the work. */
function line(map: string, key: Uint8Array, value: Uint8Array | undefined, provenance: Provenance): string {
  const rules = (cookie: number): string =>
    provenance
      .rulesOf(cookie)
      .map((r) => `${r.name} ${r.rule}`)
      .sort()
      .join();
  const name = map.replace('weir_', '');
  if (value === undefined) return `${name} ${key.join()} deleted`;
  if (name === 'policy') {
    const entry = policyValue.decode(value);
    return `${name} ${key.join()} ${JSON.stringify({ ...entry, cookie: rules(entry.cookie) })}`;
  }
  if (name === 'policy_meta') {
    const meta = policyMeta.decode(value);
    const cookies = { ingressCookie: rules(meta.ingressCookie), egressCookie: rules(meta.egressCookie) };
    return `${name} ${key.join()} ${JSON.stringify({ ...meta, ...cookies })}`;
  }
  return `${name} ${key.join()} ${value.join()}`;
}

function linesOf(changes: RowChanges, provenance: Provenance): string[] {
  const lines: string[] = [];
  for (const [map, rows] of changes) {
    const { name, kind, value } = MAPS[map as CompiledMapName];
    for (const { key, after } of rows) {
      // Arrays cannot delete: zeros.
      lines.push(line(name, key, after ?? (kind === 'array' ? new Uint8Array(value.bytes) : undefined), provenance));
    }
  }
  return lines.sort();
}

/** Checks every step; true for each that the plane took, false where all was compiled again. Steps without effect are left out. */
export function walk(start: ClusterState, list: readonly Step[], node?: string): boolean[] {
  const options = node === undefined ? {} : { node };
  const slow = new Compiler(configWith({ 'ipv6.enabled': true }), options);
  const fast = new Compiler(configWith({ 'ipv6.enabled': true }), options);
  let state = start;
  let whole: Compiled = slow.compile(state);
  fast.compile(state);
  let plane = fast.plane();
  const taken: boolean[] = [];
  list.forEach((step, i) => {
    const change = take(state.pods, step, i + 1);
    if (change === undefined) return;
    state = { ...state, pods: change.pods };
    const next = slow.compile(state);
    const changes = plane?.change(change.before, change.after);
    taken.push(changes !== undefined);
    if (changes === undefined) {
      fast.compile(state);
      plane = fast.plane();
    } else {
      const expected = diff(whole.maps, next.maps).map(({ map, key, value }) =>
        line(map, key, value as Uint8Array | undefined, slow.provenance),
      );
      assert.deepEqual(linesOf(changes, fast.provenance), expected.sort(), `step ${i}: ${step.kind}`);
    }
    whole = next;
  });
  return taken;
}
