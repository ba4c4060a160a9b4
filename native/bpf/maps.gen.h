/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Generated from src/schema by npm run gen. Do not edit. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "layout.gen.h"

/* the datapath’s configuration */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_config);
} weir_config SEC(".maps");

/* frontends and slots */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weir_service_key4);
	__type(value, struct weir_service);
} weir_services4 SEC(".maps");

/* frontends and slots */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weir_service_key6);
	__type(value, struct weir_service);
} weir_services6 SEC(".maps");

/* backends by id */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct weir_backend4);
} weir_backends4 SEC(".maps");

/* backends by id */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct weir_backend6);
} weir_backends6 SEC(".maps");

/* frontend by index */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct weir_reverse_nat4);
} weir_reverse_nat4 SEC(".maps");

/* frontend by index */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct weir_reverse_nat6);
} weir_reverse_nat6 SEC(".maps");

/* Maglev tables */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, 16381);
			__type(key, __u32);
			__type(value, __u32);
		});
} weir_maglev4 SEC(".maps");

/* Maglev tables */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, 16381);
			__type(key, __u32);
			__type(value, __u32);
		});
} weir_maglev6 SEC(".maps");

/* Maglev tables before a change, while flows move */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, 16381);
			__type(key, __u32);
			__type(value, __u32);
		});
} weir_maglev_previous4 SEC(".maps");

/* Maglev tables before a change, while flows move */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, 16381);
			__type(key, __u32);
			__type(value, __u32);
		});
} weir_maglev_previous6 SEC(".maps");

/* flows that xdp must remember */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct weir_flow_key4);
	__type(value, struct weir_flow);
} weir_flows4 SEC(".maps");

/* flows that xdp must remember */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct weir_flow_key6);
	__type(value, struct weir_flow);
} weir_flows6 SEC(".maps");

/* next hop by backend */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct weir_next_hop);
} weir_next_hops4 SEC(".maps");

/* next hop by backend */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct weir_next_hop);
} weir_next_hops6 SEC(".maps");

/* session affinity */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weir_affinity_key4);
	__type(value, struct weir_affinity);
} weir_affinity4 SEC(".maps");

/* session affinity */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weir_affinity_key6);
	__type(value, struct weir_affinity);
} weir_affinity6 SEC(".maps");

/* backends that may be remembered */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weir_affinity_match_key);
	__type(value, struct weir_presence);
} weir_affinity_match SEC(".maps");

/* source ranges */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__type(key, struct weir_source_range_key4);
	__type(value, struct weir_presence);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_source_range4 SEC(".maps");

/* source ranges */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__type(key, struct weir_source_range_key6);
	__type(value, struct weir_presence);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_source_range6 SEC(".maps");

/* answered TCP connections */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 524288);
	__type(key, struct weir_ct_key4);
	__type(value, struct weir_ct_entry);
} weir_ct_tcp4 SEC(".maps");

/* answered connections of other protocols */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct weir_ct_key4);
	__type(value, struct weir_ct_entry);
} weir_ct_any4 SEC(".maps");

/* TCP connections nobody has answered */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct weir_ct_key4);
	__type(value, struct weir_ct_entry);
} weir_ct_tcp_new4 SEC(".maps");

/* other connections nobody has answered */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weir_ct_key4);
	__type(value, struct weir_ct_entry);
} weir_ct_any_new4 SEC(".maps");

/* answered TCP connections */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 524288);
	__type(key, struct weir_ct_key6);
	__type(value, struct weir_ct_entry);
} weir_ct_tcp6 SEC(".maps");

/* answered connections of other protocols */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct weir_ct_key6);
	__type(value, struct weir_ct_entry);
} weir_ct_any6 SEC(".maps");

/* TCP connections nobody has answered */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct weir_ct_key6);
	__type(value, struct weir_ct_entry);
} weir_ct_tcp_new6 SEC(".maps");

/* other connections nobody has answered */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct weir_ct_key6);
	__type(value, struct weir_ct_entry);
} weir_ct_any_new6 SEC(".maps");

/* every policy entry of the node */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1048576);
	__type(key, struct weir_policy_key);
	__type(value, struct weir_policy);
} weir_policy SEC(".maps");

/* shapes and enforcement by policy id */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct weir_policy_meta);
} weir_policy_meta SEC(".maps");

/* identity of an address */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 512000);
	__type(key, struct weir_ipcache_key4);
	__type(value, struct weir_ipcache);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_ipcache4 SEC(".maps");

/* identity of an address */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 512000);
	__type(key, struct weir_ipcache_key6);
	__type(value, struct weir_ipcache);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_ipcache6 SEC(".maps");

/* local endpoints */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65535);
	__type(key, struct weir_endpoint_key4);
	__type(value, struct weir_endpoint);
} weir_endpoints4 SEC(".maps");

