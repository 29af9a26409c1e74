/** Requests to a node: addresses, grants, and answers that are not what was asked for. */
import { FreshetError } from './error.js';

/**
 * @typedef {Map<string, string>} Channels name to cursor: a position, `0`, or empty for the head
 */

/** Most answers come in milliseconds; this one is for those that never come. */
const DEADLINE_MS = 10_000;

export class Http {
  /**
   * @param {string | URL} base where the node's paths begin
   * @param {import('./token.js').Token} token
   * @param {{ fetch: typeof globalThis.fetch, credentials?: RequestCredentials }} options
   */
  constructor(base, token, { fetch, credentials }) {
    this.base = new URL(base);
    if (!this.base.pathname.endsWith('/')) this.base.pathname += '/';
    this.token = token;
    this.fetch = fetch;
    this.credentials = credentials;
  }

  /** @param {string} path @param {Record<string, string | number | undefined>} [query] */
  url(path, query = {}) {
    const url = new URL(path, this.base);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined && value !== '') url.searchParams.set(name, String(value));
    }
    return url;
  }

  /**
   * A response of 2xx. A refused token is renewed once.
   * @param {URL} url @param {RequestInit} [init]
   * @returns {Promise<Response>}
   */
  async request(url, init = {}) {
    for (let isAgain = false; ; isAgain = true) {
      const token = await this.token.get();
      const headers = new Headers(init.headers);
      if (token) headers.set('Authorization', `Bearer ${token}`);
      const { fetch, credentials } = this;
      /** @type {Response} */
      const response = await fetch(url, { cache: 'no-store', credentials, ...init, headers }).catch(
        (cause) => {
          throw new FreshetError('network', `no answer from ${url.host}`, { retry: true, cause });
        },
      );
      if (response.ok) return response;
      const error = await problem(response);
      if (response.status !== 401) throw error;
      await this.token.refuse(token);
      error.retry = this.token.isRenewable && token !== undefined;
      if (isAgain || !this.token.isRenewable) throw error;
    }
  }

  /**
   * A request and its JSON, or a timeout.
   * @param {URL} url @param {RequestInit & { signal?: AbortSignal | null }} [init]
   * @returns {Promise<any>}
   */
  async json(url, init = {}) {
    const late = new AbortController();
    const abort = () => late.abort();
    const timer = setTimeout(abort, DEADLINE_MS);
    init.signal?.addEventListener('abort', abort);
    try {
      const response = await this.request(url, { ...init, signal: late.signal });
      return await response.json();
    } catch (error) {
      if (!late.signal.aborted) throw error;
      throw new FreshetError('timeout', `no answer from ${url.host} in time`, { retry: true });
    } finally {
      clearTimeout(timer);
      init.signal?.removeEventListener('abort', abort);
    }
  }

  /**
   * Asks to read channels: one in the URL, several in a body.
   * @param {'poll' | 'sse'} path @param {Channels} channels
   * @param {AbortSignal} signal @param {{ wait?: number, envelope?: 1 }} [more]
   */
  read(path, channels, signal, { wait, envelope } = {}) {
    const [[channel, since]] = channels;
    if (channels.size === 1) {
      return this.request(this.url(path, { channel, since, wait, envelope }), { signal });
    }
    return this.request(this.url(path), {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ channels: Object.fromEntries(channels), wait }),
      signal,
    });
  }

  /**
   * Which of these channels the server refuses, when it refused them together.
   * @param {Channels} channels @param {FreshetError} error @param {AbortSignal} signal
   * @returns {Promise<Map<string, FreshetError>>}
   */
  async refused(channels, error, signal) {
    const refused = new Map();
    const [first] = channels.keys();
    const guilty = channels.size === 1 ? first : error.channel;
    if (guilty !== undefined && channels.has(guilty)) return refused.set(guilty, error);
    for (const channel of channels.keys()) {
      await this.json(this.url('poll', { channel }), { signal }).catch((one) => {
        if (isRefusal(one)) refused.set(channel, one);
      });
    }
    return refused;
  }
}

/** Whether it was the channel, or the right to it, that was wrong. @param {any} error */
export function isRefusal({ status, retry }) {
  return !retry && (status === 400 || status === 401 || status === 403);
}

/**
 * @param {Response} response
 * @returns {Promise<FreshetError>} of an RFC 9457 answer, or a proxy's
 */
async function problem(response) {
  const { status } = response;
  const told = await response.json().catch(() => ({}));
  const after = Number(response.headers.get('Retry-After') ?? NaN) * 1000;
  return new FreshetError(told.code ?? `http-${status}`, told.detail ?? `HTTP status ${status}`, {
    status,
    retry: status >= 500 || status === 408 || status === 429,
    retryAfter: after >= 0 ? after : undefined,
    head: told.head,
    channel: told.channel,
  });
}
