// Selectors and peers in words, and which condition of them somebody fails. Input: normal-form selectors, label sets. Output: text.
// Invariant: what is told is the normalised selector, with what the policy's kind adds to it (namespaces above all).
import type { LabelSet } from '../control/labels.ts';
import { NAMESPACE_LABEL_PREFIX, POD_NAMESPACE } from '../control/labels.ts';
import type { Peer } from '../control/policy/rule.ts';
import { type Requirement, type Selector, selectorOf, selects } from '../control/selector.ts';

/** `k8s:app=web`, `has k8s:app`, `k8s:tier not in (a, b)`. */
export function requirementText({ source, key, operator, values }: Requirement): string {
  const label = source === 'any' ? key : `${source}:${key}`;
  switch (operator) {
    case 'In':
      return values.length === 1 ? `${label}=${values[0]!}` : `${label} in (${values.join(', ')})`;
    case 'NotIn':
      return `${label} not in (${values.join(', ')})`;
    case 'Exists':
      return `has ${label}`;
    case 'DoesNotExist':
      return `lacks ${label}`;
  }
}

/** All conditions; `everything` where there is none. */
export const selectorText = ({ requirements }: Selector): string =>
  requirements.length === 0 ? 'everything' : requirements.map(requirementText).join(', ');

/** A peer as the compiler has it. */
export function peerText(peer: Peer): string {
  switch (peer.kind) {
    case 'selector':
      return `pods with ${selectorText(peer.selector)}`;
    case 'entity':
      return `entity ${peer.entity}`;
    case 'cidr':
      return peer.except.length === 0
        ? peer.prefix.text
        : `${peer.prefix.text} except ${peer.except.map(({ text }) => text).join(', ')}`;
  }
}

/** Whether a condition is about namespaces. */
export const isNamespaceKey = (key: string): boolean => key === POD_NAMESPACE || key.startsWith(NAMESPACE_LABEL_PREFIX);

/** Conditions that a label set fails; those about namespaces first. */
export function failures({ requirements }: Selector, labels: LabelSet): Requirement[] {
  return requirements
    .filter((requirement) => !selects(selectorOf([requirement]), labels))
    .sort((a, b) => Number(isNamespaceKey(b.key)) - Number(isNamespaceKey(a.key)));
}

/** What a label set has where a condition fails: `it has k8s:app=api`, `it has no such label`. */
export function instead({ source, key }: Requirement, labels: LabelSet): string {
  const found = labels.find(source, key);
  return found.length === 0
    ? `has no label ${key}`
    : `has ${found.map(({ value }) => (value === '' ? key : `${key}=${value}`)).join(', ')}`;
}
