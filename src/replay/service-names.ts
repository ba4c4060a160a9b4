// Which Service listens at an address and port, as the manifests say. Input: ClusterState. Output: names by frontend.
import type { ClusterState } from '../control/index.ts';

/** A Service's name. */
export interface ServiceName {
  readonly namespace: string;
  readonly name: string;
}

const PROTOCOL: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

/** Names by address text, port and IP protocol number. */
export class ServiceNames {
  private readonly names = new Map<string, ServiceName>();

  constructor(state: ClusterState | undefined) {
    const nodeAddresses = (state?.nodes ?? []).flatMap((node) => node.addresses.map(({ address }) => address.text));
    for (const service of state?.services ?? []) {
      const own = [
        ...service.clusterIPs.map((ip) => ip.text),
        ...service.externalIPs.map((ip) => ip.text),
        ...service.loadBalancerIngress.flatMap(({ ip }) => (ip === undefined ? [] : [ip.text])),
      ];
      const name = { namespace: service.namespace, name: service.name };
      for (const { protocol, port, nodePort } of service.ports) {
        for (const ip of own) this.add(ip, port, protocol, name);
        if (nodePort !== undefined) for (const ip of nodeAddresses) this.add(ip, nodePort, protocol, name);
      }
    }
  }

  /** The Service of a frontend, if one is known. */
  find(ip: string, port: number, protocol: number): ServiceName | undefined {
    return this.names.get(`${ip} ${port} ${protocol}`);
  }

  private add(ip: string, port: number, protocol: string, name: ServiceName): void {
    const key = `${ip} ${port} ${PROTOCOL[protocol] ?? 0}`;
    if (!this.names.has(key)) this.names.set(key, name);
  }
}
