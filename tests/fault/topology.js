/**
 * What is hit, with one face for all faults: nodes, Redis, and HAProxy in front of the nodes. A
 * topology starts and stops all of it; the members of `Topology` are what faults, clients and
 * measures may use. What only one of them has (proxies before Redis and clocks: standalone; Sentinels:
 * sentinel; scaleTo, cutOff and rejoin: compose) is for faults that name that one (nemesis.js).
 */

export const NODES = 3;

/** Short, so that a run of minutes sees many of each; the contract's rules do not depend on them. */
export const TIMES = { heartbeat: 3000, linger: 5000 };

/** Of every node, as flags or in the environment; drain's times are each topology's own. */
export const NODE_OPTIONS = {
  heartbeat: `${TIMES.heartbeat}ms`,
  'ws-ping': `${TIMES.heartbeat}ms`,
  linger: `${TIMES.linger}ms`,
  retry: '500ms',
  'reset-spread': '500ms',
};

/**
 * @typedef {{ host: string, port: number }} Address
 *
 * @typedef {object} Node one node, the same one after it was started again
 * @property {number} index
 * @property {string} id what it calls itself
 * @property {number} pid of its process now
 * @property {Address} address where clients connect
 * @property {() => Promise<void>} start until it is ready
 * @property {(signal: 'SIGKILL' | 'SIGTERM') => Promise<void>} end
 * @property {() => Promise<void>} pause it stands still, its connections stay
 * @property {() => Promise<void>} resume
 * @property {(deadline: number) => Promise<void>} ready
 * @property {() => Promise<boolean>} isReady what it says of itself, heard also when it is cut off
 * @property {() => Promise<ReturnType<import('../support/metrics.js').parseMetrics>>} metrics
 * @property {() => Promise<{ descriptors: number, residentMiB: number }>} usage
 * @property {(directory: string) => Promise<void>} saveLog
 *
 * @typedef {object} Redis
 * @property {Address} address
 * @property {(...words: any[]) => Promise<any>} call on a connection that is kept
 * @property {(...words: any[]) => Promise<any>} ask on a connection of its own
 * @property {() => Promise<void>} kill
 * @property {() => Promise<void>} start with the data that it has
 * @property {() => Promise<void> | void} wipe while it is down
 * @property {() => Promise<void>} saveSnapshot
 * @property {() => Promise<void>} startFromSnapshot
 * @property {() => Promise<void>} pause
 * @property {() => Promise<void>} resume
 * @property {(node: Node) => Promise<boolean>} holdsLinksOf
 *
 * @typedef {object} Balancer
 * @property {Address} address
 * @property {() => Promise<void>} kill
 * @property {() => Promise<void>} reload
 * @property {() => Promise<void>} [restart] in containers only
 */

export class Topology {
  constructor() {
    /** @type {Node[]} */
    this.nodes = [];
    /** @type {Redis[]} */
    this.redises = [];
    /** @type {Redis[]} */
    this.sentinels = [];
    /** @type {Balancer | undefined} */
    this.haproxy = undefined;
    /** @type {import('./proxy.js').Proxy | undefined} on the way of clients to HAProxy */
    this.clientProxy = undefined;
    /** @type {(node: Node, log: string) => void} a node has ended by itself */
    this.onCrash = () => {};
  }

  /** The Redis that is the master now, as far as anybody can know. */
  async master() {
    return this.redises[0];
  }

  /** Whether both of a node's links to Redis are there. */
  async isLinked(node) {
    const master = await this.master();
    return master.holdsLinksOf(node);
  }

  /** One file a node. */
  async saveLogs(directory) {
    await Promise.allSettled(this.nodes.map((node) => node.saveLog(directory)));
  }

  async stop() {
    this.clientProxy?.close();
  }
}
