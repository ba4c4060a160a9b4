// Counterexamples: sequences that once told the engines apart, or a fault in one of them, as the differential run printed
// them. Each runs in every test run. Input: none. Output: sequences. To add one: paste what the run printed, and name it.
import { NO_META, type Sequence } from '../support/differential/step.ts';
import { config, hex } from '../support/differential/world.ts';

/** A sequence with what it is about. */
export interface Example {
  readonly name: string;
  readonly sequence: Sequence;
}

// prettier-ignore
export const EXAMPLES: readonly Example[] = [
  { name: 'xdp tells no trace of a frame that it leaves to tc', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 524288 }),
  ],
  steps: [
    { hook: 1, bytes: hex('02000000000202000000000188a80000000000000000000000000000000000000000000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'a jumbogram announced by a hop-by-hop header', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 524288 }),
  ],
  steps: [
    { hook: 5, bytes: hex('02000000000202000000000186dd60000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000060000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'packets that open nothing keep a backend that drains', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 18 }),
    { map: 'endpoints6', key: { address: hex('fd000000000000800000000000000081') }, value: { ifindex: 0, endpointId: 0, nodeId: 0, identity: 0, policyId: 0, epoch: 0, flags: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'backends6', key: { id: 3 }, value: { address: new Uint8Array(16), port: 0, protocol: 0, state: 2, nodeId: 0, zone: 0, flags: 0 } },
    { map: 'services6', key: { address: hex('fd100000000000000000000000000002'), port: 443, protocol: 17, scope: 0, slot: 0 }, value: { target: 2432696319, count: 5, reverseNat: 10, flags: 6224, drainCount: 0 } },
    { map: 'services6', key: { address: hex('fd100000000000000000000000000002'), port: 443, protocol: 17, scope: 0, slot: 2 }, value: { target: 3, count: 0, reverseNat: 0, flags: 0, drainCount: 0 } },
    { map: 'affinityMatch', key: { backendId: 3, reverseNat: 10 }, value: { present: 0 } },
  ],
  steps: [
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000481100fd000000000000800000000000000081fd100000000000000000000000000002004001bb0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000102c00fd000000000000800000000000000081fd1000000000000000000000000000021100000100000002000001bb00000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000102c00fd000000000000800000000000000081fd10000000000000000000000000000211000021000000020000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'a flow that xdp remembers ends at the second of its lifetime', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 1605634, randomSeed: 107440566, flowLifetime: 10 }),
    { map: 'backends6', key: { id: 15 }, value: { address: new Uint8Array(16), port: 0, protocol: 0, state: 1, nodeId: 0, zone: 0, flags: 0 } },
    { map: 'services6', key: { address: hex('fd100000000000000000000000000001'), port: 443, protocol: 17, scope: 0, slot: 0 }, value: { target: 0, count: 5, reverseNat: 0, flags: 64, drainCount: 0 } },
    { map: 'services6', key: { address: hex('fd100000000000000000000000000001'), port: 443, protocol: 17, scope: 0, slot: 5 }, value: { target: 15, count: 0, reverseNat: 0, flags: 0, drainCount: 0 } },
  ],
  steps: [
    { hook: 1, bytes: hex('02000000000202000000000186dd60000000000b1100fd0900000000000100000000000000c8fd100000000000000000000000000001005001bb000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 1, bytes: hex('02000000000202000000000186dd60000000000b1100fd0900000000000100000000000000c8fd100000000000000000000000000001005001bb000000000000000000000000'), seconds: 10, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'an opening packet takes the new backend of a slot on the move', sequence: {
  loaded: 2097151,
  tables: [
    { map: 'maglev4', key: { reverseNat: 3 }, table: [2147483651] },
    { map: 'maglevPrevious4', key: { reverseNat: 3 }, table: [2147483653] },
  ],
  world: [
    config({ features: 1081345, algorithm: 2, maglevSize: 1000 }),
    { map: 'backends4', key: { id: 5 }, value: { address: 0, port: 0, protocol: 0, state: 1, nodeId: 0, zone: 0, flags: 0 } },
    { map: 'services4', key: { address: 2886729729, port: 80, protocol: 6, scope: 0, slot: 0 }, value: { target: 0, count: 0, reverseNat: 3, flags: 66, drainCount: 0 } },
  ],
  steps: [
    { hook: 1, bytes: hex('020000000002020000000001080045000000000000000006000000000000ac100001000000500000000000000000500200000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'a closing service entry is made anew at the second of the grace period', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 2050, ctCloseLifetime: 20, ctServiceGrace: 3 }),
    { map: 'endpoints6', key: { address: hex('fd000000000000800000000000000001') }, value: { ifindex: 0, endpointId: 0, nodeId: 0, identity: 0, policyId: 0, epoch: 0, flags: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'backends6', key: { id: 10 }, value: { address: new Uint8Array(16), port: 0, protocol: 0, state: 2, nodeId: 0, zone: 0, flags: 0 } },
    { map: 'services6', key: { address: hex('fd100000000000000000000000000001'), port: 443, protocol: 6, scope: 0, slot: 0 }, value: { target: 0, count: 2, reverseNat: 0, flags: 0, drainCount: 0 } },
    { map: 'services6', key: { address: hex('fd100000000000000000000000000001'), port: 443, protocol: 6, scope: 0, slot: 1 }, value: { target: 10, count: 0, reverseNat: 0, flags: 0, drainCount: 0 } },
  ],
  steps: [
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000150600fd000000000000800000000000000001fd100000000000000000000000000001ffff01bb000000000000000050000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000140600fd000000000000800000000000000001fd100000000000000000000000000001ffff01bb0000000000000000501100000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000140600fd000000000000800000000000000001fd100000000000000000000000000001ffff01bb0000000000000000500200000000000000000000'), seconds: 3, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'what was just sent to a backend is no answer', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 2, loopback6: hex('fdff00000000000000000000000000fe') }),
    { map: 'endpoints6', key: { address: hex('fd000000000000800000000000000002') }, value: { ifindex: 0, endpointId: 0, nodeId: 0, identity: 0, policyId: 0, epoch: 0, flags: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'backends6', key: { id: 11 }, value: { address: hex('fd000000000000800000000000000002'), port: 32768, protocol: 0, state: 3, nodeId: 0, zone: 0, flags: 0 } },
    { map: 'services6', key: { address: hex('fd100000000000000000000000000001'), port: 443, protocol: 6, scope: 0, slot: 0 }, value: { target: 0, count: 1, reverseNat: 12, flags: 0, drainCount: 0 } },
    { map: 'services6', key: { address: hex('fd100000000000000000000000000001'), port: 443, protocol: 6, scope: 0, slot: 1 }, value: { target: 11, count: 0, reverseNat: 0, flags: 0, drainCount: 0 } },
  ],
  steps: [
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000140600fd000000000000800000000000000002fdff00000000000000000000000000fe8000040100000000000000005000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 6, bytes: hex('02d60059000b02000000000186dd6000000000150600fdff00000000000000000000000000fefd000000000000800000000000000002040180000000000000000000500000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000170600fd000000000000800000000000000002fd100000000000000000000000000001040101bb00000000000000005000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'a related twin remembers that both ends have opened connections', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 2 }),
    { map: 'endpoints6', key: { address: hex('fd000000000000800000000000000001') }, value: { ifindex: 0, endpointId: 0, nodeId: 0, identity: 0, policyId: 0, epoch: 0, flags: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
  ],
  steps: [
    { hook: 6, bytes: hex('02000000000202c100c1004386dd6000000000383a00fd100000000000000000000000000001fd0000000000008000000000000000010000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000186dd6e000000001c0600fd000000000000800000000000000001fd10000000000000000000000000000100000000000000000000000050000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000186dd60000000001c0600fd000000000000800000000000000001fd100000000000000000000000000001ff000000000000000000000050000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'of rules of equal precedence the longer port prefix wins', sequence: {
  loaded: 384187,
  tables: [],
  world: [
    config({ features: 1 }),
    { map: 'endpoints4', key: { address: 167772545 }, value: { ifindex: 0, endpointId: 0, nodeId: 0, identity: 0, policyId: 3, epoch: 0, flags: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'policy', key: { policyId: 3, identity: 0, port: 0, protocol: 17, shape: 0 }, value: { precedence: 4294915841, cookie: 0, proxyPort: 0, flags: 0 } },
    { map: 'policy', key: { policyId: 3, identity: 0, port: 0, protocol: 0, shape: 17 }, value: { precedence: 4294915841, cookie: 0, proxyPort: 0, flags: 0 } },
    { map: 'policyMeta', key: { policyId: 3 }, value: { flags: 3, ingressShapes: [229891, 197120, 196609], egressShapes: [229632, 65536, 771], ingressCookie: 0, egressCookie: 0 } },
  ],
  steps: [
    { hook: 6, bytes: hex('0207000000000000000000070800450000000000000000110000000000000a00018100000000000000000000000000000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'UDP without a checksum keeps none, partial sums included', sequence: {
  loaded: 2097151,
  tables: [
    { map: 'maglev6', key: { reverseNat: 4 }, table: [15] },
  ],
  world: [
    config({ features: 2, maglevSize: 251 }),
    { map: 'endpoints6', key: { address: hex('fd0000000000008000000000000000fe') }, value: { ifindex: 0, endpointId: 0, nodeId: 0, identity: 0, policyId: 0, epoch: 0, flags: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'backends6', key: { id: 15 }, value: { address: new Uint8Array(16), port: 0, protocol: 0, state: 1, nodeId: 0, zone: 0, flags: 0 } },
    { map: 'services6', key: { address: hex('fd1000000000000000000000000000c8'), port: 80, protocol: 17, scope: 0, slot: 0 }, value: { target: 33554432, count: 1, reverseNat: 4, flags: 0, drainCount: 0 } },
  ],
  steps: [
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000481100fd0000000000008000000000000000fefd1000000000000000000000000000c8000000500000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: { ...NO_META, flags: 1 } },
  ],
} },
  { name: 'a packet of exactly the MTU is sent', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 2 }),
    { map: 'endpoints6', key: { address: hex('fd000000000000000000000000000081') }, value: { ifindex: 0, endpointId: 0, nodeId: 0, identity: 0, policyId: 0, epoch: 0, flags: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'routes6', key: { prefixLength: 32, address: hex('fd090000000000000000000000000000') }, value: { ifindex: 4, mtu: 68, flags: 0, gateway: new Uint8Array(16) } },
    { map: 'neighbours6', key: { ifindex: 4, address: hex('fd0900000000000100000000000000c8') }, value: { destination: new Uint8Array(6), source: new Uint8Array(6) } },
  ],
  steps: [
    { hook: 5, bytes: hex('02000000000202000000000186dd60000000001c1100fd000000000000000000000000000081fd0900000000000100000000000000c800000000000000000000000000000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'an answered connection behind a route with a small MTU, path MTU discovery on', sequence: {
  loaded: 54525951,
  tables: [],
  world: [
    config({ features: 34078722, randomSeed: 2299895601 }),
    { map: 'endpoints6', key: { address: hex('fd000000000000000000000000000081') }, value: { ifindex: 0, endpointId: 0, nodeId: 0, identity: 0, policyId: 0, epoch: 0, flags: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'backends6', key: { id: 4 }, value: { address: hex('20010000000000800000000000000003'), port: 32768, protocol: 0, state: 1, nodeId: 0, zone: 0, flags: 0 } },
    { map: 'services6', key: { address: hex('fd0100000000000000000000000000fe'), port: 80, protocol: 17, scope: 0, slot: 0 }, value: { target: 0, count: 5, reverseNat: 1, flags: 0, drainCount: 0 } },
    { map: 'services6', key: { address: hex('fd0100000000000000000000000000fe'), port: 80, protocol: 17, scope: 0, slot: 3 }, value: { target: 4, count: 0, reverseNat: 0, flags: 0, drainCount: 0 } },
    { map: 'reverseNat6', key: { index: 1 }, value: { address: hex('fd0100000000000000000000000000fe'), port: 80, flags: 1 } },
    { map: 'routes6', key: { prefixLength: 0, address: new Uint8Array(16) }, value: { ifindex: 0, mtu: 60, flags: 0, gateway: new Uint8Array(16) } },
  ],
  steps: [
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000481100fd000000000000000000000000000081fd0100000000000000000000000000fe005000500000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 6, bytes: hex('023c00c700da023c00bd002486dd600000000008110020010000000000800000000000000003fd0000000000000000000000000000818000005000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000186dd6000000000481140fd000000000000000000000000000081fd0100000000000000000000000000fe005000500000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
  ],
} },
  { name: 'a way is not remembered of a connection that is over as soon as it goes on', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 1, randomSeed: 7, ctTcpLifetime: 2147483648 }),
    { map: 'endpoints4', key: { address: 167772417 }, value: { ifindex: 0, endpointId: 0, nodeId: 0, flags: 0, policyId: 0, epoch: 0, identity: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'endpoints4', key: { address: 167772673 }, value: { ifindex: 0, endpointId: 0, nodeId: 0, flags: 0, policyId: 0, epoch: 0, identity: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'backends4', key: { id: 1 }, value: { address: 167772673, port: 8080, protocol: 0, state: 1, nodeId: 0, zone: 0, flags: 0 } },
    { map: 'services4', key: { address: 167773441, port: 80, protocol: 6, scope: 0, slot: 0 }, value: { target: 0, count: 2, reverseNat: 1, flags: 0, drainCount: 0 } },
    { map: 'services4', key: { address: 167773441, port: 80, protocol: 6, scope: 0, slot: 1 }, value: { target: 1, count: 0, reverseNat: 0, flags: 0, drainCount: 0 } },
    { map: 'reverseNat4', key: { index: 1 }, value: { address: 167773441, port: 80, flags: 1 } },
  ],
  steps: [
    { hook: 5, bytes: hex('02000000000202000000000108004500000000000000000600000a0001010a0005010400005000000000000000005000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 6, bytes: hex('02000000000202000000000108004500000000000000000600000a0002010a0001011f90040000000000000000005012000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000108004500002800000000400600000a0001010a0005010400005000000000000000005000000000000000'), seconds: 0, nanoseconds: 0, meta: { ...NO_META, ifindex: 11 } },
    { hook: 5, bytes: hex('02000000000202000000000108004500002800000000400600000a0001010a0005010400005000000000000000005000000000000000'), seconds: 0, nanoseconds: 0, meta: { ...NO_META, ifindex: 11 } },
  ],
} },
  { name: 'a remembered way ends with a connection that closes and is over at once', sequence: {
  loaded: 2097151,
  tables: [],
  world: [
    config({ features: 1, randomSeed: 7, ctCloseLifetime: 2147483648 }),
    { map: 'endpoints4', key: { address: 167772417 }, value: { ifindex: 0, endpointId: 0, nodeId: 0, flags: 0, policyId: 0, epoch: 0, identity: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'endpoints4', key: { address: 167772673 }, value: { ifindex: 0, endpointId: 0, nodeId: 0, flags: 0, policyId: 0, epoch: 0, identity: 0, mac: new Uint8Array(6), nodeMac: new Uint8Array(6) } },
    { map: 'backends4', key: { id: 1 }, value: { address: 167772673, port: 8080, protocol: 0, state: 1, nodeId: 0, zone: 0, flags: 0 } },
    { map: 'services4', key: { address: 167773441, port: 80, protocol: 6, scope: 0, slot: 0 }, value: { target: 0, count: 2, reverseNat: 1, flags: 0, drainCount: 0 } },
    { map: 'services4', key: { address: 167773441, port: 80, protocol: 6, scope: 0, slot: 1 }, value: { target: 1, count: 0, reverseNat: 0, flags: 0, drainCount: 0 } },
    { map: 'reverseNat4', key: { index: 1 }, value: { address: 167773441, port: 80, flags: 1 } },
  ],
  steps: [
    { hook: 5, bytes: hex('02000000000202000000000108004500000000000000000600000a0001010a0005010400005000000000000000005000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 6, bytes: hex('02000000000202000000000108004500000000000000000600000a0002010a0001011f90040000000000000000005000000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000108004500002800000000400600000a0001010a0005010400005000000000000000005000000000000000'), seconds: 0, nanoseconds: 0, meta: { ...NO_META, ifindex: 11 } },
    { hook: 5, bytes: hex('02000000000202000000000108004500000000000000000600000a0001010a0005010400005000000000000000005011000000000000'), seconds: 0, nanoseconds: 0, meta: NO_META },
    { hook: 5, bytes: hex('02000000000202000000000108004500002800000000400600000a0001010a0005010400005000000000000000005000000000000000'), seconds: 0, nanoseconds: 0, meta: { ...NO_META, ifindex: 11 } },
  ],
} },
];
