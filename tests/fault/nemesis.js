/**
 * The faults: what each does, and what may follow from it. `on` begins it, `off` ends it and heals;
 * both get the context of run.js. What they start to measure goes into the history as marks (how
 * long clients need to come as far as the head of that moment) and as measures.
 *
 * Where it can be had: `topologies`; without them, in all (topology.js).
 *
 * What may follow:
 *   clean         nothing is lost: no needless reset is excused
 *   lossy         Redis may lose what it has acknowledged
 *   losesLogs     logs may be shorter than their history says
 *   forgetsOnce   idempotency keys may be lost
 *   keepsClients  a fault of Redis: no node may close a connection
 *   mustRedial    nodes lose links to Redis by it: where none did, the fault has done nothing
 *   noFailures    no request through HAProxy may fail
 *   touches       whose connections are hit themselves: its 'node', all 'nodes', 'clients', or
 *                 { nodes } by number
 */
import * as clients from './faults/clients.js';
import * as links from './faults/links.js';
import * as nodes from './faults/nodes.js';
import * as redis from './faults/redis.js';
import * as sentinel from './faults/sentinel.js';

const none = { clean: true, keepsClients: true, noFailures: true, on: async () => {} };

export const FAULTS = {
  none,
  'node-kill': nodes.killNode,
  'node-term': nodes.drainNode,
  'node-stop-5s': nodes.stopNode(5000),
  'node-stop-30s': nodes.stopNode(30_000),
  'node-cut-off': nodes.cutNodeOff,
  'node-scale': nodes.scaleNodes,
  'rolling-restart': nodes.rollingRestart,
  'redis-restart-aof': redis.redisAof,
  'redis-old-snapshot': redis.redisSnapshot,
  'redis-empty': redis.redisEmpty,
  'redis-empty-clock-behind': redis.redisEmptyPast,
  'redis-stop': redis.redisStopped,
  'link-cut': links.linkCut,
  'link-black-hole': links.linkBlackHole,
  'link-one-way': links.linkOneWay,
  'link-freeze': links.linkFreeze,
  'link-slow': links.linkSlow,
  'pubsub-cut': links.pubsubCut,
  'pubsub-away': links.pubsubAway,
  'pubsub-half-close': links.pubsubHalfClose,
  'pubsub-black-hole': links.pubsubBlackHole,
  'client-kill-pubsub': links.clientKillPubsub,
  'pubsub-overrun': links.pubsubOverrun,
  'function-flush': redis.functionFlush,
  'keys-evicted': redis.keysEvicted,
  'redis-flushed': redis.redisFlushed,
  'channels-deleted': redis.channelsDeleted,
  'clients-cut': clients.clientsCut,
  'clients-black-hole': clients.clientsHole,
  'haproxy-reload': clients.haproxyReload,
  'haproxy-restart': clients.haproxyRestart,
  'clock-node': nodes.clockNode,
  'clock-redis': redis.clockRedis,
  failover: sentinel.failover,
  'failover-twice-quiet': sentinel.failoverTwice('none', { clean: true }),
  'failover-twice-old-master': sentinel.failoverTwice('old', { lossy: true }),
  'master-kill': sentinel.masterKill,
  'master-stop': sentinel.masterStop,
};

/** All topologies. The first one that a fault can be had in is where it is run, unless told. */
export const TOPOLOGIES = ['standalone', 'sentinel', 'compose'];

/** @param {string} name of a fault */
export const topologiesOf = (name) => FAULTS[name].topologies ?? TOPOLOGIES;
