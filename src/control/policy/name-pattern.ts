// Patterns over DNS names: `toFQDNs` and `rules.dns` matchPattern (Cilium's pkg/fqdn/matchpattern) and `serverNames`.
// In: a pattern, a name in lower case without the final dot. Out: whether it matches. Invariant: linear in pattern times name;
// no regular expression is built from the user's text.

/** A pattern, taken apart once. */
export interface NamePattern {
  /** As written. */
  readonly text: string;
  readonly matches: (name: string) => boolean;
}

const isNameCharacter = (code: number): boolean =>
  (code >= 97 && code <= 122) || (code >= 48 && code <= 57) || code === 45 || code === 95;

/** Every character of a label, at least `least` of them. */
const isLabel = (text: string, least: number): boolean => {
  if (text.length < least) return false;
  for (let i = 0; i < text.length; i++) if (!isNameCharacter(text.charCodeAt(i))) return false;
  return true;
};

/**
 * `*` alone is any name; a leading `**.` one or more labels; any other `*` any characters of one label, none included.
 */
export function namePattern(written: string): NamePattern {
  const lower = written.toLowerCase();
  const text = lower.length > 1 && lower.endsWith('.') ? lower.slice(0, -1) : lower;
  if (text === '*') return { text: written, matches: (name) => name.split('.').every((label) => isLabel(label, 0)) };
  const deep = text.startsWith('**.');
  const labels = (deep ? text.slice(3) : text).split('.').map((label) => label.split(/\*+/));
  return {
    text: written,
    matches: (name) => {
      const own = name.split('.');
      const extra = own.length - labels.length;
      if (deep ? extra < 1 : extra !== 0) return false;
      for (let i = 0; i < extra; i++) if (!isLabel(own[i]!, 1)) return false;
      return labels.every((parts, i) => labelMatches(parts, own[extra + i]!));
    },
  };
}

/** Literal parts in order with anything between them. */
function labelMatches(parts: readonly string[], label: string): boolean {
  const [head = ''] = parts;
  if (parts.length === 1) return label === head;
  const tail = parts[parts.length - 1]!;
  if (!isLabel(label, head.length + tail.length) || !label.startsWith(head) || !label.endsWith(tail)) return false;
  let at = head.length;
  const end = label.length - tail.length;
  for (const part of parts.slice(1, -1)) {
    const found = label.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
