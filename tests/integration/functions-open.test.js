/** freshet_open: whoever stands on a channel stands at a position with an epoch. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Channel, epochOf, snapshot } from '../support/functions.js';
import { loadFunctions, startRedis } from '../support/redis.js';

const HOUR_MS = 3_600_000;
const MONTH_MS = 30 * 24 * HOUR_MS;

describe('freshet_open', () => {
  let redis;
  before(async () => (redis = await startRedis({ functions: true })));
  after(() => redis?.stop());

  async function assertExpires(key, ms) {
    const left = await redis.call('PTTL', key);
    assert.ok(left <= ms && left > ms - 10_000, `${key} expires in ${left} ms, not in ${ms}`);
  }

  it('a channel that Redis knows nothing of: E-0 without fork, for an hour', async () => {
    const channel = new Channel(redis, 'new');
    const before = Date.now() * 1000;
    const head = await channel.open();
    assert.match(head, /^\d{16}-0$/);
    assert.ok(epochOf(head) >= before);
    const record = await channel.record();
    assert.equal(`${record.epoch}-${record.version}`, head);
    assert.match(record.writer, /^[0-9a-f]{8}\.\d{16}$/);
    assert.equal(record.fork, undefined);
    assert.equal(await redis.call('EXISTS', channel.log), 0);
    await assertExpires(channel.hash, HOUR_MS);
    assert.equal(await channel.open(), head, 'opening again changes nothing');
    assert.equal(await channel.publish('1'), head.replace('-0', '-1'));
    const [entry] = await channel.entries();
    assert.equal(entry.fork, undefined);
    await assertExpires(channel.log, HOUR_MS);
    await assertExpires(channel.hash, MONTH_MS);
  });

  it('a HASH with an epoch: its head, whoever the writer is; nothing is written', async () => {
    const channel = new Channel(redis, 'known');
    await channel.publish('1');
    const head = await channel.publish('2');
    const before = await snapshot(redis);
    assert.equal(await channel.open(), head);
    await loadFunctions(redis, { replace: true });
    assert.equal(await channel.open(), head);
    assert.deepEqual(await snapshot(redis), before);
  });

  it('a log ahead of its HASH: the head is the log’s last id', async () => {
    const channel = new Channel(redis, 'ahead');
    await channel.publish('1');
    const old = await redis.callBytes('DUMP', channel.hash);
    const head = await channel.publish('2');
    await redis.call('RESTORE', channel.hash, 0, old, 'REPLACE');
    assert.equal(await channel.open(), head);
  });

  it('a log without its HASH: the HASH gets the last id and no writer; no epoch opens', async () => {
    const channel = new Channel(redis, 'log-only');
    await channel.publish('1');
    const head = await channel.publish('2');
    await channel.delete(channel.hash);
    assert.equal(await channel.open(), head);
    const { epoch, version, writer, fork } = await channel.record();
    assert.deepEqual([`${epoch}-${version}`, writer, fork], [head, '', undefined]);
    await assertExpires(channel.hash, HOUR_MS);
    const next = await channel.publish('3');
    assert.ok(epochOf(next) > epochOf(head));
    assert.equal((await channel.entries()).at(-1).fork, head);
  });

  it('a log without its HASH that lives for longer: the HASH does not go before it', async () => {
    const channel = new Channel(redis, 'long-log');
    await channel.publish('1', 'TTL', 86_400);
    await channel.delete(channel.hash);
    await channel.open();
    await assertExpires(channel.hash, 24 * HOUR_MS);
  });

  it('settings alone count as nothing, and keep the HASH for ever', async () => {
    const channel = new Channel(redis, 'settings');
    await redis.call('HSET', channel.hash, 'history', '7');
    await redis.call('EXPIRE', channel.hash, 100);
    assert.match(await channel.open(), /-0$/);
    assert.equal(await redis.call('PTTL', channel.hash), -1);
    assert.equal((await channel.record()).history, '7');
  });

  it('raises the expiry to an hour, never lowers it', async () => {
    const channel = new Channel(redis, 'expiry');
    const head = await channel.open();
    await redis.call('EXPIRE', channel.hash, 60);
    assert.equal(await channel.open(), head);
    await assertExpires(channel.hash, HOUR_MS);
    await redis.call('EXPIRE', channel.hash, 7200);
    await channel.open();
    await assertExpires(channel.hash, 2 * HOUR_MS);
  });

  it('makes a HASH with settings persistent, and mortal again without them', async () => {
    const channel = new Channel(redis, 'mortal');
    await channel.publish('1');
    await redis.call('HSET', channel.hash, 'ttl', '60');
    await channel.open();
    assert.equal(await redis.call('PTTL', channel.hash), -1);
    await redis.call('HDEL', channel.hash, 'ttl');
    await channel.open();
    await assertExpires(channel.hash, MONTH_MS);
  });

  it('a HASH that open made persistent is made mortal again by a publish too', async () => {
    const channel = new Channel(redis, 'mortal-by-publish');
    await channel.publish('1');
    await redis.call('HSET', channel.hash, 'history', '60');
    await channel.open();
    await redis.call('HDEL', channel.hash, 'history');
    await channel.publish('2');
    await assertExpires(channel.hash, MONTH_MS);
  });

  it('opened and deleted 1,000 times: 1,000 epochs', async () => {
    const channel = new Channel(redis, 'churn');
    const heads = [];
    for (let i = 0; i < 1000; i++) {
      heads.push(channel.open());
      void channel.delete(channel.hash);
    }
    assert.equal(new Set(await Promise.all(heads)).size, 1000);
  });
});
