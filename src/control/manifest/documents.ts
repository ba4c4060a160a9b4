// Text of a file to the trees of its documents: tells JSON from YAML, splits YAML at `---`, and sends each document down
// the fast path or to the full parser. In: text (no byte order mark). Out: ParsedText with offsets into that text.
// Invariant: the same trees whichever path is taken; never throws.
import { parseJson } from './json-tree.ts';
import { parsePlainYaml } from './plain-yaml.ts';
import { defaultLimits, type InputLimits, type ParsedText, type SyntaxIssue, type TreeNode } from './tree.ts';
import { parseYaml } from './yaml-tree.ts';

/** Characters of text that starts like JSON and is still tried as flow style YAML; nobody writes more of it by hand. */
const FLOW_STYLE_MAX = 4 * 1024 * 1024;

/** Parses manifests: YAML documents, JSON, JSON lines. Empty and comment-only documents give no root. */
export function parseDocuments(text: string, limits: InputLimits = defaultLimits): ParsedText {
  const first = /\S/.exec(text)?.[0];
  if (first === undefined) return { roots: [], issues: [] };
  if (first !== '{' && first !== '[') return parseYamlText(text, limits);
  const json = parseJson(text, limits);
  if (json.issues.length === 0 || text.length > FLOW_STYLE_MAX) return json;
  // Flow style YAML looks like JSON at first. If it is no YAML either, JSON's message is the better one.
  const yaml = parseYamlText(text, limits);
  return yaml.issues.some((issue) => issue.severity === 'error') ? json : yaml;
}

/** Parses a text that is known to be YAML (a values file, say). */
export function parseYamlText(text: string, limits: InputLimits = defaultLimits): ParsedText {
  // Directives and explicit document ends tie documents together, and a lone CR is no line end to everybody:
  // the full parser gets the whole text.
  if (/^(?:%|\.\.\.(?:\s|$))|\r(?!\n)/m.test(text)) return parseYaml(text, 0, limits);
  const roots: TreeNode[] = [];
  const issues: SyntaxIssue[] = [];
  let documents = 0;
  let start = 0;
  for (;;) {
    const marker = nextMarker(text, start);
    const end = marker < 0 ? text.length : marker;
    const before = roots.length;
    parseOne(text, start, end, limits, roots, issues);
    if (roots.length > before && ++documents > limits.documents) {
      issues.push({ severity: 'error', offset: start, message: `more than ${limits.documents} documents in one file` });
      break;
    }
    if (marker < 0) break;
    start = marker;
  }
  return { roots, issues };
}

/** Offset of the next line that starts with `---` as a marker, after the one that `from` may stand on; -1 for none. */
function nextMarker(text: string, from: number): number {
  for (let at = text.indexOf('\n---', from); at >= 0; at = text.indexOf('\n---', at + 4)) {
    const after = text.charAt(at + 4);
    if (after === '' || after === ' ' || after === '\n' || after === '\r' || after === '\t') return at + 1;
  }
  return -1;
}

function parseOne(
  text: string,
  start: number,
  end: number,
  limits: InputLimits,
  roots: TreeNode[],
  issues: SyntaxIssue[],
): void {
  // A marker followed by nothing or a comment: the content starts on the next line.
  let content: number | undefined = start;
  if (text.startsWith('---', start)) {
    const lineEnd = text.indexOf('\n', start);
    const line = text.slice(start + 3, lineEnd < 0 || lineEnd > end ? end : lineEnd);
    if (/^[ \t]*(?:[ \t]#.*)?\r?$/.test(line)) content = lineEnd < 0 || lineEnd > end ? end : lineEnd + 1;
    else if (/^\s/.test(line)) content = undefined;
  }
  if (content !== undefined) {
    const root = parsePlainYaml(text, content, end, limits);
    if (root === 'empty') return;
    if (root !== undefined) {
      roots.push(root);
      return;
    }
  }
  const parsed = parseYaml(text.slice(start, end), start, limits);
  for (const root of parsed.roots) roots.push(root);
  for (const issue of parsed.issues) issues.push(issue);
}
