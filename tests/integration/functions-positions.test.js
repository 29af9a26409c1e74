/**
 * No position twice and no stuck channel, whatever happens to the keys under the function's feet:
 * keys deleted or restored, the library replaced, clocks behind.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Channel, epochOf, versionOf } from '../support/functions.js';
import { loadFunctions, startRedis } from '../support/redis.js';

describe('positions', () => {
  let redis;
  before(async () => (redis = await startRedis({ functions: true })));
  after(() => redis?.stop());

  /** Publishes numbers and returns their positions. */
  async function publish(channel, count) {
    const positions = [];
    for (let i = 0; i < count; i++) positions.push(await channel.publish(i));
    return positions;
  }

  /** The position opens an epoch above the head and names the head as its fork. */
  async function assertTakesOver(channel, position, head) {
    assert.ok(epochOf(position) > epochOf(head), `${position} is in a later epoch than ${head}`);
    assert.equal(versionOf(position), 1);
    const entry = (await channel.entries()).find(({ id }) => id === position);
    assert.equal(entry.fork, head);
    const record = await channel.record();
    assert.equal(`${record.epoch}-${record.version} ${record.fork}`, `${position} ${head}`);
    assert.match(await channel.publish('"next"'), new RegExp(`^${epochOf(position)}-2$`));
  }

  it('an old HASH restored: the log is ahead, a new epoch forks at the log’s last id', async () => {
    const channel = new Channel(redis, 'old-hash');
    await publish(channel, 2);
    const old = await redis.callBytes('DUMP', channel.hash);
    const head = (await publish(channel, 3)).at(-1);
    await redis.call('RESTORE', channel.hash, 0, old, 'REPLACE');
    await assertTakesOver(channel, await channel.publish('1'), head);
  });

  it('an old HASH at E-0 restored', async () => {
    const channel = new Channel(redis, 'old-zero');
    await channel.open();
    const old = await redis.callBytes('DUMP', channel.hash);
    const head = (await publish(channel, 3)).at(-1);
    await redis.call('RESTORE', channel.hash, 0, old, 'REPLACE');
    await assertTakesOver(channel, await channel.publish('1'), head);
  });

  it('an old HASH restored and the log deleted: forks at what the HASH knows', async () => {
    const channel = new Channel(redis, 'old-hash-only');
    const [, second] = await publish(channel, 2);
    const old = await redis.callBytes('DUMP', channel.hash);
    const seen = await publish(channel, 3);
    await redis.call('RESTORE', channel.hash, 0, old, 'REPLACE');
    await channel.delete(channel.log);
    const position = await channel.publish('1');
    assert.ok(!seen.includes(position));
    await assertTakesOver(channel, position, second);
  });

  it('an old log restored: versions go on from the HASH', async () => {
    const channel = new Channel(redis, 'old-log');
    await publish(channel, 2);
    const old = await redis.callBytes('DUMP', channel.log);
    const head = (await publish(channel, 3)).at(-1);
    await redis.call('RESTORE', channel.log, 0, old, 'REPLACE');
    assert.equal(await channel.publish('1'), `${epochOf(head)}-${versionOf(head) + 1}`);
  });

  it('the log deleted: a new epoch forks at the HASH’s position', async () => {
    const channel = new Channel(redis, 'no-log');
    const head = (await publish(channel, 3)).at(-1);
    await channel.delete(channel.log);
    const position = await channel.publish('1');
    assert.ok((await redis.call('PTTL', channel.log)) > 0, 'the new log has an expiry');
    await assertTakesOver(channel, position, head);
  });

  it('the HASH deleted: a new epoch forks at the log’s last id', async () => {
    const channel = new Channel(redis, 'no-hash');
    const head = (await publish(channel, 3)).at(-1);
    await channel.delete(channel.hash);
    await assertTakesOver(channel, await channel.publish('1'), head);
  });

  it('the HASH deleted and the last entries too: the log still knows its last id', async () => {
    const channel = new Channel(redis, 'no-entries');
    const head = (await publish(channel, 3)).at(-1);
    await redis.call('XTRIM', channel.log, 'MAXLEN', 0);
    await channel.delete(channel.hash);
    await assertTakesOver(channel, await channel.publish('1'), head);
  });

  it('both keys deleted: a new epoch without fork, for Redis knows nothing', async () => {
    const channel = new Channel(redis, 'nothing');
    const [head] = await publish(channel, 1);
    await channel.delete();
    const position = await channel.publish('1');
    assert.ok(epochOf(position) > epochOf(head));
    assert.deepEqual(
      (await channel.entries()).map(({ id, fork }) => [id, fork]),
      [[position, undefined]],
    );
    assert.equal((await channel.record()).fork, undefined);
  });

  it('a HASH that does not say when the log expires: a log that is gone was deleted', async () => {
    const channel = new Channel(redis, 'no-expires');
    const head = await channel.publish('1');
    await redis.call('HDEL', channel.hash, 'expires');
    await channel.delete(channel.log);
    await assertTakesOver(channel, await channel.publish('1'), head);
  });

  it('fields of the HASH that are garbage do not stop a channel', async () => {
    const channel = new Channel(redis, 'garbage');
    for (const fields of [
      ['version', 'inf'],
      ['version', '-3'],
      ['version', '1.5'],
      ['version', '0x10'],
      ['epoch', 'nan'],
      ['epoch', ''],
      ['expires', 'soon', 'written', 'much', 'lifetime', 'long'],
    ]) {
      const [head] = await publish(channel, 1);
      await redis.call('HSET', channel.hash, ...fields);
      const position = await channel.publish('1');
      assert.notEqual(position, head, fields.join());
      assert.equal((await channel.positions()).at(-1), position);
    }
    await redis.call('HDEL', channel.hash, 'epoch', 'version');
    const head = (await channel.positions()).at(-1);
    await assertTakesOver(channel, await channel.publish('1'), head);
  });

  it('2,000 times publish and DEL of both keys: 2,000 distinct positions, rising', async () => {
    const channel = new Channel(redis, 'churn');
    const replies = [];
    for (let i = 0; i < 2000; i++) {
      replies.push(channel.publish(i));
      void channel.delete();
    }
    const positions = await Promise.all(replies);
    assert.equal(new Set(positions).size, 2000);
    const epochs = positions.map(epochOf);
    assert.deepEqual(
      epochs,
      [...epochs].sort((a, b) => a - b),
    );
    const crowded = epochs.filter((epoch, i) => epoch === epochs[i - 1] + 1);
    assert.ok(crowded.length < 200, `the clock is in µs, yet ${crowded.length} epochs touch`);
  });

  it('what a copy opened is behind it: also a clock that went back repeats nothing', async () => {
    const channel = new Channel(redis, 'went-back');
    const future = (Date.now() + 1_800_000) * 1000;
    await redis.call('HSET', channel.hash, 'epoch', future, 'version', 1, 'writer', 'x');
    const epochs = [epochOf(await channel.publish('1'))];
    for (let i = 0; i < 3; i++) {
      await channel.delete(); // and nothing but the copy itself knows of the epochs in the future
      epochs.push(epochOf(i === 1 ? await channel.open() : await channel.publish('1')));
    }
    const first = epochs[0];
    assert.ok(first > future);
    assert.deepEqual(epochs, [first, first + 1, first + 2, first + 3]);
  });

  it('FUNCTION LOAD REPLACE makes a new writer: a new epoch with the right fork', async () => {
    const channel = new Channel(redis, 'replace');
    const quiet = new Channel(redis, 'replace-quiet');
    const opened = new Channel(redis, 'replace-opened');
    const head = (await publish(channel, 3)).at(-1);
    const quietHead = await quiet.publish('1');
    const zero = await opened.open();
    const { writer } = await channel.record();
    await loadFunctions(redis, { replace: true });
    await assertTakesOver(channel, await channel.publish('1'), head);
    const { writer: next } = await channel.record();
    assert.notEqual(next, writer);
    assert.equal(next.slice(0, 9), writer.slice(0, 9), 'the process is the same');
    await assertTakesOver(quiet, await quiet.publish('1'), quietHead);
    assert.match(zero, /-0$/);
    await assertTakesOver(opened, await opened.publish('1'), zero);
  });

  it('the clock behind the last epoch: goes on from there, apart from other processes', async () => {
    const future = (Date.now() + 3_600_000) * 1000;
    const plantHash = (channel, version) =>
      redis.call('HSET', channel.hash, 'epoch', future, 'version', version, 'writer', 'x');
    const plantLog = (channel, version) =>
      redis.call('XADD', channel.log, `${future}-${version}`, 'type', 'json', 'data', '1');

    const inHash = new Channel(redis, 'future-in-hash');
    await plantHash(inHash, 9);
    const inLog = new Channel(redis, 'future-in-log');
    await plantLog(inLog, 9);
    const hashAhead = new Channel(redis, 'future-hash-ahead');
    await plantHash(hashAhead, 9);
    await plantLog(hashAhead, 7);
    const logAhead = new Channel(redis, 'future-log-ahead');
    await plantHash(logAhead, 7);
    await plantLog(logAhead, 9);
    for (const channel of [inHash, inLog, hashAhead, logAhead]) {
      await assertTakesOver(channel, await channel.publish('1'), `${future}-9`);
    }
  });

  it('an epoch beyond 2^53 is an error, and poisons no other channel', async () => {
    const channel = new Channel(redis, 'beyond');
    await redis.call('XADD', channel.log, '9007199254740991-1', 'type', 'json', 'data', '1');
    await assert.rejects(channel.publish('1'), /^RedisError: ERR .*too high/);
    assert.deepEqual(await channel.record(), {});
    assert.match(await new Channel(redis, 'not-beyond').publish('1'), /-1$/);
  });

  it('two processes that go on from one future epoch choose different ones', async (t) => {
    const other = await startRedis({ functions: true, t });
    const future = (Date.now() + 7_200_000) * 1000;
    const epochs = [];
    for (const server of [redis, other]) {
      const channel = new Channel(server, 'two-futures');
      await server.call('HSET', channel.hash, 'epoch', future, 'version', 3, 'writer', 'x');
      const epoch = epochOf(await channel.publish('1'));
      assert.ok(epoch > future && epoch <= future + 1_000_000, `${epoch} after ${future}`);
      epochs.push(epoch);
    }
    assert.notEqual(epochs[0], epochs[1]);
  });
});
