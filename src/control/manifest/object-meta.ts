// metadata, labels, selectors and port names: what all kinds share. In: a Reader and the object's tree.
// Out: normalised metadata and selectors, problems reported on the Reader.
// Invariant: the checks are the API server's (k8s.io/apimachinery validation) for the parts that Weir reads.
import type { L4Protocol, Labels, LabelRequirement, LabelSelector, ObjectBase } from '../state.ts';
import type { Reader } from './reader.ts';
import type { MapNode, TreeNode } from './tree.ts';

const subdomain = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const labelText = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

/** The layer-4 protocols of a Kubernetes port. */
export const l4Protocols: readonly L4Protocol[] = ['TCP', 'UDP', 'SCTP'];

const noLabels: Labels = new Map();

/** Name, labels and annotations of an object; undefined when it has no usable name. */
export function readMeta(
  reader: Reader,
  root: MapNode,
  kind: string,
): (ObjectBase & { readonly namespace: string | undefined; readonly meta: MapNode }) | undefined {
  reader.subject = kind;
  const meta = reader.child(root, 'metadata', '');
  if (meta === undefined) {
    if (reader.field(root, 'metadata') === undefined) reader.error(root.offset, 'metadata.name: required');
    return undefined;
  }
  const nameNode = reader.field(meta, 'name');
  if (nameNode === undefined) return reader.error(meta.offset, 'metadata.name: required');
  const name = reader.asText(nameNode, 'metadata.name');
  const namespace = reader.name(meta, 'namespace', 'metadata');
  if (name === undefined) return undefined;
  reader.subject = `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
  if (!isSubdomain(name))
    reader.error(
      nameNode.offset,
      `metadata.name: ${JSON.stringify(name)} is not a DNS name (lower-case letters, digits, '-' and '.')`,
    );
  if (namespace !== undefined && !isSubdomain(namespace))
    reader.error(
      reader.field(meta, 'namespace')!.offset,
      `metadata.namespace: ${JSON.stringify(namespace)} is not a DNS name`,
    );
  return {
    name,
    namespace,
    meta,
    labels: reader.strings(meta, 'labels', 'metadata', checkLabel(reader)) ?? noLabels,
    annotations: reader.strings(meta, 'annotations', 'metadata') ?? noLabels,
    origin: reader.origin(root.offset),
  };
}

/** `metadata.creationTimestamp`, where it is one that can be compared as text: RFC 3339 in UTC, whole seconds. */
export function readCreated(reader: Reader, meta: MapNode): string | undefined {
  const node = reader.field(meta, 'creationTimestamp');
  const text = node?.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined;
  return text !== undefined && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? text : undefined;
}

/** RFC 1123 subdomain of at most 253 characters. */
export function isSubdomain(text: string): boolean {
  return text.length <= 253 && subdomain.test(text);
}

/** `[prefix/]name` as label keys have it. */
function isLabelKey(key: string): boolean {
  const slash = key.indexOf('/');
  const name = key.slice(slash + 1);
  return name.length <= 63 && labelText.test(name) && (slash < 0 || isSubdomain(key.slice(0, slash)));
}

function isLabelValue(value: string): boolean {
  return value === '' || (value.length <= 63 && labelText.test(value));
}

function checkLabel(reader: Reader) {
  return (key: string, value: string, node: TreeNode, keyOffset: number, path: string): void => {
    if (!isLabelKey(key)) reader.error(keyOffset, `${path}: ${JSON.stringify(key)} is not a label key`);
    if (!isLabelValue(value))
      reader.error(node.offset, `${path}.${key}: ${JSON.stringify(value)} is not a label value`);
  };
}

/** A Cilium selector key: a label key behind an optional `source:`. Agents turn the first colon into a dot, then check it. */
function isCiliumKey(key: string): boolean {
  return key.length <= 317 && /^[A-Za-z0-9][-A-Za-z0-9_./:]*$/.test(key);
}

function checkCiliumLabel(reader: Reader) {
  return (key: string, value: string, node: TreeNode, keyOffset: number, path: string): void => {
    if (!isCiliumKey(key)) reader.error(keyOffset, `${path}: ${JSON.stringify(key)} is not a label key`);
    if (!isLabelValue(value))
      reader.error(node.offset, `${path}.${key}: ${JSON.stringify(value)} is not a label value`);
  };
}

/** A label selector; keys of `cilium` selectors may carry a source (`k8s:app`). */
export function readSelector(reader: Reader, node: TreeNode, path: string, cilium: boolean): LabelSelector | undefined {
  const map = reader.asMap(node, path);
  if (map === undefined) return undefined;
  reader.onlyFields(map, path, ['matchLabels', 'matchExpressions']);
  const matchLabels = reader.strings(map, 'matchLabels', path, cilium ? checkCiliumLabel(reader) : checkLabel(reader));
  const matchExpressions = reader.eachMap(map, 'matchExpressions', path, (item, itemPath) =>
    readRequirement(reader, item, itemPath, cilium),
  );
  return {
    origin: reader.origin(map.offset),
    ...(matchLabels !== undefined && { matchLabels }),
    ...(matchExpressions !== undefined && { matchExpressions }),
  };
}

/** The selector in field `key`. */
export function selectorField(
  reader: Reader,
  map: MapNode,
  key: string,
  path: string,
  cilium: boolean,
): LabelSelector | undefined {
  const node = reader.field(map, key);
  return node === undefined ? undefined : readSelector(reader, node, `${path}.${key}`, cilium);
}

function readRequirement(reader: Reader, item: MapNode, path: string, cilium: boolean): LabelRequirement | undefined {
  reader.onlyFields(item, path, ['key', 'operator', 'values']);
  const keyNode = reader.field(item, 'key');
  const key =
    keyNode === undefined ? reader.error(item.offset, `${path}.key: required`) : reader.asText(keyNode, `${path}.key`);
  if (key !== undefined && !(cilium ? isCiliumKey(key) : isLabelKey(key)))
    reader.error(keyNode!.offset, `${path}.key: ${JSON.stringify(key)} is not a label key`);
  const operatorNode = reader.field(item, 'operator');
  const operator =
    operatorNode === undefined
      ? reader.error(item.offset, `${path}.operator: required`)
      : reader.asChoice(operatorNode, `${path}.operator`, operators);
  const values = reader.each(item, 'values', path, (node, valuePath) => {
    const value = reader.asText(node, valuePath);
    if (value !== undefined && !isLabelValue(value))
      reader.error(node.offset, `${valuePath}: ${JSON.stringify(value)} is not a label value`);
    return value;
  });
  if (key === undefined || operator === undefined) return undefined;
  const wantsValues = operator === 'In' || operator === 'NotIn';
  const valuesNode = reader.field(item, 'values');
  const count = valuesNode?.kind === 'sequence' ? valuesNode.items.length : 0;
  // A list of the wrong type has been reported; only a missing or empty one is wrong here.
  if (wantsValues && count === 0 && (valuesNode === undefined || valuesNode.kind === 'sequence'))
    return reader.error(item.offset, `${path}.values: required for operator ${operator}`);
  if (!wantsValues && count > 0)
    return reader.error(item.offset, `${path}.values: not allowed with operator ${operator}`);
  return { key, operator, values: values ?? [], origin: reader.origin(item.offset) };
}

/** `protocol` of a Kubernetes port, TCP where absent. */
export function readProtocol(reader: Reader, map: MapNode, path: string): L4Protocol | undefined {
  const node = reader.field(map, 'protocol');
  if (node === undefined || (node.kind === 'scalar' && node.value === '')) return 'TCP';
  return reader.asChoice(node, `${path}.protocol`, l4Protocols);
}

/** A port name as the API server takes it (RFC 6335 §5.1, lower case, at most 15 characters); undefined when it is fine. */
export function portNameProblem(name: string): string | undefined {
  if (name.length > 15) return `${JSON.stringify(name)} is longer than 15 characters`;
  if (!/^[-a-z0-9]+$/.test(name))
    return `${JSON.stringify(name)} is not a port name (lower-case letters, digits and '-')`;
  if (!/[a-z]/.test(name))
    return `${JSON.stringify(name)} is a string without a letter: a port number is written without quotes`;
  if (name.startsWith('-') || name.endsWith('-') || name.includes('--'))
    return `${JSON.stringify(name)} is not a port name ('-' only between other characters, and never twice)`;
  return undefined;
}

/** A port that is a number (1–65535) or a container-port name. */
export function readPortOrName(reader: Reader, node: TreeNode, path: string): number | string | undefined {
  if (node.kind === 'scalar' && typeof node.value === 'number') return reader.asInteger(node, path, 1, 65535);
  if (node.kind !== 'scalar' || typeof node.value !== 'string') {
    return reader.error(
      node.offset,
      `${path}: expected an integer or a port name, got ${node.kind === 'scalar' ? typeof node.value : node.kind === 'map' ? 'object' : 'list'}`,
    );
  }
  const problem = portNameProblem(node.value);
  return problem === undefined ? node.value : reader.error(node.offset, `${path}: ${problem}`);
}
