/**
 * A master is replaced, and what subscribers and publishers of two nodes notice: nothing, where
 * nothing was lost; one reset where Redis lost what they saw; never one position for two messages.
 */
import assert from 'node:assert/strict';
import { open } from '../support/readers.js';
import { postJson } from '../support/clients.js';
import { cutReplication, inStep, mendReplication, startSentinels } from '../support/sentinel.js';
import { channelName, epochOf, publish, story, versionOf } from '../support/story.js';
import { eventually, pause } from '../support/wait.js';

const STREAMS = ['sse', 'stream', 'ws', 'ws-msgpack'];
const LONG = { deadline: 120_000 };

/**
 * One reader of every stream at every node; two channels, so that SSE tells forks as well. What they
 * see is compared with the whole log, so nothing of it may be trimmed.
 */
async function readersOf(t, set, channels) {
  for (const channel of channels) {
    await set.servers[0].call('HSET', `freshet:{${channel}}`, 'history', 100_000);
  }
  const readers = set.nodes.flatMap((node) =>
    STREAMS.map((transport) => open({ transport, url: node.url, channels })),
  );
  t.after(() => readers.forEach((reader) => reader.close()));
  await Promise.all(readers.map((reader) => reader.ready()));
  return readers;
}

/** Posts n, n + 1 ... through every node in turn; each until it is acknowledged. */
function publishThrough(nodes, channel, everyMs) {
  const acknowledged = [];
  const refused = new Map();
  let running = true;
  const done = (async () => {
    for (let n = 1; running; n += 1) {
      const node = nodes[n % nodes.length];
      for (;;) {
        const body = { channel, data: n, once: `${channel}-${n}` };
        const answer = await postJson(node.url, '/publish', body);
        if (answer.status === 200) {
          acknowledged.push({ n, position: answer.json.position });
          break;
        }
        refused.set(answer.status, (refused.get(answer.status) ?? 0) + 1);
        await pause(20);
      }
      await pause(everyMs);
    }
  })();
  done.catch(() => {});
  return {
    acknowledged,
    refused,
    async stop() {
      running = false;
      await done;
    },
  };
}

/** position → data of all that a server keeps of a channel. */
async function logOf(server, channel) {
  const entries = await server.call('XRANGE', `freshet:{${channel}}:log`, '-', '+');
  return new Map(
    entries.map(([id, fields]) => [id, JSON.parse(fields[fields.indexOf('data') + 1])]),
  );
}

/** Takes items of a channel up to the message at `last`; follows the continuity rule on the way. */
async function takeTo(reader, channel, start, last) {
  const messages = new Map();
  const resets = [];
  let at = start;
  while (at !== last) {
    const item = await reader.step({ what: `what leads from ${at} to ${last}`, ...LONG });
    if (item.channel !== channel || item.kind === 'stale') continue;
    if (item.kind === 'reset') {
      assert.equal(item.from, at, `${reader.name}: a reset from elsewhere`);
      resets.push(item);
      at = item.to;
      continue;
    }
    const isNext = epochOf(item.id) === epochOf(at) && versionOf(item.id) === versionOf(at) + 1;
    const isFork = versionOf(item.id) === 1 && item.fork === at;
    const isFirst = versionOf(item.id) === 1 && at === `${epochOf(item.id)}-0`;
    assert.ok(isNext || isFork || isFirst, `${reader.name}: ${item.id} (${item.fork}) after ${at}`);
    assert.ok(!messages.has(item.id), `${reader.name}: ${item.id} twice`);
    messages.set(item.id, item.data);
    at = item.id;
  }
  return { messages, resets };
}

/** Each saw all that the log keeps once, and was reset exactly if it saw what the log lost. */
async function assertKeptCame(readers, channel, start, log) {
  const last = [...log.keys()].pop();
  const positions = new Map();
  let lost = 0;
  for (const reader of readers) {
    const { messages, resets } = await takeTo(reader, channel, start, last);
    for (const [id, data] of log) assert.equal(messages.get(id), data, `${reader.name}: ${id}`);
    const gone = [...messages.keys()].filter((id) => !log.has(id));
    const reasons = resets.map((reset) => reset.reason);
    assert.deepEqual(reasons, gone.length > 0 ? ['lost'] : [], `${reader.name}: ${gone}`);
    for (const [id, data] of messages) {
      assert.ok(!positions.has(id) || positions.get(id) === data, `${id} names two payloads`);
      positions.set(id, data);
    }
    lost = Math.max(lost, gone.length);
  }
  return lost;
}

