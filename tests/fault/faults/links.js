/** The links between nodes and Redis. */
import { pause } from '../../support/wait.js';
import { AFTER_LINK, FOUND_MS, STANDALONE, repeat } from './common.js';

/** Links between nodes and Redis are lost, and nothing else. */
const CUTS_LINKS = { clean: true, keepsClients: true, mustRedial: true };

/** A node's way to Redis is hit: `hit` says how; healing is measured for its clients. */
function linkFault(hit, { measuresDeafness = false, mustRedial = true } = {}) {
  return {
    topologies: STANDALONE,
    clean: true,
    keepsClients: true,
    mustRedial,
    async on(context) {
      const node = context.pickNode();
      hit(context.topology.redisProxies[node.index]);
      if (measuresDeafness) await context.measureDeafness(node, FOUND_MS);
    },
    async off(context) {
      const proxy = context.topology.redisProxies[context.node.index];
      proxy.heal();
      context.markWhenBack(context.node, 'links back', AFTER_LINK);
      // For the record: until a node dials again may take it seconds, when nothing answered.
      await context.mark('since healing', {}, { nodes: [context.node.index] });
    },
  };
}

/** The pub/sub link of one node is cut again and again. */
const cutPubsub = (cut) => ({
  topologies: STANDALONE,
  ...CUTS_LINKS,
  on: (context) =>
    repeat(context, 3000, async () => {
      const node = context.pickNode();
      cut(context.topology.redisProxies[node.index]);
      context.markWhenBack(node, 'pub/sub link back', AFTER_LINK);
    }),
});

/** All pub/sub links are away for a second, again and again; the command links stay. */
export const pubsubAway = {
  topologies: STANDALONE,
  ...CUTS_LINKS,
  on: (context) =>
    repeat(context, 2000, async () => {
      const { redisProxies, nodes } = context.topology;
      for (const proxy of redisProxies) {
        proxy.set({ refuse: true }, ['pubsub']);
        proxy.reset(['pubsub']);
      }
      await pause(1000);
      for (const proxy of redisProxies) proxy.heal();
      for (const node of nodes) context.markWhenBack(node, 'pub/sub link back', AFTER_LINK);
    }),
};

export const linkCut = linkFault((proxy) => {
  proxy.set({ refuse: true });
  proxy.reset();
});

export const linkBlackHole = linkFault((proxy) => proxy.set({ hole: 'both' }), {
  measuresDeafness: true,
});

/** The node speaks and is not answered. */
export const linkOneWay = linkFault((proxy) => proxy.set({ hole: 'down' }), {
  measuresDeafness: true,
});

export const linkFreeze = linkFault((proxy) => proxy.set({ freeze: true }), {
  measuresDeafness: true,
});

export const linkSlow = linkFault((proxy) => proxy.set({ delay: 150, slice: 512 }), {
  mustRedial: false,
});

export const pubsubBlackHole = linkFault((proxy) => proxy.set({ hole: 'both' }, ['pubsub']), {
  measuresDeafness: true,
});

export const pubsubCut = cutPubsub((proxy) => proxy.reset(['pubsub']));
export const pubsubHalfClose = cutPubsub((proxy) => proxy.halfClose(['pubsub']));

export const clientKillPubsub = {
  ...CUTS_LINKS,
  on: (context) =>
    repeat(context, 3000, async () => {
      const master = await context.topology.master();
      await master.ask('CLIENT', 'KILL', 'TYPE', 'pubsub');
      for (const node of context.topology.nodes) {
        context.markWhenBack(node, 'pub/sub link back', AFTER_LINK);
      }
    }),
};

/** A limit below one large message: Redis closes whoever is sent one, and all nodes are. */
export const pubsubOverrun = {
  ...CUTS_LINKS,
  on: (context) =>
    repeat(context, 3000, async () => {
      const master = await context.topology.master();
      const set = (limit) =>
        master.ask('CONFIG', 'SET', 'client-output-buffer-limit', `pubsub ${limit}`);
      await set('8kb 8kb 1');
      await context.load.saboteur.publishLarge(24_576);
      await pause(200);
      await set('256mb 64mb 60');
    }),
};
