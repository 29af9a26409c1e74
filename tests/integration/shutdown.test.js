/** SIGTERM: unready, polls answered early, streams closed politely, exit 0. */
import assert from 'node:assert/strict';
import { SseClient, StreamClient, poll } from '../support/clients.js';
import { Connection, request } from '../support/http.js';
import { startNode } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { channelName, publish, story } from '../support/story.js';
import { eventually, pause, within } from '../support/wait.js';
import { after } from 'node:test';

const redis = await startRedis();
after(() => redis.stop());

async function start(t, ...args) {
  const node = await startNode({ redis, args: ['--anonymous', '*', ...args] });
  t.after(() => node.kill('SIGKILL'));
  return node;
}

/** Ends it and returns how long that took. */
async function terminate(node, deadline = 15_000) {
  const began = Date.now();
  node.child.kill('SIGTERM');
  const { code, signal } = await within(node.exited, 'the node ends', deadline);
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  node.checkLog();
  return Date.now() - began;
}

story('an idle node ends at once, with 0', async (t) => {
  const node = await start(t, '--drain-grace', '0', '--drain-window', '10s');
  assert.ok((await terminate(node)) < 3_000);
});

story('held polls are answered early, with the cursor they came with', async (t) => {
  const node = await start(t);
  const channel = channelName();
  const id = await publish(redis, channel, '1');
  const held = Array.from({ length: 5 }, () => poll(node.url, [channel], { since: id, wait: 50 }));
  await pause(300);
  await terminate(node);
  for (const answer of await Promise.all(held)) {
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.json, { cursor: id, messages: [] });
    assert.match(answer.header('connection') ?? '', /close/i);
  }
});

story('streams end with their last chunk, after a bye that tells when to come back', async (t) => {
  const node = await start(t);
  const channel = channelName();
  const sse = new SseClient(node.url, [channel]);
  const stream = new StreamClient(node.url, [channel]);
  t.after(() => [sse, stream].forEach((client) => client.close()));
  await sse.hello();
  await stream.waitFor((line) => line.type === 'ok');
  await terminate(node);
  const bye = await stream.waitFor((line) => line.type === 'bye', { what: 'bye' });
  assert.equal(typeof bye.reason, 'string');
  assert.ok(Number.isInteger(bye.retry) && bye.retry >= 0, String(bye.retry));
  for (const client of [sse, stream]) {
    await within(client.response.done, 'the last chunk');
    assert.equal(await client.connection.closed, 'end');
  }
});

story('on a drain each SSE client gets its own time to come back', async (t) => {
  const node = await start(t, '--drain-grace', '100ms', '--drain-window', '2s');
  const channel = channelName();
  const clients = Array.from({ length: 16 }, () => new SseClient(node.url, [channel]));
  t.after(() => clients.forEach((client) => client.close()));
  await Promise.all(clients.map((client) => client.hello()));
  const took = await terminate(node);
  assert.ok(took < 8_000, `${took} ms`);
  await Promise.all(clients.map((client) => within(client.response.done, 'its end')));
  assert.ok(new Set(clients.map((client) => client.retry)).size > 4, 'they do not come as a herd');
});

story('while it drains it is unready, and still answers', async (t) => {
  const node = await start(t, '--drain-grace', '2s', '--drain-window', '1s');
  const kept = new Connection(node.url);
  t.after(() => kept.close());
  await kept.request('/readyz');
  assert.equal((await kept.response()).status, 200);
  node.child.kill('SIGTERM');
  await eventually('unready', async () => (await request(node.url, '/readyz')).status === 503, {
    deadline: 1_500,
  });
  const channel = channelName();
  const id = await publish(redis, channel, '1');
  const answer = await poll(node.url, [channel], { since: '0' });
  assert.equal(answer.json.cursor, id, 'until the balancers have noticed it serves as before');
  const { code } = await within(node.exited, 'the end');
  assert.equal(code, 0);
});

story('messages published during the drain are delivered to those still connected', async (t) => {
  const node = await start(t, '--drain-grace', '1s', '--drain-window', '500ms');
  const channel = channelName();
  const sse = new SseClient(node.url, [channel]);
  t.after(() => sse.close());
  await sse.hello();
  node.child.kill('SIGTERM');
  const id = await publish(redis, channel, '1');
  assert.equal((await sse.next()).id, id);
  assert.equal((await within(node.exited, 'the end')).code, 0);
});
