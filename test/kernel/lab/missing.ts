// What the lab needs of the machine. Input: none. Output: everything that is missing, in one list, or undefined.
// Invariant: nothing is left behind; a namespace is made and removed to see whether it can be wired.
import { existsSync } from 'node:fs';
import { kernelUnavailable } from '../../../src/dataplane/xdp/index.ts';
import { commandMissing, makeNamespace, run } from '../kernel.ts';

/** Programs that the lab runs. */
const COMMANDS = ['clang', 'ip', 'sysctl', 'ss', 'ethtool', 'tcpdump', 'nginx', 'curl'];

/** Whatever is missing, named. */
export function labMissing(): { readonly feature: string } | undefined {
  const missing: string[] = [];
  const kernel = kernelUnavailable('engine');
  if (kernel !== undefined) missing.push(kernel.feature);
  const commands = commandMissing(...COMMANDS);
  if (commands !== undefined) missing.push(commands.feature);
  if (!existsSync('/proc/net/if_inet6')) missing.push('IPv6');
  if (missing.length === 0 && !canWire()) missing.push('network namespaces with veth and bridge');
  return missing.length === 0 ? undefined : { feature: missing.join(', ') };
}

function canWire(): boolean {
  try {
    const { name, remove } = makeNamespace();
    try {
      run('ip', '-n', name, 'link', 'add', 'br0', 'type', 'bridge');
    } finally {
      remove();
    }
    return true;
  } catch {
    return false;
  }
}
