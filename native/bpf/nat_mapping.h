/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Translations of sources: finding one, making one, and making one half again from the other when
 * it was evicted. Twin: src/datapath/stages/nat-mapping.ts. Input: the packet's tuple,
 * cx->nat_address. Output: a raw port, or what an answer is for. Invariant: a packet is translated
 * only while both halves agree; at most WEIR_BOUND_NAT_ATTEMPTS ports are tried. */
#pragma once
#include "jhash.h"
#include "metrics.h"
#include "nat.h"
#include "nat_key.h"

#define OWNER_NOBODY 0
#define OWNER_OWN 1
#define OWNER_OTHER 2
/* The stride between ports that are tried is 1 to this. */
#define NAT_STRIDES 1024

/* A tuple that is looked up besides the packet's own; `ports` raw, the source's in the low half. In
 * cx->other_key: the stacks of nested calls add up. */
struct nat_tuple {
  __u32 source[4];
  __u32 destination[4];
  __u32 ports;
  __u32 protocol;
};
_Static_assert(sizeof(struct nat_tuple) <= sizeof(((struct weir_context *)0)->other_key),
               "fits the slot");

INLINE struct nat_tuple *tuple_of(struct weir_context *cx) {
  return (struct nat_tuple *)cx->other_key;
}

/* Sets that tuple. */
INLINE void set_tuple(struct weir_context *cx, const __u32 *source, const __u32 *destination,
                      __u32 ports, __u32 protocol, const int family) {
  struct nat_tuple *tuple = tuple_of(cx);
  for (int i = 0; i < (family == 4 ? 1 : 4); i++) {
    tuple->source[i] = source[i];
    tuple->destination[i] = destination[i];
  }
  tuple->ports = ports;
  tuple->protocol = protocol;
}

/* Whether a raw port is one that source NAT gives out. */
INLINE bool is_nat_port(const struct weir_config *config, __u32 port) {
  __u32 number = bpf_ntohs(port);
  return number >= config->nat_port_first && number <= config->nat_port_last;
}

/* Whose the answers to the raw port are. Leaves the key set. */
INLINE int owner_of(struct weir_context *cx, __u32 ports, __u32 port, const int family) {
  struct translation found = {};
  set_nat_key(cx, cx->destination, cx->nat_address, (ports >> 16) | (port << 16),
              rest_of(cx->protocol, WEIR_NAT_WAY_BACK), family);
  if (!seek_nat(cx, &found, family))
    return OWNER_NOBODY;
  return is_same_address(found.address, cx->source, family) && found.port == (ports & 0xffff)
             ? OWNER_OWN
             : OWNER_OTHER;
}

/* Stores the answers' half of a port that nobody has, whose key is set: they are for the packet's
 * source. Whether they are now; another processor may have done so for the same connection. */
INLINE bool claim(struct weir_context *cx, __u32 ports, __u32 port, __u32 flags, __u32 reverse_nat,
                  const int family) {
  return !store_nat(cx, cx->source, ports & 0xffff, flags, reverse_nat, BPF_NOEXIST, family) ||
         owner_of(cx, ports, port, family) == OWNER_OWN;
}

INLINE int find_out_of(struct weir_context *cx, const int family) {
  struct translation found = {};
  __u32 ports = out_ports(cx);
  set_nat_key(cx, cx->source, cx->destination, ports, rest_of(cx->protocol, WEIR_NAT_WAY_OUT),
              family);
  if (!seek_nat(cx, &found, family) || !is_same_address(found.address, cx->nat_address, family))
    return -1;
  int owner = owner_of(cx, ports, found.port, family);
  if (owner == OWNER_OWN)
    return found.port;
  if (owner == OWNER_OTHER || !claim(cx, ports, found.port, found.flags, found.reverse_nat, family))
    return -1;
  count(cx, WEIR_METRIC_NAT_RESTORED, WEIR_DIRECTION_EGRESS);
  return found.port;
}

/* The translation that the packet's connection has from cx->nat_address: its raw port, -1 = none.
 */
RARE int find_out(struct weir_context *cx) {
  if (!cx)
    return -1;
  return cx->family == 4 ? find_out_of(cx, 4) : find_out_of(cx, 6);
}

/* Bits 16.. of a hash's half times a bound: 0..bound-1. */
INLINE __u32 scaled(__u32 half, __u32 bound) { return (half * bound) >> 16; }

