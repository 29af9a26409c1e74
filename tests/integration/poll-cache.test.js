/** A poll's answer is a function of its URL and the log: ETag, 304 and Cache-Control. */
import assert from 'node:assert/strict';
import { poll, postJson } from '../support/clients.js';
import { channelName, epochOf, startFileCluster, story } from '../support/story.js';
import { eventually, pause } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 2 });
const { publish, redis } = cluster;
const [first, second] = cluster.nodes;
const url = first.url;

const pollIf = (channels, ifNoneMatch, params = {}) =>
  poll(url, channels, { ...params, headers: { 'If-None-Match': ifNoneMatch } });

function assertNotModified(answer, cursor) {
  assert.equal(answer.status, 304, `${answer.status} ${answer.text}`);
  assert.equal(answer.body.length, 0);
  assert.equal(answer.header('etag'), `"${cursor}"`);
}

story('the ETag is the quoted cursor, the same at every node', async () => {
  const [a, b] = [channelName(), channelName()];
  await publish(a, '1');
  for (const channels of [[a], [a, b]]) {
    const answer = await poll(url, channels, { since: channels.map(() => '0').join() });
    assert.equal(answer.header('etag'), `"${answer.json.cursor}"`);
    const other = await poll(second.url, channels, { since: channels.map(() => '0').join() });
    assert.equal(other.header('etag'), answer.header('etag'));
    assert.equal(other.text, answer.text);
  }
});

story('304 when the answer would have the ETag that the client has', async () => {
  const channel = channelName();
  const id = await publish(channel, '1');
  assertNotModified(await pollIf([channel], `"${id}"`, { since: id }), id);
  const next = await publish(channel, '2');
  const answer = await pollIf([channel], `"${id}"`, { since: id, min: next });
  assert.equal(answer.status, 200);
  assert.equal(answer.json.cursor, next);
});

story('a list, weak tags, and quotes that hold commas', async () => {
  const [a, b] = [channelName(), channelName()];
  await publish(a, '1');
  await publish(b, '1');
  const since = (await poll(url, [a, b])).json.cursor;
  const channels = [a, b];
  for (const list of [
    `"${since}"`,
    `W/"${since}"`,
    `"x", "${since}"`,
    `"x,y" , W/"z",W/"${since}"`,
    `, "${since}",`,
    `"", "${since}"`,
  ]) {
    assertNotModified(await pollIf(channels, list, { since }), since);
  }
  const [first_, second_] = since.split(',');
  for (const list of [`"x"`, `"${first_}", "${second_}"`, `"${since}x"`, `"x ${since}"`]) {
    assert.equal((await pollIf(channels, list, { since })).status, 200, list);
  }
});

story('* matches every answer', async () => {
  const channel = channelName();
  const id = await publish(channel, '1');
  assertNotModified(await pollIf([channel], '*', { since: id }), id);
});

story('If-None-Match never moves the cursor of a URL that has since', async () => {
  const channel = channelName();
  const first_ = await publish(channel, '1');
  const second_ = await publish(channel, '2');
  const third = await publish(channel, '3');
  const answer = await pollIf([channel], `"${second_}"`, { since: first_ });
  assert.deepEqual(
    answer.json.messages.map((message) => message.id),
    [second_, third],
  );
});

story('without since, an If-None-Match that is one cursor is the cursor', async () => {
  const channel = channelName();
  const id = await publish(channel, '1');
  const next = await publish(channel, '2');
  const answer = await pollIf([channel], `"${id}"`);
  assert.deepEqual(
    answer.json.messages.map((message) => message.id),
    [next],
  );
  assertNotModified(await pollIf([channel], `"${next}"`), next);
  assertNotModified(await pollIf([channel], `W/"${next}"`), next);
});

story('a hand-written poller needs nothing but ETags, with several channels as well', async () => {
  const channels = [channelName(), channelName()];
  let tag = (await poll(url, channels)).header('etag');
  const seen = [];
  for (let n = 0; n < 4; n += 1) {
    await publish(channels[n % 2], String(n));
    const answer = await poll(cluster.nodes[n % 2].url, channels, {
      headers: { 'If-None-Match': tag },
      wait: 10,
    });
    seen.push(...answer.json.messages.map((message) => message.data));
    tag = answer.header('etag');
  }
  assert.deepEqual(seen, [0, 1, 2, 3]);
});

story('a long poll with nothing new ends in 304 after the wait', async () => {
  const channel = channelName();
  const id = await publish(channel, '1');
  const began = Date.now();
  assertNotModified(await pollIf([channel], `"${id}"`, { since: id, wait: 1 }), id);
  assert.ok(Date.now() - began >= 900, 'it waited first');
  const held = pollIf([channel], `"${id}"`, { wait: 30 });
  await pause(200);
  const next = await publish(channel, '2');
  const answer = await held;
  assert.equal(answer.status, 200);
  assert.equal(answer.json.cursor, next);
});

story('Cache-Control: no-store without since', async () => {
  const channel = channelName();
  const id = await publish(channel, '1');
  for (const answer of [
    await poll(url, [channel]),
    await poll(url, [channel], { rewind: 1 }),
    await pollIf([channel], `"${id}"`),
    await pollIf([channel], `"${epochOf(id)}-0"`),
  ]) {
    assert.equal(answer.header('cache-control'), 'no-store', String(answer.status));
  }
});

story(
  'Cache-Control: no-cache with since, public only because all channels are anonymous',
  async () => {
    const channel = channelName();
    const id = await publish(channel, '1');
    for (const answer of [
      await poll(url, [channel], { since: '0' }),
      await poll(url, [channel], { since: id }),
      await pollIf([channel], `"${id}"`, { since: id }),
    ]) {
      const directives = answer
        .header('cache-control')
        .split(/\s*,\s*/)
        .sort();
      assert.deepEqual(directives, ['no-cache', 'public']);
    }
  },
);

story('an answer with an ephemeral message is 200, no-store and has no ETag', async () => {
  const channel = channelName();
  const id = await publish(channel, '1');
  for (const params of [{ since: id }, { since: id, headers: { 'If-None-Match': `"${id}"` } }]) {
    let answer = null;
    const held = poll(url, [channel], { ...params, wait: 30 });
    held.then((value) => (answer = value)).catch(() => {});
    await eventually('the held poll ends', async () => {
      await redis.call('PUBLISH', `freshet:{${channel}}:now`, 'now!');
      return answer;
    });
    await held;
    assert.equal(answer.status, 200);
    assert.equal(answer.header('cache-control'), 'no-store');
    assert.equal(answer.header('etag'), undefined);
    assert.deepEqual(
      answer.json.messages.map(({ id: none, data }) => [none, data]),
      [[undefined, 'now!']],
    );
    assert.equal(answer.json.cursor, id, 'its cursor is still the last position');
  }
});

story('POST is never cached and never 304', async () => {
  const channel = channelName();
  const id = await publish(channel, '1');
  const body = { channels: { [channel]: id } };
  const answer = await postJson(url, '/poll', body, { 'If-None-Match': '*' });
  assert.equal(answer.status, 200);
  assert.equal(answer.header('cache-control'), 'no-store');
  assert.equal(answer.header('etag'), undefined);
});

story('refusals are not to be kept by any cache', async () => {
  const answer = await poll(url, [channelName()], { since: 'nonsense' });
  assert.equal(answer.status, 400);
  assert.match(answer.header('cache-control') ?? '', /no-store/);
});
