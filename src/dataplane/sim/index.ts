// The simulator's door.
export { createSim, type Sim, type SimOptions } from './sim.ts';
