/** Health, and what readers notice (as little as possible) when Redis or a link to it fails. */
import assert from 'node:assert/strict';
import { TRANSPORTS, SseClient, StreamClient } from '../support/clients.js';
import { assertProblem, poll, postJson } from '../support/clients.js';
import { request } from '../support/http.js';
import { freePort, startNode } from '../support/node.js';
import { open } from '../support/readers.js';
import { startRedis } from '../support/redis.js';
import { channelName, publish, startCluster, story } from '../support/story.js';
import { eventually, pause, within } from '../support/wait.js';

const OPEN = ['--anonymous', '*', '--anonymous-publish', '*'];

const ready = async (node) => (await node.admin('/readyz')).status === 200;

/** Publishes 1, 2, 3 … each exactly once, whatever happens to Redis; stop() returns how many. */
function publishThrough(redis, channel, everyMs) {
  let running = true;
  let count = 0;
  const once = async (n) => {
    const key = String(n);
    await eventually(`publication ${n}`, () => publish(redis, channel, key, 'ONCE', key));
  };
  const done = (async () => {
    while (running) {
      await once(count + 1);
      count += 1;
      await pause(everyMs);
    }
    return count;
  })();
  done.catch(() => {});
  return {
    get count() {
      return count;
    },
    stop() {
      running = false;
      return done;
    },
  };
}

async function readersOf(t, nodes, channel, transports = TRANSPORTS) {
  const readers = nodes.flatMap((node) =>
    transports.map((transport) => open({ transport, url: node.url, channels: [channel] })),
  );
  t.after(() => readers.forEach((reader) => reader.close()));
  await Promise.all(readers.map((reader) => reader.ready()));
  return readers;
}

/** Every reader, on its first connection, has 1 … last once, in order, and no reset. */
async function assertAllCame(readers, last) {
  const due = Array.from({ length: last }, (_, n) => n + 1);
  for (const reader of readers) {
    const messages = await reader.take(last, { deadline: 20_000 });
    assert.deepEqual(
      messages.map((message) => message.data),
      due,
      reader.name,
    );
    assert.deepEqual(reader.resets, [], reader.name);
    assert.deepEqual(reader.untaken, [], `${reader.name}: nothing twice`);
  }
}

story('a ready node says so on both ports; the client port gives no reasons', async (t) => {
  const { nodes } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  for (const path of ['/healthz', '/readyz']) {
    for (const base of [node.url, node.adminUrl]) {
      const response = await request(base, path);
      assert.equal(response.status, 200, `${base}${path}`);
      assert.match(response.header('cache-control') ?? 'no-store', /no-store|no-cache/);
    }
  }
  assert.equal((await node.metrics()).get('freshet_ready'), 1);
  assert.ok((await request(node.url, '/readyz')).text.length < 64, 'status only');
});

story('who finds the port open finds the node ready: a balancer may send clients at once', async (t) => {
  const { redis } = await startCluster(t, { nodes: 0 });
  const node = await startNode({ redis, args: OPEN, ready: false });
  t.after(() => node.stop());
  const first = await eventually('an answer', () => request(node.url, '/readyz'), { every: 1 });
  assert.equal(first.status, 200);
});

story('a signal before the port is open ends the node at once', async (t) => {
  const port = await freePort();
  const node = await startNode({ redis: `redis://127.0.0.1:${port}`, args: OPEN, ready: false });
  t.after(() => node.stop());
  await eventually('it has begun', () => node.log.includes('freshet-node'));
  await assert.rejects(request(node.url, '/healthz'), /ECONNREFUSED/);
  node.child.kill('SIGTERM');
  assert.deepEqual(await node.exited, { code: 0, signal: null });
});

