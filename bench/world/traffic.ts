// Writes a classic pcap of a node's traffic over the benchmark's cluster: TCP and UDP connections from the pods of
// node 1 to ClusterIPs, both directions, as they look on the pods' side of the node.
// Input: a World, sizes, a seed. Output: bytes through a sink. Invariant: the same input gives the same file.
import type { World } from './cluster.ts';

/** Sizes of the traffic. */
export interface TrafficSize {
  /** Size of the file to reach; generation stops with the packet that passes it. */
  readonly bytes: number;
  readonly flows: number;
  /** Connections open at a time; packets are drawn uniformly from them. */
  readonly concurrent: number;
  readonly seed: number;
}

/** The capture that figures are quoted for: 1 GB, 100,000 connections. */
export const DEFAULT_TRAFFIC: TrafficSize = { bytes: 1_000_000_000, flows: 100_000, concurrent: 5_000, seed: 1 };

const PAYLOADS = [0, 0, 0, 0, 120, 400, 700, 1448];

/** Generates the file in chunks; returns packets and flows written. */
export function writeTraffic(
  world: World,
  size: TrafficSize,
  sink: (chunk: Uint8Array) => void,
): { packets: number; flows: number } {
  let state = size.seed | 1;
  const random = (n: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
  const out = new Uint8Array(4 << 20);
  const view = new DataView(out.buffer);
  let at = 0;
  let written = 0;
  view.setUint32(0, 0xa1b23c4d, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, 262144, true);
  view.setUint32(20, 1, true);
  at = 24;

  // One open connection per index: addresses, ports, how far it is, how long it goes on.
  const n = Math.min(size.concurrent, size.flows);
  const source = new Uint32Array(n);
  const target = new Uint32Array(n);
  const sourcePort = new Uint16Array(n);
  const udp = new Uint8Array(n);
  const silent = new Uint8Array(n);
  const step = new Uint32Array(n);
  const total = new Uint32Array(n);
  let flows = 0;
  // The mean connection fills the asked bytes with the asked number of connections.
  const meanFrame = 16 + 14 + 20 + 32 + PAYLOADS.reduce((a, b) => a + b, 0) / PAYLOADS.length;
  const meanPackets = Math.max(6, Math.round((1.25 * size.bytes) / meanFrame / size.flows));
  const open = (i: number): void => {
    flows++;
    const service = world.services[random(world.services.length)]!;
    source[i] = world.clients[random(world.clients.length)]!;
    target[i] = service.address;
    sourcePort[i] = 1024 + (flows % 64000);
    udp[i] = random(10) === 0 ? 1 : 0;
    step[i] = 0;
    silent[i] = world.refused.has(source[i]!) ? 1 : 0;
    if (silent[i] === 1) udp[i] = 0;
    // A connection that nobody answers is a SYN and its repetitions.
    total[i] = silent[i] === 1 ? 1 + random(3) : udp[i] === 1 ? 2 : 4 + random(Math.round((meanPackets - 4) * 2.2));
  };
  for (let i = 0; i < n; i++) open(i);

  let packets = 0;
  let nanoseconds = 0;
  let seconds = 1_767_225_600;
  while (written + at < size.bytes) {
    const i = random(n);
    const k = step[i]!;
    const isUdp = udp[i] === 1;
    const forward = silent[i] === 1 || k === 0 || (k !== 1 && (k === 2 || random(3) !== 0));
    const payload = isUdp ? 60 + random(100) : k < 3 || silent[i] === 1 ? 0 : PAYLOADS[random(8)]!;
    const header = isUdp ? 8 : 32;
    const length = 14 + 20 + header + payload;
    if (at + 16 + length > out.length) {
      sink(out.subarray(0, at));
      written += at;
      at = 0;
    }
    nanoseconds += 400 + random(400);
    if (nanoseconds >= 1e9) {
      nanoseconds -= 1e9;
      seconds++;
    }
    view.setUint32(at, seconds, true);
    view.setUint32(at + 4, nanoseconds, true);
    view.setUint32(at + 8, length, true);
    view.setUint32(at + 12, length, true);
    at += 16;
    out.fill(0, at, at + length);
    out[at + 5] = forward ? 2 : 1;
    out[at + 11] = forward ? 1 : 2;
    view.setUint16(at + 12, 0x0800);
    const ip = at + 14;
    out[ip] = 0x45;
    view.setUint16(ip + 2, length - 14);
    view.setUint16(ip + 4, packets & 0xffff);
    out[ip + 6] = 0x40;
    out[ip + 8] = 64;
    out[ip + 9] = isUdp ? 17 : 6;
    view.setUint32(ip + 12, forward ? source[i]! : target[i]!);
    view.setUint32(ip + 16, forward ? target[i]! : source[i]!);
    let sum = 0;
    for (let w = 0; w < 20; w += 2) sum += view.getUint16(ip + w);
    sum = (sum & 0xffff) + (sum >>> 16);
    view.setUint16(ip + 10, ~((sum & 0xffff) + (sum >>> 16)));
    const l4 = ip + 20;
    const servicePort = isUdp ? 53 : 80;
    view.setUint16(l4, forward ? sourcePort[i]! : servicePort);
    view.setUint16(l4 + 2, forward ? servicePort : sourcePort[i]!);
    if (isUdp) {
      view.setUint16(l4 + 4, 8 + payload);
    } else {
      view.setUint32(l4 + 4, k * 1000);
      view.setUint32(l4 + 8, k === 0 ? 0 : k * 900);
      out[l4 + 12] = 0x80;
      const last = k + 1 >= total[i]!;
      out[l4 + 13] = k === 0 || silent[i] === 1 ? 0x02 : k === 1 ? 0x12 : last ? 0x11 : payload > 0 ? 0x18 : 0x10;
      view.setUint16(l4 + 14, 502);
    }
    at += length;
    packets++;
    step[i] = k + 1;
    if (k + 1 >= total[i]! && flows < size.flows) open(i);
    else if (k + 1 >= total[i]! && !isUdp && silent[i] === 0) step[i] = 3;
  }
  sink(out.subarray(0, at));
  return { packets, flows };
}
