// What a backend id stands for, as text: for packets that go to their backend without being translated (IPIP).
// Input: the dataplane's maps. Output: `10.77.0.21:80`. Invariant: each id is read once.
import { socketText } from '../flow/index.ts';
import type { ByteMap } from '../maps/index.ts';
import { BACKEND_STATE, MAPS } from '../schema/index.ts';
import { addressText, portNumber } from './address-text.ts';

/** Answers with address and port of a backend of a family, undefined for an id that is none. */
export type BackendText = (family: 4 | 6, id: number) => string | undefined;

/** Reads the maps by the names of their specs. */
export function backendTexts(maps: ReadonlyMap<string, ByteMap>): BackendText {
  const known = { 4: new Map<number, string | undefined>(), 6: new Map<number, string | undefined>() };
  return (family, id) => {
    const texts = known[family];
    if (!texts.has(id)) texts.set(id, read(maps, family, id));
    return texts.get(id);
  };
}

function read(maps: ReadonlyMap<string, ByteMap>, family: 4 | 6, id: number): string | undefined {
  const spec = family === 4 ? MAPS.backends4 : MAPS.backends6;
  const { at, bytes } = spec.value;
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, id, true);
  const value = new Uint8Array(bytes);
  if (maps.get(spec.name)?.lookup(key, value) !== true || value[at.state] === BACKEND_STATE.NONE) return undefined;
  const view = new DataView(value.buffer);
  const word = (i: number): number => (i * 4 < (family === 4 ? 4 : 16) ? view.getInt32(at.address + i * 4, true) : 0);
  const address = addressText(family, word(0), word(1), word(2), word(3));
  return socketText(address, portNumber(view.getUint16(at.port, true)));
}
