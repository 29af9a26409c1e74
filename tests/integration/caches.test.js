/**
 * The same URLs through a real cache that keeps all it may: nobody gets another's answer or an old
 * one.
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { SseClient, StreamClient, poll, postJson } from '../support/clients.js';
import { nginxIsMissing, startNginx } from '../support/nginx.js';
import { channelName, startFileCluster, story } from '../support/story.js';
import { eventually, pause } from '../support/wait.js';

const skip = nginxIsMissing;
const cluster = skip ? null : await startFileCluster({ nodes: 2, args: ['--workers', '1'] });
const cache = skip
  ? null
  : await startNginx(
      { after },
      cluster.nodes.map((node) => node.url),
    );

const idsOf = (answer) => answer.json.messages.map((message) => message.id);

story('the same URL after a publication brings the publication', { skip }, async () => {
  const channel = channelName();
  const ids = [await cluster.publish(channel, '1')];
  for (let n = 2; n < 12; n += 1) {
    for (let again = 0; again < 3; again += 1) {
      assert.deepEqual(idsOf(await poll(cache.url, [channel], { since: '0' })), ids);
      assert.deepEqual(idsOf(await poll(cache.url, [channel], { since: ids[0] })), ids.slice(1));
      const head = await poll(cache.url, [channel]);
      assert.equal(head.json.cursor, ids[ids.length - 1]);
    }
    const id = await cluster.publish(channel, String(n));
    ids.push(id);
    // A node may be a moment behind the publisher: with min both have it.
    const seen = await poll(cache.url, [channel], { since: ids[0], min: id });
    assert.equal(seen.json.cursor, id);
    for (const node of cluster.nodes) {
      assert.equal((await poll(node.url, [channel], { since: '0', min: id })).json.cursor, id);
    }
  }
});

story(
  'one URL, two clients with different ETags: each gets what it has not',
  { skip },
  async () => {
    const channel = channelName();
    const first = await cluster.publish(channel, '1');
    const second = await cluster.publish(channel, '2');
    for (let n = 0; n < 5; n += 1) {
      const ask = (tag) => poll(cache.url, [channel], { headers: { 'If-None-Match': `"${tag}"` } });
      const [behind, current] = await Promise.all([ask(first), ask(second)]);
      assert.deepEqual([behind.status, idsOf(behind)], [200, [second]]);
      assert.equal(current.status, 304);
    }
    for (let n = 0; n < 5; n += 1) {
      const headers = { 'If-None-Match': `"${second}"` };
      const fresh = await poll(cache.url, [channel], { since: first, headers });
      assert.equal(fresh.status, 304);
      assert.deepEqual(idsOf(await poll(cache.url, [channel], { since: first })), [second]);
    }
  },
);

story('one URL held by many: all get the message', { skip }, async () => {
  const channel = channelName();
  const id = await cluster.publish(channel, '1');
  const held = Array.from({ length: 10 }, () =>
    poll(cache.url, [channel], { since: id, wait: 20, deadline: 30_000 }),
  );
  await pause(300);
  const next = await cluster.publish(channel, '2');
  for (const answer of await Promise.all(held)) assert.deepEqual(idsOf(answer), [next]);
});

story('a held poll that ended empty does not answer the next one', { skip }, async () => {
  const channel = channelName();
  const id = await cluster.publish(channel, '1');
  const empty = await poll(cache.url, [channel], { since: id, wait: 1 });
  assert.deepEqual(idsOf(empty), []);
  const next = await cluster.publish(channel, '2');
  const answer = await poll(cache.url, [channel], { since: id, wait: 1 });
  assert.deepEqual(idsOf(answer), [next]);
});

story('an ephemeral message reaches only those who waited', { skip }, async () => {
  const channel = channelName();
  const id = await cluster.publish(channel, '1');
  let answer = null;
  const held = poll(cache.url, [channel], { since: id, wait: 20 });
  held.then((value) => (answer = value)).catch(() => {});
  await eventually('it came', async () => {
    await cluster.redis.call('PUBLISH', `freshet:{${channel}}:now`, 'now!');
    return answer;
  });
  assert.equal((await held).json.messages[0].data, 'now!');
  assert.deepEqual(idsOf(await poll(cache.url, [channel], { since: id, wait: 1 })), []);
});

story('a refusal is not kept', { skip }, async () => {
  const channel = channelName();
  const id = await cluster.publish(channel, '1');
  const min = id.replace(/-1$/, '-2');
  assert.equal((await poll(cache.url, [channel], { since: id, min })).status, 503);
  await cluster.publish(channel, '2');
  const answer = await poll(cache.url, [channel], { since: id, min });
  assert.equal(answer.status, 200, 'the same URL, a moment later');
  assert.deepEqual(idsOf(answer), [min]);
});

story('POST is asked anew each time', { skip }, async () => {
  const [a, b] = [channelName(), channelName()];
  const a1 = await cluster.publish(a, '1');
  const b1 = await cluster.publish(b, '1');
  for (let n = 0; n < 3; n += 1) {
    const fromA = await postJson(cache.url, '/poll', { channels: { [a]: '0' } });
    assert.deepEqual(idsOf(fromA), [a1]);
    const fromB = await postJson(cache.url, '/poll', { channels: { [b]: '0' } });
    assert.deepEqual(idsOf(fromB), [b1]);
  }
});

story('events pass a buffering proxy at once', { skip }, async (t) => {
  const channel = channelName();
  const sse = new SseClient(cache.url, [channel]);
  const stream = new StreamClient(cache.url, [channel]);
  t.after(() => [sse, stream].forEach((client) => client.close()));
  await sse.hello();
  await stream.waitFor((line) => line.type === 'ok');
  for (let n = 0; n < 3; n += 1) {
    const began = Date.now();
    const id = await cluster.publish(channel, String(n));
    assert.equal((await sse.next()).id, id);
    assert.equal((await stream.next()).id, id);
    assert.ok(Date.now() - began < 2_000);
  }
  const second = new SseClient(cache.url, [channel]);
  t.after(() => second.close());
  const hello = await second.hello();
  assert.match(hello.id, /-3$/, 'the second stream is its own');
});
