/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The state of one run, constants of the load, configuration, time and meta. Twin:
 * src/datapath/context.ts. Input: the program's context. Output: struct weir_context in its per-CPU
 * slot, cleared and begun. Invariant: what a run leaves behind is only in maps; hot functions are
 * inlined, rare ones are global functions, which the verifier checks once, alone, and which know
 * nothing of their caller but the slot. */
#pragma once
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "layout.gen.h"
#include "maps.gen.h"

#define INLINE static __always_inline
/* A global function: not inlined, verified on its own. */
#define RARE __attribute__((noinline))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* Hides what clang knows of a value, so that it keeps a bound check that the verifier needs (clang
 * 14, kernel 6.18). */
#define HIDE(x) asm volatile("" : "+r"(x))
/* Keeps clang from merging two lookups in different maps into one in a map that the verifier cannot
 * name: such a lookup is an indirect call (kernel 6.18: not inlined, retpoline). */
#define APART(x) asm volatile("" : "+r"(x))

/* The bounds of an skb's linear bytes. In assembly, since clang 14 merges the two loads of
 * different branches into one at a computed offset, which the verifier refuses for a context
 * ("dereference of modified ctx ptr", kernel 6.18). */
#define SKB_BOUND(skb, field)                                                                      \
  ({                                                                                               \
    void *bound_;                                                                                  \
    asm volatile("%0 = *(u32 *)(%1 + %2)"                                                          \
                 : "=r"(bound_)                                                                    \
                 : "r"(skb), "i"(offsetof(struct __sk_buff, field)));                              \
    bound_;                                                                                        \
  })
#define DATA(skb) SKB_BOUND(skb, data)
#define DATA_END(skb) SKB_BOUND(skb, data_end)

/* Packet bytes are read in several widths: these types may alias. */
typedef __u8 __attribute__((may_alias)) p8;
typedef __u16 __attribute__((may_alias)) p16;
typedef __u32 __attribute__((may_alias)) p32;

/* Alone in .rodata, written by the loader. */
const volatile struct weir_load weir_load = {.features = 0xffffffff, .hz = 250};

/* Entries are made in the slot, and hold u64. */
_Static_assert(offsetof(struct weir_context, entry) % 8 == 0, "aligned for weir_ct_entry");

/* Whether a feature is on. Code of a feature that the load leaves out is removed by the verifier.
 */
#define HAS(cx, bits) ((weir_load.features & (bits)) && ((cx)->features & (bits)))

#define CONTINUE (-1)
#define IPPROTO_ICMP_ 1
#define IPPROTO_TCP_ 6
#define IPPROTO_UDP_ 17
#define IPPROTO_ICMPV6_ 58
#define IPPROTO_SCTP_ 132
#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

/* Where the service conntrack entry of a packet was found. */
#define SERVICE_ENTRY_NOT_ASKED 0
#define SERVICE_ENTRY_ANSWERED 1
#define SERVICE_ENTRY_UNANSWERED 2
#define SERVICE_ENTRY_ABSENT 3

/* The slot of this processor; NULL only for the verifier. A run has it for itself: programs of xdp
 * and tc run with bottom halves off, on a processor that they do not leave, and no run begins
 * inside another: a redirect is carried out behind the run. On PREEMPT_RT bottom halves are
 * preempted, but two sections with them off still exclude each other on a processor, by a lock.
 * Since Linux 6.18 that lock can be left out (CONFIG_PREEMPT_RT_NEEDS_BH_LOCK=n): there two runs
 * could meet in one slot, and these programs are not for such a kernel. */
INLINE struct weir_context *context_slot(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&weir_contexts, &zero);
}

INLINE struct weir_config *config_of(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&weir_config, &zero);
}

INLINE struct weir_clock *clock_of(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&weir_clock, &zero);
}

/* Whether no map may change. Only test runs probe. */
INLINE bool probing(const struct weir_context *cx) {
  return weir_load.clock_from_map && (cx->meta_flags & WEIR_META_FLAG_PROBE);
}

/* Whether the L4 checksum field holds a pseudo-header sum, as told by a test run. In real traffic
 * the kernel's checksum functions know it themselves. */
INLINE bool told_partial(const struct weir_context *cx) {
  return weir_load.clock_from_map && (cx->meta_flags & WEIR_META_FLAG_PARTIAL_CHECKSUM);
}

/* Seconds since start in real traffic. */
INLINE __u32 kernel_seconds(void) {
  __u32 hz = weir_load.hz;
  return hz ? (__u32)(bpf_jiffies64() / hz) : 0;
}

/* Takes time and meta from the one-slot map; time never runs backwards. */
INLINE void begin_told(struct weir_context *cx) {
  struct weir_clock *clock = clock_of();
  if (!clock)
    return;
  cx->seconds = clock->seconds;
  cx->nanoseconds = clock->nanoseconds;
  cx->ifindex = clock->ifindex;
  cx->mark = clock->mark;
  cx->xdp_metadata = clock->xdp_metadata;
  cx->gso_size = clock->gso_size;
  cx->meta_flags = clock->flags;
  cx->aggregate = clock->cb[0];
  __u32 now = clock->seconds;
  if ((__s32)now <= (__s32)clock->latest)
    now = clock->latest;
  cx->now = now;
  if (!(clock->flags & WEIR_META_FLAG_PROBE))
    clock->latest = now;
}

/* Clears the slot. */
INLINE void begin_bare(struct weir_context *cx, int hook) {
  __builtin_memset(cx, 0, offsetof(struct weir_context, key));
  cx->hook = hook;
  cx->ct_status = WEIR_CT_NONE;
}

/* Clears the slot and takes in what every hook has. */
INLINE void begin(struct weir_context *cx, const struct weir_config *config, int hook) {
  begin_bare(cx, hook);
  cx->features = config->features & weir_load.features;
}

/* Gives a test run its meta back. */
INLINE void give_back(const struct weir_context *cx) {
  struct weir_clock *clock = clock_of();
  if (!clock)
    return;
  clock->mark = cx->mark;
  clock->cb[0] = cx->aggregate;
  clock->xdp_metadata = cx->xdp_metadata;
  clock->flags = cx->meta_flags;
}
