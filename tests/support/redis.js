/**
 * Starts real redis-server processes, each on a free port and in a directory of its own, and leaves
 * neither a process nor a directory behind.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, spawnChild } from './node.js';
import { RedisConnection, RedisError } from './resp.js';
import { eventually, within } from './wait.js';

export { RedisError };

const FUNCTIONS = path.resolve(
  path.dirname(fileURLToPath(import.meta.url)),
  '../../cluster/functions',
);
const LOG_BYTES_MAX = 65_536;

// The kernel ends Redis with this process, also where that is killed and runs no handler.
const WITH_PARENT = ['setpriv', '--pdeathsig', 'KILL', 'redis-server'];

const directories = new Set();
process.on('exit', () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

/** The library as it is embedded in the node: its files in the order of their names. */
export function functionsSource() {
  const files = readdirSync(FUNCTIONS).filter((name) => name.endsWith('.lua'));
  return files
    .sort()
    .map((name) => readFileSync(path.join(FUNCTIONS, name), 'utf8'))
    .join('');
}

/**
 * @param {{ call: (...args: any[]) => Promise<any> }} redis
 * @param {{ replace?: boolean }} [options]
 */
export async function loadFunctions(redis, { replace = false } = {}) {
  await redis.call('FUNCTION', 'LOAD', ...(replace ? ['REPLACE'] : []), functionsSource());
}

/**
 * @typedef {object} RedisOptions
 * @property {string[]} [args] further configuration, e.g. ['--maxmemory', '10mb']
 * @property {boolean} [appendonly] keep the data over a restart
 * @property {number} [port] a free one by default
 * @property {boolean} [unix] listen on a unix socket instead of a port
 * @property {string} [dir] its directory, not removed; a new one by default
 * @property {string} [password] of the default user
 * @property {boolean} [cluster] a Cluster of this one process, with all slots
 * @property {boolean} [functions] load the function library
 * @property {import('node:test').TestContext} [t] stop when this test ends
 */

class RedisServer {
  /** @type {RedisConnection | null} */
  #connection = null;
  #child = null;
  #exited = null;

  /** @param {RedisOptions} options */
  constructor(options) {
    this.options = options;
    this.port = options.port ?? 0;
    this.log = '';
    this.dir = options.dir ?? mkdtempSync(path.join(os.tmpdir(), 'freshet-redis-'));
    if (!options.dir) directories.add(this.dir);
  }

  get #socketPath() {
    return path.join(this.dir, 'redis.sock');
  }

  /** For --redis and for clients. */
  get url() {
    if (this.options.unix) return `unix:${this.#socketPath}`;
    const { password } = this.options;
    const user = password ? `default:${encodeURIComponent(password)}@` : '';
    return `redis://${user}127.0.0.1:${this.port}`;
  }

  get pid() {
    return this.#child?.pid;
  }

  #arguments() {
    const { args = [], appendonly, unix, password, cluster } = this.options;
    return [
      ...['--bind', '127.0.0.1', '--port', String(unix ? 0 : this.port)],
      ...(unix ? ['--unixsocket', this.#socketPath] : []),
      ...['--dir', this.dir, '--save', '', '--appendonly', appendonly ? 'yes' : 'no'],
      // With everysec a busy disk makes Redis hold writes back, and a kill loses what it answered.
      ...['--appendfsync', 'no'],
      ...(password ? ['--requirepass', password] : []),
      ...(cluster ? ['--cluster-enabled', 'yes', '--cluster-port', String(this.busPort)] : []),
      ...args,
    ];
  }

  async start() {
    const isFixed = this.port !== 0; // asked for, or had before a restart
    for (let attempt = 1; ; attempt++) {
      if (!isFixed) this.port = await freePort();
      if (this.options.cluster) this.busPort = await freePort();
      if (await this.#launch()) break;
      // Somebody else may take the port between freePort() and Redis.
      if (isFixed || attempt === 5 || !this.log.includes('Address already in use')) {
        throw new Error(`redis-server does not start:\n${this.log.slice(-2000)}`);
      }
    }
    if (this.options.cluster) await this.#formCluster();
    if (this.options.functions) await loadFunctions(this, { replace: true });
  }

  /** Whether the process answers; false when it ended instead. */
  async #launch() {
    this.log = '';
    const [command, ...args] = WITH_PARENT;
    const child = spawnChild(command, [...args, ...this.#arguments()]);
    const keep = (bytes) => (this.log = (this.log + bytes).slice(-LOG_BYTES_MAX));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    let hasEnded = false;
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.on('error', (error) => {
        keep(String(error));
        hasEnded = true;
        resolve(undefined);
      });
      child.on('close', () => {
        hasEnded = true;
        resolve(undefined);
      });
    });
    await eventually('redis-server answers PING', async () => {
      if (hasEnded) return true;
      await this.call('PING');
      return (await this.call('INFO', 'server')).includes(`process_id:${child.pid}\r`);
    });
    return !hasEnded;
  }

  async #formCluster() {
    const slots = await this.call('CLUSTER', 'SLOTS');
    if (slots.length === 0) await this.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
    await eventually('the cluster is up', async () =>
      (await this.call('CLUSTER', 'INFO')).includes('cluster_state:ok'),
    );
  }

  /**
   * A connection of one's own, for MULTI, SUBSCRIBE or another user.
   * @param {{ user?: string, password?: string }} [login]
   */
  async connect({ user, password = this.options.password } = {}) {
    const connection = await RedisConnection.open(
      this.options.unix ? { path: this.#socketPath } : { host: '127.0.0.1', port: this.port },
    );
    try {
      if (password !== undefined) await connection.call('AUTH', user ?? 'default', password);
    } catch (error) {
      connection.close();
      throw error;
    }
    return connection;
  }

  async #shared() {
    if (!this.#connection?.isOpen) this.#connection = await this.connect();
    return this.#connection;
  }

  /** @param {...(string | number | Buffer)} args */
  async call(...args) {
    return (await this.#shared()).call(...args);
  }

  /** @param {...(string | number | Buffer)} args */
  async callBytes(...args) {
    return (await this.#shared()).callBytes(...args);
  }

  /** Sends the signal and, when it ends the process, returns once that is gone. */
  async kill(signal = 'SIGKILL') {
    this.#child?.kill(signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    await within(this.#exited, `redis-server ends after ${signal}`);
    this.#connection?.close();
  }

  /** Ends it politely and starts it again on the same port; `flush` throws its files away. */
  async restart({ flush = false } = {}) {
    await this.kill('SIGTERM');
    if (flush) {
      for (const name of readdirSync(this.dir)) {
        rmSync(path.join(this.dir, name), { recursive: true, force: true });
      }
    }
    await this.start();
  }

  async stop() {
    this.#connection?.close();
    if (this.#child) {
      this.#child.kill('SIGKILL'); // also when it is stopped
      await within(this.#exited, 'redis-server is gone');
    }
    if (directories.delete(this.dir)) rmSync(this.dir, { recursive: true, force: true });
  }
}

/**
 * @param {RedisOptions} [options]
 * @returns {Promise<RedisServer>} answering PING
 */
export async function startRedis(options = {}) {
  const redis = new RedisServer(options);
  options.t?.after(() => redis.stop());
  try {
    await redis.start();
  } catch (error) {
    await redis.stop();
    throw error;
  }
  return redis;
}
