/** WebSocket, subprotocol freshet.v1: JSON text frames, many channels, changed while it is open. */
import { FreshetError } from '../error.js';

const OPEN = 1;
const ABNORMAL = 1006;
/** The close code for a grant that ended, and the error code for one that is missing or refused. */
const UNAUTHORIZED = 4401;
const TOKEN = 'token';
const RETRY_MS = 1000;
/** What commands under way are told when the connection ends. */
const CLOSED = 'closed';

/**
 * @typedef {import('../connection.js').Context} Context
 * @typedef {import('../connection.js').Hooks} Hooks
 * @typedef {import('../connection.js').Link} Link
 */

/** @param {Context} context @param {Hooks} hooks @returns {Link} */
export function openWebSocket(context, hooks) {
  return new WebSocketLink(context, hooks);
}

/** @implements {Link} */
class WebSocketLink {
  #context;
  #hooks;
  #socket;
  #ref = 0;
  /** @type {Map<number, (answer: any) => void>} commands under way */
  #answers = new Map();
  /** @type {ReturnType<typeof setTimeout>[]} */
  #timers = [];
  #isReady = false;
  /** @type {string | undefined} the token */
  #shown;
  /** @type {Promise<void> | undefined} */
  #renewing;

  /** @param {Context} context @param {Hooks} hooks */
  constructor(context, hooks) {
    this.#context = context;
    this.#hooks = hooks;
    const url = context.http.url('ws');
    url.protocol = url.protocol.replace('http', 'ws');
    this.#socket = new /** @type {typeof WebSocket} */ (context.WebSocket)(url, ['freshet.v1']);
    this.#socket.onmessage = ({ data }) => this.#onFrame(data);
    // A close follows and says as little, but not on every platform.
    this.#socket.onerror = () => this.#onClose(ABNORMAL, '');
    this.#socket.onclose = ({ code, reason }) => this.#onClose(code, reason);
  }

  close() {
    const socket = this.#socket;
    for (const timer of this.#timers) clearTimeout(timer);
    socket.onmessage = socket.onclose = null;
    socket.onerror = () => {};
    this.#failAll();
    socket.close();
  }

  /** @param {string} channel */
  add(channel) {
    if (this.#isReady) this.#subscribe(channel);
  }

  /** @param {string} channel */
  remove(channel) {
    if (this.#isReady) this.#send({ type: 'unsubscribe', channel }, () => {});
  }

  /** So that the server speaks: browsers do not show its ping frames. */
  ping() {
    const start = performance.now();
    this.#send({ type: 'ping' }, () => this.#hooks.onLatency(performance.now() - start));
  }

  /** @param {object} command @returns {Promise<any>} */
  request(command) {
    return new Promise((resolve, reject) => {
      this.#send(command, (answer) => {
        if (answer.type === 'ok') resolve(answer);
        else reject(errorOf(answer));
      });
    });
  }

  /** @param {object} command @param {(answer: any) => void} onAnswer */
  #send(command, onAnswer) {
    const ref = ++this.#ref;
    this.#answers.set(ref, onAnswer);
    this.#socket.send(JSON.stringify({ ref, ...command }));
  }

  /** @param {string} data */
  #onFrame(data) {
    const hooks = this.#hooks;
    hooks.onAlive();
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return this.#end(new FreshetError('protocol', 'a frame that is not JSON', { retry: true }));
    }
    const { type, ref } = frame;
    if (type === undefined) hooks.onMessage(frame);
    else if (type === 'hello') this.#onHello(frame);
    else if (type === 'reset') hooks.onReset(frame);
    else if (type === 'stale') hooks.onStale(frame.seconds);
    else if (type === 'bye') this.#end(undefined, frame.retry);
    else if (this.#answers.has(ref)) {
      const onAnswer = this.#answers.get(ref);
      this.#answers.delete(ref);
      onAnswer?.(frame);
    } else if (type === 'error') {
      this.#end(errorOf(frame));
    }
  }

  /** @param {{ node: string, heartbeat: number }} hello */
  async #onHello({ node, heartbeat }) {
    this.#hooks.onHello({ node, heartbeat });
    try {
      await this.#authorise();
    } catch (/** @type {any} */ error) {
      return this.#end(error);
    }
    if (this.#socket.readyState !== OPEN) return;
    this.#isReady = true;
    for (const channel of this.#context.channels().keys()) this.#subscribe(channel);
    this.ping();
  }

  /** Shows the token, and again before it ends. */
  async #authorise() {
    const { token } = this.#context.http;
    for (let isAgain = false; ; isAgain = true) {
      const text = await token.get();
      this.#shown = text;
      if (!text || this.#socket.readyState !== OPEN) return;
      try {
        await this.request({ type: 'auth', token: text });
        this.#renewLater();
        return;
      } catch (/** @type {any} */ error) {
        if (error.code === CLOSED) throw error;
        // Without a good token: channels that need one are refused one by one.
        if (!token.isRenewable) return;
        await token.refuse(text);
        if (isAgain) throw error;
      }
    }
  }

  #renewLater() {
    const { renewAt } = this.#context.http.token;
    if (renewAt === Infinity) return;
    const renew = () => this.#renew().catch((error) => this.#end(error));
    this.#timers.push(setTimeout(renew, renewAt - Date.now()));
  }

  /** Many may ask at once, the channels of one token. */
  #renew() {
    this.#renewing ??= this.#context.http.token
      .refuse(this.#shown)
      .then(() => this.#authorise())
      .finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  /** @param {string} channel @param {boolean} [isAgain] with a token that was just accepted */
  #subscribe(channel, isAgain = false) {
    const asked = this.#context.channels().get(channel);
    if (asked === undefined || this.#socket.readyState !== OPEN) return;
    const since = asked === '' ? undefined : asked;
    this.#send({ type: 'subscribe', channel, since }, (answer) => {
      if (answer.type === 'ok') this.#hooks.onJoined(channel, asked, answer.position);
      else this.#onRefused(channel, errorOf(answer), isAgain);
    });
  }

  /** @param {string} channel @param {FreshetError} error @param {boolean} isAgain */
  async #onRefused(channel, error, isAgain) {
    const { token } = this.#context.http;
    if (error.code === CLOSED) return;
    if (error.code === TOKEN && token.isRenewable && !isAgain) {
      try {
        await this.#renew();
      } catch (/** @type {any} */ failure) {
        return this.#end(failure);
      }
      this.#subscribe(channel, true);
    } else if (error.retry) {
      const delay = RETRY_MS * (0.5 + this.#context.random());
      this.#timers.push(setTimeout(() => this.#subscribe(channel), delay));
    } else {
      this.#hooks.onRefused(channel, error);
    }
  }

  /** @param {number} code @param {string} reason */
  async #onClose(code, reason) {
    const text = `the connection closed (${code}${reason && `: ${reason}`})`;
    const isGrant = code === UNAUTHORIZED;
    if (isGrant) await this.#context.http.token.refuse(this.#shown);
    this.#end(new FreshetError(isGrant ? TOKEN : 'cut', text, { retry: true }));
  }

  /** @param {FreshetError} [error] @param {number} [retry] */
  #end(error, retry) {
    this.close();
    this.#hooks.onEnd({ error, retry });
  }

  #failAll() {
    const answers = [...this.#answers.values()];
    this.#answers.clear();
    const closed = { type: 'error', code: CLOSED, message: 'the connection closed', retry: true };
    for (const onAnswer of answers) onAnswer(closed);
  }
}

/** @param {{ code: string, message: string, retry?: boolean, head?: string }} frame */
function errorOf({ code, message, ...more }) {
  return new FreshetError(code, message, more);
}
