// Trace records of the simulator as sentences: what was looked up, under which key, what was found.
// Input: the words of one record (schema/trace.ts). Output: its stage and one sentence. Invariant: says only what the record holds;
// names come from the caller.
import type { StructType } from '../layout/index.ts';
import {
  ACTION,
  ANSWER,
  ANSWERED,
  BACKEND_STATE,
  dropName,
  HOOK_NAME,
  MAPS,
  NO_MASQUERADE,
  POLICY_MATCH_NAME,
  ROUTE_FLAG,
  SHAPE_ANY_PROTOCOL,
  STAGE_NAME,
  TRACE,
  TRACE_AT,
  TRACE_MAPS,
  TRACE_WORDS,
} from '../schema/index.ts';
import { identityText } from './identity-name.ts';
import { ipProtocolName, tcpFlagsText } from './l4-summary.ts';
import { type FlowRule, ruleText, socketText } from './record.ts';

/** Where a route leads; a gateway of zero is none. */
function routeText(ifindex: number, flags: number, gateway: string): string {
  if ((flags & ROUTE_FLAG.LOCAL) !== 0) return 'the node’s own';
  const via = gateway === '0.0.0.0' ? '' : ` by ${gateway}`;
  if ((flags & ROUTE_FLAG.TUNNEL) !== 0) return `behind the overlay${via}`;
  return `${via === '' ? 'on link' : via.slice(1)} at interface ${ifindex}`;
}

const macText = (bytes: unknown): string =>
  bytes instanceof Uint8Array ? Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':') : '';

/** Names for numbers in a trace. */
export interface TraceNames {
  /** Raw words of an address as text; `words` has one or four. */
  address(words: readonly number[]): string;
  /** Who has an identity: labels or a reserved name; undefined when nobody knows. */
  identity(identity: number): string | undefined;
  /** The rules that a cookie stands for, with their places. */
  rules(cookie: number): readonly FlowRule[];
}

/** One sentence. */
export interface TraceSentence {
  readonly stage: string;
  readonly text: string;
}

const port = (raw: number): number => ((raw & 0xff) << 8) | ((raw >>> 8) & 0xff);
const ACTION_NAME = Object.fromEntries(Object.entries(ACTION).map(([name, number]) => [number, name]));
const ACTION_TEXT: Readonly<Record<string, string>> = {
  STACK: 'to the host’s stack',
  REDIRECT: 'redirected to another interface',
  TX: 'sent back out of its interface',
  LOCAL: 'to an endpoint of this dataplane: its to-container hook is next',
  HOST: 'to the node itself, which has a policy: its to-host hook is next',
  PROXY: 'to a proxy',
  DELIVER: 'delivered to the pod',
  DROP: 'dropped',
};
const ANSWER_TEXT: Readonly<Record<number, string>> = {
  [ANSWER.NO_SERVICE]: 'ICMP “port unreachable”',
  [ANSWER.PROHIBITED]: 'ICMP “administratively prohibited”',
  [ANSWER.RESET]: 'a TCP reset',
  [ANSWER.TIME_EXCEEDED]: 'ICMP “time exceeded”',
  [ANSWER.TOO_BIG]: 'ICMP “packet too big”',
};
const NO_MASQUERADE_TEXT: Readonly<Record<number, string>> = {
  [NO_MASQUERADE.NONE]: 'masqueraded: the destination is outside',
  [NO_MASQUERADE.NATIVE_ROUTING]: 'not masqueraded: the destination is natively routed',
  [NO_MASQUERADE.AGENT]: 'not masqueraded: ip-masq-agent exempts the destination',
  [NO_MASQUERADE.NODE]: 'not masqueraded: the destination is a node of the cluster',
  [NO_MASQUERADE.POD]: 'not masqueraded: the destination is a pod of the cluster',
  [NO_MASQUERADE.ANSWER]: 'not masqueraded: the connection was opened from outside',
  [NO_MASQUERADE.EXEMPT]: 'not masqueraded: the endpoint is exempt',
  [NO_MASQUERADE.NO_ADDRESS]: 'not masqueraded: no address of the node is known',
};
const STATE_NAME = Object.fromEntries(
  Object.entries(BACKEND_STATE).map(([name, number]) => [number, name.toLowerCase()]),
);

/** Decodes stored words by a struct. */
function decoded(type: StructType, words: Int32Array, at: number): Record<string, unknown> {
  const bytes = new Uint8Array(words.slice(at, at + ((type.bytes + 3) >>> 2)).buffer);
  return type.decode(bytes) as Record<string, unknown>;
}

