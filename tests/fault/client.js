/**
 * One logical client: three channels, a position on each, and a connection that changes its node and
 * its transport every 5 to 30 s. It keeps nothing but its positions, as the contract allows, and
 * writes down all that it is told; what to think of that is the checker's affair.
 */
import { TRANSPORTS, openConnection } from './connections.js';
import { readPayload } from './payload.js';
import { TIMES } from './topology.js';

const STAY_MS = [5000, 30_000];
const RETRY_MS = [50, 200]; // doubled with each failure, up to
const RETRY_MOST_MS = 1000;
const HINT_MOST_MS = 5000; // of a server's `retry`

export class Client {
  /**
   * @param {{ number: number, channels: number[], slow: boolean, transport: string, load: any,
   *   random: ReturnType<import('./random.js').createRandom> }} options
   */
  constructor({ number, channels, slow, transport, load, random }) {
    this.number = number;
    this.slow = slow;
    this.load = load;
    this.random = random;
    this.transport = transport;
    this.names = channels.map((channel) => load.channels[channel].name);
    this.indexes = new Map(channels.map((channel, at) => [this.names[at], channel]));
    /** @type {Map<string, string>} name → position */
    this.positions = new Map();
    this.failures = 0;
    this.isOver = false;
  }

  #write(e, details) {
    this.load.history.write(e, { c: this.number, ...details });
  }

  get cursor() {
    if (this.positions.size < this.names.length) return undefined;
    return this.names.map((name) => this.positions.get(name)).join(',');
  }

  start() {
    this.#write('client', { slow: this.slow });
    this.#connect();
  }

  stop() {
    this.isOver = true;
    clearTimeout(this.leaving);
    clearTimeout(this.retrying);
    this.connection?.close();
  }

  /** From now on it reads as fast as it can. */
  hurry() {
    this.slow = false;
    if (!this.connection) return;
    this.connection.slow = false;
    this.connection.socket.resume();
  }

  /** One of the nodes, or HAProxy: then which node it is, the server must say. */
  #connect() {
    const { nodes, balancer } = this.load;
    const at = this.random.below(nodes.length + 1);
    this.node = nodes[at]?.index ?? null;
    this.isBalanced = this.node === null;
    this.hasOpened = false;
    this.wasQuiet = false;
    this.connection = openConnection(this.transport, {
      address: nodes[at]?.address ?? balancer,
      channels: this.names,
      slow: this.slow,
      sink: this,
    });
    this.leaving = setTimeout(() => this.#leave(), this.random.between(...STAY_MS));
  }

  #leave() {
    this.connection.close();
    this.#write('shut', { by: 'client' });
    const others = TRANSPORTS.filter((transport) => transport !== this.transport);
    this.transport = this.random.pick(others);
    this.#connect();
  }

  /** Called every now and then: is the server as silent as it must not be? */
  watch() {
    const gap = this.connection?.silence ?? 0;
    if (this.isOver || gap < 1.5 * TIMES.heartbeat) {
      this.wasQuiet = false;
      return;
    }
    const { node, transport: tr } = this;
    if (!this.wasQuiet) this.#write('quiet', { node, tr, gap, heartbeat: TIMES.heartbeat });
    this.wasQuiet = true;
    if (gap > 2.5 * TIMES.heartbeat) this.connection.end('silent');
  }

  // What a connection tells.

  opened(nodeName) {
    const named = this.load.nodes.find(({ id }) => id === nodeName);
    const node = nodeName ? (named?.index ?? null) : this.node;
    this.failures = 0;
    if (this.hasOpened && node === this.node) return;
    this.hasOpened = true;
    this.node = node;
    this.#write('open', { tr: this.transport, node, ha: this.isBalanced || undefined });
  }

  starts(name, position) {
    this.#write('start', { ch: this.indexes.get(name), id: position });
    this.positions.set(name, position);
  }

  message(message) {
    const { channel, id, fork: f } = message;
    const { p, n, h } = readPayload(message);
    this.#write('m', { ch: this.indexes.get(channel), id, p, n, h, f });
    this.positions.set(channel, id);
  }

  reset({ channel, from, to, reason: why }) {
    this.#write('reset', { ch: this.indexes.get(channel), from, to, why });
    this.positions.set(channel, to);
  }

  stale(seconds) {
    this.#write('stale', { s: seconds });
  }

  wrong(what) {
    this.#write('wrong', { what: `${this.transport}: ${what}`.slice(0, 200) });
  }

  held(wait, took) {
    this.#write('held', { node: this.node, wait, took });
  }

  ended(why, { polite = false, retry = 0 } = {}) {
    clearTimeout(this.leaving);
    const { node, transport: tr, isBalanced } = this;
    this.#write('shut', { by: 'server', why, tr, node, polite: polite || undefined });
    if (isBalanced && !polite) this.#write('failed', { what: `${tr}: ${why}`, node });
    if (this.isOver) return;
    const [low, high] = RETRY_MS.map((ms) => Math.min(RETRY_MOST_MS, ms * 2 ** this.failures));
    this.failures += 1;
    const pause = Math.max(Math.min(retry, HINT_MOST_MS), this.random.between(low, high));
    this.connection = null;
    this.retrying = setTimeout(() => this.#connect(), pause);
  }
}
