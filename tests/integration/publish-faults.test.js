/** What a publisher over HTTP is told when Redis cannot, may not or does not answer. */
import assert from 'node:assert/strict';
import { assertProblem, history, postJson } from '../support/clients.js';
import { channelName, startCluster, story } from '../support/story.js';
import { openWs } from '../support/ws.js';
import { eventually } from '../support/wait.js';

const post = (node, body) => postJson(node.url, '/publish', body);

function assertComeBack(response) {
  assertProblem(response, 503);
  assert.match(response.header('retry-after') ?? '', /^\d+$/);
}

story('Redis is gone: 503 and Retry-After within a second or two; back: 200', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1, redis: { appendonly: true } });
  const [node] = nodes;
  const channel = channelName();
  assert.equal((await post(node, { channel, data: 1 })).status, 200);
  await redis.kill('SIGKILL');
  const began = Date.now();
  const answer = await eventually('the node has noticed', async () => {
    const response = await post(node, { channel, data: 2 });
    // The first may have been sent before the link was known to be broken.
    if (response.status === 504) assertProblem(response, 504, 'unknown');
    else return response;
  });
  assertComeBack(answer);
  assert.ok(Date.now() - began < 3_000);
  const asked = Date.now();
  assertComeBack(await post(node, { channel, data: 2 }));
  assert.ok(Date.now() - asked < 2_000, 'never hangs');
  await redis.restart();
  await eventually('publishing works again', async () => {
    return (await post(node, { channel, data: 3 })).status === 200;
  });
  const data = (await history(node.url, channel)).json.messages.map((message) => message.data);
  assert.deepEqual(data, [1, 3], 'a 503 means that nothing was written');
});

story(
  'Redis is frozen: 504 "unknown"; the same once after that publishes exactly once',
  async (t) => {
    const { redis, nodes } = await startCluster(t, { nodes: 1 });
    const [node] = nodes;
    const channel = channelName();
    const body = { channel, data: 1, once: 'key' };
    await redis.kill('SIGSTOP');
    t.after(() => redis.kill('SIGCONT'));
    const began = Date.now();
    const answer = await post(node, body);
    const took = Date.now() - began;
    assertProblem(answer, 504, 'unknown');
    assert.ok(took >= 900 && took < 3_000, `after ${took} ms`);
    await redis.kill('SIGCONT');
    await eventually('the retry is answered', async () => (await post(node, body)).status === 200);
    assert.equal((await post(node, body)).status, 200);
    assert.equal((await history(node.url, channel)).json.messages.length, 1);
  },
);

story(
  'what passes is 503 with Retry-After; missing rights are 500; nothing was written',
  async (t) => {
    const { redis, nodes } = await startCluster(t, { nodes: 1 });
    const [node] = nodes;
    const channel = channelName();
    await redis.call('CONFIG', 'SET', 'min-replicas-to-write', '1');
    assertComeBack(await post(node, { channel, data: 'NOREPLICAS' }));
    await redis.call('CONFIG', 'SET', 'min-replicas-to-write', '0');
    await redis.call('CONFIG', 'SET', 'maxmemory', '1');
    assertComeBack(await post(node, { channel, data: 'OOM' }));
    await redis.call('CONFIG', 'SET', 'maxmemory', '0');
    await redis.call('ACL', 'SETUSER', 'default', '-xadd');
    assertProblem(await post(node, { channel, data: 'NOPERM' }), 500);
    await redis.call('ACL', 'SETUSER', 'default', '+@all');
    assert.equal((await post(node, { channel, data: 'good' })).status, 200);
    const data = (await history(node.url, channel)).json.messages.map((message) => message.data);
    assert.deepEqual(data, ['good']);
  },
);

/** A library that has our name and is none of ours: it answers with what it is given. */
const FOREIGN = `#!lua name=freshet
redis.register_function{function_name = 'freshet_version', flags = {'no-writes', 'allow-stale'},
                        callback = function() return 1000000 end}
redis.register_function('freshet_publish', function(keys, args)
    return string.find(args[1], 'CONFLICT') and {err = args[1]} or args[1]
end)
`;

story('an answer that is no position is 504, never taken at its word', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  const channel = channelName();
  await redis.call('FUNCTION', 'LOAD', 'REPLACE', FOREIGN);
  const ask = (data) =>
    postJson(node.url, `/publish?channel=${channel}&type=text`, data, {
      'Content-Type': 'text/plain',
    });
  for (const data of [
    '","x":"',
    '1795375878745123',
    '',
    'none',
    'CONFLICT ","x":"',
    'CONFLICT 1',
  ]) {
    assertProblem(await ask(data), 504, 'unknown');
  }
  const position = '1795375878745123-42';
  assert.deepEqual((await ask(position)).json, { position });
  assert.equal(assertProblem(await ask(`CONFLICT ${position}`), 412, 'conflict').head, position);
  assert.equal(assertProblem(await ask('CONFLICT none'), 412, 'conflict').head, 'none');
});

story('errors of Redis that nobody can help from outside are 500 with its word', async (t) => {
  const { redis, nodes } = await startCluster(t, { nodes: 1 });
  const [node] = nodes;
  const channel = channelName();
  const ws = await openWs(t, node.url);
  const assertRedis = async (name, word) => {
    const problem = assertProblem(await post(node, { channel: name, data: 1 }), 500, 'redis');
    assert.match(problem.detail, word);
    const { code, message, retry } = await ws.ask({ type: 'publish', channel: name, data: 1 });
    assert.deepEqual([code, message, retry], ['redis', problem.detail, false]);
  };
  await redis.call('SET', `freshet:{${channel}}`, 'no HASH');
  await assertRedis(channel, /^WRONGTYPE /);
  const tall = channelName(); // an epoch that nothing can follow
  await redis.call('XADD', `freshet:{${tall}}:log`, '9007199254740991-1', 'data', '1');
  await assertRedis(tall, /^ERR the last epoch/);
  await redis.call('ACL', 'SETUSER', 'default', '-function');
  await redis.call('ACL', 'SETUSER', 'operator', 'on', 'nopass', '+@all', '~*', '&*');
  const operator = await redis.connect({ user: 'operator', password: '' });
  t.after(() => operator.close());
  await operator.call('FUNCTION', 'FLUSH');
  await assertRedis(channelName(), /^ERR Function not found/);
  await operator.call('ACL', 'SETUSER', 'default', '+@all');
  await eventually(
    'all is well',
    async () => (await post(node, { channel: tall + 1, data: 1 })).status === 200,
  );
});
