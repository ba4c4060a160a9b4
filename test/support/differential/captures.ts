// Packets of capture files, as they are and mutated, through every hook of both engines, in worlds whose pods and services
// have the captures' addresses. Input: a folder, how many mutated packets. Output: counts, or the first difference.
// Invariant: what cannot be run is counted by its cause.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openCapture } from '../../../src/capture/file/index.ts';
import { HOOK } from '../../../src/schema/index.ts';
import { Headers, parseFrame } from '../../../src/wire/index.ts';
import { type Cast, familyOf, type Frontend, ICMP, ICMPV6, type Member, randomCast } from './cast.ts';
import { frame, PLAIN } from './frame.ts';
import { fitting, leastFor, LONGEST, mutated, SHORTEST } from './mutate.ts';
import { Random } from './random.ts';
import { ends, parsed } from './replies.ts';
import { counterexample } from './report.ts';
import type { Ran, Run } from './run.ts';
import { NO_META, type PacketStep } from './step.ts';

const HOOKS: readonly number[] = [
  HOOK.FROM_CONTAINER,
  HOOK.TO_CONTAINER,
  HOOK.XDP,
  HOOK.FROM_NETDEV,
  HOOK.FROM_HOST,
  HOOK.TO_NETDEV,
];
const ETHERNET = 1;
/** Packets of a file that share a world; each goes through every hook. */
const TOGETHER = 10;
/** Frames kept to be mutated. */
const KEPT = 20_000;
/** Mutated packets of one sequence. */
const MUTATED_TOGETHER = 60;

/** What to run. */
export interface CaptureOptions {
  readonly folder: string | undefined;
  readonly mutated: number;
  readonly quick: boolean;
  readonly progress: (text: string) => void;
}

const h = new Headers();

/** Why a packet is not run. */
type Refusal = 'shorter than a test run takes' | 'longer than a test run takes' | 'neither Ethernet nor IP';

/** An Ethernet frame of a captured packet. IP packets of other link types get an Ethernet header. */
function ethernet(bytes: Uint8Array, linkType: number): Uint8Array | Refusal {
  let out = bytes;
  if (linkType !== ETHERNET) {
    parseFrame(h, linkType, bytes, 0, bytes.length, bytes.length);
    if (h.family === 0) return 'neither Ethernet nor IP';
    const packet = bytes.subarray(h.l3);
    out = new Uint8Array(14 + packet.length);
    out.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, h.family === 4 ? 8 : 0x86, h.family === 4 ? 0 : 0xdd]);
    out.set(packet, 14);
  }
  if (out.length < SHORTEST) return 'shorter than a test run takes';
  return out.length > LONGEST ? 'longer than a test run takes' : out;
}

/** A cast made of the ends of packets: some are pods, some frontends, the rest outside. */
export function castOf(random: Random, frames: readonly Uint8Array[]): Cast {
  const drawn = randomCast(random);
  const pods: Member[] = [...drawn.pods];
  const outside = [...drawn.outside];
  const frontends: Frontend[] = [];
  const known = new Set<string>();
  for (const bytes of frames) {
    const headers = parsed(bytes);
    if (headers === undefined || known.size > 24) continue;
    const icmp = headers.protocol === ICMP || headers.protocol === ICMPV6;
    const port = (bytes[headers.l4 + 2]! << 8) | bytes[headers.l4 + 3]!;
    const [source, destination] = ends(bytes, headers);
    if (!icmp && headers.fragment !== 2 && frontends.length < 8 && random.chance(30)) {
      frontends.push({
        address: destination,
        family: familyOf(destination),
        port,
        protocol: headers.protocol,
        reverseNat: 0,
      });
    }
    for (const address of [source, destination]) {
      if (known.has(address.join())) continue;
      known.add(address.join());
      if (random.chance(65)) {
        pods.push({ address, family: familyOf(address), ifindex: 20 + pods.length, identity: 1000 + random.below(5) });
      } else outside.push(address);
    }
  }
  return { ...drawn, pods, outside, frontends };
}

const step = (hook: number, bytes: Uint8Array, ifindex: number, second: number): PacketStep => ({
  hook,
  bytes,
  seconds: second,
  nanoseconds: 0,
  meta: { ...NO_META, ifindex },
});

