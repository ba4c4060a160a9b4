/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Generated from src/schema by npm run gen. Do not edit. */
#pragma once
#include <linux/types.h>

/* Hooks */
#define WEIR_HOOK_NONE 0
#define WEIR_HOOK_XDP 1
#define WEIR_HOOK_FROM_NETDEV 2
#define WEIR_HOOK_TO_NETDEV 3
#define WEIR_HOOK_FROM_HOST 4
#define WEIR_HOOK_FROM_CONTAINER 5
#define WEIR_HOOK_TO_CONTAINER 6
#define WEIR_HOOK_FROM_OVERLAY 7
#define WEIR_HOOK_TO_OVERLAY 8
#define WEIR_HOOK_CONNECT 9
#define WEIR_HOOK_SENDMSG 10
#define WEIR_HOOK_RECVMSG 11
#define WEIR_HOOK_GETPEERNAME 12
#define WEIR_HOOK_TO_HOST 13

/* Stages */
#define WEIR_STAGE_NONE 0
#define WEIR_STAGE_PARSE 1
#define WEIR_STAGE_SERVICE 2
#define WEIR_STAGE_CONNTRACK 3
#define WEIR_STAGE_POLICY 4
#define WEIR_STAGE_NAT 5
#define WEIR_STAGE_FORWARD 6

/* Verdicts (Hubble) */
#define WEIR_VERDICT_UNKNOWN 0
#define WEIR_VERDICT_FORWARDED 1
#define WEIR_VERDICT_DROPPED 2
#define WEIR_VERDICT_ERROR 3
#define WEIR_VERDICT_AUDIT 4
#define WEIR_VERDICT_REDIRECTED 5
#define WEIR_VERDICT_TRACED 6
#define WEIR_VERDICT_TRANSLATED 7

/* Actions */
#define WEIR_ACTION_STACK 0
#define WEIR_ACTION_DROP 1
#define WEIR_ACTION_REDIRECT 2
#define WEIR_ACTION_TX 3
#define WEIR_ACTION_LOCAL 4
#define WEIR_ACTION_PROXY 5
#define WEIR_ACTION_DELIVER 6
#define WEIR_ACTION_HOST 7

/* Conntrack results */
#define WEIR_CT_NEW 0
#define WEIR_CT_ESTABLISHED 1
#define WEIR_CT_REPLY 2
#define WEIR_CT_RELATED 3
#define WEIR_CT_NONE 255

/* Conntrack key flags */
#define WEIR_CT_KEY_OWNER_HIGH 1
#define WEIR_CT_KEY_RELATED 2
#define WEIR_CT_KEY_SERVICE 4
#define WEIR_CT_KEY_NODE 8

/* Conntrack entry flags */
#define WEIR_CT_FLAG_RX_CLOSING 1
#define WEIR_CT_FLAG_TX_CLOSING 2
#define WEIR_CT_FLAG_LOOPBACK 8
#define WEIR_CT_FLAG_SEEN_NON_SYN 16
#define WEIR_CT_FLAG_NODE_PORT 32
#define WEIR_CT_FLAG_PROXY_REDIRECT 64
#define WEIR_CT_FLAG_DSR_INTERNAL 128
#define WEIR_CT_FLAG_FROM_L7LB 256
#define WEIR_CT_FLAG_FROM_TUNNEL 1024
#define WEIR_CT_FLAG_INBOUND 2048
#define WEIR_CT_FLAG_ANSWERED 4096
#define WEIR_CT_FLAG_AUDITED 8192
#define WEIR_CT_FLAG_BOTH_WAYS 16384

/* Policy matches */
#define WEIR_MATCH_NONE 0
#define WEIR_MATCH_L3_ONLY 1
#define WEIR_MATCH_L3_L4 2
#define WEIR_MATCH_L4_ONLY 3
#define WEIR_MATCH_ALL 4
#define WEIR_MATCH_L3_PROTO 5
#define WEIR_MATCH_PROTO_ONLY 6

/* Verdict byte of a precedence */
#define WEIR_PRECEDENCE_PASS 0
#define WEIR_PRECEDENCE_ALLOW 1
#define WEIR_PRECEDENCE_REDIRECT_LOWEST 2
#define WEIR_PRECEDENCE_REDIRECT_HIGHEST 254
#define WEIR_PRECEDENCE_DENY 255
#define WEIR_PRECEDENCE_TOP 0xffffffffu

/* Direction bit of a policy shape */
#define WEIR_POLICY_DIRECTION_INGRESS 0
#define WEIR_POLICY_DIRECTION_EGRESS 128

/* Policy meta flags */
#define WEIR_POLICY_FLAG_ENFORCE_INGRESS 1
#define WEIR_POLICY_FLAG_ENFORCE_EGRESS 2
#define WEIR_POLICY_FLAG_AUDIT 4
#define WEIR_POLICY_FLAG_HOST 8

/* Policy entry flags */
#define WEIR_POLICY_ENTRY_AUDIT 256

/* Directions of metrics */
#define WEIR_DIRECTION_UNKNOWN 0
#define WEIR_DIRECTION_INGRESS 1
#define WEIR_DIRECTION_EGRESS 2
#define WEIR_DIRECTION_SERVICE 3

/* Service flags */
#define WEIR_SERVICE_FLAG_EXTERNAL_IP 1
#define WEIR_SERVICE_FLAG_NODE_PORT 2
#define WEIR_SERVICE_FLAG_EXT_LOCAL 4
#define WEIR_SERVICE_FLAG_HOST_PORT 8
#define WEIR_SERVICE_FLAG_AFFINITY 16
#define WEIR_SERVICE_FLAG_LOAD_BALANCER 32
#define WEIR_SERVICE_FLAG_ROUTABLE 64
#define WEIR_SERVICE_FLAG_SOURCE_RANGE 128
#define WEIR_SERVICE_FLAG_LOCAL_REDIRECT 256
#define WEIR_SERVICE_FLAG_NAT46X64 512
#define WEIR_SERVICE_FLAG_L7LB 1024
#define WEIR_SERVICE_FLAG_LOOPBACK 2048
#define WEIR_SERVICE_FLAG_L7_DELEGATE 2048
#define WEIR_SERVICE_FLAG_INT_LOCAL 4096
#define WEIR_SERVICE_FLAG_TWO_SCOPES 8192
#define WEIR_SERVICE_FLAG_DENY_OR_QUARANTINED 16384
#define WEIR_SERVICE_FLAG_FORWARD_DSR 32768

/* Service scopes */
#define WEIR_SCOPE_EXTERNAL 0
#define WEIR_SCOPE_INTERNAL 1

/* Load-balancing algorithms */
#define WEIR_ALGORITHM_DEFAULT 0
#define WEIR_ALGORITHM_RANDOM 1
#define WEIR_ALGORITHM_MAGLEV 2
#define WEIR_ALGORITHM_FIRST 3

/* Backend states */
#define WEIR_BACKEND_STATE_NONE 0
#define WEIR_BACKEND_STATE_ACTIVE 1
#define WEIR_BACKEND_STATE_TERMINATING 2
#define WEIR_BACKEND_STATE_QUARANTINED 3
#define WEIR_BACKEND_STATE_MAINTENANCE 4

/* Parts of a Maglev slot */
#define WEIR_MAGLEV_SLOT_BACKEND 2147483647
#define WEIR_MAGLEV_SLOT_MOVING 0x80000000u

/* Next hop flags */
#define WEIR_NEXT_HOP_KNOWN 1

/* Endpoint flags */
#define WEIR_ENDPOINT_FLAG_HOST 1
#define WEIR_ENDPOINT_FLAG_AT_HOST_NS 2
#define WEIR_ENDPOINT_FLAG_SKIP_MASQUERADE 4
#define WEIR_ENDPOINT_FLAG_NO_SOURCE_CHECK 8
#define WEIR_ENDPOINT_FLAG_LIMITED 16

/* ipcache flags */
#define WEIR_IPCACHE_FLAG_SKIP_TUNNEL 1
#define WEIR_IPCACHE_FLAG_HAS_TUNNEL_ENDPOINT 2
#define WEIR_IPCACHE_FLAG_IPV6_TUNNEL_ENDPOINT 4
#define WEIR_IPCACHE_FLAG_REMOTE_CLUSTER 8

/* Halves of a translation */
#define WEIR_NAT_WAY_OUT 0
#define WEIR_NAT_WAY_BACK 1

/* NAT entry flags */
#define WEIR_NAT_FLAG_NEEDS_CT 1
#define WEIR_NAT_FLAG_NODE_PORT 2
#define WEIR_NAT_FLAG_DSR 4

/* Why a pod keeps its address */
#define WEIR_NO_MASQUERADE_NONE 0
#define WEIR_NO_MASQUERADE_NATIVE_ROUTING 1
#define WEIR_NO_MASQUERADE_AGENT 2
#define WEIR_NO_MASQUERADE_NODE 3
#define WEIR_NO_MASQUERADE_POD 4
#define WEIR_NO_MASQUERADE_ANSWER 5
#define WEIR_NO_MASQUERADE_EXEMPT 6
#define WEIR_NO_MASQUERADE_NO_ADDRESS 7

/* Route flags */
#define WEIR_ROUTE_FLAG_ON_LINK 1
#define WEIR_ROUTE_FLAG_LOCAL 2
#define WEIR_ROUTE_FLAG_TUNNEL 4

/* skb marks */
#define WEIR_MARK_MASK 3840
#define WEIR_MARK_SNAT_DONE 768
#define WEIR_MARK_OVERLAY 1024

/* Metrics reasons of Weir */
#define WEIR_METRIC_NAT_COLLISION 100
#define WEIR_METRIC_NAT_RESTORED 101
#define WEIR_METRIC_NEIGHBOUR_ANSWERED 102

/* Decision record flags */
#define WEIR_RECORD_FLAG_NEW 1
#define WEIR_RECORD_FLAG_DNAT 2
#define WEIR_RECORD_FLAG_REVERSE_NAT 4
#define WEIR_RECORD_FLAG_LOOPBACK 8
#define WEIR_RECORD_FLAG_AUDITED 16
#define WEIR_RECORD_FLAG_POLICY_LOOKED_UP 32
#define WEIR_RECORD_FLAG_ENFORCED 64
#define WEIR_RECORD_FLAG_EGRESS 128
#define WEIR_RECORD_FLAG_IPV6 256
#define WEIR_RECORD_FLAG_SNAT 512
#define WEIR_RECORD_FLAG_ENCAPSULATED 1024
#define WEIR_RECORD_FLAG_ANSWERED 2048
#define WEIR_RECORD_FLAG_OVERLAY 4096
#define WEIR_RECORD_FLAG_DECAPSULATED 8192

/* Meta flags */
#define WEIR_META_FLAG_PARTIAL_CHECKSUM 1
#define WEIR_META_FLAG_PROBE 2
#define WEIR_META_FLAG_SKIP_SERVICE 4
#define WEIR_META_FLAG_FROM_HOST 8

/* Features */
#define WEIR_FEATURE_IPV4 1
#define WEIR_FEATURE_IPV6 2
#define WEIR_FEATURE_SCTP 4
#define WEIR_FEATURE_FRAGMENTS_V4 8
#define WEIR_FEATURE_FRAGMENTS_V6 16
#define WEIR_FEATURE_SOURCE_CHECK 32
#define WEIR_FEATURE_EXTERNAL_CLUSTER_IP 64
#define WEIR_FEATURE_NO_BACKEND_DROP 128
#define WEIR_FEATURE_NO_BACKEND_REJECT 256
#define WEIR_FEATURE_POLICY_DENY_ICMP 512
#define WEIR_FEATURE_AUDIT 1024
#define WEIR_FEATURE_CT_ACCOUNTING 2048
#define WEIR_FEATURE_ICMP_FRAG_NEEDED 4096
#define WEIR_FEATURE_ICMP_RULES 8192
#define WEIR_FEATURE_TUNNEL 16384
#define WEIR_FEATURE_NODE_PORT 32768
#define WEIR_FEATURE_MASQUERADE_V4 65536
#define WEIR_FEATURE_VLAN_FILTER 131072
#define WEIR_FEATURE_L7_PROXY 262144
#define WEIR_FEATURE_EVENTS 524288
#define WEIR_FEATURE_DSR_IPIP 1048576
#define WEIR_FEATURE_POLICY_DENY_RESET 16777216
#define WEIR_FEATURE_PMTU_DISCOVERY 33554432
#define WEIR_FEATURE_MASQUERADE_V6 2097152
#define WEIR_FEATURE_HOST_FIREWALL 134217728
#define WEIR_FEATURE_L2_RESPONDER 268435456
#define WEIR_FEATURE_BANDWIDTH 536870912
#define WEIR_FEATURE_DSR_OPTION 4194304
#define WEIR_FEATURE_DSR_GENEVE 8388608
#define WEIR_FEATURE_OVERLAY 67108864
#define WEIR_FEATURE_GENEVE 1073741824
#define WEIR_FEATURE_DSR_IPIP_NETDEV 12582912
#define WEIR_FEATURE_IPIP_TERMINATION (-2147483648)

/* Reserved identities */
#define WEIR_IDENTITY_UNKNOWN 0
#define WEIR_IDENTITY_HOST 1
#define WEIR_IDENTITY_WORLD 2
#define WEIR_IDENTITY_UNMANAGED 3
#define WEIR_IDENTITY_HEALTH 4
#define WEIR_IDENTITY_INIT 5
#define WEIR_IDENTITY_REMOTE_NODE 6
#define WEIR_IDENTITY_KUBE_APISERVER 7
#define WEIR_IDENTITY_INGRESS 8
#define WEIR_IDENTITY_WORLD_IPV4 9
#define WEIR_IDENTITY_WORLD_IPV6 10
#define WEIR_IDENTITY_AGGREGATE_CLUSTER 11
#define WEIR_IDENTITY_AGGREGATE_CLUSTERMESH 12
#define WEIR_IDENTITY_AGGREGATE_WORLD 13
#define WEIR_IDENTITY_AGGREGATE_REMOTE_NODE 14
#define WEIR_IDENTITY_CLUSTER_FIRST 256
#define WEIR_IDENTITY_CLUSTER_LAST 65535
#define WEIR_IDENTITY_SCOPE_LOCAL 16777216
#define WEIR_IDENTITY_SCOPE_REMOTE_NODE 33554432

/* Answers to dropped packets */
#define WEIR_ANSWER_NONE 0
#define WEIR_ANSWER_NO_SERVICE 1
#define WEIR_ANSWER_PROHIBITED 2
#define WEIR_ANSWER_RESET 3
#define WEIR_ANSWER_TIME_EXCEEDED 4
#define WEIR_ANSWER_TOO_BIG 5
#define WEIR_ANSWER_NEIGHBOUR 6

/* What is limited */
#define WEIR_RATE_LIMIT_USAGE_ANSWERS 1

/* Event types */
#define WEIR_EVENT_DROP 1
#define WEIR_EVENT_TRACE 4
#define WEIR_EVENT_VERDICT 5

