// What the configuration becomes for the compiler: an option is honoured exactly when it changes something there.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import {
  defaultConfig,
  optionKeys,
  options,
  resolveConfig,
  type Config,
  type OptionKey,
} from '../../../src/control/config/index.ts';
import type { OptionSpec, RawValue } from '../../../src/control/config/option-types.ts';
import { Compiler } from '../../../src/control/compile.ts';
import { mapSizes } from '../../../src/control/map-sizes.ts';
import { defaultAlgorithm, featureBits, settingsOf } from '../../../src/control/settings.ts';
import { emptyState } from '../../../src/control/state.ts';
import { ALGORITHM, configValue, FEATURE, vlanKey } from '../../../src/schema/index.ts';

/** Values to try: each option takes some of them. */
const samples: readonly RawValue[] = [
  ...[
    true,
    false,
    0,
    1,
    2,
    251,
    300,
    509,
    2048,
    0.5,
    '7s',
    'other',
    ['nodes'],
    ['x'],
    [5],
    '40000,50000',
    'MTIzNDU2Nzg5MDEy',
  ],
  ...[
    'always',
    'never',
    'policy',
    'drop',
    'icmp',
    'maglev',
    'native',
    'geneve',
    'netkit',
    'dsr',
    'envoy',
    'none',
    'max',
  ],
  ...['ipip', 'ipv6', 'wireguard'],
  ...['192.0.2.0/24', '2001:db8::/112'],
];

const settings = (config: Config) => {
  const made = settingsOf(config, emptyState());
  return { ...made, bits: featureBits(made), default: defaultAlgorithm(made), sizes: mapSizes(config) };
};

/** Honoured, but by the replay and not by the compiler. */
const ofReplay: ReadonlySet<OptionKey> = new Set<OptionKey>([
  'enableIPv4Masquerade',
  'enableIPv6Masquerade',
  'conntrackGCInterval',
  'conntrackGCMaxInterval',
]);

/** Says something only together with another option. */
const together: ReadonlySet<OptionKey> = new Set<OptionKey>(['loadBalancer.dsrDispatch']);

test('an option is honoured exactly when it reaches the compiler (or the replay)', () => {
  const initial = settings(defaultConfig());
  for (const key of optionKeys) {
    const spec: OptionSpec<unknown> = options[key];
    const values = samples.flatMap((sample) => {
      const checked = spec.check(sample, true);
      return 'value' in checked && JSON.stringify(checked.value) !== JSON.stringify(spec.initial)
        ? [checked.value]
        : [];
    });
    assert.ok(values.length > 0, `no sample is a value of ${key}`);
    const reaches = values.some((value) => {
      try {
        assert.deepEqual(settings({ ...defaultConfig(), [key]: value }), initial);
        return false;
      } catch {
        return true;
      }
    });
    assert.equal(
      reaches || ofReplay.has(key) || together.has(key),
      spec.status === 'honoured',
      `${key} is ${spec.status}`,
    );
  }
});

test('the chart’s defaults as features: no conntrack accounting, an overlay, an answer for what has no backend', () => {
  const { bits } = settings(defaultConfig());
  const on = Object.entries(FEATURE).flatMap(([name, bit]) => ((bits & bit) !== 0 ? [name] : []));
  assert.deepEqual(on.sort(), [
    'EVENTS',
    'FRAGMENTS_V4',
    'ICMP_FRAG_NEEDED',
    'ICMP_RULES',
    'IPV4',
    'NO_BACKEND_REJECT',
    'SOURCE_CHECK',
    'TUNNEL',
  ]);
});

