// Lists of maps: the lines that people grep, from hand-made snapshots. Input: entries. Output: text, as on standard output.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { listText } from '../../../src/cli/maps/listing.ts';
import { conntrackListing, ipcacheListing, natListing, policyListing } from '../../../src/cli/maps/connections.ts';
import {
  affinityListing,
  lbListing,
  maglevListing,
  objectsOnly,
  serviceListing,
} from '../../../src/cli/maps/services.ts';
import type { MapSource, RawEntry } from '../../../src/cli/maps/source.ts';
import {
  affinityKey4,
  affinityValue,
  CT_FLAG,
  CT_KEY,
  ctEntry,
  ctKey4,
  ipcacheKey6,
  ipcacheValue,
  type MapName,
  natEntry4,
  natKey4,
  policyKey,
  policyValue,
} from '../../../src/schema/index.ts';
import { ControllerWorld } from '../../support/controller-world.ts';
import { eps, svc } from '../../support/service-objects.ts';
import { KPR } from '../../support/service-scenario.ts';

const source = (maps: Partial<Record<MapName, readonly RawEntry[]>>): MapSource => ({
  entries: (map) => [...(maps[map] ?? [])],
  identityName: () => undefined,
});
const ip = (a: number, b: number, c: number, d: number): number => ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;

test('frontends and slots, services, Maglev tables: in the columns of cilium-dbg', () => {
  const world = new ControllerWorld({
    ...KPR,
    'maglev.tableSize': 251,
    'loadBalancer.algorithm': 'maglev',
    'bpf.lbExternalClusterIP': true,
  });
  world.put(svc({ spec: { sessionAffinity: 'ClientIP' } }), eps(['10.20.1.1', '10.20.1.2'])).health('10.20.1.2', false);
  const sick = source(world.dump() as Record<MapName, RawEntry[]>);
  assert.equal(
    listText(lbListing(sick), 'table'),
    [
      'SERVICE ADDRESS               BACKEND ADDRESS (REVNAT_ID) (SLOT)',
      '172.30.1.1:0/ANY (0)          0.0.0.0:0 (0) (0) [ClusterIP, non-routable]',
      '172.30.1.1:7000/TCP (0)       0.0.0.0:0 (1) (0) [ClusterIP, sessionAffinity]',
      '172.30.1.1:7000/TCP (1)       10.20.1.1:9000/TCP (1) (1)',
      '172.30.1.1:7000/TCP (2)       10.20.1.2:9000/TCP (1) (2) [quarantined]',
      '',
    ].join('\n'),
  );
  assert.equal(
    listText(serviceListing(sick), 'table'),
    [
      'ID   Frontend              Service Type   Backend',
      '1    172.30.1.1:7000/TCP   ClusterIP      1 => 10.20.1.1:9000/TCP (active)',
      '                                          2 => 10.20.1.2:9000/TCP (quarantined)',
      '',
    ].join('\n'),
  );
  assert.deepEqual(JSON.parse(listText(objectsOnly(serviceListing(sick)), 'json')), {
    id: 1,
    frontend: '172.30.1.1:7000/TCP',
    type: 'ClusterIP',
    flags: ['sessionAffinity'],
    backends: [
      { backend: '10.20.1.1:9000/TCP', state: 'active' },
      { backend: '10.20.1.2:9000/TCP', state: 'quarantined' },
    ],
  });
  world.health('10.20.1.2', true);
  const lines = listText(maglevListing(source(world.dump() as Record<MapName, RawEntry[]>)), 'table').split('\n');
  assert.equal(lines[0], 'SVC ID   LOOKUP TABLE');
  assert.match(lines[1]!, /^1 {8}\[(?:[12] ){250}[12]\]$/);
  assert.equal(listText(maglevListing(source({})), 'yaml'), '[]\n');
});

test('a slot whose backend is missing is shown', () => {
  const world = new ControllerWorld().put(svc(), eps(['10.20.1.1']));
  const { services4 } = world.dump() as Record<MapName, RawEntry[]>;
  assert.match(listText(lbListing(source({ services4 })), 'table'), /0.0.0.0:0 \(backend 1 is missing\) \(1\) \(1\)/);
});

