// `toPorts` and `icmps` of a Cilium rule item → port matches, grouped by verdict. Input: the item. Output: PortGroup[].
// Invariant: without both fields an item is about every protocol; with either, nothing else is allowed by it.
import type { CiliumPort, CiliumPortRule, CiliumRuleItem } from '../state.ts';
import { type NamedProtocol, type PortMatch, PROTOCOL_NUMBER, type RuleVerdict } from './rule.ts';

/** Ports with one verdict. */
export interface PortGroup {
  readonly verdict: RuleVerdict;
  /** Never empty. */
  readonly ports: readonly PortMatch[];
  /** Of a redirect: its `toPorts` item. */
  readonly inspected?: CiliumPortRule;
}

const TRANSPORTS: readonly NamedProtocol[] = ['TCP', 'UDP', 'SCTP'];

/** The ports of an item: those that a proxy looks at apart, one group for each `toPorts` item. `complain` is told what is not judged. */
export function portGroups(item: CiliumRuleItem, complain: (message: string) => void): PortGroup[] {
  const rules = item.toPorts ?? [];
  const icmps = item.icmps ?? [];
  const verdict: RuleVerdict = item.deny ? 'deny' : 'allow';
  if (rules.length === 0 && icmps.length === 0) return [{ verdict, ports: [{ kind: 'all' }] }];
  const plain: PortMatch[] = [];
  const groups: PortGroup[] = [];
  for (const rule of rules) {
    if (!isInspected(rule) || item.deny) {
      plain.push(...portsOf(rule));
      continue;
    }
    const opaque = opaquePart(rule);
    if (opaque !== undefined) complain(`${opaque}: the connection is redirected, its content is not judged`);
    groups.push({ verdict: 'redirect', ports: portsOf(rule), inspected: rule });
  }
  for (const { fields } of icmps) {
    plain.push(...fields.map(({ family, type }): PortMatch => ({ kind: 'icmp', family, type })));
  }
  return [{ verdict, ports: plain }, ...groups].filter(({ ports }) => ports.length > 0);
}

/** Whether a proxy looks at the content. */
const isInspected = (rule: CiliumPortRule): boolean =>
  rule.l7 !== undefined ||
  rule.listener !== undefined ||
  rule.terminatingTLS !== undefined ||
  rule.originatingTLS !== undefined ||
  (rule.serverNames?.length ?? 0) > 0;

/** What only the proxy that is configured knows. */
function opaquePart(rule: CiliumPortRule): string | undefined {
  if (rule.listener !== undefined) return 'listener';
  if (rule.terminatingTLS !== undefined || rule.originatingTLS !== undefined) return 'TLS interception';
  return rule.l7 === 'l7' ? 'l7proto' : undefined;
}

function portsOf(rule: CiliumPortRule): PortMatch[] {
  const ports = rule.ports ?? [];
  if (ports.length === 0) return TRANSPORTS.map((protocol) => everyPort(PROTOCOL_NUMBER[protocol]));
  return ports.flatMap(portOf);
}

const everyPort = (protocol: number): PortMatch => ({ kind: 'ports', protocol, first: 0, last: 65535 });

function portOf({ port, name, endPort, protocol }: CiliumPort): PortMatch[] {
  if (name !== undefined) {
    const protocols = TRANSPORTS.filter((transport) => protocol === 'ANY' || protocol === transport);
    return protocols.length === 0 ? [] : [{ kind: 'named', name, protocols }];
  }
  const numbers =
    protocol === 'ANY' ? TRANSPORTS.map((transport) => PROTOCOL_NUMBER[transport]) : [PROTOCOL_NUMBER[protocol]];
  const whole = port === undefined || port === 0 || (protocol !== 'ANY' && !isTransport(protocol));
  if (whole) return numbers.map(everyPort);
  return numbers.map((number) => ({
    kind: 'ports',
    protocol: number,
    first: port,
    last: Math.max(port, endPort ?? 0),
  }));
}

const isTransport = (protocol: string): boolean => (TRANSPORTS as readonly string[]).includes(protocol);