test('what each option turns on or off', () => {
  const change = (sets: string): { on: string[]; off: string[] } => {
    const { config, problems } = resolveConfig({ sets: [sets] });
    assert.deepEqual(problems, [], sets);
    const before = settings(defaultConfig()).bits;
    const { bits } = settings(config);
    const names = (mask: number): string[] =>
      Object.entries(FEATURE).flatMap(([name, bit]) => ((mask & bit) !== 0 ? [name] : []));
    return { on: names(bits & ~before), off: names(before & ~bits) };
  };
  assert.deepEqual(change('bpf.ctAccounting=true'), { on: ['CT_ACCOUNTING'], off: [] });
  assert.deepEqual(change('routingMode=native'), { on: [], off: ['TUNNEL'] });
  assert.deepEqual(change('kubeProxyReplacement=true'), { on: ['NODE_PORT'], off: [] });
  assert.deepEqual(change('ipv4.enabled=false,ipv6.enabled=true'), { on: ['IPV6'], off: ['IPV4'] });
  assert.deepEqual(change('serviceNoBackendResponse=drop'), { on: ['NO_BACKEND_DROP'], off: ['NO_BACKEND_REJECT'] });
  assert.deepEqual(change('enableNoServiceEndpointsRoutable=false'), { on: [], off: ['NO_BACKEND_REJECT'] });
  assert.deepEqual(change('enable-icmp-rules=false'), { on: [], off: ['ICMP_RULES'] });
  assert.deepEqual(change('policyAuditMode=true,sctp.enabled=true'), { on: ['SCTP', 'AUDIT'], off: [] });
  assert.deepEqual(change('bpf.lbExternalClusterIP=true'), { on: ['EXTERNAL_CLUSTER_IP'], off: [] });
});

test('direct server return: by what the dispatch says, where a mode or an annotation asks for it', () => {
  const dsr = FEATURE.DSR_IPIP | FEATURE.DSR_OPTION | FEATURE.DSR_GENEVE | FEATURE.GENEVE;
  const bits = (...sets: string[]): number => {
    const { config, problems } = resolveConfig({ sets: ['routingMode=native', ...sets] });
    assert.deepEqual(problems, [], sets.join());
    return settings(config).bits & dsr;
  };
  const refused = (...sets: string[]): string[] =>
    resolveConfig({ sets }).problems.map(({ severity, message }) => `${severity} ${message}`);
  assert.equal(bits('loadBalancer.mode=dsr,loadBalancer.dsrDispatch=ipip'), FEATURE.DSR_IPIP);
  assert.equal(bits('loadBalancer.mode=hybrid,loadBalancer.dsrDispatch=ipip'), FEATURE.DSR_IPIP);
  assert.equal(bits('bpf.lbModeAnnotation=true,loadBalancer.dsrDispatch=ipip'), FEATURE.DSR_IPIP);
  // A ConfigMap says the same with the agent's keys.
  assert.equal(bits('bpf-lb-mode=dsr', 'bpf-lb-dsr-dispatch=ipip'), FEATURE.DSR_IPIP);
  assert.equal(bits('loadBalancer.mode=dsr'), FEATURE.DSR_OPTION);
  assert.equal(bits('loadBalancer.mode=hybrid,loadBalancer.dsrDispatch=opt'), FEATURE.DSR_OPTION);
  assert.equal(bits('bpf.lbModeAnnotation=true'), FEATURE.DSR_OPTION);
  assert.equal(
    bits('loadBalancer.mode=dsr,loadBalancer.dsrDispatch=geneve,tunnelProtocol=geneve'),
    FEATURE.DSR_GENEVE | FEATURE.GENEVE,
  );
  assert.deepEqual(refused('loadBalancer.mode=dsr,loadBalancer.dsrDispatch=geneve'), [
    'warning geneve without tunnelProtocol: geneve: the agent refuses that; Weir takes Geneve for the overlay',
  ]);
  assert.deepEqual(refused('loadBalancer.mode=hybrid'), [
    'warning opt with routingMode: tunnel: the agent refuses that; Weir sends such packets outside of the overlay',
  ]);
  assert.equal(bits('loadBalancer.mode=snat'), 0);
  assert.equal(bits('loadBalancer.dsrDispatch=ipip'), 0);
});

