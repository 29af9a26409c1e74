/** Server-sent events: the first block, ids, the cursor of an EventSource that comes back. */
import assert from 'node:assert/strict';
import { POSITION, SseClient, postJson } from '../support/clients.js';
import {
  channelName,
  epochOf,
  startCluster,
  startFileCluster,
  story,
  versionOf,
} from '../support/story.js';
import { within } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 2 });
const { publish } = cluster;
const [first, second] = cluster.nodes;

/** An event stream that ends with its test. */
function listen(t, channels, options = {}, node = first) {
  const client = new SseClient(node.url, channels, options);
  t.after(() => client.close());
  return client;
}

const withLastEventId = (id) => ({ headers: { 'Last-Event-ID': id } });

story('the head of the response lets events through at once and keeps caches out', async (t) => {
  const { response } = await (async () => {
    const sse = listen(t, [channelName()]);
    await sse.started;
    return sse;
  })();
  assert.equal(response.status, 200);
  assert.match(response.header('content-type'), /^text\/event-stream(; ?charset=utf-8)?$/i);
  assert.match(response.header('cache-control'), /no-store|no-cache/);
  assert.equal(response.header('content-length'), undefined);
});

story('it begins with retry, id, event hello and its data', async (t) => {
  const channel = channelName();
  const id = await publish(channel, '1');
  const sse = listen(t, [channel]);
  const hello = await sse.hello();
  const block = /^(?::[^\n]*\n+)*retry: (\d+)\n+id: ([^\n]*)\nevent: hello\ndata: ([^\n]*)\n\n/;
  const [, retry, idLine, data] =
    block.exec(sse.raw.replaceAll('\r\n', '\n')) ?? assert.fail(sse.raw);
  assert.ok(Number(retry) >= 2000 && Number(retry) <= 4000, retry);
  assert.equal(idLine, id);
  assert.deepEqual(JSON.parse(data), hello.json);
  assert.equal(hello.json.cursor, id);
  assert.equal(hello.json.heartbeat, 15_000);
  assert.equal(typeof hello.json.node, 'string');
});

story('each client gets a retry time of its own', async (t) => {
  const channel = channelName();
  const clients = Array.from({ length: 24 }, () => listen(t, [channel]));
  await Promise.all(clients.map((client) => client.hello()));
  const times = clients.map((client) => client.retry);
  assert.ok(
    times.every((ms) => ms >= 2000 && ms <= 4000),
    times.join(),
  );
  assert.ok(new Set(times).size > 12, `jittered: ${times.join()}`);
});

story('one channel: bare payload as data, position as id, event as event', async (t) => {
  const channel = channelName();
  const sse = listen(t, [channel]);
  await sse.hello();
  const plain = await publish(channel, '{"a": 1}');
  const named = await publish(channel, 'hello text', 'TYPE', 'text', 'EVENT', 'note');
  assert.deepEqual(await sse.next(), {
    id: plain,
    event: 'message',
    data: '{"a": 1}',
    lastEventId: plain,
  });
  assert.deepEqual(await sse.next(), {
    id: named,
    event: 'note',
    data: 'hello text',
    lastEventId: named,
  });
});

story('envelope=1: the message object as data, also with one channel', async (t) => {
  const channel = channelName();
  const sse = listen(t, [channel], { envelope: 1 });
  await sse.hello();
  const id = await publish(channel, '{"a": 1}', 'EVENT', 'note');
  const event = await sse.next();
  assert.equal(event.event, 'note');
  assert.equal(event.id, id);
  assert.ok(event.data.includes('"data":{"a": 1}'), 'byte for byte');
  const { time, ...message } = JSON.parse(event.data);
  assert.deepEqual(message, { channel, id, event: 'note', data: { a: 1 } });
  assert.equal(typeof time, 'number');
});

story('several channels: message objects, and the whole cursor as id', async (t) => {
  const [a, b] = [channelName(), channelName()];
  const sse = listen(t, [a, b]);
  const hello = await sse.hello();
  const start = hello.json.cursor.split(',');
  const b1 = await publish(b, '"b1"');
  const a1 = await publish(a, '"a1"');
  const fromB = await sse.next();
  assert.equal(fromB.id, `${start[0]},${b1}`);
  assert.equal(JSON.parse(fromB.data).channel, b);
  assert.equal(JSON.parse(fromB.data).id, b1);
  const fromA = await sse.next();
  assert.equal(fromA.id, `${a1},${b1}`);
  assert.equal(JSON.parse(fromA.data).data, 'a1');
});

