/** Server-sent events, read by fetch: so that headers, POST and the answer's status can be used. */
import { FreshetError } from '../error.js';
import { SseParser } from '../sse_parser.js';
import { httpLink } from './http_link.js';

/**
 * @typedef {import('../connection.js').Context} Context
 * @typedef {import('../connection.js').Hooks} Hooks
 * @typedef {import('../connection.js').Link} Link
 */

/** @param {Context} context @param {Hooks} hooks @returns {Link} */
export function openSse(context, hooks) {
  return httpLink(context, hooks, (...run) => follow(context, hooks, ...run));
}

/**
 * @param {Context} context @param {Hooks} hooks
 * @param {import('../http.js').Channels} asked @param {AbortSignal} signal
 * @param {() => void} change
 * @returns {Promise<import('../connection.js').End>} how the server ended it
 */
async function follow({ http }, hooks, asked, signal, change) {
  const start = performance.now();
  const response = await http.read('sse', asked, signal, { envelope: 1 });
  /** @type {number | undefined} */
  let retry;
  const parser = new SseParser(
    ({ event, data }) => {
      const object = JSON.parse(data);
      if (event === 'hello') {
        hooks.onLatency(performance.now() - start);
        hooks.onHello(object);
        for (const [channel, since] of asked) {
          const { cursor } = object;
          hooks.onJoined(channel, since, typeof cursor === 'string' ? cursor : cursor[channel]);
        }
      } else if (event === 'reset') hooks.onReset(object);
      else if (event === 'stale') hooks.onStale(object.seconds);
      else hooks.onMessage(object);
    },
    (ms) => (retry = ms),
  );
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  // A stream ends with its token: it begins anew before.
  const { renewAt } = http.token;
  const timer = renewAt < Infinity ? setTimeout(change, renewAt - Date.now()) : undefined;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted || done) break;
      hooks.onAlive();
      parser.feed(decoder.decode(value, { stream: true }));
    }
  } catch (cause) {
    if (cause instanceof SyntaxError) {
      throw new FreshetError('protocol', 'an event that is not JSON', { retry: true, cause });
    }
    throw new FreshetError('cut', 'the stream broke', { retry: true, cause });
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {});
  }
  return { retry };
}
