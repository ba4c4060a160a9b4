// `weir service list` and `weir bpf lb|ct|nat|maglev|affinity|ipcache|policy|metrics list`: what is in the maps.
// Input: `--maps DIR` (snapshots of `replay --dump-maps`), or manifests. Output: a table as `cilium-dbg` prints it, JSON, YAML.
import { type Command, Option } from 'commander';
import { conntrackListing, ipcacheListing, metricsListing, natListing, policyListing } from './maps/connections.ts';
import { LIST_FORMATS, type Listing, type ListFormat, printList } from './maps/listing.ts';
import { affinityListing, lbListing, maglevListing, objectsOnly, serviceListing } from './maps/services.ts';
import { type MapSource, openMaps } from './maps/source.ts';
import { addClusterOptions, type ClusterOptions } from './shared-options.ts';

interface ListOptions extends ClusterOptions {
  readonly maps?: string;
  readonly output: ListFormat;
}

const LISTS: readonly (readonly [string, string, (source: MapSource) => Listing])[] = [
  ['lb', 'frontends and their slots', lbListing],
  ['maglev', 'Maglev tables', maglevListing],
  ['affinity', 'session affinity', affinityListing],
  ['ct', 'connections', conntrackListing],
  ['nat', 'translations', natListing],
  ['ipcache', 'identities of addresses', ipcacheListing],
  ['policy', 'policy entries', policyListing],
  ['metrics', 'counters', metricsListing],
];

/** Adds `weir service` and `weir bpf`. */
export function addMapCommands(program: Command): void {
  const service = program.command('service').description('services as the maps have them');
  addList(service, 'list the frontends with their backends', serviceListing);
  const bpf = program.command('bpf').description('the content of the maps');
  for (const [name, what, listing] of LISTS)
    addList(bpf.command(name).description(what), `list ${what}`, listing, name === 'ct');
}

function addList(
  parent: Command,
  description: string,
  listing: (source: MapSource) => Listing,
  hasScope = false,
): void {
  const command = parent.command('list').description(description);
  // `cilium-dbg bpf ct list global`: there is one table for all endpoints.
  if (hasScope) command.argument('[scope]', 'global: the one there is', 'global');
  addClusterOptions(command)
    .option('--maps <folder>', 'snapshots that replay --dump-maps wrote')
    .addOption(new Option('-o, --output <format>', 'output format').choices([...LIST_FORMATS]).default('table'))
    .action(async (...given: unknown[]) => {
      const options = given[hasScope ? 1 : 0] as ListOptions;
      const list = listing(await openMaps(options));
      await printList(options.output === 'table' ? list : objectsOnly(list), options.output);
    });
}
