/** The functions on a Redis Cluster: here one process that has all slots. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Channel, decodeEnvelope, snapshot } from '../support/functions.js';
import { startRedis } from '../support/redis.js';

describe('on a Cluster', () => {
  let redis;
  before(async () => (redis = await startRedis({ cluster: true, functions: true })));
  after(() => redis?.stop());

  const publish = (keys, ...args) =>
    redis.call('FCALL', 'freshet_publish', keys.length, ...keys, ...args);

  async function assertRefused(reason, act) {
    const before = await snapshot(redis);
    await assert.rejects(act, reason);
    assert.deepEqual(await snapshot(redis), before);
  }

  it('the long form publishes by SPUBLISH', async () => {
    const channel = new Channel(redis, 'long');
    const connection = await redis.connect();
    await connection.call('SSUBSCRIBE', channel.now);
    const position = await channel.publish('{"a":1}');
    const { payload } = await connection.messages.next();
    connection.close();
    const { epoch, version, data } = decodeEnvelope(payload);
    assert.deepEqual([`${epoch}-${version}`, data], [position, '{"a":1}']);
    assert.deepEqual(await channel.positions(), [position]);
  });

  it('the short form is refused with an error that shows the long one', async () => {
    const long =
      /^RedisError: ERR .*FCALL freshet_publish 2 freshet:\{news\} freshet:\{news\}:log /;
    await assertRefused(long, () => publish(['news'], '1'));
  });

  it('ONCE takes its key as the third, and must', async () => {
    const channel = new Channel(redis, 'once');
    const keys = [channel.hash, channel.log, channel.onceKey('k')];
    const first = await publish(keys, '1', 'ONCE', 'k');
    assert.equal(await publish(keys, '1', 'ONCE', 'k'), first);
    assert.deepEqual(await channel.positions(), [first]);
    await assertRefused(/^RedisError: ERR .*third key/, () => channel.publish('1', 'ONCE', 'j'));
  });

  it('opens, and publishes from there', async () => {
    const channel = new Channel(redis, 'open');
    const head = await channel.open();
    assert.equal(await channel.publish('1', 'IF', head), head.replace('-0', '-1'));
  });

  it('the right that is asked for is SPUBLISH', async () => {
    const commands = ['+@all', '-spublish'];
    await redis.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '&*', ...commands);
    const user = await redis.connect({ user: 'app', password: 'secret' });
    const channel = new Channel(user, 'rights');
    await assertRefused(/^RedisError: NOPERM .*SPUBLISH/, () => channel.publish('1'));
    user.close();
  });
});
