/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which backend serves a packet. Twin: src/datapath/stages/service-backend.ts. Input: the master
 * entry's words, in the context. Output: cx->backend_id, cx->service_entry. Invariant: the same
 * flow, maps and seed give the same backend. */
#pragma once
#include "conntrack.h"
#include "jhash.h"
#include "service_map.h"

#define BACKEND_NONE 0

/* Whether a packet may not drain to a backend that is going: a TCP SYN; other protocols have none.
 */
INLINE bool is_syn(const struct weir_context *cx) {
  return cx->protocol == IPPROTO_TCP_ && (cx->tcp_flags & TCP_SYN);
}

/* A frontend with nothing behind it. */
INLINE int no_backend(struct weir_context *cx) {
  bool routable = !(cx->features & (WEIR_FEATURE_NO_BACKEND_DROP | WEIR_FEATURE_NO_BACKEND_REJECT));
  if (routable &&
      !(cx->service_flags & (WEIR_SERVICE_FLAG_EXT_LOCAL | WEIR_SERVICE_FLAG_INT_LOCAL)))
    return forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_SERVICE);
  if (cx->features & WEIR_FEATURE_NO_BACKEND_REJECT) {
    /* The answer is from-netdev's. */
    if (cx->hook == WEIR_HOOK_XDP)
      return forwarded(cx, WEIR_ACTION_STACK, WEIR_STAGE_SERVICE);
    cx->answer = WEIR_ANSWER_NO_SERVICE;
  }
  return drop(cx, WEIR_DROP_NO_SERVICE, WEIR_STAGE_SERVICE);
}

/* 1..count by a hash of the flow. */
INLINE __u32 random_slot(const struct weir_context *cx, __u32 seed, const int family) {
  __u32 count = cx->service_count;
  if (!count)
    return 0;
  __u32 hash = family == 4
                   ? chance4(cx->source[0], cx->destination[0], cx->ports, cx->protocol, 0, seed)
                   : chance6(cx->source, cx->destination, cx->ports, cx->protocol, 0, seed);
  return hash % count + 1;
}

/* The flow's hash in a Maglev table. With affinity one client always hashes alike: its source port
 * counts as 0. */
INLINE __u32 maglev_hash(const struct weir_context *cx, const struct weir_config *config,
                         const int family) {
  __u32 ports = cx->ports;
  if (cx->service_flags & WEIR_SERVICE_FLAG_AFFINITY)
    ports &= ~0xffffu;
  return family == 4 ? tuple_hash4(cx->source[0], ports, cx->protocol, config->hash_seed4)
                     : tuple_hash6(cx->source, ports, cx->protocol, config->hash_seed6);
}

/* Slots of the tables: the configuration's, but never behind the end of those that were loaded. */
INLINE __u32 maglev_slots(const struct weir_config *config) {
  __u32 slots = config->maglev_size;
  __u32 loaded = weir_load.maglev_slots;
  return loaded && slots > loaded ? loaded : slots;
}

/* One slot of a frontend's table: the slot's word; -1: the frontend has no table. */
INLINE __s64 maglev_slot(void *table, __u32 hash, __u32 slots) {
  if (!table || !slots)
    return -1;
  __u32 slot = hash % slots;
  __u32 *id = bpf_map_lookup_elem(table, &slot);
  return id ? *id : 0;
}

/* Chooses by the frontend's algorithm, or the node's (0). A frontend without a table is balanced at
 * random. */
INLINE __u32 choose(struct weir_context *cx, const struct weir_config *config, const int family) {
  __u32 algorithm = cx->service_target >> 24;
  if (!algorithm)
    algorithm = config->algorithm;
  if (algorithm == WEIR_ALGORITHM_MAGLEV) {
    __u32 reverse_nat = cx->reverse_nat;
    __u32 hash = maglev_hash(cx, config, family);
    __s64 slot = family == 4 ? maglev_slot(bpf_map_lookup_elem(&weir_maglev4, &reverse_nat), hash,
                                           maglev_slots(config))
                             : maglev_slot(bpf_map_lookup_elem(&weir_maglev6, &reverse_nat), hash,
                                           maglev_slots(config));
    if (slot >= 0)
      return slot & WEIR_MAGLEV_SLOT_BACKEND;
  }
  __u32 slot = algorithm == WEIR_ALGORITHM_FIRST ? 1 : random_slot(cx, config->random_seed, family);
  struct weir_service *entry = find_service(cx, cx->service_port | (slot << 16),
                                            cx->protocol | ((__u32)cx->scope << 8), family);
  return entry ? entry->target : BACKEND_NONE;
}

/* Key of the client's affinity, in cx->other_key. */
INLINE void set_affinity_key(struct weir_context *cx, const int family) {
  __u32 *key = cx->other_key;
  key[0] = cx->source[0];
  if (family == 4) {
    key[1] = 0;
    key[2] = cx->reverse_nat;
    return;
  }
  for (int i = 1; i < 4; i++)
    key[i] = cx->source[i];
  key[4] = cx->reverse_nat;
}

/* The backend that this client is to keep, or 0. An entry that is past its timeout, or whose
 * backend no longer serves the frontend, is removed; one whose backend is gone is forgotten by
 * choosing anew. */
INLINE __u32 remembered(struct weir_context *cx, const int family) {
  set_affinity_key(cx, family);
  struct weir_affinity *affinity = family == 4
                                       ? bpf_map_lookup_elem(&weir_affinity4, cx->other_key)
                                       : bpf_map_lookup_elem(&weir_affinity6, cx->other_key);
  if (!affinity)
    return BACKEND_NONE;
  __u32 id = affinity->backend_id;
  __u32 expires = affinity->last_used + (cx->service_target & 0xffffff);
  __u32 match[2] = {id, cx->reverse_nat};
  if ((__s32)expires > (__s32)cx->now && bpf_map_lookup_elem(&weir_affinity_match, match)) {
    struct backend backend;
    return find_backend(id, &backend, family) ? id : BACKEND_NONE;
  }
  if (!probing(cx)) {
    if (family == 4)
      bpf_map_delete_elem(&weir_affinity4, cx->other_key);
    else
      bpf_map_delete_elem(&weir_affinity6, cx->other_key);
  }
  return BACKEND_NONE;
}