/** The sentence of the record that begins at word `at`. */
export function traceSentence(words: Int32Array, at: number, names: TraceNames): TraceSentence {
  const record = words.subarray(at, at + TRACE_WORDS);
  const stage = STAGE_NAME[record[TRACE_AT.STAGE]!] ?? '';
  return { stage, text: sentence(record, names) };
}

function sentence(record: Int32Array, names: TraceNames): string {
  const kind = record[TRACE_AT.KIND]!;
  const result = record[TRACE_AT.RESULT]!;
  const key = (i: number): number => record[TRACE_AT.KEY + i]!;
  const value = (i: number): number => record[TRACE_AT.VALUE + i]!;
  const map = TRACE_MAPS[record[TRACE_AT.MAP]!];
  const mapName = map === undefined ? '' : MAPS[map].name;
  const keyOf = (): Record<string, unknown> => (map === undefined ? {} : decoded(MAPS[map].key, record, TRACE_AT.KEY));
  const valueOf = (): Record<string, unknown> =>
    map === undefined ? {} : decoded(MAPS[map].value, record, TRACE_AT.VALUE);
  const six = map?.endsWith('6') === true;
  const address = (from: number, inValue = false): string => {
    const get = inValue ? value : key;
    return names.address(six ? [get(from), get(from + 1), get(from + 2), get(from + 3)] : [get(from)]);
  };
  const quad = (from: number, inValue = false): string => {
    const get = inValue ? value : key;
    const all = [get(from), get(from + 1), get(from + 2), get(from + 3)];
    return names.address(all[1] === 0 && all[2] === 0 && all[3] === 0 ? [all[0]!] : all);
  };
  switch (kind) {
    case TRACE.HOOK:
      return `hook ${HOOK_NAME[key(0)] ?? key(0)}`;
    case TRACE.PARSED: {
      const [family, protocol, fragment, flags] = [value(0), value(1), value(2), value(3)];
      if (family === 0) return `no IP packet (status ${result})`;
      const ports = key(8);
      const withPorts = protocol === 6 || protocol === 17 || protocol === 132;
      const ends = withPorts
        ? `${socketText(quad(0), port(ports & 0xffff))} to ${socketText(quad(4), port(ports >>> 16))}`
        : `${quad(0)} to ${quad(4)}`;
      const more = protocol === 6 && flags !== 0 ? `, ${tcpFlagsText(flags!)}` : '';
      return `${ipProtocolName(protocol!)} from ${ends}${more}${fragment === 0 ? '' : ', a fragment'}${result === 0 ? '' : ` (status ${result})`}`;
    }
    case TRACE.SERVICE_LOOKUP: {
      const k = keyOf();
      const asked = `${socketText(address(0), Number(k['port']))}/${ipProtocolName(Number(k['protocol']))}`;
      if (result === 0) return `${asked} is no service`;
      const v = valueOf();
      return `${asked} is a service (reverse NAT ${String(v['reverseNat'])}) with ${String(v['count'])} backends`;
    }
    case TRACE.SERVICE_SLOT:
      return result === 0
        ? `slot ${String(keyOf()['slot'])} is empty`
        : `slot ${String(keyOf()['slot'])} holds backend ${String(valueOf()['target'])}`;
    case TRACE.MAGLEV_SLOT:
      return maglevText(result, key(1), value(0), value(1) === 1, map?.startsWith('maglevPrevious') === true);
    case TRACE.AFFINITY:
      return result === 1
        ? `session affinity keeps backend ${String(valueOf()['backendId'])}`
        : result === 2
          ? 'session affinity: the remembered backend does not count any more'
          : 'session affinity: nothing remembered';
    case TRACE.BACKEND: {
      if (result === 0) return `backend ${key(0)} is not there`;
      const v = valueOf();
      return `backend ${key(0)} is ${socketText(address(0, true), Number(v['port']))} (${STATE_NAME[Number(v['state'])] ?? '?'})`;
    }
    case TRACE.DNAT:
      return `destination ${socketText(quad(0), port(key(4) >>> 16))} becomes ${socketText(quad(0, true), port(value(4) >>> 16))}`;
    case TRACE.CT_LOOKUP: {
      if (result === 0) return `no connection in ${mapName}`;
      return result === 2 ? `an expired connection in ${mapName}` : `known connection in ${mapName}`;
    }
    case TRACE.CT_CREATE:
      return result === 0
        ? `new connection entered in ${mapName}`
        : `connection could not be entered in ${mapName} (${result})`;
    case TRACE.CT_PROMOTE:
      return `answered: the connection moves to ${mapName}`;
    case TRACE.IPCACHE: {
      if (result === 0) return `${quad(0)} has no identity of its own`;
      const identity = Number(valueOf()['identity']);
      const who = names.identity(identity);
      return `${quad(0)} has identity ${identity} ${who === undefined ? identityText(identity) : `(${who})`}`;
    }
    case TRACE.ENDPOINT: {
      if (result === 0) return `${quad(0)} is no endpoint here`;
      const v = valueOf();
      return `${quad(0)} is endpoint ${String(v['endpointId'])}, policy ${String(v['policyId'])}`;
    }
    case TRACE.POLICY_META:
      return result === 0 ? `policy ${key(0)} does not exist` : `policy ${key(0)} is looked up`;
    case TRACE.POLICY_PROBE: {
      const k = keyOf();
      const shape = Number(k['shape']);
      const length = shape & 0x7f;
      const wide =
        length === SHAPE_ANY_PROTOCOL
          ? 'any protocol'
          : `${ipProtocolName(Number(k['protocol']))} port ${portRange(Number(k['port']), length)}`;
      const identity = Number(k['identity']);
      const who = identity === 0 ? 'anybody' : `identity ${identity}`;
      const asked = `entry for ${who}, ${wide}`;
      if (result === 0) return `${asked}: none`;
      const precedence = Number(valueOf()['precedence']);
      const says =
        (precedence & 0xff) === 255
          ? 'denies'
          : (precedence & 0xff) === 1
            ? 'allows'
            : (precedence & 0xff) === 0
              ? 'passes on'
              : 'redirects to a proxy';
      return `${asked}: ${says}${ruleList(names.rules(Number(valueOf()['cookie'])))}`;
    }
    case TRACE.POLICY_VERDICT: {
      const direction = key(4) === 1 ? 'egress' : 'ingress';
      const match = POLICY_MATCH_NAME[value(2)] ?? 'none';
      const rules = ruleList(names.rules(value(1) >>> 0));
      if (result !== 0)
        return `${direction}: denied (${dropName(result)}), match ${match}${rules}${value(3) === 1 ? '; audit mode lets it pass' : ''}`;
      return `${direction}: allowed, match ${match}${rules}`;
    }
    case TRACE.REVERSE_NAT:
      return result === 0
        ? `reverse NAT ${key(0)} is not known`
        : `the answer gets its service address back: ${socketText(address(0, true), Number(valueOf()['port']))}`;
    case TRACE.LOOPBACK:
      return `the pod reaches itself: source ${quad(0)} becomes ${quad(0, true)}`;
    case TRACE.FORWARD:
      return ACTION_TEXT[ACTION_NAME[value(0)] ?? ''] ?? `action ${value(0)}`;
    case TRACE.DROP:
      return `dropped: ${dropName(result)} (${result})`;
    case TRACE.FRAGMENT:
      return result === 0
        ? 'a later fragment whose first one was not seen'
        : result === 2
          ? 'a first fragment: its ports are kept'
          : 'a later fragment: ports of the first one';
    case TRACE.SOURCE_RANGE:
      return result === 1 ? 'the client is in a source range' : 'the client is in no source range';
    case TRACE.ROUTE:
      return result === 0
        ? `no route to ${address(0)}`
        : `a route to ${address(0)}: ${routeText(value(0), value(1) >>> 16, quad(2, true))}`;
    case TRACE.NEIGHBOUR:
      return result === 0
        ? `the station of ${address(1)} at interface ${key(0)} is not known`
        : `the station of ${address(1)} at interface ${key(0)} is ${macText(valueOf()['destination'])}`;
    case TRACE.FLOW:
      if (result === 0) return `the flow is not remembered in ${mapName}`;
      return result === 2
        ? `the flow’s backend ${String(valueOf()['backendId'])} in ${mapName} does not count any more`
        : `the flow keeps backend ${String(valueOf()['backendId'])}`;
    case TRACE.FLOW_CREATE:
      return `the flow’s backend ${String(valueOf()['backendId'])} is remembered in ${mapName}`;
    case TRACE.NEXT_HOP:
      return result === 0
        ? `no next hop is known for backend ${key(0)}: back to the router that sent the packet`
        : `the next hop of backend ${key(0)} is known`;
    case TRACE.ENCAPSULATE:
      return `encapsulated: an IPIP packet of ${value(0)} bytes from ${quad(0)} to ${quad(4)}, ${
        ACTION_TEXT[ACTION_NAME[value(1)] ?? ''] ?? ''
      }`;
    case TRACE.ANSWER: {
      const what = ANSWER_TEXT[value(0)] ?? 'an error';
      if (result === ANSWERED.LIMITED) return `${what} is not sent: too many answers within a second`;
      if (result === ANSWERED.MUST_NOT) return `${what} is not sent: nobody may be answered here`;
      return `answered: ${what} from ${quad(0)} to ${quad(4)}${value(0) === ANSWER.TOO_BIG ? `, MTU ${value(1)}` : ''}`;
    }
    case TRACE.NAT_LOOKUP:
      return result === 0 ? `no translation in ${mapName}` : `a translation is in ${mapName}`;
    case TRACE.NAT_CREATE:
      return `a translation is made in ${mapName}: port ${String(valueOf()['port'])}, found at attempt ${result}`;
    case TRACE.SNAT:
      return `source NAT: ${socketText(quad(0), port(key(4) & 0xffff))} becomes ${socketText(quad(0, true), port(value(4) & 0xffff))}`;
    case TRACE.NAT_BACK:
      return `source NAT of an answer: destination ${socketText(quad(0), port(key(4) >>> 16))} becomes ${socketText(quad(0, true), port(value(4) >>> 16))}`;
    case TRACE.MASQUERADE:
      return NO_MASQUERADE_TEXT[value(0)] ?? 'the source keeps its address';
    case TRACE.NAT_ERROR:
      return `the packet that the ICMP error quotes is rewritten: its ${value(0) === 1 ? 'source' : 'destination'} becomes ${socketText(quad(1, true), port(value(5)))}`;
    case TRACE.NO_MASQUERADE:
      return result === 0 ? 'no range exempts the destination' : `a range in ${mapName} exempts the destination`;
    case TRACE.ANNOUNCED: {
      const asked = address(0);
      if (result === 0) return `a neighbour asks for ${asked}, which is not announced here`;
      return result === 1
        ? `a neighbour asks for ${asked}: answered with ${macText(valueOf()['mac'])}`
        : `a neighbour’s question for ${asked}, which is announced here, is not one to answer`;
    }
    case TRACE.LIMIT:
      return limitText(result, key(0), value(4), value(5), value(6));
    case TRACE.DIRECT_RETURN:
      return value(0) === 0
        ? `direct server return: the backend’s node knows by now that ${socketText(quad(0), port(key(4)))} was asked`
        : `direct server return: an option of ${value(0)} bytes tells the backend’s node that ${socketText(quad(0), port(key(4)))} was asked`;
    case TRACE.DIRECT_RETURN_TOLD:
      return `direct server return: the packet tells that ${socketText(quad(0), port(key(4)))} was asked; the pod is to answer as that`;
    case TRACE.DIRECT_ANSWER:
      return `direct server return: source ${socketText(quad(0), port(key(4) & 0xffff))} becomes ${socketText(quad(0, true), port(value(4) & 0xffff))}`;
    case TRACE.OVERLAY_ENTER:
      return `into the overlay: a packet of ${value(2)} bytes from ${quad(0)} to ${quad(4)}, identity ${value(0)}, ${
        ACTION_TEXT[ACTION_NAME[value(3)] ?? ''] ?? ''
      }`;
    case TRACE.OVERLAY_LEAVE:
      return `out of the overlay: from ${quad(0)} to ${quad(4)}, identity ${value(0)}`;
    case TRACE.IPIP_OPENED:
      return 'an IPIP packet around one for a load balancer: what follows is about the packet inside';
    default:
      return `record ${kind}, result ${result}`;
  }
}