/** Runs everything that the options ask for. */
export async function runCaptures(
  run: Run,
  seed: number,
  options: CaptureOptions,
): Promise<{ text: string; differs: boolean }> {
  const refused = new Map<string, number>();
  const kept: Uint8Array[] = [];
  let index = 0;
  let packets = 0;
  let files = 0;
  let failed: { ran: Ran; where: string } | undefined;
  const attempt = (where: string, cast: Cast, steps: (random: Random) => readonly PacketStep[]): boolean => {
    const ran = run.given(index++, cast, steps);
    if (ran.difference !== undefined) failed = { ran, where };
    return ran.difference === undefined;
  };
  const runTogether = (file: string, frames: readonly Uint8Array[]): boolean => {
    const random = new Random(seed, 0xcab, index);
    return attempt(file, castOf(random, frames), () =>
      frames.flatMap((bytes, i) =>
        HOOKS.filter((hook) => bytes.length >= leastFor(hook, bytes)).map((hook) => step(hook, bytes, 0, i >> 2)),
      ),
    );
  };
  const list =
    options.folder === undefined
      ? []
      : readdirSync(options.folder, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile() && /\.(pcap|pcapng|cap|gz)$/.test(entry.name))
          .map((entry) => join(entry.parentPath, entry.name))
          .sort();
  for (const file of list) {
    if (failed !== undefined) break;
    files++;
    options.progress(`${files} of ${list.length} files, ${packets} packets`);
    const frames = await framesOf(file, refused);
    for (const bytes of frames) if (kept.length < KEPT) kept.push(bytes);
    for (let at = 0; at < frames.length && failed === undefined; at += TOGETHER) {
      const together = frames.slice(at, at + TOGETHER);
      packets += together.length;
      runTogether(file, together);
    }
  }
  const lines = [];
  if (options.folder !== undefined) {
    lines.push(
      `${packets} packets of ${files} capture files, each through ${HOOKS.length} hooks (through xdp alone those too short for their IP header)`,
    );
    for (const [cause, count] of refused) lines.push(`not run: ${count} ${cause}`);
  }
  if (failed === undefined && options.mutated > 0) {
    const sources = kept.length > 0 ? kept : inventedFrames(seed);
    let done = 0;
    while (done < options.mutated && failed === undefined) {
      const draw = new Random(seed, 0x307, index);
      const from = draw.below(sources.length);
      const near = Array.from({ length: 20 }, (_, i) => sources[(from + i) % sources.length]!);
      const count = Math.min(MUTATED_TOGETHER, options.mutated - done);
      attempt('mutated packets', castOf(draw, near), (random) =>
        Array.from({ length: count }, (_, i) => {
          let bytes = mutated(random, random.pick(near), random.pick(near));
          if (random.chance(15)) bytes = mutated(random, bytes, random.pick(near));
          const hook = random.pick(HOOKS);
          return step(hook, fitting(hook, bytes), 0, i >> 3);
        }),
      );
      done += count;
      options.progress(`${done} mutated packets`);
    }
    lines.push(`${done} mutated packets`);
  }
  if (failed === undefined) return { text: [...lines, 'no difference'].join('\n'), differs: false };
  const { ran, where } = failed;
  const { difference, sequence } = ran;
  lines.push(`${where}: ${difference!.what} at step ${difference!.step}`, difference!.detail);
  if (!options.quick) lines.push(counterexample(run, sequence, difference!));
  return { text: lines.join('\n'), differs: true };
}

/** Frames of a file that a test run takes; the others are counted. */
async function framesOf(file: string, refused: Map<string, number>): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  const reader = await openCapture(file);
  do {
    while (reader.next()) {
      const { bytes, offset, capturedBytes, linkType } = reader;
      const out = ethernet(bytes.slice(offset, offset + capturedBytes), linkType);
      if (typeof out === 'string') refused.set(out, (refused.get(out) ?? 0) + 1);
      else frames.push(out);
    }
  } while (await reader.fill());
  await reader.close();
  return frames;
}

/** Where there are no captures: plain frames of every protocol. */
function inventedFrames(seed: number): Uint8Array[] {
  const random = new Random(seed, 0x1f7);
  return Array.from({ length: 400 }, () => {
    const four = random.chance(50);
    const address = (): Uint8Array =>
      four
        ? Uint8Array.of(10, 0, 1, random.between(1, 6))
        : Uint8Array.of(0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, random.between(1, 6));
    return frame({
      ...PLAIN,
      source: address(),
      destination: address(),
      protocol: random.pick([6, 6, 17, 132, four ? ICMP : ICMPV6]),
      sourcePort: random.between(1000, 1010),
      destinationPort: random.pick([80, 443, 53]),
      tcpFlags: random.pick([2, 18, 16, 17, 4]),
      type: random.pick([8, 0, 128, 129, 3, 1]),
      payload: random.fill(new Uint8Array(random.below(60))),
      tags: random.chance(10) ? [[0x8100, 5]] : [],
      extensions: four || random.chance(80) ? [] : [0, 60],
    });
  });
}
