// Layer-7 rules of a toPorts item, ready to be asked. In: `rules` and `serverNames` as the manifest has them. Out: L7Rules, or problems
// with their place. Invariant: expressions are RE2's (as Envoy's) and match the whole text in linear time; an empty list of rules
// lets every request of its kind pass; nothing throws.
import { RE2JS } from 're2js';
import { type CiliumPortRule, namePattern, type Origin, type PlainData, type Problem } from '../control/index.ts';
import { KAFKA_API, namesTopics } from './kafka.ts';
import { dnsName } from './dns.ts';
import type { HttpRequest, KafkaRequest, L7Request } from './request.ts';

/** What a request meets: passes, does not, or cannot be told, with the fact that is missing. */
export type L7Answer = 'pass' | 'fail' | { readonly missing: string };

/** One rule: which requests it lets pass. */
export interface L7Rule {
  /** `method=GET path=/v1/.*`: for people. */
  readonly text: string;
  readonly matches: (request: L7Request) => L7Answer;
}

/** The rules of one toPorts item. */
export interface L7Rules {
  readonly kind: 'http' | 'dns' | 'kafka' | 'l7';
  /** Empty: every request passes. */
  readonly rules: readonly L7Rule[];
  /** The custom parser that `l7proto` names; nobody here knows it. */
  readonly parser?: string;
}

/** Server names that a handshake may ask for. */
export interface ServerNameRules {
  readonly names: readonly { readonly text: string; readonly matches: (name: string) => boolean }[];
}

type Fields = { readonly [key: string]: PlainData };

/** Longest expression that is taken, characters. */
const MOST_EXPRESSION = 4096;

/** Collects problems at a place. */
export class RuleProblems {
  readonly list: Problem[] = [];

  add(origin: Origin, message: string): void {
    const { file, line, column } = origin;
    this.list.push({ severity: 'error', file, line, column, message });
  }
}

const isFields = (value: PlainData | undefined): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const textOf = (value: PlainData | undefined): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : '';
const listOf = (value: PlainData | undefined): readonly PlainData[] => (Array.isArray(value) ? value : []);

/** Rules of an item; undefined where it has none. */
export function l7Rules(item: CiliumPortRule, path: string, problems: RuleProblems): L7Rules | undefined {
  const { l7: kind, rules } = item;
  if (kind === undefined || rules === undefined || !isFields(rules.value)) return undefined;
  const { value, origin } = rules;
  const written = listOf(value[kind]);
  const complain =
    (index: number) =>
    (message: string): void =>
      problems.add(origin, `${path}.rules.${kind}[${index}]: ${message}`);
  if (kind === 'l7') return { kind, rules: [], parser: textOf(value['l7proto']) };
  const read = { http: httpRule, dns: dnsRule, kafka: kafkaRule }[kind];
  return {
    kind,
    rules: written.flatMap((one, index) => {
      const rule = read(isFields(one) ? one : {}, complain(index));
      return rule === undefined ? [] : [rule];
    }),
  };
}

/** Server names of an item; undefined where it has none. */
export function serverNameRules(item: CiliumPortRule): ServerNameRules | undefined {
  const names = item.serverNames ?? [];
  return names.length === 0 ? undefined : { names: names.map(namePattern) };
}

/** Whether a request passes the rules: one rule that lets it pass suffices. */
export function askRules({ kind, rules, parser }: L7Rules, request: L7Request): L7Answer {
  if (kind === 'l7') return { missing: `a parser for ${parser ?? 'this protocol'}` };
  if (kind !== request.protocol) return 'fail';
  if (rules.length === 0) return 'pass';
  if (request.protocol === 'kafka') return askKafka(rules as readonly KafkaRule[], request);
  let unknown: L7Answer | undefined;
  for (const rule of rules) {
    const answer = rule.matches(request);
    if (answer === 'pass') return 'pass';
    if (answer !== 'fail') unknown = answer;
  }
  return unknown ?? 'fail';
}

// ---- HTTP ----

type Complain = (message: string) => void;

/** An expression that has to match the whole text; undefined where it is none. */
function expression(text: string, field: string, complain: Complain): ((value: string) => boolean) | undefined {
  if (text.length > MOST_EXPRESSION) {
    complain(`${field}: an expression of ${text.length} characters, the most is ${MOST_EXPRESSION}`);
    return undefined;
  }
  try {
    const compiled = RE2JS.compile(text);
    return (value) => compiled.matches(value);
  } catch (cause) {
    complain(`${field}: ${JSON.stringify(text)} is not an expression: ${cause instanceof Error ? cause.message : ''}`);
    return undefined;
  }
}

type HttpCheck = (request: HttpRequest) => L7Answer;

function httpRule(fields: Fields, complain: Complain): L7Rule | undefined {
  const checks: HttpCheck[] = [];
  const texts: string[] = [];
  for (const field of ['method', 'path', 'host'] as const) {
    const text = textOf(fields[field]);
    if (text === '') continue;
    const matches = expression(text, field, complain);
    if (matches === undefined) return undefined;
    texts.push(`${field}=${text}`);
    checks.push((request) => (matches(request[field]) ? 'pass' : 'fail'));
  }
  for (const header of listOf(fields['headers'])) {
    const text = textOf(header);
    texts.push(`header ${text}`);
    checks.push(headerCheck(text));
  }
  for (const match of listOf(fields['headerMatches'])) {
    if (!isFields(match)) continue;
    texts.push(`header ${textOf(match['name'])}`);
    checks.push(headerMatch(match));
  }
  return {
    text: texts.join(' '),
    matches: (request) => (request.protocol === 'http' ? all(checks, request) : 'fail'),
  };
}

