/** Clients that nobody here wrote: curl, redis-cli, the redis and eventsource packages of npm. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { createClient } from 'redis';
import EventSource2 from 'eventsource2';
import { EventSource as EventSource3 } from 'eventsource3';
import { POSITION, query } from '../support/clients.js';
import { spawnChild } from '../support/node.js';
import { open } from '../support/readers.js';
import { channelName, startFileCluster, story } from '../support/story.js';
import { Queue, eventually, within } from '../support/wait.js';

const run = promisify(execFile);
const cluster = await startFileCluster({ nodes: 3 });
const { redis, publish } = cluster;
const [first, second, third] = cluster.nodes;

/** Why tests with this program are skipped, or false. */
function missing(program, flag = '--version') {
  try {
    execFileSync(program, [flag], { stdio: 'ignore' });
    return false;
  } catch {
    return `${program} is not installed`;
  }
}

const NODE_MAJOR = Number(process.versions.node.split('.')[0]);
const noEventSource4 = NODE_MAJOR < 20 && 'eventsource 4 asks for Node 20';
const EventSource4 = noEventSource4 ? null : (await import('eventsource4')).EventSource;

const noCurl = missing('curl');
const noCli = missing('redis-cli');

/** The lines that curl prints, as they come. */
function curl(t, ...args) {
  const child = spawnChild('curl', ['-sS', '--max-time', '40', ...args]);
  t.after(() => child.kill('SIGKILL'));
  const lines = new Queue(`curl ${args.join(' ')}`);
  let rest = '';
  child.stdout.on('data', (bytes) => {
    const parts = (rest + bytes).split('\n');
    rest = parts.pop();
    for (const line of parts) lines.push(line);
  });
  child.on('close', () => {
    if (rest) lines.push(rest);
    lines.fail(new Error('curl has ended'));
  });
  return lines;
}

story(
  'the README in one test: redis-cli to three curls on three nodes',
  {
    skip: noCurl || noCli,
  },
  async (t) => {
    const { stdout } = await run('curl', ['-sS', `${second.url}/poll?channel=news`]);
    const { cursor } = JSON.parse(stdout);
    const sse = curl(t, '-N', `${first.url}/sse?channel=news`);
    const held = curl(t, `${second.url}/poll?channel=news&since=${cursor}&wait=25`);
    const stream = curl(t, '-N', `${third.url}/stream?channel=news`);
    await sse.waitFor((line) => line.startsWith('event: hello'));
    await stream.waitFor((line) => line.includes('"ok"'));

    const command = ['FCALL', 'freshet_publish', '1', 'news', '{"hello":"world"}'];
    const published = await run('redis-cli', ['-p', String(redis.port), ...command]);
    const id = published.stdout.trim();
    assert.match(id, POSITION);

    await sse.waitFor((line) => line === `id: ${id}`);
    assert.equal(await sse.waitFor((line) => line.startsWith('data: ')), 'data: {"hello":"world"}');
    const answer = JSON.parse(await held.next());
    assert.equal(answer.cursor, id);
    assert.deepEqual(
      answer.messages.map((message) => message.data),
      [{ hello: 'world' }],
    );
    const line = JSON.parse(await stream.waitFor((text) => text !== ''));
    assert.deepEqual([line.id, line.data], [id, { hello: 'world' }]);

    const next = await publish('news', '2');
    const after = JSON.parse(await stream.waitFor((text) => text !== ''));
    assert.equal(after.id, next, 'once');
  },
);

story('curl polls with --etag-save and --etag-compare', { skip: noCurl }, async () => {
  const channel = channelName();
  await publish(channel, '1');
  const { stdout } = await run('curl', [
    '-sS',
    '-i',
    `${first.url}/poll?channel=${channel}&since=0`,
  ]);
  const [, tag] = /^etag: (\S+)/im.exec(stdout) ?? assert.fail(stdout);
  const target = `${first.url}/poll?channel=${channel}`;
  const args = ['-sS', '-o', '/dev/null', '-w', '%{http_code}', '-H', `If-None-Match: ${tag}`];
  assert.equal((await run('curl', [...args, target])).stdout, '304');
});

story('curl publishes a file', { skip: noCurl }, async () => {
  const channel = channelName();
  const target = `${first.url}/publish?${query([channel], { type: 'text', event: 'note' })}`;
  const { stdout } = await run('curl', ['-sS', '--data-binary', 'a\nb', target]);
  assert.match(JSON.parse(stdout).position, POSITION);
  const { stdout: kept } = await run('curl', ['-sS', `${second.url}/history?channel=${channel}`]);
  const [message] = JSON.parse(kept).messages;
  assert.deepEqual([message.data, message.event], ['a\nb', 'note']);
});

