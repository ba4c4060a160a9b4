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
