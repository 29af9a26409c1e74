/** freshet_publish and freshet_version as Redis shows them: positions, log, HASH, envelope. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Channel, decodeEnvelope, epochOf, snapshot, versionOf } from '../support/functions.js';
import { functionsSource, loadFunctions, startRedis } from '../support/redis.js';

describe('freshet_publish', () => {
  let redis;
  before(async () => (redis = await startRedis({ functions: true })));
  after(() => redis?.stop());

  it('gives the versions 1, 2, 3 in one epoch, which is the time in microseconds', async () => {
    const channel = new Channel(redis, 'dense');
    const before = Date.now() * 1000;
    const positions = [];
    for (let i = 0; i < 5; i++) positions.push(await channel.publish(i));
    const epoch = epochOf(positions[0]);
    assert.deepEqual(positions.map(versionOf), [1, 2, 3, 4, 5]);
    assert.deepEqual(new Set(positions.map(epochOf)), new Set([epoch]));
    assert.match(positions[0], /^\d{16}-1$/);
    assert.ok(epoch >= before && epoch <= (Date.now() + 1) * 1000, `${epoch} is now`);
    assert.deepEqual(await channel.positions(), positions);
  });

  it('takes the short form and writes the same keys as the long one', async () => {
    const first = await redis.call('FCALL', 'freshet_publish', 1, 'news', '{"hello":"world"}');
    const channel = new Channel(redis, 'news');
    const second = await channel.publish('2');
    assert.equal(second, `${epochOf(first)}-2`);
    assert.deepEqual(await channel.positions(), [first, second]);
  });

  it('takes the prefix from the key', async () => {
    const channel = new Channel(redis, 'a', 'My.app_1-x');
    const connection = await redis.connect();
    await connection.subscribe(channel.now);
    const position = await channel.publish('1');
    assert.deepEqual(await channel.positions(), [position]);
    await connection.messages.next();
    connection.close();
  });

  it('keeps type, data, time and event in the log, and the position in the HASH', async () => {
    const channel = new Channel(redis, 'fields');
    const before = Date.now();
    const position = await channel.publish('a\r\nb', 'TYPE', 'text', 'EVENT', 'tick tock');
    const [{ time, ...entry }] = await channel.entries();
    assert.deepEqual(entry, { id: position, type: 'text', data: 'a\r\nb', event: 'tick tock' });
    assert.ok(Number(time) >= before && Number(time) <= Date.now());
    const record = await channel.record();
    assert.equal(`${record.epoch}-${record.version}`, position);
    assert.match(record.writer, /^[0-9a-f]{8}\.\d{16}$/);
    assert.equal(record.fork, undefined);
    const info = await redis.call('INFO', 'server');
    assert.equal(record.writer.slice(0, 8), /run_id:(.{8})/.exec(info)[1]);
  });

  it('keeps binary data byte by byte, and json as it was written', async () => {
    const channel = new Channel(redis, 'bytes');
    const binary = Buffer.from([0, 255, 128, 13, 10, 0]);
    await channel.publish(binary, 'type', 'binary');
    await channel.publish('{ "b":1.0,\n"a":"\\u00e9" }', 'type', 'json');
    const entries = await redis.callBytes('XRANGE', channel.log, '-', '+');
    assert.deepEqual(entries[0][1][3], binary);
    assert.equal(entries[1][1][3].toString(), '{ "b":1.0,\n"a":"\\u00e9" }');
  });

  it('publishes an envelope: a msgpack array of 8, integers as integers, nil for none', async () => {
    const channel = new Channel(redis, 'envelope');
    const connection = await redis.connect();
    await connection.subscribe(channel.now);
    const first = await channel.publish('{"n":1}');
    const second = await channel.publish('x'.repeat(70_000), 'EVENT', 'tick', 'TYPE', 'text');
    const [one, two] = await connection.messages.take(2);
    connection.close();

    assert.equal(one.payload[0], 0x98);
    assert.equal(one.payload[2], 0xcf, 'the epoch is a uint 64');
    const [entry] = await channel.entries();
    assert.deepEqual(decodeEnvelope(one.payload), {
      format: 1,
      epoch: epochOf(first),
      version: 1,
      fork: null,
      type: 'json',
      event: null,
      time: Number(entry.time),
      data: '{"n":1}',
    });
    const { version, type, event, data } = decodeEnvelope(two.payload);
    assert.deepEqual([version, type, event, data.length], [2, 'text', 'tick', 70_000]);
    assert.equal(versionOf(second), 2);
  });

  it('carries the fork on the first message of an epoch, and on no other', async () => {
    const channel = new Channel(redis, 'fork');
    const inherited = await channel.publish('1');
    await loadFunctions(redis, { replace: true });
    const connection = await redis.connect();
    await connection.subscribe(channel.now);
    await channel.publish('2');
    await channel.publish('3');
    const envelopes = await connection.messages.take(2);
    connection.close();
    const forks = [inherited, null];
    assert.deepEqual(
      envelopes.map(({ payload }) => decodeEnvelope(payload).fork),
      forks,
    );
    const entries = await channel.entries();
    assert.deepEqual(
      entries.map(({ fork }) => fork),
      [undefined, inherited, undefined],
    );
    assert.equal((await channel.record()).fork, inherited);
  });

  it('takes option words in any case and order, and data of exactly 1 MiB', async () => {
    const channel = new Channel(redis, 'words');
    await channel.publish('x'.repeat(1_048_576), 'ttl', 9, 'Type', 'text', 'hIsToRy', 7);
    const [{ type, data }] = await channel.entries();
    assert.deepEqual([type, data.length], ['text', 1_048_576]);
  });

  it('takes channel names to the limits of the rule', async () => {
    for (const name of ['ä€😀', 'a/b?c=d&e#%', 'x'.repeat(200), '\u0085', '-', '0']) {
      const position = await redis.call('FCALL', 'freshet_publish', 1, name, '1');
      assert.deepEqual(await new Channel(redis, name).positions(), [position], name);
    }
  });

  it('works in MULTI beside the writes of the application', async () => {
    const channel = new Channel(redis, 'multi');
    const connection = await redis.connect();
    await connection.call('MULTI');
    await connection.call('SET', 'stock', '41');
    for (const n of [1, 2]) {
      await connection.call('FCALL', 'freshet_publish', 2, channel.hash, channel.log, n);
    }
    assert.deepEqual(await channel.positions(), [], 'nothing before EXEC');
    const [set, first, second] = await connection.call('EXEC');
    connection.close();
    assert.equal(set, 'OK');
    assert.deepEqual(await channel.positions(), [first, second]);
    assert.equal(await redis.call('GET', 'stock'), '41');
  });

  it('writes nothing when MULTI is discarded', async () => {
    const before = await snapshot(redis);
    const connection = await redis.connect();
    await connection.call('MULTI');
    await connection.call('FCALL', 'freshet_publish', 1, 'discarded', '1');
    await connection.call('DISCARD');
    connection.close();
    assert.deepEqual(await snapshot(redis), before);
  });

  it('tells its version to FCALL_RO, as the source says it', async () => {
    const version = await redis.call('FCALL_RO', 'freshet_version', 0);
    assert.equal(version, Number(/^local VERSION = (\d+)$/m.exec(functionsSource())[1]));
    assert.ok(version >= 1);
  });
});
