/**
 * What is hit: three nodes and HAProxy in front, with a proxy (proxy.js) between HAProxy and its
 * clients, and behind them either
 *   standalone  one Redis with its log on disk, and a proxy on each node's way to it, or
 *   sentinel    a master, a replica and three Sentinels, with Sentinel's default settings but for
 *               down-after (2 s), which is how long a test of a dead master has to wait.
 * A Sentinel tells the real address of the master, so no proxy can stand between it and the nodes:
 * links of the sentinel topology are hit by Redis's own means (CLIENT KILL, CLIENT PAUSE, signals).
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { nodes as started, freePort, startNode } from '../support/node.js';
import { eventually, pause } from '../support/wait.js';
import { HaproxyProcess, RedisProcess, fakeClock, scratch } from './processes.js';
import { startProxy } from './proxy.js';

export const NODES = 3;
const MASTER = 'main';

/** Short, so that a run of minutes sees many of each; the contract's rules do not depend on them. */
export const TIMES = { heartbeat: 3000, linger: 5000, drainGrace: 2500, drainWindow: 4000 };

const NODE_ARGS = [
  ...['--workers', '2', '--anonymous', '*', '--anonymous-publish', '*'],
  ...['--heartbeat', `${TIMES.heartbeat}ms`, '--ws-ping', `${TIMES.heartbeat}ms`],
  ...['--linger', `${TIMES.linger}ms`, '--retry', '500ms', '--reset-spread', '500ms'],
  ...['--drain-grace', `${TIMES.drainGrace}ms`, '--drain-window', `${TIMES.drainWindow}ms`],
];

/** One node, started again on the same ports after it was killed. */
class Node {
  constructor(index, redis) {
    this.index = index;
    this.redis = redis;
    this.id = `node${index}`;
    this.clock = fakeClock(this.id);
    this.logs = '';
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async start({ ready = true } = {}) {
    this.port ??= await freePort();
    this.adminPort ??= await freePort();
    const { port, adminPort, clock } = this;
    const flags = {
      '--listen': `127.0.0.1:${port}`,
      '--admin': `127.0.0.1:${adminPort}`,
      '--redis': this.redis,
      '--node-id': this.id,
    };
    this.process = await startNode({
      ...{ redis: this.redis, port, adminPort, flags, args: NODE_ARGS, ready },
      env: clock.env,
    });
    const { process: mine } = this;
    mine.exited.then(() => {
      if (!this.isEnding) this.#crashed(mine);
    });
  }

  get pid() {
    return this.process.pid;
  }

  signal(signal) {
    this.process.child.kill(signal);
  }

  /** Ends it, with SIGKILL or with what SIGTERM promises. */
  async end(signal) {
    this.isEnding = true;
    this.process.child.kill('SIGCONT');
    await this.process.kill(signal);
    this.isEnding = false;
    this.logs += this.process.log;
    started.delete(this.process);
    this.process.checkLog();
  }

  /** It has ended by itself: that is told, and it is started again, as a supervisor would. */
  async #crashed(process) {
    this.logs += process.log;
    started.delete(process);
    this.onCrash?.(process.log.slice(-500));
    await pause(500);
    await this.start({ ready: false });
  }

  saveLog(directory) {
    const log = this.logs + (this.process?.log ?? '');
    appendFileSync(path.join(directory, `${this.id}.log`), log);
  }
}

class Topology {
  constructor() {
    /** @type {Node[]} */
    this.nodes = [];
    this.redisProxies = [];
    this.redises = [];
    this.sentinels = [];
  }

  /** The Redis that is the master now, as far as anybody can know. */
  async master() {
    if (this.sentinels.length === 0) return this.redises[0];
    const views = await Promise.allSettled(
      this.sentinels.map(async (sentinel) => {
        const fields = await sentinel.call('SENTINEL', 'MASTER', MASTER);
        const of = (name) => fields[fields.indexOf(name) + 1];
        return { port: Number(of('port')), epoch: Number(of('config-epoch')) };
      }),
    );
    const known = views.flatMap((view) => (view.status === 'fulfilled' ? [view.value] : []));
    const newest = known.reduce((best, view) => (view.epoch > best.epoch ? view : best));
    return this.redises.find((redis) => redis.port === newest.port) ?? this.redises[0];
  }