test('outer sources: the configured prefix, else the node’s own address', () => {
  const state = emptyState();
  const at = { file: 'n.yaml', line: 1, column: 1 };
  const address = (family: 4 | 6, text: string, bytes: number[]) => ({
    type: 'InternalIP',
    address: { family, text, bytes: Uint8Array.from(bytes) },
    origin: at,
  });
  const six = [0xfd, ...Array<number>(14).fill(0), 7];
  const node = {
    kind: 'Node',
    name: 'n1',
    labels: new Map(),
    annotations: new Map(),
    origin: at,
    podCIDRs: [],
    addresses: [address(4, '192.0.2.7', [192, 0, 2, 7]), address(6, 'fd00::7', six)],
  };
  const nodes = [node] as unknown as typeof state.nodes;
  const of = (sets: string, name?: string) => {
    const { config, problems } = resolveConfig({ sets: sets === '' ? [] : [sets] });
    assert.deepEqual(problems, [], sets);
    const made = settingsOf(config, { ...state, nodes }, name === undefined ? {} : { node: name });
    return [made.encapSource4, made.encapPrefix4, [...made.encapSource6], made.encapPrefix6];
  };
  assert.deepEqual(of('', 'n1'), [0xc0000207, 32, six, 128]);
  assert.deepEqual(of(''), [0, 32, Array<number>(16).fill(0), 128]);
  assert.deepEqual(of('bpf-lb-rss-ipv4-src-cidr=10.11.12.13/16', 'n1'), [0x0a0b0000, 16, six, 128]);
  const [, , bytes, bits] = of('bpf-lb-rss-ipv6-src-cidr=fd01::5/112', 'n1');
  assert.deepEqual([bytes, bits], [[0xfd, 1, ...Array<number>(14).fill(0)], 112]);
  for (const wrong of [
    'bpf-lb-rss-ipv6-src-cidr=fd01::/64',
    'bpf-lb-rss-ipv4-src-cidr=fd01::/112',
    'bpf-lb-rss-ipv4-src-cidr=x',
  ])
    assert.equal(resolveConfig({ sets: [wrong] }).problems[0]?.severity, 'error', wrong);
});

test('algorithm, tunnel port and node ports', () => {
  const of = (sets: string) => settings(resolveConfig({ sets: [sets] }).config);
  assert.equal(of('routingMode=tunnel').default, ALGORITHM.RANDOM);
  assert.equal(of('loadBalancer.algorithm=maglev').default, ALGORITHM.MAGLEV);
  assert.equal(of('routingMode=tunnel').tunnelPort, 8472);
  assert.equal(of('tunnelProtocol=geneve').tunnelPort, 6081);
  assert.equal(of('tunnelProtocol=geneve,tunnelPort=4789').tunnelPort, 4789);
  const { nodePortFirst, nodePortLast } = of('nodePort.range=40000\\,41000');
  assert.deepEqual([nodePortFirst, nodePortLast], [40000, 41000]);
});

test('native routing without masquerading is taken without a warning; what is not honoured is told in one line', () => {
  const told = (valuesText: string): string[] => resolveConfig({ valuesText }).problems.map(({ message }) => message);
  assert.deepEqual(told('routingMode: native\nenableIPv4Masquerade: false\nenableIPv6Masquerade: false\n'), []);
  assert.deepEqual(told('bpf: {vlanBypass: [0]}\n'), []);
  const text = 'policyDenyResponse: icmp\nhostFirewall: {enabled: true}\nl7Proxy: false\nbpf: {vlanBypass: [7]}\n';
  assert.deepEqual(told(text), ['l7Proxy: false is not honoured yet, Weir behaves as with true']);
});

test('bpf.vlanBypass: listed VLANs are written and the filter is on; 0 and an empty list stand for all', () => {
  const compiled = (set: string) => new Compiler(resolveConfig({ sets: [set] }).config).compile(emptyState());
  const of = (set: string) => {
    const { maps } = compiled(set);
    const { features } = configValue.decode(maps.config.valueAt(0));
    const ids = Array.from({ length: maps.vlans.size }, (_, i) => vlanKey.decode(maps.vlans.keyAt(i)).id);
    return { on: (features & FEATURE.VLAN_FILTER) !== 0, ids };
  };
  assert.deepEqual(of('bpf.vlanBypass={7,4094,7}'), { on: true, ids: [7, 4094] });
  assert.deepEqual(of('bpf.vlanBypass={0,7}'), { on: false, ids: [] });
  assert.deepEqual(of('bpf.vlanBypass={}'), { on: false, ids: [] });
});
