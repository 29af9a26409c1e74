/**
 * One working link to a node, by whichever transport works.
 *
 *   idle -> connecting     round(): there are channels; the best transport is tried, and when it
 *                          has not spoken after a while the next one beside it
 *   connecting -> open     win(): a server spoke (its hello, not an open socket); others are closed
 *   connecting -> waiting  ended(): nothing worked; also open -> waiting when the link is lost
 *   waiting -> connecting  round(), after a jittered delay or the one that the server asked for
 *   open -> open           climb: a better transport is tried beside the one in use
 *   any -> idle            no channels; any -> closed: close()
 */
import { backoff } from './backoff.js';
import { FreshetError } from './error.js';
import { Ladder, PROVEN_MS } from './ladder.js';

/**
 * @typedef {'idle' | 'connecting' | 'open' | 'waiting' | 'closed'} ClientState
 * @typedef {{ error?: Error, retry?: number }} End retry: ms that the server asked for
 *
 * @typedef {object} Context what transports are given
 * @property {import('./http.js').Http} http
 * @property {() => import('./http.js').Channels} channels and where they begin
 * @property {typeof WebSocket | undefined} WebSocket
 * @property {() => number} random
 * @property {number} wait seconds of a long poll
 * @property {number} pollInterval ms
 *
 * @typedef {object} Hooks what transports tell; after close() nobody listens
 * @property {(hello: { node?: string, heartbeat?: number }) => void} onHello it works
 * @property {() => void} onAlive bytes came
 * @property {(ms: number) => void} onLatency a round trip took so long
 * @property {(channel: string, asked: string, position: string) => void} onJoined
 * @property {(message: any) => void} onMessage
 * @property {(reset: any) => void} onReset
 * @property {(seconds: number) => void} onStale
 * @property {(channel: string, error: Error) => void} onRefused for good
 * @property {(end: End) => void} onEnd at most once
 *
 * @typedef {object} Link
 * @property {() => void} close
 * @property {() => void} [change] the channels are others now
 * @property {(channel: string) => void} [add] instead of change
 * @property {(channel: string) => void} [remove] instead of change
 * @property {() => void} [ping]
 * @property {(command: object) => Promise<any>} [request]
 *
 * @typedef {object} Transport
 * @property {string} name
 * @property {(context: Context, hooks: Hooks) => Link} open
 *
 * @typedef {{ at: number, link?: Link, heard: number, opened: number, heartbeat: number,
 *   node?: string }} Attempt
 *
 * @typedef {object} Timing all in ms
 * @property {number} raceAfter
 * @property {number} connectTimeout
 * @property {number} grace
 * @property {number[]} [reprobe]
 *
 * @typedef {object} Table the channels of the client, to which the live link speaks
 * @property {Hooks['onJoined']} onJoined
 * @property {Hooks['onMessage']} onMessage
 * @property {Hooks['onReset']} onReset
 * @property {Hooks['onRefused']} onRefused
 * @property {() => void} onDown
 * @property {() => void} onState
 */

/** WebSocket's heartbeat by default; the server's hello says its own. */
const HEARTBEAT_MS = 25_000;
/** Retry-After is the same for many: it is stretched by up to this share. */
const RETRY_AFTER_JITTER = 0.5;
const FAULTS = ['cut', 'timeout', 'protocol'];
const EVERYWHERE = ['network', 'token'];

export class Connection {
  /** @type {ClientState} */
  state = 'idle';
  /** @type {number | undefined} ms */
  latency;
  /** Seconds for which the node has not heard Redis. */
  stale = 0;
  /** @type {Error | undefined} why it is waiting */
  error;
  /** @type {number | undefined} ms until it tries again */
  retry;