story('of two nodes that wait for Redis and want one port, one says so and ends', async (t) => {
  const [redisPort, port] = [await freePort(), await freePort()];
  const settings = { redis: `redis://127.0.0.1:${redisPort}`, args: OPEN, ready: false, port };
  const first = await startNode(settings);
  t.after(() => first.kill());
  await eventually('it has begun', () => first.log.includes('freshet-node'));
  const second = await startNode(settings);
  t.after(() => second.kill());
  const { code } = await within(second.exited, 'the end of the second');
  assert.equal(code, 1);
  assert.match(second.log, new RegExp(`--listen: cannot listen on 127.0.0.1 port ${port}`));
  assert.equal((await request(first.url, '/healthz')).status, 200);
});

story('a node that starts before Redis is alive, not ready, and becomes ready', async (t) => {
  const port = await freePort();
  const node = await startNode({ redis: `redis://127.0.0.1:${port}`, args: OPEN, ready: false });
  t.after(() => node.stop());
  await eventually('alive', async () => (await request(node.url, '/healthz')).status === 200);
  await eventually('unready, with the reason', async () => {
    const { status, text } = await node.admin('/readyz');
    assert.equal(status, 503);
    return /redis/i.test(text);
  });
  assert.equal((await request(node.url, '/readyz')).status, 503);
  assert.equal((await node.metrics()).get('freshet_ready'), 0);
  const refused = await poll(node.url, [channelName()]);
  assertProblem(refused, 503);
  assert.match(refused.header('retry-after'), /^\d+$/);
  const redis = await startRedis({ port });
  t.after(() => redis.stop());
  await node.ready();
});

story(
  'Redis freezes: unready within 4 s, polls tell how stale they are, streams stay',
  async (t) => {
    const { redis, nodes } = await startCluster(t, {
      nodes: 2,
      args: ['--heartbeat', '500ms', '--workers', '4'],
    });
    const [node] = nodes;
    const channel = channelName('frozen');
    const first = await publish(redis, channel, '1');
    const sse = new SseClient(node.url, [channel]);
    const stream = new StreamClient(node.url, [channel]);
    t.after(() => [sse, stream].forEach((client) => client.close()));
    await sse.hello();
    await stream.waitFor((line) => line.type === 'ok');
    const second = await publish(redis, channel, '2');
    assert.equal((await sse.next()).id, second);
    assert.equal((await stream.next()).id, second);

    await redis.kill('SIGSTOP');
    t.after(() => redis.kill('SIGCONT'));
    const frozen = Date.now();
    await eventually('unready', async () => !(await ready(node)), { deadline: 6_000 });
    assert.ok(Date.now() - frozen < 5_000, `unready after ${Date.now() - frozen} ms`);
    assert.equal((await request(node.url, '/readyz')).status, 503);
    assert.match((await node.admin('/readyz')).text, /echo|redis|link/i);
    assert.equal((await request(node.url, '/healthz')).status, 200, 'alive all the same');
    assert.equal((await node.metrics()).get('freshet_ready'), 0);

    // On connections of their own: whichever worker accepts one, the node has the answer in memory.
    for (let n = 0; n < 12; n += 1) {
      const headers = { 'If-None-Match': `"${second}"` };
      const backlog = await poll(node.url, [channel], { since: first, headers });
      assert.equal(backlog.status, 200, backlog.text);
      assert.deepEqual(
        backlog.json.messages.map((message) => message.id),
        [second],
      );
      assert.match(backlog.header('freshet-stale') ?? '', /^[1-9]\d*$/);
      assert.equal(backlog.header('cache-control'), 'no-store');
      assert.equal(backlog.header('etag'), undefined);
    }
    const unknown = await poll(node.url, [channelName('never-seen')]);
    assertProblem(unknown, 503);
    assert.ok(unknown.header('retry-after'));

    const staleEvent = await sse.next();
    assert.equal(staleEvent.event, 'stale');
    assert.equal(staleEvent.id, undefined);
    const { type, seconds } = JSON.parse(staleEvent.data);
    assert.equal(type, 'stale');
    assert.ok(seconds >= 3 && seconds <= 6, String(seconds));
    const again = await sse.next();
    assert.equal(again.event, 'stale', 'and with each heartbeat');
    const staleLine = await stream.next();
    assert.equal(staleLine.type, 'stale');
    assert.ok(staleLine.seconds >= 3);
    assert.equal((await stream.next()).type, 'stale');

    await redis.kill('SIGCONT');
    await eventually('ready again', () => ready(node));
    const third = await publish(redis, channel, '3');
    const lines = [];
    do lines.push(await stream.next());
    while (!(lines.some((line) => line.id) && lines.some((line) => line.seconds === 0)));
    assert.equal(lines.filter((line) => line.seconds === 0).length, 1);
    assert.deepEqual(
      lines.filter((line) => line.id).map((line) => line.id),
      [third],
    );
    const events = [];
    do events.push(await sse.next());
    while (!(events.some((e) => e.id) && events.some((e) => /"seconds":\s*0/.test(e.data))));
    assert.deepEqual(
      events.filter((event) => event.id).map((event) => event.id),
      [third],
    );
    const fresh = await poll(node.url, [channel], { since: second, min: third });
    assert.equal(fresh.header('freshet-stale'), undefined, 'polls are fresh again');
    assert.equal(fresh.json.cursor, third);
  },
);

