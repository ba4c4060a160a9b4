// Hook "xdp": services reached from outside. A packet whose backend is on another node goes there inside IPIP, and the
// answer goes directly to the client. Input: context with packet and meta. Output: a verdict.
// Walks: Cilium's nodeport_lb4 with DSR and IPIP dispatch (bpf_xdp.c), Katran's balancer. Invariant: no conntrack, no
// identity; what is not sent to another node goes to the stack untouched, where from-netdev does it. Twin: native/bpf/hooks/xdp.h.
import { ACTION, FEATURE, META_FLAG, SERVICE_FLAG, STAGE } from '../../schema/index.ts';
import * as config from '../config.ts';
import type { Context } from '../context.ts';
import * as encapsulateStage from '../stages/encapsulate.ts';
import * as forwardStage from '../stages/forward.ts';
import * as fragmentStage from '../stages/fragment.ts';
import * as identityStage from '../stages/identity.ts';
import * as parseStage from '../stages/parse.ts';
import * as serviceStage from '../stages/service.ts';
import * as serviceFlow from '../stages/service-flow.ts';
import type { Tables } from '../tables.ts';
import * as verdicts from '../verdict.ts';

// Constants of this module: what is used through an import costs V8 a load and a check each time.
const { CONFIG_NODE } = config;
const { encapsulate } = encapsulateStage;
const { toStack } = forwardStage;
const { fragment } = fragmentStage;
const { isEndpoint, nodeOfBackend } = identityStage;
const { parse } = parseStage;
const { frontendFromOutside, isBalanced } = serviceStage;
const { selectBackend } = serviceFlow;
const { CONTINUE, forwarded } = verdicts;

const { NODE_PORT, DSR_IPIP } = FEATURE;
const SKIP_SERVICE = META_FLAG.SKIP_SERVICE;
const { EXT_LOCAL, L7LB, FORWARD_DSR } = SERVICE_FLAG;
const STACK = ACTION.STACK;
const SERVICE = STAGE.SERVICE;

/** Runs the hook. */
export function xdp(cx: Context, tables: Tables): number {
  let verdict = parse(cx);
  if (verdict !== CONTINUE) return verdict;
  if ((cx.features & NODE_PORT) === 0 || (cx.metaFlags & SKIP_SERVICE) !== 0 || !isBalanced(cx)) return toStack(cx);
  verdict = fragment(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  verdict = frontendFromOutside(cx, tables);
  if (verdict !== CONTINUE) return verdict;
  if (cx.frontendAt < 0) return toStack(cx);
  // externalTrafficPolicy Local and proxies are judged behind XDP, where the stack can still answer.
  if ((cx.serviceFlags & (EXT_LOCAL | L7LB)) !== 0) return forwarded(cx, STACK, SERVICE);
  if ((cx.features & DSR_IPIP) === 0 || (cx.serviceFlags & FORWARD_DSR) === 0) return toStack(cx);
  verdict = selectBackend(cx, tables, cx.frontendAt);
  if (verdict !== CONTINUE) return verdict;
  const four = cx.headers.family === 4;
  const at = four ? tables.backends4.find(cx.backendId) : tables.backends6.find(cx.backendId);
  const own = tables.config.words[CONFIG_NODE]! & 0xffff;
  // A backend of this node is from-netdev's work; where one dataplane stands for the whole cluster, each that is an endpoint of it.
  if (own === 0 ? isEndpoint(cx, tables, at) : own === nodeOfBackend(cx, tables, at)) return toStack(cx);
  return encapsulate(cx, tables, at);
}
