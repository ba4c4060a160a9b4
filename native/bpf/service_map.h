/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lookups in the service maps: masters, slots, backends. Twin: src/datapath/stages/service-map.ts.
 * Input: the destination address, port, slot, scope. Output: entries, or NULL. */
#pragma once
#include "context.h"

/* A backend of either family, as the datapath uses it. */
struct backend {
  /* Raw words of the address, in map memory. */
  const __u32 *address;
  __u32 port;
  __u32 state;
  __u32 node;
};

/* Master (slot 0) or slot: `port_slot` raw port in the low half, slot in the high; `protocol_scope`
 * protocol in the low byte, scope in the next. */
INLINE struct weir_service *find_service(const struct weir_context *cx, __u32 port_slot,
                                         __u32 protocol_scope, const int family) {
  if (family == 4) {
    __u32 key[3] = {cx->destination[0], port_slot, protocol_scope};
    return bpf_map_lookup_elem(&weir_services4, key);
  }
  __u32 key[6] = {cx->destination[0], cx->destination[1], cx->destination[2],
                  cx->destination[3], port_slot,          protocol_scope};
  return bpf_map_lookup_elem(&weir_services6, key);
}

/* The backend of an id; false for an id that is none (state 0). */
INLINE bool find_backend(__u32 id, struct backend *found, const int family) {
  if (!id)
    return false;
  if (family == 4) {
    struct weir_backend4 *backend = bpf_map_lookup_elem(&weir_backends4, &id);
    if (!backend || backend->state == WEIR_BACKEND_STATE_NONE)
      return false;
    found->address = (const __u32 *)&backend->address;
    found->port = backend->port;
    found->state = backend->state;
    found->node = backend->node_id;
    return true;
  }
  struct weir_backend6 *backend = bpf_map_lookup_elem(&weir_backends6, &id);
  if (!backend || backend->state == WEIR_BACKEND_STATE_NONE)
    return false;
  found->address = (const __u32 *)backend->address;
  found->port = backend->port;
  found->state = backend->state;
  found->node = backend->node_id;
  return true;
}
