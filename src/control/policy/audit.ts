// Audit mode of a single policy: an annotation of Weir's own. Input: an object's annotations. Output: whether its denials are
// only shown. Invariant: anything but the two known values is said to be neither.
import type { ObjectBase } from '../state.ts';

/** `enabled`: what the policy would deny passes as audited; what it allows opens nothing that other policies close. */
export const AUDIT_ANNOTATION = 'weir.dev/policy-audit-mode';

/** True when the policy is in audit mode. */
export const isAudited = ({ annotations }: Pick<ObjectBase, 'annotations'>): boolean =>
  annotations.get(AUDIT_ANNOTATION) === 'enabled';

/** What is wrong with the annotation, or undefined. */
export function auditProblem({ annotations }: Pick<ObjectBase, 'annotations'>): string | undefined {
  const value = annotations.get(AUDIT_ANNOTATION);
  if (value === undefined || value === 'enabled' || value === 'disabled') return undefined;
  return `annotation ${AUDIT_ANNOTATION}: ${JSON.stringify(value)} is neither enabled nor disabled: the policy is enforced`;
}
