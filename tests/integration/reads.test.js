/** What a reader is told when Redis is there, but refuses to be read. */
import assert from 'node:assert/strict';
import { SseClient, StreamClient, assertProblem, history, poll } from '../support/clients.js';
import { request } from '../support/http.js';
import { channelName, startCluster, story } from '../support/story.js';
import { eventually, within } from '../support/wait.js';
import { openWs } from '../support/ws.js';

/** What each way to read answers: poll, history, stream. */
const readAll = (url, channel) =>
  Promise.all([
    poll(url, [channel]),
    poll(url, [channel], { since: '0', wait: 20 }),
    history(url, [channel]),
    request(url, `/stream?channel=${channel}`),
  ]);

async function assertSseEnds(t, node, channels) {
  const sse = new SseClient(node.url, channels);
  t.after(() => sse.close());
  await sse.started;
  await within(sse.response.done, 'its end');
  assert.equal(sse.raw.match(/^retry: \d+$/gm).length, 2, sse.raw);
  assert.deepEqual(sse.events.seen, []);
}

story('a key of another type: 503 with the word of Redis, until it is gone', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  for (const suffix of ['', ':log']) {
    const [channel, good] = [channelName(), channelName()];
    await redis.call('SET', `freshet:{${channel}}${suffix}`, 'neither HASH nor STREAM');
    for (const answer of await readAll(node.url, channel)) {
      const { detail } = assertProblem(answer, 503, 'unavailable');
      assert.match(detail, /WRONGTYPE/);
      assert.match(answer.header('retry-after'), /^\d+$/);
    }
    await assertSseEnds(t, node, [good, channel]);
    const ws = await openWs(t, node.url);
    assert.equal((await ws.ask({ type: 'subscribe', channel: good })).type, 'ok');
    const error = await ws.ask({ type: 'subscribe', channel });
    assert.deepEqual([error.code, error.channel, error.retry], ['unavailable', channel, true]);
    assert.match(error.message, /WRONGTYPE/);
    await redis.call('DEL', `freshet:{${channel}}${suffix}`);
    await eventually('it is read', async () => (await poll(node.url, [channel])).status === 200);
  }
});

story('a right that is missing: 500 "rights"', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  const channel = channelName();
  await redis.call('ACL', 'SETUSER', 'default', '-xrevrange');
  for (const answer of await readAll(node.url, channel)) {
    assert.match(assertProblem(answer, 500, 'rights').detail, /NOPERM/);
    assert.equal(answer.header('cache-control'), 'no-store');
  }
  await assertSseEnds(t, node, [channel]);
  await redis.call('ACL', 'SETUSER', 'default', '+@all');
  await eventually('it is read', async () => (await poll(node.url, [channel])).status === 200);
});

story('Redis is full: a new channel cannot be opened, and why is told', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  await redis.call('CONFIG', 'SET', 'maxmemory', '1');
  const answer = await poll(node.url, [channelName()]);
  assert.match(assertProblem(answer, 503, 'unavailable').detail, /OOM/);
  await assertSseEnds(t, node, [channelName()]);
  await redis.call('CONFIG', 'SET', 'maxmemory', '0');
  await eventually('it is read', async () => (await poll(node.url, ['new'])).status === 200);
});

story('a key of another type under a live channel: the node is ready, others are served', async (t) => {
  const { redis, nodes, publish } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  const [broken, good] = [channelName(), channelName()];
  const streams = [new StreamClient(node.url, [broken]), new StreamClient(node.url, [good])];
  t.after(() => streams.forEach((stream) => stream.close()));
  await publish(broken, '1');
  for (const stream of streams) await stream.waitFor((line) => line.type === 'ok');
  await redis.call('SET', `freshet:{${broken}}`, 'no HASH');
  await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  await eventually('the link is back', async () => {
    return (await node.metrics()).get('freshet_redis_reconnects_total', { link: 'pubsub' }) === 1;
  });
  await node.ready();
  await publish(good, '2');
  await streams[1].waitFor((line) => line.data === 2);
  assert.equal((await poll(node.url, [good], { since: '0' })).header('freshet-stale'), undefined);
  await redis.call('DEL', `freshet:{${broken}}`, `freshet:{${broken}}:log`);
  await publish(broken, '3');
  await streams[0].waitFor((line) => line.data === 3);
});

story('Redis is full: a missing right is found all the same', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  await redis.call('CONFIG', 'SET', 'maxmemory', '1');
  await redis.call('ACL', 'SETUSER', 'default', '-xrevrange');
  await eventually('it is not ready, and says why', async () => {
    const { status, text } = await node.admin('/readyz');
    return status === 503 && text.includes('NOPERM');
  });
  await redis.call('ACL', 'SETUSER', 'default', '+@all');
  await node.ready();
});

story('a channel that nobody can open: 503 after a moment, and a stream ends', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  await redis.call('ACL', 'SETUSER', 'admin', 'on', '>secret', '~*', '&*', '+@all');
  const admin = await redis.connect({ user: 'admin', password: 'secret' });
  t.after(() => admin.close());
  await redis.call('ACL', 'SETUSER', 'default', '-function'); // the node cannot load the library
  await admin.call('FUNCTION', 'FLUSH');
  const answer = await poll(node.url, [channelName()]);
  assertProblem(answer, 503, 'unavailable');
  await assertSseEnds(t, node, [channelName()]);
  await admin.call('ACL', 'SETUSER', 'default', '+@all');
  await eventually('it is read', async () => (await poll(node.url, ['late'])).status === 200);
});