test('connections and translations are the lines of cilium-dbg', () => {
  const key = { lowAddress: ip(10, 0, 0, 1), highAddress: ip(10, 0, 0, 2), lowPort: 40000, highPort: 80, protocol: 6 };
  const entry = {
    packets: 3n,
    bytes: 180n,
    lifetime: 8010,
    flags: CT_FLAG.SEEN_NON_SYN | CT_FLAG.ANSWERED,
    reverseNat: 5,
    remoteIdentity: 777,
    policyEpoch: 1,
    cookie: 2,
    backend: 9,
    natAddress: new Uint8Array(12),
    natPort: 0,
    txFlags: 0x12,
    rxFlags: 0x10,
    lastTxReport: 4,
    lastRxReport: 6,
  };
  const rows: RawEntry[] = [
    [ctKey4.encode({ ...key, flags: 0 }), ctEntry.encode(entry)],
    [ctKey4.encode({ ...key, flags: CT_KEY.OWNER_HIGH }), ctEntry.encode({ ...entry, flags: CT_FLAG.INBOUND })],
    [ctKey4.encode({ ...key, flags: CT_KEY.SERVICE }), ctEntry.encode(entry)],
  ];
  const lines = listText(conntrackListing(source({ ctTcp4: rows })), 'table').split('\n');
  assert.match(lines[0]!, /^TCP IN 10.0.0.1:40000 -> 10.0.0.2:80 expires=8010 /);
  assert.equal(
    lines[1],
    'TCP OUT 10.0.0.1:40000 -> 10.0.0.2:80 expires=8010 Packets=3 Bytes=180 RxFlagsSeen=0x10 LastRxReport=6 TxFlagsSeen=0x12 LastTxReport=4 Flags=0x1010 [ SeenNonSyn ] RevNAT=5 SourceSecurityID=777 BackendID=0',
  );
  assert.match(lines[2]!, /^TCP SVC .* BackendID=9$/);

  const nat = (source: number, destination: number, flags: number, to: number, created: number): RawEntry => [
    natKey4.encode({ source, destination, sourcePort: 34490, destinationPort: 443, protocol: 6, flags }),
    natEntry4.encode({ address: to, port: 62218, flags: 0, created, reverseNat: 0 }),
  ];
  const pod = ip(10, 184, 1, 251);
  const server = ip(10, 178, 16, 166);
  const text = listText(
    natListing(source({ nat4: [nat(pod, server, 0, ip(10, 178, 69, 14), 10), nat(server, pod, 1, pod, 14)] })),
    'table',
  );
  assert.equal(
    text,
    [
      'TCP IN 10.178.16.166:34490 -> 10.184.1.251:443 XLATE_DST 10.184.1.251:62218 Created=0sec ago NeedsCT=0',
      'TCP OUT 10.184.1.251:34490 -> 10.178.16.166:443 XLATE_SRC 10.178.69.14:62218 Created=4sec ago NeedsCT=0',
      '',
    ].join('\n'),
  );
});

test('affinity, ipcache and policy', () => {
  const affinity4: RawEntry[] = [
    [
      affinityKey4.encode({ client: [0x0100000a, 0], reverseNat: 3, isCookie: 0 }),
      affinityValue.encode({ lastUsed: 7, backendId: 2 }),
    ],
    [
      affinityKey4.encode({ client: [4711, 0], reverseNat: 3, isCookie: 1 }),
      affinityValue.encode({ lastUsed: 8, backendId: 1 }),
    ],
  ];
  assert.deepEqual(
    listText(affinityListing(source({ affinity4 })), 'table')
      .trim()
      .split('\n')
      .slice(1),
    ['10.0.0.1      3        2            7', 'cookie 4711   3        1            8'],
  );
  const address = Uint8Array.of(0xfd, ...new Array<number>(15).fill(0));
  const ipcache6: RawEntry[] = [
    [
      ipcacheKey6.encode({ prefixLength: 40, clusterId: 0, address }),
      ipcacheValue.encode({ identity: 2, nodeId: 0, flags: 0, key: 0, tunnelEndpoint: new Uint8Array(16) }),
    ],
  ];
  assert.match(listText(ipcacheListing(source({ ipcache6 })), 'table'), /^fd00::\/8 +identity=2 /m);
  const policy: RawEntry[] = [
    [
      policyKey.encode({ policyId: 1, identity: 0, port: 80, protocol: 6, shape: 0x80 | 16 }),
      policyValue.encode({ precedence: 1, cookie: 1, proxyPort: 0, flags: 0 }),
    ],
    [
      policyKey.encode({ policyId: 1, identity: 4097, port: 0, protocol: 0, shape: 17 }),
      policyValue.encode({ precedence: 255, cookie: 1, proxyPort: 0, flags: 0 }),
    ],
  ];
  assert.equal(
    listText(policyListing(source({ policy })), 'table'),
    [
      'POLICY   DIRECTION   LABELS (source:key[=value])   PORT/PROTO   PROXY PORT   AUTH TYPE   BYTES   PACKETS   PREFIX',
      'Deny     Ingress     ID:4097                       ANY          NONE         disabled    0       0         0',
      'Allow    Egress      ANY                           80/TCP       NONE         disabled    0       0         24',
      '',
    ].join('\n'),
  );
});
