// Which slot of a Maglev table a client meets. Input: a table and the client's tuple hash (the datapath's jhash).
// Output: the slot and the backend in it.

/**
 * The slot and its backend id for a tuple hash (u32); undefined for an empty table. The hash is that of Cilium's datapath
 * (hash_from_tuple_v4/v6, seeded with MaglevSeed.hash4 or hash6); with session affinity the source port counts as 0.
 */
export function maglevLookup(
  table: Uint32Array,
  hash: number,
): { readonly slot: number; readonly backendId: number } | undefined {
  if (table.length === 0) return undefined;
  const slot = (hash >>> 0) % table.length;
  return { slot, backendId: table[slot]! };
}
