// The C face of the maps: one BTF definition a map, for native/bpf. Input: MAPS and OBJECT_MAPS.
// Output: text of a header, the same from run to run. Invariant: names, kinds, key and value structs are the specs';
// the loader sets the sizes again from its configuration before it loads.
import type { MapKind, MapSpec } from './map-spec.ts';
import { MAPS, OBJECT_MAPS } from './maps.ts';

const KINDS: Readonly<Record<MapKind, string>> = {
  hash: 'BPF_MAP_TYPE_HASH',
  'lru-hash': 'BPF_MAP_TYPE_LRU_HASH',
  array: 'BPF_MAP_TYPE_ARRAY',
  'percpu-array': 'BPF_MAP_TYPE_PERCPU_ARRAY',
  'lpm-trie': 'BPF_MAP_TYPE_LPM_TRIE',
  'array-of-arrays': 'BPF_MAP_TYPE_ARRAY_OF_MAPS',
  ring: 'BPF_MAP_TYPE_RINGBUF',
};

/** Maps that a process can map into its memory; places of a cache line, since the values of these begin at a page. */
const MAPPABLE: readonly string[] = [
  OBJECT_MAPS.record,
  OBJECT_MAPS.clock,
  OBJECT_MAPS.generation,
  OBJECT_MAPS.wildcards,
  OBJECT_MAPS.recent4,
  OBJECT_MAPS.recent6,
].map(({ name }) => name);

/** Bytes of a ring for this many records: each has a header of 8 bytes, and the kernel wants a power of two of pages. */
export function ringBytes(spec: MapSpec): number {
  const record = (spec.value.bytes + 7 + 8) & ~7;
  let size = 4096;
  while (size < spec.maxEntries * record) size *= 2;
  return size;
}

/** Array keys are plain u32 indices, as BTF wants them. */
const keyType = (spec: MapSpec): string =>
  spec.kind === 'array' || spec.kind === 'percpu-array' || spec.kind === 'array-of-arrays'
    ? '__u32'
    : `struct ${spec.key.name}`;

/** The definition of one map: what libbpf reads from the object's BTF. */
export function emitMap(spec: MapSpec): string {
  const lines = [`/* ${spec.doc} */`, 'struct {', `\t__uint(type, ${KINDS[spec.kind]});`];
  if (spec.kind === 'ring') {
    lines.push(`\t__uint(max_entries, ${ringBytes(spec)});`);
  } else {
    lines.push(`\t__uint(max_entries, ${spec.maxEntries});`, `\t__type(key, ${keyType(spec)});`);
    if (spec.kind === 'array-of-arrays') {
      lines.push(
        '\t__array(',
        '\t\tvalues, struct {',
        '\t\t\t__uint(type, BPF_MAP_TYPE_ARRAY);',
        `\t\t\t__uint(max_entries, ${spec.innerEntries ?? 1});`,
        '\t\t\t__type(key, __u32);',
        // A struct that only an inner map names is but announced in the object's BTF (clang 14): slots are u32.
        '\t\t\t__type(value, __u32);',
        '\t\t});',
      );
    } else lines.push(`\t__type(value, struct ${spec.value.name});`);
  }
  if (spec.kind === 'lpm-trie') lines.push('\t__uint(map_flags, BPF_F_NO_PREALLOC);');
  if (MAPPABLE.includes(spec.name)) lines.push('\t__uint(map_flags, BPF_F_MMAPABLE);');
  lines.push(`} ${spec.name} SEC(".maps");`);
  return lines.join('\n') + '\n';
}

/** The text of `maps.gen.h`. */
export function emitMaps(): string {
  return [
    '/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */',
    '/* Generated from src/schema by npm run gen. Do not edit. */',
    '#pragma once',
    '#include <linux/bpf.h>',
    '#include <bpf/bpf_helpers.h>',
    '#include "layout.gen.h"',
    '',
    ...[...Object.values(MAPS), ...Object.values(OBJECT_MAPS)].map(emitMap),
  ].join('\n');
}
