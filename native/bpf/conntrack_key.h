/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Conntrack keys and the lookups that use them. Twin: src/datapath/stages/conntrack-key.ts. A key
 * is canonical: the lower end first, by signed comparison of little-endian loads; a flag says which
 * end owns it. Output: cx->key. Invariant: both directions of a connection give the same key. */
#pragma once
#include "recent.h"

/* Sign of the comparison of two IPv6 addresses, word by word as signed integers. */
INLINE int compare_words(const __u32 *a, const __u32 *b) {
  for (int i = 0; i < 3; i++)
    if (a[i] != b[i])
      return (__s32)a[i] < (__s32)b[i] ? -1 : 1;
  return a[3] == b[3] ? 0 : (__s32)a[3] < (__s32)b[3] ? -1 : 1;
}

/* Key of a pair of ends; `ports` raw, the source's in the low half. Ends must not lie in cx->key.
 */
INLINE void set_key(struct weir_context *cx, const __u32 *source, const __u32 *destination,
                    __u32 ports, __u32 protocol, bool owner_is_source, __u32 flags,
                    const int family) {
  int order;
  if (family == 4)
    order = source[0] == destination[0] ? 0 : (__s32)source[0] < (__s32)destination[0] ? -1 : 1;
  else
    order = compare_words(source, destination);
  bool source_low = order < 0 || (order == 0 && (ports & 0xffff) <= ports >> 16);
  __u32 owner_high = owner_is_source == source_low ? 0 : WEIR_CT_KEY_OWNER_HIGH;
  __u32 *key = cx->key;
  const int words = family == 4 ? 1 : 4;
  if (source_low) {
    for (int i = 0; i < words; i++) {
      key[i] = source[i];
      key[words + i] = destination[i];
    }
    key[2 * words] = ports;
  } else {
    for (int i = 0; i < words; i++) {
      key[i] = destination[i];
      key[words + i] = source[i];
    }
    key[2 * words] = (ports >> 16) | (ports << 16);
  }
  key[2 * words + 1] = protocol | ((flags | owner_high) << 8);
}

/* Key of the packet's own tuple, as it stands now. */
INLINE void set_tuple_key(struct weir_context *cx, bool owner_is_source, __u32 flags,
                          const int family) {
  set_key(cx, cx->source, cx->destination, cx->ports, cx->protocol, owner_is_source, flags, family);
}

/* Key of the twin that lets ICMP errors between the packet's addresses pass. */
INLINE void set_related_key(struct weir_context *cx, const int family) {
  set_key(cx, cx->source, cx->destination, 0, family == 4 ? IPPROTO_ICMP_ : IPPROTO_ICMPV6_,
          cx->owner_is_source, cx->owner_flags | WEIR_CT_KEY_RELATED, family);
}

/* Whether the current key is a TCP connection's: those have maps of their own. */
INLINE bool is_tcp_key(const struct weir_context *cx, const int family) {
  return (cx->key[family == 4 ? 3 : 9] & 0xff) == IPPROTO_TCP_;
}

/* Finds the current key among answered connections, or those that nobody has answered. */
INLINE struct weir_ct_entry *seek(struct weir_context *cx, bool tcp, const bool answered,
                                  const int family) {
  struct weir_ct_entry *entry;
  if (tcp) {
    entry = family == 4 ? answered ? bpf_map_lookup_elem(&weir_ct_tcp4, cx->key)
                                   : bpf_map_lookup_elem(&weir_ct_tcp_new4, cx->key)
            : answered ? bpf_map_lookup_elem(&weir_ct_tcp6, cx->key)
                        : bpf_map_lookup_elem(&weir_ct_tcp_new6, cx->key);
    APART(entry);
  } else
    entry = family == 4 ? answered ? bpf_map_lookup_elem(&weir_ct_any4, cx->key)
                                   : bpf_map_lookup_elem(&weir_ct_any_new4, cx->key)
            : answered ? bpf_map_lookup_elem(&weir_ct_any6, cx->key)
                        : bpf_map_lookup_elem(&weir_ct_any_new6, cx->key);
  return entry;
}

/* Stores cx->entry under the current key. `how`: BPF_ANY, or BPF_NOEXIST where another processor
 * may have been faster. 0 or a negative errno. */
INLINE int store(struct weir_context *cx, bool tcp, const bool answered, __u64 how,
                 const int family) {
  int result;
  if (tcp) {
    result = family == 4 ? answered
                               ? bpf_map_update_elem(&weir_ct_tcp4, cx->key, cx->entry, how)
                               : bpf_map_update_elem(&weir_ct_tcp_new4, cx->key, cx->entry, how)
             : answered ? bpf_map_update_elem(&weir_ct_tcp6, cx->key, cx->entry, how)
                         : bpf_map_update_elem(&weir_ct_tcp_new6, cx->key, cx->entry, how);
    APART(result);
  } else
    result = family == 4 ? answered
                               ? bpf_map_update_elem(&weir_ct_any4, cx->key, cx->entry, how)
                               : bpf_map_update_elem(&weir_ct_any_new4, cx->key, cx->entry, how)
             : answered ? bpf_map_update_elem(&weir_ct_any6, cx->key, cx->entry, how)
                         : bpf_map_update_elem(&weir_ct_any_new6, cx->key, cx->entry, how);
  return result;
}

/* Removes the current key. */
INLINE void forget(struct weir_context *cx, bool tcp, const bool answered, const int family) {
  if (tcp) {
    if (family == 4)
      answered ? bpf_map_delete_elem(&weir_ct_tcp4, cx->key)
               : bpf_map_delete_elem(&weir_ct_tcp_new4, cx->key);
    else
      answered ? bpf_map_delete_elem(&weir_ct_tcp6, cx->key)
               : bpf_map_delete_elem(&weir_ct_tcp_new6, cx->key);
  } else {
    if (family == 4)
      answered ? bpf_map_delete_elem(&weir_ct_any4, cx->key)
               : bpf_map_delete_elem(&weir_ct_any_new4, cx->key);
    else
      answered ? bpf_map_delete_elem(&weir_ct_any6, cx->key)
               : bpf_map_delete_elem(&weir_ct_any_new6, cx->key);
  }
  if (answered)
    disturb(cx);
}