INLINE void remember_of(struct weir_context *cx, __u32 id, const int family) {
  set_affinity_key(cx, family);
  struct weir_affinity *affinity = family == 4
                                       ? bpf_map_lookup_elem(&weir_affinity4, cx->other_key)
                                       : bpf_map_lookup_elem(&weir_affinity6, cx->other_key);
  if (affinity) {
    affinity->last_used = cx->now;
    affinity->backend_id = id;
    return;
  }
  struct weir_affinity fresh = {.last_used = cx->now, .backend_id = id};
  if (family == 4)
    bpf_map_update_elem(&weir_affinity4, cx->other_key, &fresh, BPF_ANY);
  else
    bpf_map_update_elem(&weir_affinity6, cx->other_key, &fresh, BPF_ANY);
}

/* Writes or refreshes the client's affinity. Without memory nothing is remembered: the packet goes
 * on. */
RARE int remember(struct weir_context *cx, __u32 id) {
  if (!cx)
    return 0;
  if (cx->family == 4)
    remember_of(cx, id, 4);
  else
    remember_of(cx, id, 6);
  return 0;
}

INLINE __u32 reselect_of(struct weir_context *cx, const int family) {
  struct weir_config *config = config_of();
  struct backend backend;
  if (!config || !cx->service_count)
    return BACKEND_NONE;
  __u32 id = choose(cx, config, family);
  return find_backend(id, &backend, family) ? id : BACKEND_NONE;
}

/* A backend for a service entry whose own may not serve any more; 0: there is none. */
RARE __u32 reselect(struct weir_context *cx) {
  if (!cx)
    return BACKEND_NONE;
  return cx->family == 4 ? reselect_of(cx, 4) : reselect_of(cx, 6);
}

INLINE int select_new_of(struct weir_context *cx, const int family) {
  struct weir_config *config = config_of();
  struct backend backend;
  if (!config || !cx->service_count)
    return no_backend(cx);
  bool affine = cx->service_flags & WEIR_SERVICE_FLAG_AFFINITY;
  __u32 id = affine ? remembered(cx, family) : BACKEND_NONE;
  if (!id) {
    id = choose(cx, config, family);
    if (!find_backend(id, &backend, family))
      return no_backend(cx);
  }
  int made = create_service_entry(cx, config, id, family);
  if (made != CONTINUE)
    return made;
  if (affine && !probing(cx))
    remember_of(cx, cx->backend_id, family);
  return CONTINUE;
}

/* Without a service entry: affinity, then the algorithm; an entry is made. The current key must be
 * the service key. */
RARE int select_new(struct weir_context *cx) {
  if (!cx)
    return CONTINUE;
  return cx->family == 4 ? select_new_of(cx, 4) : select_new_of(cx, 6);
}

/* Finds the backend. A live service entry of the same frontend decides: its backend is kept while
 * it is active, and while it drains for packets that do not open a connection. Output besides:
 * *backend. */
INLINE int balance(struct weir_context *cx, const struct weir_config *config,
                   const struct weir_service *master, __u32 port, __u32 scope, __u32 owner_flags,
                   struct backend *backend, const int family) {
  bool tcp = cx->protocol == IPPROTO_TCP_;
  __u16 reverse_nat = master->reverse_nat;
  cx->reverse_nat = reverse_nat;
  cx->service_target = master->target;
  cx->service_count = master->count;
  cx->service_port = port;
  cx->scope = scope;
  set_tuple_key(cx, cx->owner_is_source, WEIR_CT_KEY_SERVICE | owner_flags, family);
  struct weir_ct_entry *entry = seek(cx, tcp, true, family);
  if (entry && !is_expired(cx, entry) && entry->reverse_nat == reverse_nat)
    cx->service_entry = SERVICE_ENTRY_ANSWERED;
  else {
    entry = seek(cx, tcp, false, family);
    if (entry && !is_expired(cx, entry) && entry->reverse_nat == reverse_nat)
      cx->service_entry = SERVICE_ENTRY_UNANSWERED;
    else {
      cx->service_entry = SERVICE_ENTRY_ABSENT;
      /* As in conntrack(): it may have been moved in between. */
      entry = opens(cx) ? NULL : seek(cx, tcp, true, family);
      if (entry && !is_expired(cx, entry) && entry->reverse_nat == reverse_nat)
        cx->service_entry = SERVICE_ENTRY_ANSWERED;
      else
        entry = NULL;
    }
  }
  if (entry && !track(cx, config, entry, false, tcp, true)) {
    __u32 id = entry->backend;
    bool exists = find_backend(id, backend, family);
    if (unlikely(!exists || (backend->state != WEIR_BACKEND_STATE_ACTIVE && is_syn(cx)))) {
      id = reselect(cx);
      if (!id || !find_backend(id, backend, family))
        return no_backend(cx);
      if (!probing(cx)) {
        entry->backend = id;
        disturb(cx);
      }
    }
    if ((cx->service_flags & WEIR_SERVICE_FLAG_AFFINITY) && !probing(cx))
      remember(cx, id);
    cx->backend_id = id;
    return CONTINUE;
  }
  int verdict = select_new(cx);
  if (verdict != CONTINUE)
    return verdict;
  return find_backend(cx->backend_id, backend, family) ? CONTINUE : no_backend(cx);
}
