/**
 * Four publishers, each with sequence numbers of its own: two call the function in Redis, two POST
 * through HAProxy. Each publication has a ONCE key and is repeated with it while nobody knows
 * whether it was carried out; what was refused is never repeated, so that it must never appear.
 * A few that were acknowledged are sent once more, as a retry that was not needed: same position.
 */
import http from 'node:http';
import { makePayload } from './payload.js';

const RATE = 50; // of one publisher, each second; half of it on channel 0
const TICK_MS = 20;
const OUTSTANDING_MAX = 60;
const UNANSWERED_MS = 1500;
const POST_TIMEOUT_MS = 3000;
const GIVE_UP_MS = 20_000;
const AGAIN_EVERY = 40; // acknowledged publications, one of which is sent again
const WAIT_EVERY = 5; // publications, one of which asks for a replica's word
const TYPES = ['json', 'text', 'json', 'binary'];

/** An attempt without an answer: it may have been carried out. */
class Unknown extends Error {}

/** A definite no: nothing was written. */
class Refused extends Error {}

class Publisher {
  constructor(number, load, random) {
    this.number = number;
    this.load = load;
    this.random = random;
    this.type = TYPES[number];
    this.sequence = 0;
    this.outstanding = 0;
    this.due = 0;
    this.acknowledged = 0;
  }

  start() {
    let last = performance.now();
    this.timer = setInterval(() => {
      const at = performance.now();
      this.due = Math.min(this.due + ((at - last) / 1000) * RATE, RATE / 5);
      last = at;
      for (; this.due >= 1; this.due -= 1) {
        if (this.outstanding < OUTSTANDING_MAX && this.maySpeak) this.#publish();
      }
    }, TICK_MS);
  }

  get maySpeak() {
    return this.load.voices === 'all';
  }

  abort() {
    clearInterval(this.timer);
    this.isOver = true;
  }

  /** No new ones; resolves when all that are out have an answer, or nobody waits for it any more. */
  async stop() {
    this.abort();
    while (this.outstanding > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    this.close?.();
  }

  async #publish() {
    const { random, number: p, load } = this;
    const ch = load.pickChannel(random);
    this.sequence += 1;
    const n = this.sequence;
    const { h, text } = makePayload(p, n, random);
    const publication = { n, text, name: load.channels[ch].name, once: `${p}-${n}` };
    publication.asksReplica = n % WAIT_EVERY === 0;
    load.history.write('pub', { p, n, ch, h });
    this.outstanding += 1;
    try {
      await this.#untilKnown(publication, ch);
    } finally {
      this.outstanding -= 1;
    }
  }

  async #untilKnown(publication, ch) {
    const { number: p, load } = this;
    const { n } = publication;
    const end = performance.now() + GIVE_UP_MS;
    let isUnsure = false;
    for (;;) {
      try {
        const { id, w } = await this.send(publication);
        load.acknowledged({ p, n, ch, id, w });
        this.acknowledged += 1;
        if (this.acknowledged % AGAIN_EVERY === 0) await this.#again(publication);
        return;
      } catch (error) {
        if (!(error instanceof Refused || error instanceof Unknown)) throw error;
        const isRefused = error instanceof Refused;
        load.history.write(isRefused ? 'no' : 'maybe', { p, n, why: error.message.slice(0, 80) });
        if (isRefused && !isUnsure) return;
        isUnsure ||= !isRefused;
        if (performance.now() > end || this.isOver) return;
        await new Promise((resolve) => setTimeout(resolve, this.random.between(100, 400)));
      }
    }
  }

  async #again(publication) {
    await new Promise((resolve) => setTimeout(resolve, this.random.between(100, 1000)));
    const { number: p } = this;
    try {
      const { id } = await this.send({ ...publication, asksReplica: false });
      this.load.history.write('ack', { p, n: publication.n, id });
    } catch {
      // It was acknowledged before; nothing follows from this attempt.
    }
  }
}

class RedisPublisher extends Publisher {
  #opening = null;

