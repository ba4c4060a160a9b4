/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What just passed: the way of a connection's last packet, for those that follow in the same
 * second. A packet that neither opens nor closes would find the same entries, refresh them to the
 * same second and go the same way: nothing but its own bytes and the counters change. Input: a
 * parsed packet. Output: its way, or none. Invariants: each processor has places of its own; a
 * place is void when the second is over, when anything but these programs wrote to a map
 * (weir_generation), or when a packet began a connection of the client anew or took one away
 * (weir_disturbed). Nothing depends on a place being there. */
#pragma once
#include "context.h"

/* What must stay as it is. */
struct recent {
  __u32 generation;
  __u32 disturbed;
};

#define RECENT(place, field, family)                                                               \
  (*(family == 4 ? &((struct weir_recent4 *)(place))->field                                        \
                 : &((struct weir_recent6 *)(place))->field))

#define RECENT_WORDS(place, field, family)                                                         \
  (family == 4 ? ((struct weir_recent4 *)(place))->field : ((struct weir_recent6 *)(place))->field)

/* Of an address: products beside each other, and not one behind the other. */
INLINE __u32 recent_hash(const __u32 *address, const int family) {
  __u32 hash = address[0] * 0x9e3779b1u;
  if (family == 6)
    hash += address[1] * 0x85ebca6bu + address[2] * 0xc2b2ae35u + address[3] * 0x27d4eb2fu;
  return hash ^ (hash >> 15);
}

/* Of one end of a connection. */
INLINE __u32 recent_end(const __u32 *address, __u32 port, const int family) {
  return (recent_hash(address, family) + port) * 0x9e3779b1u;
}

INLINE struct weir_disturbed *disturbances(__u32 end) {
  __u32 bucket = end >> 20;
  return bpf_map_lookup_elem(&weir_disturbed, &bucket);
}

INLINE void disturb_of(const struct weir_context *cx, const int family) {
  struct weir_disturbed *source = disturbances(recent_end(cx->source, cx->ports & 0xffff, family));
  struct weir_disturbed *destination =
      disturbances(recent_end(cx->destination, cx->ports >> 16, family));
  if (source)
    __sync_fetch_and_add(&source->times, 1);
  if (destination)
    __sync_fetch_and_add(&destination->times, 1);
}

/* To be told of every change to the entry of an answered connection, or to its service entry, that
 * a packet which neither opens nor closes would not find again as it left it: taken away, written
 * over, begun anew, given another backend. Either end may be the client. Behind the change: another
 * processor that has counted this disturbance (recent_begin) finds the entry changed. */
RARE int disturb(struct weir_context *cx) {
  if (!cx || !weir_load.recent_places)
    return 0;
  if (cx->family == 4)
    disturb_of(cx, 4);
  else
    disturb_of(cx, 6);
  return 0;
}

/* Seconds of a test run, jiffies otherwise: what needs no division. */
INLINE __u64 recent_time(const struct weir_context *cx) {
  return weir_load.clock_from_map ? cx->now : bpf_jiffies64();
}

/* Takes down what must stay as it is, before anything else is looked up. False: nothing can be
 * remembered. `client`: recent_end() of the source. */
INLINE bool recent_begin(__u32 client, struct recent *recent) {
  __u32 zero = 0;
  struct weir_generation *generation = bpf_map_lookup_elem(&weir_generation, &zero);
  struct weir_disturbed *disturbed = disturbances(client);
  if (!generation || !disturbed)
    return false;
  recent->generation = *(volatile __u32 *)&generation->changes;
  recent->disturbed = *(volatile __u32 *)&disturbed->times;
  return true;
}

INLINE __u32 recent_client(const struct weir_context *cx, const int family) {
  return recent_end(cx->source, cx->ports & 0xffff, family);
}

/* The two places of a connection, at which it is looked for. Connections of one client through one
 * frontend lie in a row, by the client's port: close together in memory, and not in each other's
 * way. */
struct recent_places {
  __u32 first;
  __u32 second;
};

INLINE struct recent_places recent_places(const struct weir_context *cx, const int family) {
  const __u32 places = family == 4 ? weir_load.recent_places : weir_load.recent_places >> 1;
  __u32 own = bpf_get_smp_processor_id() * places;
  __u32 port = bpf_ntohs(cx->ports);
  __u32 hash = recent_hash(cx->destination, family) + (cx->ports >> 16) + cx->protocol;
  hash = (hash * 0x85ebca6bu) ^ recent_hash(cx->source, family);
  __u32 first = ((hash >> 7) + port) & (places - 1);
  __u32 second = (hash * 0xc2b2ae35u >> 7) + port;
  return (struct recent_places){own + first, own + (second & (places - 1))};
}

INLINE void *recent_place(__u32 index, const int family) {
  return family == 4 ? (void *)bpf_map_lookup_elem(&weir_recent4, &index)
                     : (void *)bpf_map_lookup_elem(&weir_recent6, &index);
}

