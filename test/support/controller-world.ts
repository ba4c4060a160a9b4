// A running control plane beside the maps that it writes: steps of objects, checked after every single write. Input: YAML.
// Output: the maps as lines of text, numbers, desired tables. Invariant: after each write nothing dangles.
import assert from 'node:assert/strict';
import type { DesiredMaps } from '../../src/control/desired-map.ts';
import type { Config } from '../../src/control/config/index.ts';
import { type ContentDump, Controller } from '../../src/control/controller.ts';
import { type DesiredMap, MapBuilder } from '../../src/control/desired-map.ts';
import type { MemoryDump } from '../../src/control/service/remembered-numbers.ts';
import type { MapWrite } from '../../src/maps/map-write.ts';
import { MAPS } from '../../src/schema/index.ts';
import { MapContent } from './map-content.ts';
import { configWith, stateOf } from './policy-world.ts';
import { KPR } from './service-scenario.ts';
import { backendIdsOf, frontendIdsOf, serviceLinesOf } from './service-view.ts';

const unhex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const SERVICE_MAPS = [
  'services4',
  'services6',
  'backends4',
  'backends6',
  'reverseNat4',
  'reverseNat6',
  'maglev4',
  'maglev6',
  'affinityMatch',
  'sourceRange4',
  'sourceRange6',
  'scaleToZero',
  'maglevPrevious4',
  'maglevPrevious6',
] as const;

/** Desired tables as text: `A : b b` or `A T : b b`. */
export interface DesiredLines {
  readonly services: string[];
  readonly frontends: string[];
  readonly backends: string[];
}

/** See the head of this file. */
export class ControllerWorld {
  controller: Controller;
  content = new MapContent();
  /** Writes of the last step. */
  writes: readonly MapWrite[] = [];
  private readonly node: string | undefined;

  constructor(changes: Partial<Config> = KPR, node: string | undefined = undefined) {
    this.node = node;
    this.controller = this.made(changes);
  }

  private made(changes: Partial<Config>): Controller {
    return new Controller(configWith(changes), this.node === undefined ? {} : { node: this.node });
  }

  /** Documents are added or updated; then the control plane settles. */
  put(...documents: string[]): this {
    this.take(...documents);
    return this.settle();
  }

  /** As put, without settling. */
  take(...documents: string[]): this {
    const state = stateOf(documents.join('\n---\n'));
    for (const list of [state.nodes, state.pods, state.services, state.endpointSlices, state.endpoints])
      for (const object of list) this.controller.upsert(object);
    return this;
  }

  /** Objects go: `Service lab/shop`. */
  drop(...names: string[]): this {
    for (const name of names) {
      const [kind, key] = name.split(' ');
      this.controller.remove(kind as 'Service', key!);
    }
    return this.settle();
  }

  /** A re-list of one kind. */
  relist(kind: 'Service' | 'EndpointSlice', ...documents: string[]): this {
    const state = stateOf(documents.join('\n---\n'));
    this.controller.replace(kind, kind === 'Service' ? state.services : state.endpointSlices);
    return this.settle();
  }

  health(address: string, healthy: boolean, port = 9000, name = 'store'): this {
    this.controller.learn({ namespace: 'web', name, address, port, protocol: 'TCP', healthy });
    return this.settle();
  }

  settle(): this {
    const { writes, problems } = this.controller.settle();
    assert.deepEqual(
      problems
        .filter(({ severity }) => severity === 'error')
        .filter(({ message }) => !message.startsWith('no node is')),
      [],
    );
    return this.apply(writes);
  }

  /** A full pass over the maps as they are. */
  prune(): this {
    return this.apply(this.controller.prune(this.dump()));
  }

  /** Another process on the same maps, and on what a datapath remembers. Nothing is written yet. */
  restart(changes: Partial<Config> = KPR, memory: MemoryDump = {}): this {
    this.controller = this.made(changes);
    this.controller.restore({ ...this.dump(), ...memory });
    return this;
  }

  private apply(writes: readonly MapWrite[]): this {
    this.writes = writes;
    for (const write of writes) {
      this.content.apply(write);
      const lost = this.content.dangling();
      assert.equal(lost, undefined, `after ${write.op} of ${write.map}: ${lost}`);
    }
    return this;
  }

  /** The maps' content. */
  dump(): ContentDump {
    return Object.fromEntries(
      SERVICE_MAPS.map((map) => [
        map,
        [...this.content.of(MAPS[map].name)].map(([key, value]) => [unhex(key), value] as const),
      ]),
    );
  }

  /** The maps' content as compiled maps. */
  get maps(): DesiredMaps {
    const dump = this.dump();
    return Object.fromEntries(
      SERVICE_MAPS.map((map): [string, DesiredMap] => {
        const builder = new MapBuilder(MAPS[map]);
        for (const [key, value] of dump[map]!) builder.set(key, value);
        return [map, builder.finish()];
      }),
    ) as unknown as DesiredMaps;
  }

  /** The maps as text, sorted. */
  get lines(): string {
    return serviceLinesOf(this.maps).join('\n');
  }

  get frontendIds(): Record<string, number> {
    return frontendIdsOf(this.maps);
  }

  get backendIds(): Record<string, number> {
    return backendIdsOf(this.maps);
  }

  /** How many entries a map has. */
  size(map: (typeof SERVICE_MAPS)[number]): number {
    return this.maps[map].size;
  }

  /** The desired tables. */
  get desired(): DesiredLines {
    return {
      services: this.controller.serviceRows().map(({ name, source }) => `${name} ${source}`),
      frontends: this.controller
        .frontendRows()
        .map(({ address, type, backends }) => [address, type, ':', ...backends].join(' '))
        .sort(),
      backends: this.controller
        .backendRows()
        .map(({ address, state }) => (state === 'active' ? address : `${address} ${state}`))
        .sort(),
    };
  }
}