story(
  'subscribed while Redis is away: joined, not live; it begins when Redis is back',
  async (t) => {
    const { redis, nodes } = await startCluster(t, { nodes: 1, args: ['--heartbeat', '300ms'] });
    const [node] = nodes;
    await redis.kill('SIGSTOP');
    t.after(() => redis.kill('SIGCONT'));
    await eventually('unready', async () => !(await ready(node)));
    const channel = channelName('waiting');
    const sse = new SseClient(node.url, [channel]);
    t.after(() => sse.close());
    await sse.started;
    assert.equal(sse.response.status, 200);
    await sse.comments.take(2);
    assert.equal(sse.events.seen.filter((event) => event.event === 'hello').length, 0);
    await redis.kill('SIGCONT');
    await sse.waitFor((event) => event.event === 'hello');
    const id = await eventually('published', () => publish(redis, channel, '1'));
    await sse.waitFor((event) => event.id === id);
  },
);

story(
  'CLIENT KILL TYPE pubsub under load: none lost, none double, nobody disconnected',
  async (t) => {
    const { redis, nodes } = await startCluster(t, { nodes: 2 });
    const channel = channelName('killed-links');
    await publish(redis, channel, '0');
    const readers = await readersOf(t, nodes, channel);
    const publisher = publishThrough(redis, channel, 4);
    t.after(() => publisher.stop());
    for (let kill = 0; kill < 8; kill += 1) {
      const goal = publisher.count + 60;
      await eventually('more publications', () => publisher.count >= goal);
      await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
    await assertAllCame(readers, await publisher.stop());
    for (const node of nodes) {
      const reconnects = (await node.metrics()).get('freshet_redis_reconnects_total');
      assert.ok(reconnects >= 1, `${node.name}: ${reconnects} reconnects`);
    }
  },
);

story('all links of a node are killed under load: the same', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1 });
  const channel = channelName('all-links');
  await publish(redis, channel, '0');
  const readers = await readersOf(t, nodes, channel);
  const publisher = publishThrough(redis, channel, 4);
  t.after(() => publisher.stop());
  for (let kill = 0; kill < 4; kill += 1) {
    const goal = publisher.count + 60;
    await eventually('more publications', () => publisher.count >= goal);
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  }
  const last = await publisher.stop();
  // A poll may be refused for the moment in which its channel cannot be read; streams may not.
  await assertAllCame(
    readers.filter((reader) => /sse|stream/.test(reader.name)),
    last,
  );
  await eventually('ready again', () => ready(nodes[0]));
});

