/** Nodes that die, drain, stop, come and go, are cut off, or live in another time. */
import { NODES } from '../topology.js';
import { BACK, COMPOSE, FOUND_MS, LOCAL } from './common.js';

const MOVED_MS = 10_000; // by then every client has given up a node that is silent

export const killNode = {
  clean: true,
  touches: 'node',
  async on(context) {
    const node = context.pickNode();
    await context.mark('node killed', BACK, { nodes: [node.index], reattach: true });
    await node.end('SIGKILL');
  },
  off: (context) => context.node.start(),
};

export const drainNode = {
  clean: true,
  touches: 'node',
  async on(context) {
    const node = context.pickNode();
    await context.mark('node drained', {}, { nodes: [node.index], reattach: true });
    await node.end('SIGTERM');
  },
  off: (context) => context.node.start(),
};

export const stopNode = (ms) => ({
  clean: true,
  touches: 'node',
  onMs: ms,
  async on(context) {
    const node = context.pickNode();
    const isLong = ms > MOVED_MS;
    if (isLong) await context.mark('node stopped', {}, { nodes: [node.index], reattach: true });
    await node.pause();
  },
  async off(context) {
    await context.node.resume();
    await context.mark('node goes on', {}, { nodes: [context.node.index] });
  },
});

export const rollingRestart = {
  clean: true,
  noFailures: true,
  touches: 'nodes',
  async on(context) {
    for (const node of context.topology.nodes) {
      await node.end('SIGTERM');
      await node.start();
      await context.waitUntilServed(node);
    }
  },
};

export const clockNode = {
  topologies: LOCAL,
  clean: true,
  keepsClients: true,
  async on(context) {
    context.pickNode().clock.set(context.random.pick([-3600, 3600]));
  },
  async off(context) {
    context.node.clock.set(0);
  },
};

/** Out of the network, and back in it at another address; all the time it runs. */
export const cutNodeOff = {
  topologies: COMPOSE,
  clean: true,
  touches: 'node',
  mustRedial: true,
  async on(context) {
    const node = context.pickNode();
    await context.mark('node cut off', {}, { nodes: [node.index], reattach: true });
    context.halfOpen.add(node);
    await node.cutOff();
    await context.measureUnready(node, FOUND_MS);
  },
  off: (context) => context.node.rejoin(),
};

/**
 * From three nodes to five, and back by drain, while all others work on. What a slow reader has not
 * read when its node leaves is lost with the network of the container, and so is the end.
 */
export const scaleNodes = {
  topologies: COMPOSE,
  clean: true,
  touches: { nodes: [NODES, NODES + 1] },
  noFailures: true,
  async on(context) {
    const { topology } = context;
    await topology.scaleTo(NODES + 2);
    for (const node of topology.nodes.slice(NODES)) await context.waitUntilServed(node);
  },
  off: (context) => context.topology.scaleTo(NODES),
};
