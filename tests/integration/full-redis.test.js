/**
 * A Redis that is full (maxmemory, noeviction) refuses to be written, and MULTI too: what it holds
 * is read all the same, and the operator is told.
 */
import assert from 'node:assert/strict';
import {
  SseClient,
  StreamClient,
  assertProblem,
  history,
  poll,
  postJson,
} from '../support/clients.js';
import { channelName, startCluster, story } from '../support/story.js';
import { eventually } from '../support/wait.js';

const payloads = (messages) => messages.map((message) => message.data);
const warnings = async (node) => JSON.parse((await node.admin('/readyz')).text).warnings;

story('a full Redis is read: joins, resumes, rewinds and history go on', async (t) => {
  const { redis, nodes, publish } = await startCluster(t, { nodes: 2 });
  const [live, other] = nodes;
  const channel = channelName();
  const positions = [];
  for (let i = 1; i <= 150; i++) positions.push(await publish(channel, String(i)));
  const stream = new StreamClient(live.url, [channel]);
  t.after(() => stream.close());
  await stream.waitFor((line) => line.type === 'ok');

  await redis.call('CONFIG', 'SET', 'maxmemory', '1');
  await assert.rejects(publish(channel, '0'), /OOM/);
  assertProblem(await postJson(other.url, '/publish', { channel, data: 0 }), 503);
  const all = positions.map((_, i) => i + 1);
  assert.deepEqual(payloads((await poll(other.url, [channel], { since: '0' })).json.messages), all);
  const page = await history(other.url, [channel], { since: positions[99] });
  assert.deepEqual(payloads(page.json.messages), all.slice(100));
  const late = new StreamClient(other.url, [channel], { rewind: 100 });
  t.after(() => late.close());
  await late.waitFor((line) => line.data === 150);
  const sse = new SseClient(live.url, [channel], { since: positions[148] });
  t.after(() => sse.close());
  await sse.waitFor((event) => event.data === '150');

  // A new pub/sub link compares every head anew.
  await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  const fresh = channelName();
  await redis.call('CONFIG', 'SET', 'maxmemory', '0');
  await publish(fresh, '1');
  await publish(channel, '151');
  await redis.call('CONFIG', 'SET', 'maxmemory', '1');
  await stream.waitFor((line) => line.data === 151);
  await late.waitFor((line) => line.data === 151);
  assert.deepEqual(payloads((await poll(live.url, [fresh], { since: '0' })).json.messages), [1]);
  for (const client of [stream, late]) {
    assert.ok(!client.lines.seen.some((line) => line.type === 'reset'), 'nobody is reset');
  }
});

story('a node warns of what harms it in Redis, and is ready all the same', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1, redis: { appendonly: true } });
  const [node] = nodes;
  const set = (...settings) => redis.call('CONFIG', 'SET', ...settings);
  const told = (...words) =>
    eventually(
      `${words} and nothing else is told`,
      async () => {
        const texts = await warnings(node);
        return texts.length === words.length && words.every((word, i) => texts[i].includes(word));
      },
      { deadline: 25_000 },
    );
  await told();
  await set('maxmemory-policy', 'allkeys-lru', 'appendonly', 'no');
  await told('allkeys-lru', 'appendonly');
  await set('maxmemory-policy', 'noeviction', 'maxmemory', '1', 'appendonly', 'yes');
  await told('maxmemory');
  assert.equal((await node.admin('/readyz')).status, 200);
  await set('maxmemory', '0');
  await told();
});
