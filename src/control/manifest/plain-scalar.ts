// Scalars of the fast YAML path: the core schema's types, quoted text, and which characters make a text unusual.
// In: text. Out: values, or undefined for "leave it to the full parser". Invariant: as in plain-yaml.ts, what is accepted
// here both parsers read alike.

const BACKSLASH = 0x5c;
const DOUBLE = 0x22;
const SINGLE = 0x27;

/** Characters that a plain scalar may start with here; `-` is dealt with by the caller. Index = code. */
const plainStart = new Uint8Array(128);
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+$()~^\\;=<')
  plainStart[c.charCodeAt(0)] = 1;
/** First characters after which a plain scalar of the core schema can be something else than a string. */
const typedStart = new Uint8Array(128);
for (const c of '0123456789+-.~nNtTfF') typedStart[c.charCodeAt(0)] = 1;

/** True for a character that may start a plain scalar. */
export function startsPlain(code: number): boolean {
  return code < 128 ? plainStart[code] === 1 : !isUnusual(code);
}

/** Control characters, tabs, a lone CR, a byte order mark, line separators, surrogates: not for the fast path. */
export function isUnusual(code: number): boolean {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029 || code >= 0xd800;
}

/** A plain scalar by the YAML 1.2 core schema. */
export function resolvePlain(source: string): string | number | boolean | null {
  const first = source.charCodeAt(0);
  if (first >= 128 || typedStart[first] === 0) return source;
  if (/^(?:~|[Nn]ull|NULL)$/.test(source)) return null;
  if (/^(?:[Tt]rue|TRUE)$/.test(source)) return true;
  if (/^(?:[Ff]alse|FALSE)$/.test(source)) return false;
  if (/^[-+]?[0-9]+$/.test(source)) return Number.parseInt(source, 10);
  if (/^0o[0-7]+$/.test(source)) return Number.parseInt(source.slice(2), 8);
  if (/^0x[0-9a-fA-F]+$/.test(source)) return Number.parseInt(source.slice(2), 16);
  if (/^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+)$/.test(source))
    return Number.parseFloat(source);
  if (/^[-+]?\.(?:inf|Inf|INF)$/.test(source)) return source.startsWith('-') ? -Infinity : Infinity;
  if (/^\.(?:nan|NaN|NAN)$/.test(source)) return NaN;
  return source;
}

/** Offset of the quote that closes the one at `open`, before `end`; -1 when there is none, -2 for an unusual character. */
export function closingQuote(text: string, open: number, from: number, end: number): number {
  const quote = text.charCodeAt(open);
  for (let i = from; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === quote) {
      if (quote !== SINGLE || text.charCodeAt(i + 1) !== SINGLE || i + 1 >= end) return i;
      i++;
    } else if (isUnusual(c)) return -2;
    else if (quote === DOUBLE && c === BACKSLASH) {
      if (i + 1 < end && isUnusual(text.charCodeAt(i + 1))) return -2;
      i++;
    }
  }
  return -1;
}

/** The value of a one-line quoted scalar, quotes included. */
export function decodeQuoted(source: string): string | undefined {
  if (source.charCodeAt(0) === SINGLE) return source.slice(1, -1).replaceAll("''", "'");
  if (!source.includes('\\')) return source.slice(1, -1);
  // JSON's escapes mean the same in YAML; a blank is the one other that tools write, before and after a folded line.
  const blanks = source.replace(/\\([\s\S])/g, (escape, next: string) => (next === ' ' ? ' ' : escape));
  if (/\\[^"\\/bfnrtu]/.test(blanks.replaceAll('\\\\', ''))) return undefined;
  try {
    const value: unknown = JSON.parse(blanks);
    return typeof value === 'string' && !/[\ud800-\udfff]/.test(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
