// The limits that the verifier sets for the C twin, and therefore for both engines.
// Invariant: nothing in the datapath loops further than a number written here.

export const BOUND = {
  /** VLAN tags parsed before a frame counts as unsupported. */
  VLAN_TAGS: 2,
  /** IPv6 extension headers parsed (Cilium's IPV6_MAX_HEADERS). */
  EXTENSION_HEADERS: 4,
  /** Bytes of IPv4 options. */
  IPV4_OPTION_BYTES: 40,
  /** Probes of the policy map for one direction of one packet. */
  POLICY_PROBES: 64,
  /** Attempts to find a free port for source NAT (Cilium's SNAT_COLLISION_RETRIES). */
  NAT_ATTEMPTS: 32,
  /** Conntrack probes of a packet that meets no service. */
  CT_PROBES: 2,
  /** Further conntrack probes where a service is involved. */
  CT_SERVICE_PROBES: 1,
  /** One more where the others found nothing: what a service entry kept from being asked, or may have been moved meanwhile. */
  CT_MISS_PROBES: 1,
  /** ipcache lookups a side. */
  IPCACHE_PROBES: 1,
  /** Shapes of a policy: one for any protocol, 17 port-prefix lengths of an exact protocol. */
  POLICY_SHAPES: 18,
  /** Policies (sets of endpoints with one identity and named ports) that fit the meta array. */
  POLICIES: 65536,
  /** Bytes of the dropped packet that an ICMP error quotes (Cilium's no-service answer). */
  QUOTE_IPV4: 64,
  /** The same for ICMPv6: with it the answer fills the least MTU, 1280 (RFC 4443 §2.4 c). */
  QUOTE_IPV6: 1232,
  /** Answers a second and interface, and how many may have been saved up (Cilium's ratelimit settings). */
  ANSWERS_PER_SECOND: 100,
  ANSWERS_BURST: 1000,
  /** Bytes of a packet that a bandwidth limit counts: more than any device takes. */
  LIMITED_BYTES: 1048576,
  /** Trace records of one run; further ones are counted. */
  TRACE_RECORDS: 64,
  /** Events held before the oldest unread are lost and counted. */
  EVENTS: 16384,
} as const;

/** Shape number of an entry for any protocol; an exact protocol's shape is its port-prefix length, 0..16. */
export const SHAPE_ANY_PROTOCOL = 17;
