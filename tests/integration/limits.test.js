/** Bounds: slow readers, too many new channels, too many connections; and nobody else notices. */
import assert from 'node:assert/strict';
import { POSITION, SseClient, assertProblem, poll } from '../support/clients.js';
import { request } from '../support/http.js';
import { open } from '../support/readers.js';
import { channelName, startFileCluster, story, versionOf } from '../support/story.js';
import { eventually } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 1 });
const { publish } = cluster;
const [node] = cluster.nodes;

const KIB_16 = 'x'.repeat(16 * 1024);

/** Many times what the sockets' buffers between a node and a reader that rests can hold. */
async function publishMuch(channel, count, ...words) {
  let last;
  for (let n = 1; n <= count; n += 1) {
    last = await publish(channel, `{"n":${n},"x":"${KIB_16}"}`, ...words);
  }
  return last;
}

for (const transport of ['sse', 'stream']) {
  story(`${transport}: a reader that rests for 900 messages gets them all, in order`, async (t) => {
    const channel = channelName('rests');
    const channels = [channel];
    const slow = open({ transport, url: node.url, channels });
    const quick = open({ transport, url: node.url, channels });
    t.after(() => [slow, quick].forEach((reader) => reader.close()));
    await Promise.all([slow.ready(), quick.ready()]);
    slow.client.connection.socket.pause();
    const last = await publishMuch(channel, 900);
    const seen = await quick.takeUntil((message) => message.id === last);
    assert.equal(seen.length, 900, 'the quick one got all meanwhile');
    slow.client.connection.socket.resume();
    const late = await slow.takeUntil((message) => message.id === last);
    assert.deepEqual(
      late.map((message) => message.data.n),
      Array.from({ length: 900 }, (_, n) => n + 1),
    );
    assert.deepEqual([...slow.resets, ...quick.resets], []);
  });

  story(`${transport}: a reader that rests longer than the history gets one reset`, async (t) => {
    const channel = channelName('sleeps');
    const slow = open({ transport, url: node.url, channels: [channel] });
    t.after(() => slow.close());
    await slow.ready();
    slow.client.connection.socket.pause();
    const last = await publishMuch(channel, 1500, 'HISTORY', '50');
    slow.client.connection.socket.resume();
    const messages = await slow.takeUntil((message) => message.id === last);
    assert.equal(slow.resets.length, 1);
    const [{ from, to, reason }] = slow.resets;
    assert.equal(reason, 'expired');
    const versions = messages.map((message) => versionOf(message.id));
    const before = Array.from({ length: versionOf(from) }, (_, n) => n + 1);
    const after = Array.from({ length: 1500 - versionOf(to) }, (_, n) => versionOf(to) + n + 1);
    assert.deepEqual(versions, [...before, ...after], 'all but what the reset tells');
  });
}

story('a reader that takes nothing at all is closed after --stall, the others stay', async (t) => {
  const strict = await cluster.startNode(['--stall', '1s']);
  const channel = channelName('stalls');
  const channels = [channel];
  const dead = open({ transport: 'sse', url: strict.url, channels });
  const alive = open({ transport: 'sse', url: strict.url, channels });
  t.after(() => [dead, alive].forEach((reader) => reader.close()));
  await Promise.all([dead.ready(), alive.ready()]);
  dead.client.connection.socket.pause();
  const last = await publishMuch(channel, 700);
  await alive.takeUntil((message) => message.id === last);
  await eventually('it is closed and counted', async () => {
    const metrics = await strict.metrics();
    return metrics.get('freshet_closed_total', { reason: 'stall' }) === 1;
  });
  const next = await publish(channel, '1');
  assert.equal((await alive.next()).id, next);
});

story(
  'too many new channels a second: 503 for polls, for SSE 200, retry and the end',
  async (t) => {
    const prefix = channelName('new');
    const names = (count, word) =>
      Array.from({ length: count }, (_, n) => `${prefix}.${word}.${n}`);
    const polls = await Promise.all(names(600, 'poll').map((name) => poll(node.url, [name])));
    const refused = polls.filter((answer) => answer.status !== 200);
    assert.ok(refused.length > 0, 'some of 600 at once were refused');
    for (const answer of refused) {
      assertProblem(answer, 503);
      assert.match(answer.header('retry-after'), /^\d+$/);
    }
    const streams = names(600, 'sse').map((name) => new SseClient(node.url, [name]));
    t.after(() => streams.forEach((client) => client.close()));
    await Promise.all(streams.map((client) => client.started));
    assert.ok(streams.every((client) => client.response.status === 200));
    const begun = await Promise.allSettled(streams.map((client) => client.hello()));
    const ended = streams.filter((_, at) => begun[at].status === 'rejected');
    assert.ok(ended.length > 0, 'some of 600 at once were refused');
    for (const client of ended) {
      await client.response.done;
      assert.ok(client.retry >= 1000, `retry ${client.retry}`);
      assert.doesNotMatch(client.raw, /^(id|data|event):/m);
    }
    await eventually('later it is served', async () => {
      const answer = await poll(node.url, [`${prefix}.later`]);
      return answer.status === 200 && POSITION.test(answer.json.cursor);
    });
  },
);

story('more connections than --connections: refused and counted; room again: served', async (t) => {
  const small = await cluster.startNode(['--connections', '6', '--workers', '1']);
  const channel = channelName();
  const streams = Array.from({ length: 5 }, () => new SseClient(small.url, [channel]));
  t.after(() => streams.forEach((client) => client.close()));
  await Promise.all(streams.map((client) => client.hello()));
  const extra = Array.from({ length: 10 }, () => new SseClient(small.url, [channel]));
  t.after(() => extra.forEach((client) => client.close()));
  await eventually('refusals are counted', async () => {
    return (await small.metrics()).get('freshet_refused_total', { reason: 'connections' }) > 0;
  });
  for (const path of ['/healthz', '/readyz']) {
    assert.equal((await request(small.url, path)).status, 200, `${path}: it is full, but it lives`);
  }
  const id = await publish(channel, '1');
  for (const client of streams) assert.equal((await client.next()).id, id);
  extra.forEach((client) => client.close());
  streams[0].close();
  await eventually('room again', async () => {
    return (await request(small.url, '/', { deadline: 1_000 })).status === 200;
  });
});
