// The maps room's door.
export * from './byte-map.ts';
export * from './typed-map.ts';
export * from './map-write.ts';
export * from './create.ts';
export * from './hash.gen.ts';
export * from './lru.gen.ts';
export * from './lpm.gen.ts';
export { ArrayMap } from './array-map.ts';
export { ArrayOfArrays } from './array-of-arrays.ts';
export { FlatHash } from './flat-hash.ts';
export { LruTable } from './lru-table.ts';
export { LpmTable, maskWord } from './lpm-table.ts';
export { WordMap, type MapOptions } from './word-map.ts';
