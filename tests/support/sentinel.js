/**
 * A master, its replicas and the Sentinels that watch them: real processes on loopback, each on a
 * free port and in a directory of its own, gone when their owner ends.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { freePort, spawnChild, startNode } from './node.js';
import { startRedis } from './redis.js';
import { RedisConnection } from './resp.js';
import { eventually, pause, within } from './wait.js';

export const MASTER_NAME = 'mymaster';

/** Down sooner than by default, and a replica that need not wait before it is filled. */
const DOWN_AFTER_MS = 1000;
const REPLICATION = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'];

/** Waits until `replica` follows `master` and holds all of it. */
export async function inStep(replica, master) {
  const offset = (text, name) => new RegExp(`${name}:(\\d+)`).exec(text)?.[1];
  await eventually(
    `${replica.port} is in step with ${master.port}`,
    async () => {
      const mine = await replica.call('INFO', 'replication');
      const its = await master.call('INFO', 'replication');
      return (
        mine.includes(`master_port:${master.port}\r`) &&
        mine.includes('master_link_status:up') &&
        offset(mine, 'slave_repl_offset') === offset(its, 'master_repl_offset')
      );
    },
    { deadline: 60_000 },
  );
}

/** From now on no replica hears of what this master writes: an unclean failover loses it. */
export async function cutReplication(master) {
  await master.call('ACL', 'SETUSER', 'default', '-psync', '-sync');
  await master.call('CLIENT', 'KILL', 'TYPE', 'replica');
}

export const mendReplication = (server) =>
  server.call('ACL', 'SETUSER', 'default', '+psync', '+sync');

/**
 * A relay in front of one Sentinel. While it is deaf, nothing comes back over connections that have
 * subscribed: what asks is answered, what listens hears of no switch.
 */
