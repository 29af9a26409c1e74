/** One Redis that dies and comes back with all, with old or with no data; that stops; that forgets. */
import { AFTER_REDIS, ONE_REDIS, STANDALONE, TOLD, repeat } from './common.js';

/** Redis is killed for as long as the fault is on, and started again once `prepare` is done. */
const redisRestart = (what, prepare, more) => ({
  topologies: ONE_REDIS,
  keepsClients: true,
  mustRedial: true,
  ...more,
  async on(context) {
    await context.redis.kill();
  },
  async off(context) {
    await prepare(context);
    await context.redis.start();
    await context.load.configure();
    await context.markOnceMoving(what, more.limits ?? {});
  },
});

export const redisAof = redisRestart('Redis back with its data', async () => {}, {
  clean: true,
  limits: AFTER_REDIS,
});

export const redisEmpty = redisRestart('Redis back empty', (context) => context.redis.wipe(), {
  lossy: true,
  losesLogs: true,
  forgetsOnce: true,
  limits: TOLD,
});

export const redisEmptyPast = redisRestart(
  'Redis back empty, an hour behind',
  async (context) => {
    await context.redis.wipe();
    context.redis.clock.set(-3600);
  },
  { topologies: STANDALONE, lossy: true, losesLogs: true, forgetsOnce: true, limits: TOLD },
);

/** The snapshot is as old as the fault is long. */
export const redisSnapshot = {
  topologies: ONE_REDIS,
  keepsClients: true,
  mustRedial: true,
  lossy: true,
  forgetsOnce: true,
  onMs: 30_000,
  on: (context) => context.redis.saveSnapshot(),
  async off(context) {
    const { redis } = context;
    await redis.kill();
    await redis.startFromSnapshot();
    await context.markOnceMoving('Redis back with an old snapshot', {});
  },
};

export const redisStopped = {
  topologies: ONE_REDIS,
  clean: true,
  keepsClients: true,
  mustRedial: true,
  on: (context) => context.redis.pause(),
  async off(context) {
    await context.redis.resume();
    await context.markOnceMoving('Redis goes on', AFTER_REDIS);
  },
};

export const functionFlush = {
  clean: true,
  keepsClients: true,
  on: (context) =>
    repeat(context, 5000, async () => {
      const master = await context.topology.master();
      await master.ask('FUNCTION', 'FLUSH');
    }),
};

/** Redis evicts what it likes, as with a policy that the documents warn of. */
export const keysEvicted = {
  topologies: ONE_REDIS,
  lossy: true,
  losesLogs: true,
  forgetsOnce: true,
  keepsClients: true,
  on: (context) =>
    repeat(context, 2000, async () => {
      const { redis } = context;
      const memory = await redis.ask('INFO', 'memory');
      const used = Number(/used_memory:(\d+)/.exec(memory)[1]);
      await redis.ask('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-random');
      await redis.ask('CONFIG', 'SET', 'maxmemory', Math.floor(used * 0.9));
    }),
  async off(context) {
    await context.redis.ask('CONFIG', 'SET', 'maxmemory', 0);
    await context.redis.ask('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await context.load.configure();
  },
};

/** FLUSHALL while everybody is connected. */
export const redisFlushed = {
  topologies: ONE_REDIS,
  lossy: true,
  losesLogs: true,
  forgetsOnce: true,
  keepsClients: true,
  async on(context) {
    await context.redis.ask('FLUSHALL');
    await context.load.configure();
    await context.markOnceMoving('flushed', TOLD);
  },
};

/** Channels deleted and begun again, several times within a millisecond. */
export const channelsDeleted = {
  topologies: ONE_REDIS,
  lossy: true,
  losesLogs: true,
  keepsClients: true,
  on: (context) =>
    repeat(context, 500, async () => {
      const quiet = context.load.channels.length - 1;
      await context.load.saboteur.eraseAndPublish(quiet, 20);
    }),
};

/** An hour ahead, every log has expired; an hour back, none ever does. */
export const clockRedis = {
  topologies: STANDALONE,
  keepsClients: true,
  losesLogs: true,
  forgetsOnce: true,
  async on(context) {
    context.redis.clock.set(context.random.pick([-3600, 3600]));
  },
  async off(context) {
    context.redis.clock.set(0);
  },
};
