/** The client: one connection, any number of channels, and publishing. */
import { backoff } from './backoff.js';
import { Connection } from './connection.js';
import { FreshetError } from './error.js';
import { eventWith } from './events.js';
import { Http } from './http.js';
import { publicationOf, overHttp, overLink } from './publish.js';
import { Subscription } from './subscription.js';
import { Token } from './token.js';
import { openLongPoll, openPoll } from './transports/polling.js';
import { openSse } from './transports/sse.js';
import { openWebSocket } from './transports/websocket.js';

/**
 * @typedef {import('./reader.js').Reader} Reader
 * @typedef {'websocket' | 'sse' | 'long-poll' | 'poll'} TransportName
 *
 * @typedef {object} ClientOptions
 * @property {import('./token.js').TokenSource} [token] the grant; a function is asked again when it
 *   has ended
 * @property {TransportName[]} [transports] in the order in which they are tried; default: all four
 * @property {RequestCredentials} [credentials] as fetch takes it; `include` for cookies elsewhere
 * @property {any} [WebSocket] where there is none, e.g. that of npm `ws` on Node 20
 * @property {typeof fetch} [fetch]
 * @property {number} [raceAfter] ms after which the next transport is tried beside one that has not
 *   spoken, default 2,500
 * @property {number} [connectTimeout] ms after which an attempt is given up, default 10,000
 * @property {number} [grace] ms of silence beyond the announced heartbeat, default 5,000
 * @property {number[]} [reprobe] ms until a better transport that failed is tried again: after
 *   its first failure, its second..., default 1, 5, 15, 30 minutes
 * @property {number} [wait] seconds of a long poll, default 25
 * @property {number} [pollInterval] ms between polls, default 5,000
 * @property {() => number} [random] for tests
 *
 * @typedef {object} StateDetail
 * @property {import('./connection.js').ClientState} state
 * @property {TransportName} [transport] in use
 * @property {string} [node] that serves us, where it says so
 * @property {number} [latency] ms of the last round trip
 * @property {number} stale seconds for which the node has not heard Redis
 * @property {number} [retry] ms until the next attempt, while waiting
 * @property {Error} [error] why it is waiting
 *
 * @typedef {{ state: import('./events.js').EventWith<'state', StateDetail> }} ClientEvents
 */

/** @type {Record<TransportName, import('./connection.js').Transport['open']>} */
const TRANSPORTS = {
  websocket: openWebSocket,
  sse: openSse,
  'long-poll': openLongPoll,
  poll: openPoll,
};

/** As many as a node takes on one connection. */
const CHANNELS_MAX = 1000;
/** A publication with `once` is repeated so often. */
const PUBLISH_TRIES = 5;

export class Client extends EventTarget {
  #connection;
  #http;
  #random;
  /** @type {Map<string, Set<Reader>>} */
  #channels = new Map();
  /** @type {Set<Subscription>} */
  #subscriptions = new Set();

