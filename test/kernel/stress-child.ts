// One of the processors of stress.test.ts: packets of the same connections as the other's, over the same maps, which are pinned.
// Input: the folder of the pins, packets, which one this is, as arguments. Output: a JSON line of what was not as it must be.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { argv, stdout } from 'node:process';
import { Meta, Packet } from '../../src/dataplane/index.ts';
import { createXdp, type Handle } from '../../src/dataplane/xdp/index.ts';
import { CT_STATUS, HOOK, RECORD_FLAG, VERDICT } from '../../src/schema/index.ts';
import { frame } from '../support/packets.ts';
import { theAddon } from './kernel.ts';
import { AUDITED_COOKIE, CLIENT, FLOWS, PLAIN_COOKIE, specs, VIP } from './stress.ts';

const [folder = '', packets = '0', which = '0'] = argv.slice(2);
const addon = theAddon();
const reuse = new Map<string, Handle>(readdirSync(folder).map((name) => [name, addon.mapOpen(join(folder, name))]));
const engine = createXdp({ specs, reuse });
const meta = new Meta();
const wrong = { verdict: 0, status: 0, backend: 0, decision: 0, errors: 0 };
const backends = new Map<number, number>();
let audited = 0;
let plain = 0;

for (let n = 0; n < Number(packets); n++) {
  const flow = (n * 7 + Number(which)) % FLOWS;
  const bytes = frame({
    protocol: 'tcp',
    source: CLIENT,
    destination: VIP,
    sourcePort: 1000 + flow,
    destinationPort: 80,
    flags: 'A',
  });
  engine.run(HOOK.FROM_CONTAINER, new Packet().set(bytes, 1000 + Math.floor(n / 20_000)), meta.reset());
  const { verdict, ctStatus, backendId, cookie, flags } = engine.decision();
  if (engine.runErrno !== 0) wrong.errors++;
  if (verdict !== VERDICT.FORWARDED && verdict !== VERDICT.AUDIT) wrong.verdict++;
  if (ctStatus !== CT_STATUS.ESTABLISHED) wrong.status++;
  const known = backends.get(flow);
  if (known === undefined) backends.set(flow, backendId);
  else if (known !== backendId) wrong.backend++;
  // A decision is whole: this cookie comes with that flag.
  const isAudited = (flags & RECORD_FLAG.AUDITED) !== 0;
  if (isAudited) audited++;
  else plain++;
  if (cookie !== (isAudited ? AUDITED_COOKIE : PLAIN_COOKIE)) wrong.decision++;
}
engine.close();
stdout.write(`${JSON.stringify({ wrong, audited, plain, backends: [...backends] })}\n`);