INLINE int allocate(struct weir_context *cx, const struct weir_config *config, __u32 flags,
                    const int family) {
  __u32 ports = out_ports(cx);
  __u32 first = config->nat_port_first;
  __u32 last = config->nat_port_last;
  if (last < first)
    return -WEIR_DROP_NAT_NO_MAPPING;
  __u32 size = last - first + 1;
  __u32 wanted = bpf_ntohs(ports);
  bool kept = wanted >= first && wanted <= last;
  bool sctp = cx->protocol == IPPROTO_SCTP_;
  if (sctp && !kept)
    return -WEIR_DROP_CSUM_L4;
  __u32 hash =
      family == 4
          ? chance4(cx->source[0], cx->destination[0], ports, cx->protocol, 0, config->random_seed)
          : chance6(cx->source, cx->destination, ports, cx->protocol, 0, config->random_seed);
  __u32 stride = 1 + scaled(hash & 0xffff, size <= NAT_STRIDES ? size - 1 : NAT_STRIDES);
  __u32 next = first + scaled(hash >> 16, size);
  __u32 number = kept ? wanted : next;
  for (int i = 0; i < WEIR_BOUND_NAT_ATTEMPTS; i++) {
    __u32 port = bpf_htons(number);
    int owner = owner_of(cx, ports, port, family);
    if (owner == OWNER_OWN ||
        (owner == OWNER_NOBODY && claim(cx, ports, port, flags, cx->reverse_nat, family))) {
      set_nat_key(cx, cx->source, cx->destination, ports, rest_of(cx->protocol, WEIR_NAT_WAY_OUT),
                  family);
      if (!store_nat(cx, cx->nat_address, port, flags, cx->reverse_nat, BPF_ANY, family))
        return port;
      set_nat_key(cx, cx->destination, cx->nat_address, (ports >> 16) | (port << 16),
                  rest_of(cx->protocol, WEIR_NAT_WAY_BACK), family);
      remove_nat(cx, family);
      return -WEIR_DROP_NAT_NO_MAPPING;
    }
    count(cx, WEIR_METRIC_NAT_COLLISION, WEIR_DIRECTION_EGRESS);
    if (sctp)
      return -WEIR_DROP_CSUM_L4;
    if (i || !kept) {
      next += stride;
      if (next > last)
        next -= size;
    }
    number = next;
  }
  return -WEIR_DROP_NAT_NO_MAPPING;
}

/* The raw port by which the packet leaves from cx->nat_address: that of its translation, or of a
 * new one; or minus a WEIR_DROP. */
RARE int map_out(struct weir_context *cx, __u32 flags) {
  struct weir_config *config = config_of();
  if (!cx || !config)
    return -WEIR_DROP_NAT_NO_MAPPING;
  int port = find_out(cx);
  if (port >= 0)
    return port;
  return cx->family == 4 ? allocate(cx, config, flags, 4) : allocate(cx, config, flags, 6);
}

INLINE bool find_back_of(struct weir_context *cx, const int family) {
  const struct nat_tuple *tuple = tuple_of(cx);
  struct translation found = {};
  __u32 ports = tuple->ports;
  set_nat_key(cx, tuple->source, tuple->destination, ports,
              rest_of(tuple->protocol, WEIR_NAT_WAY_BACK), family);
  if (!seek_nat(cx, &found, family))
    return false;
  for (int i = 0; i < (family == 4 ? 1 : 4); i++)
    cx->nat_address[i] = found.address[i];
  cx->nat_port = found.port;
  cx->nat_flags = found.flags;
  cx->nat_reverse = found.reverse_nat;
  set_nat_key(cx, cx->nat_address, tuple->source, cx->nat_port | (ports << 16),
              rest_of(tuple->protocol, WEIR_NAT_WAY_OUT), family);
  struct translation out = {};
  if (!seek_nat(cx, &out, family)) {
    /* Not over what another processor has put there since. */
    store_nat(cx, tuple->destination, ports >> 16, cx->nat_flags, cx->nat_reverse, BPF_NOEXIST,
              family);
    count(cx, WEIR_METRIC_NAT_RESTORED, WEIR_DIRECTION_INGRESS);
    return true;
  }
  if (is_same_address(out.address, tuple->destination, family) && out.port == ports >> 16)
    return true;
  /* The connection leaves otherwise by now, its own half having been evicted once: this one is of
   * no use any more. */
  set_nat_key(cx, tuple->source, tuple->destination, ports,
              rest_of(tuple->protocol, WEIR_NAT_WAY_BACK), family);
  if (!probing(cx))
    remove_nat(cx, family);
  return false;
}

/* What an answer of the tuple is for: fills cx->nat_…. Whether there is a translation. */
RARE int find_back(struct weir_context *cx) {
  if (!cx)
    return 0;
  return cx->family == 4 ? find_back_of(cx, 4) : find_back_of(cx, 6);
}

/* The translation of a tuple towards the outside, for what an ICMP error quotes. Nothing is made.
 */
INLINE bool seek_out_of(struct weir_context *cx, const int family) {
  const struct nat_tuple *tuple = tuple_of(cx);
  struct translation found = {};
  set_nat_key(cx, tuple->source, tuple->destination, tuple->ports,
              rest_of(tuple->protocol, WEIR_NAT_WAY_OUT), family);
  if (!seek_nat(cx, &found, family))
    return false;
  for (int i = 0; i < (family == 4 ? 1 : 4); i++)
    cx->nat_address[i] = found.address[i];
  cx->nat_port = found.port;
  return true;
}
