/** ONCE (a retry publishes nothing) and IF (publish only at this head). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Channel, epochOf, snapshot } from '../support/functions.js';
import { loadFunctions, startRedis } from '../support/redis.js';
import { eventually } from '../support/wait.js';

describe('ONCE and IF', () => {
  let redis;
  before(async () => (redis = await startRedis({ functions: true })));
  after(() => redis?.stop());

  /** Refused with exactly this head, and nothing written. */
  async function assertConflict(channel, head, ...words) {
    const before = await snapshot(redis);
    await assert.rejects(channel.publish('1', ...words), { message: `CONFLICT ${head}` });
    assert.deepEqual(await snapshot(redis), before);
  }

  it('ONCE: a retry returns the first position and publishes nothing', async () => {
    const channel = new Channel(redis, 'once');
    const connection = await redis.connect();
    await connection.subscribe(channel.now);
    const first = await channel.publish('"a"', 'ONCE', 'key 1');
    const before = await snapshot(redis);
    assert.equal(await channel.publish('"b"', 'ONCE', 'key 1'), first);
    assert.deepEqual(await snapshot(redis), before);
    const other = await channel.publish('"c"', 'ONCE', 'key 2');
    assert.equal(await redis.call('GET', channel.onceKey('key 1')), first);
    assert.deepEqual(await channel.positions(), [first, other]);
    await connection.messages.take(2);
    await channel.publish('"d"');
    assert.match(String((await connection.messages.next()).payload), /"d"$/);
    connection.close();
  });

  it('ONCE: holds over a new writer, and in the form with three keys', async () => {
    const channel = new Channel(redis, 'once-three');
    const publish = () =>
      redis.call(
        ...['FCALL', 'freshet_publish', 3, channel.hash, channel.log, channel.onceKey('k')],
        ...['1', 'ONCE', 'k'],
      );
    const first = await publish();
    await loadFunctions(redis, { replace: true });
    assert.equal(await publish(), first);
    assert.equal(await channel.publish('1', 'ONCE', 'k'), first);
    assert.deepEqual(await channel.positions(), [first]);
  });

  it('ONCE: a key of 200 bytes, of whatever bytes', async () => {
    const channel = new Channel(redis, 'once-bytes');
    const key = Buffer.concat([Buffer.from('a }{\r\n\0'), Buffer.alloc(193, 0xff)]);
    const first = await channel.publish('1', 'ONCE', key);
    assert.equal(await channel.publish('1', 'ONCE', key), first);
  });

  it('FOR: how long, 300 s by default', async () => {
    const channel = new Channel(redis, 'once-for');
    for (const [words, seconds] of [
      [[], 300],
      [['FOR', 86_400], 86_400],
      [['FOR', 1], 1],
    ]) {
      const key = `k${seconds}`;
      await channel.publish('1', 'ONCE', key, ...words);
      const [{ time }] = (await channel.entries()).slice(-1);
      const expires = await redis.call('PEXPIRETIME', channel.onceKey(key));
      assert.ok(Math.abs(expires - Number(time) - seconds * 1000) < 100, `${key}: ${expires}`);
    }
    await eventually('the key of 1 s is gone', async () => {
      return (await redis.call('EXISTS', channel.onceKey('k1'))) === 0;
    });
    assert.match(await channel.publish('1', 'ONCE', 'k1'), /-4$/);
  });

  it('IF a position: publishes at that head, and not twice', async () => {
    const channel = new Channel(redis, 'if');
    const first = await channel.publish('1');
    const second = await channel.publish('2', 'IF', first);
    assert.equal(second, `${epochOf(first)}-2`);
    await assertConflict(channel, second, 'IF', first);
    await assertConflict(channel, second, 'IF', 'none');
    await assertConflict(channel, second, 'IF', `${epochOf(first) + 1}-2`);
  });

  it('IF where Redis knows no position: only none', async () => {
    const channel = new Channel(redis, 'if-none');
    await assertConflict(channel, 'none', 'IF', '1795375878745123-0');
    assert.match(await channel.publish('1', 'IF', 'none'), /-1$/);
    const settings = new Channel(redis, 'if-none-settings');
    await redis.call('HSET', settings.hash, 'history', '5');
    await assertConflict(settings, 'none', 'IF', '1795375878745123-1');
    assert.match(await settings.publish('1', 'IF', 'NONE'), /-1$/);
  });

  it('IF at E-0: both none and E-0', async () => {
    const byNone = new Channel(redis, 'if-zero-none');
    const zero = await byNone.open();
    await assertConflict(byNone, zero, 'IF', zero.replace('-0', '-1'));
    assert.equal(await byNone.publish('1', 'IF', 'none'), zero.replace('-0', '-1'));
    const byPosition = new Channel(redis, 'if-zero-position');
    const head = await byPosition.open();
    assert.equal(await byPosition.publish('1', 'IF', head), head.replace('-0', '-1'));
  });

  it('IF at version 10 is not E-0', async () => {
    const channel = new Channel(redis, 'if-ten');
    let head;
    for (let i = 0; i < 10; i++) head = await channel.publish(i);
    assert.match(head, /-10$/);
    await assertConflict(channel, head, 'IF', 'none');
  });

  it('IF compares with the head, not with the HASH: the log may be ahead', async () => {
    const channel = new Channel(redis, 'if-ahead');
    const first = await channel.publish('1');
    const old = await redis.callBytes('DUMP', channel.hash);
    const second = await channel.publish('2');
    await redis.call('RESTORE', channel.hash, 0, old, 'REPLACE');
    await assertConflict(channel, second, 'IF', first);
    const third = await channel.publish('3', 'IF', second);
    assert.deepEqual((await channel.entries()).at(-1).fork, second);
    assert.match(third, /-1$/);
  });

  it('IF finds the head without a log, and without a HASH', async () => {
    const channel = new Channel(redis, 'if-half');
    const first = await channel.publish('1');
    await channel.delete(channel.log);
    await assertConflict(channel, first, 'IF', 'none');
    const second = await channel.publish('2', 'IF', first);
    await channel.delete(channel.hash);
    await assertConflict(channel, second, 'IF', first);
    await channel.publish('3', 'IF', second);
  });

  it('ONCE is looked up before IF: a retry of what succeeded succeeds', async () => {
    const channel = new Channel(redis, 'once-if');
    const words = ['ONCE', 'k', 'IF', 'none'];
    const first = await channel.publish('1', ...words);
    assert.equal(await channel.publish('1', ...words), first);
    await assertConflict(channel, first, 'IF', 'none');
  });

  it('a refused IF does not use ONCE up', async () => {
    const channel = new Channel(redis, 'if-once');
    const first = await channel.publish('1');
    await assertConflict(channel, first, 'IF', 'none', 'ONCE', 'k');
    const second = await channel.publish('2', 'IF', first, 'ONCE', 'k');
    assert.equal(await channel.publish('2', 'IF', first, 'ONCE', 'k'), second);
    assert.deepEqual(await channel.positions(), [first, second]);
  });
});
