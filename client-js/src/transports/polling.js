/** Long polling and polling: the same request, held by the server or repeated by us. */
import { before } from '../continuity.js';
import { httpLink } from './http_link.js';

/**
 * @typedef {import('../connection.js').Context} Context
 * @typedef {import('../connection.js').Hooks} Hooks
 * @typedef {import('../connection.js').Link} Link
 * @typedef {import('../http.js').Channels} Channels
 */

/**
 * Asks again at once; the server answers when there is something, or after so many seconds.
 * @param {Context} context @param {Hooks} hooks @returns {Link}
 */
export function openLongPoll(context, hooks) {
  return poll(context, hooks, { wait: context.wait, pause: 0 });
}

/** Asks now and then. @param {Context} context @param {Hooks} hooks @returns {Link} */
export function openPoll(context, hooks) {
  return poll(context, hooks, { wait: 0, pause: context.pollInterval });
}

/**
 * @param {Context} context @param {Hooks} hooks @param {{ wait: number, pause: number }} rhythm
 * @returns {Link}
 */
function poll({ http, channels, random }, hooks, { wait, pause }) {
  let isStale = false;

  /** @param {number} seconds */
  function onStale(seconds) {
    if (seconds > 0 || isStale) hooks.onStale(seconds);
    isStale = seconds > 0;
  }

  return httpLink({ http, channels }, hooks, async (begun, signal) => {
    // The first answer says that this works, and where we stand: it is not waited for.
    for (let isFirst = true; !signal.aborted; isFirst = false) {
      const asked = new Map([...channels()].filter(([channel]) => begun.has(channel)));
      if (asked.size === 0) return undefined; // a change is on its way
      const isHeld = wait > 0 && !isFirst;
      const start = performance.now();
      const response = await http.read('poll', asked, signal, { wait: isHeld ? wait : undefined });
      const answer = await response.json();
      if (signal.aborted) break;
      hooks.onAlive();
      if (!isHeld) hooks.onLatency(performance.now() - start);
      if (isFirst) {
        hooks.onHello({ heartbeat: wait * 1000 + pause });
        tellStart(hooks, asked, answer);
      }
      onStale(Number(response.headers.get('Freshet-Stale') ?? 0));
      for (const reset of answer.resets ?? []) hooks.onReset(reset);
      for (const message of answer.messages) hooks.onMessage(message);
      if (pause > 0 && !answer.more) await sleep(pause * (0.75 + 0.5 * random()), signal);
    }
    return undefined;
  });
}

/** @param {Hooks} hooks @param {Channels} asked @param {{ cursor: any, messages: any[] }} answer */
function tellStart(hooks, asked, { cursor, messages }) {
  for (const [channel, since] of asked) {
    const position = typeof cursor === 'string' ? cursor : cursor[channel];
    hooks.onJoined(channel, since, startOf(channel, since, position, messages));
  }
}

/**
 * The position that an answer began at: what was asked for; for the oldest, the one before the
 * first message; for the head, the head.
 * @param {string} channel @param {string} since @param {string} position after the answer
 * @param {{ channel: string, id?: string }[]} messages
 */
function startOf(channel, since, position, messages) {
  if (since !== '' && since !== '0') return since;
  const first = messages.find((message) => message.channel === channel && message.id !== undefined);
  return first?.id === undefined ? position : before(first.id);
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
function sleep(ms, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
