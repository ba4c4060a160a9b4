/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who the ends of a packet are. Twin: src/datapath/stages/identity.ts. Input: addresses, meta.
 * Output: endpoint fields of the context, identities. Invariant: at most one ipcache lookup a side;
 * a miss is the world. */
#pragma once
#include "context.h"

#define MARK_MASK 0x0f00
#define MARK_HOST 0x0c00
#define MARK_IDENTITY 0x0f00

/* The mark that carries an identity of up to 24 bits to the next hook (Cilium's
 * MARK_MAGIC_IDENTITY). */
INLINE __u32 identity_mark(__u32 identity) {
  return (identity << 16) | ((identity >> 16) & 0xff) | MARK_IDENTITY;
}

/* The endpoint that has an address (raw words in map memory or on the stack), or NULL. */
INLINE struct weir_endpoint *find_endpoint(const void *address, const int family) {
  struct weir_endpoint *endpoint;
  if (family == 4) {
    endpoint = bpf_map_lookup_elem(&weir_endpoints4, address);
    APART(endpoint);
  } else
    endpoint = bpf_map_lookup_elem(&weir_endpoints6, address);
  return endpoint;
}

/* Whether a backend at an address is on this node: an endpoint, or a process of the node itself,
 * which only has an endpoint where the host is policed. */
INLINE bool is_local_backend(const struct weir_config *config, const void *address, __u32 node,
                             const int family) {
  return find_endpoint(address, family) || (config->node_id && config->node_id == node);
}

/* Takes the endpoint whose hook this is, with its epoch, which must be read before any policy
 * probe. */
INLINE void take_endpoint(struct weir_context *cx, const struct weir_config *config,
                          const struct weir_endpoint *endpoint) {
  cx->endpoint_ifindex = endpoint->ifindex;
  cx->endpoint_id = endpoint->endpoint_id;
  cx->endpoint_node = endpoint->node_id;
  cx->endpoint_identity = endpoint->identity;
  cx->endpoint_policy = endpoint->policy_id;
  cx->endpoint_flags = endpoint->flags;
  cx->epoch = endpoint->epoch + config->global_epoch;
}

/* A miss is the world, by family on a dual-stack node; a node that the endpoint runs on is its
 * host. */
INLINE __u32 refine(const struct weir_context *cx, const struct weir_ipcache *entry) {
  const __u32 both = WEIR_FEATURE_IPV4 | WEIR_FEATURE_IPV6;
  if (!entry) {
    if ((cx->features & both) != both)
      return WEIR_IDENTITY_WORLD;
    return cx->family == 4 ? WEIR_IDENTITY_WORLD_IPV4 : WEIR_IDENTITY_WORLD_IPV6;
  }
  __u32 identity = entry->identity;
  if (identity == WEIR_IDENTITY_REMOTE_NODE || identity == WEIR_IDENTITY_KUBE_APISERVER ||
      identity >> 24 == 2) {
    __u32 node = entry->node_id;
    if (node && node == cx->endpoint_node)
      return WEIR_IDENTITY_HOST;
  }
  return identity;
}

INLINE __u32 identity_of(const struct weir_context *cx, const __u32 *address) {
  if (cx->family == 4) {
    struct weir_ipcache_key4 key = {.prefix_length = 64, .address = address[0]};
    return refine(cx, bpf_map_lookup_elem(&weir_ipcache4, &key));
  }
  struct weir_ipcache_key6 key = {.prefix_length = 160};
  __builtin_memcpy(key.address, address, 16);
  return refine(cx, bpf_map_lookup_elem(&weir_ipcache6, &key));
}

/* Identity of the source where the hook is not its own: host by meta or mark, an identity in the
 * mark, else the ipcache. */
RARE __u32 identity_of_source(struct weir_context *cx) {
  if (!cx)
    return 0;
  if (cx->meta_flags & WEIR_META_FLAG_FROM_HOST)
    return WEIR_IDENTITY_HOST;
  __u32 magic = cx->mark & MARK_MASK;
  if (magic == MARK_HOST)
    return WEIR_IDENTITY_HOST;
  if (magic == MARK_IDENTITY)
    return ((cx->mark & 0xff) << 16) | (cx->mark >> 16);
  return identity_of(cx, cx->source);
}

/* Identity of the destination by the ipcache. */
RARE __u32 identity_of_destination(struct weir_context *cx) {
  return cx ? identity_of(cx, cx->destination) : 0;
}
