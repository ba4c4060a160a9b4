// Rules of the provenance table as printers have them. Input: RuleRef. Output: FlowRule, and short texts.
import type { RuleRef } from '../control/provenance.ts';
import type { FlowRule } from '../flow/index.ts';

const known = new WeakMap<RuleRef, FlowRule>();

/** A rule as records have it: absent facts are absent keys. */
export function flowRule(ref: RuleRef): FlowRule {
  let rule = known.get(ref);
  if (rule === undefined) {
    const { kind, namespace, name, rule: part, file, line } = ref;
    rule = {
      kind,
      ...(namespace === undefined ? {} : { namespace }),
      name,
      ...(part === '' ? {} : { rule: part }),
      ...(file === '' ? {} : { file, line }),
    };
    known.set(ref, rule);
  }
  return rule;
}

/** What builtin rules mean to people. */
const BUILTIN: Readonly<Record<string, string>> = {
  'allow-localhost': 'a pod’s own node may always reach it',
  'allow-own-node': 'a pod and its own node may always reach each other',
  'no-default-deny': 'policies select it, but none isolates it',
  'enforcement-always': 'policyEnforcementMode is always',
  init: 'endpoints without an identity are always enforced',
};

/** `NetworkPolicy shop/db ingress[0] (net/db.yaml:12)`. */
export function shortRule({ kind, namespace, name, rule, file, line }: RuleRef): string {
  if (kind === 'builtin') return BUILTIN[name] ?? name;
  const title = namespace === undefined ? name : `${namespace}/${name}`;
  return `${kind} ${title}${rule === '' ? '' : ` ${rule}`}${file === '' ? '' : ` (${file}:${line})`}`;
}
