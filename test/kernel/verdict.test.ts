// `weir verdict --dataplane xdp`: every pair of the demo's pods and some ends outside, and each published table, asked of the
// policy stage and of the loaded programs; an engine that says otherwise is told.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Judge, PolicyWorld } from '../../src/analysis/index.ts';
import { KernelGates } from '../../src/cli/kernel-gates.ts';
import { diff } from '../../src/control/diff.ts';
import { readManifests, resolveConfig } from '../../src/control/index.ts';
import { settingsOf } from '../../src/control/settings.ts';
import { createXdp, FramedDataplane, kernelUnavailable } from '../../src/dataplane/xdp/index.ts';
import { caseFolders, readCase } from '../support/policy-cases.ts';
import { POLICY_CASES } from '../support/repository.ts';
import { weir } from '../support/run-cli.ts';
import { skipFor } from './kernel.ts';

const skip = skipFor(kernelUnavailable());
const NAME: Readonly<Record<number, string>> = { 1: 'ICMP', 6: 'TCP', 17: 'UDP', 58: 'ICMPv6', 132: 'SCTP' };

describe('verdicts of the kernel', { skip }, () => {
  it('are those of the command, for the demo', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'weir-verdict-'));
    try {
      const text = readFileSync('fixtures/demo/manifests/cluster/pods.yaml', 'utf8');
      const { state } = readManifests([{ file: 'pods.yaml', text }]);
      const pods = state!.pods.map(({ namespace, name }) => `pod:${namespace}/${name}`);
      const ends = [...pods, 'ip:203.0.113.9', 'entity:world'];
      const probes = ends.flatMap((from) =>
        ends.flatMap((to) => [80, 8080, 53].map((port) => ({ from, to, port, protocol: port === 53 ? 'UDP' : 'TCP' }))),
      );
      const file = join(folder, 'probes.json');
      writeFileSync(file, JSON.stringify(probes));
      const args = ['verdict', '--probes', file, '-m', 'fixtures/demo/manifests'];
      const values = ['--values', 'fixtures/demo/values.yaml', '-o', 'json'];
      const sim = await weir([...args, ...values]);
      const kernel = await weir([...args, ...values, '--dataplane', 'xdp']);
      assert.equal(kernel.code, 0, kernel.stderr);
      assert.equal(kernel.stdout, sim.stdout);
      const asked = Number(/weir: (\d+) gates asked in the kernel, 0 differ/.exec(kernel.stderr)?.[1]);
      assert.ok(asked > pods.length * pods.length, kernel.stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  for (const folder of caseFolders(POLICY_CASES)) {
    it(`are those of the policy stage: ${folder}`, () => {
      const { state, compiled, options, probes } = readCase(join(POLICY_CASES, folder), {
        'sctp.enabled': true,
        'ipv6.enabled': true,
      });
      const settings = settingsOf(resolveConfig({}).config, state, { semantics: 'cilium' });
      const world = new PolicyWorld({ state, settings, compiled, dnsKnown: options.dns !== undefined });
      const judge = new Judge(world);
      const engine = new FramedDataplane(createXdp());
      try {
        assert.equal(engine.apply(diff(undefined, compiled.maps)).failed, undefined);
        const gates = new KernelGates(engine, world);
        const different: string[] = [];
        const points = new Map(probes.map((p) => [`${p.source} ${p.destination} ${p.protocol} ${p.port}`, p]));
        for (const { source, destination, protocol, port } of points.values()) {
          const name = NAME[protocol]!;
          const asked = judge.ask({ from: `ip:${source}`, to: `ip:${destination}`, protocol: name, port });
          if ('problem' in asked) assert.fail(asked.problem);
          for (const point of asked.answer.points) different.push(...gates.differences(point, name.toUpperCase()));
        }
        assert.deepEqual(different, []);
        assert.ok(gates.asked > 0);
      } finally {
        engine.close();
      }
    });
  }
});