/* Whether a place is of this connection. */
INLINE bool is_recent_ours(const void *place, const struct weir_context *cx, const int family) {
  const __u32 *source = RECENT_WORDS(place, source, family);
  const __u32 *destination = RECENT_WORDS(place, destination, family);
  for (int i = 0; i < (family == 4 ? 1 : 4); i++)
    if (source[i] != cx->source[i] || destination[i] != cx->destination[i])
      return false;
  return RECENT(place, ports, family) == cx->ports &&
         RECENT(place, protocol, family) == cx->protocol;
}

INLINE bool is_recent_valid(const void *place, const struct recent *recent, __u64 time,
                            const int family) {
  return RECENT(place, until, family) > time &&
         RECENT(place, generation, family) == recent->generation;
}

INLINE bool is_recent_way(const void *place, const struct recent *recent, __u64 time,
                          const struct weir_context *cx, const int family) {
  return is_recent_ours(place, cx, family) && is_recent_valid(place, recent, time, family) &&
         RECENT(place, disturbed, family) == recent->disturbed &&
         RECENT(place, ifindex, family) == cx->ifindex &&
         !(cx->tcp_flags & ~RECENT(place, tcp_flags, family));
}

/* The longest packet that may go the way of this one: any to an endpoint; by a route, whose MTU may
 * be no larger, none that is longer. As forward.h measures it. */
INLINE __u32 recent_size(const struct weir_context *cx) {
  return cx->gso_size ? cx->gso_size + cx->payload - cx->l3 : cx->l3_length;
}

/* A place for the way that the packet is about to go, void until it went; NULL: both are taken, and
 * will be void within a second. Before conntrack is asked; so no more than the place must be kept
 * on the stack meanwhile. */
INLINE void *recent_claim(const struct weir_context *cx, const struct recent *recent, __u32 *at,
                          const int family) {
  struct recent_places both = recent_places(cx, family);
  __u64 time = recent_time(cx);
  __u32 index = both.first;
  void *place = recent_place(index, family);
  if (!place ||
      (!is_recent_ours(place, cx, family) && is_recent_valid(place, recent, time, family))) {
    index = both.second;
    place = recent_place(index, family);
    if (!place ||
        (!is_recent_ours(place, cx, family) && is_recent_valid(place, recent, time, family)))
      return NULL;
  }
  *at = index;
  RECENT(place, until, family) = 0;
  for (int i = 0; i < (family == 4 ? 1 : 4); i++) {
    RECENT_WORDS(place, source, family)[i] = cx->source[i];
    RECENT_WORDS(place, destination, family)[i] = cx->destination[i];
  }
  RECENT(place, ports, family) = cx->ports;
  RECENT(place, protocol, family) = cx->protocol;
  RECENT(place, generation, family) = recent->generation;
  RECENT(place, disturbed, family) = recent->disturbed;
  return place;
}

/* What the decision record says of a way besides; NULL unless there are records. */
INLINE struct weir_recent_record *recent_record(__u32 index, const int family) {
  if (!weir_load.recording)
    return NULL;
  return family == 4 ? bpf_map_lookup_elem(&weir_recent_told4, &index)
                     : bpf_map_lookup_elem(&weir_recent_told6, &index);
}

/* Remembers the way that a packet went, whose TCP flags the entries have noted. */
INLINE void recent_keep(const struct weir_context *cx, void *place, __u32 index, const int family) {
  bool local = cx->action == WEIR_ACTION_LOCAL;
  __u32 size = local ? 0xffff : recent_size(cx);
  __u32 hz = weir_load.clock_from_map ? 1 : weir_load.hz;
  if ((!local && cx->action != WEIR_ACTION_REDIRECT) || size > 0xffff || !hz)
    return;
  for (int i = 0; i < (family == 4 ? 1 : 4); i++)
    RECENT_WORDS(place, backend, family)[i] = cx->destination[i];
  RECENT(place, ifindex, family) = cx->ifindex;
  RECENT(place, out_ifindex, family) = cx->out_ifindex;
  for (int i = 0; i < 3; i++)
    RECENT_WORDS(place, macs, family)[i] = cx->macs[i];
  RECENT(place, source_identity, family) = cx->source_identity;
  RECENT(place, port, family) = cx->ports >> 16;
  RECENT(place, size, family) = size;
  RECENT(place, tcp_flags, family) = cx->tcp_flags;
  RECENT(place, action, family) = cx->action;
  if (weir_load.recording) {
    struct weir_recent_record *record = recent_record(index, family);
    if (!record)
      return;
    record->destination_identity = cx->destination_identity;
    record->cookie = cx->cookie;
    record->backend_id = cx->backend_id;
    record->reverse_nat = cx->reverse_nat;
    record->endpoint_id = cx->endpoint_id;
  }
  RECENT(place, until, family) = ((__u64)cx->now + 1) * hz;
}