/* Drop reasons (Cilium) */
#define WEIR_DROP_NONE 0
#define WEIR_DROP_INVALID_SOURCE_IP 132
#define WEIR_DROP_POLICY 133
#define WEIR_DROP_INVALID 134
#define WEIR_DROP_CT_INVALID_HEADER 135
#define WEIR_DROP_FRAG_NEEDED 136
#define WEIR_DROP_CT_UNKNOWN_PROTOCOL 137
#define WEIR_DROP_UNKNOWN_L3 139
#define WEIR_DROP_MISSED_TAIL_CALL 140
#define WEIR_DROP_WRITE_ERROR 141
#define WEIR_DROP_UNKNOWN_L4 142
#define WEIR_DROP_UNKNOWN_ICMP4_CODE 143
#define WEIR_DROP_UNKNOWN_ICMP4_TYPE 144
#define WEIR_DROP_UNKNOWN_ICMP6_CODE 145
#define WEIR_DROP_UNKNOWN_ICMP6_TYPE 146
#define WEIR_DROP_NO_TUNNEL_KEY 147
#define WEIR_DROP_UNKNOWN_TARGET 150
#define WEIR_DROP_UNROUTABLE 151
#define WEIR_DROP_CSUM_L3 153
#define WEIR_DROP_CSUM_L4 154
#define WEIR_DROP_CT_CREATE_FAILED 155
#define WEIR_DROP_INVALID_EXTENSION_HEADER 156
#define WEIR_DROP_FRAG_NO_SUPPORT 157
#define WEIR_DROP_NO_SERVICE 158
#define WEIR_DROP_UNSUPPORTED_SERVICE_PROTOCOL 159
#define WEIR_DROP_NO_TUNNEL_ENDPOINT 160
#define WEIR_DROP_NAT_46X64_DISABLED 161
#define WEIR_DROP_EDT_HORIZON 162
#define WEIR_DROP_UNKNOWN_CT 163
#define WEIR_DROP_HOST_UNREACHABLE 164
#define WEIR_DROP_NO_CONFIG 165
#define WEIR_DROP_UNSUPPORTED_L2 166
#define WEIR_DROP_NAT_NO_MAPPING 167
#define WEIR_DROP_NAT_UNSUPPORTED_PROTOCOL 168
#define WEIR_DROP_NO_FIB 169
#define WEIR_DROP_ENCAP_PROHIBITED 170
#define WEIR_DROP_INVALID_IDENTITY 171
#define WEIR_DROP_UNKNOWN_SENDER 172
#define WEIR_DROP_NAT_NOT_NEEDED 173
#define WEIR_DROP_IS_CLUSTER_IP 174
#define WEIR_DROP_FRAG_NOT_FOUND 175
#define WEIR_DROP_FORBIDDEN_ICMP6 176
#define WEIR_DROP_NOT_IN_SOURCE_RANGE 177
#define WEIR_DROP_PROXY_LOOKUP_FAILED 178
#define WEIR_DROP_PROXY_SET_FAILED 179
#define WEIR_DROP_PROXY_UNKNOWN_PROTOCOL 180
#define WEIR_DROP_POLICY_DENY 181
#define WEIR_DROP_VLAN_FILTERED 182
#define WEIR_DROP_INVALID_VNI 183
#define WEIR_DROP_INVALID_TC_BUFFER 184
#define WEIR_DROP_NO_SID 185
#define WEIR_DROP_MISSING_SRV6_STATE 186
#define WEIR_DROP_NAT46 187
#define WEIR_DROP_NAT64 188
#define WEIR_DROP_POLICY_AUTH_REQUIRED 189
#define WEIR_DROP_CT_NO_MAP_FOUND 190
#define WEIR_DROP_SNAT_NO_MAP_FOUND 191
#define WEIR_DROP_INVALID_CLUSTER_ID 192
#define WEIR_DROP_DSR_ENCAP_UNSUPPORTED_PROTOCOL 193
#define WEIR_DROP_NO_EGRESS_GATEWAY 194
#define WEIR_DROP_UNENCRYPTED_TRAFFIC 195
#define WEIR_DROP_TTL_EXCEEDED 196
#define WEIR_DROP_NO_NODE_ID 197
#define WEIR_DROP_RATE_LIMITED 198
#define WEIR_DROP_IGMP_HANDLED 199
#define WEIR_DROP_IGMP_SUBSCRIBED 200
#define WEIR_DROP_MULTICAST_HANDLED 201
#define WEIR_DROP_HOST_NOT_READY 202
#define WEIR_DROP_ENDPOINT_NOT_READY 203
#define WEIR_DROP_NO_EGRESS_IP 204
#define WEIR_DROP_PUNT_PROXY 205
#define WEIR_DROP_NO_DEVICE 206
#define WEIR_DROP_FRAG_NOT_FOUND_FROM_WORLD 207

/* Bounds */
#define WEIR_BOUND_VLAN_TAGS 2
#define WEIR_BOUND_EXTENSION_HEADERS 4
#define WEIR_BOUND_IPV4_OPTION_BYTES 40
#define WEIR_BOUND_POLICY_PROBES 64
#define WEIR_BOUND_NAT_ATTEMPTS 32
#define WEIR_BOUND_CT_PROBES 2
#define WEIR_BOUND_CT_SERVICE_PROBES 1
#define WEIR_BOUND_CT_MISS_PROBES 1
#define WEIR_BOUND_IPCACHE_PROBES 1
#define WEIR_BOUND_POLICY_SHAPES 18
#define WEIR_BOUND_POLICIES 65536
#define WEIR_BOUND_QUOTE_IPV4 64
#define WEIR_BOUND_QUOTE_IPV6 1232
#define WEIR_BOUND_ANSWERS_PER_SECOND 100
#define WEIR_BOUND_ANSWERS_BURST 1000
#define WEIR_BOUND_LIMITED_BYTES 1048576
#define WEIR_BOUND_TRACE_RECORDS 64
#define WEIR_BOUND_EVENTS 16384
#define WEIR_BOUND_SHAPE_ANY_PROTOCOL 17

/* Session affinity, IPv4 */
struct weir_affinity_key4 {
	__u32 client[2]; /* @0 client address (network order, second word zero), or a netns cookie */
	__u16 reverse_nat; /* @8 reverse NAT index */
	__u8 is_cookie; /* @10 1 = the client is a netns cookie */
	__u8 pad[1];
};
_Static_assert(sizeof(struct weir_affinity_key4) == 12, "weir_affinity_key4: size");
_Static_assert(__builtin_offsetof(struct weir_affinity_key4, client) == 0, "weir_affinity_key4.client");
_Static_assert(__builtin_offsetof(struct weir_affinity_key4, reverse_nat) == 8, "weir_affinity_key4.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_affinity_key4, is_cookie) == 10, "weir_affinity_key4.is_cookie");
_Static_assert(__builtin_offsetof(struct weir_affinity_key4, pad) == 11, "weir_affinity_key4.pad");

/* Session affinity, IPv6 */
struct weir_affinity_key6 {
	__u8 client[16]; /* @0 client address */
	__u16 reverse_nat; /* @16 reverse NAT index */
	__u8 is_cookie; /* @18 1 = the client is a netns cookie */
	__u8 pad[1];
};
_Static_assert(sizeof(struct weir_affinity_key6) == 20, "weir_affinity_key6: size");
_Static_assert(__builtin_offsetof(struct weir_affinity_key6, client) == 0, "weir_affinity_key6.client");
_Static_assert(__builtin_offsetof(struct weir_affinity_key6, reverse_nat) == 16, "weir_affinity_key6.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_affinity_key6, is_cookie) == 18, "weir_affinity_key6.is_cookie");
_Static_assert(__builtin_offsetof(struct weir_affinity_key6, pad) == 19, "weir_affinity_key6.pad");

/* Backend still serves the frontend */
struct weir_affinity_match_key {
	__u32 backend_id; /* @0 backend id */
	__u16 reverse_nat; /* @4 reverse NAT index */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_affinity_match_key) == 8, "weir_affinity_match_key: size");
_Static_assert(__builtin_offsetof(struct weir_affinity_match_key, backend_id) == 0, "weir_affinity_match_key.backend_id");
_Static_assert(__builtin_offsetof(struct weir_affinity_match_key, reverse_nat) == 4, "weir_affinity_match_key.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_affinity_match_key, pad) == 6, "weir_affinity_match_key.pad");

/* Remembered backend */
struct weir_affinity {
	__u32 last_used; /* @0 seconds since start */
	__u32 backend_id; /* @4 backend id */
};
_Static_assert(sizeof(struct weir_affinity) == 8, "weir_affinity: size");
_Static_assert(__builtin_offsetof(struct weir_affinity, last_used) == 0, "weir_affinity.last_used");
_Static_assert(__builtin_offsetof(struct weir_affinity, backend_id) == 4, "weir_affinity.backend_id");

/* Backend id */
struct weir_backend_key {
	__u32 id; /* @0 backend id, 1..; 0 is never used */
};
_Static_assert(sizeof(struct weir_backend_key) == 4, "weir_backend_key: size");
_Static_assert(__builtin_offsetof(struct weir_backend_key, id) == 0, "weir_backend_key.id");

/* Backend, IPv4 */
struct weir_backend4 {
	__be32 address; /* @0 backend address */
	__be16 port; /* @4 backend port */
	__u8 protocol; /* @6 IP protocol number */
	__u8 state; /* @7 BACKEND_STATE; 0 = no such backend */
	__u16 node_id; /* @8 node that hosts it, 0 = unknown */
	__u8 zone; /* @10 topology zone index, 0 = none */
	__u8 flags; /* @11 reserved, zero */
};
_Static_assert(sizeof(struct weir_backend4) == 12, "weir_backend4: size");
_Static_assert(__builtin_offsetof(struct weir_backend4, address) == 0, "weir_backend4.address");
_Static_assert(__builtin_offsetof(struct weir_backend4, port) == 4, "weir_backend4.port");
_Static_assert(__builtin_offsetof(struct weir_backend4, protocol) == 6, "weir_backend4.protocol");
_Static_assert(__builtin_offsetof(struct weir_backend4, state) == 7, "weir_backend4.state");
_Static_assert(__builtin_offsetof(struct weir_backend4, node_id) == 8, "weir_backend4.node_id");
_Static_assert(__builtin_offsetof(struct weir_backend4, zone) == 10, "weir_backend4.zone");
_Static_assert(__builtin_offsetof(struct weir_backend4, flags) == 11, "weir_backend4.flags");

/* Backend, IPv6 */
struct weir_backend6 {
	__u8 address[16]; /* @0 backend address */
	__be16 port; /* @16 backend port */
	__u8 protocol; /* @18 IP protocol number */
	__u8 state; /* @19 BACKEND_STATE; 0 = no such backend */
	__u16 node_id; /* @20 node that hosts it, 0 = unknown */
	__u8 zone; /* @22 topology zone index, 0 = none */
	__u8 flags; /* @23 reserved, zero */
};
_Static_assert(sizeof(struct weir_backend6) == 24, "weir_backend6: size");
_Static_assert(__builtin_offsetof(struct weir_backend6, address) == 0, "weir_backend6.address");
_Static_assert(__builtin_offsetof(struct weir_backend6, port) == 16, "weir_backend6.port");
_Static_assert(__builtin_offsetof(struct weir_backend6, protocol) == 18, "weir_backend6.protocol");
_Static_assert(__builtin_offsetof(struct weir_backend6, state) == 19, "weir_backend6.state");
_Static_assert(__builtin_offsetof(struct weir_backend6, node_id) == 20, "weir_backend6.node_id");
_Static_assert(__builtin_offsetof(struct weir_backend6, zone) == 22, "weir_backend6.zone");
_Static_assert(__builtin_offsetof(struct weir_backend6, flags) == 23, "weir_backend6.flags");

/* Flow through a frontend, natural order, IPv4 */
struct weir_flow_key4 {
	__be32 source; /* @0 client address */
	__be32 destination; /* @4 frontend address */
	__be16 source_port; /* @8 client port */
	__be16 destination_port; /* @10 frontend port */
	__u8 protocol; /* @12 IP protocol number */
	__u8 pad[3];
};
_Static_assert(sizeof(struct weir_flow_key4) == 16, "weir_flow_key4: size");
_Static_assert(__builtin_offsetof(struct weir_flow_key4, source) == 0, "weir_flow_key4.source");
_Static_assert(__builtin_offsetof(struct weir_flow_key4, destination) == 4, "weir_flow_key4.destination");
_Static_assert(__builtin_offsetof(struct weir_flow_key4, source_port) == 8, "weir_flow_key4.source_port");
_Static_assert(__builtin_offsetof(struct weir_flow_key4, destination_port) == 10, "weir_flow_key4.destination_port");
_Static_assert(__builtin_offsetof(struct weir_flow_key4, protocol) == 12, "weir_flow_key4.protocol");
_Static_assert(__builtin_offsetof(struct weir_flow_key4, pad) == 13, "weir_flow_key4.pad");

/* Flow through a frontend, natural order, IPv6 */
struct weir_flow_key6 {
	__u8 source[16]; /* @0 client address */
	__u8 destination[16]; /* @16 frontend address */
	__be16 source_port; /* @32 client port */
	__be16 destination_port; /* @34 frontend port */
	__u8 protocol; /* @36 IP protocol number */
	__u8 pad[3];
};
_Static_assert(sizeof(struct weir_flow_key6) == 40, "weir_flow_key6: size");
_Static_assert(__builtin_offsetof(struct weir_flow_key6, source) == 0, "weir_flow_key6.source");
_Static_assert(__builtin_offsetof(struct weir_flow_key6, destination) == 16, "weir_flow_key6.destination");
_Static_assert(__builtin_offsetof(struct weir_flow_key6, source_port) == 32, "weir_flow_key6.source_port");
_Static_assert(__builtin_offsetof(struct weir_flow_key6, destination_port) == 34, "weir_flow_key6.destination_port");
_Static_assert(__builtin_offsetof(struct weir_flow_key6, protocol) == 36, "weir_flow_key6.protocol");
_Static_assert(__builtin_offsetof(struct weir_flow_key6, pad) == 37, "weir_flow_key6.pad");

/* Backend of a flow that xdp could not choose without memory */
struct weir_flow {
	__u32 backend_id; /* @0 backend id */
	__u32 last_seen; /* @4 second since start; the flow lives for the configuration’s flowLifetime */
};
_Static_assert(sizeof(struct weir_flow) == 8, "weir_flow: size");
_Static_assert(__builtin_offsetof(struct weir_flow, backend_id) == 0, "weir_flow.backend_id");
_Static_assert(__builtin_offsetof(struct weir_flow, last_seen) == 4, "weir_flow.last_seen");

/* Maglev table of a frontend */
struct weir_maglev_key {
	__u32 reverse_nat; /* @0 reverse NAT index */
};
_Static_assert(sizeof(struct weir_maglev_key) == 4, "weir_maglev_key: size");
_Static_assert(__builtin_offsetof(struct weir_maglev_key, reverse_nat) == 0, "weir_maglev_key.reverse_nat");

/* One slot of a Maglev table */
struct weir_maglev_slot {
	__u32 backend_id; /* @0 backend id; bit 31 (MAGLEV_SLOT): the slot has changed and older flows are still on the move */
};
_Static_assert(sizeof(struct weir_maglev_slot) == 4, "weir_maglev_slot: size");
_Static_assert(__builtin_offsetof(struct weir_maglev_slot, backend_id) == 0, "weir_maglev_slot.backend_id");

/* Where xdp sends what it encapsulates, by backend id */
struct weir_next_hop {
	__u32 ifindex; /* @0 output interface */
	__u16 mtu; /* @4 bytes of an outer IP packet, 0 = unlimited */
	__u16 flags; /* @6 NEXT_HOP; 0 = unknown: back to the router that sent the packet */
	__u8 destination_mac[6]; /* @8 next hop */
	__u8 source_mac[6]; /* @14 own interface */
};
_Static_assert(sizeof(struct weir_next_hop) == 20, "weir_next_hop: size");
_Static_assert(__builtin_offsetof(struct weir_next_hop, ifindex) == 0, "weir_next_hop.ifindex");
_Static_assert(__builtin_offsetof(struct weir_next_hop, mtu) == 4, "weir_next_hop.mtu");
_Static_assert(__builtin_offsetof(struct weir_next_hop, flags) == 6, "weir_next_hop.flags");
_Static_assert(__builtin_offsetof(struct weir_next_hop, destination_mac) == 8, "weir_next_hop.destination_mac");
_Static_assert(__builtin_offsetof(struct weir_next_hop, source_mac) == 14, "weir_next_hop.source_mac");

/* Value of a set */
struct weir_presence {
	__u32 present; /* @0 1 */
};
_Static_assert(sizeof(struct weir_presence) == 4, "weir_presence: size");
_Static_assert(__builtin_offsetof(struct weir_presence, present) == 0, "weir_presence.present");

/* Reverse NAT index */
struct weir_reverse_nat_key {
	__u32 index; /* @0 1..65535 */
};
_Static_assert(sizeof(struct weir_reverse_nat_key) == 4, "weir_reverse_nat_key: size");
_Static_assert(__builtin_offsetof(struct weir_reverse_nat_key, index) == 0, "weir_reverse_nat_key.index");

/* Frontend to restore on replies, IPv4 */
struct weir_reverse_nat4 {
	__be32 address; /* @0 frontend address */
	__be16 port; /* @4 frontend port */
	__u16 flags; /* @6 1 = in use */
};
_Static_assert(sizeof(struct weir_reverse_nat4) == 8, "weir_reverse_nat4: size");
_Static_assert(__builtin_offsetof(struct weir_reverse_nat4, address) == 0, "weir_reverse_nat4.address");
_Static_assert(__builtin_offsetof(struct weir_reverse_nat4, port) == 4, "weir_reverse_nat4.port");
_Static_assert(__builtin_offsetof(struct weir_reverse_nat4, flags) == 6, "weir_reverse_nat4.flags");

/* Frontend to restore on replies, IPv6 */
struct weir_reverse_nat6 {
	__u8 address[16]; /* @0 frontend address */
	__be16 port; /* @16 frontend port */
	__u16 flags; /* @18 1 = in use */
};
_Static_assert(sizeof(struct weir_reverse_nat6) == 20, "weir_reverse_nat6: size");
_Static_assert(__builtin_offsetof(struct weir_reverse_nat6, address) == 0, "weir_reverse_nat6.address");
_Static_assert(__builtin_offsetof(struct weir_reverse_nat6, port) == 16, "weir_reverse_nat6.port");
_Static_assert(__builtin_offsetof(struct weir_reverse_nat6, flags) == 18, "weir_reverse_nat6.flags");

/* Frontend whose Service may be scaled to zero */
struct weir_scale_to_zero_key {
	__u32 reverse_nat; /* @0 reverse NAT index */
};
_Static_assert(sizeof(struct weir_scale_to_zero_key) == 4, "weir_scale_to_zero_key: size");
_Static_assert(__builtin_offsetof(struct weir_scale_to_zero_key, reverse_nat) == 0, "weir_scale_to_zero_key.reverse_nat");

/* Frontend, or one slot of it, IPv4 */
struct weir_service_key4 {
	__be32 address; /* @0 frontend address */
	__be16 port; /* @4 frontend port; 0 with protocol 0 = wildcard entry */
	__u16 slot; /* @6 0 = master, 1.. = backend slots */
	__u8 protocol; /* @8 IP protocol number */
	__u8 scope; /* @9 0 external, 1 internal */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_service_key4) == 12, "weir_service_key4: size");
_Static_assert(__builtin_offsetof(struct weir_service_key4, address) == 0, "weir_service_key4.address");
_Static_assert(__builtin_offsetof(struct weir_service_key4, port) == 4, "weir_service_key4.port");
_Static_assert(__builtin_offsetof(struct weir_service_key4, slot) == 6, "weir_service_key4.slot");
_Static_assert(__builtin_offsetof(struct weir_service_key4, protocol) == 8, "weir_service_key4.protocol");
_Static_assert(__builtin_offsetof(struct weir_service_key4, scope) == 9, "weir_service_key4.scope");
_Static_assert(__builtin_offsetof(struct weir_service_key4, pad) == 10, "weir_service_key4.pad");

/* Frontend, or one slot of it, IPv6 */
struct weir_service_key6 {
	__u8 address[16]; /* @0 frontend address */
	__be16 port; /* @16 frontend port; 0 with protocol 0 = wildcard entry */
	__u16 slot; /* @18 0 = master, 1.. = backend slots */
	__u8 protocol; /* @20 IP protocol number */
	__u8 scope; /* @21 0 external, 1 internal */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_service_key6) == 24, "weir_service_key6: size");
