/**
 * Redis comes back with an old snapshot, and one of two nodes does not notice: its links are held.
 * A client that meets both of them is told of the loss once, and of what was lost never again.
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { startProxy as startRedisProxy } from '../fault/proxy.js';
import { listen, live, missing, open } from '../support/client.js';
import { poll } from '../support/clients.js';
import { open as openReader } from '../support/readers.js';
import { channelName, startFileCluster, story } from '../support/story.js';
import { eventually } from '../support/wait.js';
import { startProxy } from '../support/ws_faults.js';

const KEPT = 2;
const LOST = 3;
/** So often the client meets the node that is behind. */
const MEETINGS = 3;

const cluster = await startFileCluster({ nodes: 1 });
const { redis, publish } = cluster;
const [aware] = cluster.nodes;
const links = await startRedisProxy({ port: redis.port });
after(() => links.close());
const behind = await cluster.startNode([], { redis: `redis://127.0.0.1:${links.port}` });

/**
 * Publishes what will be lost, and loses it.
 * @returns {Promise<string[]>} all positions, the lost ones last
 */
async function fallBack(t, channel, { messages, resets }) {
  await behind.ready();
  const other = openReader({ transport: 'sse', url: behind.url, channels: [channel] });
  t.after(() => other.close());
  await other.ready();
  const ids = [];
  for (let n = 1; n <= KEPT; n += 1) ids.push(await publish(channel, String(n)));
  await redis.call('SAVE');
  for (let n = 1; n <= LOST; n += 1) ids.push(await publish(channel, '"lost"'));
  await messages.take(ids.length);
  for (let n = 1; n <= ids.length; n += 1) await other.next(); // it has them in its memory
  links.set({ hole: 'both' });
  t.after(() => links.heal());
  await redis.kill('SIGKILL');
  await redis.start();
  const { reason, to } = await resets.next();
  assert.deepEqual([reason, to], ['lost', ids[KEPT - 1]]);
  return ids;
}

/** The node is still behind; afterwards it is not, and what is published now comes to all. */
async function catchUp(channel, ids, { subscription, messages, resets }) {
  const { json } = await poll(behind.url, [channel], { since: ids[KEPT - 1] });
  assert.deepEqual(
    json.messages.map(({ id }) => id),
    ids.slice(KEPT),
    'the node has not noticed',
  );
  assert.equal(subscription.position, ids[KEPT - 1]);
  links.heal();
  ids.push(await publish(channel, '"new"'));
  await messages.waitFor(({ data }) => data === 'new', { deadline: 30_000 });
  assert.deepEqual(
    messages.seen.map(({ id }) => id),
    ids,
  );
  assert.equal(resets.seen.length, 1);
}

for (const transport of ['long-poll', 'poll']) {
  story(`${transport}: requests in turn to a node that knows and one that does not`, async (t) => {
    const channel = channelName();
    const met = { [aware.port]: 0, [behind.port]: 0 };
    let isOdd = false;
    const inTurn = (url, init) => {
      const { port } = isOdd ? behind : aware;
      isOdd = !isOdd;
      met[port] += 1;
      return fetch(Object.assign(new URL(url), { port }), init);
    };
    const { client } = open(t, aware.url, {
      transports: [transport],
      fetch: inTurn,
      wait: 1,
      pollInterval: 50,
      random: () => 0,
    });
    const listened = await live(listen(client.subscribe(channel)));
    const ids = await fallBack(t, channel, listened);
    const before = { ...met };
    await eventually('it meets both', () =>
      Object.keys(met).every((port) => met[port] - before[port] >= MEETINGS),
    );
    assert.ok(met[behind.port] - before[behind.port] < 20, 'it insists');
    await catchUp(channel, ids, listened);
  });
}

for (const transport of ['websocket', 'sse']) {
  const skip = transport === 'websocket' && missing;

  story(`${transport}: a node that does not know, after one that does`, { skip }, async (t) => {
    const channel = channelName();
    const front = await startProxy(t, aware.url);
    const { client, states } = open(t, front.url, { transports: [transport], random: () => 0 });
    const listened = await live(listen(client.subscribe(channel)));
    const ids = await fallBack(t, channel, listened);
    states.length = 0;
    front.lead(behind.url);
    front.cut();
    const waits = () => states.filter(({ state }) => state === 'waiting');
    await eventually('it meets the node, again and again', () => waits().length > MEETINGS);
    const delays = waits().map(({ retry }) => retry);
    assert.ok(delays.at(-1) > delays[1], `without growing patience: ${delays}`);
    front.lead(aware.url);
    await catchUp(channel, ids, listened);
  });
}
