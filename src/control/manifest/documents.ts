// Text of a file to the trees of its documents: tells JSON from YAML. In: text (no byte order mark).
// Out: ParsedText with offsets into that text. Invariant: never throws.
import { parseJson } from './json-tree.ts';
import { defaultLimits, type InputLimits, type ParsedText } from './tree.ts';
import { parseYaml } from './yaml-documents.ts';

/** Characters of text that starts like JSON and is still tried as flow style YAML; nobody writes more of it by hand. */
const FLOW_STYLE_MAX = 4 * 1024 * 1024;

/** Parses manifests: YAML documents, JSON, JSON lines. Empty and comment-only documents give no root. */
export function parseDocuments(text: string, limits: InputLimits = defaultLimits): ParsedText {
  const first = /\S/.exec(text)?.[0];
  if (first === undefined) return { roots: [], issues: [] };
  if (first !== '{' && first !== '[') return parseYaml(text, limits);
  const json = parseJson(text, limits);
  if (json.issues.length === 0 || text.length > FLOW_STYLE_MAX) return json;
  // Flow style YAML looks like JSON at first. If it is no YAML either, JSON's message is the better one.
  const yaml = parseYaml(text, limits);
  return yaml.issues.some((issue) => issue.severity === 'error') ? json : yaml;
}

/** Parses a text that is known to be YAML (a values file, say). */
export function parseYamlText(text: string, limits: InputLimits = defaultLimits): ParsedText {
  return parseYaml(text, limits);
}
