/** The topologies by name, and how one is started. */
import { Compose } from './topologies/compose.js';
import { WithSentinel } from './topologies/sentinel.js';
import { Standalone } from './topologies/standalone.js';

const TOPOLOGIES = { standalone: Standalone, sentinel: WithSentinel, compose: Compose };

/** @param {keyof typeof TOPOLOGIES} kind */
export async function startTopology(kind) {
  const topology = new TOPOLOGIES[kind]();
  try {
    await topology.start();
  } catch (error) {
    await topology.stop().catch(() => {}); // the first error says more
    throw new Error(`the ${kind} topology does not start: ${error.message}`);
  }
  return topology;
}