story('npm redis publishes: short form, long form, in MULTI, with idempotency', async (t) => {
  const client = createClient({ url: redis.url });
  await client.connect();
  t.after(() => client.close());
  const channel = channelName();
  const keys = [`freshet:{${channel}}`, `freshet:{${channel}}:log`];
  const stream = open({ transport: 'stream', url: first.url, channels: [channel] });
  t.after(() => stream.close());
  await stream.ready();
  const one = await client.fCall('freshet_publish', { keys: [channel], arguments: ['{"n":1}'] });
  const two = await client.fCall('freshet_publish', {
    keys,
    arguments: ['{"n":2}', 'EVENT', 'tick'],
  });
  const once = [
    'FCALL',
    'freshet_publish',
    '3',
    ...keys,
    `${keys[0]}:once:k`,
    '{"n":3}',
    'ONCE',
    'k',
  ];
  const three = await client.sendCommand(once);
  assert.equal(await client.sendCommand(once), three);
  const replies = await client
    .multi()
    .set('application', 'state')
    .fCall('freshet_publish', { keys, arguments: ['{"n":4}'] })
    .exec();
  const ids = [one, two, three, replies[1]].map(String);
  const messages = await stream.take(4);
  assert.deepEqual(
    messages.map((message) => message.id),
    ids,
  );
  assert.deepEqual(
    messages.map((message) => message.data.n),
    [1, 2, 3, 4],
  );
});

/** What an application sees of an EventSource, of whichever package. */
function watch(t, EventSource, url, options) {
  const source = new EventSource(url, options);
  const events = new Queue(`EventSource ${url}`);
  t.after(() => source.close());
  for (const type of ['hello', 'message', 'tick', 'reset']) {
    source.addEventListener(type, ({ data, lastEventId }) => {
      events.push({ type, data, lastEventId });
    });
  }
  return { source, events };
}

const PACKAGES = [
  ['eventsource 2', EventSource2, false],
  ['eventsource 3', EventSource3, false],
  ['eventsource 4', EventSource4, noEventSource4],
];

for (const [name, EventSource, skip] of PACKAGES) {
  story(`npm ${name}: messages, named events and ids`, { skip }, async (t) => {
    const channel = channelName();
    const { events } = watch(t, EventSource, `${first.url}/sse?channel=${channel}`);
    const hello = await events.waitFor((event) => event.type === 'hello');
    assert.equal(hello.lastEventId, JSON.parse(hello.data).cursor);
    const one = await publish(channel, '{"n": 1}');
    const two = await publish(channel, 'a\nb', 'TYPE', 'text', 'EVENT', 'tick');
    assert.deepEqual(await events.next(), { type: 'message', data: '{"n": 1}', lastEventId: one });
    assert.deepEqual(await events.next(), { type: 'tick', data: 'a\nb', lastEventId: two });
  });

  story(
    `npm ${name}: the node dies and comes back; it goes on, nothing lost`,
    { skip },
    async (t) => {
      const channels = [channelName(), channelName()];
      const node = await cluster.startNode();
      const url = `${node.url}/sse?${query(channels, { rewind: 5 })}`;
      const before = await publish(channels[0], '"before"');
      const { events } = watch(t, EventSource, url);
      await events.waitFor((event) => event.lastEventId.split(',')[0] === before);
      await node.kill('SIGKILL');
      const missed = await publish(channels[1], '"missed"');
      await cluster.startNode([], { port: node.port });
      const message = await events.waitFor((event) => event.type === 'message', {
        deadline: 20_000,
      });
      assert.equal(JSON.parse(message.data).data, 'missed');
      assert.equal(message.lastEventId, `${before},${missed}`);
      const next = await publish(channels[0], '"next"');
      assert.equal((await events.next()).lastEventId, `${next},${missed}`);
      assert.deepEqual(
        events.seen.filter((event) => event.type === 'reset'),
        [],
      );
    },
  );

  story(`npm ${name}: a refusal that will never work ends it`, { skip }, async (t) => {
    const { source } = watch(t, EventSource, `${first.url}/sse?channel=a%20b`);
    const failed = new Promise((resolve) => source.addEventListener('error', resolve));
    await within(failed, 'an error event');
    await eventually('closed for good', () => source.readyState === 2);
  });
}