async function assertOn(set, server) {
  for (const node of set.nodes) {
    await eventually(`${node.name} reaches ${server.port}`, async () => {
      return (await set.reachedBy(node)) === server;
    });
    await node.ready();
  }
}

story('SENTINEL FAILOVER and nothing is lost: within 2 s, and nobody notices', LONG, async (t) => {
  const set = await startSentinels(t, { nodes: 2 });
  const channels = [channelName('clean'), channelName('quiet')];
  const readers = await readersOf(t, set, channels);
  const [start] = readers[0].cursor.split(',');
  const ids = [];
  for (const data of [1, 2, 3]) ids.push(await publish(set.servers[0], channels[0], String(data)));
  await inStep(set.servers[1], set.servers[0]);
  const told = await set.nextSwitch(t);
  const switched = set.failover();
  const toldAt = await told.at;
  const [node] = set.nodes;
  for (const one of set.nodes) {
    await eventually('it has moved', async () => (await set.reachedBy(one)) === set.servers[1], {
      every: 5,
    });
  }
  const took = Date.now() - toldAt;
  assert.ok(took < 2000, `the nodes moved ${took} ms after the switch was told`);
  const { to } = await switched;
  await assertOn(set, to);
  const answer = await eventually('it takes a message', async () => {
    const response = await postJson(node.url, '/publish', { channel: channels[0], data: 4 });
    return response.status === 200 ? response : null;
  });
  assert.equal(versionOf(answer.json.position), 1, 'another writer, another epoch');
  const log = await logOf(to, channels[0]);
  assert.deepEqual([...log.keys()], [...ids, answer.json.position]);
  assert.equal(await assertKeptCame(readers, channels[0], start, log), 0);
  for (const one of set.nodes) {
    await eventually('it counts the switch', async () => {
      return (await one.metrics()).get('freshet_redis_switches_total') === 1;
    });
  }
});

story('SENTINEL FAILOVER under load: what survives comes once, in order', LONG, async (t) => {
  const set = await startSentinels(t, { nodes: 2 });
  const channels = [channelName('load'), channelName('quiet')];
  const readers = await readersOf(t, set, channels);
  const [start] = readers[0].cursor.split(',');
  const load = publishThrough(set.nodes, channels[0], 10);
  await eventually('messages flow', () => load.acknowledged.length > 50);
  const { to } = await set.failover();
  const after = load.acknowledged.length;
  await eventually('they flow again', () => load.acknowledged.length > after + 50);
  await load.stop();
  await assertOn(set, to);
  const log = await logOf(to, channels[0]);
  const lost = await assertKeptCame(readers, channels[0], start, log);
  const rolledBack = load.acknowledged.filter(({ position }) => !log.has(position));
  t.diagnostic(
    `acknowledged ${load.acknowledged.length}, rolled back ${rolledBack.length}, seen ` +
      `and lost ${lost}, refused ${JSON.stringify([...load.refused])}`,
  );
  for (const status of load.refused.keys()) assert.ok([503, 504].includes(status), `${status}`);
});

story(
  'the master is killed under load: the same, and its writes go to the replica',
  LONG,
  async (t) => {
    const set = await startSentinels(t, { nodes: 2 });
    const channels = [channelName('killed'), channelName('quiet')];
    const readers = await readersOf(t, set, channels);
    const [start] = readers[0].cursor.split(',');
    const load = publishThrough(set.nodes, channels[0], 10);
    await eventually('messages flow', () => load.acknowledged.length > 50);
    const [dead] = set.servers;
    await dead.kill('SIGKILL');
    const to = await set.switched(dead);
    const after = load.acknowledged.length;
    await eventually('they flow again', () => load.acknowledged.length > after + 50);
    await load.stop();
    await assertOn(set, to);
    await assertKeptCame(readers, channels[0], start, await logOf(to, channels[0]));
    for (const status of load.refused.keys()) assert.ok([503, 504].includes(status), `${status}`);
    assert.ok(load.refused.size > 0, 'there was a time without a master');
  },
);

