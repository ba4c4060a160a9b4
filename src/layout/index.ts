// The layout room's door.
export * from './struct.ts';
export * from './emit-c.ts';
