/** What is kept: entries, bytes, and for how long. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Channel, epochOf, versionOf } from '../support/functions.js';
import { loadFunctions, startRedis } from '../support/redis.js';
import { DEADLINE_MS, eventually } from '../support/wait.js';

const DAY_MS = 86_400_000;
const MIB = 1_048_576;

describe('history and expiry', () => {
  let redis;
  before(async () => (redis = await startRedis({ functions: true })));
  after(() => redis?.stop());

  const lengthOf = (channel) => redis.call('XLEN', channel.log);
  const bytesOf = (channel) => redis.call('MEMORY', 'USAGE', channel.log, 'SAMPLES', 0);
  const expiryOf = (key) => redis.call('PEXPIRETIME', key);

  /** Publishes `count` times at once; returns the last position. */
  async function publishMany(channel, count, data = '1', ...words) {
    const replies = Array.from({ length: count }, () => channel.publish(data, ...words));
    return (await Promise.all(replies)).at(-1);
  }

  /** How long after its publication the log and the HASH were to expire. */
  async function lifetimes(channel) {
    const [{ time }] = (await channel.entries()).slice(-1);
    const [log, hash] = await Promise.all([expiryOf(channel.log), expiryOf(channel.hash)]);
    return { log: log - Number(time), hash: hash < 0 ? Infinity : hash - Number(time) };
  }

  it('keeps 1,000 entries by default, the newest', async () => {
    const channel = new Channel(redis, 'default');
    const last = await publishMany(channel, 1010);
    const positions = await channel.positions();
    assert.equal(positions.length, 1000);
    assert.deepEqual([positions[0], positions[999]], [last.replace('-1010', '-11'), last]);
  });

  it('HISTORY holds for its publish, the HASH’s setting for those without', async () => {
    const channel = new Channel(redis, 'history');
    await publishMany(channel, 30, '1', 'HISTORY', 20);
    assert.equal(await lengthOf(channel), 20);
    await redis.call('HSET', channel.hash, 'history', 5);
    await channel.publish('1', 'HISTORY', 10);
    assert.equal(await lengthOf(channel), 10);
    await channel.publish('1');
    assert.equal(await lengthOf(channel), 5);
    await channel.publish('1', 'HISTORY', 1);
    assert.equal(await lengthOf(channel), 1);
  });

  it('settings that make no sense are as absent', async () => {
    const channel = new Channel(redis, 'nonsense');
    for (const value of ['0', '-1', '100001', 'many', '1e3', '', '99999999999999999999']) {
      await redis.call('HSET', channel.hash, 'history', value, 'ttl', value.replace('e3', 'e9'));
      await channel.publish('1');
    }
    await publishMany(channel, 1010);
    assert.equal(await lengthOf(channel), 1000);
    const { log } = await lifetimes(channel);
    assert.ok(log > 3_590_000 && log <= 3_600_000, `${log}`);
  });

  it('keeps 16 MiB by default, and all of that', async () => {
    const channel = new Channel(redis, 'bytes');
    const data = 'x'.repeat(MIB / 2);
    for (let i = 1; i <= 60; i++) {
      await channel.publish(data, 'TYPE', 'text');
      // Weighed with each MiB that was written, so never more than that above the budget.
      assert.ok((await bytesOf(channel)) <= 17.5 * MIB);
    }
    assert.ok((await bytesOf(channel)) >= 14.5 * MIB, `only ${await bytesOf(channel)} bytes kept`);
    assert.equal(versionOf((await channel.positions()).at(-1)), 60);
  });

  it('keeps 256 MiB where a number is asked for, by HISTORY or by the HASH', async () => {
    const data = 'x'.repeat(MIB);
    const byWord = new Channel(redis, 'asked');
    await publishMany(byWord, 20, data, 'TYPE', 'text', 'HISTORY', 1000);
    assert.equal(await lengthOf(byWord), 20);
    const bySetting = new Channel(redis, 'asked-setting');
    await redis.call('HSET', bySetting.hash, 'history', 1000);
    await publishMany(bySetting, 20, data, 'TYPE', 'text');
    assert.equal(await lengthOf(bySetting), 20);
    await redis.call('DEL', byWord.log, bySetting.log);
  });

  it('fits the budget also where the old entries are small and the new ones large', async () => {
    const channel = new Channel(redis, 'uneven');
    await publishMany(channel, 900, '"small"');
    await redis.call('CONFIG', 'RESETSTAT');
    for (let i = 0; i < 24; i++) await channel.publish('x'.repeat(MIB), 'TYPE', 'text');
    const cuts = /cmdstat_xtrim:calls=(\d+)/.exec(await redis.call('INFO', 'commandstats'))[1];
    assert.ok(Number(cuts) <= 40, `${cuts} cuts for 9 MiB too many`);
    const positions = await channel.positions();
    assert.ok((await bytesOf(channel)) <= 17.5 * MIB);
    assert.ok(positions.length >= 10, `${positions.length} entries left`);
    assert.equal(versionOf(positions.at(-1)), 924);
  });

  it('the log lives for an hour, the HASH for 30 days', async () => {
    const channel = new Channel(redis, 'expiry');
    await channel.publish('1');
    assert.deepEqual(await lifetimes(channel), { log: 3_600_000, hash: 30 * DAY_MS });
  });

  it('TTL holds for its publish, the HASH’s setting for those without', async () => {
    const channel = new Channel(redis, 'ttl');
    await channel.publish('1', 'TTL', 2_592_000);
    assert.deepEqual(await lifetimes(channel), { log: 30 * DAY_MS, hash: 30 * DAY_MS });
    await channel.publish('1', 'TTL', 5);
    assert.deepEqual(await lifetimes(channel), { log: 5000, hash: 30 * DAY_MS });
    for (const ttl of [100, 105, 100]) {
      await channel.publish('1', 'TTL', ttl);
      assert.equal((await lifetimes(channel)).log, ttl * 1000);
    }
    await channel.publish('1');
    assert.equal((await lifetimes(channel)).log, 3_600_000);
    await redis.call('HSET', channel.hash, 'ttl', 60);
    await channel.publish('1');
    assert.deepEqual(await lifetimes(channel), { log: 60_000, hash: Infinity });
  });

  it('the expiry is set again when a tenth is gone, not with every publish', async () => {
    const channel = new Channel(redis, 'tenth');
    await channel.publish('1', 'TTL', 2);
    const expiries = [await expiryOf(channel.log)];
    for (const end = Date.now() + DEADLINE_MS; expiries.length < 5;) {
      assert.ok(Date.now() < end, `only ${expiries.length} expiries`);
      await channel.publish('1', 'TTL', 2);
      const { log, hash } = await lifetimes(channel);
      assert.ok(log > 1800 && log <= 2000, `the log lives for ${log} ms`);
      assert.ok(hash > 29 * DAY_MS);
      const expires = await expiryOf(channel.log);
      if (expires !== expiries.at(-1)) expiries.push(expires);
    }
    for (let i = 1; i < expiries.length; i++) assert.ok(expiries[i] - expiries[i - 1] >= 200);
  });

  it('a log that expired begins anew in the same epoch, with an expiry', async () => {
    const channel = new Channel(redis, 'daily');
    const first = await channel.publish('1', 'TTL', 1);
    for (const version of [2, 3]) {
      await eventually('the log is gone', async () => {
        return (await redis.call('EXISTS', channel.log)) === 0;
      });
      const position = await channel.publish('1', 'TTL', 1);
      assert.equal(position, `${epochOf(first)}-${version}`);
      assert.deepEqual(await channel.positions(), [position]);
      assert.equal((await channel.entries())[0].fork, undefined);
      assert.equal((await lifetimes(channel)).log, 1000);
    }
  });

  it('a log that is gone before its time was deleted: a new epoch, with an expiry', async () => {
    const channel = new Channel(redis, 'deleted');
    const head = await channel.publish('1', 'TTL', 100);
    await channel.delete(channel.log);
    const position = await channel.publish('1', 'TTL', 100);
    assert.ok(epochOf(position) > epochOf(head));
    assert.equal((await channel.entries())[0].fork, head);
    assert.equal((await lifetimes(channel)).log, 100_000);
  });

  it('every log gets its expiry, whoever begins it', async () => {
    const channel = new Channel(redis, 'always');
    for (const spoil of [
      () => channel.delete(channel.log),
      () => channel.delete(channel.hash),
      () => channel.delete(),
      () => loadFunctions(redis, { replace: true }),
      () => channel.open(),
    ]) {
      await channel.publish('1');
      await spoil();
      await channel.publish('1');
      assert.ok((await redis.call('PTTL', channel.log)) > 0);
      assert.ok((await redis.call('PTTL', channel.hash)) > 0);
    }
  });

  it('settings make the HASH persistent by the next publish, and mortal again', async () => {
    const channel = new Channel(redis, 'settings');
    await channel.publish('1');
    for (const setting of ['history', 'ttl']) {
      await redis.call('HSET', channel.hash, setting, setting === 'ttl' ? 3600 : 100);
      await channel.publish('1');
      assert.equal(await redis.call('PTTL', channel.hash), -1, setting);
      await redis.call('HDEL', channel.hash, setting);
      await channel.publish('1');
      assert.equal((await lifetimes(channel)).hash, 30 * DAY_MS, setting);
    }
  });

  it('a HASH with settings that somebody made mortal is made persistent again', async () => {
    const channel = new Channel(redis, 'settings-mortal');
    await redis.call('HSET', channel.hash, 'history', 5);
    await channel.publish('1');
    await redis.call('EXPIRE', channel.hash, 100);
    await channel.publish('2');
    assert.equal((await lifetimes(channel)).hash, Infinity);
  });

  it('settings before the first publish', async () => {
    const channel = new Channel(redis, 'settings-first');
    await redis.call('HSET', channel.hash, 'history', 2, 'ttl', 50);
    const last = await publishMany(channel, 4);
    assert.match(last, /-4$/);
    assert.equal(await lengthOf(channel), 2);
    assert.equal((await lifetimes(channel)).hash, Infinity);
    assert.ok((await lifetimes(channel)).log <= 50_000);
    await redis.call('HDEL', channel.hash, 'history', 'ttl');
    await channel.publish('1');
    assert.equal((await lifetimes(channel)).hash, 30 * DAY_MS);
  });
});