_Static_assert(__builtin_offsetof(struct weir_service_key6, address) == 0, "weir_service_key6.address");
_Static_assert(__builtin_offsetof(struct weir_service_key6, port) == 16, "weir_service_key6.port");
_Static_assert(__builtin_offsetof(struct weir_service_key6, slot) == 18, "weir_service_key6.slot");
_Static_assert(__builtin_offsetof(struct weir_service_key6, protocol) == 20, "weir_service_key6.protocol");
_Static_assert(__builtin_offsetof(struct weir_service_key6, scope) == 21, "weir_service_key6.scope");
_Static_assert(__builtin_offsetof(struct weir_service_key6, pad) == 22, "weir_service_key6.pad");

/* Master entry of a frontend, or a slot */
struct weir_service {
	__u32 target; /* @0 slot: backend id; master: algorithm << 24 | affinity timeout in seconds, or the L7 proxy port */
	__u16 count; /* @4 master: selectable slots 1..count */
	__u16 reverse_nat; /* @6 reverse NAT index, 1..65535; also the Maglev key */
	__u16 flags; /* @8 SERVICE_FLAG */
	__u16 drain_count; /* @10 master: lookup-only slots count+1..count+drainCount (Cilium: qcount) */
};
_Static_assert(sizeof(struct weir_service) == 12, "weir_service: size");
_Static_assert(__builtin_offsetof(struct weir_service, target) == 0, "weir_service.target");
_Static_assert(__builtin_offsetof(struct weir_service, count) == 4, "weir_service.count");
_Static_assert(__builtin_offsetof(struct weir_service, reverse_nat) == 6, "weir_service.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_service, flags) == 8, "weir_service.flags");
_Static_assert(__builtin_offsetof(struct weir_service, drain_count) == 10, "weir_service.drain_count");

/* loadBalancerSourceRanges, IPv4 */
struct weir_source_range_key4 {
	__u32 prefix_length; /* @0 bits: 32 + mask length */
	__u16 reverse_nat; /* @4 reverse NAT index */
	__u8 pad[2];
	__be32 address; /* @8 prefix */
};
_Static_assert(sizeof(struct weir_source_range_key4) == 12, "weir_source_range_key4: size");
_Static_assert(__builtin_offsetof(struct weir_source_range_key4, prefix_length) == 0, "weir_source_range_key4.prefix_length");
_Static_assert(__builtin_offsetof(struct weir_source_range_key4, reverse_nat) == 4, "weir_source_range_key4.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_source_range_key4, pad) == 6, "weir_source_range_key4.pad");
_Static_assert(__builtin_offsetof(struct weir_source_range_key4, address) == 8, "weir_source_range_key4.address");

/* loadBalancerSourceRanges, IPv6 */
struct weir_source_range_key6 {
	__u32 prefix_length; /* @0 bits: 32 + mask length */
	__u16 reverse_nat; /* @4 reverse NAT index */
	__u8 pad[2];
	__u8 address[16]; /* @8 prefix */
};
_Static_assert(sizeof(struct weir_source_range_key6) == 24, "weir_source_range_key6: size");
_Static_assert(__builtin_offsetof(struct weir_source_range_key6, prefix_length) == 0, "weir_source_range_key6.prefix_length");
_Static_assert(__builtin_offsetof(struct weir_source_range_key6, reverse_nat) == 4, "weir_source_range_key6.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_source_range_key6, pad) == 6, "weir_source_range_key6.pad");
_Static_assert(__builtin_offsetof(struct weir_source_range_key6, address) == 8, "weir_source_range_key6.address");

/* Connection state, 64 bytes */
struct weir_ct_entry {
	__u64 packets; /* @0 packets, when accounting is on */
	__u64 bytes; /* @8 bytes, when accounting is on */
	__u32 lifetime; /* @16 expires after this second since start */
	__u16 flags; /* @20 CT_FLAG */
	__u16 reverse_nat; /* @22 reverse NAT index, 0 = not translated */
	__u32 remote_identity; /* @24 identity of the peer at the last policy decision */
	__u32 policy_epoch; /* @28 endpoint epoch + global epoch, read before the policy probes */
	__u32 cookie; /* @32 rule set that decided */
	__u32 backend; /* @36 service entries: backend id; DSR_INTERNAL: first word of the frontend’s address */
	__u8 nat_address[12]; /* @40 rest of the frontend’s address (IPv6); zero for IPv4 */
	__be16 nat_port; /* @52 the frontend’s port */
	__u8 tx_flags; /* @54 TCP flags seen from the owner */
	__u8 rx_flags; /* @55 TCP flags seen towards the owner */
	__u32 last_tx_report; /* @56 second of the last report or packet from the owner */
	__u32 last_rx_report; /* @60 second of the last report or packet towards the owner */
};
_Static_assert(sizeof(struct weir_ct_entry) == 64, "weir_ct_entry: size");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, packets) == 0, "weir_ct_entry.packets");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, bytes) == 8, "weir_ct_entry.bytes");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, lifetime) == 16, "weir_ct_entry.lifetime");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, flags) == 20, "weir_ct_entry.flags");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, reverse_nat) == 22, "weir_ct_entry.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, remote_identity) == 24, "weir_ct_entry.remote_identity");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, policy_epoch) == 28, "weir_ct_entry.policy_epoch");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, cookie) == 32, "weir_ct_entry.cookie");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, backend) == 36, "weir_ct_entry.backend");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, nat_address) == 40, "weir_ct_entry.nat_address");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, nat_port) == 52, "weir_ct_entry.nat_port");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, tx_flags) == 54, "weir_ct_entry.tx_flags");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, rx_flags) == 55, "weir_ct_entry.rx_flags");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, last_tx_report) == 56, "weir_ct_entry.last_tx_report");
_Static_assert(__builtin_offsetof(struct weir_ct_entry, last_rx_report) == 60, "weir_ct_entry.last_rx_report");

/* Connection, IPv4, canonical order */
struct weir_ct_key4 {
	__be32 low_address; /* @0 address of the lower end */
	__be32 high_address; /* @4 address of the higher end */
	__be16 low_port; /* @8 port of the lower end; ICMP: the echo id at both ends */
	__be16 high_port; /* @10 port of the higher end */
	__u8 protocol; /* @12 IP protocol number */
	__u8 flags; /* @13 CT_KEY */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_ct_key4) == 16, "weir_ct_key4: size");
_Static_assert(__builtin_offsetof(struct weir_ct_key4, low_address) == 0, "weir_ct_key4.low_address");
_Static_assert(__builtin_offsetof(struct weir_ct_key4, high_address) == 4, "weir_ct_key4.high_address");
_Static_assert(__builtin_offsetof(struct weir_ct_key4, low_port) == 8, "weir_ct_key4.low_port");
_Static_assert(__builtin_offsetof(struct weir_ct_key4, high_port) == 10, "weir_ct_key4.high_port");
_Static_assert(__builtin_offsetof(struct weir_ct_key4, protocol) == 12, "weir_ct_key4.protocol");
_Static_assert(__builtin_offsetof(struct weir_ct_key4, flags) == 13, "weir_ct_key4.flags");
_Static_assert(__builtin_offsetof(struct weir_ct_key4, pad) == 14, "weir_ct_key4.pad");

/* Connection, IPv6, canonical order */
struct weir_ct_key6 {
	__u8 low_address[16]; /* @0 address of the lower end */
	__u8 high_address[16]; /* @16 address of the higher end */
	__be16 low_port; /* @32 port of the lower end; ICMPv6: the echo id at both ends */
	__be16 high_port; /* @34 port of the higher end */
	__u8 protocol; /* @36 IP protocol number */
	__u8 flags; /* @37 CT_KEY */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_ct_key6) == 40, "weir_ct_key6: size");
_Static_assert(__builtin_offsetof(struct weir_ct_key6, low_address) == 0, "weir_ct_key6.low_address");
_Static_assert(__builtin_offsetof(struct weir_ct_key6, high_address) == 16, "weir_ct_key6.high_address");
_Static_assert(__builtin_offsetof(struct weir_ct_key6, low_port) == 32, "weir_ct_key6.low_port");
_Static_assert(__builtin_offsetof(struct weir_ct_key6, high_port) == 34, "weir_ct_key6.high_port");
_Static_assert(__builtin_offsetof(struct weir_ct_key6, protocol) == 36, "weir_ct_key6.protocol");
_Static_assert(__builtin_offsetof(struct weir_ct_key6, flags) == 37, "weir_ct_key6.flags");
_Static_assert(__builtin_offsetof(struct weir_ct_key6, pad) == 38, "weir_ct_key6.pad");

/* Datagram, IPv4 */
struct weir_fragment_key4 {
	__be32 source; /* @0 source address */
	__be32 destination; /* @4 destination address */
	__be16 id; /* @8 identification */
	__u8 protocol; /* @10 IP protocol number */
	__u8 pad[1];
};
_Static_assert(sizeof(struct weir_fragment_key4) == 12, "weir_fragment_key4: size");
_Static_assert(__builtin_offsetof(struct weir_fragment_key4, source) == 0, "weir_fragment_key4.source");
_Static_assert(__builtin_offsetof(struct weir_fragment_key4, destination) == 4, "weir_fragment_key4.destination");
_Static_assert(__builtin_offsetof(struct weir_fragment_key4, id) == 8, "weir_fragment_key4.id");
_Static_assert(__builtin_offsetof(struct weir_fragment_key4, protocol) == 10, "weir_fragment_key4.protocol");
_Static_assert(__builtin_offsetof(struct weir_fragment_key4, pad) == 11, "weir_fragment_key4.pad");

/* Datagram, IPv6 */
struct weir_fragment_key6 {
	__u8 source[16]; /* @0 source address */
	__u8 destination[16]; /* @16 destination address */
	__be32 id; /* @32 identification */
	__u8 protocol; /* @36 IP protocol number */
	__u8 pad[3];
};
_Static_assert(sizeof(struct weir_fragment_key6) == 40, "weir_fragment_key6: size");
_Static_assert(__builtin_offsetof(struct weir_fragment_key6, source) == 0, "weir_fragment_key6.source");
_Static_assert(__builtin_offsetof(struct weir_fragment_key6, destination) == 16, "weir_fragment_key6.destination");
_Static_assert(__builtin_offsetof(struct weir_fragment_key6, id) == 32, "weir_fragment_key6.id");
_Static_assert(__builtin_offsetof(struct weir_fragment_key6, protocol) == 36, "weir_fragment_key6.protocol");
_Static_assert(__builtin_offsetof(struct weir_fragment_key6, pad) == 37, "weir_fragment_key6.pad");

/* Ports of the first fragment */
struct weir_fragment {
	__be16 source_port; /* @0 source port */
	__be16 destination_port; /* @2 destination port */
};
_Static_assert(sizeof(struct weir_fragment) == 4, "weir_fragment: size");
_Static_assert(__builtin_offsetof(struct weir_fragment, source_port) == 0, "weir_fragment.source_port");
_Static_assert(__builtin_offsetof(struct weir_fragment, destination_port) == 2, "weir_fragment.destination_port");

