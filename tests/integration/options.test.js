/** Options: flag, environment, file; what is printed; closed by default. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { StreamClient, assertProblem, poll, query } from '../support/clients.js';
import { request } from '../support/http.js';
import { freePort, runNode, startNode } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { channelName, publish, story } from '../support/story.js';

const redis = await startRedis();
const directory = mkdtempSync(path.join(os.tmpdir(), 'freshet-options-'));
after(async () => {
  rmSync(directory, { recursive: true, force: true });
  await redis.stop();
});

/** The options of CONTRACT.md section 4 that do not belong to TLS or WebSocket. */
const OPTIONS = [
  ...['listen', 'admin', 'redis', 'prefix', 'workers', 'node-id', 'anonymous'],
  ...['anonymous-publish', 'auth-key', 'auth-cookie', 'origin', 'config', 'log-level'],
  ...['log-format', 'long-poll-wait', 'heartbeat', 'head-bytes', 'publish-bytes'],
  ...['backlog', 'backlog-total'],
  ...['stall', 'linger', 'page', 'channels-per-request', 'channels-per-connection', 'connections'],
  ...['header-timeout', 'keep-alive', 'drain-grace', 'drain-window', 'reset-spread', 'retry'],
];

function writeConfig(name, text) {
  const file = path.join(directory, name);
  writeFileSync(file, text);
  return file;
}

/** The heartbeat that a node tells its clients: an option to be seen from outside. */
async function heartbeatOf(node) {
  const stream = new StreamClient(node.url, [channelName()]);
  try {
    return (await stream.next()).heartbeat;
  } finally {
    stream.close();
  }
}

story('--help names every option and exits 0', async () => {
  const { code, stdout, stderr } = await runNode(['--help']);
  assert.equal(code, 0);
  assert.equal(stderr, '');
  for (const option of OPTIONS) assert.match(stdout, new RegExp(`--${option}\\b`), option);
  for (const line of stdout.split('\n')) assert.ok(line.length <= 120, line);
});

story('--version prints name and version and exits 0', async () => {
  const { code, stdout, stderr } = await runNode(['--version']);
  assert.deepEqual([code, stderr], [0, '']);
  assert.match(stdout, /^freshet-node \d+\.\d+\.\d+\S*\n/);
});

story('--check-config accepts what is right, without Redis, and exits 0', async () => {
  const args = ['--check-config', '--heartbeat', '3s', '--redis', 'redis://127.0.0.1:1'];
  const { code, stderr } = await runNode(args);
  assert.equal(code, 0, stderr);
});

story('--check-config never prints a password', async () => {
  const args = ['--check-config', '--redis', 'redis://user:geheim@127.0.0.1:6379'];
  const { code, stdout, stderr } = await runNode(args);
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stdout + stderr, /geheim/);
});

const WRONG = {
  'an option nobody knows': [['--hartbeat', '3s'], /hartbeat/],
  'a word that is no option': [['heartbeat'], /heartbeat/],
  'a value that is missing': [['--heartbeat'], /heartbeat/],
  'a duration that is none': [['--heartbeat', 'soon'], /heartbeat/],
  'a duration with an unknown unit': [['--heartbeat', '3 parsecs'], /heartbeat/],
  'a negative duration': [['--heartbeat', '-3s'], /heartbeat/],
  'a size that is none': [['--head-bytes', '16q'], /head-bytes/],
  'a count that is none': [['--workers', 'many'], /workers/],
  'no workers': [['--workers', '0'], /workers/],
  'a long poll of more than 60 s': [['--long-poll-wait', '61s'], /long-poll-wait/],
  'a port that is none': [['--listen', '127.0.0.1:99999'], /listen/],
  'a prefix with a brace': [['--prefix', 'a{b'], /prefix/],
  'a prefix of 33 characters': [['--prefix', 'x'.repeat(33)], /prefix/],
  'a Redis of another scheme': [['--redis', 'http://127.0.0.1'], /redis/],
  'a Redis at a port that is none': [['--redis', 'redis://h:99999'], /redis: .*port/],
  'a Redis of a database that is none': [['--redis', 'redis://h/x'], /redis: .*database/],
  'a Redis of no host': [['--redis', 'redis://'], /redis: .*host/],
  'Sentinels of no master': [['--redis', 'redis+sentinel://a'], /redis: .*master/],
  'a database without a prefix of its own': [['--redis', 'redis://127.0.0.1/2'], /prefix/],
  'a log level nobody knows': [['--log-level', 'loud'], /log-level/],
  'a file that is not there': [['--config', '/nowhere/freshet.conf'], /freshet\.conf/],
};

for (const [what, [args, named]] of Object.entries(WRONG)) {
  story(`${what}: one clear line on stderr and exit 2`, async () => {
    for (const more of [[], ['--check-config']]) {
      const { code, stdout, stderr } = await runNode([...more, ...args]);
      assert.equal(code, 2, stderr);
      assert.equal(stdout, '');
      assert.match(stderr, /^[^\n]+\n$/, 'one line');
      assert.match(stderr, named);
    }
  });
}

