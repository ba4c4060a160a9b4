// Joins the inspector with a cluster's policies and with flow records. In: connections by their ends, payloads. Out: requests as records
// tell them. Invariant: the rules of a connection are those in force when it was first redirected.
import type { InspectedRules, InspectedRuleTable, RuleRef } from '../control/index.ts';
import type { FlowRequest, FlowRule } from '../flow/index.ts';
import type { DnsAnswer } from './dns.ts';
import { type InspectedPacket, Inspector, type L7Judgement, type ReadyRules } from './inspector.ts';
import { KAFKA_API } from './kafka.ts';
import type { L7Request } from './request.ts';

/** The ends of a connection, behind translation. */
export interface ConnectionEnds {
  readonly source: string;
  readonly destination: string;
  readonly sourceIdentity: number;
  readonly destinationIdentity: number;
  readonly protocol: number;
  readonly port: number;
  readonly egress: boolean;
  readonly ingress: boolean;
}

/** See the head of this file. */
export class ConnectionInspection {
  private readonly inspector: Inspector;
  private table: InspectedRuleTable;

  constructor(table: InspectedRuleTable, ready: ReadyRules) {
    this.table = table;
    this.inspector = new Inspector(ready);
  }

  /** Connections given up for want of room. */
  get forgotten(): number {
    return this.inspector.forgotten;
  }

  /** From now on these rules. */
  use(table: InspectedRuleTable): void {
    this.table = table;
  }

  knows(connection: number, generation: number): boolean {
    return this.inspector.knows(connection, generation);
  }

  begin(connection: number, generation: number, ends: ConnectionEnds): void {
    const { protocol, port, source, destination, sourceIdentity, destinationIdentity } = ends;
    const gates: InspectedRules[] = [];
    if (ends.egress) {
      const peer = { peer: destinationIdentity, peerAddress: destination };
      gates.push(this.table.find({ subject: source, direction: 'egress', protocol, port, ...peer }));
    }
    if (ends.ingress) {
      const peer = { peer: sourceIdentity, peerAddress: source };
      gates.push(this.table.find({ subject: destination, direction: 'ingress', protocol, port, ...peer }));
    }
    this.inspector.begin(connection, generation, protocol, gates);
  }

  packet(
    connection: number,
    packet: InspectedPacket,
  ): { readonly requests: readonly FlowRequest[]; readonly answers: readonly DnsAnswer[] } {
    const { found, learnt } = this.inspector.packet(connection, packet);
    return { requests: found.length === 0 ? NONE : found.map(requestOf), answers: learnt };
  }

  forget(connection: number): void {
    this.inspector.forget(connection);
  }
}

const NONE: readonly FlowRequest[] = [];

function requestOf({ verdict, request, reason, by }: L7Judgement): FlowRequest {
  return {
    verdict,
    ...(reason === undefined ? {} : { reason }),
    ...(request === undefined ? {} : contentOf(request)),
    by: by.map(ruleOf),
  };
}

const ruleOf = ({ kind, namespace, name, rule, file, line }: RuleRef): FlowRule => ({
  kind,
  ...(namespace === undefined ? {} : { namespace }),
  name,
  ...(rule === '' ? {} : { rule }),
  ...(file === '' ? {} : { file }),
  ...(line === 0 ? {} : { line }),
});

function contentOf(request: L7Request): Omit<FlowRequest, 'verdict' | 'by'> {
  switch (request.protocol) {
    case 'http': {
      const { method, path, host, version, headers } = request;
      return { http: { method, path, host, version, headers } };
    }
    case 'dns':
      return { dns: { name: request.name, type: request.type } };
    case 'kafka': {
      const { apiKey, apiVersion, clientId, topics } = request;
      const api = KAFKA_API[apiKey] ?? String(apiKey);
      return { kafka: { api, apiVersion, clientId, ...(topics === undefined ? {} : { topics }) } };
    }
    case 'tls':
      return { tls: request.serverName === undefined ? {} : { serverName: request.serverName } };
  }
}