/* Translation, IPv4 */
struct weir_nat_entry4 {
	__be32 address; /* @0 address to put in place */
	__be16 port; /* @4 port to put in place */
	__u16 flags; /* @6 NAT_FLAG */
	__u32 created; /* @8 second since start */
	__u16 reverse_nat; /* @12 NODE_PORT: reverse NAT index of the frontend */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_nat_entry4) == 16, "weir_nat_entry4: size");
_Static_assert(__builtin_offsetof(struct weir_nat_entry4, address) == 0, "weir_nat_entry4.address");
_Static_assert(__builtin_offsetof(struct weir_nat_entry4, port) == 4, "weir_nat_entry4.port");
_Static_assert(__builtin_offsetof(struct weir_nat_entry4, flags) == 6, "weir_nat_entry4.flags");
_Static_assert(__builtin_offsetof(struct weir_nat_entry4, created) == 8, "weir_nat_entry4.created");
_Static_assert(__builtin_offsetof(struct weir_nat_entry4, reverse_nat) == 12, "weir_nat_entry4.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_nat_entry4, pad) == 14, "weir_nat_entry4.pad");

/* Translation, IPv6 */
struct weir_nat_entry6 {
	__u8 address[16]; /* @0 address to put in place */
	__be16 port; /* @16 port to put in place */
	__u16 flags; /* @18 NAT_FLAG */
	__u32 created; /* @20 second since start */
	__u16 reverse_nat; /* @24 NODE_PORT: reverse NAT index of the frontend */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_nat_entry6) == 28, "weir_nat_entry6: size");
_Static_assert(__builtin_offsetof(struct weir_nat_entry6, address) == 0, "weir_nat_entry6.address");
_Static_assert(__builtin_offsetof(struct weir_nat_entry6, port) == 16, "weir_nat_entry6.port");
_Static_assert(__builtin_offsetof(struct weir_nat_entry6, flags) == 18, "weir_nat_entry6.flags");
_Static_assert(__builtin_offsetof(struct weir_nat_entry6, created) == 20, "weir_nat_entry6.created");
_Static_assert(__builtin_offsetof(struct weir_nat_entry6, reverse_nat) == 24, "weir_nat_entry6.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_nat_entry6, pad) == 26, "weir_nat_entry6.pad");

/* NAT tuple, natural order, IPv4 */
struct weir_nat_key4 {
	__be32 source; /* @0 source address */
	__be32 destination; /* @4 destination address */
	__be16 source_port; /* @8 source port */
	__be16 destination_port; /* @10 destination port */
	__u8 protocol; /* @12 IP protocol number */
	__u8 flags; /* @13 NAT_WAY */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_nat_key4) == 16, "weir_nat_key4: size");
_Static_assert(__builtin_offsetof(struct weir_nat_key4, source) == 0, "weir_nat_key4.source");
_Static_assert(__builtin_offsetof(struct weir_nat_key4, destination) == 4, "weir_nat_key4.destination");
_Static_assert(__builtin_offsetof(struct weir_nat_key4, source_port) == 8, "weir_nat_key4.source_port");
_Static_assert(__builtin_offsetof(struct weir_nat_key4, destination_port) == 10, "weir_nat_key4.destination_port");
_Static_assert(__builtin_offsetof(struct weir_nat_key4, protocol) == 12, "weir_nat_key4.protocol");
_Static_assert(__builtin_offsetof(struct weir_nat_key4, flags) == 13, "weir_nat_key4.flags");
_Static_assert(__builtin_offsetof(struct weir_nat_key4, pad) == 14, "weir_nat_key4.pad");

/* NAT tuple, natural order, IPv6 */
struct weir_nat_key6 {
	__u8 source[16]; /* @0 source address */
	__u8 destination[16]; /* @16 destination address */
	__be16 source_port; /* @32 source port */
	__be16 destination_port; /* @34 destination port */
	__u8 protocol; /* @36 IP protocol number */
	__u8 flags; /* @37 NAT_WAY */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_nat_key6) == 40, "weir_nat_key6: size");
_Static_assert(__builtin_offsetof(struct weir_nat_key6, source) == 0, "weir_nat_key6.source");
_Static_assert(__builtin_offsetof(struct weir_nat_key6, destination) == 16, "weir_nat_key6.destination");
_Static_assert(__builtin_offsetof(struct weir_nat_key6, source_port) == 32, "weir_nat_key6.source_port");
_Static_assert(__builtin_offsetof(struct weir_nat_key6, destination_port) == 34, "weir_nat_key6.destination_port");
_Static_assert(__builtin_offsetof(struct weir_nat_key6, protocol) == 36, "weir_nat_key6.protocol");
_Static_assert(__builtin_offsetof(struct weir_nat_key6, flags) == 37, "weir_nat_key6.flags");
_Static_assert(__builtin_offsetof(struct weir_nat_key6, pad) == 38, "weir_nat_key6.pad");

/* Destinations that see pods as they are, IPv4 */
struct weir_no_masq_key4 {
	__u32 prefix_length; /* @0 bits of the prefix */
	__be32 address; /* @4 prefix */
};
_Static_assert(sizeof(struct weir_no_masq_key4) == 8, "weir_no_masq_key4: size");
_Static_assert(__builtin_offsetof(struct weir_no_masq_key4, prefix_length) == 0, "weir_no_masq_key4.prefix_length");
_Static_assert(__builtin_offsetof(struct weir_no_masq_key4, address) == 4, "weir_no_masq_key4.address");

/* Destinations that see pods as they are, IPv6 */
struct weir_no_masq_key6 {
	__u32 prefix_length; /* @0 bits of the prefix */
	__u8 address[16]; /* @4 prefix */
};
_Static_assert(sizeof(struct weir_no_masq_key6) == 20, "weir_no_masq_key6: size");
_Static_assert(__builtin_offsetof(struct weir_no_masq_key6, prefix_length) == 0, "weir_no_masq_key6.prefix_length");
_Static_assert(__builtin_offsetof(struct weir_no_masq_key6, address) == 4, "weir_no_masq_key6.address");

/* Why pods are not masqueraded there */
struct weir_no_masq {
	__u32 reason; /* @0 NO_MASQUERADE */
};
_Static_assert(sizeof(struct weir_no_masq) == 4, "weir_no_masq: size");
_Static_assert(__builtin_offsetof(struct weir_no_masq, reason) == 0, "weir_no_masq.reason");

/* Node id */
struct weir_node_key {
	__u32 id; /* @0 node id; 0 = the node that this dataplane stands for, where it stands for the whole cluster */
};
_Static_assert(sizeof(struct weir_node_key) == 4, "weir_node_key: size");
_Static_assert(__builtin_offsetof(struct weir_node_key, id) == 0, "weir_node_key.id");

/* Addresses that a node puts in place of others, IPv4 */
struct weir_node4 {
	__be32 address; /* @0 towards the outside; 0 = unknown */
	__be32 gateway; /* @4 towards backends behind the overlay; 0 = as towards the outside */
};
_Static_assert(sizeof(struct weir_node4) == 8, "weir_node4: size");
_Static_assert(__builtin_offsetof(struct weir_node4, address) == 0, "weir_node4.address");
_Static_assert(__builtin_offsetof(struct weir_node4, gateway) == 4, "weir_node4.gateway");

/* Addresses that a node puts in place of others, IPv6 */
struct weir_node6 {
	__u8 address[16]; /* @0 towards the outside; zero = unknown */
	__u8 gateway[16]; /* @16 towards backends behind the overlay; zero = as towards the outside */
};
_Static_assert(sizeof(struct weir_node6) == 32, "weir_node6: size");
_Static_assert(__builtin_offsetof(struct weir_node6, address) == 0, "weir_node6.address");
_Static_assert(__builtin_offsetof(struct weir_node6, gateway) == 16, "weir_node6.gateway");

/* Local address, IPv4 */
struct weir_endpoint_key4 {
	__be32 address; /* @0 address */
};
_Static_assert(sizeof(struct weir_endpoint_key4) == 4, "weir_endpoint_key4: size");
_Static_assert(__builtin_offsetof(struct weir_endpoint_key4, address) == 0, "weir_endpoint_key4.address");

/* Local address, IPv6 */
struct weir_endpoint_key6 {
	__u8 address[16]; /* @0 address */
};
_Static_assert(sizeof(struct weir_endpoint_key6) == 16, "weir_endpoint_key6: size");
_Static_assert(__builtin_offsetof(struct weir_endpoint_key6, address) == 0, "weir_endpoint_key6.address");

/* A local pod, or the host */
struct weir_endpoint {
	__u32 ifindex; /* @0 host side of its device */
	__u16 endpoint_id; /* @4 endpoint id */
	__u16 node_id; /* @6 node that it runs on, 1.. */
	__u32 identity; /* @8 security identity */
	__u32 policy_id; /* @12 its policy; 0 = nothing enforced */
	__u32 epoch; /* @16 bumped after each change of its policy */
	__u32 flags; /* @20 ENDPOINT_FLAG */
	__u8 mac[6]; /* @24 MAC of the pod */
	__u8 node_mac[6]; /* @30 MAC of the host side */
};
_Static_assert(sizeof(struct weir_endpoint) == 36, "weir_endpoint: size");
_Static_assert(__builtin_offsetof(struct weir_endpoint, ifindex) == 0, "weir_endpoint.ifindex");
_Static_assert(__builtin_offsetof(struct weir_endpoint, endpoint_id) == 4, "weir_endpoint.endpoint_id");
_Static_assert(__builtin_offsetof(struct weir_endpoint, node_id) == 6, "weir_endpoint.node_id");
_Static_assert(__builtin_offsetof(struct weir_endpoint, identity) == 8, "weir_endpoint.identity");
_Static_assert(__builtin_offsetof(struct weir_endpoint, policy_id) == 12, "weir_endpoint.policy_id");
_Static_assert(__builtin_offsetof(struct weir_endpoint, epoch) == 16, "weir_endpoint.epoch");
_Static_assert(__builtin_offsetof(struct weir_endpoint, flags) == 20, "weir_endpoint.flags");
_Static_assert(__builtin_offsetof(struct weir_endpoint, mac) == 24, "weir_endpoint.mac");
_Static_assert(__builtin_offsetof(struct weir_endpoint, node_mac) == 30, "weir_endpoint.node_mac");

/* Prefix, IPv4 */
struct weir_ipcache_key4 {
	__u32 prefix_length; /* @0 bits: 32 + mask length */
	__u16 cluster_id; /* @4 0 = own cluster */
	__u8 pad[2];
	__be32 address; /* @8 prefix */
};
_Static_assert(sizeof(struct weir_ipcache_key4) == 12, "weir_ipcache_key4: size");
_Static_assert(__builtin_offsetof(struct weir_ipcache_key4, prefix_length) == 0, "weir_ipcache_key4.prefix_length");
_Static_assert(__builtin_offsetof(struct weir_ipcache_key4, cluster_id) == 4, "weir_ipcache_key4.cluster_id");
_Static_assert(__builtin_offsetof(struct weir_ipcache_key4, pad) == 6, "weir_ipcache_key4.pad");
_Static_assert(__builtin_offsetof(struct weir_ipcache_key4, address) == 8, "weir_ipcache_key4.address");

/* Prefix, IPv6 */
struct weir_ipcache_key6 {
	__u32 prefix_length; /* @0 bits: 32 + mask length */
	__u16 cluster_id; /* @4 0 = own cluster */
	__u8 pad[2];
	__u8 address[16]; /* @8 prefix */
};
_Static_assert(sizeof(struct weir_ipcache_key6) == 24, "weir_ipcache_key6: size");
_Static_assert(__builtin_offsetof(struct weir_ipcache_key6, prefix_length) == 0, "weir_ipcache_key6.prefix_length");
_Static_assert(__builtin_offsetof(struct weir_ipcache_key6, cluster_id) == 4, "weir_ipcache_key6.cluster_id");
_Static_assert(__builtin_offsetof(struct weir_ipcache_key6, pad) == 6, "weir_ipcache_key6.pad");
_Static_assert(__builtin_offsetof(struct weir_ipcache_key6, address) == 8, "weir_ipcache_key6.address");

/* Who an address is */
struct weir_ipcache {
	__u32 identity; /* @0 security identity */
	__u16 node_id; /* @4 node that the address is on or is; 0 = none */
	__u8 flags; /* @6 IPCACHE_FLAG */
	__u8 key; /* @7 encryption key index */
	__u8 tunnel_endpoint[16]; /* @8 tunnel endpoint; IPv4 in the first four bytes */
};
_Static_assert(sizeof(struct weir_ipcache) == 24, "weir_ipcache: size");
_Static_assert(__builtin_offsetof(struct weir_ipcache, identity) == 0, "weir_ipcache.identity");
_Static_assert(__builtin_offsetof(struct weir_ipcache, node_id) == 4, "weir_ipcache.node_id");
_Static_assert(__builtin_offsetof(struct weir_ipcache, flags) == 6, "weir_ipcache.flags");
_Static_assert(__builtin_offsetof(struct weir_ipcache, key) == 7, "weir_ipcache.key");
_Static_assert(__builtin_offsetof(struct weir_ipcache, tunnel_endpoint) == 8, "weir_ipcache.tunnel_endpoint");

/* Next hop, IPv4 */
struct weir_neighbour_key4 {
	__u32 ifindex; /* @0 interface */
	__be32 address; /* @4 address */
};
_Static_assert(sizeof(struct weir_neighbour_key4) == 8, "weir_neighbour_key4: size");
_Static_assert(__builtin_offsetof(struct weir_neighbour_key4, ifindex) == 0, "weir_neighbour_key4.ifindex");
_Static_assert(__builtin_offsetof(struct weir_neighbour_key4, address) == 4, "weir_neighbour_key4.address");

/* Next hop, IPv6 */
struct weir_neighbour_key6 {
	__u32 ifindex; /* @0 interface */
	__u8 address[16]; /* @4 address */
};
_Static_assert(sizeof(struct weir_neighbour_key6) == 20, "weir_neighbour_key6: size");
_Static_assert(__builtin_offsetof(struct weir_neighbour_key6, ifindex) == 0, "weir_neighbour_key6.ifindex");
_Static_assert(__builtin_offsetof(struct weir_neighbour_key6, address) == 4, "weir_neighbour_key6.address");

/* MACs towards a next hop */
struct weir_neighbour {
	__u8 destination[6]; /* @0 next hop */
	__u8 source[6]; /* @6 own interface */
};
_Static_assert(sizeof(struct weir_neighbour) == 12, "weir_neighbour: size");
_Static_assert(__builtin_offsetof(struct weir_neighbour, destination) == 0, "weir_neighbour.destination");
_Static_assert(__builtin_offsetof(struct weir_neighbour, source) == 6, "weir_neighbour.source");

/* One policy entry */
struct weir_policy_key {
	__u32 policy_id; /* @0 policy: endpoints with the same identity and named ports share one */
	__u32 identity; /* @4 peer identity, its aggregate, or 0 = any */
	__be16 port; /* @8 destination port masked to the prefix length; ICMP: the type */
	__u8 protocol; /* @10 IP protocol number; 0 with shape ANY_PROTOCOL */
	__u8 shape; /* @11 bit 7: egress; low bits: port-prefix length 0..16, or 17 = any protocol */
};
_Static_assert(sizeof(struct weir_policy_key) == 12, "weir_policy_key: size");
_Static_assert(__builtin_offsetof(struct weir_policy_key, policy_id) == 0, "weir_policy_key.policy_id");
_Static_assert(__builtin_offsetof(struct weir_policy_key, identity) == 4, "weir_policy_key.identity");
_Static_assert(__builtin_offsetof(struct weir_policy_key, port) == 8, "weir_policy_key.port");
_Static_assert(__builtin_offsetof(struct weir_policy_key, protocol) == 10, "weir_policy_key.protocol");
_Static_assert(__builtin_offsetof(struct weir_policy_key, shape) == 11, "weir_policy_key.shape");

