/** freshet-client under test: in Node, and the npm packages that its tests use. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../../client-js/src/index.js';
import { request } from './http.js';
import { Queue } from './wait.js';

export const CLIENT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../client-js');
const require = createRequire(path.join(CLIENT, 'package.json'));

/** Why tests that need client-js's own packages cannot run, or false. */
export const missing = existsSync(path.join(CLIENT, 'node_modules/ws'))
  ? false
  : 'npm ci has not run in client-js';

/** The npm package `ws`: Node 20 has no WebSocket of its own. */
export const loadWs = () => require('ws');

/** A client that ends with its test, and every state it went through. */
export function open(t, url, options = {}) {
  const WebSocket = globalThis.WebSocket ?? (missing ? undefined : loadWs().WebSocket);
  const client = connect(url, { WebSocket, ...options });
  const states = [];
  client.addEventListener('state', (event) => {
    const { state, transport, retry, error } = event;
    states.push({ state, transport, retry, error, time: Date.now() });
  });
  t.after(() => client.close());
  return { client, states };
}

/** What a subscription says, in order: messages, resets and states apart. */
export function listen(subscription) {
  const messages = new Queue(`messages of ${subscription.channel}`);
  const resets = new Queue(`resets of ${subscription.channel}`);
  const states = new Queue(`states of ${subscription.channel}`);
  subscription.addEventListener('message', (event) => messages.push(event));
  subscription.addEventListener('reset', (event) => resets.push(event));
  subscription.addEventListener('state', (event) => {
    states.push(event);
    if (event.error) messages.fail(event.error);
  });
  return { subscription, messages, resets, states };
}

/** Waits until it is live; from then on whatever is published comes. */
export async function live(listened) {
  if (listened.subscription.state !== 'live') {
    await listened.states.waitFor((event) => event.state === 'live', { what: 'state live' });
  }
  return listened;
}

/** Whether this node speaks WebSocket. */
export async function speaksWebSocket(url) {
  const headers = {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': 'freshet.v1',
  };
  return request(url, '/ws', { headers, deadline: 3000 }).then(
    ({ status }) => status === 101,
    () => false,
  );
}
