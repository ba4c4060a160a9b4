// What is measured: hooks by what they meet, and the controls. Input: none. Output: cases with plan, packet, expected verdict
// and target. Invariant: targets are ratios to XDP_DROP of the same round, the wrapper's cost included.
import { CLIENTS, FLOWS, FRONTEND, PODS, PORT } from './world.ts';
import type { Plan } from './object.ts';

/** One way through a program. */
export interface KernelCase {
  readonly name: string;
  readonly program: string;
  readonly plan: Plan;
  readonly repeat: number;
  /** Most that the ratio to XDP_DROP may be. */
  readonly atMost?: number;
  /** Whether the program counts its verdicts: all but XDP_DROP. */
  readonly counts: boolean;
  /** Every flow is a new one, in every round. */
  readonly alwaysNew?: boolean;
  /** Runs each flow once before it is measured. */
  readonly warm?: boolean;
  /** A bare program, for comparison. */
  readonly control: boolean;
}

const XDP = { ABORTED: 0, DROP: 1, PASS: 2, TX: 3 } as const;
const TC_REDIRECT = 7;
const SYN = 0x02;
const ACK = 0x10;
const ENDLESS = 0xffffffff;

/** Repeats of one run: enough that a call's own cost does not show. */
const ONE = 1_000_000;
const MANY = 500_000;
/** XDP_DROP is what everything is divided by, and the shortest. */
const FLOOR = 8_000_000;

/** Of a connection, in one run of a second case at from-container: its first packet in a second costs more than the others. */
const PACKETS_A_FLOW = 40;

const xdp = (destination: number, flows: number, more: Partial<Plan> = {}): Plan => ({
  flows,
  stride: 1,
  address: CLIENTS,
  destination,
  port: PORT,
  tcpFlags: ACK,
  expected: XDP.TX,
  ...more,
});
const pod = (destination: number, flows: number): Plan => ({
  ...xdp(destination, flows),
  address: PODS,
  expected: TC_REDIRECT,
});

type Sized = Omit<KernelCase, 'plan' | 'repeat' | 'name' | 'atMost'>;

/** The same for one flow and for many. */
function both(name: string, plan: (flows: number) => Plan, rest: Sized, atMost: readonly number[] = []): KernelCase[] {
  return [1, FLOWS].map((flows, i) => {
    const target = atMost[i];
    return {
      ...rest,
      name: `${name}, ${flows === 1 ? '1 flow' : `${flows / 1000}k flows`}`,
      plan: plan(flows),
      repeat: flows === 1 ? ONE : MANY,
      ...(target === undefined ? {} : { atMost: target }),
    };
  });
}

/** What all is divided by. */
export const FLOOR_CASE: KernelCase = {
  name: 'XDP_DROP',
  program: 'control_drop',
  plan: xdp(FRONTEND.absent, 1),
  repeat: FLOOR,
  counts: false,
  control: true,
};
/** The controls that figures are also given in. */
export const FOUR = 'four lookups';

const control = { counts: true, control: true } as const;
const hook = { counts: true, control: false } as const;
const bare = (name: string, program: string): KernelCase[] =>
  both(name, (flows) => xdp(FRONTEND.settled, flows), { ...control, program });

export const CONTROLS: readonly KernelCase[] = [
  FLOOR_CASE,
  ...bare('parse', 'control_parse'),
  ...bare('array', 'control_arrays'),
  ...bare('hash, 20-byte key', 'control_hashes'),
  ...bare('LRU, 20-byte key', 'control_lrus'),
  ...bare('LPM, 10k prefixes', 'control_lpms'),
  ...bare(FOUR, 'control_four'),
  ...both('empty wrapper, xdp', (flows) => xdp(FRONTEND.settled, flows), { ...control, program: 'bench_xdp_empty' }),
  ...both('empty wrapper, tc', (flows) => pod(FRONTEND.local, flows), { ...control, program: 'bench_container_empty' }),
];

export const HOOKS: readonly KernelCase[] = [
  ...both('xdp, established', (flows) => xdp(FRONTEND.settled, flows), { ...hook, program: 'bench_xdp' }, [6.5, 10]),
  ...both(
    'xdp, new',
    (flows) => xdp(FRONTEND.settled, flows === 1 ? 1 : ENDLESS, { tcpFlags: SYN }),
    { ...hook, program: 'bench_xdp', alwaysNew: true },
    [7, 12],
  ),
  {
    ...hook,
    name: 'xdp, no service',
    program: 'bench_xdp_pass',
    plan: xdp(FRONTEND.absent, 1, { expected: XDP.PASS }),
    repeat: 2 * ONE,
    atMost: 3,
  },
  {
    ...hook,
    name: 'xdp, no service, 100k flows',
    program: 'bench_xdp',
    plan: xdp(FRONTEND.absent, FLOWS, { expected: XDP.PASS }),
    repeat: MANY,
  },
  ...both('xdp, remembered while the table changes', (flows) => xdp(FRONTEND.moving, flows), {
    ...hook,
    program: 'bench_xdp',
    warm: true,
  }),
  {
    ...hook,
    name: 'xdp, new while the table changes',
    program: 'bench_xdp',
    plan: xdp(FRONTEND.moving, ENDLESS, { tcpFlags: SYN }),
    repeat: 200_000,
    alwaysNew: true,
  },
  ...both(
    'from-container, ClusterIP, backend here',
    (flows) => pod(FRONTEND.local, flows),
    { ...hook, program: 'bench_container' },
    [9, 18],
  ),
  // The aim is for the case before, of MANY / FLOWS packets a flow.
  {
    ...hook,
    name: `from-container, the same, ${PACKETS_A_FLOW} packets a flow in one run, ${FLOWS / 1000}k flows`,
    program: 'bench_container',
    plan: pod(FRONTEND.local, FLOWS),
    repeat: FLOWS * PACKETS_A_FLOW,
  },
  ...both('from-container, the same, first packet in a second', (flows) => pod(FRONTEND.local, flows), {
    ...hook,
    program: 'bench_container_first',
  }),
  // One flow only: the connections of more would fill the tables that the others are measured in.
  {
    ...hook,
    name: 'from-container, ClusterIP, backend elsewhere, 1 flow',
    program: 'bench_container',
    plan: pod(FRONTEND.remote, 1),
    repeat: ONE,
  },
];

/** Opens the connections that a from-container case is about. */
export const openingOf = (one: KernelCase): Plan => ({ ...one.plan, tcpFlags: SYN });
