/**
 * The load of the experiment: 20 channels, one of them with half of all publications, 4 publishers
 * with 200 a second in all, 120 clients with three channels each, 20 on each transport; the scribe
 * and the prober beside them.
 */
import { TRANSPORTS } from './connections.js';
import { Client } from './client.js';
import { Prober, Scribe } from './observers.js';
import { Saboteur, createPublishers } from './publishers.js';
import { RedisConnection } from '../support/resp.js';
import { eventually } from '../support/wait.js';

export const CHANNELS = 20;
export const CLIENTS = 120;
const SLOW_EVERY = 20; // clients, one of which reads slowly
const WATCH_MS = 200;

/** Channels with 0.4 messages a second: what was missed there is not found by the next one. */
const QUIET = 10;

/**
 * Entries kept: channel 0 is the busy one, 100 a second, and holds 40 s; channel 1 holds 10 s, so
 * that histories that are too short are met as well.
 */
const HISTORY = new Map([
  [0, 4000],
  [1, 100],
]);

export class Load {
  /**
   * @param {{ topology: any, history: import('./history.js').History,
   *   random: ReturnType<import('./random.js').createRandom> }} options
   */
  constructor({ topology, history, random }) {
    this.topology = topology;
    this.history = history;
    topology.onCrash = (node, log) => history.write('crash', { node: node.index, log });
    this.hasReplica = topology.redises.length > 1;
    this.channels = Array.from({ length: CHANNELS }, (_, ch) => ({
      name: `channel-${ch}`,
      history: HISTORY.get(ch) ?? 1000,
    }));
    /** who publishes: 'all', 'none', or 'old': the direct ones, while their connection lasts */
    this.voices = 'all';
    this.publishers = createPublishers(this, random.fork());
    this.saboteur = new Saboteur(this.publishers.length, this, random.fork());
    this.scribe = new Scribe(this);
    this.prober = new Prober(this, random.fork());
    this.clients = Array.from({ length: CLIENTS }, (_, number) => this.#client(number, random));
  }

  /** Those of the moment. */
  get nodes() {
    return this.topology.nodes;
  }

  /** HAProxy, by way of the proxy before it. */
  get balancer() {
    return { host: '127.0.0.1', port: this.topology.clientProxy.port };
  }

  #client(number, random) {
    const numbers = this.channels.map((_, ch) => ch);
    return new Client({
      number,
      channels: random.sample(numbers, 3),
      slow: number % SLOW_EVERY === SLOW_EVERY - 1,
      transport: TRANSPORTS[number % TRANSPORTS.length],
      load: this,
      random: random.fork(),
    });
  }

  /** A connection to whoever is the master now. */
  async openMaster() {
    const { address } = await this.topology.master();
    return RedisConnection.open(address);
  }

  /** The channels' own settings; a Redis that lost everything has lost them too. */
  async configure() {
    const connection = await this.openMaster();
    for (const [ch, length] of HISTORY) {
      await connection.call('HSET', `freshet:{${this.channels[ch].name}}`, 'history', length);
    }
    connection.close();
  }

  acknowledged({ p, n, ch, id, w }) {
    this.history.write('ack', { p, n, id, w });
    this.prober.offer({ ch, id });
  }

  async start() {
    await this.configure();
    for (const client of this.clients) client.start();
    this.watch = setInterval(() => {
      for (const client of this.clients) client.watch();
    }, WATCH_MS);
    await eventually('every client knows its start', () =>
      this.clients.every((client) => client.cursor !== undefined),
    );
    this.scribe.start();
    this.prober.start();
    for (const publisher of this.publishers) publisher.start();
  }

  /** Half of all goes to channel 0, one in fifty to the quiet ones, the rest to those between. */
  pickChannel(random) {
    const chance = random.next();
    if (chance < 0.5) return 0;
    if (chance < 0.52) return CHANNELS - QUIET + random.below(QUIET);
    return 1 + random.below(CHANNELS - QUIET - 1);
  }

  /** No more publications; then everybody has `settle` ms to come to the head. */
  async settle(settle) {
    await Promise.all(this.publishers.map((publisher) => publisher.stop()));
    this.prober.stop();
    for (const client of this.clients) client.hurry();
    const end = performance.now() + settle;
    await eventually('the logs are copied', () => this.scribe.copy().then(() => true));
    const heads = await this.scribe.heads();
    const isThere = (client) =>
      [...client.indexes].every(([name, ch]) => client.positions.get(name) === heads[ch]);
    while (performance.now() < end && !this.clients.every(isThere)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const [ch, id] of Object.entries(heads))
      this.history.write('head', { ch: Number(ch), id });
  }

  stop() {
    clearInterval(this.watch);
    this.scribe.stop();
    this.prober.stop();
    for (const publisher of this.publishers) publisher.abort();
    for (const client of this.clients) client.stop();
  }
}
