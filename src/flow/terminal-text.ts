// Text from captures and manifests made harmless for a terminal. Input: any string. Output: the same, without a control
// character, an escape sequence or a character that reorders text. Invariant: ordinary text is returned as it is.

// C0, DEL, C1, line and paragraph separators, bidirectional controls and zero-width joiners' marks.

const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;
const UNSAFE_ALL = new RegExp(UNSAFE.source, 'g');

/** For lines of text: ESC becomes `^[` and CR `\r` (as hubble prints them), other controls `^X` or `\u{…}`. */
export function safeText(text: string): string {
  return UNSAFE.test(text) ? text.replace(UNSAFE_ALL, shown) : text;
}

function shown(character: string): string {
  const code = character.charCodeAt(0);
  if (code === 13) return '\\r';
  if (code === 10) return '\\n';
  if (code === 9) return '\\t';
  if (code < 32) return `^${String.fromCharCode(code + 64)}`;
  if (code === 127) return '^?';
  return `\\u{${code.toString(16)}}`;
}

/**
 * One line of JSON: JSON.stringify escapes what is below U+0020 only, so the rest of the unsafe characters is escaped
 * here. The value read back is the same.
 */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value);
  return UNSAFE.test(text) ? text.replace(UNSAFE_ALL, escaped) : text;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
