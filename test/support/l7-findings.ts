// Drives a layer-7 reader in tests. In: a reader's constructor, bytes, where to cut them. Out: its findings as short texts.
import type { L7Finding, RequestReader, TakeFinding } from '../../src/l7/index.ts';

/** `GET a.example/x`, `dns A name`, `kafka 3 v1 [t]`, `sni name`, `!refused`, `?missing`. */
export function findingText(finding: L7Finding): string {
  if ('malformed' in finding) return `!${finding.malformed}`;
  if ('missing' in finding) return `?${finding.missing}`;
  const { request } = finding;
  switch (request.protocol) {
    case 'http':
      return `${request.version} ${request.method} ${request.host}${request.path}`;
    case 'dns':
      return `dns ${request.type} ${request.name}`;
    case 'kafka':
      return `kafka ${request.apiKey} v${request.apiVersion} ${request.clientId} ${request.topics === undefined ? '?' : `[${request.topics.join(' ')}]`}`;
    case 'tls':
      return `sni ${request.serverName ?? '-'}`;
  }
}

/** Feeds pieces; what the reader found, in order. */
export function findings(
  make: (take: TakeFinding) => RequestReader,
  pieces: readonly (Uint8Array | { readonly gap: number })[],
): string[] {
  const found: string[] = [];
  const reader = make((finding) => found.push(findingText(finding)));
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) reader.data(piece);
    else reader.gap(piece.gap);
  }
  return found;
}

/** Bytes cut at these places. */
export function cut(bytes: Uint8Array, ...places: readonly number[]): Uint8Array[] {
  const sorted = [...new Set([0, ...places.filter((p) => p >= 0 && p <= bytes.length), bytes.length])].sort(
    (a, b) => a - b,
  );
  return sorted.slice(1).map((end, i) => bytes.slice(sorted[i], end));
}

export const ascii = (text: string): Uint8Array => Uint8Array.from(text, (c) => c.charCodeAt(0));
