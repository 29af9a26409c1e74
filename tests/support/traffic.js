/**
 * Clients that ask again and again, each on a connection of its own that it keeps, while a story
 * breaks something. What they could not be answered is collected in `failures`: a status that was
 * not expected, a connection that ended instead of answering.
 */
import { query } from './clients.js';
import { Connection } from './http.js';
import { eventually, pause } from './wait.js';

/** @typedef {{ path: string, options?: object }} Ask */

class Client {
  /**
   * @param {string} url
   * @param {() => Ask} ask the next request
   * @param {(response: object) => string | void} take an answer; returns what is wrong with it
   * @param {number} every ms between an answer and the next request
   */
  constructor(url, ask, take, every) {
    Object.assign(this, { url, ask, take, every });
    this.answers = 0;
    this.failures = [];
    this.stopped = false;
    this.ended = this.#run();
  }

  async #run() {
    let connection = new Connection(this.url);
    while (!this.stopped) {
      const { path, options } = this.ask();
      try {
        await connection.request(path, options);
        const response = await connection.response({ deadline: 30_000 });
        const wrong = this.take(response);
        if (wrong) this.failures.push(`${path}: ${wrong}`);
        else this.answers += 1;
        if (!/\bclose\b/i.test(response.header('connection') ?? '')) {
          await pause(this.every);
          continue;
        }
      } catch (error) {
        this.failures.push(`${path}: ${error.message}`);
        await pause(100);
      }
      connection.close();
      connection = new Connection(this.url);
    }
    connection.close();
  }
}

export class Traffic {
  /** @param {string} url */
  constructor(url) {
    this.url = url;
    this.clients = [];
    this.readers = [];
  }

  #add(ask, take, every) {
    const client = new Client(this.url, ask, take, every);
    this.clients.push(client);
    return client;
  }

  /**
   * Polls a channel from a position on; `wait` makes them long polls. The ids that came are in
   * `ids` of each.
   */
  poll(count, channel, since, { wait } = {}) {
    for (let n = 0; n < count; n += 1) {
      let cursor = since;
      const ids = [];
      const ask = () => ({ path: `/poll?${query([channel], { since: cursor, wait })}` });
      const take = (response) => {
        if (response.status !== 200) return `${response.status} ${response.text}`;
        const { messages, resets = [] } = response.json;
        if (resets.length > 0) return response.text;
        ids.push(...messages.map((message) => message.id));
        cursor = response.json.cursor;
        return undefined;
      };
      const client = this.#add(ask, take, wait ? 0 : 20);
      this.readers.push(Object.assign(client, { channel, ids }));
    }
    return this;
  }

  /** Publishes over HTTP, with a new connection or the kept one; the positions go to `positions`. */
  publish(count, channel, positions) {
    for (let n = 0; n < count; n += 1) {
      const options = {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ channel, data: n }),
      };
      const take = (response) => {
        if (response.status !== 200) return `${response.status} ${response.text}`;
        positions.push(response.json.position);
        return undefined;
      };
      this.#add(() => ({ path: '/publish', options }), take, 50);
    }
    return this;
  }

  /** Until each client was answered `count` times more. */
  async answered(count) {
    const goals = this.clients.map((client) => client.answers + client.failures.length + count);
    await eventually(
      `${count} more answers for each of ${this.clients.length} clients`,
      () =>
        this.clients.every((client, at) => client.answers + client.failures.length >= goals[at]),
      { deadline: 40_000 },
    );
  }

  /** Ends all of them, and returns what failed. */
  async stop() {
    for (const client of this.clients) client.stopped = true;
    await Promise.all(this.clients.map((client) => client.ended));
    return this.clients.flatMap((client) => client.failures);
  }
}
