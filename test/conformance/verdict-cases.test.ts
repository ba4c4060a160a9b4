// Published truth tables of policies through `weir verdict`, as a user asks: manifests, a probes file, facts and settings on the
// command line. Skipped where the folder of cases is absent (see repository.ts).
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { caseFolders, readCase } from '../support/policy-cases.ts';
import { POLICY_CASES } from '../support/repository.ts';
import { scratchFolder } from '../support/run-cli.ts';
import { runInProcess } from '../support/run-program.ts';

const NAMES: Readonly<Record<number, string>> = { 6: 'TCP', 17: 'UDP', 132: 'SCTP', 1: 'ICMP', 58: 'ICMPv6' };

const folders = caseFolders(POLICY_CASES);
if (folders.length === 0) {
  test('policy truth tables through weir verdict', { skip: `no cases in ${POLICY_CASES}` }, () => undefined);
}
for (const folder of folders) {
  test(`weir verdict on ${folder}`, async (t) => {
    const { state, options, probes } = readCase(join(POLICY_CASES, folder));
    const scratch = scratchFolder(t);
    const put = (name: string, value: unknown): string => {
      const path = join(scratch, name);
      writeFileSync(path, JSON.stringify(value));
      return path;
    };
    const pods = new Map(
      state.pods.flatMap((pod) =>
        pod.hostNetwork ? [] : pod.podIPs.map((ip) => [ip.text, `pod:${pod.namespace}/${pod.name}`] as const),
      ),
    );
    const end = (address: string): string => pods.get(address) ?? `ip:${address}`;
    const asked = probes.map(({ source, destination, protocol, port }, i) => ({
      id: String(i),
      from: end(source),
      to: end(destination),
      protocol: NAMES[protocol],
      ...(protocol === 1 || protocol === 58 ? { icmpType: port } : { port }),
    }));
    const set = (key: string, value: string | undefined): string[] =>
      value === undefined ? [] : ['--set', `${key}=${value}`];
    const { code, stdout, stderr } = await runInProcess([
      'verdict',
      ...['manifests.yaml', 'policies.yaml'].flatMap((name) => ['-m', join(POLICY_CASES, folder, name)]),
      ...['--probes', put('probes.json', asked), '-o', 'json'],
      ...(options.dns === undefined ? [] : ['--dns', put('dns.json', options.dns)]),
      ...(options.ipEntities === undefined ? [] : ['--entities', put('entities.json', options.ipEntities)]),
      ...['--semantics', options.mode === 'k8s' ? 'kubernetes' : 'cilium'],
      ...set('hostFirewall.enabled', options.hostFirewall === true ? 'true' : undefined),
      ...set('nodeSelectorLabels', options.enableNodeSelectorLabels === true ? 'true' : undefined),
      ...set('policyEnforcementMode', options.policyEnforcement),
      ...set('policyCIDRMatchMode', options.cidrMatchNodes === true ? 'nodes' : undefined),
    ]);
    assert.equal(code, 0, stderr);
    const answers = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, { verdict: string } | string>);
    assert.equal(answers.length, probes.length);
    const wrong = probes.flatMap(({ name, side, allowed }, i) => {
      const answer = answers[i]!;
      assert.equal(answer['id'], String(i));
      const verdict = side === 'combined' ? answer['verdict'] : (answer[side] as { verdict: string }).verdict;
      return verdict === (allowed ? 'allowed' : 'denied') ? [] : [`${name}: ${String(verdict)}`];
    });
    assert.deepEqual(wrong, []);
  });
}
