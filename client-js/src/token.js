/** The grant that goes with every request: a string, or a function that is asked again. */
import { FreshetError } from './error.js';

/** @typedef {string | (() => string | undefined | Promise<string | undefined>)} TokenSource */

/** The part of a token's life after which it is renewed, where its `exp` can be read. */
const RENEW_AT = 0.8;
const TIMER_MAX = 2 ** 31 - 1;

export class Token {
  #source;
  /**
   * @type {Promise<string | undefined> | undefined} one question for all who wait for the answer
   */
  #asked;
  /** When the one we have should be replaced; Infinity where it does not say. */
  renewAt = Infinity;

  /** @param {TokenSource | undefined} source */
  constructor(source) {
    this.#source = source;
  }

  /** Whether asking again may give another one. */
  get isRenewable() {
    return typeof this.#source === 'function';
  }

  /** @returns {Promise<string | undefined>} */
  get() {
    if (typeof this.#source !== 'function') return Promise.resolve(this.#source);
    if (Date.now() >= this.renewAt) this.#asked = undefined;
    if (!this.#asked) {
      const asked = this.#ask(this.#source);
      this.#asked = asked;
      asked.catch(() => this.#forget(asked));
    }
    return this.#asked;
  }

  /** @param {() => string | undefined | Promise<string | undefined>} source */
  async #ask(source) {
    this.renewAt = Infinity;
    try {
      const token = await source();
      this.renewAt = Date.now() + (renewIn(token, Date.now()) ?? Infinity);
      return token;
    } catch (cause) {
      throw new FreshetError('token', `no token: ${cause}`, { retry: true, cause });
    }
  }

  /** The server refused `used`: the next get() asks again, unless somebody else did already. */
  async refuse(/** @type {string | undefined} */ used) {
    const asked = this.#asked;
    if (asked && (await asked.catch(() => used)) === used) this.#forget(asked);
  }

  #forget(/** @type {Promise<unknown>} */ asked) {
    if (this.#asked === asked) this.#asked = undefined;
  }
}

/**
 * When to renew a token, in ms from now; undefined when it does not say when it ends. Read without
 * verifying: the server judges, this only spares a round of refusals.
 * @param {string | undefined} token @param {number} now ms
 */
export function renewIn(token, now) {
  if (!token) return undefined;
  try {
    const claims = JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
    const left = claims.exp * 1000 - now;
    return left > 0 ? Math.min(left * RENEW_AT, TIMER_MAX) : undefined;
  } catch {
    return undefined;
  }
}
