// The implicit scope of selectors in Cilium policies (pkg/k8s/apis/cilium.io/utils). Input: a policy and a selector as written.
// Output: the selector over identities' labels.
import { NAMESPACE_LABEL_PREFIX, POD_NAMESPACE } from '../labels.ts';
import {
  ANY_POD,
  bothSelectors,
  ciliumSelector,
  inNamespace,
  labelEquals,
  parseSelectorKey,
  type Selector,
  selectorOf,
} from '../selector.ts';
import type { CiliumPolicy, LabelSelector } from '../state.ts';

/**
 * A `fromEndpoints` / `toEndpoints` selector with its implicit scope: none for reserved labels, for a namespace of its own
 * or (in a namespaced policy) for namespace labels; else the policy's namespace, or any pod for a cluster-wide policy.
 */
export function peerSelector(policy: CiliumPolicy, written: LabelSelector): Selector {
  const selector = ciliumSelector(written);
  const keys = [...(written.matchLabels?.keys() ?? []), ...(written.matchExpressions ?? []).map(({ key }) => key)].map(
    parseSelectorKey,
  );
  if (keys.some(({ source }) => source === 'reserved')) return selector;
  const kubernetes = keys.filter(({ source }) => source === 'k8s' || source === 'any');
  if (kubernetes.some(({ key }) => key === POD_NAMESPACE)) return selector;
  if (policy.namespace === undefined) return bothSelectors(ANY_POD, selector);
  if (kubernetes.some(({ key }) => key.startsWith(NAMESPACE_LABEL_PREFIX))) return selector;
  return bothSelectors(inNamespace(policy.namespace), selector);
}

/** Pods that a Service with this selector stands for. */
export const servicePods = (namespace: string, labels: Iterable<readonly [string, string]>): Selector =>
  selectorOf([
    ...inNamespace(namespace).requirements,
    ...[...labels].map(([key, value]) => labelEquals('k8s', key, value)),
  ]);
