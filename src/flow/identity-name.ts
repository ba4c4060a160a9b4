// Names of security identities as Hubble prints them. Input: a number. Output: `(world)` or `(ID:n)`.
const RESERVED: readonly string[] = [
  'unknown',
  'host',
  'world',
  'unmanaged',
  'health',
  'init',
  'remote-node',
  'kube-apiserver',
  'ingress',
  'world-ipv4',
  'world-ipv6',
];

/** Name of a reserved identity (pkg/identity/numericidentity.go); undefined for any other. */
export const reservedIdentityName = (identity: number): string | undefined => RESERVED[identity];

/** `(world)`, `(ID:12345)`; an identity that nobody looked up is `(unknown)`. */
export const identityText = (identity: number | undefined): string =>
  `(${RESERVED[identity ?? 0] ?? `ID:${identity}`})`;
