/**
 * An error means that nothing was written: each right taken away in turn, and memory used up, with
 * the whole keyspace compared before and after.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  Channel,
  ONCE_RIGHTS,
  OPEN_RIGHTS,
  PUBLISH_RIGHTS,
  snapshot,
} from '../support/functions.js';
import { loadFunctions, startRedis } from '../support/redis.js';

const KEYS = ['~freshet:*', '&freshet:*'];

describe('rights', () => {
  let redis;
  before(async () => (redis = await startRedis({ functions: true })));
  after(() => redis?.stop());

  /** A connection of a user with these rights alone. */
  async function login(rights, patterns = KEYS) {
    const commands = rights.map((right) => `+${right}`);
    const rules = ['reset', 'on', '>secret', '-@all', ...patterns, ...commands];
    await redis.call('ACL', 'SETUSER', 'app', ...rules);
    return redis.connect({ user: 'app', password: 'secret' });
  }

  /** Channels in every state that sends a publish another way. Each is made anew. */
  const STATES = {
    'a new channel': async () => {},
    'a channel in its epoch': (channel) => channel.publish('1'),
    'a channel opened': (channel) => channel.open(),
    'a log without HASH': async (channel) => {
      await channel.publish('1');
      await channel.delete(channel.hash);
    },
    'a HASH without log': async (channel) => {
      await channel.publish('1');
      await channel.delete(channel.log);
    },
    'a log that has expired': async (channel) => {
      await channel.publish('1');
      await redis.call('HSET', channel.hash, 'expires', Date.now() - 1000);
      await channel.delete(channel.log);
    },
    'a channel with settings': async (channel) => {
      await channel.publish('1');
      await redis.call('HSET', channel.hash, 'history', 3);
    },
    'a channel to be weighed': async (channel) => {
      await channel.publish('1');
      await redis.call('HSET', channel.hash, 'written', 2_000_000);
    },
    'another writer’s channel': async (channel) => {
      await channel.publish('1');
      await redis.call('HSET', channel.hash, 'writer', 'other');
    },
  };
  let count = 0;

  /** @returns {Promise<Record<string, string>>} a channel's name for each state */
  async function prepare() {
    count += 1;
    const names = Object.keys(STATES);
    const prepared = names.map(async (state, i) => {
      await STATES[state](new Channel(redis, `c${count}-${i}`));
      return [state, `c${count}-${i}`];
    });
    return Object.fromEntries(await Promise.all(prepared));
  }

  async function assertNothingWritten(what, act, expected = /^RedisError: NOPERM /) {
    const before = await snapshot(redis);
    await assert.rejects(act, expected, what);
    assert.deepEqual(await snapshot(redis), before, what);
  }

  it('those of the list are enough, for publish with ONCE and IF and for open', async () => {
    const user = await login([...PUBLISH_RIGHTS, ...ONCE_RIGHTS, ...OPEN_RIGHTS]);
    for (const name of Object.values(await prepare())) {
      const channel = new Channel(user, name);
      const head = await channel.open();
      const position = await channel.publish('1', 'ONCE', 'k', 'IF', head);
      assert.equal(await new Channel(redis, name).publish('2', 'ONCE', 'k'), position);
    }
    user.close();
  });

  for (const right of [...PUBLISH_RIGHTS, ...ONCE_RIGHTS]) {
    it(`publish without ${right} is refused in every state`, async () => {
      const channels = await prepare();
      const rights = [...PUBLISH_RIGHTS, ...ONCE_RIGHTS].filter((other) => other !== right);
      const user = await login(rights);
      for (const [state, name] of Object.entries(channels)) {
        const publish = () => new Channel(user, name).publish('1', 'ONCE', 'k');
        await assertNothingWritten(state, publish);
      }
      user.close();
    });
  }

  for (const right of OPEN_RIGHTS) {
    it(`open without ${right} is refused in every state`, async () => {
      const channels = await prepare();
      const user = await login(OPEN_RIGHTS.filter((other) => other !== right));
      for (const [state, name] of Object.entries(channels)) {
        await assertNothingWritten(state, () => new Channel(user, name).open());
      }
      user.close();
    });
  }

  it('publish without the right to its channel in pub/sub, or to one of its keys', async () => {
    const channels = await prepare();
    for (const patterns of [
      ['~freshet:*', 'resetchannels'],
      ['~freshet:*', '&freshet:{other}:now'],
      ['~freshet:*:log', '&freshet:*'],
      ['%R~freshet:*', '&freshet:*'],
      ['%W~freshet:*', '&freshet:*'],
      ['~freshet:{c*}', '~freshet:{c*}:log', '&freshet:*'], // not the ONCE key
    ]) {
      const user = await login([...PUBLISH_RIGHTS, ...ONCE_RIGHTS], patterns);
      for (const [state, name] of Object.entries(channels)) {
        const publish = () => new Channel(user, name).publish('1', 'ONCE', 'k');
        await assertNothingWritten(`${patterns.join(' ')}: ${state}`, publish);
      }
      user.close();
    }
  });

  it('the short form needs the right to a key named like its channel', async () => {
    const without = await login(PUBLISH_RIGHTS);
    const call = (user) => user.call('FCALL', 'freshet_publish', 1, 'news', '1');
    await assertNothingWritten('news', () => call(without));
    without.close();
    const user = await login(PUBLISH_RIGHTS, [...KEYS, '~news']);
    assert.match(await call(user), /-1$/);
    user.close();
  });

  it('a right that a selector gives for the other key is none', async () => {
    const { hash, log } = new Channel(redis, 'selector');
    for (const [command, key] of [
      ['hset', log],
      ['persist', log],
      ['pexpireat', log],
      ['pexpireat', hash],
      ['xadd', hash],
      ['xtrim', hash],
      ['xinfo|stream', hash],
    ]) {
      const rights = PUBLISH_RIGHTS.filter((right) => right !== command);
      const user = await login(rights, [...KEYS, `(+${command} ~${key})`]);
      const publish = () => new Channel(user, 'selector').publish('1');
      await assertNothingWritten(`${command} on ${key} alone`, publish);
      user.close();
    }
    for (const key of [hash, log]) {
      const rights = OPEN_RIGHTS.filter((right) => right !== 'pttl');
      const user = await login(rights, [...KEYS, `(+pttl ~${key})`]);
      const open = () => new Channel(user, 'selector').open();
      await assertNothingWritten(`open: pttl on ${key} alone`, open);
      user.close();
    }
  });

  it('without the right to INFO a writer is known by its time alone', async () => {
    const user = await login([...PUBLISH_RIGHTS, 'hgetall']);
    await loadFunctions(redis, { replace: true });
    const channel = new Channel(user, 'no-info');
    await channel.publish('1');
    assert.match((await channel.record()).writer, /^\.\d{16}$/);
    user.close();
  });
});