story(
  'hello tells the position asked for; 0 and rewind: the one before what follows',
  async (t) => {
    const channel = channelName();
    const ids = [];
    for (let n = 1; n <= 4; n += 1) ids.push(await publish(channel, String(n)));
    const epoch = epochOf(ids[0]);
    for (const [params, cursor, count] of [
      [{}, ids[3], 0],
      [{ since: '' }, ids[3], 0],
      [{ since: ids[1] }, ids[1], 2],
      [{ since: '0' }, `${epoch}-0`, 4],
      [{ rewind: 3 }, ids[0], 3],
      [{ rewind: 50 }, `${epoch}-0`, 4],
    ]) {
      const sse = listen(t, [channel], params, second);
      assert.equal((await sse.hello()).json.cursor, cursor, JSON.stringify(params));
      for (const id of ids.slice(4 - count)) assert.equal((await sse.next()).id, id);
    }
  },
);

story('Last-Event-ID wins over since and switches rewind off', async (t) => {
  const channel = channelName();
  const ids = [];
  for (let n = 1; n <= 4; n += 1) ids.push(await publish(channel, String(n)));
  for (const params of [{ since: '0' }, { since: ids[0] }, { rewind: 4 }, { since: '' }]) {
    const sse = listen(t, [channel], { ...params, ...withLastEventId(ids[2]) }, second);
    assert.equal((await sse.hello()).json.cursor, ids[2], JSON.stringify(params));
    assert.equal((await sse.next()).id, ids[3]);
  }
});

story('with several channels Last-Event-ID is the whole cursor', async (t) => {
  const [a, b] = [channelName(), channelName()];
  const a1 = await publish(a, '1');
  const b1 = await publish(b, '1');
  const a2 = await publish(a, '2');
  const b2 = await publish(b, '2');
  const sse = listen(t, [a, b], { rewind: 2, ...withLastEventId(`${a2},${b1}`) });
  assert.equal((await sse.hello()).json.cursor, `${a2},${b1}`);
  assert.equal((await sse.next()).id, `${a2},${b2}`);
  assert.notEqual(a1, a2);
});

for (const how of ['Last-Event-ID', 'since']) {
  story(`a ${how} list of another length: one reset each, then from the head`, async (t) => {
    for (const length of [1, 3]) {
      const [a, b] = [channelName(), channelName()];
      const heads = [await publish(a, '1'), await publish(b, '1')];
      const list = [...heads, heads[0]].slice(0, length).join();
      const options = how === 'since' ? { since: list } : withLastEventId(list);
      const sse = listen(t, [a, b], options);
      await sse.hello();
      const resets = [await sse.next(), await sse.next()];
      assert.deepEqual(
        resets.map((event) => event.event),
        ['reset', 'reset'],
      );
      const told = resets.map((event) => JSON.parse(event.data));
      assert.deepEqual(told.map((reset) => reset.channel).sort(), [a, b].sort());
      for (const reset of told) {
        assert.equal(reset.type, 'reset');
        assert.equal(reset.from, '');
        assert.equal(reset.reason, 'foreign');
        assert.equal(reset.to, heads[[a, b].indexOf(reset.channel)]);
      }
      assert.equal(resets[1].id, heads.join(), 'the cursor after both');
      const next = await publish(b, '2');
      assert.equal((await sse.next()).id, `${heads[0]},${next}`);
    }
  });
}

story('a reset event carries the cursor with "to" in its place', async (t) => {
  const [a, b] = [channelName(), channelName()];
  const a1 = await publish(a, '1');
  const b1 = await publish(b, '1');
  const foreign = '1000000000000000-7';
  const sse = listen(t, [a, b], withLastEventId(`${a1},${foreign}`));
  assert.equal((await sse.hello()).json.cursor, `${a1},${foreign}`, 'the position asked for');
  const reset = await sse.next();
  assert.equal(reset.event, 'reset');
  assert.equal(reset.id, `${a1},${epochOf(b1)}-0`);
  const { spread, ...told } = JSON.parse(reset.data);
  assert.deepEqual(told, {
    type: 'reset',
    channel: b,
    from: foreign,
    to: `${epochOf(b1)}-0`,
    reason: 'foreign',
  });
  assert.ok(spread >= 0 && spread <= 60_000, String(spread));
  assert.equal((await sse.next()).id, `${a1},${b1}`, 'then the messages after "to"');
});

story('an ephemeral message has no id line and leaves lastEventId alone', async (t) => {
  const channel = channelName();
  const id = await publish(channel, '1');
  const sse = listen(t, [channel]);
  await sse.hello();
  await cluster.redis.call('PUBLISH', `freshet:{${channel}}:now`, 'two\nlines');
  const event = await sse.next();
  assert.equal(event.id, undefined);
  assert.equal(event.lastEventId, id);
  assert.equal(event.data, 'two\nlines');
});

story('POST: message objects, the cursor as an object, no id lines', async (t) => {
  const [a, b] = [channelName(), channelName()];
  const a1 = await publish(a, '1');
  for (const names of [[a], [a, b]]) {
    const channels = Object.fromEntries(names.map((name) => [name, name === a ? `0` : '']));
    const sse = listen(t, [], {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ channels }),
    });
    const hello = await sse.hello();
    assert.deepEqual(Object.keys(hello.json.cursor).sort(), names.sort());
    assert.equal(hello.json.cursor[a], `${epochOf(a1)}-0`);
    const message = await sse.next();
    assert.equal(JSON.parse(message.data).id, a1);
    assert.equal(JSON.parse(message.data).channel, a);
    assert.doesNotMatch(sse.raw, /^id:/m);
    assert.match(sse.response.header('cache-control'), /no-store/);
  }
});