  async #startNodes(redisOf) {
    this.nodes = Array.from({ length: NODES }, (_, index) => new Node(index, redisOf(index)));
    await Promise.all(this.nodes.map((node) => node.start()));
    this.haproxy = new HaproxyProcess();
    await this.haproxy.start(this.nodes.map((node) => node.port));
    this.clientProxy = await startProxy({ port: this.haproxy.port });
  }

  async startStandalone() {
    const redis = new RedisProcess('redis');
    this.redises = [redis];
    await redis.start();
    for (let index = 0; index < NODES; index += 1) {
      this.redisProxies.push(await startProxy({ port: redis.port }));
    }
    await this.#startNodes((index) => `redis://127.0.0.1:${this.redisProxies[index].port}`);
  }

  async startSentinel() {
    const master = new RedisProcess('redis-a', ['--repl-diskless-sync-delay', '0']);
    await master.start();
    const of = ['--replicaof', '127.0.0.1', String(master.port)];
    const replica = new RedisProcess('redis-b', ['--repl-diskless-sync-delay', '0']);
    await replica.start({ args: of });
    this.redises = [master, replica];
    await eventually('the replica is in sync', async () =>
      (await replica.call('INFO', 'replication')).includes('master_link_status:up'),
    );
    for (let index = 0; index < 3; index += 1) this.sentinels.push(await this.#sentinel(index));
    await eventually('the Sentinels know each other and the replica', async () =>
      (
        await Promise.all(this.sentinels.map((one) => one.call('SENTINEL', 'CKQUORUM', MASTER)))
      ).every((answer) => answer.startsWith('OK 3')),
    );
    await eventually('the Sentinels know the replica', async () =>
      (
        await Promise.all(this.sentinels.map((one) => one.call('SENTINEL', 'REPLICAS', MASTER)))
      ).every((replicas) => replicas.length === 1),
    );
    const hosts = this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
    await this.#startNodes(() => `redis+sentinel://${hosts}/${MASTER}`);
  }

  async #sentinel(index) {
    const sentinel = new SentinelProcess(`sentinel${index}`);
    await sentinel.start(MASTER, this.redises[0].port);
    return sentinel;
  }

  async stop() {
    await Promise.allSettled(this.nodes.map((node) => node.end('SIGKILL')));
    const rest = [this.haproxy, ...this.sentinels, ...this.redises];
    await Promise.allSettled(rest.map((child) => child?.kill()));
    for (const proxy of [...this.redisProxies, this.clientProxy]) proxy?.close();
  }
}

/** redis-server --sentinel, with a configuration file of its own, which it rewrites. */
class SentinelProcess extends RedisProcess {
  async start(name, port) {
    this.port = await freePort();
    const file = path.join(scratch, `${this.name}.conf`);
    writeFileSync(
      file,
      `port ${this.port}\nbind 127.0.0.1\ndir ${this.dir}\n` +
        `sentinel monitor ${name} 127.0.0.1 ${port} 2\n` +
        `sentinel down-after-milliseconds ${name} 2000\n`,
    );
    this.spawn('redis-server', [file, '--sentinel']);
    await this.answers('answers', () => this.isUp());
  }
}

/** @param {'standalone' | 'sentinel'} kind */
export async function startTopology(kind) {
  const topology = new Topology();
  try {
    if (kind === 'sentinel') await topology.startSentinel();
    else await topology.startStandalone();
  } catch (error) {
    const log = topology.nodes.map((node) => node.process?.log ?? '').join('\n');
    await topology.stop();
    throw new Error(`the ${kind} topology does not start: ${error.message}\n${log.slice(-2000)}`);
  }
  return topology;
}
