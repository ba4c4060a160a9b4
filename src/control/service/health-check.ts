// What a node answers load balancers that ask whether it has local backends (health check node port). Input: a Service, its
// backends. Output: the answer of the HTTP server on that port. Invariant: 200 exactly while a local backend can serve.
import { BACKEND_STATE } from '../../schema/index.ts';

/** A port that load balancers probe. */
export interface HealthCheck {
  /** TCP port on every address of the node. */
  readonly port: number;
  readonly namespace: string;
  readonly name: string;
  /** Active backends of the Service on this node, each address once. */
  readonly localEndpoints: number;
}

/** An HTTP answer. */
export interface HealthAnswer {
  readonly status: 200 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The answer to any request, as kube-proxy and Cilium give it. */
export function healthAnswer({ namespace, name, localEndpoints }: HealthCheck): HealthAnswer {
  return {
    status: localEndpoints > 0 ? 200 : 503,
    headers: {
      'Content-Type': 'application/json',
      'X-Content-Type-Options': 'nosniff',
      'X-Load-Balancing-Endpoint-Weight': String(localEndpoints),
    },
    body: JSON.stringify({ service: { namespace, name }, localEndpoints }),
  };
}

/** Addresses with an active backend on a node, or on none that is named. */
export const localAddresses = (
  backends: readonly {
    readonly address: { readonly text: string };
    readonly state: number;
    readonly nodeName: string | undefined;
  }[],
  node: string,
): number =>
  new Set(
    backends.flatMap(({ address, state, nodeName }) =>
      state === BACKEND_STATE.ACTIVE && (nodeName === undefined || nodeName === node) ? [address.text] : [],
    ),
  ).size;