/* Which shapes a policy has, and who enforces it */
struct weir_policy_meta {
	__u32 flags; /* @0 POLICY_FLAG */
	__u32 ingress_shapes[3]; /* @4 bit per shape: for the identity itself, for its aggregate, for 0 */
	__u32 egress_shapes[3]; /* @16 bit per shape: for the identity itself, for its aggregate, for 0 */
	__u32 ingress_cookie; /* @28 rule set that isolates on ingress: told when nothing matched */
	__u32 egress_cookie; /* @32 rule set that isolates on egress: told when nothing matched */
	__u8 pad[4];
};
_Static_assert(sizeof(struct weir_policy_meta) == 40, "weir_policy_meta: size");
_Static_assert(__builtin_offsetof(struct weir_policy_meta, flags) == 0, "weir_policy_meta.flags");
_Static_assert(__builtin_offsetof(struct weir_policy_meta, ingress_shapes) == 4, "weir_policy_meta.ingress_shapes");
_Static_assert(__builtin_offsetof(struct weir_policy_meta, egress_shapes) == 16, "weir_policy_meta.egress_shapes");
_Static_assert(__builtin_offsetof(struct weir_policy_meta, ingress_cookie) == 28, "weir_policy_meta.ingress_cookie");
_Static_assert(__builtin_offsetof(struct weir_policy_meta, egress_cookie) == 32, "weir_policy_meta.egress_cookie");
_Static_assert(__builtin_offsetof(struct weir_policy_meta, pad) == 36, "weir_policy_meta.pad");

/* Policy id */
struct weir_policy_meta_key {
	__u32 policy_id; /* @0 policy id */
};
_Static_assert(sizeof(struct weir_policy_meta_key) == 4, "weir_policy_meta_key: size");
_Static_assert(__builtin_offsetof(struct weir_policy_meta_key, policy_id) == 0, "weir_policy_meta_key.policy_id");

/* What an entry says */
struct weir_policy {
	__u32 precedence; /* @0 (0xffffff - priority) << 8 | verdict byte: deny 255, redirect 2..254, allow 1, pass 0 */
	__u32 cookie; /* @4 rule set; 0 = none */
	__be16 proxy_port; /* @8 proxy port of a redirect, 0 = none */
	__u16 flags; /* @10 bits 0-6 authentication type, bit 7 explicit, bit 8 audit (POLICY_ENTRY) */
};
_Static_assert(sizeof(struct weir_policy) == 12, "weir_policy: size");
_Static_assert(__builtin_offsetof(struct weir_policy, precedence) == 0, "weir_policy.precedence");
_Static_assert(__builtin_offsetof(struct weir_policy, cookie) == 4, "weir_policy.cookie");
_Static_assert(__builtin_offsetof(struct weir_policy, proxy_port) == 8, "weir_policy.proxy_port");
_Static_assert(__builtin_offsetof(struct weir_policy, flags) == 10, "weir_policy.flags");

/* Route, IPv4 */
struct weir_route_key4 {
	__u32 prefix_length; /* @0 bits */
	__be32 address; /* @4 prefix */
};
_Static_assert(sizeof(struct weir_route_key4) == 8, "weir_route_key4: size");
_Static_assert(__builtin_offsetof(struct weir_route_key4, prefix_length) == 0, "weir_route_key4.prefix_length");
_Static_assert(__builtin_offsetof(struct weir_route_key4, address) == 4, "weir_route_key4.address");

/* Route, IPv6 */
struct weir_route_key6 {
	__u32 prefix_length; /* @0 bits */
	__u8 address[16]; /* @4 prefix */
};
_Static_assert(sizeof(struct weir_route_key6) == 20, "weir_route_key6: size");
_Static_assert(__builtin_offsetof(struct weir_route_key6, prefix_length) == 0, "weir_route_key6.prefix_length");
_Static_assert(__builtin_offsetof(struct weir_route_key6, address) == 4, "weir_route_key6.address");

/* Where a prefix is */
struct weir_route {
	__u32 ifindex; /* @0 output interface */
	__u16 mtu; /* @4 0 = unlimited */
	__u16 flags; /* @6 ROUTE_FLAG */
	__u8 gateway[16]; /* @8 next hop; IPv4 in the first four bytes; zero = on link */
};
_Static_assert(sizeof(struct weir_route) == 24, "weir_route: size");
_Static_assert(__builtin_offsetof(struct weir_route, ifindex) == 0, "weir_route.ifindex");
_Static_assert(__builtin_offsetof(struct weir_route, mtu) == 4, "weir_route.mtu");
_Static_assert(__builtin_offsetof(struct weir_route, flags) == 6, "weir_route.flags");
_Static_assert(__builtin_offsetof(struct weir_route, gateway) == 8, "weir_route.gateway");

/* VLAN that may enter */
struct weir_vlan_key {
	__u32 id; /* @0 1..4094 */
};
_Static_assert(sizeof(struct weir_vlan_key) == 4, "weir_vlan_key: size");
_Static_assert(__builtin_offsetof(struct weir_vlan_key, id) == 0, "weir_vlan_key.id");

/* Address that an interface answers for, IPv4 */
struct weir_announced_key4 {
	__be32 address; /* @0 service address */
	__u32 ifindex; /* @4 interface of the question */
};
_Static_assert(sizeof(struct weir_announced_key4) == 8, "weir_announced_key4: size");
_Static_assert(__builtin_offsetof(struct weir_announced_key4, address) == 0, "weir_announced_key4.address");
_Static_assert(__builtin_offsetof(struct weir_announced_key4, ifindex) == 4, "weir_announced_key4.ifindex");

/* Address that an interface answers for, IPv6 */
struct weir_announced_key6 {
	__u8 address[16]; /* @0 service address */
	__u32 ifindex; /* @16 interface of the question */
	__u8 pad[4];
};
_Static_assert(sizeof(struct weir_announced_key6) == 24, "weir_announced_key6: size");
_Static_assert(__builtin_offsetof(struct weir_announced_key6, address) == 0, "weir_announced_key6.address");
_Static_assert(__builtin_offsetof(struct weir_announced_key6, ifindex) == 16, "weir_announced_key6.ifindex");
_Static_assert(__builtin_offsetof(struct weir_announced_key6, pad) == 20, "weir_announced_key6.pad");

/* The answer to "who has this address?" */
struct weir_announced {
	__u8 mac[6]; /* @0 MAC of the interface */
	__u8 pad[2];
};
_Static_assert(sizeof(struct weir_announced) == 8, "weir_announced: size");
_Static_assert(__builtin_offsetof(struct weir_announced, mac) == 0, "weir_announced.mac");
_Static_assert(__builtin_offsetof(struct weir_announced, pad) == 6, "weir_announced.pad");

/* When the last packet of an endpoint may leave */
struct weir_departure {
	__u32 seconds; /* @0 second since start */
	__u32 nanoseconds; /* @4 nanoseconds within the second */
};
_Static_assert(sizeof(struct weir_departure) == 8, "weir_departure: size");
_Static_assert(__builtin_offsetof(struct weir_departure, seconds) == 0, "weir_departure.seconds");
_Static_assert(__builtin_offsetof(struct weir_departure, nanoseconds) == 4, "weir_departure.nanoseconds");

/* Endpoint */
struct weir_limit_key {
	__u32 endpoint_id; /* @0 endpoint id */
};
_Static_assert(sizeof(struct weir_limit_key) == 4, "weir_limit_key: size");
_Static_assert(__builtin_offsetof(struct weir_limit_key, endpoint_id) == 0, "weir_limit_key.endpoint_id");

/* How fast an endpoint may send */
struct weir_limit {
	__u64 bytes_per_second; /* @0 bytes a second on the wire, below 2^53; 0 = unlimited */
	__u64 horizon; /* @8 nanoseconds: what would have to wait that long is dropped */
};
_Static_assert(sizeof(struct weir_limit) == 16, "weir_limit: size");
_Static_assert(__builtin_offsetof(struct weir_limit, bytes_per_second) == 0, "weir_limit.bytes_per_second");
_Static_assert(__builtin_offsetof(struct weir_limit, horizon) == 8, "weir_limit.horizon");

/* Quote of an answer, zero behind its end */
struct weir_answer {
	__u32 quote[308]; /* @0 leading bytes of the packet that is answered */
};
_Static_assert(sizeof(struct weir_answer) == 1232, "weir_answer: size");
_Static_assert(__builtin_offsetof(struct weir_answer, quote) == 0, "weir_answer.quote");

/* Time and meta of a test run */
struct weir_clock {
	__u32 seconds; /* @0 seconds since start */
	__u32 nanoseconds; /* @4 nanoseconds within the second */
	__u32 ifindex; /* @8 this and the next five: weir_meta */
	__u32 mark; /* @12 in and out */
	__u32 cb[5]; /* @16 skb control block */
	__u32 xdp_metadata; /* @36 in and out */
	__u16 gso_size; /* @40 segment size */
	__u16 flags; /* @42 META_FLAG; in and out */
	__u32 latest; /* @44 the latest second seen: the program’s own, never to be written by the engine */
};
_Static_assert(sizeof(struct weir_clock) == 48, "weir_clock: size");
_Static_assert(__builtin_offsetof(struct weir_clock, seconds) == 0, "weir_clock.seconds");
_Static_assert(__builtin_offsetof(struct weir_clock, nanoseconds) == 4, "weir_clock.nanoseconds");
_Static_assert(__builtin_offsetof(struct weir_clock, ifindex) == 8, "weir_clock.ifindex");
_Static_assert(__builtin_offsetof(struct weir_clock, mark) == 12, "weir_clock.mark");
_Static_assert(__builtin_offsetof(struct weir_clock, cb) == 16, "weir_clock.cb");
_Static_assert(__builtin_offsetof(struct weir_clock, xdp_metadata) == 36, "weir_clock.xdp_metadata");
_Static_assert(__builtin_offsetof(struct weir_clock, gso_size) == 40, "weir_clock.gso_size");
_Static_assert(__builtin_offsetof(struct weir_clock, flags) == 42, "weir_clock.flags");
_Static_assert(__builtin_offsetof(struct weir_clock, latest) == 44, "weir_clock.latest");

/* Always 0 */
struct weir_config_key {
	__u32 index; /* @0 0 */
};
_Static_assert(sizeof(struct weir_config_key) == 4, "weir_config_key: size");
_Static_assert(__builtin_offsetof(struct weir_config_key, index) == 0, "weir_config_key.index");

/* What control tells the datapath; constants of a load, but for the epoch */
struct weir_config {
	__u32 features; /* @0 FEATURE bits */
	__u32 global_epoch; /* @4 bumped when an address changes identity */
	__u32 algorithm; /* @8 default ALGORITHM */
	__u32 maglev_size; /* @12 slots of each Maglev table */
	__u32 hash_seed4; /* @16 jhash seed for IPv4 */
	__u32 hash_seed6; /* @20 jhash seed for IPv6 */
	__u32 random_seed; /* @24 seed of every chance */
	__u32 ct_tcp_lifetime; /* @28 seconds */
	__u32 ct_any_lifetime; /* @32 seconds */
	__u32 ct_service_tcp_lifetime; /* @36 seconds */
	__u32 ct_service_any_lifetime; /* @40 seconds */
	__u32 ct_syn_lifetime; /* @44 seconds */
	__u32 ct_close_lifetime; /* @48 seconds */
	__u32 ct_service_grace; /* @52 seconds that a closing service entry waits before a SYN reselects */
	__u32 report_interval; /* @56 seconds between reports of one connection */
	__u16 node_port_first; /* @60 first port of the NodePort range */
	__u16 node_port_last; /* @62 last port of the NodePort range */
	__be32 loopback4; /* @64 source of a pod that reaches itself through its service */
	__u8 loopback6[16]; /* @68 the same for IPv6 */
	__u16 node_id; /* @84 the node that this dataplane is; 0 = the whole cluster */
	__be16 tunnel_port; /* @86 UDP port of the overlay */
	__u32 flow_lifetime; /* @88 seconds that xdp remembers a flow */
	__be32 encap_source4; /* @92 outer source of what xdp encapsulates */
	__u8 encap_source6[16]; /* @96 the same for IPv6 */
	__u8 encap_prefix4; /* @112 leading bits of encapSource4 that are kept, 1..32; the rest tells flows apart (RSS) */
	__u8 encap_prefix6; /* @113 leading bits of encapSource6 that are kept, 96..128 */
	__u8 pad[2];
	__u16 nat_port_first; /* @116 first port that source NAT gives out; lower ones are never translated */
	__u16 nat_port_last; /* @118 last one */
	__be32 router_address4; /* @120 own address in ICMP errors about routing; 0 = none: such errors are not sent */
	__u8 router_address6[16]; /* @124 the same for IPv6 */
};
_Static_assert(sizeof(struct weir_config) == 140, "weir_config: size");
_Static_assert(__builtin_offsetof(struct weir_config, features) == 0, "weir_config.features");
_Static_assert(__builtin_offsetof(struct weir_config, global_epoch) == 4, "weir_config.global_epoch");
_Static_assert(__builtin_offsetof(struct weir_config, algorithm) == 8, "weir_config.algorithm");
_Static_assert(__builtin_offsetof(struct weir_config, maglev_size) == 12, "weir_config.maglev_size");
_Static_assert(__builtin_offsetof(struct weir_config, hash_seed4) == 16, "weir_config.hash_seed4");
_Static_assert(__builtin_offsetof(struct weir_config, hash_seed6) == 20, "weir_config.hash_seed6");
_Static_assert(__builtin_offsetof(struct weir_config, random_seed) == 24, "weir_config.random_seed");
_Static_assert(__builtin_offsetof(struct weir_config, ct_tcp_lifetime) == 28, "weir_config.ct_tcp_lifetime");
_Static_assert(__builtin_offsetof(struct weir_config, ct_any_lifetime) == 32, "weir_config.ct_any_lifetime");
_Static_assert(__builtin_offsetof(struct weir_config, ct_service_tcp_lifetime) == 36, "weir_config.ct_service_tcp_lifetime");
_Static_assert(__builtin_offsetof(struct weir_config, ct_service_any_lifetime) == 40, "weir_config.ct_service_any_lifetime");
_Static_assert(__builtin_offsetof(struct weir_config, ct_syn_lifetime) == 44, "weir_config.ct_syn_lifetime");
_Static_assert(__builtin_offsetof(struct weir_config, ct_close_lifetime) == 48, "weir_config.ct_close_lifetime");
_Static_assert(__builtin_offsetof(struct weir_config, ct_service_grace) == 52, "weir_config.ct_service_grace");
_Static_assert(__builtin_offsetof(struct weir_config, report_interval) == 56, "weir_config.report_interval");
_Static_assert(__builtin_offsetof(struct weir_config, node_port_first) == 60, "weir_config.node_port_first");
_Static_assert(__builtin_offsetof(struct weir_config, node_port_last) == 62, "weir_config.node_port_last");
_Static_assert(__builtin_offsetof(struct weir_config, loopback4) == 64, "weir_config.loopback4");
_Static_assert(__builtin_offsetof(struct weir_config, loopback6) == 68, "weir_config.loopback6");
_Static_assert(__builtin_offsetof(struct weir_config, node_id) == 84, "weir_config.node_id");
_Static_assert(__builtin_offsetof(struct weir_config, tunnel_port) == 86, "weir_config.tunnel_port");
_Static_assert(__builtin_offsetof(struct weir_config, flow_lifetime) == 88, "weir_config.flow_lifetime");
_Static_assert(__builtin_offsetof(struct weir_config, encap_source4) == 92, "weir_config.encap_source4");
_Static_assert(__builtin_offsetof(struct weir_config, encap_source6) == 96, "weir_config.encap_source6");
_Static_assert(__builtin_offsetof(struct weir_config, encap_prefix4) == 112, "weir_config.encap_prefix4");
_Static_assert(__builtin_offsetof(struct weir_config, encap_prefix6) == 113, "weir_config.encap_prefix6");
_Static_assert(__builtin_offsetof(struct weir_config, pad) == 114, "weir_config.pad");
_Static_assert(__builtin_offsetof(struct weir_config, nat_port_first) == 116, "weir_config.nat_port_first");
_Static_assert(__builtin_offsetof(struct weir_config, nat_port_last) == 118, "weir_config.nat_port_last");
_Static_assert(__builtin_offsetof(struct weir_config, router_address4) == 120, "weir_config.router_address4");
_Static_assert(__builtin_offsetof(struct weir_config, router_address6) == 124, "weir_config.router_address6");

