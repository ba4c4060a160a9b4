// The maglev room's door.
export * from './change.ts';
export * from './lookup.ts';
export * from './murmur3.ts';
export * from './seed.ts';
export * from './table.ts';
