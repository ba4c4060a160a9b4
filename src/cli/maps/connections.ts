// Lists of what the datapath remembers and knows of addresses: conntrack, NAT, ipcache, policy, metrics. Input: maps.
// Output: listings in the form of `cilium-dbg bpf`. Invariant: times are seconds since the start of the datapath's clock; a
// snapshot knows no present but the newest time in it.
import {
  CT_FLAG,
  CT_KEY,
  ctEntry,
  ctKey4,
  ctKey6,
  DIRECTION,
  ipcacheKey4,
  ipcacheKey6,
  ipcacheValue,
  IPCACHE_FLAG,
  type MapName,
  metricsKey,
  metricsValue,
  natEntry4,
  natEntry6,
  natKey4,
  natKey6,
  POLICY_DIRECTION,
  policyKey,
  policyValue,
  PRECEDENCE,
  SHAPE_ANY_PROTOCOL,
} from '../../schema/index.ts';
import { dropName } from '../../schema/drop.ts';
import { reservedIdentityName } from '../../flow/identity-name.ts';
import type { Listing, ListRow } from './listing.ts';
import type { MapSource } from './source.ts';
import { addressText, protocolText, socketText } from './texts.ts';

const CT_MAPS = [
  ['ctTcp4', ctKey4],
  ['ctTcpNew4', ctKey4],
  ['ctAny4', ctKey4],
  ['ctAnyNew4', ctKey4],
  ['ctTcp6', ctKey6],
  ['ctTcpNew6', ctKey6],
  ['ctAny6', ctKey6],
  ['ctAnyNew6', ctKey6],
] as const;

const FLAG_WORDS = [
  [CT_FLAG.RX_CLOSING, 'RxClosing'],
  [CT_FLAG.TX_CLOSING, 'TxClosing'],
  [CT_FLAG.LOOPBACK, 'LBLoopback'],
  [CT_FLAG.SEEN_NON_SYN, 'SeenNonSyn'],
  [CT_FLAG.NODE_PORT, 'NodePort'],
  [CT_FLAG.PROXY_REDIRECT, 'ProxyRedirect'],
  [CT_FLAG.DSR_INTERNAL, 'DSRInternal'],
  [CT_FLAG.FROM_L7LB, 'FromL7LB'],
  [CT_FLAG.FROM_TUNNEL, 'FromTunnel'],
] as const;

const inLines = (rows: ListRow[]): Listing => ({
  head: [],
  rows: rows.sort((a, b) => (a.cells[0]! < b.cells[0]! ? -1 : a.cells[0]! > b.cells[0]! ? 1 : 0)),
});