story('a wrong value in the environment or in a file is named as well', async () => {
  const fromEnv = await runNode(['--check-config'], { env: { FRESHET_HEARTBEAT: 'soon' } });
  assert.equal(fromEnv.code, 2);
  assert.match(fromEnv.stderr, /^[^\n]*(FRESHET_HEARTBEAT|heartbeat)[^\n]*\n$/);
  for (const [line, named] of [
    ['heartbeat = soon', /heartbeat/],
    ['hartbeat = 3s', /hartbeat/],
    ['no assignment', /wrong\.conf/],
  ]) {
    const file = writeConfig('wrong.conf', `# a comment\n\nstall = 20s\n${line}\n`);
    const { code, stderr } = await runNode(['--check-config', '--config', file]);
    assert.equal(code, 2, line);
    assert.match(stderr, /^[^\n]+\n$/);
    assert.match(stderr, named);
  }
});

story('a flag beats the environment, the environment beats the file', async (t) => {
  const file = writeConfig('freshet.conf', '# all of it\nheartbeat = 1s\nanonymous = *\n');
  const cases = [
    [1000, [], {}],
    [2000, [], { FRESHET_HEARTBEAT: '2' }],
    [3000, ['--heartbeat', '3000ms'], { FRESHET_HEARTBEAT: '2s' }],
    [4000, ['--heartbeat=4'], {}],
  ];
  await Promise.all(
    cases.map(async ([heartbeat, args, env]) => {
      const node = await startNode({ redis, args: ['--config', file, ...args], env });
      t.after(() => node.stop());
      assert.equal(await heartbeatOf(node), heartbeat);
    }),
  );
});

story('everything can come from the environment', async (t) => {
  const [port, adminPort] = [await freePort(), await freePort()];
  const node = await startNode({
    redis,
    port,
    adminPort,
    flags: {},
    env: {
      FRESHET_LISTEN: `127.0.0.1:${port}`,
      FRESHET_ADMIN: `127.0.0.1:${adminPort}`,
      FRESHET_REDIS: redis.url,
      FRESHET_NODE_ID: 'from-the-environment',
      FRESHET_ANONYMOUS: '*',
      FRESHET_DRAIN_GRACE: '0',
      FRESHET_DRAIN_WINDOW: '100ms',
    },
  });
  t.after(() => node.stop());
  const stream = new StreamClient(node.url, [channelName()]);
  t.after(() => stream.close());
  assert.equal((await stream.next()).node, 'from-the-environment');
});

story('closed by default: nobody may read anything', async (t) => {
  const node = await startNode({ redis });
  t.after(() => node.stop());
  const channel = channelName();
  await publish(redis, channel, '"secret"');
  for (const target of ['/poll', '/sse', '/stream', '/history']) {
    const response = await request(node.url, `${target}?${query([channel], { since: '0' })}`);
    assert.ok([401, 403].includes(response.status), `${target}: ${response.status}`);
    assertProblem(response, response.status);
    assert.equal(response.text.includes('secret'), false);
  }
  const body = JSON.stringify({ channels: { [channel]: '0' } });
  const posted = await request(node.url, '/poll', { method: 'POST', body });
  assertProblem(posted, 403);
});

story('--anonymous opens what its patterns match, all channels of a request or none', async (t) => {
  const patterns = ['--anonymous', 'news.*', '--anonymous', 'public', '--anonymous', 'a?b[c]'];
  const node = await startNode({ redis, args: patterns });
  t.after(() => node.stop());
  const status = async (...channels) => (await poll(node.url, channels)).status;
  assert.equal(await status('news.sport'), 200);
  assert.equal(await status('public', 'news.'), 200);
  assert.equal(await status('a?b[c]'), 200, 'literal but for the star');
  for (const channel of ['news', 'newsXsport', 'publi', 'publicity', 'axbc', 'my.news.sport']) {
    assert.equal(await status(channel), 403, channel);
  }
  assert.equal(await status('public', 'secret'), 403);
});

story('a port that is taken is said in one clear line', async (t) => {
  const holder = net.createServer();
  const port = await freePort();
  await new Promise((resolve) => holder.listen(port, '127.0.0.1', resolve));
  t.after(() => holder.close());
  const args = ['--listen', `127.0.0.1:${port}`, '--redis', redis.url];
  const { code, stderr } = await runNode([...args, '--admin', `127.0.0.1:${await freePort()}`]);
  assert.ok(code > 0, `exit ${code}`);
  assert.match(stderr, new RegExp(`${port}`));
});

story('the log is on stderr, as JSON lines when asked', async (t) => {
  const node = await startNode({ redis, args: ['--log-format', 'json'] });
  t.after(() => node.stop());
  const lines = node.log.trim().split('\n');
  assert.ok(lines.length > 0);
  for (const line of lines) assert.equal(typeof JSON.parse(line), 'object', line);
});
