// `toPorts` and `icmps` of a Cilium rule item → port matches, grouped by verdict. Input: the item. Output: PortGroup[].
// Invariant: without both fields an item is about every protocol; with either, nothing else is allowed by it.
import type { CiliumPort, CiliumPortRule, CiliumRuleItem } from '../state.ts';
import { type NamedProtocol, type PortMatch, PROTOCOL_NUMBER, type RuleVerdict } from './rule.ts';

/** Ports with one verdict. */
export interface PortGroup {
  readonly verdict: RuleVerdict;
  /** Never empty. */
  readonly ports: readonly PortMatch[];
}

const TRANSPORTS: readonly NamedProtocol[] = ['TCP', 'UDP', 'SCTP'];

/** The ports of an item. `complain` is told what is not enforced. */
export function portGroups(item: CiliumRuleItem, complain: (message: string) => void): PortGroup[] {
  const rules = item.toPorts ?? [];
  const icmps = item.icmps ?? [];
  const plain: RuleVerdict = item.deny ? 'deny' : 'allow';
  if (rules.length === 0 && icmps.length === 0) return [{ verdict: plain, ports: [{ kind: 'all' }] }];
  const byVerdict = new Map<RuleVerdict, PortMatch[]>();
  const add = (verdict: RuleVerdict, ports: readonly PortMatch[]): void => {
    byVerdict.set(verdict, [...(byVerdict.get(verdict) ?? []), ...ports]);
  };
  for (const rule of rules) {
    const inspected = inspection(rule);
    if (inspected !== undefined) complain(`${inspected}: the connection is redirected, its content is not judged`);
    add(inspected !== undefined && !item.deny ? 'redirect' : plain, portsOf(rule));
  }
  for (const { fields } of icmps) {
    add(
      plain,
      fields.map(({ family, type }) => ({ kind: 'icmp', family, type })),
    );
  }
  return [...byVerdict].filter(([, ports]) => ports.length > 0).map(([verdict, ports]) => ({ verdict, ports }));
}

/** What a proxy would look at. */
function inspection(rule: CiliumPortRule): string | undefined {
  if (rule.l7 !== undefined) return `${rule.l7} rules`;
  if (rule.listener !== undefined) return 'listener';
  if (rule.terminatingTLS !== undefined || rule.originatingTLS !== undefined) return 'TLS interception';
  return (rule.serverNames?.length ?? 0) > 0 ? 'serverNames' : undefined;
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