story(
  'Redis is killed and comes back with its data: streams stay, nothing lost, no reset',
  async (t) => {
    const { redis, nodes } = await startCluster(t, { nodes: 2, redis: { appendonly: true } });
    const channel = channelName('restart');
    await publish(redis, channel, '0');
    const readers = await readersOf(t, nodes, channel, ['sse', 'stream']);
    const publisher = publishThrough(redis, channel, 3);
    t.after(() => publisher.stop());
    for (let restart = 0; restart < 2; restart += 1) {
      const goal = publisher.count + 50;
      await eventually('more publications', () => publisher.count >= goal);
      await redis.kill('SIGKILL');
      await redis.restart();
    }
    const goal = publisher.count + 50;
    await eventually('publications after the restarts', () => publisher.count >= goal);
    await assertAllCame(readers, await publisher.stop());
    for (const node of nodes) await eventually('ready', () => ready(node));
  },
);

story('the library vanishes from Redis: a node loads it again and goes on', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  const channel = channelName('library');
  const body = { channel, data: 1 };
  assert.equal((await postJson(node.url, '/publish', body)).status, 200);
  await redis.call('FUNCTION', 'FLUSH');
  const answer = await postJson(node.url, '/publish', body);
  assert.equal(answer.status, 200, answer.text);
  await redis.call('FUNCTION', 'FLUSH');
  const id = await eventually('loaded with the echo at the latest', () => {
    return publish(redis, channel, '3');
  });
  const kept = await poll(node.url, [channel], { since: '0', min: id });
  assert.deepEqual(
    kept.json.messages.map((message) => message.data),
    [1, 1, 3],
  );
});

story('password, database with a prefix of its own, and unix socket', async (t) => {
  const password = 'a p@ss/word';
  const redis = await startRedis({ password });
  const local = await startRedis({ unix: true });
  t.after(() => Promise.all([redis.stop(), local.stop()]));
  const url = (user, word) =>
    `redis://${user}:${encodeURIComponent(word)}@127.0.0.1:${redis.port}/3`;
  const node = await startNode({
    redis: url('default', password),
    args: [...OPEN, '--prefix', 'my.App_1'],
  });
  t.after(() => node.stop());
  const unix = await startNode({ redis: local, args: OPEN });
  t.after(() => unix.stop());
  for (const one of [node, unix]) {
    const answer = await postJson(one.url, '/publish', { channel: 'a', data: 1 });
    assert.equal(answer.status, 200, answer.text);
    const read = await poll(one.url, ['a'], { since: '0' });
    assert.deepEqual(
      read.json.messages.map((message) => message.data),
      [1],
    );
  }
  const connection = await redis.connect();
  t.after(() => connection.close());
  await connection.call('SELECT', 3);
  assert.equal(await connection.call('EXISTS', 'my.App_1:{a}', 'my.App_1:{a}:log'), 2);

  const wrong = await startNode({
    redis: url('default', 'wrong'),
    args: [...OPEN, '--prefix', 'p'],
    ready: false,
  });
  t.after(() => wrong.stop());
  await eventually('it says why it is not ready', async () => {
    const response = await wrong.admin('/readyz');
    return response.status === 503 && /WRONGPASS|password|auth/i.test(response.text + wrong.log);
  });
  for (const one of [node, wrong]) {
    assert.equal(/wrong@|ss%2Fword|p@ss\/word/.test(one.log), false, 'no password in the log');
  }
});

story(
  'Redis before version 7: one clear line and an unready node',
  {
    skip: 'no Redis older than 7 is packaged for the systems that the tests run on',
  },
  async () => {},
);

story('a Redis whose operator took ROLE away is believed', async (t) => {
  const redis = await startRedis({ args: ['--rename-command', 'ROLE', ''] });
  t.after(() => redis.stop());
  const node = await startNode({ redis, args: ['--anonymous', '*'] });
  t.after(() => node.stop());
  const channel = channelName();
  const id = await publish(redis, channel, '1');
  assert.equal((await poll(node.url, [channel], { since: '0', min: id })).json.cursor, id);
});
