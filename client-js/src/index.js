/**
 * freshet-client: channels of a Freshet cluster, by whichever transport works.
 *
 *     const client = connect('https://push.example.com');
 *     client.subscribe('news').addEventListener('message', ({ data }) => show(data));
 */
import { Client } from './client.js';
import { FreshetError } from './error.js';
import { Subscription } from './subscription.js';

/**
 * A client of the cluster at this address; in a browser by default that of the page. It connects
 * with the first subscription.
 * @param {string | URL} [url]
 * @param {import('./client.js').ClientOptions} [options]
 */
export function connect(url = globalThis.location?.origin, options = {}) {
  return new Client(new URL(url, globalThis.location?.href), options);
}

export { Client, FreshetError, Subscription };