/* Verdict of one run, compared byte for byte between engines */
struct weir_decision {
	__u8 verdict; /* @0 VERDICT */
	__u8 drop_reason; /* @1 DROP; 0 = not dropped */
	__u8 stage; /* @2 STAGE in which the verdict fell */
	__u8 hook; /* @3 HOOK */
	__u8 action; /* @4 ACTION */
	__u8 ct_status; /* @5 CT_STATUS, 255 = conntrack was not asked */
	__u8 policy_match; /* @6 POLICY_MATCH */
	__u8 unknown_reason; /* @7 UNKNOWN_REASON; the kernel writes 0 */
	__u32 flags; /* @8 RECORD_FLAG */
	__u32 source_identity; /* @12 identity of the source */
	__u32 destination_identity; /* @16 identity of the destination */
	__u32 cookie; /* @20 rule set that decided; 0 = none */
	__u32 backend_id; /* @24 backend chosen or remembered; 0 = none */
	__u16 reverse_nat; /* @28 frontend by its reverse NAT index; 0 = none */
	__be16 proxy_port; /* @30 proxy port of a redirect */
	__u32 out_ifindex; /* @32 interface of a redirect or local delivery */
	__u16 endpoint_id; /* @36 local endpoint whose policy decided */
	__u8 pad[2];
	__u8 destination_mac[6]; /* @40 next-hop MAC; zero = unchanged */
	__u8 source_mac[6]; /* @46 own MAC; zero = unchanged */
	__u32 departure_seconds; /* @52 second since start before which a bandwidth limit lets the packet not leave; both 0 = at once */
	__u32 departure_nanoseconds; /* @56 nanoseconds within it */
};
_Static_assert(sizeof(struct weir_decision) == 60, "weir_decision: size");
_Static_assert(__builtin_offsetof(struct weir_decision, verdict) == 0, "weir_decision.verdict");
_Static_assert(__builtin_offsetof(struct weir_decision, drop_reason) == 1, "weir_decision.drop_reason");
_Static_assert(__builtin_offsetof(struct weir_decision, stage) == 2, "weir_decision.stage");
_Static_assert(__builtin_offsetof(struct weir_decision, hook) == 3, "weir_decision.hook");
_Static_assert(__builtin_offsetof(struct weir_decision, action) == 4, "weir_decision.action");
_Static_assert(__builtin_offsetof(struct weir_decision, ct_status) == 5, "weir_decision.ct_status");
_Static_assert(__builtin_offsetof(struct weir_decision, policy_match) == 6, "weir_decision.policy_match");
_Static_assert(__builtin_offsetof(struct weir_decision, unknown_reason) == 7, "weir_decision.unknown_reason");
_Static_assert(__builtin_offsetof(struct weir_decision, flags) == 8, "weir_decision.flags");
_Static_assert(__builtin_offsetof(struct weir_decision, source_identity) == 12, "weir_decision.source_identity");
_Static_assert(__builtin_offsetof(struct weir_decision, destination_identity) == 16, "weir_decision.destination_identity");
_Static_assert(__builtin_offsetof(struct weir_decision, cookie) == 20, "weir_decision.cookie");
_Static_assert(__builtin_offsetof(struct weir_decision, backend_id) == 24, "weir_decision.backend_id");
_Static_assert(__builtin_offsetof(struct weir_decision, reverse_nat) == 28, "weir_decision.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_decision, proxy_port) == 30, "weir_decision.proxy_port");
_Static_assert(__builtin_offsetof(struct weir_decision, out_ifindex) == 32, "weir_decision.out_ifindex");
_Static_assert(__builtin_offsetof(struct weir_decision, endpoint_id) == 36, "weir_decision.endpoint_id");
_Static_assert(__builtin_offsetof(struct weir_decision, pad) == 38, "weir_decision.pad");
_Static_assert(__builtin_offsetof(struct weir_decision, destination_mac) == 40, "weir_decision.destination_mac");
_Static_assert(__builtin_offsetof(struct weir_decision, source_mac) == 46, "weir_decision.source_mac");
_Static_assert(__builtin_offsetof(struct weir_decision, departure_seconds) == 52, "weir_decision.departure_seconds");
_Static_assert(__builtin_offsetof(struct weir_decision, departure_nanoseconds) == 56, "weir_decision.departure_nanoseconds");

/* One event of the ring: a drop, a trace or a policy verdict */
struct weir_event {
	__u8 type; /* @0 1 drop, 4 trace, 5 policy verdict (Cilium’s message types) */
	__u8 subtype; /* @1 drop: reason; trace: observation point; verdict: policy match */
	__u8 hook; /* @2 HOOK */
	__u8 stage; /* @3 STAGE */
	__u32 time_low; /* @4 nanoseconds since start, low word */
	__u32 time_high; /* @8 nanoseconds since start, high word */
	__u32 flow_hash; /* @12 hash of the 5-tuple */
	__u32 source_identity; /* @16 identity of the source */
	__u32 destination_identity; /* @20 identity of the destination */
	__u32 cookie; /* @24 rule set that decided */
	__u32 ifindex; /* @28 interface */
	__u8 family; /* @32 4 or 6 */
	__u8 protocol; /* @33 IP protocol number */
	__u8 tcp_flags; /* @34 TCP flags */
	__u8 ct_status; /* @35 CT_STATUS */
	__be16 source_port; /* @36 source port */
	__be16 destination_port; /* @38 destination port */
	__u8 source[16]; /* @40 source address; IPv4 in the first four bytes */
	__u8 destination[16]; /* @56 destination address; IPv4 in the first four bytes */
	__u16 endpoint_id; /* @72 endpoint */
	__u16 flags; /* @74 low 16 bits of RECORD_FLAG */
	__u32 wire_bytes; /* @76 length on the wire */
};
_Static_assert(sizeof(struct weir_event) == 80, "weir_event: size");
_Static_assert(__builtin_offsetof(struct weir_event, type) == 0, "weir_event.type");
_Static_assert(__builtin_offsetof(struct weir_event, subtype) == 1, "weir_event.subtype");
_Static_assert(__builtin_offsetof(struct weir_event, hook) == 2, "weir_event.hook");
_Static_assert(__builtin_offsetof(struct weir_event, stage) == 3, "weir_event.stage");
_Static_assert(__builtin_offsetof(struct weir_event, time_low) == 4, "weir_event.time_low");
_Static_assert(__builtin_offsetof(struct weir_event, time_high) == 8, "weir_event.time_high");
_Static_assert(__builtin_offsetof(struct weir_event, flow_hash) == 12, "weir_event.flow_hash");
_Static_assert(__builtin_offsetof(struct weir_event, source_identity) == 16, "weir_event.source_identity");
_Static_assert(__builtin_offsetof(struct weir_event, destination_identity) == 20, "weir_event.destination_identity");
_Static_assert(__builtin_offsetof(struct weir_event, cookie) == 24, "weir_event.cookie");
_Static_assert(__builtin_offsetof(struct weir_event, ifindex) == 28, "weir_event.ifindex");
_Static_assert(__builtin_offsetof(struct weir_event, family) == 32, "weir_event.family");
_Static_assert(__builtin_offsetof(struct weir_event, protocol) == 33, "weir_event.protocol");
_Static_assert(__builtin_offsetof(struct weir_event, tcp_flags) == 34, "weir_event.tcp_flags");
_Static_assert(__builtin_offsetof(struct weir_event, ct_status) == 35, "weir_event.ct_status");
_Static_assert(__builtin_offsetof(struct weir_event, source_port) == 36, "weir_event.source_port");
_Static_assert(__builtin_offsetof(struct weir_event, destination_port) == 38, "weir_event.destination_port");
_Static_assert(__builtin_offsetof(struct weir_event, source) == 40, "weir_event.source");
_Static_assert(__builtin_offsetof(struct weir_event, destination) == 56, "weir_event.destination");
_Static_assert(__builtin_offsetof(struct weir_event, endpoint_id) == 72, "weir_event.endpoint_id");
_Static_assert(__builtin_offsetof(struct weir_event, flags) == 74, "weir_event.flags");
_Static_assert(__builtin_offsetof(struct weir_event, wire_bytes) == 76, "weir_event.wire_bytes");

/* Constants of one load */
struct weir_load {
	__u32 features; /* @0 FEATURE bits whose code is there; a packet needs the configuration’s bit besides */
	__u32 recording; /* @4 1 = each run writes its decision record to weir_record */
	__u32 clock_from_map; /* @8 1 = time and meta come from weir_clock; 0 = jiffies and the packet’s own */
	__u32 hz; /* @12 jiffies a second */
	__u32 maglev_slots; /* @16 slots of each Maglev table as loaded; 0 = as the configuration says */
	__u32 recent_places; /* @20 places of weir_recent4 for each processor, a power of two from 4; of weir_recent6 half; 0 = none */
	__u32 wildcard_filter; /* @24 1 = weir_wildcards has the bit of every wildcard entry; 0 = it says nothing */
};
_Static_assert(sizeof(struct weir_load) == 28, "weir_load: size");
_Static_assert(__builtin_offsetof(struct weir_load, features) == 0, "weir_load.features");
_Static_assert(__builtin_offsetof(struct weir_load, recording) == 4, "weir_load.recording");
_Static_assert(__builtin_offsetof(struct weir_load, clock_from_map) == 8, "weir_load.clock_from_map");
_Static_assert(__builtin_offsetof(struct weir_load, hz) == 12, "weir_load.hz");
_Static_assert(__builtin_offsetof(struct weir_load, maglev_slots) == 16, "weir_load.maglev_slots");
_Static_assert(__builtin_offsetof(struct weir_load, recent_places) == 20, "weir_load.recent_places");
_Static_assert(__builtin_offsetof(struct weir_load, wildcard_filter) == 24, "weir_load.wildcard_filter");

/* Events for which the ring had no room */
struct weir_lost {
	__u64 events; /* @0 events */
};
_Static_assert(sizeof(struct weir_lost) == 8, "weir_lost: size");
_Static_assert(__builtin_offsetof(struct weir_lost, events) == 0, "weir_lost.events");

/* reason * 4 + direction */
struct weir_metrics_key {
	__u32 index; /* @0 reason * 4 + direction */
};
_Static_assert(sizeof(struct weir_metrics_key) == 4, "weir_metrics_key: size");
_Static_assert(__builtin_offsetof(struct weir_metrics_key, index) == 0, "weir_metrics_key.index");

/* Counters of one reason and direction */
struct weir_metrics {
	__u64 packets; /* @0 packets */
	__u64 bytes; /* @8 bytes */
};
_Static_assert(sizeof(struct weir_metrics) == 16, "weir_metrics: size");
_Static_assert(__builtin_offsetof(struct weir_metrics, packets) == 0, "weir_metrics.packets");
_Static_assert(__builtin_offsetof(struct weir_metrics, bytes) == 8, "weir_metrics.bytes");

/* What comes and goes with a packet besides its bytes */
struct weir_meta {
	__u32 ifindex; /* @0 interface it arrived on */
	__u32 mark; /* @4 skb mark (Cilium: 0xC00 host, 0xF00 identity in the upper 16 bits) */
	__u32 cb[5]; /* @8 skb control block; [0]: endpoint whose bandwidth limit applies (real traffic: queue mapping) */
	__u32 xdp_metadata; /* @28 XDP metadata word; bit 0 = service lookup done */
	__u16 gso_size; /* @32 segment size of a GSO packet, 0 = none */
	__u16 flags; /* @34 1 = partial checksum, 2 = probe: change no map, 4 = service lookup done, 8 = from a host on the same node */
};
_Static_assert(sizeof(struct weir_meta) == 36, "weir_meta: size");
_Static_assert(__builtin_offsetof(struct weir_meta, ifindex) == 0, "weir_meta.ifindex");
_Static_assert(__builtin_offsetof(struct weir_meta, mark) == 4, "weir_meta.mark");
_Static_assert(__builtin_offsetof(struct weir_meta, cb) == 8, "weir_meta.cb");
_Static_assert(__builtin_offsetof(struct weir_meta, xdp_metadata) == 28, "weir_meta.xdp_metadata");
_Static_assert(__builtin_offsetof(struct weir_meta, gso_size) == 32, "weir_meta.gso_size");
_Static_assert(__builtin_offsetof(struct weir_meta, flags) == 34, "weir_meta.flags");

/* Who is limited */
struct weir_rate_limit_key {
	__u32 usage; /* @0 RATE_LIMIT_USAGE */
	__u32 ifindex; /* @4 interface of the packet */
};
_Static_assert(sizeof(struct weir_rate_limit_key) == 8, "weir_rate_limit_key: size");
_Static_assert(__builtin_offsetof(struct weir_rate_limit_key, usage) == 0, "weir_rate_limit_key.usage");
_Static_assert(__builtin_offsetof(struct weir_rate_limit_key, ifindex) == 4, "weir_rate_limit_key.ifindex");

/* Token bucket */
struct weir_rate_limit {
	__u32 last_top_up; /* @0 second since start */
	__u32 tokens; /* @4 answers that may be given */
};
_Static_assert(sizeof(struct weir_rate_limit) == 8, "weir_rate_limit: size");
_Static_assert(__builtin_offsetof(struct weir_rate_limit, last_top_up) == 0, "weir_rate_limit.last_top_up");
_Static_assert(__builtin_offsetof(struct weir_rate_limit, tokens) == 4, "weir_rate_limit.tokens");

/* State of one run, in a per-CPU slot */
struct weir_context {
	__u32 source[4]; /* @0 source address */
	__u32 destination[4]; /* @16 destination address */
	__u32 ports; /* @32 raw ports as conntrack sees them, source in the low half */
	__u32 header_ports; /* @36 raw ports of the L4 header itself */
	__u32 fragment_id; /* @40 fragment identification */
	__u32 payload; /* @44 offset of the L4 payload */
	__u32 l3_length; /* @48 bytes of the IP packet */
	__u32 wire_bytes; /* @52 bytes of the frame */
	__u16 l3; /* @56 offset of the IP header */
	__u16 l4; /* @58 offset of the L4 header */
	__u16 l4_checksum; /* @60 offset of the L4 checksum, 0 = none */
	__u16 ether_type; /* @62 EtherType, host order */
	__u16 icmp_id; /* @64 ICMP identifier, raw */
	__u8 family; /* @66 4, 6; 0 = not IP */
	__u8 protocol; /* @67 IP protocol number */
	__u8 fragment; /* @68 0 none, 1 first, 2 later */
	__u8 tcp_flags; /* @69 TCP flags */
	__u8 icmp_type; /* @70 ICMP type */
	__u8 icmp_code; /* @71 ICMP code */
	__u8 ttl; /* @72 TTL or hop limit */
	__u8 tos; /* @73 type of service or traffic class */
	__u8 vlan_count; /* @74 VLAN tags */
	__u8 hook; /* @75 HOOK */
	__u32 now; /* @76 seconds since start, never before an earlier packet’s */
	__u32 seconds; /* @80 seconds as the packet has them, for events */
	__u32 nanoseconds; /* @84 nanoseconds within the second, for events */
	__u32 ifindex; /* @88 interface it arrived on */
	__u32 mark; /* @92 skb mark */
	__u32 xdp_metadata; /* @96 XDP metadata word */
	__u16 gso_size; /* @100 segment size, 0 = none */
	__u16 meta_flags; /* @102 META_FLAG */
	__u32 features; /* @104 FEATURE bits of the configuration */
	__u8 egress; /* @108 1 = the endpoint sends */
	__u8 related; /* @109 1 = an ICMP error, matched on its outer addresses */
	__u8 portless; /* @110 1 = a fragment whose ports nobody tracked */
	__u8 loopback; /* @111 1 = the backend is the client itself */
	__u8 owner_is_source; /* @112 1 = the source owns the conntrack entry */
	__u8 owner_flags; /* @113 CT_KEY: 0 = a pod, NODE */
	__u8 service_entry; /* @114 where the service’s conntrack entry is: 0 not asked, 1 answered, 2 unanswered, 3 nowhere */
	__u8 ct_status; /* @115 CT_STATUS */
	__u8 ct_found; /* @116 1 = an entry was met, 2 = among the answered */
	__u8 ct_stale; /* @117 1 = an answered entry of this key must go */
	__u8 monitor; /* @118 1 = conntrack wants this packet reported */
	__u8 audited; /* @119 1 = audit mode let it pass */
	__u8 policy_match; /* @120 POLICY_MATCH */
	__u8 verdict; /* @121 VERDICT */
	__u8 drop_reason; /* @122 DROP */
	__u8 stage; /* @123 STAGE */
	__u8 action; /* @124 ACTION */
	__u8 endpoint_flags; /* @125 ENDPOINT_FLAG */
	__u8 scope; /* @126 SCOPE of the frontend */
	__u8 ct_missed; /* @127 1 = no map had an entry of the connection */
	__u32 ct_flags; /* @128 CT_FLAG of the entry met, its reverse NAT index in the high half */
	__u32 ct_identity; /* @132 remote identity of the entry met */
	__u32 ct_epoch; /* @136 its policy epoch */
	__u32 ct_cookie; /* @140 its rule set */
	__u32 endpoint_identity; /* @144 identity of the endpoint whose hook this is */
	__u32 endpoint_ifindex; /* @148 its interface */
	__u32 endpoint_policy; /* @152 its policy */
	__u32 epoch; /* @156 its epoch + the global one, read before any policy probe */
	__u16 endpoint_id; /* @160 its id */
	__u16 endpoint_node; /* @162 its node */
	__u32 remote_identity; /* @164 identity of the other end */
	__u32 backend_id; /* @168 backend */
	__u32 service_target; /* @172 target of the master entry */
	__u16 service_flags; /* @176 SERVICE_FLAG */
	__u16 service_count; /* @178 slots of the master entry */
	__u16 reverse_nat; /* @180 reverse NAT index */
	__u16 l7_port; /* @182 raw proxy port of an L7 frontend */
	__u16 proxy_port; /* @184 raw proxy port of a redirect */
	__u16 service_port; /* @186 raw frontend port */
	__u32 cookie; /* @188 rule set */
	__u32 record_flags; /* @192 RECORD_FLAG */
	__u32 source_identity; /* @196 identity of the source */
	__u32 destination_identity; /* @200 identity of the destination */
	__u32 out_ifindex; /* @204 interface of a redirect or local delivery */
	__u32 macs[3]; /* @208 next-hop MAC, own MAC */
	__u32 answer; /* @220 ANSWER that a drop asks for */
	__u32 answer_mtu; /* @224 MTU that it tells */
	__u32 aggregate; /* @228 endpoint whose bandwidth limit applies, 0 = none */
	__u32 departure_seconds; /* @232 when a bandwidth limit lets the packet leave */
	__u32 departure_nanoseconds; /* @236 nanoseconds within the second */
	__u32 key[10]; /* @240 conntrack key being looked up: 4 words for IPv4, 10 for IPv6 */
	__u32 other_key[10]; /* @280 key of another map */
	__u32 nat_address[4]; /* @320 address that source NAT puts in place */
	__u16 nat_port; /* @336 its raw port */
	__u16 nat_flags; /* @338 NAT_FLAG of the translation found */
	__u16 nat_reverse; /* @340 its reverse NAT index */
	__u8 nat_spare[2];
	__u32 entry[16]; /* @344 conntrack entry being made or moved */
};
_Static_assert(sizeof(struct weir_context) == 408, "weir_context: size");
_Static_assert(__builtin_offsetof(struct weir_context, source) == 0, "weir_context.source");
_Static_assert(__builtin_offsetof(struct weir_context, destination) == 16, "weir_context.destination");
_Static_assert(__builtin_offsetof(struct weir_context, ports) == 32, "weir_context.ports");
_Static_assert(__builtin_offsetof(struct weir_context, header_ports) == 36, "weir_context.header_ports");
_Static_assert(__builtin_offsetof(struct weir_context, fragment_id) == 40, "weir_context.fragment_id");
_Static_assert(__builtin_offsetof(struct weir_context, payload) == 44, "weir_context.payload");
_Static_assert(__builtin_offsetof(struct weir_context, l3_length) == 48, "weir_context.l3_length");
_Static_assert(__builtin_offsetof(struct weir_context, wire_bytes) == 52, "weir_context.wire_bytes");
_Static_assert(__builtin_offsetof(struct weir_context, l3) == 56, "weir_context.l3");
_Static_assert(__builtin_offsetof(struct weir_context, l4) == 58, "weir_context.l4");
_Static_assert(__builtin_offsetof(struct weir_context, l4_checksum) == 60, "weir_context.l4_checksum");
_Static_assert(__builtin_offsetof(struct weir_context, ether_type) == 62, "weir_context.ether_type");
_Static_assert(__builtin_offsetof(struct weir_context, icmp_id) == 64, "weir_context.icmp_id");
_Static_assert(__builtin_offsetof(struct weir_context, family) == 66, "weir_context.family");
_Static_assert(__builtin_offsetof(struct weir_context, protocol) == 67, "weir_context.protocol");
_Static_assert(__builtin_offsetof(struct weir_context, fragment) == 68, "weir_context.fragment");
_Static_assert(__builtin_offsetof(struct weir_context, tcp_flags) == 69, "weir_context.tcp_flags");
_Static_assert(__builtin_offsetof(struct weir_context, icmp_type) == 70, "weir_context.icmp_type");
_Static_assert(__builtin_offsetof(struct weir_context, icmp_code) == 71, "weir_context.icmp_code");
_Static_assert(__builtin_offsetof(struct weir_context, ttl) == 72, "weir_context.ttl");
_Static_assert(__builtin_offsetof(struct weir_context, tos) == 73, "weir_context.tos");
_Static_assert(__builtin_offsetof(struct weir_context, vlan_count) == 74, "weir_context.vlan_count");
_Static_assert(__builtin_offsetof(struct weir_context, hook) == 75, "weir_context.hook");
_Static_assert(__builtin_offsetof(struct weir_context, now) == 76, "weir_context.now");
_Static_assert(__builtin_offsetof(struct weir_context, seconds) == 80, "weir_context.seconds");
_Static_assert(__builtin_offsetof(struct weir_context, nanoseconds) == 84, "weir_context.nanoseconds");
_Static_assert(__builtin_offsetof(struct weir_context, ifindex) == 88, "weir_context.ifindex");
_Static_assert(__builtin_offsetof(struct weir_context, mark) == 92, "weir_context.mark");
_Static_assert(__builtin_offsetof(struct weir_context, xdp_metadata) == 96, "weir_context.xdp_metadata");
_Static_assert(__builtin_offsetof(struct weir_context, gso_size) == 100, "weir_context.gso_size");
_Static_assert(__builtin_offsetof(struct weir_context, meta_flags) == 102, "weir_context.meta_flags");
_Static_assert(__builtin_offsetof(struct weir_context, features) == 104, "weir_context.features");
_Static_assert(__builtin_offsetof(struct weir_context, egress) == 108, "weir_context.egress");
_Static_assert(__builtin_offsetof(struct weir_context, related) == 109, "weir_context.related");
_Static_assert(__builtin_offsetof(struct weir_context, portless) == 110, "weir_context.portless");
_Static_assert(__builtin_offsetof(struct weir_context, loopback) == 111, "weir_context.loopback");
_Static_assert(__builtin_offsetof(struct weir_context, owner_is_source) == 112, "weir_context.owner_is_source");
_Static_assert(__builtin_offsetof(struct weir_context, owner_flags) == 113, "weir_context.owner_flags");
_Static_assert(__builtin_offsetof(struct weir_context, service_entry) == 114, "weir_context.service_entry");
_Static_assert(__builtin_offsetof(struct weir_context, ct_status) == 115, "weir_context.ct_status");
_Static_assert(__builtin_offsetof(struct weir_context, ct_found) == 116, "weir_context.ct_found");
_Static_assert(__builtin_offsetof(struct weir_context, ct_stale) == 117, "weir_context.ct_stale");
_Static_assert(__builtin_offsetof(struct weir_context, monitor) == 118, "weir_context.monitor");
_Static_assert(__builtin_offsetof(struct weir_context, audited) == 119, "weir_context.audited");
_Static_assert(__builtin_offsetof(struct weir_context, policy_match) == 120, "weir_context.policy_match");
_Static_assert(__builtin_offsetof(struct weir_context, verdict) == 121, "weir_context.verdict");
_Static_assert(__builtin_offsetof(struct weir_context, drop_reason) == 122, "weir_context.drop_reason");
_Static_assert(__builtin_offsetof(struct weir_context, stage) == 123, "weir_context.stage");
_Static_assert(__builtin_offsetof(struct weir_context, action) == 124, "weir_context.action");
_Static_assert(__builtin_offsetof(struct weir_context, endpoint_flags) == 125, "weir_context.endpoint_flags");
_Static_assert(__builtin_offsetof(struct weir_context, scope) == 126, "weir_context.scope");
_Static_assert(__builtin_offsetof(struct weir_context, ct_missed) == 127, "weir_context.ct_missed");
_Static_assert(__builtin_offsetof(struct weir_context, ct_flags) == 128, "weir_context.ct_flags");
_Static_assert(__builtin_offsetof(struct weir_context, ct_identity) == 132, "weir_context.ct_identity");
_Static_assert(__builtin_offsetof(struct weir_context, ct_epoch) == 136, "weir_context.ct_epoch");
_Static_assert(__builtin_offsetof(struct weir_context, ct_cookie) == 140, "weir_context.ct_cookie");
_Static_assert(__builtin_offsetof(struct weir_context, endpoint_identity) == 144, "weir_context.endpoint_identity");
_Static_assert(__builtin_offsetof(struct weir_context, endpoint_ifindex) == 148, "weir_context.endpoint_ifindex");
_Static_assert(__builtin_offsetof(struct weir_context, endpoint_policy) == 152, "weir_context.endpoint_policy");
_Static_assert(__builtin_offsetof(struct weir_context, epoch) == 156, "weir_context.epoch");
_Static_assert(__builtin_offsetof(struct weir_context, endpoint_id) == 160, "weir_context.endpoint_id");
_Static_assert(__builtin_offsetof(struct weir_context, endpoint_node) == 162, "weir_context.endpoint_node");
_Static_assert(__builtin_offsetof(struct weir_context, remote_identity) == 164, "weir_context.remote_identity");
_Static_assert(__builtin_offsetof(struct weir_context, backend_id) == 168, "weir_context.backend_id");
_Static_assert(__builtin_offsetof(struct weir_context, service_target) == 172, "weir_context.service_target");
_Static_assert(__builtin_offsetof(struct weir_context, service_flags) == 176, "weir_context.service_flags");
_Static_assert(__builtin_offsetof(struct weir_context, service_count) == 178, "weir_context.service_count");
_Static_assert(__builtin_offsetof(struct weir_context, reverse_nat) == 180, "weir_context.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_context, l7_port) == 182, "weir_context.l7_port");
_Static_assert(__builtin_offsetof(struct weir_context, proxy_port) == 184, "weir_context.proxy_port");
_Static_assert(__builtin_offsetof(struct weir_context, service_port) == 186, "weir_context.service_port");
_Static_assert(__builtin_offsetof(struct weir_context, cookie) == 188, "weir_context.cookie");
_Static_assert(__builtin_offsetof(struct weir_context, record_flags) == 192, "weir_context.record_flags");
_Static_assert(__builtin_offsetof(struct weir_context, source_identity) == 196, "weir_context.source_identity");
_Static_assert(__builtin_offsetof(struct weir_context, destination_identity) == 200, "weir_context.destination_identity");
_Static_assert(__builtin_offsetof(struct weir_context, out_ifindex) == 204, "weir_context.out_ifindex");
_Static_assert(__builtin_offsetof(struct weir_context, macs) == 208, "weir_context.macs");
_Static_assert(__builtin_offsetof(struct weir_context, answer) == 220, "weir_context.answer");
_Static_assert(__builtin_offsetof(struct weir_context, answer_mtu) == 224, "weir_context.answer_mtu");
_Static_assert(__builtin_offsetof(struct weir_context, aggregate) == 228, "weir_context.aggregate");
_Static_assert(__builtin_offsetof(struct weir_context, departure_seconds) == 232, "weir_context.departure_seconds");
_Static_assert(__builtin_offsetof(struct weir_context, departure_nanoseconds) == 236, "weir_context.departure_nanoseconds");
_Static_assert(__builtin_offsetof(struct weir_context, key) == 240, "weir_context.key");
_Static_assert(__builtin_offsetof(struct weir_context, other_key) == 280, "weir_context.other_key");
_Static_assert(__builtin_offsetof(struct weir_context, nat_address) == 320, "weir_context.nat_address");
_Static_assert(__builtin_offsetof(struct weir_context, nat_port) == 336, "weir_context.nat_port");
_Static_assert(__builtin_offsetof(struct weir_context, nat_flags) == 338, "weir_context.nat_flags");
_Static_assert(__builtin_offsetof(struct weir_context, nat_reverse) == 340, "weir_context.nat_reverse");
_Static_assert(__builtin_offsetof(struct weir_context, nat_spare) == 342, "weir_context.nat_spare");
_Static_assert(__builtin_offsetof(struct weir_context, entry) == 344, "weir_context.entry");

/* Disturbances so far */
struct weir_disturbed {
	__u32 times; /* @0 connections that a packet began anew or took away */
};
_Static_assert(sizeof(struct weir_disturbed) == 4, "weir_disturbed: size");
_Static_assert(__builtin_offsetof(struct weir_disturbed, times) == 0, "weir_disturbed.times");

/* Changes so far */
struct weir_generation {
	__u32 changes; /* @0 writes to the maps from outside the programs */
};
_Static_assert(sizeof(struct weir_generation) == 4, "weir_generation: size");
_Static_assert(__builtin_offsetof(struct weir_generation, changes) == 0, "weir_generation.changes");

/* What became of a connection’s last packet, IPv4: one cache line */
struct weir_recent4 {
	__u32 source[1]; /* @0 source address, raw */
	__u32 destination[1]; /* @4 frontend address, raw */
	__u32 backend[1]; /* @8 backend address, raw */
	__u32 ports; /* @12 raw ports before translation, source in the low half */
	__u64 until; /* @16 time from which on it is void: jiffies, or seconds of a test run */
	__u32 generation; /* @24 generation of the maps when it was made */
	__u32 disturbed; /* @28 disturbances of the client’s connections when it was made */
	__u32 ifindex; /* @32 interface it arrived on */
	__u32 out_ifindex; /* @36 interface of the delivery or redirect */
	__u32 macs[3]; /* @40 next-hop MAC, own MAC; zero = unchanged */
	__u32 source_identity; /* @52 identity of the source */
	__u16 port; /* @56 raw backend port */
	__u16 size; /* @58 longest packet that may take this way: what a route’s MTU let pass */
	__u8 protocol; /* @60 IP protocol number */
	__u8 tcp_flags; /* @61 TCP flags that the entries have noted */
	__u8 action; /* @62 ACTION: LOCAL or REDIRECT */
	__u8 pad[1];
};
_Static_assert(sizeof(struct weir_recent4) == 64, "weir_recent4: size");
_Static_assert(__builtin_offsetof(struct weir_recent4, source) == 0, "weir_recent4.source");
_Static_assert(__builtin_offsetof(struct weir_recent4, destination) == 4, "weir_recent4.destination");
_Static_assert(__builtin_offsetof(struct weir_recent4, backend) == 8, "weir_recent4.backend");
_Static_assert(__builtin_offsetof(struct weir_recent4, ports) == 12, "weir_recent4.ports");
_Static_assert(__builtin_offsetof(struct weir_recent4, until) == 16, "weir_recent4.until");
_Static_assert(__builtin_offsetof(struct weir_recent4, generation) == 24, "weir_recent4.generation");
_Static_assert(__builtin_offsetof(struct weir_recent4, disturbed) == 28, "weir_recent4.disturbed");
_Static_assert(__builtin_offsetof(struct weir_recent4, ifindex) == 32, "weir_recent4.ifindex");
_Static_assert(__builtin_offsetof(struct weir_recent4, out_ifindex) == 36, "weir_recent4.out_ifindex");
_Static_assert(__builtin_offsetof(struct weir_recent4, macs) == 40, "weir_recent4.macs");
_Static_assert(__builtin_offsetof(struct weir_recent4, source_identity) == 52, "weir_recent4.source_identity");
_Static_assert(__builtin_offsetof(struct weir_recent4, port) == 56, "weir_recent4.port");
_Static_assert(__builtin_offsetof(struct weir_recent4, size) == 58, "weir_recent4.size");
_Static_assert(__builtin_offsetof(struct weir_recent4, protocol) == 60, "weir_recent4.protocol");
_Static_assert(__builtin_offsetof(struct weir_recent4, tcp_flags) == 61, "weir_recent4.tcp_flags");
_Static_assert(__builtin_offsetof(struct weir_recent4, action) == 62, "weir_recent4.action");
_Static_assert(__builtin_offsetof(struct weir_recent4, pad) == 63, "weir_recent4.pad");

/* What became of a connection’s last packet, IPv6: two cache lines */
struct weir_recent6 {
	__u32 source[4]; /* @0 source address, raw */
	__u32 destination[4]; /* @16 frontend address, raw */
	__u32 backend[4]; /* @32 backend address, raw */
	__u32 ports; /* @48 raw ports before translation, source in the low half */
	__u8 gap[4];
	__u64 until; /* @56 time from which on it is void: jiffies, or seconds of a test run */
	__u32 generation; /* @64 generation of the maps when it was made */
	__u32 disturbed; /* @68 disturbances of the client’s connections when it was made */
	__u32 ifindex; /* @72 interface it arrived on */
	__u32 out_ifindex; /* @76 interface of the delivery or redirect */
	__u32 macs[3]; /* @80 next-hop MAC, own MAC; zero = unchanged */
	__u32 source_identity; /* @92 identity of the source */
	__u16 port; /* @96 raw backend port */
	__u16 size; /* @98 longest packet that may take this way: what a route’s MTU let pass */
	__u8 protocol; /* @100 IP protocol number */
	__u8 tcp_flags; /* @101 TCP flags that the entries have noted */
	__u8 action; /* @102 ACTION: LOCAL or REDIRECT */
	__u8 pad[25];
};
_Static_assert(sizeof(struct weir_recent6) == 128, "weir_recent6: size");
_Static_assert(__builtin_offsetof(struct weir_recent6, source) == 0, "weir_recent6.source");
_Static_assert(__builtin_offsetof(struct weir_recent6, destination) == 16, "weir_recent6.destination");
_Static_assert(__builtin_offsetof(struct weir_recent6, backend) == 32, "weir_recent6.backend");
_Static_assert(__builtin_offsetof(struct weir_recent6, ports) == 48, "weir_recent6.ports");
_Static_assert(__builtin_offsetof(struct weir_recent6, gap) == 52, "weir_recent6.gap");
_Static_assert(__builtin_offsetof(struct weir_recent6, until) == 56, "weir_recent6.until");
_Static_assert(__builtin_offsetof(struct weir_recent6, generation) == 64, "weir_recent6.generation");
_Static_assert(__builtin_offsetof(struct weir_recent6, disturbed) == 68, "weir_recent6.disturbed");
_Static_assert(__builtin_offsetof(struct weir_recent6, ifindex) == 72, "weir_recent6.ifindex");
_Static_assert(__builtin_offsetof(struct weir_recent6, out_ifindex) == 76, "weir_recent6.out_ifindex");
_Static_assert(__builtin_offsetof(struct weir_recent6, macs) == 80, "weir_recent6.macs");
_Static_assert(__builtin_offsetof(struct weir_recent6, source_identity) == 92, "weir_recent6.source_identity");
_Static_assert(__builtin_offsetof(struct weir_recent6, port) == 96, "weir_recent6.port");
_Static_assert(__builtin_offsetof(struct weir_recent6, size) == 98, "weir_recent6.size");
_Static_assert(__builtin_offsetof(struct weir_recent6, protocol) == 100, "weir_recent6.protocol");
_Static_assert(__builtin_offsetof(struct weir_recent6, tcp_flags) == 101, "weir_recent6.tcp_flags");
_Static_assert(__builtin_offsetof(struct weir_recent6, action) == 102, "weir_recent6.action");
_Static_assert(__builtin_offsetof(struct weir_recent6, pad) == 103, "weir_recent6.pad");

/* What a decision record says besides */
struct weir_recent_record {
	__u32 destination_identity; /* @0 identity of the destination */
	__u32 cookie; /* @4 rule set that decided */
	__u32 backend_id; /* @8 backend id */
	__u16 reverse_nat; /* @12 reverse NAT index */
	__u16 endpoint_id; /* @14 endpoint */
};
_Static_assert(sizeof(struct weir_recent_record) == 16, "weir_recent_record: size");
_Static_assert(__builtin_offsetof(struct weir_recent_record, destination_identity) == 0, "weir_recent_record.destination_identity");
_Static_assert(__builtin_offsetof(struct weir_recent_record, cookie) == 4, "weir_recent_record.cookie");
_Static_assert(__builtin_offsetof(struct weir_recent_record, backend_id) == 8, "weir_recent_record.backend_id");
_Static_assert(__builtin_offsetof(struct weir_recent_record, reverse_nat) == 12, "weir_recent_record.reverse_nat");
_Static_assert(__builtin_offsetof(struct weir_recent_record, endpoint_id) == 14, "weir_recent_record.endpoint_id");

/* Addresses that may have a wildcard entry, by their hash */
struct weir_wildcard_bits {
	__u64 bits; /* @0 64 bits of 2^14; set for every address with an entry of port 0 and protocol 0, and perhaps for others */
};
_Static_assert(sizeof(struct weir_wildcard_bits) == 8, "weir_wildcard_bits: size");
_Static_assert(__builtin_offsetof(struct weir_wildcard_bits, bits) == 0, "weir_wildcard_bits.bits");

/* weir_config: array, the datapath’s configuration */
#define WEIR_MAP_CONFIG_MAX 1

/* weir_services4: hash, frontends and slots */
#define WEIR_MAP_SERVICES4_MAX 65536

/* weir_services6: hash, frontends and slots */
#define WEIR_MAP_SERVICES6_MAX 65536

/* weir_backends4: array, backends by id */
#define WEIR_MAP_BACKENDS4_MAX 65536

/* weir_backends6: array, backends by id */
#define WEIR_MAP_BACKENDS6_MAX 65536

/* weir_reverse_nat4: array, frontend by index */
#define WEIR_MAP_REVERSE_NAT4_MAX 65536

/* weir_reverse_nat6: array, frontend by index */
#define WEIR_MAP_REVERSE_NAT6_MAX 65536

/* weir_maglev4: array-of-arrays, Maglev tables */
#define WEIR_MAP_MAGLEV4_MAX 65536
#define WEIR_MAP_MAGLEV4_INNER 16381

/* weir_maglev6: array-of-arrays, Maglev tables */
#define WEIR_MAP_MAGLEV6_MAX 65536
#define WEIR_MAP_MAGLEV6_INNER 16381

/* weir_maglev_previous4: array-of-arrays, Maglev tables before a change, while flows move */
#define WEIR_MAP_MAGLEV_PREVIOUS4_MAX 65536
#define WEIR_MAP_MAGLEV_PREVIOUS4_INNER 16381

/* weir_maglev_previous6: array-of-arrays, Maglev tables before a change, while flows move */
#define WEIR_MAP_MAGLEV_PREVIOUS6_MAX 65536
#define WEIR_MAP_MAGLEV_PREVIOUS6_INNER 16381

/* weir_flows4: lru-hash, flows that xdp must remember */
#define WEIR_MAP_FLOWS4_MAX 262144

/* weir_flows6: lru-hash, flows that xdp must remember */
#define WEIR_MAP_FLOWS6_MAX 262144

/* weir_next_hops4: array, next hop by backend */
#define WEIR_MAP_NEXT_HOPS4_MAX 65536

/* weir_next_hops6: array, next hop by backend */
#define WEIR_MAP_NEXT_HOPS6_MAX 65536

/* weir_affinity4: lru-hash, session affinity */
#define WEIR_MAP_AFFINITY4_MAX 65536

/* weir_affinity6: lru-hash, session affinity */
#define WEIR_MAP_AFFINITY6_MAX 65536

/* weir_affinity_match: hash, backends that may be remembered */
#define WEIR_MAP_AFFINITY_MATCH_MAX 65536

/* weir_source_range4: lpm-trie, source ranges */
#define WEIR_MAP_SOURCE_RANGE4_MAX 65536

/* weir_source_range6: lpm-trie, source ranges */
#define WEIR_MAP_SOURCE_RANGE6_MAX 65536

/* weir_ct_tcp4: lru-hash, answered TCP connections */
#define WEIR_MAP_CT_TCP4_MAX 524288

/* weir_ct_any4: lru-hash, answered connections of other protocols */
#define WEIR_MAP_CT_ANY4_MAX 262144

/* weir_ct_tcp_new4: lru-hash, TCP connections nobody has answered */
#define WEIR_MAP_CT_TCP_NEW4_MAX 131072

/* weir_ct_any_new4: lru-hash, other connections nobody has answered */
#define WEIR_MAP_CT_ANY_NEW4_MAX 65536

/* weir_ct_tcp6: lru-hash, answered TCP connections */
#define WEIR_MAP_CT_TCP6_MAX 524288

/* weir_ct_any6: lru-hash, answered connections of other protocols */
#define WEIR_MAP_CT_ANY6_MAX 262144

/* weir_ct_tcp_new6: lru-hash, TCP connections nobody has answered */
#define WEIR_MAP_CT_TCP_NEW6_MAX 131072

/* weir_ct_any_new6: lru-hash, other connections nobody has answered */
#define WEIR_MAP_CT_ANY_NEW6_MAX 65536

/* weir_policy: hash, every policy entry of the node */
#define WEIR_MAP_POLICY_MAX 1048576

/* weir_policy_meta: array, shapes and enforcement by policy id */
#define WEIR_MAP_POLICY_META_MAX 65536

/* weir_ipcache4: lpm-trie, identity of an address */
#define WEIR_MAP_IPCACHE4_MAX 512000

/* weir_ipcache6: lpm-trie, identity of an address */
#define WEIR_MAP_IPCACHE6_MAX 512000

/* weir_endpoints4: hash, local endpoints */
#define WEIR_MAP_ENDPOINTS4_MAX 65535

/* weir_endpoints6: hash, local endpoints */
#define WEIR_MAP_ENDPOINTS6_MAX 65535

/* weir_nat4: lru-hash, source NAT, both halves */
#define WEIR_MAP_NAT4_MAX 524288

/* weir_nat6: lru-hash, source NAT, both halves */
#define WEIR_MAP_NAT6_MAX 524288

/* weir_nodes4: array, addresses that nodes put in place of others */
#define WEIR_MAP_NODES4_MAX 16384

/* weir_nodes6: array, addresses that nodes put in place of others */
#define WEIR_MAP_NODES6_MAX 16384

/* weir_no_masq4: lpm-trie, destinations that see pods as they are */
#define WEIR_MAP_NO_MASQUERADE4_MAX 16384

/* weir_no_masq6: lpm-trie, destinations that see pods as they are */
#define WEIR_MAP_NO_MASQUERADE6_MAX 16384

/* weir_fragments4: lru-hash, ports of fragmented datagrams */
#define WEIR_MAP_FRAGMENTS4_MAX 8192

/* weir_fragments6: lru-hash, ports of fragmented datagrams */
#define WEIR_MAP_FRAGMENTS6_MAX 8192

/* weir_routes4: lpm-trie, routes of the node */
#define WEIR_MAP_ROUTES4_MAX 16384

/* weir_routes6: lpm-trie, routes of the node */
#define WEIR_MAP_ROUTES6_MAX 16384

/* weir_neighbours4: lru-hash, next-hop MACs */
#define WEIR_MAP_NEIGHBOURS4_MAX 16384

/* weir_neighbours6: lru-hash, next-hop MACs */
#define WEIR_MAP_NEIGHBOURS6_MAX 16384

/* weir_announced4: hash, service addresses answered for */
#define WEIR_MAP_ANNOUNCED4_MAX 4096

/* weir_announced6: hash, service addresses answered for */
#define WEIR_MAP_ANNOUNCED6_MAX 4096

/* weir_limits: array, bandwidth limits by endpoint id */
#define WEIR_MAP_LIMITS_MAX 65536

/* weir_departures: array, last departures by endpoint id */
#define WEIR_MAP_DEPARTURES_MAX 65536

/* weir_vlans: hash, VLANs that pass the devices untouched [bpf.vlanBypass] */
#define WEIR_MAP_VLANS_MAX 4096

/* weir_rate_limit: lru-hash, token buckets of answers */
#define WEIR_MAP_RATE_LIMIT_MAX 1024

/* weir_scale_to_zero: hash, frontends whose first packet should wake their Service up */
#define WEIR_MAP_SCALE_TO_ZERO_MAX 4096

/* weir_metrics: percpu-array, packets and bytes by reason and direction */
#define WEIR_MAP_METRICS_MAX 1024

/* weir_events: ring, drops, traces, policy verdicts */
#define WEIR_MAP_EVENTS_MAX 16384