  #context;
  #transports;
  #timing;
  #table;
  #ladder;
  /** @type {Set<Attempt>} */
  #attempts = new Set();
  /** @type {Attempt | undefined} one of the attempts */
  #live;
  /** @type {number[]} yet to be tried in this round */
  #queue = [];
  /** @type {Set<number>} failed in this round */
  #failed = new Set();
  /** Waits since a link was proven. */
  #waits = 0;
  /** Channels came or went that a link without add() does not know of. */
  #isDirty = false;
  /** @type {Map<unknown, ReturnType<typeof setTimeout>>} */
  #timers = new Map();
  #onOnline = () => {
    if (this.state === 'waiting') this.#round();
  };

  /**
   * @param {Context} context
   * @param {Transport[]} transports
   * @param {Timing} timing
   * @param {Table} table
   */
  constructor(context, transports, timing, table) {
    this.#context = context;
    this.#transports = transports;
    this.#timing = timing;
    this.#table = table;
    this.#ladder = new Ladder(transports.length, timing.reprobe);
    globalThis.addEventListener?.('online', this.#onOnline);
  }

  get transport() {
    return this.#live && this.#transports[this.#live.at].name;
  }

  get node() {
    return this.#live?.node;
  }

  /** The link in use, when it takes commands. */
  get commands() {
    return this.#live?.link?.request && this.#live.link;
  }

  /** A channel came or went. @param {string} channel @param {boolean} isThere */
  update(channel, isThere) {
    if (this.state === 'closed') return;
    const link = this.#live?.link;
    if (!link?.add) this.#isDirty = true;
    else if (isThere) link.add(channel);
    else link.remove?.(channel);
    if (!this.#timers.has('settle')) this.#after('settle', 0, () => this.#settle());
  }

  /** Begins anew, at the readers' cursors: each time later, until a link is proven. */
  reconnect() {
    const retry = backoff(this.#waits + 1, this.#context.random);
    if (this.#live) this.#ended(this.#live, { retry });
  }

  close() {
    globalThis.removeEventListener?.('online', this.#onOnline);
    this.#rest('closed');
  }

  #settle() {
    if (this.#context.channels().size === 0) this.#rest('idle');
    else if (this.state === 'idle') this.#round();
    else if (this.#live && this.#isDirty) {
      this.#isDirty = false;
      this.#live.link?.change?.();
    }
  }

  /** @param {'idle' | 'closed'} state */
  #rest(state) {
    for (const attempt of [...this.#attempts]) this.#drop(attempt);
    for (const name of [...this.#timers.keys()]) this.#cancel(name);
    this.#live = undefined;
    this.#queue = [];
    this.#isDirty = false;
    this.#setState(state);
  }

  #round() {
    this.#cancel('round');
    if (this.#context.channels().size === 0) return this.#rest('idle');
    this.#queue = this.#ladder.candidates(Date.now());
    this.#failed.clear();
    this.#isDirty = false;
    this.#setState('connecting');
    this.#next();
  }

  #next() {
    this.#cancel('race');
    const at = this.#queue.shift();
    if (at === undefined) return;
    if (this.#queue.length > 0) this.#after('race', this.#timing.raceAfter, () => this.#next());
    this.#try(at);
  }

  /** @param {number} at */
  #try(at) {
    /** @type {Attempt} */
    const attempt = { at, heard: 0, opened: 0, heartbeat: HEARTBEAT_MS };
    const hooks = this.#hooks(attempt);
    this.#attempts.add(attempt);
    this.#after(attempt, this.#timing.connectTimeout, () => {
      hooks.onEnd({
        error: new FreshetError('timeout', 'the server did not speak', { retry: true }),
      });
    });
    try {
      attempt.link = this.#transports[at].open(this.#context, hooks);
    } catch (cause) {
      const error = new FreshetError('transport', String(cause), { retry: true, cause });
      queueMicrotask(() => hooks.onEnd({ error }));
    }
  }

  /** @param {Attempt} attempt @returns {Hooks} */
  #hooks(attempt) {
    const table = this.#table;
    const isLive = () => attempt === this.#live;
    return {
      onHello: (hello) => this.#attempts.has(attempt) && this.#win(attempt, hello),
      onAlive: () => (attempt.heard = Date.now()),
      onLatency: (ms) => this.#attempts.has(attempt) && this.#onLatency(attempt, ms),
      onJoined: (...joined) => isLive() && table.onJoined(...joined),
      onMessage: (message) => isLive() && table.onMessage(message),
      onReset: (reset) => isLive() && table.onReset(reset),
      onStale: (seconds) => isLive() && this.#onStale(seconds),
      onRefused: (...refused) => this.#attempts.has(attempt) && table.onRefused(...refused),
      onEnd: (end) => this.#attempts.has(attempt) && this.#ended(attempt, end),
    };
  }

  /** @param {Attempt} attempt @param {{ node?: string, heartbeat?: number }} hello */
  #win(attempt, { node, heartbeat = HEARTBEAT_MS }) {
    Object.assign(attempt, { node, heartbeat, heard: Date.now() });
    if (attempt === this.#live) return this.#setState('open');
    this.#cancel('race');
    this.#cancel(attempt);
    this.#queue = [];
    for (const other of [...this.#attempts]) {
      if (other === attempt) continue;
      if (other !== this.#live) this.#failed.add(other.at);
      this.#drop(other);
    }
    attempt.opened = Date.now();
    this.#live = attempt;
    this.stale = 0;
    this.#ladder.won(attempt.at, this.#failed, Date.now());
    this.#failed.clear();
    this.#after('proven', PROVEN_MS, () => {
      this.#ladder.proven(attempt.at);
      this.#waits = 0;
    });
    this.#watch(attempt);
    this.#ping(attempt);
    this.#climbLater(attempt.at);
    if (this.#isDirty) this.#after('settle', 0, () => this.#settle());
    this.#setState('open');
  }

  /** Looks for silence. @param {Attempt} attempt */
  #watch(attempt) {
    const limit = attempt.heartbeat + this.#timing.grace;
    const silence = Date.now() - attempt.heard;
    if (silence < limit) {
      this.#after('watch', limit - silence, () => this.#watch(attempt));
      return;
    }
    const error = new FreshetError('timeout', `${silence} ms of silence`, { retry: true });
    this.#ended(attempt, { error });
  }

  /** @param {Attempt} attempt */
  #ping(attempt) {
    this.#after('ping', attempt.heartbeat, () => {
      attempt.link?.ping?.();
      this.#ping(attempt);
    });
  }

  /** @param {number} from */
  #climbLater(from) {
    this.#cancel('climb');
    const better = this.#ladder.climb(from);
    if (better) {
      const delay = Math.max(0, better.time - Date.now());
      this.#after('climb', delay, () => this.#try(better.at));
    }
  }

  /** @param {Attempt} attempt @param {End} end */
  #ended(attempt, { error, retry }) {
    const now = Date.now();
    const isLive = attempt === this.#live;
    this.#drop(attempt);
    if (isLive) {
      this.#live = undefined;
      for (const name of [...this.#timers.keys()]) this.#cancel(name);
      for (const other of [...this.#attempts]) this.#drop(other);
      const isYoung = now - attempt.opened < PROVEN_MS && retry === undefined;
      const isOut = isYoung && isFault(error) && this.#ladder.diedYoung(attempt.at, now);
      this.#table.onDown();
      this.#wait(error, retry ?? (isOut ? 0 : undefined));
    } else if (this.#live) {
      this.#ladder.won(this.#live.at, [attempt.at], now);
      this.#climbLater(this.#live.at);
    } else {
      this.#failed.add(attempt.at);
      if (retry !== undefined || isEverywhere(error)) this.#queue = [];
      if (this.#queue.length > 0) this.#next();
      else if (this.#attempts.size === 0) this.#wait(error, retry);
    }
  }

  /** @param {Error | undefined} error @param {number} [asked] ms that the server asked for */
  #wait(error, asked) {
    const { random } = this.#context;
    this.#cancel('race');
    this.#waits += 1;
    const after = error instanceof FreshetError ? error.retryAfter : undefined;
    const stretched = after === undefined ? undefined : after * (1 + RETRY_AFTER_JITTER * random());
    const delay = asked ?? stretched ?? backoff(this.#waits, random);
    this.#after('round', delay, () => this.#round());
    this.#setState('waiting', error, delay);
  }

  /** @param {Attempt} attempt */
  #drop(attempt) {
    this.#attempts.delete(attempt);
    this.#cancel(attempt);
    attempt.link?.close();
  }

  /** @param {Attempt} attempt @param {number} ms */
  #onLatency(attempt, ms) {
    this.latency = ms;
    if (attempt === this.#live) this.#table.onState();
  }

  /** @param {number} seconds */
  #onStale(seconds) {
    this.stale = seconds;
    this.#table.onState();
  }

  /** @param {ClientState} state @param {Error} [error] @param {number} [retry] */
  #setState(state, error, retry) {
    Object.assign(this, { state, error, retry });
    this.#table.onState();
  }

  /** @param {unknown} name @param {number} ms @param {() => void} run */
  #after(name, ms, run) {
    this.#cancel(name);
    this.#timers.set(
      name,
      setTimeout(() => {
        this.#timers.delete(name);
        run();
      }, ms),
    );
  }

  /** @param {unknown} name */
  #cancel(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

/** Whether it may be this transport that fails, and not the grant. @param {any} error */
function isFault(error) {
  return !error || FAULTS.includes(error.code);
}

/**
 * Whether the next HTTP transport would meet the same: no way to the server, no server, no token.
 * @param {any} error
 */
function isEverywhere(error) {
  return EVERYWHERE.includes(error?.code) || error?.status >= 500 || error?.status === 429;
}
