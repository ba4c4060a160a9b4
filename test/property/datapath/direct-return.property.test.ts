// Direct server return over any client, frontend, backend and header: what one node writes the other reads, the header's checksum is
// what a full computation gives, and the rest of the packet is the client's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FEATURE, SERVICE_FLAG, VERDICT } from '../../../src/schema/index.ts';
import { World } from '../../support/datapath-world.ts';
import { optionOf, withIpOptions, withOption } from '../../support/direct-return.ts';
import { addressText, frame, seen } from '../../support/packets.ts';

const address = fc.boolean().chain((six) =>
  fc.tuple(
    fc.constant(six),
    // Neither loopback nor groups, and three that differ.
    fc.uniqueArray(fc.uint8Array({ minLength: six ? 16 : 4, maxLength: six ? 16 : 4 }), {
      minLength: 3,
      maxLength: 3,
      selector: (bytes) => bytes.slice(1).join(),
    }),
  ),
);
const ends = address.map(([six, list]) =>
  list.map((bytes, i) => {
    const out = bytes.slice();
    out[0] = six ? 0x20 + i : 10 + i;
    return addressText(out);
  }),
);
const port = fc.integer({ min: 1, max: 65535 });

test('what the balancer tells the backend’s node hears, and every checksum is right', () => {
  fc.assert(
    fc.property(
      ends,
      fc.tuple(port, port, port),
      fc.constantFrom('tcp' as const, 'udp' as const),
      fc.nat(255),
      fc.nat(8),
      fc.uint8Array({ maxLength: 60 }),
      ([client, vip, pod], [clientPort, vipPort, podPort], protocol, tos, options, payload) => {
        const four = !client!.includes(':');
        const world = (): World => {
          const w = new World();
          w.enable(FEATURE.NODE_PORT, FEATURE.DSR_OPTION).backend(1, pod!, podPort);
          const flags = SERVICE_FLAG.ROUTABLE | SERVICE_FLAG.FORWARD_DSR;
          w.service(vip!, vipPort, { backends: [1], protocol, flags });
          return w;
        };
        const request = { protocol, source: client!, sourcePort: clientPort, payload };
        const dressed = (destination: string, destinationPort: number): Uint8Array => {
          const bytes = frame({ ...request, destination, destinationPort });
          if (!four) return bytes;
          bytes[15] = tos;
          return withIpOptions(bytes, new Uint8Array(4 * options).fill(1));
        };
        const wire = world().runBytes('FROM_NETDEV', dressed(vip!, vipPort));
        assert.equal(wire.verdict, VERDICT.FORWARDED);
        assert.deepEqual(wire.bytes, withOption(dressed(pod!, podPort), vip!, vipPort));
        assert.ok(wire.checksumsRight);
        assert.deepEqual(optionOf(wire.bytes), { address: vip, port: vipPort });
        const backend = world();
        backend.endpoint(pod!);
        const arrived = backend.runBytes('FROM_NETDEV', wire.bytes);
        assert.ok(arrived.checksumsRight);
        assert.equal(backend.next('TO_CONTAINER', arrived).verdict, VERDICT.FORWARDED);
        const back = backend.run('FROM_CONTAINER', {
          protocol,
          source: pod!,
          destination: client!,
          sourcePort: podPort,
          destinationPort: clientPort,
          flags: 'SA',
          payload,
        });
        const { source, sourcePort, destination, checksumsRight } = seen(back.bytes);
        assert.deepEqual([source, sourcePort, destination, checksumsRight], [vip, vipPort, client, true]);
      },
    ),
    { numRuns: 300 },
  );
});