/** Every check has to pass; a missing fact counts only where nothing failed. */
function all(checks: readonly HttpCheck[], request: HttpRequest): L7Answer {
  let answer: L7Answer = 'pass';
  for (const check of checks) {
    const own = check(request);
    if (own === 'fail') return 'fail';
    if (own !== 'pass') answer = own;
  }
  return answer;
}

/** Values of a header, joined as a proxy does (RFC 9110 §5.3); undefined where it is absent. */
function headerValue({ headers }: HttpRequest, name: string): string | undefined {
  const values = headers.filter(([own]) => own === name).map(([, value]) => value);
  return values.length === 0 ? undefined : values.join(',');
}

/** `Name` asks that the header is there, `Name: value` for that value. */
function headerCheck(text: string): HttpCheck {
  const blank = text.indexOf(' ');
  const name = (blank < 0 ? text : text.slice(0, blank)).replace(/:$/, '').toLowerCase();
  if (blank < 0) return (request) => (headerValue(request, name) === undefined ? 'fail' : 'pass');
  const wanted = text.slice(blank + 1).trim();
  return (request) => (headerValue(request, name) === wanted ? 'pass' : 'fail');
}

/** `headerMatches`: with a `mismatch` action the header is mended, logged or dropped, and the request passes. */
function headerMatch(fields: Fields): HttpCheck {
  const name = textOf(fields['name']).toLowerCase();
  if (textOf(fields['mismatch']) !== '') return () => 'pass';
  if (isFields(fields['secret'])) {
    const secret = textOf(fields['secret']['name']);
    return (request) =>
      headerValue(request, name) === undefined ? 'fail' : { missing: `the value of secret ${secret}` };
  }
  const wanted = textOf(fields['value']);
  if (wanted === '') return (request) => (headerValue(request, name) === undefined ? 'fail' : 'pass');
  return (request) => (headerValue(request, name) === wanted ? 'pass' : 'fail');
}

// ---- DNS ----

function dnsRule(fields: Fields, complain: Complain): L7Rule | undefined {
  const name = textOf(fields['matchName']);
  const pattern = textOf(fields['matchPattern']);
  if (name === '' && pattern === '') {
    complain('needs matchName or matchPattern');
    return undefined;
  }
  if (name !== '' && pattern !== '') {
    complain('matchName and matchPattern cannot both be given');
    return undefined;
  }
  const exact = dnsName(name);
  const { matches } = namePattern(pattern);
  return {
    text: name === '' ? `matchPattern=${pattern}` : `matchName=${name}`,
    matches: (request) => {
      if (request.protocol !== 'dns') return 'fail';
      return (name !== '' && request.name === exact) || (pattern !== '' && matches(request.name)) ? 'pass' : 'fail';
    },
  };
}

// ---- Kafka ----

/** Longest topic that the agent takes, characters. */
const MOST_TOPIC = 255;

/** Api keys of a role (Cilium's PortRuleKafka). */
const ROLES: { readonly [role: string]: readonly number[] } = {
  produce: [0, 3, 18],
  consume: [1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 18],
};

interface KafkaRule extends L7Rule {
  readonly topic: string;
}

function kafkaRule(fields: Fields, complain: Complain): KafkaRule | undefined {
  const role = textOf(fields['role']).toLowerCase();
  const api = textOf(fields['apiKey']).toLowerCase();
  const version = textOf(fields['apiVersion']);
  const client = textOf(fields['clientID']);
  const topic = textOf(fields['topic']);
  if (role !== '' && api !== '') {
    complain('role and apiKey cannot both be given');
    return undefined;
  }
  if (role !== '' && ROLES[role] === undefined) {
    complain(`role: ${JSON.stringify(role)} is neither produce nor consume`);
    return undefined;
  }
  if (api !== '' && !KAFKA_API.includes(api)) {
    complain(`apiKey: ${JSON.stringify(api)} is not one of ${KAFKA_API.join(', ')}`);
    return undefined;
  }
  if (version !== '' && !/^[0-9]{1,5}$/.test(version)) {
    complain(`apiVersion: ${JSON.stringify(version)} is not a number`);
    return undefined;
  }
  if (topic.length > MOST_TOPIC || !/^[a-zA-Z0-9._-]*$/.test(topic)) {
    complain(`topic: ${JSON.stringify(topic.slice(0, MOST_TOPIC))} is not a topic`);
    return undefined;
  }
  const keys = role !== '' ? ROLES[role]! : api !== '' ? [KAFKA_API.indexOf(api)] : undefined;
  const texts = [role && `role=${role}`, api && `apiKey=${api}`, version && `apiVersion=${version}`];
  texts.push(client && `clientID=${client}`, topic && `topic=${topic}`);
  return {
    text: texts.filter((text) => text !== '').join(' '),
    topic,
    matches: (request) => {
      if (request.protocol !== 'kafka') return 'fail';
      const fits =
        (keys === undefined || keys.includes(request.apiKey)) &&
        (version === '' || request.apiVersion === Number(version)) &&
        (client === '' || request.clientId === client);
      return fits ? 'pass' : 'fail';
    },
  };
}

/** Every topic of the request has to be allowed by some rule; a request that names none needs one rule that fits otherwise. */
function askKafka(rules: readonly KafkaRule[], request: KafkaRequest): L7Answer {
  const fitting = rules.filter((rule) => rule.matches(request) === 'pass');
  if (fitting.some(({ topic }) => topic === '')) return 'pass';
  if (fitting.length === 0) return 'fail';
  const { topics, apiKey, apiVersion } = request;
  if (!namesTopics(apiKey)) return 'pass';
  if (topics === undefined) return { missing: `the topics of a ${KAFKA_API[apiKey]} request of version ${apiVersion}` };
  if (topics.length === 0) return 'pass';
  return topics.every((name) => fitting.some(({ topic }) => topic === name)) ? 'pass' : 'fail';
}
