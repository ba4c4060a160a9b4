// What stress.test.ts and its processors agree on. Input: none. Output: addresses, cookies, sizes.
import { MAPS } from '../../src/schema/index.ts';
import { SMALL } from '../support/datapath-world.ts';

export const CLIENT = '10.0.1.1';
export const VIP = '172.16.0.1';
export const BACKENDS: readonly string[] = ['10.0.2.2', '10.0.2.3'];
export const FLOWS = 16;
/** Rule sets of the two policies that take turns: one that allows, one that would refuse but audits. */
export const PLAIN_COOKIE = 44;
export const AUDITED_COOKIE = 45;

/** Small maps. */
export const specs = Object.fromEntries(
  Object.entries(MAPS).map(([name, { maxEntries, ...spec }]) => [
    name,
    {
      maxEntries: Math.min(maxEntries, 1024),
      ...('innerEntries' in spec ? { innerEntries: 251 } : {}),
      ...SMALL[name as keyof typeof MAPS],
    },
  ]),
);
