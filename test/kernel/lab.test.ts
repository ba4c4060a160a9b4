// Live traffic through attached programs, in network namespaces: a balancer in front of two machines, and pods of one node.
// What the kernel did is held against who answered, against the wire, and against a replay of the recordings.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { skipFor } from './kernel.ts';
import { balancerTests } from './lab/balancer-cases.ts';
import { startEastWest } from './lab/east-west.ts';
import { labMissing } from './lab/missing.ts';
import { startNorthSouth } from './lab/north-south.ts';
import { podTests } from './lab/pod-cases.ts';

const skip = skipFor(labMissing());

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-lab-'));
});
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const subfolder = (name: string): string => {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
};

describe('lab: a balancer', { skip }, () => {
  let lab: Awaited<ReturnType<typeof startNorthSouth>> | undefined;
  before(async () => {
    lab = await startNorthSouth(subfolder('north-south'));
  });
  after(() => lab?.close());
  balancerTests(() => lab!, subfolder);
});

describe('lab: pods of a node', { skip }, () => {
  let lab: Awaited<ReturnType<typeof startEastWest>> | undefined;
  before(async () => {
    lab = await startEastWest(subfolder('east-west'));
  });
  after(() => lab?.close());
  podTests(() => lab!, subfolder);
});