story('POST: a reset is told without an id line too', async (t) => {
  const channel = channelName();
  const id = await publish(channel, '1');
  const sse = listen(t, [], {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ channels: { [channel]: '1000000000000000-7' } }),
  });
  await sse.hello();
  const reset = await sse.next();
  assert.equal(reset.event, 'reset');
  assert.equal(JSON.parse(reset.data).to, `${epochOf(id)}-0`);
  assert.equal(JSON.parse((await sse.next()).data).id, id);
  assert.doesNotMatch(sse.raw, /^id:/m);
});

story('a thousand channels by POST on one stream', async (t) => {
  const prefix = channelName('thousand');
  const names = Array.from({ length: 1000 }, (_, n) => `${prefix}.${n}`);
  const heads = await Promise.all(names.map((name) => publish(name, '1')));
  const channels = Object.fromEntries(names.map((name, at) => [name, heads[at]]));
  const sse = listen(t, [], {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ channels }),
  });
  assert.deepEqual((await sse.hello()).json.cursor, channels);
  const due = new Set(await Promise.all(names.map((name) => publish(name, '2'))));
  while (due.size > 0) {
    const { id } = JSON.parse((await sse.next()).data);
    assert.ok(due.delete(id), `once: ${id}`);
  }
});

story('comments are sent as heartbeats while nothing is published', async (t) => {
  const node = await cluster.startNode(['--heartbeat', '200ms']);
  const channel = channelName();
  const sse = listen(t, [channel], {}, node);
  assert.equal((await sse.hello()).json.heartbeat, 200);
  const began = Date.now();
  await sse.comments.take(5);
  const took = Date.now() - began;
  assert.ok(took >= 400 && took < 5_000, `${took} ms for five heartbeats`);
  const id = await publish(channel, '1');
  assert.equal((await sse.next()).id, id, 'and they disturb nothing');
});

story('opened while Redis is away: stale before the hello, and 0 once it is over', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1, args: ['--heartbeat', '500ms'] });
  const [node] = nodes;
  await redis.kill('SIGSTOP');
  t.after(() => redis.kill('SIGCONT'));
  const early = listen(t, [channelName()], {}, node);
  await early.started;
  const secondsOf = (event) => {
    assert.equal(event.id, undefined);
    assert.equal(event.event, 'stale');
    return JSON.parse(event.data).seconds;
  };
  assert.ok(secondsOf(await early.next()) >= 3, 'from the third second');
  const late = listen(t, [channelName()], {}, node);
  for (const sse of [early, late]) {
    const seconds = secondsOf(await sse.next());
    assert.ok(secondsOf(await sse.next()) >= seconds && seconds >= 3, 'with each heartbeat');
  }
  await redis.kill('SIGCONT');
  await Promise.all([early, late].map((sse) => sse.waitFor((event) => event.event === 'hello')));
  const isOver = (event) => event.event === 'stale' && secondsOf(event) === 0;
  for (const sse of [early, late]) {
    if (!sse.events.seen.some(isOver)) await sse.waitFor(isOver);
    assert.equal(sse.events.seen.filter(isOver).length, 1);
  }
});

story('a channel that cannot be joined ends the stream with retry, and is counted', async (t) => {
  const [good, bad] = [channelName(), channelName()];
  await cluster.redis.call('SET', `freshet:{${bad}}`, 'no HASH');
  const refused = async () =>
    (await first.metrics()).get('freshet_refused_total', { reason: 'unavailable' });
  const before = await refused();
  const began = Date.now();
  const clients = [listen(t, [good, bad]), listen(t, [bad])];
  for (const sse of clients) {
    await sse.started;
    assert.equal(sse.response.status, 200);
    await within(sse.response.done, 'its end');
    assert.deepEqual(sse.events.seen, []);
    assert.equal(sse.raw.match(/^retry: \d+$/gm).length, 2, sse.raw);
  }
  assert.ok(Date.now() - began < 8_000);
  assert.equal(await refused(), before + 2);
});

story('two streams of a channel that begins: both at version 0 of the same epoch', async (t) => {
  const channel = channelName();
  const clients = [listen(t, [channel], {}, first), listen(t, [channel], {}, second)];
  const [one, other] = await Promise.all(clients.map((client) => client.hello()));
  assert.match(one.id, POSITION);
  assert.equal(versionOf(one.id), 0);
  assert.equal(one.id, other.id);
  const id = await publish(channel, '1');
  for (const client of clients) assert.equal((await client.next()).id, id);
});

story('a POST without a body is refused', async () => {
  assert.equal((await postJson(first.url, '/sse', '')).status, 400);
});
