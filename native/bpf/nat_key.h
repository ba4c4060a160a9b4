/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys of the NAT maps, in natural order, and what is stored under them. Twin:
 * src/datapath/stages/nat-key.ts. Output: cx->key. Invariant: towards the outside an ICMP echo's id
 * is the source port and the other port is 0; on the way back the other way round. */
#pragma once
#include "context.h"

/* A translation as it was found. */
struct translation {
  /* Raw words of the address, in map memory. */
  const __u32 *address;
  __u32 port;
  __u32 flags;
  __u32 reverse_nat;
};

INLINE bool is_icmp(__u32 protocol) {
  return protocol == IPPROTO_ICMP_ || protocol == IPPROTO_ICMPV6_;
}

/* Raw ports of the packet's tuple as NAT has them, towards the outside. */
INLINE __u32 out_ports(const struct weir_context *cx) {
  return is_icmp(cx->protocol) ? cx->ports & 0xffff : cx->ports;
}

/* The same for an answer. */
INLINE __u32 back_ports(const struct weir_context *cx) {
  return is_icmp(cx->protocol) ? cx->ports & 0xffff0000 : cx->ports;
}

INLINE __u32 turned(__u32 ports) { return (ports >> 16) | (ports << 16); }

/* Key of a tuple; `rest`: the protocol in the low byte, WEIR_NAT_WAY in the next. */
INLINE void set_nat_key(struct weir_context *cx, const __u32 *source, const __u32 *destination,
                        __u32 ports, __u32 rest, const int family) {
  const int words = family == 4 ? 1 : 4;
  __u32 *key = cx->key;
  for (int i = 0; i < words; i++) {
    key[i] = source[i];
    key[words + i] = destination[i];
  }
  key[2 * words] = ports;
  key[2 * words + 1] = rest;
}

INLINE __u32 rest_of(__u32 protocol, __u32 way) { return protocol | (way << 8); }

/* Finds the current key. */
INLINE bool seek_nat(struct weir_context *cx, struct translation *found, const int family) {
  if (family == 4) {
    struct weir_nat_entry4 *entry = bpf_map_lookup_elem(&weir_nat4, cx->key);
    if (!entry)
      return false;
    found->address = (const __u32 *)&entry->address;
    found->port = entry->port;
    found->flags = entry->flags;
    found->reverse_nat = entry->reverse_nat;
    return true;
  }
  struct weir_nat_entry6 *entry = bpf_map_lookup_elem(&weir_nat6, cx->key);
  if (!entry)
    return false;
  found->address = (const __u32 *)entry->address;
  found->port = entry->port;
  found->flags = entry->flags;
  found->reverse_nat = entry->reverse_nat;
  return true;
}

/* Stores an entry under the current key. A probe stores nothing and succeeds. `how`: BPF_ANY or
 * BPF_NOEXIST. 0 or a negative errno. */
INLINE int store_nat(struct weir_context *cx, const __u32 *address, __u32 port, __u32 flags,
                     __u32 reverse_nat, const int how, const int family) {
  if (probing(cx))
    return 0;
  if (family == 4) {
    struct weir_nat_entry4 entry = {
        .address = address[0],
        .port = port,
        .flags = flags,
        .created = cx->now,
        .reverse_nat = reverse_nat,
    };
    return bpf_map_update_elem(&weir_nat4, cx->key, &entry, how);
  }
  struct weir_nat_entry6 entry = {
      .port = port,
      .flags = flags,
      .created = cx->now,
      .reverse_nat = reverse_nat,
  };
  __builtin_memcpy(entry.address, address, 16);
  return bpf_map_update_elem(&weir_nat6, cx->key, &entry, how);
}

/* Removes the current key. */
INLINE void remove_nat(struct weir_context *cx, const int family) {
  if (family == 4)
    bpf_map_delete_elem(&weir_nat4, cx->key);
  else
    bpf_map_delete_elem(&weir_nat6, cx->key);
}