  /** One connection; opened anew, to whoever is the master then, after anything went wrong. */
  async #connection() {
    if (this.connection?.isOpen) return this.connection;
    if (this.load.voices === 'old') throw new Error('the old connection is gone');
    this.#opening ??= this.load.openMaster().finally(() => (this.#opening = null));
    this.connection = await this.#opening;
    return this.connection;
  }

  /** With `old`, only who still has the connection that it had. */
  get maySpeak() {
    const { voices } = this.load;
    return voices === 'all' || (voices === 'old' && this.connection?.isOpen);
  }

  async send({ name, text, once, asksReplica }) {
    let connection;
    try {
      connection = await this.#connection();
    } catch (error) {
      throw new Refused(`no connection: ${error.message}`);
    }
    const key = `freshet:{${name}}`;
    const keys = [key, `${key}:log`, `${key}:once:${once}`];
    const words = ['TYPE', this.type, 'ONCE', once];
    const late = setTimeout(() => connection.close(), UNANSWERED_MS);
    try {
      const reply = connection.call('FCALL', 'freshet_publish', 3, ...keys, text, ...words);
      const wait = asksReplica && this.load.hasReplica ? connection.call('WAIT', 1, 400) : 0;
      const [id, w] = await Promise.all([reply, Promise.resolve(wait).catch(() => 0)]);
      return { id, w: asksReplica && w > 0 ? w : undefined };
    } catch (error) {
      if (error.name === 'RedisError') {
        if (/^(READONLY|MASTERDOWN|LOADING)/.test(error.message)) connection.close();
        throw new Refused(error.message);
      }
      connection.close();
      throw new Unknown(error.message);
    } finally {
      clearTimeout(late);
    }
  }

  close() {
    this.connection?.close();
  }
}

class HttpPublisher extends Publisher {
  agent = new http.Agent({ keepAlive: true, maxSockets: 8 });

  #request({ name, text, once }) {
    const { agent } = this;
    const how = { method: 'POST', agent, timeout: POST_TIMEOUT_MS };
    const options = { ...this.load.balancer, ...how };
    if (this.type === 'binary') {
      const path = `/publish?channel=${encodeURIComponent(name)}&type=binary`;
      const headers = { 'Idempotency-Key': once };
      return { ...options, path, headers, body: text };
    }
    const body = `{"channel":${JSON.stringify(name)},"data":${text},"once":"${once}"}`;
    const headers = { 'Content-Type': 'application/json' };
    return { ...options, path: '/publish', headers, body };
  }

  send(publication) {
    const { body, ...options } = this.#request(publication);
    return new Promise((resolve, reject) => {
      const request = http.request(options, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part) => (text += part));
        response.on('error', (error) => reject(new Unknown(error.message)));
        response.on('end', () => {
          try {
            resolve(this.#judge(response.statusCode, text));
          } catch (error) {
            reject(error);
          }
        });
      });
      request.on('timeout', () => request.destroy(new Error('no answer')));
      request.on('error', (error) => {
        this.load.history.write('failed', { what: `publish: ${error.message}` });
        // Nobody listens: nothing was sent.
        const isRefused = error.code === 'ECONNREFUSED';
        reject(new (isRefused ? Refused : Unknown)(error.message));
      });
      request.end(body);
    });
  }

  #judge(status, text) {
    if (status === 200) return { id: JSON.parse(text).position };
    this.load.history.write('failed', { what: `publish: ${status} ${text.slice(0, 160)}` });
    const said = `${status} ${text.slice(0, 60)}`;
    if (status === 503 || status === 400) throw new Refused(said);
    throw new Unknown(said);
  }

  close() {
    this.agent.destroy();
  }
}

export function createPublishers(load, random) {
  return TYPES.map((_, number) =>
    number < 2
      ? new RedisPublisher(number, load, random.fork())
      : new HttpPublisher(number, load, random.fork()),
  );
}

/** A fifth publisher, which publishes only what a fault wants. */
export class Saboteur {
  constructor(number, load, random) {
    this.number = number;
    this.load = load;
    this.random = random;
    this.sequence = 0;
  }

  /** @param {number} [size] of the padding */
  #publish(connection, ch, size) {
    const { load, number: p } = this;
    const key = `freshet:{${load.channels[ch].name}}`;
    this.sequence += 1;
    const n = this.sequence;
    const { h, text } = makePayload(p, n, this.random, size);
    load.history.write('pub', { p, n, ch, h });
    const reply = connection.call('FCALL', 'freshet_publish', 2, key, `${key}:log`, text);
    return reply.then((id) => load.history.write('ack', { p, n, id }));
  }

  async #withMaster(act) {
    const connection = await this.load.openMaster();
    try {
      await act(connection);
    } finally {
      connection.close();
    }
  }

  /**
   * Deletes a channel and publishes to it, again and again in one pipeline: two epochs may begin in
   * one millisecond, and must not be one.
   */
  eraseAndPublish(ch, times) {
    const key = `freshet:{${this.load.channels[ch].name}}`;
    return this.#withMaster((connection) =>
      Promise.all(
        Array.from({ length: times }, () => {
          connection.call('DEL', key, `${key}:log`);
          return this.#publish(connection, ch);
        }),
      ),
    );
  }

  /** One message of this size to every channel. */
  publishLarge(size) {
    return this.#withMaster((connection) =>
      Promise.all(this.load.channels.map((_, ch) => this.#publish(connection, ch, size))),
    );
  }
}
