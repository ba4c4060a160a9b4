// Published truth tables of policies (the shared cases folder). Input: a case folder. Output: its probes with the expected
// verdicts, and the world compiled as the case asks.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Compiled } from '../../src/control/compile.ts';
import { Compiler } from '../../src/control/compile.ts';
import type { Config } from '../../src/control/config/index.ts';
import { readManifests } from '../../src/control/manifest/manifests.ts';
import type { ClusterState } from '../../src/control/state.ts';
import { address, configWith } from './policy-world.ts';

/** Options of a case. */
export interface CaseOptions {
  readonly mode: 'k8s' | 'cilium';
  readonly ipEntities?: Record<string, string[]>;
  readonly dns?: Record<string, string[]>;
  readonly hostFirewall?: boolean;
  readonly enableNodeSelectorLabels?: boolean;
  readonly policyEnforcement?: 'default' | 'always' | 'never';
  readonly cidrMatchNodes?: boolean;
}

/** One expected verdict. */
export interface CaseProbe {
  readonly name: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly port: number;
  readonly side: 'egress' | 'ingress' | 'combined';
  readonly allowed: boolean;
}

/** A case, compiled. */
export interface PolicyCase {
  readonly state: ClusterState;
  readonly compiled: Compiled;
  readonly options: CaseOptions;
  readonly probes: readonly CaseProbe[];
}

const PROTOCOLS: Record<string, number> = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1, ICMPv6: 58 };

/** Case folders, or none where the folder is absent. */
export const caseFolders = (root: string): string[] =>
  existsSync(root)
    ? readdirSync(root, { withFileTypes: true })
        .filter((e) => e.isDirectory())
        .map((e) => e.name)
        .sort()
    : [];

interface ProbeFile {
  readonly options: CaseOptions;
  readonly probes: readonly {
    srcPod?: string;
    srcIP?: string;
    dstPod?: string;
    dstIP?: string;
    protocol: string;
    port?: number;
    icmpType?: number;
  }[];
}
interface ExpectedFile {
  readonly pods: readonly string[];
  readonly tables: Record<string, Record<'egress' | 'ingress' | 'combined', Record<string, string>>>;
  readonly probes: readonly unknown[];
}

/** Reads and compiles one case; `changes`: further configuration. */
export function readCase(folder: string, changes: Partial<Config> = {}): PolicyCase {
  const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const { options, probes } = JSON.parse(text('probes.json')) as ProbeFile;
  const expected = JSON.parse(text('expected.json')) as ExpectedFile;
  const { state, problems } = readManifests(
    ['manifests.yaml', 'policies.yaml'].map((file) => ({ file, text: text(file) })),
    { keepRefused: true },
  );
  if (state === undefined) throw new Error(problems.map((p) => p.message).join('\n'));
  const facts = {
    dnsNames: new Map(
      Object.entries(options.dns ?? {}).map(([name, list]) => [
        name.toLowerCase().replace(/\.$/, ''),
        list.map(address),
      ]),
    ),
    entities: new Map(Object.entries(options.ipEntities ?? {})),
  };
  const config = configWith({
    policyEnforcementMode: options.policyEnforcement ?? 'default',
    policyCIDRMatchMode: options.cidrMatchNodes === true ? ['nodes'] : [],
    nodeSelectorLabels: options.enableNodeSelectorLabels ?? false,
    'hostFirewall.enabled': options.hostFirewall ?? false,
    ...changes,
  });
  const full = { ...state, facts };
  const semantics = options.mode === 'k8s' ? 'kubernetes' : 'cilium';
  const compiled = new Compiler(config, { semantics }).compile(full);
  const addressOf = new Map(state.pods.map((pod) => [`${pod.namespace}/${pod.name}`, pod.podIPs[0]?.text ?? '']));
  const found: CaseProbe[] = [];
  for (const [port, sides] of Object.entries(expected.tables)) {
    const [number, protocol] = port.split('/') as [string, string];
    for (const side of ['egress', 'ingress', 'combined'] as const) {
      for (const [source, row] of Object.entries(sides[side])) {
        [...row].forEach((mark, i) => {
          if (mark === '-') return;
          const destination = expected.pods[i]!;
          found.push({
            name: `${port} ${side} ${source} -> ${destination}`,
            source: addressOf.get(source)!,
            destination: addressOf.get(destination)!,
            protocol: PROTOCOLS[protocol]!,
            port: Number(number),
            side,
            allowed: mark === '.',
          });
        });
      }
    }
  }
  probes.forEach((probe, i) => {
    const answer = expected.probes[i] as Record<string, unknown>;
    const source = probe.srcIP ?? addressOf.get(probe.srcPod!)!;
    const destination = probe.dstIP ?? addressOf.get(probe.dstPod!)!;
    for (const side of ['egress', 'ingress', 'combined'] as const) {
      const allowed = allowedIn(answer[side]);
      if (allowed === undefined) continue;
      found.push({
        name: `probe ${i} ${side} ${JSON.stringify(probe)}`,
        source,
        destination,
        protocol: PROTOCOLS[probe.protocol]!,
        port: probe.icmpType ?? probe.port ?? 0,
        side,
        allowed,
      });
    }
  });
  return { state: full, compiled, options, probes: found };
}

function allowedIn(answer: unknown): boolean | undefined {
  if (typeof answer === 'boolean') return answer;
  if (answer === 'allow' || answer === '.') return true;
  if (answer === 'deny' || answer === 'X') return false;
  return undefined;
}
