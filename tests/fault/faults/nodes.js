/** Nodes that die, drain, stop, or live in another time. */
import { pause } from '../../support/wait.js';
import { BACK } from './common.js';

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
    node.signal('SIGSTOP');
  },
  async off(context) {
    context.node.signal('SIGCONT');
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
      await pause(1500); // until HAProxy's checks have seen it
    }
  },
};

export const clockNode = {
  clean: true,
  keepsClients: true,
  async on(context) {
    context.pickNode().clock.set(context.random.pick([-3600, 3600]));
  },
  async off(context) {
    context.node.clock.set(0);
  },
};
