// The C face of the contract: one header with every struct, code, bound and map size.
// Input: the schema itself. Output: text, the same from run to run.
import { emitConstants, emitStruct, type StructType } from '../layout/index.ts';
import { BOUND, SHAPE_ANY_PROTOCOL } from './bounds.ts';
import * as codes from './codes.ts';
import * as conntrack from './conntrack.ts';
import * as device from './device.ts';
import { DROP } from './drop.ts';
import { MAPS } from './maps.ts';
import * as policy from './policy.ts';
import * as recent from './recent.ts';
import * as record from './record.ts';
import * as runContext from './run-context.ts';
import * as service from './service.ts';

const isStruct = (value: unknown): value is StructType =>
  typeof value === 'object' && value !== null && 'fields' in value && 'encode' in value;

/** Every struct of the schema, in declaration order. */
export const allStructs = (): readonly StructType[] =>
  [service, conntrack, policy, device, record, runContext, recent].flatMap((module) =>
    (Object.values(module) as unknown[]).filter(isStruct),
  );

const TABLES: readonly [string, string, Readonly<Record<string, number>>][] = [
  ['WEIR_HOOK', 'Hooks', codes.HOOK],
  ['WEIR_STAGE', 'Stages', codes.STAGE],
  ['WEIR_VERDICT', 'Verdicts (Hubble)', codes.VERDICT],
  ['WEIR_ACTION', 'Actions', codes.ACTION],
  ['WEIR_CT', 'Conntrack results', codes.CT_STATUS],
  ['WEIR_CT_KEY', 'Conntrack key flags', codes.CT_KEY],
  ['WEIR_CT_FLAG', 'Conntrack entry flags', codes.CT_FLAG],
  ['WEIR_MATCH', 'Policy matches', codes.POLICY_MATCH],
  ['WEIR_PRECEDENCE', 'Verdict byte of a precedence', codes.PRECEDENCE],
  ['WEIR_POLICY_DIRECTION', 'Direction bit of a policy shape', codes.POLICY_DIRECTION],
  ['WEIR_POLICY_FLAG', 'Policy meta flags', codes.POLICY_FLAG],
  ['WEIR_POLICY_ENTRY', 'Policy entry flags', codes.POLICY_ENTRY],
  ['WEIR_DIRECTION', 'Directions of metrics', codes.DIRECTION],
  ['WEIR_SERVICE_FLAG', 'Service flags', codes.SERVICE_FLAG],
  ['WEIR_SCOPE', 'Service scopes', codes.SCOPE],
  ['WEIR_ALGORITHM', 'Load-balancing algorithms', codes.ALGORITHM],
  ['WEIR_BACKEND_STATE', 'Backend states', codes.BACKEND_STATE],
  ['WEIR_MAGLEV_SLOT', 'Parts of a Maglev slot', codes.MAGLEV_SLOT],
  ['WEIR_NEXT_HOP', 'Next hop flags', codes.NEXT_HOP],
  ['WEIR_ENDPOINT_FLAG', 'Endpoint flags', codes.ENDPOINT_FLAG],
  ['WEIR_IPCACHE_FLAG', 'ipcache flags', codes.IPCACHE_FLAG],
  ['WEIR_NAT_WAY', 'Halves of a translation', codes.NAT_WAY],
  ['WEIR_NAT_FLAG', 'NAT entry flags', codes.NAT_FLAG],
  ['WEIR_NO_MASQUERADE', 'Why a pod keeps its address', codes.NO_MASQUERADE],
  ['WEIR_ROUTE_FLAG', 'Route flags', codes.ROUTE_FLAG],
  ['WEIR_MARK', 'skb marks', codes.MARK],
  ['WEIR_METRIC', 'Metrics reasons of Weir', codes.METRIC],
  ['WEIR_RECORD_FLAG', 'Decision record flags', codes.RECORD_FLAG],
  ['WEIR_META_FLAG', 'Meta flags', record.META_FLAG],
  ['WEIR_FEATURE', 'Features', codes.FEATURE],
  ['WEIR_IDENTITY', 'Reserved identities', codes.IDENTITY],
  ['WEIR_ANSWER', 'Answers to dropped packets', codes.ANSWER],
  ['WEIR_RATE_LIMIT_USAGE', 'What is limited', codes.RATE_LIMIT_USAGE],
  ['WEIR_EVENT', 'Event types', record.eventKind],
  ['WEIR_DROP', 'Drop reasons (Cilium)', DROP],
  ['WEIR_BOUND', 'Bounds', { ...BOUND, SHAPE_ANY_PROTOCOL }],
];

/** The text of `layout.gen.h`. */
export function emitHeader(): string {
  const parts = [
    '/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */',
    '/* Generated from src/schema by npm run gen. Do not edit. */',
    '#pragma once',
    '#include <linux/types.h>',
    '',
  ];
  for (const [prefix, doc, table] of TABLES) parts.push(emitConstants(prefix, doc, table));
  for (const type of allStructs()) parts.push(emitStruct(type));
  for (const [name, spec] of Object.entries(MAPS)) {
    const prefix = `WEIR_MAP_${name.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase()}`;
    parts.push(
      `/* ${spec.name}: ${spec.kind}, ${spec.doc} */\n#define ${prefix}_MAX ${spec.maxEntries}` +
        (spec.innerEntries === undefined ? '' : `\n#define ${prefix}_INNER ${spec.innerEntries}`) +
        '\n',
    );
  }
  return parts.join('\n');
}