story(
  'the killed master had told what no replica heard: reset lost, to all who saw it',
  LONG,
  async (t) => {
    const set = await startSentinels(t, { nodes: 2 });
    const [a, b] = set.servers;
    const [channel, other] = [channelName('lossy'), channelName('unharmed')];
    const readers = await readersOf(t, set, [channel, other]);
    const kept = await publish(a, channel, '1');
    const unharmed = await publish(a, other, '1');
    await inStep(b, a);
    await cutReplication(a);
    const seen = [await publish(a, channel, '2'), await publish(a, channel, '3')];
    // Of two channels either may come first.
    for (const reader of readers) {
      const ids = (await reader.take(4)).map(({ id }) => id);
      assert.deepEqual(ids.sort(), [kept, unharmed, ...seen].sort(), reader.name);
    }
    await a.kill('SIGKILL');
    assert.equal(await set.switched(a), b);
    for (const reader of readers) {
      const reset = await eventuallyReset(reader);
      const { from, to, reason } = reset;
      assert.deepEqual([reset.channel, from, to, reason], [channel, seen[1], kept, 'lost']);
    }
    const next = await publish(b, channel, '4');
    const last = await publish(b, other, '2');
    for (const reader of readers) {
      const messages = await reader.take(2, LONG);
      assert.deepEqual(messages.map(({ id }) => id).sort(), [next, last].sort(), reader.name);
      assert.equal(reader.resets.length, 1, reader.name);
    }
    assert.notEqual(epochOf(last), epochOf(unharmed));
  },
);

async function eventuallyReset(reader) {
  for (;;) {
    const item = await reader.step({ what: 'a reset', ...LONG });
    if (item.kind === 'stale') continue;
    assert.equal(item.kind, 'reset', `${reader.name}: ${JSON.stringify(item)}`);
    return item;
  }
}

story(
  'two failovers in a row, quiet channels, the old master alive',
  { deadline: 180_000 },
  async (t) => {
    const set = await startSentinels(t, { nodes: 2 });
    const [a, b] = set.servers;
    const channels = [channelName('twice'), channelName('quiet')];
    const [channel] = channels;
    const readers = await readersOf(t, set, channels);
    const kept = await publish(a, channel, '1');
    await inStep(b, a);
    await cutReplication(a);
    const seen = await publish(a, channel, '2');
    for (const reader of readers) await reader.takeUntil((message) => message.id === seen);
    assert.deepEqual(await set.failover(), { from: a, to: b });
    for (const reader of readers) {
      const { from, to, reason } = await eventuallyReset(reader);
      assert.deepEqual([from, to, reason], [seen, kept, 'lost'], reader.name);
    }
    await mendReplication(a);
    await inStep(a, b); // once Sentinel has made it a replica
    assert.deepEqual(await set.failover(), { from: b, to: a });
    await assertOn(set, a);
    const next = await publish(a, channel, '3');
    assert.notEqual(next, seen, 'a position was used again');
    for (const reader of readers) {
      const message = await reader.next(LONG);
      assert.deepEqual([message.id, message.fork, message.data], [next, kept, 3], reader.name);
      assert.equal(reader.resets.length, 1, 'the second failover lost nothing');
    }
    await inStep(b, a);
    assert.deepEqual(await logOf(b, channel), await logOf(a, channel));
  },
);

story(
  'a master that stood still goes on as if nothing had happened: nobody follows it',
  LONG,
  async (t) => {
    const set = await startSentinels(t, { nodes: 2 });
    const [a, b] = set.servers;
    const channels = [channelName('frozen'), channelName('quiet')];
    const readers = await readersOf(t, set, channels);
    const [start] = readers[0].cursor.split(',');
    await publish(a, channels[0], '1');
    await inStep(b, a);
    await a.kill('SIGSTOP');
    t.after(() => a.kill('SIGCONT'));
    assert.equal(await set.switched(a), b);
    const load = publishThrough(set.nodes, channels[0], 10);
    await eventually('messages flow', () => load.acknowledged.length > 50);
    await a.kill('SIGCONT');
    await inStep(a, b);
    const after = load.acknowledged.length;
    await eventually('they go on', () => load.acknowledged.length > after + 50);
    await load.stop();
    await assertOn(set, b);
    const log = await logOf(b, channels[0]);
    assert.equal(await assertKeptCame(readers, channels[0], start, log), 0);
    for (const { n, position } of load.acknowledged) assert.equal(log.get(position), n);
    for (const node of set.nodes) {
      assert.equal((await node.metrics()).get('freshet_redis_switches_total'), 1);
    }
  },
);