/** What a bandwidth limit says of a packet. */
function limitText(result: number, endpoint: number, seconds: number, nanoseconds: number, bytes: number): string {
  const whose = `the bandwidth limit of endpoint ${endpoint}`;
  if (result === 0) return `endpoint ${endpoint} has no bandwidth limit`;
  if (result === 1) return `${whose} lets its ${bytes} bytes leave at once`;
  return result === 2
    ? `${whose} lets its ${bytes} bytes leave at second ${seconds}.${String(nanoseconds).padStart(9, '0')}`
    : `${whose} would hold its ${bytes} bytes beyond the horizon`;
}

function maglevText(result: number, slot: number, backend: number, moving: boolean, previous: boolean): string {
  if (result === 0) return previous ? 'there is no earlier Maglev table' : 'the service has no Maglev table';
  if (previous) return `slot ${slot} of the earlier Maglev table holds backend ${backend}`;
  return `Maglev slot ${slot} holds backend ${backend}${moving ? '; it has changed, and older flows are still on the move' : ''}`;
}

/** `8080` or `8080-8087`: a prefix of a port. */
function portRange(first: number, length: number): string {
  if (length === 0) return 'any';
  const last = first + (1 << (16 - length)) - 1;
  return first === last ? String(first) : `${first}-${last}`;
}

const ruleList = (rules: readonly FlowRule[]): string =>
  rules.length === 0 ? '' : ` by ${rules.map(ruleText).join(', ')}`;
