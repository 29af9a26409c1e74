/** Talking to a Redis at `address`, for whatever runs it: a process or a container. */
import { RedisConnection } from '../support/resp.js';

/** @template {new (...args: any[]) => { address: { host: string, port: number } }} Runner */
export const withCalls = (/** @type {Runner} */ Base) =>
  class extends Base {
    #connection = null;

    connect() {
      return RedisConnection.open(this.address);
    }

    async call(...words) {
      if (!this.#connection?.isOpen) this.#connection = await this.connect();
      return this.#connection.call(...words);
    }

    /** For a Redis that may not answer: gives up by itself and uses a connection of its own. */
    async ask(...words) {
      const connection = await this.connect();
      try {
        return await connection.call(...words);
      } finally {
        connection.close();
      }
    }

    hangUp() {
      this.#connection?.close();
    }

    async isUp() {
      return (await this.call('PING')) === 'PONG';
    }

    async holdsLinksOf({ id }) {
      return areLinked(await this.call('CLIENT', 'LIST'), id);
    }
  };

/** Whether CLIENT LIST shows both links of a node, one of them subscribed. */
export function areLinked(list, id) {
  const mine = list.split('\n').filter((line) => line.includes(`name=freshet:${id} `));
  return mine.length >= 2 && mine.some((line) => /flags=\w*P/.test(line));
}