const hexText = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`;

/** Connections, as `cilium-dbg bpf ct list global`. */
export function conntrackListing(source: MapSource): Listing {
  const rows: ListRow[] = [];
  for (const [map, layout] of CT_MAPS) {
    for (const [rawKey, rawEntry] of source.entries(map as MapName)) {
      const key = layout.decode(rawKey);
      const entry = ctEntry.decode(rawEntry);
      const low = socketText(key.lowAddress, key.lowPort);
      const high = socketText(key.highAddress, key.highPort);
      const [owner, peer] = (key.flags & CT_KEY.OWNER_HIGH) !== 0 ? [high, low] : [low, high];
      const inbound = (entry.flags & CT_FLAG.INBOUND) !== 0;
      const service = (key.flags & CT_KEY.SERVICE) !== 0;
      const direction = service ? 'SVC' : inbound ? 'IN' : 'OUT';
      // A service entry's client opened the connection, at whichever end its owner is.
      const [from, to] = inbound ? [peer, owner] : [owner, peer];
      const words = FLAG_WORDS.flatMap(([bit, word]) => ((entry.flags & bit) !== 0 ? [word] : []));
      const related = (key.flags & CT_KEY.RELATED) !== 0 ? ' related' : '';
      const protocol = protocolText(key.protocol);
      const parts = [
        `${protocol} ${direction} ${from} -> ${to}${related}`,
        `expires=${entry.lifetime}`,
        `Packets=${entry.packets}`,
        `Bytes=${entry.bytes}`,
        `RxFlagsSeen=${hexText(entry.rxFlags, 2)}`,
        `LastRxReport=${entry.lastRxReport}`,
        `TxFlagsSeen=${hexText(entry.txFlags, 2)}`,
        `LastTxReport=${entry.lastTxReport}`,
        `Flags=${hexText(entry.flags, 4)} [ ${words.map((word) => `${word} `).join('')}]`,
        `RevNAT=${entry.reverseNat}`,
        `SourceSecurityID=${entry.remoteIdentity}`,
        `BackendID=${service ? entry.backend : 0}`,
      ];
      rows.push({
        cells: [parts.join(' ')],
        object: {
          protocol,
          direction,
          source: from,
          destination: to,
          related: related !== '',
          answered: (entry.flags & CT_FLAG.ANSWERED) !== 0,
          expires: entry.lifetime,
          packets: Number(entry.packets),
          bytes: Number(entry.bytes),
          flags: words,
          revNat: entry.reverseNat,
          remoteIdentity: entry.remoteIdentity,
          cookie: entry.cookie,
          ...(service ? { backendId: entry.backend } : {}),
        },
      });
    }
  }
  return inLines(rows);
}

/** Translations, as `cilium-dbg bpf nat list`. Ages are counted from the newest translation. */
export function natListing(source: MapSource): Listing {
  const found = (
    [
      ['nat4', natKey4, natEntry4],
      ['nat6', natKey6, natEntry6],
    ] as const
  ).flatMap(([map, keyLayout, valueLayout]) =>
    source.entries(map).map(([key, value]) => ({ key: keyLayout.decode(key), value: valueLayout.decode(value) })),
  );
  const now = Math.max(0, ...found.map(({ value }) => value.created));
  const rows = found.map(({ key, value }): ListRow => {
    const back = (key.flags & 1) !== 0;
    const protocol = protocolText(key.protocol);
    const from = socketText(key.source, key.sourcePort);
    const to = socketText(key.destination, key.destinationPort);
    const put = socketText(value.address, value.port);
    const needsCt = value.flags & 1;
    const text = `${protocol} ${back ? 'IN' : 'OUT'} ${from} -> ${to} ${back ? 'XLATE_DST' : 'XLATE_SRC'} ${put} Created=${now - value.created}sec ago NeedsCT=${needsCt}`;
    const direction = back ? 'IN' : 'OUT';
    return {
      cells: [text],
      object: {
        protocol,
        direction,
        source: from,
        destination: to,
        to: put,
        created: value.created,
        needsCt: needsCt === 1,
      },
    };
  });
  return inLines(rows);
}

/** Who an address is, as `cilium-dbg bpf ipcache list`. */
export function ipcacheListing(source: MapSource): Listing {
  const rows: (ListRow & { readonly order: string })[] = [];
  for (const [map, layout] of [
    ['ipcache4', ipcacheKey4],
    ['ipcache6', ipcacheKey6],
  ] as const) {
    for (const [key, value] of source.entries(map)) {
      const { prefixLength, address } = layout.decode(key);
      const { identity, nodeId, flags, key: encryptKey, tunnelEndpoint } = ipcacheValue.decode(value);
      const six = (flags & IPCACHE_FLAG.IPV6_TUNNEL_ENDPOINT) !== 0;
      const tunnel = addressText(six ? tunnelEndpoint : tunnelEndpoint.slice(0, 4));
      const prefix = `${addressText(address)}/${prefixLength - 32}`;
      const name = reservedIdentityName(identity) ?? source.identityName(identity);
      rows.push({
        order: `${map}${Buffer.from(key.subarray(8)).toString('hex')}${prefixLength}`,
        cells: [
          prefix,
          `identity=${identity} encryptkey=${encryptKey} tunnelendpoint=${tunnel} flags=${flags === 0 ? '<none>' : flags} node=${nodeId}`,
        ],
        object: { prefix, identity, ...(name === undefined ? {} : { labels: name }), nodeId, flags, encryptKey },
      });
    }
  }
  rows.sort((a, b) => (a.order < b.order ? -1 : 1));
  return { head: ['IP PREFIX/ADDRESS', 'IDENTITY'], rows };
}

/** Policy entries, as `cilium-dbg bpf policy get`; the last column tells the policy that several endpoints may share. */
export function policyListing(source: MapSource): Listing {
  const found = source
    .entries('policy')
    .map(([key, value]) => ({ key: policyKey.decode(key), value: policyValue.decode(value) }));
  found.sort(
    (a, b) =>
      a.key.policyId - b.key.policyId ||
      (a.key.shape & 0x80) - (b.key.shape & 0x80) ||
      a.key.identity - b.key.identity ||
      a.key.protocol - b.key.protocol ||
      a.key.port - b.key.port ||
      a.key.shape - b.key.shape,
  );
  const rows = found.map(({ key, value }): ListRow => {
    const egress = (key.shape & POLICY_DIRECTION.EGRESS) !== 0;
    const bits = key.shape & 0x7f;
    const byte = value.precedence & 0xff;
    const verdict = byte === PRECEDENCE.DENY ? 'Deny' : byte === PRECEDENCE.PASS ? 'Pass' : 'Allow';
    const labels =
      key.identity === 0
        ? 'ANY'
        : (reservedIdentityName(key.identity) ?? source.identityName(key.identity) ?? `ID:${key.identity}`);
    const any = bits === SHAPE_ANY_PROTOCOL;
    const port = any ? 'ANY' : `${bits === 0 ? 'ANY' : key.port}/${protocolText(key.protocol)}`;
    const proxy = value.proxyPort === 0 ? 'NONE' : String(value.proxyPort);
    const prefix = any ? 0 : 8 + bits;
    const direction = egress ? 'Egress' : 'Ingress';
    const named = /^[a-z]/.test(labels) && !labels.includes(':') ? `reserved:${labels}` : labels;
    return {
      cells: [
        verdict,
        direction,
        named,
        port,
        proxy,
        value.flags === 0 ? 'disabled' : String(value.flags & 0x7f),
        '0',
        '0',
        String(prefix),
      ],
      object: {
        policyId: key.policyId,
        verdict: verdict.toLowerCase(),
        direction: direction.toLowerCase(),
        identity: key.identity,
        labels: named,
        port,
        proxyPort: value.proxyPort,
        prefix,
        precedence: value.precedence,
        cookie: value.cookie,
      },
    };
  });
  return {
    head: [
      'POLICY',
      'DIRECTION',
      'LABELS (source:key[=value])',
      'PORT/PROTO',
      'PROXY PORT',
      'AUTH TYPE',
      'BYTES',
      'PACKETS',
      'PREFIX',
    ],
    rows,
  };
}

const DIRECTION_TEXT: Readonly<Record<number, string>> = {
  [DIRECTION.UNKNOWN]: 'UNKNOWN',
  [DIRECTION.INGRESS]: 'INGRESS',
  [DIRECTION.EGRESS]: 'EGRESS',
  [DIRECTION.SERVICE]: 'SERVICE',
};

/** Counters, as `cilium-dbg bpf metrics list`. */
export function metricsListing(source: MapSource): Listing {
  const rows = source.entries('metrics').map(([key, value]): ListRow => {
    const { index } = metricsKey.decode(key);
    const { packets, bytes } = metricsValue.decode(value);
    const reason = index >>> 2 === 0 ? 'Success' : dropName(index >>> 2);
    const direction = DIRECTION_TEXT[index & 3]!;
    return {
      cells: [reason, direction, String(packets), String(bytes)],
      object: {
        code: index >>> 2,
        reason,
        direction: direction.toLowerCase(),
        packets: Number(packets),
        bytes: Number(bytes),
      },
    };
  });
  return { head: ['REASON', 'DIRECTION', 'PACKETS', 'BYTES'], rows };
}
