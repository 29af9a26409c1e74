/**
 * What an application holds of a channel: an EventTarget with `message`, `reset` and `state`, and
 * an async iterable of messages.
 */
import { isPosition } from './continuity.js';
import { FreshetError } from './error.js';
import { eventWith } from './events.js';
import { Reader } from './reader.js';

/**
 * @typedef {import('./reader.js').Reset} Reset
 * @typedef {object} Message
 * @property {string} channel
 * @property {string} [id] its position; an ephemeral message has none
 * @property {number} time when it was published, in ms since 1970, by Redis's clock
 * @property {string} [event] the publisher's name for it
 * @property {any} data parsed JSON, a string, or for binary a Uint8Array
 * @property {Reset} [reset] continuity broke just before this message
 *
 * @typedef {'joining' | 'live' | 'reading' | 'waiting' | 'ended'} SubscriptionState joining: not
 *   begun yet; reading: a hole is being filled; waiting: no connection, it will go on at its cursor
 * @typedef {{ state: SubscriptionState, error?: Error }} SubscriptionStateDetail
 *
 * @typedef {object} SubscribeOptions
 * @property {string} [since] begin after this position; `0` is the oldest kept; default: now
 * @property {number} [rewind] begin with the last n messages
 * @property {AbortSignal} [signal] ends it
 * @property {number} [buffer] messages kept for a slow `for await`, default 1000; more end it
 *
 * @typedef {{ message: import('./events.js').EventWith<'message', Message>,
 *   reset: import('./events.js').EventWith<'reset', Reset>,
 *   state: import('./events.js').EventWith<'state', SubscriptionStateDetail> }} SubscriptionEvents
 *
 * @typedef {object} Source what a subscription needs of its client
 * @property {(reader: Reader) => void} join
 * @property {(reader: Reader) => void} leave
 * @property {import('./reader.js').Owner['read']} read
 * @property {() => void} reconnect
 * @property {() => number} random
 */

const BUFFER_MAX = 1000;

export class Subscription extends EventTarget {
  #reader;
  #source;
  /** @type {SubscriptionState} */
  #state = 'joining';
  /** @type {Error | undefined} */
  #error;
  /** @type {Reset | undefined} told, and no message since */
  #reset;
  /** @type {Message[] | null} for `for await`; null when listeners take the messages */
  #queue = [];
  #queueMax;
  #isIterated = false;
  /** @type {Error | undefined} */
  #overflow;
  /** @type {(() => void) | undefined} */
  #wake;
  #signal;
  #onAbort = () => this.close();

  /** @param {string} channel @param {SubscribeOptions} options @param {Source} source */
  constructor(channel, { since = '', rewind = 0, signal, buffer = BUFFER_MAX }, source) {
    super();
    if (since !== '' && since !== '0' && !isPosition(since)) {
      throw new TypeError(`since is a position, '0' or nothing, not ${since}`);
    }
    this.channel = channel;
    this.#queueMax = buffer;
    this.#source = source;
    this.#signal = signal;
    this.#reader = new Reader(
      { since, rewind: since === '' ? rewind : 0 },
      {
        onMessage: (message) => this.#onMessage(message),
        onReset: (reset) => this.#onReset(reset),
        onState: (state) => this.#setState(state),
        onEnd: (error) => this.#end(error),
        read: source.read,
        reconnect: source.reconnect,
        random: source.random,
      },
    );
    signal?.addEventListener('abort', this.#onAbort);
    if (signal?.aborted) this.#state = 'ended';
    else source.join(this.#reader);
  }

  /** The position of the last message or reset told; undefined before the start is known. */
  get position() {
    return isPosition(this.#reader.cursor) ? this.#reader.cursor : undefined;
  }

  get state() {
    return this.#state;
  }

  /** Why it ended, unless close() or the signal ended it. */
  get error() {
    return this.#error;
  }

  /** Ends it. Nothing comes after this. */
  close() {
    this.#end();
  }

  /**
   * @template {keyof SubscriptionEvents} Type
   * @overload
   * @param {Type} type
   * @param {((event: SubscriptionEvents[Type]) => void) | null} listener
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
    if (type === 'message' && !this.#isIterated) this.#queue = null;
    super.addEventListener(type, listener, options);
  }

  /**
   * The messages. Those that came since subscribe() are kept for it, unless a `message` listener
   * took them. Leaving the loop ends the subscription. A loop that lags by more than `buffer`
   * messages gets an error; what it has not seen can be had with `since: subscription.position` of
   * its last message's `id`.
   * @returns {AsyncGenerator<Message, void, undefined>}
   */
  async *[Symbol.asyncIterator]() {
    if (this.#isIterated) throw new TypeError('a subscription is iterated once');
    this.#isIterated = true;
    const queue = (this.#queue ??= []);
    try {
      for (;;) {
        const message = queue.shift();
        const error = this.#error ?? this.#overflow;
        if (message) yield message;
        else if (error) throw error;
        else if (this.#state === 'ended') return;
        else await new Promise((resolve) => (this.#wake = () => resolve(undefined)));
      }
    } finally {
      this.close();
    }
  }

  /** @param {import('./reader.js').Message} message */
  #onMessage({ encoding, fork, ...rest }) {
    /** @type {Message} */
    const message = rest;
    if (encoding === 'base64') message.data = bytesOf(message.data);
    if (this.#reset) message.reset = this.#reset;
    this.#reset = undefined;
    if (this.#queue && this.#queue.length >= this.#queueMax) {
      this.#queue.length = 0;
      const text = `more than ${this.#queueMax} messages of ${this.channel} wait to be taken`;
      this.#overflow = new FreshetError('overflow', text);
      if (this.#isIterated) return this.#end(this.#overflow);
      this.#queue = null; // nobody iterates yet; whoever begins to will be told
    }
    this.#queue?.push(message);
    this.#wake?.();
    this.dispatchEvent(eventWith('message', message));
  }

  /** @param {Reset & { type?: string }} reset */
  #onReset({ type, ...reset }) {
    this.#reset = reset;
    this.dispatchEvent(eventWith('reset', reset));
  }

  /** @param {SubscriptionState} state */
  #setState(state) {
    if (state === this.#state || this.#state === 'ended') return;
    if (state === 'waiting' && this.#state === 'joining') return;
    this.#state = state;
    const error = this.#error;
    this.dispatchEvent(eventWith('state', error ? { state, error } : { state }));
  }

  /** @param {Error} [error] */
  #end(error) {
    if (this.#state === 'ended') return;
    this.#error ??= error;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#reader.end();
    this.#source.leave(this.#reader);
    this.#setState('ended');
    this.#wake?.();
  }
}

/** @param {string} base64 */
function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
