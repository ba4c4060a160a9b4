// Which labels are part of identities: Cilium's own list and the agent's `labels` option. Input: the option's text. Output: a
// filter over labels. Invariant: expressions run in time linear in the key, as Go's do: plain ones are compared character by
// character, all others go to RE2, which is loaded only where somebody needs it.
import type { RE2JS } from 're2js';

/** One pattern: `[source:][!]expression`. */
interface LabelPattern {
  /** `` and `any`: every source. */
  readonly source: string;
  readonly ignore: boolean;
  /** Length of the match at the key's start; negative: none. */
  readonly match: (key: string) => number;
}

/** Whether a label is part of identities. */
export type LabelFilter = (source: string, key: string) => boolean;

/** Longest text of the option, and of one expression. */
const MOST_TEXT = 65536;
const MOST_EXPRESSION = 4096;
/** Answers that a filter remembers: keys repeat from pod to pod. */
const MOST_ANSWERS = 4096;

/**
 * Cilium's own patterns (pkg/labelsfilter, and its page about identity-relevant labels): what stays in any case, and keys that
 * vary with each pod, so that the replicas of a workload share one identity.
 */
const INCLUDED = [
  'io.kubernetes.pod.namespace',
  'io.cilium.k8s.namespace.labels',
  'io.cilium.k8s.policy.cluster',
  'io.cilium.k8s.policy.serviceaccount',
  'app.kubernetes.io',
];
const IGNORED = [
  'io.kubernetes',
  'kubernetes.io',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
  'batch.kubernetes.io/job-completion-index',
  'batch.kubernetes.io/controller-uid',
  'k8s.io',
  'pod-template-generation',
  'pod-template-hash',
  'controller-revision-hash',
  'controller-uid',
  'etcd_node',
];
const startsWith =
  (text: string): LabelPattern['match'] =>
  (key) =>
    key.startsWith(text) ? text.length : -1;
const pattern = (ignore: boolean, match: LabelPattern['match'], source = ''): LabelPattern => ({
  source,
  ignore,
  match,
});
const BETA = 'beta.kubernetes.io';
const DEFAULTS: readonly LabelPattern[] = [
  pattern(false, (key) => key.length, 'reserved'),
  ...INCLUDED.map((text) => pattern(false, startsWith(text))),
  ...IGNORED.map((text) => pattern(true, startsWith(text))),
  // `annotation.*` and `.*beta\.kubernetes\.io`: greedy, so up to the end and to the last occurrence.
  pattern(true, (key) => (key.startsWith('annotation') ? key.length : -1)),
  pattern(true, (key) => {
    const at = key.lastIndexOf(BETA);
    return at < 0 ? -1 : at + BETA.length;
  }),
];

let engine: typeof RE2JS | undefined;

/**
 * Whether an expression is found anywhere in a text, as Go's regexp.MatchString says; else what is wrong with it. Plain words need
 * no RE2.
 */
export function matchesExpression(expression: string, text: string): boolean | string {
  if (/^[\w/-]*$/.test(expression)) return text.includes(expression);
  if (/^\^[\w/-]*\$$/.test(expression)) return text === expression.slice(1, -1);
  if (expression.length > MOST_EXPRESSION) return `longer than ${MOST_EXPRESSION} characters`;
  if (engine === undefined) return 'an expression, and loadLabelExpressions() was not called';
  try {
    return engine.compile(expression).matcher(text).find();
  } catch (cause) {
    return cause instanceof Error ? cause.message : 'no expression';
  }
}

/** Loads RE2 for label filters that are more than plain text; without it they are refused. */
export async function loadLabelExpressions(): Promise<void> {
  engine ??= (await import('re2js')).RE2JS;
  last = undefined;
}

