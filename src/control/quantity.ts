// Kubernetes quantities (`10M`, `1.5Gi`, `500e6`, `250m`) as numbers. Input: text. Output: the value, rounded up to an integer as
// Quantity.Value() does; undefined for what the API server refuses. Invariant: pure; linear in the text's length.

const FACTORS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** Reads a quantity (k8s.io/apimachinery resource.ParseQuantity). */
export function parseQuantity(text: string): number | undefined {
  if (text.length > 64) return undefined;
  const found = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:([eE][+-]?\d{1,3})|([numkMGTPE]|[KMGTPE]i))?$/.exec(text);
  if (found === null) return undefined;
  const [, sign, digits, exponent, suffix = ''] = found;
  const value = exponent === undefined ? Number(digits) * FACTORS[suffix]! : Number(digits! + exponent);
  const rounded = Math.ceil(sign === '-' ? -value : value);
  return Number.isFinite(rounded) ? rounded : undefined;
}