/* local endpoints */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65535);
	__type(key, struct weir_endpoint_key6);
	__type(value, struct weir_endpoint);
} weir_endpoints6 SEC(".maps");

/* source NAT, both halves */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 524288);
	__type(key, struct weir_nat_key4);
	__type(value, struct weir_nat_entry4);
} weir_nat4 SEC(".maps");

/* source NAT, both halves */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 524288);
	__type(key, struct weir_nat_key6);
	__type(value, struct weir_nat_entry6);
} weir_nat6 SEC(".maps");

/* addresses that nodes put in place of others */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct weir_node4);
} weir_nodes4 SEC(".maps");

/* addresses that nodes put in place of others */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct weir_node6);
} weir_nodes6 SEC(".maps");

/* destinations that see pods as they are */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__type(key, struct weir_no_masq_key4);
	__type(value, struct weir_no_masq);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_no_masq4 SEC(".maps");

/* destinations that see pods as they are */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__type(key, struct weir_no_masq_key6);
	__type(value, struct weir_no_masq);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_no_masq6 SEC(".maps");

/* ports of fragmented datagrams */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct weir_fragment_key4);
	__type(value, struct weir_fragment);
} weir_fragments4 SEC(".maps");

/* ports of fragmented datagrams */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct weir_fragment_key6);
	__type(value, struct weir_fragment);
} weir_fragments6 SEC(".maps");

/* routes of the node */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__type(key, struct weir_route_key4);
	__type(value, struct weir_route);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_routes4 SEC(".maps");

/* routes of the node */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 16384);
	__type(key, struct weir_route_key6);
	__type(value, struct weir_route);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} weir_routes6 SEC(".maps");

/* next-hop MACs */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct weir_neighbour_key4);
	__type(value, struct weir_neighbour);
} weir_neighbours4 SEC(".maps");

/* next-hop MACs */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct weir_neighbour_key6);
	__type(value, struct weir_neighbour);
} weir_neighbours6 SEC(".maps");

/* service addresses answered for */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct weir_announced_key4);
	__type(value, struct weir_announced);
} weir_announced4 SEC(".maps");

/* service addresses answered for */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct weir_announced_key6);
	__type(value, struct weir_announced);
} weir_announced6 SEC(".maps");

/* bandwidth limits by endpoint id */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct weir_limit);
} weir_limits SEC(".maps");

/* last departures by endpoint id */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, struct weir_departure);
} weir_departures SEC(".maps");

/* VLANs that pass the devices untouched [bpf.vlanBypass] */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct weir_vlan_key);
	__type(value, struct weir_presence);
} weir_vlans SEC(".maps");

/* token buckets of answers */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct weir_rate_limit_key);
	__type(value, struct weir_rate_limit);
} weir_rate_limit SEC(".maps");

/* frontends whose first packet should wake their Service up */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct weir_scale_to_zero_key);
	__type(value, struct weir_presence);
} weir_scale_to_zero SEC(".maps");

/* packets and bytes by reason and direction */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct weir_metrics);
} weir_metrics SEC(".maps");

/* drops, traces, policy verdicts */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2097152);
} weir_events SEC(".maps");

/* decision record of the last run */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_decision);
	__uint(map_flags, BPF_F_MMAPABLE);
} weir_record SEC(".maps");

/* time and meta of the next run */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_clock);
	__uint(map_flags, BPF_F_MMAPABLE);
} weir_clock SEC(".maps");

/* events for which the ring had no room */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_lost);
} weir_events_lost SEC(".maps");

/* where an answer is put together */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_answer);
} weir_answers SEC(".maps");

/* state of the run on this processor */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_context);
} weir_contexts SEC(".maps");

/* what just passed, IPv4: places of each processor */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct weir_recent4);
	__uint(map_flags, BPF_F_MMAPABLE);
} weir_recent4 SEC(".maps");

/* what just passed, IPv6: places of each processor */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct weir_recent6);
	__uint(map_flags, BPF_F_MMAPABLE);
} weir_recent6 SEC(".maps");

/* the same for decision records, IPv4 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct weir_recent_record);
} weir_recent_told4 SEC(".maps");

/* the same for decision records, IPv6 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct weir_recent_record);
} weir_recent_told6 SEC(".maps");

/* changes of maps from outside the programs */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weir_generation);
	__uint(map_flags, BPF_F_MMAPABLE);
} weir_generation SEC(".maps");

/* addresses with wildcards */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct weir_wildcard_bits);
	__uint(map_flags, BPF_F_MMAPABLE);
} weir_wildcards SEC(".maps");

/* disturbances by a hash of the client */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct weir_disturbed);
} weir_disturbed SEC(".maps");
