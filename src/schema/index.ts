// The schema's door: everything that both engines and every reader of their maps agree on.
export * from './codes.ts';
export * from './drop.ts';
export * from './bounds.ts';
export * from './map-spec.ts';
export * from './service.ts';
export * from './conntrack.ts';
export * from './policy.ts';
export * from './device.ts';
export * from './record.ts';
export * from './recent.ts';
export * from './run-context.ts';
export * from './maps.ts';
export * from './trace.ts';
export * from './emit-header.ts';
export * from './emit-maps.ts';
