/** A node whose rights do not suffice says so, instead of being ready and serving nobody. */
import assert from 'node:assert/strict';
import { poll } from '../support/clients.js';
import { startNode } from '../support/node.js';
import { loadFunctions, startRedis } from '../support/redis.js';
import { channelName, publish, story } from '../support/story.js';
import { eventually } from '../support/wait.js';

// cluster/README.md, and those of the functions.
const RIGHTS = [
  'fcall fcall_ro multi exec hmget xrange xrevrange subscribe unsubscribe publish ping info role',
  'client|setname time hset xadd xtrim xinfo|stream memory|usage pexpireat persist pttl',
  'cluster|keyslot',
].flatMap((line) => line.split(' '));
const NEEDED = ['multi', 'exec', 'hmget', 'xrange', 'xrevrange', 'fcall'];

story('each right to read, taken away and given back', { deadline: 120_000 }, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  await loadFunctions(redis);
  const grant = (...rules) => redis.call('ACL', 'SETUSER', 'node', ...rules);
  const commands = RIGHTS.map((right) => `+${right}`);
  await grant('on', '>secret', '~freshet:*', '&freshet:*', '-@all', ...commands);
  const node = await startNode({
    redis: `redis://node:secret@127.0.0.1:${redis.port}`,
    args: ['--anonymous', '*'],
  });
  t.after(() => node.stop());
  for (const right of NEEDED) {
    const channel = channelName(right);
    await publish(redis, channel, '1');
    await grant(`-${right}`);
    await eventually(`without ${right} it is not ready, and says why`, async () => {
      const { status, text } = await node.admin('/readyz');
      return status === 503 && text.includes('NOPERM') && text.includes(`'${right}'`);
    });
    await grant(`+${right}`);
    await node.ready();
    assert.equal((await poll(node.url, [channel], { since: '0' })).status, 200);
  }
});