describe('memory used up', () => {
  it('publish and open are refused, nothing is written, the version is still told', async (t) => {
    const redis = await startRedis({ functions: true, t });
    const channel = new Channel(redis, 'a');
    await channel.publish('1');
    const before = await snapshot(redis);
    await redis.call('CONFIG', 'SET', 'maxmemory', 1);
    await assert.rejects(channel.publish('2'), { code: 'OOM' });
    await assert.rejects(channel.publish('2', 'ONCE', 'k'), { code: 'OOM' });
    await assert.rejects(new Channel(redis, 'b').publish('1'), { code: 'OOM' });
    await assert.rejects(new Channel(redis, 'b').open(), { code: 'OOM' });
    assert.ok((await redis.call('FCALL_RO', 'freshet_version', 0)) >= 1);
    await redis.call('CONFIG', 'SET', 'maxmemory', 0);
    assert.deepEqual(await snapshot(redis), before);
    assert.match(await channel.publish('2'), /-2$/);
  });

  it('too few replicas: refused, nothing is written', async (t) => {
    const redis = await startRedis({ functions: true, t });
    await redis.call('CONFIG', 'SET', 'min-replicas-to-write', 1);
    await assert.rejects(new Channel(redis, 'a').publish('1'), { code: 'NOREPLICAS' });
    assert.deepEqual(await snapshot(redis), []);
  });
});
