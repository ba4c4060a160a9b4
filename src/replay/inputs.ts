// Inputs: packets that go their way through the hooks, and outputs whose originals do (replay.md, rules 1, 4 and 5).
// Input: the present packet and its connection. Output: its outcome; the connection's record learns from it.
// Invariant: the hooks by which a connection's packets enter are worked out once an interface.
import { DROP, HOOK, type Hook, UNKNOWN_REASON } from '../schema/index.ts';
import { AT, INT_STRIDE, REAL, REAL_STRIDE, STATE } from './connection-record.ts';
import type { Connections } from './connections.ts';
import type { EntryHook } from './entry-hook.ts';
import type { NamedDoubt } from './name-learning.ts';
import type { Openings } from './openings.ts';
import { Originals } from './originals.ts';
import type { Present } from './present.ts';
import { packRun, RUN, RUN_OF, type Way } from './way.ts';

const isPolicyDrop = (drop: number): boolean => drop === DROP.POLICY || drop === DROP.POLICY_DENY;

/** See the head of this file. */
export class Inputs {
  /** Whether hooks ran for the packet and let it pass: an output whose original was seen just before needs none. */
  ran = true;
  private readonly present: Present;
  private readonly way: Way;
  private readonly connections: Connections;
  private readonly entry: EntryHook;
  private readonly openings: Openings;
  private readonly originals: Originals;
  private readonly doubt: NamedDoubt | undefined;

  constructor(
    present: Present,
    way: Way,
    connections: Connections,
    entry: EntryHook,
    openings: Openings,
    doubt: NamedDoubt | undefined,
  ) {
    this.present = present;
    this.way = way;
    this.connections = connections;
    this.entry = entry;
    this.openings = openings;
    this.originals = new Originals(way, connections, entry);
    this.doubt = doubt;
  }

  /**
   * Rules 4 and 5.
   * @param forward whether it goes the way that the connection was opened
   */
  input(connection: number, forward: boolean): void {
    const { connections, present } = this;
    const { outcome: out, packet } = present;
    const { int } = connections;
    const base = connection * INT_STRIDE;
    if (int[base + AT.INTERFACE] !== present.interfaceNumber + 1) this.cacheEntry(connection);
    const entry = connections.int[base + AT.ENTRY]!;
    const state = connections.int[base + AT.STATE]!;
    if ((state & STATE.UNKNOWN) !== 0) return present.cannotTell(connections.int[base + AT.DECISION]! >>> 24);
    if (forward) {
      const run = RUN_OF[(entry >>> 16) & 0xff]!;
      this.way.run((entry & 0xff) as Hook, packet, run, out);
      if (this.doubt !== undefined && isPolicyDrop(out.drop) && this.hangsOnName(connection, this.doubt)) return;
      this.openings.learn(
        connection,
        entry & 0xff,
        out,
        packet,
        present.headers.l3,
        present.headers.l4,
        present.vantage,
      );
      const after = connections.int[base + AT.STATE]!;
      if ((after & (STATE.MASQUERADED | STATE.PRINTED | STATE.DROPPED)) === STATE.MASQUERADED) {
        this.openings.sourcePorts.remember(connection, present.headers, packet);
      }
      if ((after & STATE.TRANSLATED) !== 0) {
        connections.real[connection * REAL_STRIDE + REAL.FORWARD_INPUT] = present.now;
      }
      return;
    }
    const run = (RUN_OF[entry >>> 24]! & ~RUN.SKIP_SERVICE) | ((state & STATE.ORIGINATED) === 0 ? RUN.FIRST_ONLY : 0);
    this.way.run(((entry >>> 8) & 0xff) as Hook, packet, run, out);
    connections.int[base + AT.STATE]! |= STATE.ANSWERED;
    if ((state & STATE.TRANSLATED) !== 0) connections.real[connection * REAL_STRIDE + REAL.REPLY_INPUT] = present.now;
  }

  /** Whether the drop on the way out of a pod hangs on a name that was never resolved: the verdict is UNKNOWN then. */
  private hangsOnName(connection: number, doubt: NamedDoubt): boolean {
    const { present } = this;
    const { outcome: out } = present;
    if (out.hook !== HOOK.FROM_CONTAINER) return false;
    const cookie = doubt.cookie(present.headers, out.destinationIdentity, out.egressCookie);
    if (cookie === 0) return false;
    const { hook, path } = out;
    this.openings.give(connection, UNKNOWN_REASON.DNS_NAME);
    present.cannotTell(UNKNOWN_REASON.DNS_NAME);
    out.drop = 0;
    out.hook = hook;
    out.path = path;
    out.egressCookie = cookie;
    this.openings.keep(connection, out);
    return true;
  }

  /** Works out by which hooks the connection's packets enter at this interface. */
  private cacheEntry(connection: number): void {
    const { int } = this.connections;
    const { entry } = this;
    const { vantage, interfaceNumber } = this.present;
    const base = connection * INT_STRIDE;
    const family = (int[base + AT.STATE]! & STATE.IPV6) === 0 ? 4 : 6;
    const protocol = int[base + AT.PROTOCOL]!;
    const ports = int[base + AT.PORTS]!;
    entry.chooseAt(vantage, family, int, base + AT.SOURCE, base + AT.DESTINATION, ports, protocol);
    let packed = entry.hook | (packRun(entry.run) << 16);
    if (entry.unknown !== 0) this.openings.give(connection, entry.unknown);
    // A reply comes from the backend, translated or not, to whom the translated packet was from.
    const out = int[base + AT.OUT_PORTS]!;
    const turned = (out << 16) | (out >>> 16);
    entry.chooseAt(vantage, family, int, base + AT.OUT_DESTINATION, base + AT.OUT_SOURCE, turned, protocol);
    packed |= (entry.hook << 8) | (packRun(entry.run) << 24);
    int[base + AT.ENTRY] = packed;
    // What settled at another interface did so by other hooks.
    if (int[base + AT.SETTLED]! > 0) int[base + AT.SETTLED] = 0;
    int[base + AT.INTERFACE] = interfaceNumber + 1;
  }

  /** Rule 1: an output refreshes conntrack as its original did. */
  refresh(connection: number, forward: boolean): void {
    const { headers, packet, vantage, interfaceNumber, now } = this.present;
    this.ran = this.originals.refresh(connection, forward, headers, packet, vantage, interfaceNumber, now);
  }
}
