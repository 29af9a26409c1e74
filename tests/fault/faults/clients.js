/** The way between clients and HAProxy. */
import { COMPOSE, repeat } from './common.js';

export const clientsCut = {
  clean: true,
  touches: 'clients',
  on: (context) =>
    repeat(context, 2000, async () => {
      const { clientProxy } = context.topology;
      const cuts = [() => clientProxy.reset(), () => clientProxy.halfClose()];
      context.random.pick(cuts)();
    }),
};

export const clientsHole = {
  clean: true,
  touches: 'clients',
  async on(context) {
    const hole = context.random.pick(['both', 'up', 'down']);
    context.topology.clientProxy.set({ hole });
  },
  async off(context) {
    context.topology.clientProxy.heal();
  },
};

export const haproxyRestart = {
  topologies: COMPOSE,
  clean: true,
  touches: 'clients',
  on: (context) => repeat(context, 5000, () => context.topology.haproxy.restart()),
};

export const haproxyReload = {
  clean: true,
  touches: 'clients',
  on: (context) => repeat(context, 5000, () => context.topology.haproxy.reload()),
};
