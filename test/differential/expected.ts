// What a differential run must reach, and what it cannot reach, each with the reason.
// Input: none. Output: the expectation that main.ts holds a run to. Invariant: whatever the contract names and is not listed
// here as unreachable must be met at least 100 times in 100,000 packets.
import { DROP, dropName } from '../../src/schema/index.ts';
import type { Expectation } from '../support/differential/histogram.ts';

const drop = (reason: number): string => `drop ${reason} ${dropName(reason)}`;
const none = (reasons: readonly number[], why: string): Record<string, string> =>
  Object.fromEntries(reasons.map((reason) => [drop(reason), why]));

export const EXPECTED: Expectation = {
  least: 100,
  packets: 100_000,
  unreachable: {
    'hook none': 'no hook has this number',
    'hook from-overlay': 'the simulator’s alone',
    'hook to-overlay': 'the simulator’s alone',
    'flag OVERLAY': 'the simulator’s alone',
    'flag DECAPSULATED': 'the simulator’s alone',
    'hook connect': 'not built',
    'hook sendmsg': 'not built',
    'hook recvmsg': 'not built',
    'hook getpeername': 'not built',
    'stage none': 'every verdict falls in a stage',
    'stage conntrack': 'its one verdict is 155, see there',
    'verdict UNKNOWN': 'a test run has whole Ethernet frames; a missing fact is the simulator’s alone',
    'verdict ERROR': 'only of hooks that are not built',
    'verdict TRACED': 'no hook gives it',
    'verdict TRANSLATED': 'no hook gives it',
    ...none(
      [
        DROP.MISSED_TAIL_CALL,
        DROP.WRITE_ERROR,
        DROP.UNKNOWN_L4,
        DROP.UNKNOWN_ICMP4_CODE,
        DROP.UNKNOWN_ICMP4_TYPE,
        DROP.UNKNOWN_ICMP6_CODE,
        DROP.UNKNOWN_ICMP6_TYPE,
        DROP.NO_TUNNEL_KEY,
        DROP.UNROUTABLE,
        DROP.CSUM_L3,
        DROP.UNSUPPORTED_SERVICE_PROTOCOL,
        DROP.NO_TUNNEL_ENDPOINT,
        DROP.NAT_46X64_DISABLED,
        DROP.UNKNOWN_CT,
        DROP.HOST_UNREACHABLE,
        DROP.NO_CONFIG,
        DROP.NO_FIB,
        DROP.INVALID_IDENTITY,
        DROP.NAT_NOT_NEEDED,
        DROP.PROXY_LOOKUP_FAILED,
        DROP.PROXY_SET_FAILED,
        DROP.INVALID_VNI,
        DROP.INVALID_TC_BUFFER,
        DROP.NO_SID,
        DROP.MISSING_SRV6_STATE,
        DROP.NAT46,
        DROP.NAT64,
        DROP.CT_NO_MAP_FOUND,
        DROP.INVALID_CLUSTER_ID,
        DROP.DSR_ENCAP_UNSUPPORTED_PROTOCOL,
        DROP.NO_EGRESS_GATEWAY,
        DROP.UNENCRYPTED_TRAFFIC,
        DROP.NO_NODE_ID,
        DROP.RATE_LIMITED,
        DROP.IGMP_HANDLED,
        DROP.IGMP_SUBSCRIBED,
        DROP.MULTICAST_HANDLED,
        DROP.HOST_NOT_READY,
        DROP.NO_EGRESS_IP,
        DROP.PUNT_PROXY,
        DROP.NO_DEVICE,
      ],
      'no stage gives it',
    ),
    ...none([DROP.CT_CREATE_FAILED], 'an LRU map always has room'),
  },
};