/** The match of an expression that is plain: characters without a meaning, escaped ones, and points for any. */
function plainMatch(expression: string): LabelPattern['match'] | undefined {
  if (!/^(?:[\w/.,-]|\\[^\w\s])*$/.test(expression)) return undefined;
  const parts = [...expression.matchAll(/\\(.)|./g)].map(([whole, escaped]) => escaped ?? (whole === '.' ? '' : whole));
  return (key) => {
    if (key.length < parts.length) return -1;
    for (let i = 0; i < parts.length; i++) if (parts[i] !== '' && parts[i] !== key[i]) return -1;
    return parts.length;
  };
}

function matcher(expression: string): { readonly match: LabelPattern['match'] } | { readonly wrong: string } {
  const plain = plainMatch(expression);
  if (plain !== undefined) return { match: plain };
  if (expression.length > MOST_EXPRESSION) return { wrong: `longer than ${MOST_EXPRESSION} characters` };
  if (engine === undefined) return { wrong: 'an expression, and loadLabelExpressions() was not called' };
  try {
    const compiled = engine.compile(expression);
    return {
      match: (key) => {
        const found = compiled.matcher(key);
        return found.lookingAt() ? found.end() : -1;
      },
    };
  } catch (cause) {
    return { wrong: cause instanceof Error ? cause.message : 'no expression' };
  }
}

/** Reads the option: patterns with blanks between them, as the agent reads its ConfigMap. */
function readPatterns(text: string): readonly LabelPattern[] | { readonly wrong: string } {
  if (text.length > MOST_TEXT) return { wrong: `at most ${MOST_TEXT} characters` };
  const patterns: LabelPattern[] = [];
  for (const item of text.split(/\s+/)) {
    if (item === '') continue;
    const colon = item.indexOf(':');
    const source = item.slice(0, Math.max(0, colon));
    const rest = item.slice(colon + 1);
    if (rest === '') return { wrong: `${JSON.stringify(item)} names no label` };
    const ignore = rest.startsWith('!');
    const made = matcher(ignore ? rest.slice(1) : rest);
    if ('wrong' in made) return { wrong: `${JSON.stringify(item)}: ${made.wrong}` };
    patterns.push(pattern(ignore, made.match, source === 'any' ? '' : source));
  }
  return patterns;
}

/** What is wrong with the option's text; undefined: nothing. */
export function labelFilterProblem(text: string): string | undefined {
  const read = readPatterns(text);
  return 'wrong' in read ? read.wrong : undefined;
}

/**
 * The filter of an option's text; a text with a problem (see {@link labelFilterProblem}) is taken as empty. One pattern that
 * includes turns the list round: then only what a pattern includes is part of identities. Of patterns that include and patterns
 * that ignore one label, the longest match of the first kind has to be longer than the shortest of the second.
 */
export function labelFilter(text: string): LabelFilter {
  if (text === '') return identityLabel;
  if (last?.text !== text) {
    const read = readPatterns(text);
    last = { text, filter: 'wrong' in read ? identityLabel : remembering(read) };
  }
  return last.filter;
}

/** Every compile asks for the filter of its configuration. */
let last: { readonly text: string; readonly filter: LabelFilter } | undefined;

function remembering(more: readonly LabelPattern[]): LabelFilter {
  const patterns = [...DEFAULTS, ...more];
  const listed = more.some(({ ignore }) => !ignore);
  const answers = new Map<string, boolean>();
  return (source, key) => {
    const name = `${source}:${key}`;
    let answer = answers.get(name);
    if (answer === undefined) {
      answer = decide(patterns, listed, source, key);
      if (answers.size >= MOST_ANSWERS) answers.clear();
      answers.set(name, answer);
    }
    return answer;
  };
}

function decide(patterns: readonly LabelPattern[], listed: boolean, source: string, key: string): boolean {
  let included = 0;
  let ignored = 0;
  for (const { source: wanted, ignore, match } of patterns) {
    if (wanted !== '' && wanted !== source) continue;
    const length = match(key);
    if (length < 0) continue;
    if (!ignore) included = Math.max(included, length);
    else if (ignored === 0 || length < ignored) ignored = length;
  }
  return (!listed && ignored === 0) || included > ignored;
}

/** Cilium's filter where the option is not set. */
export const identityLabel: LabelFilter = remembering([]);
