// The datapath room's door: what a dataplane and its readers need.
export { Packet, Meta } from './packet.ts';
export { Context, RECORD_WORDS } from './context.ts';
export { Tables, type SizeOverrides, type StoredMapName } from './tables.ts';
export { TraceBuffer } from './trace-buffer.ts';
export { EventRing, EVENT_WORDS } from './event-ring.ts';
export { run, BUILT_HOOKS } from './run.ts';
export { jhash3, tupleHash4, tupleHash6, chance4, chance6 } from './jhash.ts';
export { PolicyQuestions } from './questions.ts';
export { identityMark } from './stages/identity.ts';
