// The door of analysis: questions over compiled policy.
export { addressWords, type PolicyInput, PolicyWorld } from './policy-world.ts';
export { type Answer, Judge, type PointAnswer, type Question, type SideAnswer, type Verdict } from './verdict.ts';
export { type End, Ends, type Point } from './ends.ts';
export { flowRule } from './rule-text.ts';
export {
  type AskedAnswer,
  answerPrinter,
  ANSWER_FORMATS,
  type AnswerFormat,
  type AnswerPrinter,
} from './print-verdict.ts';
export { reach, type Reach, type ReachRow, type ReachScope } from './reach.ts';
export { diffWorlds, MIRROR, type Change, type ChangeRow, type Example, type PolicyDiff } from './diff.ts';
export { EndNames, type EndSet } from './end-names.ts';
export { namedRows, REACH_FORMATS, reachCsv, reachDot, type ReachFormat, reachJson, reachText } from './print-reach.ts';
export { reachSvg } from './reach-svg.ts';
export { DIFF_FORMATS, type DiffFormat, diffLines, diffSummary } from './print-diff.ts';
export { Explainer } from './explain.ts';
export { type Gate, NearestRules, type NearMiss } from './nearest.ts';
export { Findings, LINT_RULES, type LintFinding, type LintRule } from './lint/finding.ts';
export { lint, type LintLimits, problemFindings } from './lint/lint.ts';
export { LINT_FORMATS, type LintFormat, lintText } from './print-lint.ts';
