/** freshet check --node: what nodes hold, against what Redis holds. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { open } from '../support/readers.js';
import { freePort } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { channelName, publish, startCluster, story } from '../support/story.js';
import { objects, runTool } from '../support/tool.js';
import { eventually } from '../support/wait.js';

const GOOD = {
  appendonly: true,
  args: ['--appendfsync', 'everysec', '--client-output-buffer-limit', 'pubsub 256mb 64mb 60'],
};

/** What it says of nodes and channels, as { subject, finding, text }, and how it ended. */
async function check(redis, channels, urls) {
  const nodes = urls.flatMap((url) => ['--node', url]);
  const result = await runTool(['check', '--json', ...channels, ...nodes], { redis });
  assert.equal(result.stderr, '');
  const about = ({ subject }) => subject === 'node' || channels.includes(subject);
  return { code: result.code, found: objects(result).filter(about) };
}

async function readerAt(t, node, channel) {
  const reader = open({ transport: 'stream', url: node.url, channels: [channel] });
  t.after(() => reader.close());
  await reader.ready();
  return reader;
}

story('all agree: where each node stands is said, and the exit status is 0', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 2, redis: GOOD });
  const channel = channelName('strange"name"é');
  const reader = await readerAt(t, nodes[0], channel);
  const position = await publish(redis, channel, '1');
  await reader.next();
  const { code, found } = await check(
    redis,
    [channel],
    nodes.map(({ adminUrl }) => adminUrl),
  );
  const [first, second] = nodes.map(({ adminUrl }) => adminUrl);
  assert.deepEqual(
    found.map(({ finding, text }) => [finding, text]),
    [
      ['fine', `counter, log and fork agree at ${position}`],
      ['fine', `${first} is ready`],
      ['fine', `${first} stands at ${position}`],
      ['fine', `${second} is ready`],
      ['fine', `${second} does not list it: nobody is subscribed there`],
    ],
  );
  assert.equal(code, 0);
});

story('while messages flow nobody is suspected', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1, redis: GOOD });
  const channel = channelName();
  await readerAt(t, nodes[0], channel);
  let running = true;
  const flow = (async () => {
    while (running) await publish(redis, channel, '1');
  })();
  t.after(() => (running = false));
  for (let i = 0; i < 5; i += 1) {
    const { code, found } = await check(redis, [channel], [nodes[0].adminUrl]);
    assert.equal(code, 0, JSON.stringify(found));
  }
  running = false;
  await flow;
});

story('a node on another Redis: behind in one channel, ahead in another', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1, redis: GOOD });
  const other = await startRedis({ ...GOOD, functions: true, t });
  const [behind, ahead] = [channelName('behind'), channelName('ahead')];
  const old = await publish(redis, behind, '1');
  const first = await publish(other, ahead, '1');
  const next = await publish(other, behind, '1');
  const latest = await publish(redis, ahead, '1');
  for (const channel of [behind, ahead]) await readerAt(t, nodes[0], channel);
  const url = nodes[0].adminUrl;
  const { code, found } = await check(other, [behind, ahead], [url]);
  const broken = found.filter(({ finding }) => finding === 'broken');
  assert.deepEqual(
    broken.map(({ subject, text }) => [subject, text]),
    [
      [behind, `${url} stands at ${old}, Redis at ${next}: it does not hear what is published`],
      [ahead, `${url} stands at ${latest}, which this Redis does not know: it is at ${first}`],
    ],
  );
  assert.equal(code, 2);
});

story('a node that is not ready, one that does not answer, and what is no node', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1, redis: GOOD });
  const own = await startRedis({ ...GOOD, functions: true, t });
  await redis.kill('SIGKILL');
  await eventually('it is not ready, and has dialled again', async () => {
    return (await nodes[0].admin('/readyz')).text.includes('connection refused');
  });
  const nobody = `http://127.0.0.1:${await freePort()}`;
  const server = http.createServer((_, response) => response.end('{}'));
  const port = await freePort();
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  t.after(() => server.close());
  const stranger = `http://127.0.0.1:${port}`;
  const urls = [nodes[0].adminUrl, nobody, stranger, nodes[0].url, `http://127.0.0.1:${own.port}/`];
  const { code, found } = await check(own, [], urls);
  assert.equal(code, 2);
  assert.deepEqual([...new Set(found.map(({ finding }) => finding))], ['broken']);
  const texts = found.map(({ text }) => text);
  assert.match(
    texts[0],
    /is not ready: the (command|pubsub) link to Redis is down: connection refused/,
  );
  assert.equal(texts[1], `${nobody}: connection refused`);
  assert.equal(texts[2], `${stranger} is no node's admin port`);
  assert.match(texts[3], /its answer is no JSON$/);
  assert.match(texts[4], /(it speaks no HTTP|it does not answer)$/);
});

story('a node that cannot be named is a wrong use', async (t) => {
  const redis = await startRedis({ t });
  for (const url of ['127.0.0.1:8081', 'https://a', 'http://', 'http://a:x', 'http://a b']) {
    const { code, stdout, stderr } = await runTool(['check', '--node', url], { redis });
    assert.deepEqual([code, stdout], [2, ''], url);
    assert.match(stderr, /^freshet: --node ".*": .{10,}\n$/);
  }
});
