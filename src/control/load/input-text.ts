// Bytes to text: UTF-8 (with or without a byte order mark), and UTF-16 where its mark says so (PowerShell's redirection).
// In: bytes and a bound. Out: text, or the place of the first bad byte. Invariant: never replaces bad bytes silently.

/** Decoded text without its byte order mark, or what is wrong. `offset` is a UTF-16 offset into `text`, the lenient decoding. */
export type DecodedText =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly message: string; readonly line: number; readonly column: number };

/** Decodes one input. */
export function decodeText(bytes: Uint8Array): DecodedText {
  const encoding =
    bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return { ok: true, text: new TextDecoder(encoding, { fatal: true }).decode(bytes) };
  } catch {
    const lenient = new TextDecoder(encoding).decode(bytes);
    const at = Math.max(0, lenient.indexOf('\ufffd'));
    const lineStart = lenient.lastIndexOf('\n', at - 1) + 1;
    const line = lenient.slice(0, lineStart).split('\n').length;
    return { ok: false, message: `not ${encoding.toUpperCase()} text`, line, column: at - lineStart + 1 };
  }
}

/** Reads a stream to its end, or gives up past `maxBytes` (undefined). */
export async function readBounded(
  stream: AsyncIterable<Uint8Array | string>,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk;
    total += bytes.length;
    if (total > maxBytes) return undefined;
    chunks.push(bytes);
  }
  const all = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
