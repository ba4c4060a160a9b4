/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Backend selection without conntrack, at xdp. Twin: src/datapath/stages/service-flow.ts. Input: a
 * master entry. Output: cx->backend_id; CONTINUE or a verdict. Invariant: a flow whose Maglev slot
 * is settled reads and writes no state; only flows of moving slots and of frontends without a table
 * are remembered. */
#pragma once
#include "service.h"

/* Whether the packet opens a connection: a TCP SYN without ACK. */
INLINE bool is_opening(const struct weir_context *cx) {
  return cx->protocol == IPPROTO_TCP_ && (cx->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/* Whether a backend may serve this packet: active, or draining for packets that do not open. */
INLINE bool may_serve(const struct weir_context *cx, __u32 id, struct backend *backend,
                      const int family) {
  if (!find_backend(id, backend, family))
    return false;
  return backend->state == WEIR_BACKEND_STATE_ACTIVE ||
         (backend->state == WEIR_BACKEND_STATE_TERMINATING && !is_opening(cx));
}

INLINE void set_flow_key(struct weir_context *cx, const int family) {
  __u32 *key = cx->other_key;
  const int words = family == 4 ? 1 : 4;
  for (int i = 0; i < words; i++) {
    key[i] = cx->source[i];
    key[words + i] = cx->destination[i];
  }
  key[2 * words] = cx->ports;
  key[2 * words + 1] = cx->protocol;
}

/* The backend of a table before its change, or 0. */
INLINE __u32 previous_backend(struct weir_context *cx, const struct weir_config *config,
                              const int family) {
  __u32 reverse_nat = cx->reverse_nat;
  __u32 hash = maglev_hash(cx, config, family);
  __s64 slot = family == 4 ? maglev_slot(bpf_map_lookup_elem(&weir_maglev_previous4, &reverse_nat),
                                         hash, maglev_slots(config))
                           : maglev_slot(bpf_map_lookup_elem(&weir_maglev_previous6, &reverse_nat),
                                         hash, maglev_slots(config));
  return slot > 0 ? slot & WEIR_MAGLEV_SLOT_BACKEND : BACKEND_NONE;
}

INLINE int remember_flow_of(struct weir_context *cx, __u32 fresh, bool has_table,
                            const int family) {
  struct weir_config *config = config_of();
  struct backend backend;
  if (!config)
    return no_backend(cx);
  set_flow_key(cx, family);
  struct weir_flow *flow = family == 4 ? bpf_map_lookup_elem(&weir_flows4, cx->other_key)
                                       : bpf_map_lookup_elem(&weir_flows6, cx->other_key);
  if (flow && (__s32)(flow->last_seen + config->flow_lifetime) > (__s32)cx->now &&
      may_serve(cx, flow->backend_id, &backend, family)) {
    if (flow->last_seen != cx->now && !probing(cx))
      flow->last_seen = cx->now;
    cx->backend_id = flow->backend_id;
    return CONTINUE;
  }
  __u32 id = BACKEND_NONE;
  if (has_table && !is_opening(cx)) {
    __u32 previous = previous_backend(cx, config, family);
    if (may_serve(cx, previous, &backend, family))
      id = previous;
  }
  if (!id) {
    if (!may_serve(cx, fresh, &backend, family))
      return no_backend(cx);
    id = fresh;
  }
  cx->backend_id = id;
  cx->monitor = 1;
  if (probing(cx))
    return CONTINUE;
  struct weir_flow made = {.backend_id = id, .last_seen = cx->now};
  /* Without memory the flow is not remembered: the packet goes on. */
  if (family == 4)
    bpf_map_update_elem(&weir_flows4, cx->other_key, &made, BPF_ANY);
  else
    bpf_map_update_elem(&weir_flows6, cx->other_key, &made, BPF_ANY);
  return CONTINUE;
}

/* A flow that is not told by its slot alone: remembered, of the table before, or new. `fresh`: the
 * backend of a new one. */
RARE int remember_flow(struct weir_context *cx, __u32 fresh, __u32 has_table) {
  if (!cx)
    return WEIR_VERDICT_ERROR;
  return cx->family == 4 ? remember_flow_of(cx, fresh, has_table, 4)
                         : remember_flow_of(cx, fresh, has_table, 6);
}

INLINE int select_affine_of(struct weir_context *cx, const int family) {
  struct weir_config *config = config_of();
  struct backend backend;
  if (!config || !cx->service_count)
    return no_backend(cx);
  __u32 id = remembered(cx, family);
  if (id && !may_serve(cx, id, &backend, family))
    id = BACKEND_NONE;
  if (!id) {
    id = choose(cx, config, family);
    if (!may_serve(cx, id, &backend, family))
      return no_backend(cx);
    cx->monitor = 1;
  }
  if (!probing(cx))
    remember_of(cx, id, family);
  cx->backend_id = id;
  return CONTINUE;
}

/* A frontend with affinity: the client's backend is the memory. */
RARE int select_affine(struct weir_context *cx) {
  if (!cx)
    return WEIR_VERDICT_ERROR;
  return cx->family == 4 ? select_affine_of(cx, 4) : select_affine_of(cx, 6);
}

/* The backend of a frontend without a table, by chance or the first one. */
RARE __u32 slot_backend(struct weir_context *cx) {
  struct weir_config *config = config_of();
  if (!cx || !config || !cx->service_count)
    return BACKEND_NONE;
  __u32 algorithm = cx->service_target >> 24;
  if (!algorithm)
    algorithm = config->algorithm;
  __u32 slot = 1;
  if (algorithm != WEIR_ALGORITHM_FIRST)
    slot = cx->family == 4 ? random_slot(cx, config->random_seed, 4)
                           : random_slot(cx, config->random_seed, 6);
  __u32 port_slot = cx->service_port | (slot << 16);
  struct weir_service *entry = cx->family == 4 ? find_service(cx, port_slot, cx->protocol, 4)
                                               : find_service(cx, port_slot, cx->protocol, 6);
  return entry ? entry->target : BACKEND_NONE;
}

/* Chooses the backend of a packet at xdp. */
INLINE int select_backend(struct weir_context *cx, const struct weir_config *config,
                          const struct weir_service *master, struct backend *backend,
                          const int family) {
  __u32 target = master->target;
  __u32 reverse_nat = master->reverse_nat;
  cx->reverse_nat = reverse_nat;
  cx->service_target = target;
  cx->service_count = master->count;
  cx->service_port = cx->ports >> 16;
  if (unlikely(cx->service_flags & WEIR_SERVICE_FLAG_AFFINITY)) {
    int verdict = select_affine(cx);
    if (verdict != CONTINUE)
      return verdict;
    return find_backend(cx->backend_id, backend, family) ? CONTINUE : no_backend(cx);
  }
  __u32 algorithm = target >> 24;
  if (!algorithm)
    algorithm = config->algorithm;
  __s64 slot = -1;
  if (algorithm == WEIR_ALGORITHM_MAGLEV) {
    __u32 hash = maglev_hash(cx, config, family);
    slot = family == 4 ? maglev_slot(bpf_map_lookup_elem(&weir_maglev4, &reverse_nat), hash,
                                     maglev_slots(config))
                       : maglev_slot(bpf_map_lookup_elem(&weir_maglev6, &reverse_nat), hash,
                                     maglev_slots(config));
  }
  if (likely(slot >= 0 && !(slot & WEIR_MAGLEV_SLOT_MOVING))) {
    if (!master->count || !may_serve(cx, slot, backend, family))
      return no_backend(cx);
    cx->backend_id = slot;
    cx->monitor = is_opening(cx);
    return CONTINUE;
  }
  __u32 fresh = slot >= 0 ? slot & WEIR_MAGLEV_SLOT_BACKEND : slot_backend(cx);
  int verdict = remember_flow(cx, master->count ? fresh : BACKEND_NONE, slot >= 0);
  if (verdict != CONTINUE)
    return verdict;
  return find_backend(cx->backend_id, backend, family) ? CONTINUE : no_backend(cx);
}
