/** POST /drain on the admin port, and how a node takes leave of a balancer before it closes. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { SseClient, assertProblem, poll, query } from '../support/clients.js';
import { Connection, request } from '../support/http.js';
import { startNode } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { channelName, epochOf, publish, story } from '../support/story.js';
import { eventually, pause, within } from '../support/wait.js';

const redis = await startRedis();
after(() => redis.stop());

async function start(t, ...args) {
  const open = ['--anonymous', '*', '--anonymous-publish', '*'];
  const node = await startNode({ redis, args: [...open, ...args] });
  t.after(() => node.kill('SIGKILL'));
  return node;
}

const askDrain = (node) => node.admin('/drain', { method: 'POST' });

async function assertEnds(node) {
  const { code, signal } = await within(node.exited, 'the node ends', 15_000);
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  node.checkLog();
}

const isHeld = (node) =>
  eventually('a held poll', async () => {
    const metrics = await node.metrics();
    return metrics.get('freshet_connections', { transport: 'long_poll' }) === 1;
  });

const unready = (node) =>
  eventually('unready', async () => (await request(node.url, '/readyz')).status === 503);

story('POST /drain: unready, the grace, the drain, exit 0', async (t) => {
  const node = await start(t, '--drain-grace', '1s', '--drain-window', '2s');
  const clients = Array.from({ length: 8 }, () => new SseClient(node.url, [channelName()]));
  t.after(() => clients.forEach((client) => client.close()));
  await Promise.all(clients.map((client) => client.hello()));
  const began = Date.now();
  const answer = await askDrain(node);
  assert.equal(answer.status, 202);
  assert.deepEqual(answer.json, { draining: true, grace_ms: 1000, window_ms: 2000 });
  await unready(node);
  await assertEnds(node);
  assert.ok(Date.now() - began >= 1_000, 'the grace was kept');
  await Promise.all(clients.map((client) => within(client.response.done, 'its end')));
  assert.ok(new Set(clients.map((client) => client.retry)).size > 4, 'each has its own delay');
});

story('asked twice it says the same; on the client port there is no /drain', async (t) => {
  const node = await start(t, '--drain-grace', '1s');
  assertProblem(await request(node.url, '/drain', { method: 'POST' }), 404);
  assertProblem(await node.admin('/drain'), 405);
  assert.equal((await request(node.url, '/readyz')).status, 200);
  assert.deepEqual((await askDrain(node)).json, (await askDrain(node)).json);
  await assertEnds(node);
});

story('a page of another origin cannot drain a node', async (t) => {
  const node = await start(t);
  const headers = { Origin: 'https://elsewhere.example' };
  assertProblem(await node.admin('/drain', { method: 'POST', headers }), 403, 'origin');
  assert.equal((await request(node.url, '/readyz')).status, 200);
});

story('a service manager asks for /drain, then sends SIGTERM: nothing is cut short', async (t) => {
  const node = await start(t, '--drain-grace', '1s');
  const channel = channelName();
  const sse = new SseClient(node.url, [channel]);
  t.after(() => sse.close());
  await sse.hello();
  await askDrain(node);
  node.child.kill('SIGTERM');
  const id = await publish(redis, channel, '1');
  assert.equal((await sse.next()).id, id, 'within the grace it delivers as before');
  await assertEnds(node);
});

story('within the grace each answer is its connection’s last: no balancer reuses it', async (t) => {
  const node = await start(t, '--drain-grace', '2s');
  const channel = channelName();
  const id = await publish(redis, channel, '1');
  const path = `/poll?${query([channel], { since: '0' })}`;
  const kept = [new Connection(node.url), new Connection(node.url)];
  t.after(() => kept.forEach((connection) => connection.close()));
  for (const connection of kept) {
    await connection.request(path);
    assert.equal((await connection.response()).header('connection'), undefined);
  }
  const held = poll(node.url, [channel], { since: id, wait: 20 });
  await isHeld(node);
  await askDrain(node);
  await unready(node);
  for (const connection of kept) {
    await connection.request(path);
    const response = await connection.response();
    assert.equal(response.status, 200);
    assert.equal(response.json.cursor, id);
    assert.match(response.header('connection'), /close/i);
    assert.equal(await connection.closed, 'end');
  }
  const next = await publish(redis, channel, '2');
  const answer = await held;
  assert.equal(answer.json.cursor, next);
  assert.match(answer.header('connection'), /close/i);
  await assertEnds(node);
});

story('a poll whose min is not reached is told so at once', async (t) => {
  const node = await start(t);
  const channel = channelName();
  const id = await publish(redis, channel, '1');
  const held = poll(node.url, [channel], { since: id, min: `${epochOf(id)}-99`, wait: 50 });
  await isHeld(node);
  await pause(500); // it has asked Redis, and asks again
  const began = Date.now();
  await askDrain(node);
  const answer = await held;
  assertProblem(answer, 503, 'behind');
  assert.equal(answer.header('retry-after'), '1');
  assert.match(answer.header('connection'), /close/i);
  await assertEnds(node);
  assert.ok(Date.now() - began < 5_000, `after ${Date.now() - began} ms`);
});

story('whoever got through to the port before it closes is answered', async (t) => {
  const node = await start(t, '--drain-grace', '300ms', '--workers', '2');
  const channel = channelName();
  const id = await publish(redis, channel, '1');
  let answered = 0;
  let refused = 0;
  const knock = async () => {
    while (node.running && refused === 0) {
      const connection = new Connection(node.url);
      try {
        await connection.request(`/poll?${query([channel], { since: '0' })}`);
      } catch (error) {
        assert.match(String(error), /ECONNREFUSED/);
        refused += 1;
        return;
      }
      const response = await connection.response();
      assert.equal(response.json.cursor, id);
      answered += 1;
      connection.close();
    }
  };
  const knocking = Array.from({ length: 8 }, knock);
  await eventually('answers', () => answered > 50);
  await askDrain(node);
  await Promise.all(knocking);
  await assertEnds(node);
});