  /** @param {string | URL} url @param {ClientOptions} options */
  constructor(url, options) {
    super();
    const {
      token,
      transports = /** @type {TransportName[]} */ (Object.keys(TRANSPORTS)),
      credentials,
      WebSocket = globalThis.WebSocket,
      fetch = globalThis.fetch,
      raceAfter = 2_500,
      connectTimeout = 10_000,
      grace = 5_000,
      reprobe,
      wait = 25,
      pollInterval = 5_000,
      random = Math.random,
    } = options;
    const unknown = transports.find((name) => !Object.hasOwn(TRANSPORTS, name));
    if (unknown) throw new TypeError(`there is no transport ${unknown}`);
    const usable = transports.filter((name) => name !== 'websocket' || WebSocket);
    if (usable.length === 0) throw new TypeError('none of these transports can work here');
    this.#random = random;
    this.#http = new Http(url, new Token(token), { fetch: fetch.bind(globalThis), credentials });
    const context = {
      http: this.#http,
      channels: () => this.#cursors(),
      ...{ WebSocket, random, wait, pollInterval },
    };
    this.#connection = new Connection(
      context,
      usable.map((name) => ({ name, open: TRANSPORTS[name] })),
      { raceAfter, connectTimeout, grace, reprobe },
      {
        onJoined: (channel, ...joined) => this.#each(channel, (one) => one.onJoined(...joined)),
        onMessage: (message) => this.#each(message.channel, (one) => one.onMessage(message)),
        onReset: (reset) => this.#each(reset.channel, (one) => one.onReset(reset)),
        onRefused: (channel, error) => this.#refuse(channel, error),
        onDown: () => this.#down(),
        onState: () => this.dispatchEvent(eventWith('state', this.#detail())),
      },
    );
  }

  get state() {
    return this.#connection.state;
  }

  /** The transport in use. @returns {TransportName | undefined} */
  get transport() {
    return /** @type {TransportName | undefined} */ (this.#connection.transport);
  }

  /** The node that serves us, where it says so. */
  get node() {
    return this.#connection.node;
  }

  /** ms of the last round trip. */
  get latency() {
    return this.#connection.latency;
  }

  /**
   * Reads a channel, from now on unless the options say otherwise. The first one connects.
   * @param {string} channel
   * @param {import('./subscription.js').SubscribeOptions} [options]
   */
  subscribe(channel, options = {}) {
    if (this.state === 'closed') throw new FreshetError('closed', 'the client is closed');
    if (!this.#channels.has(channel) && this.#channels.size === CHANNELS_MAX) {
      throw new RangeError(`more than ${CHANNELS_MAX} channels`);
    }
    /** @type {Subscription} */
    const subscription = new Subscription(channel, options, {
      join: (reader) => this.#join(channel, reader),
      leave: (reader) => {
        this.#leave(channel, reader);
        this.#subscriptions.delete(subscription);
      },
      read: ({ since, rewind, min }) =>
        this.#http.json(this.#http.url('poll', { channel, since, rewind, min })),
      reconnect: () => this.#connection.reconnect(),
      random: this.#random,
    });
    if (subscription.state !== 'ended') this.#subscriptions.add(subscription);
    return subscription;
  }

  /**
   * Publishes one message. With `once` it is repeated until its fate is known; without, an error
   * with code `unknown`, `network` or `timeout` leaves it open whether it was published.
   * @param {string} channel @param {any} data JSON, or bytes
   * @param {import('./publish.js').PublishOptions} [options]
   * @returns {Promise<string>} its position
   */
  async publish(channel, data, options = {}) {
    const publication = publicationOf(channel, data, options);
    for (let attempt = 1; ; attempt += 1) {
      if (this.state === 'closed') throw new FreshetError('closed', 'the client is closed');
      try {
        const link = this.#connection.commands;
        const answer = link && overLink(link, publication);
        return await (answer ?? overHttp(this.#http, publication));
      } catch (/** @type {any} */ error) {
        if (!options.once || !error.retry || attempt === PUBLISH_TRIES) throw error;
        const delay = error.retryAfter ?? backoff(attempt, this.#random);
        await new Promise((resolve) => setTimeout(resolve, delay));
      }
    }
  }

  /** Ends all subscriptions and the connection, for good. */
  close() {
    if (this.state === 'closed') return;
    for (const subscription of [...this.#subscriptions]) subscription.close();
    this.#connection.close();
  }

  /**
   * @template {keyof ClientEvents} Type
   * @overload
   * @param {Type} type
   * @param {((event: ClientEvents[Type]) => void) | null} listener
   * @param {AddEventListenerOptions | boolean} [options]
   * @returns {void}
   */
  /**
   * @overload
   * @param {string} type
   * @param {EventListenerOrEventListenerObject | null} listener
   * @param {AddEventListenerOptions | boolean} [options]
   * @returns {void}
   */
  /**
   * @param {string} type
   * @param {any} listener
   * @param {AddEventListenerOptions | boolean} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, listener, options);
  }

  /** @returns {StateDetail} */
  #detail() {
    const { state, latency, stale, retry, error, node } = this.#connection;
    return { state, transport: this.transport, node, latency, stale, retry, error };
  }

  /** Where the wire is to begin: at the first reader of each channel. */
  #cursors() {
    const cursors = new Map();
    for (const [channel, [first]] of this.#channels) cursors.set(channel, first.since);
    return cursors;
  }

  /** @param {string} channel @param {Reader} reader */
  #join(channel, reader) {
    const readers = this.#channels.get(channel);
    if (!readers) {
      this.#channels.set(channel, new Set([reader]));
      this.#connection.update(channel, true);
      return;
    }
    readers.add(reader);
    // The wire has begun without it, or will have: it reads what it wants beside.
    if (this.state === 'open') queueMicrotask(() => reader.onJoined(undefined, ''));
  }

  /** @param {string} channel @param {Reader} reader */
  #leave(channel, reader) {
    const readers = this.#channels.get(channel);
    if (!readers?.delete(reader) || readers.size > 0) return;
    this.#channels.delete(channel);
    this.#connection.update(channel, false);
  }

  /** @param {string} channel @param {(reader: Reader) => void} tell */
  #each(channel, tell) {
    for (const reader of [...(this.#channels.get(channel) ?? [])]) tell(reader);
  }

  /** @param {string} channel @param {Error} error */
  #refuse(channel, error) {
    this.#each(channel, (reader) => reader.refuse(error));
  }

  #down() {
    for (const channel of [...this.#channels.keys()]) this.#each(channel, (one) => one.onDown());
  }
}