export async function startRelay(t, sentinel) {
  const relay = { isDeaf: false, port: await freePort() };
  const sockets = new Set();
  const server = net.createServer((client) => {
    const upstream = net.connect(sentinel.port, '127.0.0.1');
    let isListener = false;
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => {}));
    client.on('data', (bytes) => {
      isListener ||= bytes.includes('SUBSCRIBE');
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => (isListener && relay.isDeaf ? undefined : client.write(bytes)));
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  await new Promise((resolve) => server.listen(relay.port, '127.0.0.1', resolve));
  t.after(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return relay;
}

/** Looks again and again for so long; `look` throws when it is not so. */
export async function holds(ms, look) {
  for (const end = Date.now() + ms; Date.now() < end; await pause(50)) await look();
}

const directories = new Set();
process.on('exit', () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** A Sentinel of one's own, with these lines of configuration; not started yet. */
export class Sentinel {
  /** @type {RedisConnection | null} */
  #connection = null;
  #child = null;
  #exited = null;

  /** @param {number} port  @param {string[]} lines of its configuration */
  constructor(port, lines, password) {
    this.port = port;
    this.password = password;
    this.log = '';
    this.dir = mkdtempSync(path.join(os.tmpdir(), 'freshet-sentinel-'));
    directories.add(this.dir);
    this.file = path.join(this.dir, 'sentinel.conf');
    writeFileSync(
      this.file,
      ['bind 127.0.0.1', `port ${port}`, `dir ${this.dir}`, ...lines, ''].join('\n'),
    );
  }

  /** Starts it, also again: it keeps what it knew in its file. */
  async start() {
    this.#child = spawnChild('redis-server', [this.file, '--sentinel']);
    this.#child.stdout.on('data', (bytes) => (this.log += bytes));
    this.#exited = new Promise((resolve) => this.#child.on('close', resolve));
    await eventually('the Sentinel answers PING', () => this.call('PING'));
  }

  /** A connection of one's own, to subscribe. */
  async connect() {
    const connection = await RedisConnection.open({ host: '127.0.0.1', port: this.port });
    if (this.password) await connection.call('AUTH', this.password);
    return connection;
  }

  /** @param {...(string | number)} args */
  async call(...args) {
    if (!this.#connection?.isOpen) this.#connection = await this.connect();
    return this.#connection.call(...args);
  }

  /** The fields of SENTINEL MASTER. */
  async master() {
    const fields = await this.call('SENTINEL', 'MASTER', MASTER_NAME);
    return Object.fromEntries(
      fields.flatMap((field, at) => (at % 2 === 0 ? [[field, fields[at + 1]]] : [])),
    );
  }

  async kill(signal = 'SIGKILL') {
    this.#child.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    await within(this.#exited, `the Sentinel ends after ${signal}`);
    this.#connection?.close();
  }

  async stop() {
    this.#connection?.close();
    this.#child?.kill('SIGKILL');
    if (this.#exited) await within(this.#exited, 'the Sentinel is gone');
    directories.delete(this.dir);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

class SentinelSet {
  constructor({ servers, sentinels, password, sentinelPassword }) {
    this.servers = servers;
    this.sentinels = sentinels;
    this.password = password;
    this.sentinelPassword = sentinelPassword;
    this.nodes = [];
  }

  /** For --redis. `ports` of the Sentinels, in this order. */
  urlOf(ports = this.sentinels.map((sentinel) => sentinel.port)) {
    const user = this.password ? `:${encodeURIComponent(this.password)}@` : '';
    const hosts = ports.map((port) => `127.0.0.1:${port}`).join(',');
    const query = this.sentinelPassword
      ? `?sentinel-password=${encodeURIComponent(this.sentinelPassword)}`
      : '';
    return `redis+sentinel://${user}${hosts}/${MASTER_NAME}${query}`;
  }

  serverAt(port) {
    return this.servers.find((server) => server.port === Number(port));
  }

  /** SENTINEL FAILOVER on one of them; returns once all that are asked say so: { from, to }. */
  async failover([sentinel, ...others] = this.sentinels) {
    const from = this.serverAt((await sentinel.master()).port);
    await eventually(
      'a failover begins', // refused while the last one goes on, or no replica is good enough
      async () => (await sentinel.call('SENTINEL', 'FAILOVER', MASTER_NAME)) === 'OK',
      { deadline: 60_000, every: 100 },
    );
    return { from, to: await this.switched(from, [sentinel, ...others]) };
  }

  /** Waits until every Sentinel that lives names another master than `from`; returns that one. */
  async switched(from, sentinels = this.sentinels) {
    let to;
    await eventually(
      `the Sentinels name another master than ${from.port}`,
      async () => {
        const ports = await Promise.all(sentinels.map(async (one) => (await one.master()).port));
        to = this.serverAt(ports[0]);
        return ports.every((port) => port === ports[0] && Number(port) !== from.port);
      },
      { deadline: 60_000, every: 10 },
    );
    return to;
  }

  /** `at` resolves with the time at which a Sentinel first tells of a switch. */
  async nextSwitch(t) {
    const connections = await Promise.all(this.sentinels.map((sentinel) => sentinel.connect()));
    t.after(() => connections.forEach((connection) => connection.close()));
    await Promise.all(connections.map((connection) => connection.subscribe('+switch-master')));
    const told = connections.map((connection) => connection.messages.next({ deadline: 60_000 }));
    return { at: Promise.any(told).then(() => Date.now()) };
  }

  /** One node, open to everybody; settings as for startNode(). */
  async startNode(args = [], { url = this.urlOf(), ...settings } = {}) {
    const id = `node${process.pid}-${this.nodes.length}`;
    const open = ['--anonymous', '*', '--anonymous-publish', '*', '--node-id', id];
    const node = await startNode({ redis: url, args: [...open, ...args], ...settings });
    this.nodes.push(Object.assign(node, { id }));
    return node;
  }

  /** The server that both links of a node reach; undefined while one is down. */
  async reachedBy(node) {
    for (const server of this.servers) {
      const list = within(server.call('CLIENT', 'LIST'), 'CLIENT LIST', 2000); // it may be stopped
      const clients = await list.catch(() => '');
      const links = clients
        .split('\n')
        .filter((line) => line.includes(` name=freshet:${node.id} `));
      if (links.length >= 2) return server;
    }
    return undefined;
  }
}

/** A failover needs it: the Sentinels have found each other and the replicas. */
async function knowEachOther(sentinels, replicas) {
  await eventually(
    'the Sentinels know each other and the replicas',
    async () => {
      const said = await Promise.all(sentinels.map((sentinel) => sentinel.master()));
      return said.every(
        (master) =>
          Number(master['num-other-sentinels']) === sentinels.length - 1 &&
          Number(master['num-slaves']) === replicas &&
          master.flags === 'master',
      );
    },
    { deadline: 30_000, every: 50 },
  );
}

/**
 * @param {{ after: (fn: () => Promise<void>) => void }} owner
 * @param {{ replicas?: number, sentinels?: number, quorum?: number, nodes?: number,
 *   password?: string, sentinelPassword?: string, host?: string, lines?: string[],
 *   isStarted?: boolean }} options
 *   `host`: the master's name for Sentinel; `lines`: more configuration; `isStarted`: false leaves
 *   the Sentinels to the test, which starts them
 */
export async function startSentinels(owner, options = {}) {
  const { replicas = 1, sentinels: count = 3, quorum = Math.floor(count / 2) + 1 } = options;
  const { password, sentinelPassword, host = '127.0.0.1', lines = [] } = options;
  const set = new SentinelSet({ servers: [], sentinels: [], password, sentinelPassword });
  owner.after(async () => {
    const ended = await Promise.allSettled(set.nodes.map((node) => node.stop()));
    await Promise.all([...set.sentinels, ...set.servers].map((one) => one.stop()));
    const failed = ended.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  });
  const auth = password ? ['--masterauth', password] : [];
  const args = [...REPLICATION, ...auth];
  const master = await startRedis({ password, args });
  set.servers.push(master);
  for (let i = 0; i < replicas; i += 1) {
    const follow = ['--replicaof', `127.0.0.1 ${master.port}`];
    set.servers.push(await startRedis({ password, args: [...args, ...follow] }));
  }
  await Promise.all(set.servers.slice(1).map((replica) => inStep(replica, master)));
  const configuration = [
    ...lines,
    `sentinel monitor ${MASTER_NAME} ${host} ${master.port} ${quorum}`,
    `sentinel down-after-milliseconds ${MASTER_NAME} ${DOWN_AFTER_MS}`,
    ...(password ? [`sentinel auth-pass ${MASTER_NAME} ${JSON.stringify(password)}`] : []),
    ...(sentinelPassword ? [`requirepass ${JSON.stringify(sentinelPassword)}`] : []),
  ];
  for (let i = 0; i < count; i += 1) {
    set.sentinels.push(new Sentinel(await freePort(), configuration, sentinelPassword));
  }
  if (options.isStarted === false) return set;
  await Promise.all(set.sentinels.map((sentinel) => sentinel.start()));
  await knowEachOther(set.sentinels, replicas);
  await Promise.all(Array.from({ length: options.nodes ?? 0 }, () => set.startNode()));
  return set;
}
