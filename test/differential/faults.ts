// One-line faults in the kernel's programs, each of which the differential run must detect. Input: none. Output: a list.
// Invariant: `before` is the text of exactly one line of the file, spaces counted as one, and `after` compiles and passes the
// verifier.

/** One line made wrong. */
export interface Fault {
  /** File below native/bpf. */
  readonly file: string;
  /** What the line says. */
  readonly before: string;
  /** What it is to say. */
  readonly after: string;
}

/** The text of a line, however it is indented and spaced. */
export const lineText = (line: string): string => line.trim().replace(/\s+/g, ' ');

export const FAULTS: readonly Fault[] = [
  // Parsing.
  { file: 'parse.h', before: 'if (payload > l3_end && cx->fragment == 1)', after: 'if (payload > l3_end)' },
  { file: 'parse.h', before: ': (units + 1) << 3;', after: ': (units + 2) << 3;' },
  { file: 'parse.h', before: 'if (field & 1)', after: 'if (field & 2)' },
  {
    file: 'parse.h',
    before: 'cx->fragment = !(field & 0x3fff) ? 0 : !(field & 0x1fff) ? 1 : 2;',
    after: 'cx->fragment = !(field & 0x7fff) ? 0 : !(field & 0x1fff) ? 1 : 2;',
  },
  {
    file: 'parse.h',
    before: 'return type < 0x600 ? WIRE_BAD_ETHERTYPE : WIRE_NOT_IP;',
    after: 'return type <= 0x600 ? WIRE_BAD_ETHERTYPE : WIRE_NOT_IP;',
  },
  {
    file: 'parse.h',
    before: 'bool echo = cx->family == 4 ? type == 8 || type == 0 : type == 128 || type == 129;',
    after: 'bool echo = cx->family == 4 ? type == 8 : type == 128 || type == 129;',
  },
  {
    file: 'parse.h',
    before: 'if (header < 20 || length < header || length > room)',
    after: 'if (header < 20 || length < header || length >= room)',
  },
  {
    file: 'parse.h',
    before: 'if (length == 40 && (next == EXT_HOP_BY_HOP || room > 65575))',
    after: 'if (length == 40 && room > 65575)',
  },
  // Answers.
  {
    file: 'answer.h',
    before: 'if (cx->protocol == IPPROTO_ICMP_ && cx->icmp_type != 8)',
    after: 'if (cx->protocol == IPPROTO_ICMP_ && cx->icmp_type == 3)',
  },
  { file: 'answer.h', before: 'buffer->quote[last] = 0;', after: 'buffer->quote[last] = 0x1000000;' },
  { file: 'answer.h', before: 'next.tokens--;', after: 'next.tokens -= 2;' },
  { file: 'answer.h', before: 'word[1] = acknowledged ? tcp[2] : 0;', after: 'word[1] = tcp[2];' },
  { file: 'answer.h', before: 'if (cx->record_flags & WEIR_RECORD_FLAG_DNAT)', after: 'if (0)' },
  // The host firewall.
  {
    file: 'host.h',
    before: 'if ((cx->mark & MARK_MASK) != MARK_IDENTITY) {',
    after: 'if ((cx->mark & MARK_MASK) != 0x100) {',
  },
  { file: 'host.h', before: 'cx->source_identity = cx->remote_identity;', after: 'cx->source_identity = 0;' },
  { file: 'host.h', before: 'if (to_host == cx->endpoint_node)', after: 'if (to_host == 99)' },
  { file: 'host.h', before: 'if (type == 128 || type == 129)', after: 'if (type == 128)' },
  // Fragments and identities.
  {
    file: 'fragment.h',
    before: 'key[2] = (cx->fragment_id & 0xffff) | ((__u32)cx->protocol << 16);',
    after: 'key[2] = cx->fragment_id & 0xffff;',
  },
  {
    file: 'fragment.h',
    before: 'return cx->hook == WEIR_HOOK_TO_CONTAINER ? WEIR_DIRECTION_INGRESS : WEIR_DIRECTION_SERVICE;',
    after: 'return cx->hook == WEIR_HOOK_TO_CONTAINER ? WEIR_DIRECTION_SERVICE : WEIR_DIRECTION_SERVICE;',
  },
  {
    file: 'identity.h',
    before: 'return find_endpoint(address, family) || (config->node_id && config->node_id == node);',
    after: 'return find_endpoint(address, family);',
  },
  {
    file: 'hooks/from_netdev.h',
    before: 'local = !config->node_id && backend.node;',
    after: 'local = !config->node_id;',
  },
  {
    file: 'identity.h',
    before: 'return ((cx->mark & 0xff) << 16) | (cx->mark >> 16);',
    after: 'return cx->mark >> 16;',
  },
  { file: 'identity.h', before: 'if (node && node == cx->endpoint_node)', after: 'if (node == cx->endpoint_node)' },
  {
    file: 'identity.h',
    before: 'cx->epoch = endpoint->epoch + config->global_epoch;',
    after: 'cx->epoch = endpoint->epoch;',
  },
  {
    file: 'identity.h',
    before: 'struct weir_ipcache_key6 key = {.prefix_length = 160};',
    after: 'struct weir_ipcache_key6 key = {.prefix_length = 159};',
  },
  // Services.
  {
    file: 'service.h',
    before: 'return !!range == !(flags & WEIR_SERVICE_FLAG_DENY_OR_QUARANTINED);',
    after: 'return !!range == !!(flags & WEIR_SERVICE_FLAG_DENY_OR_QUARANTINED);',
  },
  { file: 'service.h', before: 'scope = WEIR_SCOPE_INTERNAL;', after: 'scope = WEIR_SCOPE_EXTERNAL;' },
  { file: 'service_backend.h', before: 'ports &= ~0xffffu;', after: 'ports &= 0xffffu;' },
  { file: 'service_backend.h', before: 'return hash % count + 1;', after: 'return hash % count;' },
  {
    file: 'service_backend.h',
    before: 'if ((__s32)expires > (__s32)cx->now && bpf_map_lookup_elem(&weir_affinity_match, match)) {',
    after: 'if ((__s32)expires >= (__s32)cx->now && bpf_map_lookup_elem(&weir_affinity_match, match)) {',
  },
  {
    file: 'service_backend.h',
    before: 'if (unlikely(!exists || (backend->state != WEIR_BACKEND_STATE_ACTIVE && is_syn(cx)))) {',
    after: 'if (unlikely(!exists || backend->state != WEIR_BACKEND_STATE_ACTIVE)) {',
  },
  { file: 'jhash.h', before: 'b = (b ^ a) - rotate(a, 25);', after: 'b = (b ^ a) - rotate(a, 24);' },
  {
    file: 'jhash.h',
    before: 'a = (a - c) ^ rotate(c, 16); \\',
    after: 'a = (a - c) ^ rotate(c, 15); \\',
  },
  {
    file: 'service_flow.h',
    before: 'if (flow && (__s32)(flow->last_seen + config->flow_lifetime) > (__s32)cx->now &&',
    after: 'if (flow && (__s32)(flow->last_seen + config->flow_lifetime) >= (__s32)cx->now &&',
  },
  {
    file: 'service_flow.h',
    before: '(backend->state == WEIR_BACKEND_STATE_TERMINATING && !is_opening(cx));',
    after: '(backend->state == WEIR_BACKEND_STATE_TERMINATING);',
  },
  { file: 'service_flow.h', before: 'if (has_table && !is_opening(cx)) {', after: 'if (has_table) {' },
  // Connection tracking.
  {
    file: 'conntrack_key.h',
    before: 'return a[3] == b[3] ? 0 : (__s32)a[3] < (__s32)b[3] ? -1 : 1;',
    after: 'return a[3] == b[3] ? 0 : a[3] < b[3] ? -1 : 1;',
  },
  {
    file: 'conntrack_key.h',
    before: 'order = source[0] == destination[0] ? 0 : (__s32)source[0] < (__s32)destination[0] ? -1 : 1;',
    after: 'order = source[0] == destination[0] ? 0 : source[0] < destination[0] ? -1 : 1;',
  },
  {
    file: 'conntrack_entry.h',
    before: 'return (__s32)entry->lifetime < (__s32)cx->now;',
    after: 'return (__s32)entry->lifetime <= (__s32)cx->now;',
  },
  {
    file: 'conntrack_entry.h',
    before: 'bool both_syns = entry->tx_flags & entry->rx_flags & TCP_SYN;',
    after: 'bool both_syns = (entry->tx_flags | entry->rx_flags) & TCP_SYN;',
  },
  {
    file: 'conntrack_entry.h',
    before: 'if ((__s32)(entry->last_tx_report + config->ct_service_grace) <= (__s32)cx->now)',
    after: 'if ((__s32)(entry->last_tx_report + config->ct_service_grace) < (__s32)cx->now)',
  },
  {
    file: 'conntrack_entry.h',
    before: '__sync_fetch_and_add(&entry->bytes, cx->wire_bytes);',
    after: '__sync_fetch_and_add(&entry->bytes, cx->l3_length);',
  },
  {
    file: 'conntrack_entry.h',
    before: 'bool from_source = forward != !!(flags & WEIR_CT_FLAG_LOOPBACK);',
    after: 'bool from_source = forward;',
  },
  {
    file: 'conntrack_entry.h',
    before: 'if ((known->flags ^ moved->flags) & WEIR_CT_FLAG_INBOUND)',
    after: 'if (!((known->flags ^ moved->flags) & WEIR_CT_FLAG_INBOUND))',
  },
  { file: 'conntrack.h', before: 'if (cx->tcp_flags & TCP_RST)', after: 'if (cx->tcp_flags & TCP_FIN)' },
  {
    file: 'conntrack.h',
    before: '} else if (!cx->owner_is_source && !is_midway(cx)) {',
    after: '} else if (is_midway(cx)) {',
  },
  {
    file: 'conntrack.h',
    before: 'return forward ? reverse_nat != cx->reverse_nat : cx->reverse_nat != 0;',
    after: 'return forward && reverse_nat != cx->reverse_nat;',
  },
  { file: 'conntrack.h', before: 'both = before->flags & WEIR_CT_FLAG_BOTH_WAYS;', after: 'both = 0;' },
  { file: 'conntrack.h', before: 'if (cx->ct_stale)', after: 'if (0)' },
  { file: 'context.h', before: 'if ((__s32)now <= (__s32)clock->latest)', after: 'if (0)' },
  // Policy.
  {
    file: 'policy.h',
    before: 'if (best->found && precedence <= best->precedence &&',
    after: 'if (best->found && precedence < best->precedence &&',
  },
  {
    file: 'policy.h',
    before: '__s32 rank = shape == ANY_SHAPE ? 0 : shape + 1;',
    after: '__s32 rank = shape == ANY_SHAPE ? 20 : shape + 1;',
  },
  { file: 'policy.h', before: 'if (scope == 2)', after: 'if (scope == 3)' },
  { file: 'policy.h', before: 'if (best->flags & AUTHENTICATION)', after: 'if (best->flags & 0xff)' },
  {
    file: 'policy.h',
    before: 'if (!kept && (cx->ct_flags & WEIR_CT_FLAG_AUDITED))',
    after: 'if (cx->ct_flags & WEIR_CT_FLAG_AUDITED)',
  },
  {
    file: 'policy.h',
    before: 'clear_flags(entry, (WEIR_CT_FLAG_AUDITED | WEIR_CT_FLAG_PROXY_REDIRECT) & ~decided);',
    after: 'clear_flags(entry, WEIR_CT_FLAG_AUDITED & ~decided);',
  },
  // The quick ways.
  {
    file: 'plain_connection.h',
    before: 'return entry && !is_expired(cx, entry) && entry->reverse_nat == cx->reverse_nat &&',
    after: 'return entry && entry->reverse_nat == cx->reverse_nat &&',
  },
  { file: 'plain_connection.h', before: '!(entry->flags & CT_BOTH_CLOSING)', after: '1' },
  { file: 'plain_connection.h', before: 'return (seen & ~entry->tx_flags) ||', after: 'return' },
  {
    file: 'plain_connection.h',
    before: '__sync_fetch_and_add(&entry->bytes, cx->wire_bytes);',
    after: '__sync_fetch_and_add(&entry->bytes, cx->l3_length);',
  },
  {
    file: 'plain_recent.h',
    before: '!(cx->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) && cx->ttl > 1;',
    after: '!(cx->tcp_flags & (TCP_SYN | TCP_FIN)) && cx->ttl > 1;',
  },
  {
    file: 'plain_recent.h',
    before: '!(cx->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) && cx->ttl > 1;',
    after: '!(cx->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) && cx->ttl > 0;',
  },
  {
    file: 'plain_connection.h',
    before: 'if (!entry || decision_epoch(entry) != cx->epoch || (entry->flags & special))',
    after: 'if (!entry || (entry->flags & special))',
  },
  {
    file: 'plain_connection.h',
    before: 'if (!entry || decision_epoch(entry) != cx->epoch || (entry->flags & special))',
    after: 'if (!entry || decision_epoch(entry) != cx->epoch)',
  },
  { file: 'plain_connection.h', before: 'track_plain(cx, config, memory, tcp, true);', after: ';' },
  { file: 'plain_connection.h', before: 'cx->cookie = entry->cookie;', after: ';' },
  {
    file: 'plain_connection.h',
    before: 'rewrite(skb, cx, false, backend.address, port, family);',
    after: 'rewrite(skb, cx, false, backend.address, cx->ports >> 16, family);',
  },
  {
    file: 'plain_connection.h',
    before: 'endpoint ? to_endpoint(skb, cx, endpoint, WEIR_ACTION_LOCAL) : to_route_of(skb, cx, family);',
    after: 'endpoint ? to_endpoint(skb, cx, endpoint, WEIR_ACTION_LOCAL) : to_stack(cx);',
  },
  // The way of the packet before.
  { file: 'recent.h', before: 'RECENT(place, generation, family) == recent->generation;', after: '1;' },
  { file: 'recent.h', before: 'RECENT(place, disturbed, family) == recent->disturbed &&', after: '' },
  { file: 'recent.h', before: 'RECENT(place, ifindex, family) == cx->ifindex &&', after: '' },
  { file: 'recent.h', before: '!(cx->tcp_flags & ~RECENT(place, tcp_flags, family));', after: '1;' },
  {
    file: 'recent.h',
    before: 'RECENT(place, until, family) = ((__u64)cx->now + 1) * hz;',
    after: 'RECENT(place, until, family) = ((__u64)cx->now + 2) * hz;',
  },
  { file: 'plain_recent.h', before: 'recent_size(cx) <= RECENT(place, size, family)', after: '1' },
  { file: 'plain_parse.h', before: 'return header >= 20 && header <= length;', after: 'return header >= 20;' },
  { file: 'plain_parse.h', before: 'cx->payload = l4 + header;', after: 'cx->payload = l4 + 20;' },
  { file: 'plain_service.h', before: 'cx->reverse_nat = reverse_nat;', after: ';' },
  {
    file: 'plain_service.h',
    before: 'if (slot < 0 || (slot & WEIR_MAGLEV_SLOT_MOVING) || !may_serve(cx, slot, &backend, family))',
    after: 'if (slot < 0 || (slot & WEIR_MAGLEV_SLOT_MOVING) || !find_backend(slot, &backend, family))',
  },
  // Translation and forwarding.
  { file: 'nat.h', before: 'cx->fragment != 2;', after: 'cx->fragment != 3;' },
  {
    file: 'nat.h',
    before: '__u64 mangled = protocol == IPPROTO_UDP_ ? BPF_F_MARK_MANGLED_0 : 0;',
    after: '__u64 mangled = 0 * protocol;',
  },
  {
    file: 'nat.h',
    before: 'rewrite(skb, cx, true, address, cx->related ? cx->ports & 0xffff : port, family);',
    after: 'rewrite(skb, cx, true, address, port, family);',
  },
  {
    file: 'nat.h',
    before: 'return before == 0 ? 0 : adjusted == 0 ? 0xffff : adjusted;',
    after: 'return adjusted == 0 ? 0xffff : adjusted + 0 * before;',
  },
  {
    file: 'encapsulate.h',
    before: 'return (source & ~bpf_htonl(mask)) | bpf_htonl(hash_32(client ^ ports, free_bits));',
    after: 'return (source & ~bpf_htonl(mask)) | bpf_htonl(hash_32(client + ports, free_bits));',
  },
  {
    file: 'encapsulate.h',
    before: 'if ((known && hop->mtu && total > hop->mtu) || (family == 4 ? total : length) > 0xffff)',
    after: 'if ((known && hop->mtu && total >= hop->mtu) || (family == 4 ? total : length) > 0xffff)',
  },
  {
    file: 'encapsulate.h',
    before: 'word[0] = 0x60 | (tos >> 4) | ((tos & 15) << 12);',
    after: 'word[0] = 0x60 | (tos >> 4);',
  },
  {
    file: 'forward.h',
    before: 'if (mtu && (__s32)size > (__s32)mtu)',
    after: 'if (mtu && (__s32)size >= (__s32)mtu)',
  },
  { file: 'forward.h', before: 'if ((w1 >> 16) | w2) {', after: 'if (w2) {' },
  // The sum of a whole packet that a device has made (CHECKSUM_COMPLETE).
  { file: 'nat.h', before: 'bpf_csum_update(skb, ~0x100u);', after: ';' },
  { file: 'nat.h', before: 'if (!adjusted)', after: 'if (0)' },
  { file: 'nat.h', before: 'bpf_csum_update(skb, sum + (sum < port_after));', after: ';' },
  {
    file: 'nat.h',
    before: 'bpf_l4_csum_replace(skb, at, before[0], after[0], BPF_F_PSEUDO_HDR | mangled | 4);',
    after: 'bpf_l4_csum_replace(skb, at, before[0], after[0], mangled | 4);',
  },
  // Hooks and the outcome.
  {
    file: 'hooks/to_container.h',
    before: '!(cx->ct_flags & (WEIR_CT_FLAG_NODE_PORT | WEIR_CT_FLAG_LOOPBACK)))',
    after: '!(cx->ct_flags & WEIR_CT_FLAG_NODE_PORT))',
  },
  {
    file: 'hooks/from_host.h',
    before: 'if (cx->source_identity == WEIR_IDENTITY_HOST && cx->action == WEIR_ACTION_LOCAL)',
    after: 'if (cx->source_identity == WEIR_IDENTITY_HOST)',
  },
  {
    file: 'hooks/from_netdev.h',
    before: 'if (cx->vlan_count || skb->vlan_present)',
    after: 'if (cx->vlan_count > 1 || skb->vlan_present)',
  },
  { file: 'hooks/from_netdev.h', before: '(cx->xdp_metadata & SERVICE_DONE))', after: '(cx->xdp_metadata & 2))' },
  {
    file: 'outcome.h',
    before: 'event->ifindex = cx->out_ifindex ? cx->out_ifindex : cx->ifindex;',
    after: 'event->ifindex = cx->out_ifindex;',
  },
  {
    file: 'outcome.h',
    before: 'count(cx, cx->drop_reason, cx->egress ? WEIR_DIRECTION_EGRESS : WEIR_DIRECTION_INGRESS);',
    after: 'count(cx, cx->drop_reason, WEIR_DIRECTION_INGRESS);',
  },
  // Source NAT.
  {
    file: 'nat_key.h',
    before: 'return is_icmp(cx->protocol) ? cx->ports & 0xffff : cx->ports;',
    after: 'return cx->ports;',
  },
  {
    file: 'nat_mapping.h',
    before: 'return number >= config->nat_port_first && number <= config->nat_port_last;',
    after: 'return number > config->nat_port_first && number <= config->nat_port_last;',
  },
  {
    file: 'nat_mapping.h',
    before: 'bool kept = wanted >= first && wanted <= last;',
    after: 'bool kept = wanted > first && wanted <= last;',
  },
  { file: 'nat_mapping.h', before: 'next -= size;', after: 'next = first;' },
  { file: 'nat_mapping.h', before: 'if (owner == OWNER_OWN)', after: 'if (owner != OWNER_NOBODY)' },
  { file: 'nat.h', before: '*(p16 *)(at + 4) = id;', after: '*(p16 *)(at + 4) = before;' },
  { file: 'nat_error.h', before: 'quote->l4 = l3 + length;', after: 'quote->l4 = l3 + 20;' },
  {
    file: 'nat_error.h',
    before: 'store16(skb, quote->l3 + 10, adjusted);',
    after: 'store16(skb, quote->l3 + 10, ip);',
  },
  {
    file: 'pod_error.h',
    before: 'if (quoted >> 16 && !!(quoted & WEIR_CT_FLAG_NODE_PORT) == out)',
    after: 'if (quoted >> 16)',
  },
  {
    file: 'pod_error.h',
    before: 'set_key(cx, quote->source, quote->destination, quote->ports, quote->protocol, !out, 0, family);',
    after: 'set_key(cx, quote->source, quote->destination, quote->ports, quote->protocol, out, 0, family);',
  },
  {
    file: 'pod_error.h',
    before: 'if (out ? flags & both : !(flags & both) && flags >> 16)',
    after: 'if (out ? flags & both : flags >> 16)',
  },
  {
    file: 'masquerade.h',
    before: 'if (endpoint->flags & (WEIR_ENDPOINT_FLAG_HOST | WEIR_ENDPOINT_FLAG_SKIP_MASQUERADE))',
    after: 'if (endpoint->flags & WEIR_ENDPOINT_FLAG_HOST)',
  },
  { file: 'masquerade.h', before: 'if (answers_outside(cx, family))', after: 'if (0 && answers_outside(cx, family))' },
  {
    file: 'hooks/from_netdev.h',
    before: 'translate_from_backend(skb, cx, reply ? cx->ct_flags >> 16 : cx->nat_reverse, false, family);',
    after: 'translate_from_backend(skb, cx, cx->nat_reverse, false, family);',
  },
  // Announced addresses: ARP and neighbour discovery.
  {
    file: 'announce.h',
    before: 'if ((link[3] & 1) || is_own_mac(link + 3, mac))',
    after: 'if (link[3] & 1)',
  },
  {
    file: 'announce.h',
    before: 'return (link[0] & 1) || is_own_mac(link, mac);',
    after: 'return is_own_mac(link, mac);',
  },
  {
    file: 'announce.h',
    before: '(frame[ARP_SENDER_MAC] & 1) || !may_answer_station(frame, mac))',
    after: '!may_answer_station(frame, mac))',
  },
  {
    file: 'announce.h',
    before: 'frame[ARP_TARGET_MAC + i] = frame[ARP_SENDER_MAC + i];',
    after: 'frame[ARP_TARGET_MAC + i] = mac[i];',
  },
  {
    file: 'announce.h',
    before: 'if ((frame[ARP_SENDER] == frame[ARP_TARGET] && frame[ARP_SENDER + 1] == frame[ARP_TARGET + 1]) ||',
    after: 'if (',
  },
  {
    file: 'announce.h',
    before: 'if (cx->icmp_code || cx->ttl != 255 || at + NDP_BYTES > cx->l3 + cx->l3_length)',
    after: 'if (cx->icmp_code || at + NDP_BYTES > cx->l3 + cx->l3_length)',
  },
  {
    file: 'announce.h',
    before: 'bool to_group = d[0] == GROUP0 && !d[1] && d[2] == GROUP2 && (d[3] & 0xff) == 0xff;',
    after: 'bool to_group = d[0] == GROUP0 && !d[1];',
  },
  {
    file: 'announce.h',
    before: 'icmp[1] = detection ? NDP_OVERRIDE : NDP_OVERRIDE | NDP_SOLICITED;',
    after: 'icmp[1] = NDP_OVERRIDE | NDP_SOLICITED;',
  },
  {
    file: 'announce.h',
    before: 'if (claims || (detection ? !to_group : (s[0] & 0xff) == 0xff) || !may_answer_station(link, mac))',
    after: 'if ((detection ? !to_group : (s[0] & 0xff) == 0xff) || !may_answer_station(link, mac))',
  },
  // Departures.
  {
    file: 'bandwidth.h',
    before: '__u32 nanoseconds = cx->seconds == cx->now ? cx->nanoseconds : 0;',
    after: '__u32 nanoseconds = cx->nanoseconds;',
  },
  {
    file: 'bandwidth.h',
    before: '__u64 bytes = cx->wire_bytes;',
    after: '__u64 bytes = cx->l3_length;',
  },
  {
    file: 'bandwidth.h',
    before: 'next.seconds = seconds + sum / SECOND_NS;',
    after: 'next.seconds = seconds;',
  },
  {
    file: 'bandwidth.h',
    before: 'if ((__u64)wait >= limit->horizon)',
    after: 'if ((__u64)wait > 2 * limit->horizon)',
  },
  {
    file: 'bandwidth.h',
    before: 'if (!probing(cx))',
    after: 'if (1)',
  },
  {
    file: 'bandwidth.h',
    before: 'if (apart > FAR_SECONDS)',
    after: 'if (apart > 1)',
  },
  // More of the host, of errors and of translation.
  {
    file: 'host.h',
    before: '(type >= 141 && type <= 143) || type == 148 || type == 149 || (type >= 151 && type <= 153))',
    after: '(type >= 141 && type <= 142) || type == 148 || type == 149 || (type >= 151 && type <= 153))',
  },
  {
    file: 'host.h',
    before: '} else if (cx->ct_status == WEIR_CT_NEW)',
    after: '} else if (0)',
  },
  {
    file: 'host.h',
    before: 'if (!endpoint || !(endpoint->flags & WEIR_ENDPOINT_FLAG_HOST) || !endpoint->policy_id)',
    after: 'if (!endpoint || !(endpoint->flags & WEIR_ENDPOINT_FLAG_HOST))',
  },
  {
    file: 'host.h',
    before: 'bool icmp = cx->protocol == IPPROTO_ICMP_ || cx->protocol == IPPROTO_ICMPV6_;',
    after: 'bool icmp = cx->protocol == IPPROTO_ICMP_;',
  },
  {
    file: 'pod_error.h',
    before: 'if (is_icmp(quote->protocol))',
    after: 'if (0)',
  },
  {
    file: 'pod_error.h',
    before: 'return entry && !is_expired(cx, entry) ? entry->flags | ((__u32)entry->reverse_nat << 16)',
    after: 'return entry ? entry->flags | ((__u32)entry->reverse_nat << 16)',
  },
  {
    file: 'pod_error.h',
    before: '__u32 flags = cx->ct_flags;',
    after: '__u32 flags = 0;',
  },
  {
    file: 'nat.h',
    before: 'if (cx->protocol == IPPROTO_SCTP_ && port != cx->ports >> 16)',
    after: 'if (0)',
  },
  {
    file: 'nat.h',
    before: 'if (cx->ttl <= 1)',
    after: 'if (!cx->ttl)',
  },
  {
    file: 'nat.h',
    before: '*check = adjust32(*check, address[0], after[0]);',
    after: ';',
  },
  {
    file: 'nat.h',
    before: '*(p16 *)(at + (source ? 0 : 2)) = port;',
    after: '*(p16 *)(at + 2) = port;',
  },
];
