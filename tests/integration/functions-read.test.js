/** freshet_read: what nodes else read in a transaction, for a Redis that refuses those. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Channel } from '../support/functions.js';
import { startRedis } from '../support/redis.js';

describe('freshet_read', () => {
  let redis;
  before(async () => (redis = await startRedis({ functions: true })));
  after(() => redis?.stop());

  const read = ({ hash, log }, ...args) =>
    redis.call('FCALL_RO', 'freshet_read', 2, hash, log, ...args);

  /** The same by a transaction, as nodes have it. */
  async function transaction({ hash, log }, top, bottom, ...range) {
    const connection = await redis.connect();
    try {
      await connection.call('MULTI');
      await connection.call('HMGET', hash, 'epoch', 'version', 'fork');
      await connection.call('XREVRANGE', log, '+', '-', 'COUNT', '1');
      if (top) await connection.call('XREVRANGE', log, top, bottom, 'COUNT', '1');
      const [command, from, to, count] = range;
      if (command) await connection.call(command, log, from, to, 'COUNT', count);
      return await connection.call('EXEC');
    } finally {
      connection.close();
    }
  }

  it('answers as the transaction does: heads, pages in both directions, nothing at all', async () => {
    const channel = new Channel(redis, 'read');
    assert.deepEqual(await read(channel), await transaction(channel));
    const positions = [];
    for (let i = 1; i <= 5; i++) positions.push(await channel.publish(String(i)));
    const bottom = positions[0].replace(/-1$/, '-0');
    const pages = [
      [positions[2], bottom, 'XRANGE', `(${positions[2]}`, '+', '64'],
      [positions[2], bottom, 'XREVRANGE', `(${positions[2]}`, '-', '1'],
      ['0-1', '0-1', 'XRANGE', '-', '+', '1000'],
    ];
    assert.deepEqual(await read(channel), await transaction(channel));
    for (const page of pages) {
      const answer = await read(channel, ...page);
      assert.equal(answer.length, 4);
      assert.deepEqual(answer, await transaction(channel, ...page));
    }
  });

  it('reads when memory is used up, and refuses what is no page', async (t) => {
    const channel = new Channel(redis, 'full');
    await channel.publish('1');
    await redis.call('CONFIG', 'SET', 'maxmemory', '1');
    t.after(() => redis.call('CONFIG', 'SET', 'maxmemory', '0'));
    await assert.rejects(transaction(channel), /EXECABORT|OOM/);
    const whole = ['0-1', '0-1', 'XRANGE', '-', '+', '1'];
    assert.equal((await read(channel, ...whole))[3].length, 1);
    const wrong = [
      whole.slice(0, 5),
      [...whole, '1'],
      ['0-1', '0-1', 'XDEL', '-', '+', '1'],
      ...['0', '1001', '-1', 'x'].map((count) => [...whole.slice(0, 5), count]),
    ];
    for (const args of wrong) await assert.rejects(read(channel, ...args), /ERR freshet_read/);
    const other = new Channel(redis, 'other');
    await assert.rejects(read({ hash: channel.hash, log: other.log }), /ERR the second key/);
  });
});
