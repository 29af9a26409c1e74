/** Failovers, wanted and not. */
import { pause } from '../../support/wait.js';
import { SENTINEL } from './common.js';

const SWITCHED_MS = 2000; // until nodes are on the new master, after the switch

const askFailover = async ({ topology }) => {
  await topology.sentinels[0].call('SENTINEL', 'FAILOVER', 'main');
};

/** The old master lives on, and takes writes until the Sentinels have told it: about 10 s. */
export const failover = {
  topologies: SENTINEL,
  mustRedial: true,
  lossy: true,
  keepsClients: true,
  async on(context) {
    await context.failover(() => askFailover(context), SWITCHED_MS);
  },
  async off(context) {
    await context.inStep(await context.topology.master());
  },
};

/**
 * Two in a row while nothing is published through the nodes. `voices` 'none': nothing at all, so that
 * nothing is lost. 'old': whoever has a connection to the old master goes on writing there until it
 * is demoted; what it wrote is lost, and when it is master again no position may come again.
 */
export const failoverTwice = (voices, more) => ({
  topologies: SENTINEL,
  mustRedial: true,
  keepsClients: true,
  ...more,
  async on(context) {
    const { load } = context;
    load.voices = voices;
    try {
      await pause(2500); // what is on its way is answered, and replicated
      for (let time = 0; time < 2; time += 1) {
        await context.inStep(await context.topology.master());
        await context.failover(() => askFailover(context), SWITCHED_MS, { isQuiet: true });
      }
    } finally {
      load.voices = 'all';
    }
  },
  async off(context) {
    await context.inStep(await context.topology.master());
  },
});

/** The master dies, its replica takes over, and it comes back as one who was master. */
export const masterKill = {
  topologies: SENTINEL,
  mustRedial: true,
  lossy: true,
  keepsClients: true,
  async on(context) {
    context.old = await context.topology.master();
    await context.failover(() => context.old.kill(), SWITCHED_MS);
  },
  async off(context) {
    await context.old.start();
    await context.inStep(await context.topology.master());
  },
};

/** The same with one that was only away: what it had received, it writes when it wakes up. */
export const masterStop = {
  ...masterKill,
  async on(context) {
    context.old = await context.topology.master();
    await context.failover(() => context.old.pause(), SWITCHED_MS);
  },
  async off(context) {
    await context.old.resume();
    await context.inStep(await context.topology.master());
  },
};
