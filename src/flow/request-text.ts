// A layer-7 request in words, as Hubble's lines have them. In: FlowRequest. Out: type and summary, not yet safe for a terminal.
import type { FlowRequest } from './record.ts';

/** `http-request`, `dns-request proxy`, …: the type column. */
export function requestType(request: FlowRequest): string {
  if (request.http !== undefined) return 'http-request';
  if (request.dns !== undefined) return 'dns-request proxy';
  if (request.kafka !== undefined) return 'kafka-request';
  return request.tls === undefined ? 'l7-request' : 'tls-request';
}

/** `HTTP/1.1 GET http://host/path`, `DNS Query name. A`, …: the summary in parentheses. */
export function requestSummary(request: FlowRequest): string {
  const { http, dns, kafka, tls, reason } = request;
  const because = reason === undefined ? '' : `: ${reason}`;
  if (http !== undefined) return `${http.version} ${http.method} ${requestUrl(http)}${because}`;
  if (dns !== undefined) return `DNS Query ${dns.name}. ${dns.type}${because}`;
  if (kafka !== undefined) {
    const topics = kafka.topics === undefined ? '' : ` topics ${kafka.topics.join(',')}`;
    return `Kafka ${kafka.api} v${kafka.apiVersion} client ${kafka.clientId}${topics}${because}`;
  }
  if (tls !== undefined) return `TLS ClientHello ${tls.serverName ?? 'without a server name'}${because}`;
  return reason ?? 'a request';
}

/** As Hubble writes it: the scheme is http, since what was captured in plain text is. */
export const requestUrl = ({ host, path }: NonNullable<FlowRequest['http']>): string => `http://${host}${path}`;
