/** freshet check: nothing on a good Redis; each harmful setting, right and channel when it is there. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Channel, ONCE_RIGHTS, OPEN_RIGHTS, PUBLISH_RIGHTS, snapshot } from '../support/functions.js';
import { freePort } from '../support/node.js';
import { functionsSource, startRedis } from '../support/redis.js';
import { channelName } from '../support/story.js';
import { objects, runTool } from '../support/tool.js';
import { eventually } from '../support/wait.js';

/** A Redis as the contract wants it. */
const GOOD = {
  appendonly: true,
  functions: true,
  args: ['--appendfsync', 'everysec', '--client-output-buffer-limit', 'pubsub 256mb 64mb 60'],
};

let redis;
before(async () => (redis = await startRedis(GOOD)));
after(() => redis?.stop());

/** What it found but `fine`, as { subject, finding, text, fix }, and how it ended. */
async function check(args = [], on = redis) {
  const result = await runTool(['check', '--json', ...args], { redis: on });
  assert.equal(result.stderr, '');
  const all = objects(result);
  return { code: result.code, all, found: all.filter(({ finding }) => finding !== 'fine') };
}

/** The only finding, which has this subject, and this exit code. */
async function onlyFinding(subject, code, args, on) {
  const result = await check(args, on);
  assert.deepEqual(result.found.map((found) => found.subject), [subject], JSON.stringify(result.found));
  assert.equal(result.code, code);
  return result.found[0];
}

describe('freshet check', () => {
  it('finds nothing on a good Redis, changes nothing, and exits 0', async () => {
    await new Channel(redis, 'kept').publish('1');
    const keys = await snapshot(redis);
    const { code, all, found } = await check();
    assert.deepEqual([code, found], [0, []]);
    assert.ok(all.length >= 14, String(all.length));
    assert.deepEqual(await snapshot(redis), keys);
    const { code: plain, stdout } = await runTool(['check'], { redis });
    assert.equal(plain, 0);
    assert.match(stdout, /^fine {6}version: (Redis|Valkey) \d/);
    assert.match(stdout, /\n\d+ fine, 0 warnings, 0 broken\n$/);
  });

  it('shows the fix in words, too', async () => {
    await redis.call('CONFIG', 'SET', 'timeout', 60);
    const { code, stdout } = await runTool(['check'], { redis });
    await redis.call('CONFIG', 'SET', 'timeout', 0);
    assert.equal(code, 1);
    assert.match(stdout, /^warning {3}timeout: 60 s.*\n {10}fix: CONFIG SET timeout 0$/m);
  });
});

describe('settings', () => {
  /** [setting, a harmful value]: the fix that is named mends it. */
  const HARMFUL = [
    ['maxmemory-policy', 'allkeys-lru'],
    ['maxmemory-policy', 'allkeys-lfu'],
    ['maxmemory-policy', 'volatile-lru'],
    ['maxmemory-policy', 'volatile-random'],
    ['appendonly', 'no'],
    ['appendfsync', 'no'],
    ['client-output-buffer-limit', 'pubsub 32mb 8mb 60'],
    ['client-output-buffer-limit', 'pubsub 0 1mb 60'],
    ['timeout', '300'],
    ['stream-node-max-bytes', '0'],
    ['stream-node-max-bytes', '1mb'],
    ['stream-node-max-entries', '0'],
  ];
  for (const [setting, value] of HARMFUL) {
    it(`${setting} ${value}`, async () => {
      const good = await redis.call('CONFIG', 'GET', setting);
      await redis.call('CONFIG', 'SET', setting, value);
      try {
        const { finding, fix } = await onlyFinding(setting, 1);
        assert.equal(finding, 'warning');
        const [, name, wanted] = /^CONFIG SET (\S+) "?([^"]*)"?$/.exec(fix);
        await redis.call('CONFIG', 'SET', name, wanted);
        assert.deepEqual((await check()).found, []);
      } finally {
        await redis.call('CONFIG', 'SET', ...good);
      }
    });
  }
  for (const [setting, value] of [['maxmemory-policy', 'volatile-ttl'], ['appendfsync', 'always'],
    ['client-output-buffer-limit', 'pubsub 0 0 0'], ['stream-node-max-bytes', '1024']]) {
    it(`${setting} ${value} is fine`, async () => {
      const good = await redis.call('CONFIG', 'GET', setting);
      await redis.call('CONFIG', 'SET', setting, value);
      const { found } = await check();
      await redis.call('CONFIG', 'SET', ...good);
      assert.deepEqual(found, []);
    });
  }

  it('protected-mode off without a password, where others can reach the port', async (t) => {
    const open = await startRedis({ ...GOOD, args: [...GOOD.args, '--protected-mode', 'no'], t });
    assert.deepEqual((await check([], open)).found, [], 'on the loopback alone');
    await open.call('CONFIG', 'SET', 'bind', '127.0.0.1 0.0.0.0').catch(() => {});
    await open.call('CONFIG', 'SET', 'bind', '* -::*');
    await onlyFinding('protected-mode', 1, [], open);
  });

  it('replicas or Sentinel without min-replicas-to-write, and too few good ones', async (t) => {
    await redis.call('CONFIG', 'SET', 'min-replicas-to-write', 1);
    const alone = await check();
    await redis.call('CONFIG', 'SET', 'min-replicas-to-write', 0);
    assert.deepEqual(alone.found.map(({ subject, finding }) => [subject, finding]), [['min-replicas-to-write', 'broken']]);
    assert.equal(alone.code, 2);

    const sentinel = await redis.connect();
    await sentinel.subscribe('__sentinel__:hello');
    assert.match((await onlyFinding('min-replicas-to-write', 1)).text, /Sentinel/);
    sentinel.close();

    const replica = await startRedis({ ...GOOD, functions: false, args: [...GOOD.args, '--replicaof', `127.0.0.1 ${redis.port}`], t });
    await eventually('the replica is in step', async () => /connected_slaves:1[^]*state=online/.test(await redis.call('INFO', 'replication')));
    assert.match((await onlyFinding('min-replicas-to-write', 1)).text, /replicas/);
    await redis.call('CONFIG', 'SET', 'min-replicas-to-write', 1);
    await onlyFinding('min-replicas-max-lag', 1);
    await redis.call('CONFIG', 'SET', 'min-replicas-max-lag', 2);
    await eventually('one good replica', async () => (await check()).found.length === 0);
    await eventually('the replica has the library', async () => (await check([], replica)).found.length === 1);
    assert.match((await onlyFinding('role', 2, [], replica)).text, new RegExp(`127\\.0\\.0\\.1:${redis.port}`));
    await redis.call('CONFIG', 'SET', 'min-replicas-to-write', 0);
    await redis.call('CONFIG', 'SET', 'min-replicas-max-lag', 10);
    await replica.stop();
    await eventually('the replica is gone', async () => (await redis.call('INFO', 'replication')).includes('connected_slaves:0'));
  });

  it('settings that may not be read are told, not passed over', async () => {
    await redis.call('ACL', 'SETUSER', 'most', 'reset', 'on', '>x', '~*', '&*', '+@all', '-config');
    await onlyFinding('settings', 1, ['--redis', `redis://most:x@127.0.0.1:${redis.port}`]);
  });
});

describe('health', () => {
  it('a snapshot that failed: broken where it stops writes, else a warning', async (t) => {
    const own = await startRedis({ ...GOOD, appendonly: false, t });
    await own.call('CONFIG', 'SET', 'save', '3600 1');
    rmSync(own.dir, { recursive: true });
    await own.call('BGSAVE');
    await eventually('it failed', async () => (await own.call('INFO', 'persistence')).includes('rdb_last_bgsave_status:err'));
    const broken = await check([], own);
    assert.deepEqual(broken.found.map(({ subject, finding }) => `${finding} ${subject}`),
      ['warning appendonly', 'broken rdb_last_bgsave_status']);
    assert.equal(broken.code, 2);
    await own.call('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'no');
    assert.equal((await check([], own)).code, 1);
  });

  it('memory used up', async () => {
    await redis.call('CONFIG', 'SET', 'maxmemory', 1_000_000);
    try {
      assert.match((await onlyFinding('maxmemory', 2)).text, /OOM/);
    } finally {
      await redis.call('CONFIG', 'SET', 'maxmemory', 0);
    }
  });

  it('a library that is absent, or older', async () => {
    await redis.call('FUNCTION', 'FLUSH');
    assert.equal((await onlyFinding('library', 1)).fix, 'freshet install');
    await redis.call('FUNCTION', 'LOAD', functionsSource().replace(/local VERSION = \d+/, 'local VERSION = 0'));
    assert.match((await onlyFinding('library', 1)).text, /older/);
    await runTool(['install'], { redis });
    assert.deepEqual((await check()).found, []);
  });

  /** Changes bytes of what Redis says, as a Redis of elsewhere would say them. */
  async function startLiar(t, change) {
    const port = await freePort();
    const server = net.createServer((client) => {
      const upstream = net.connect(redis.port, '127.0.0.1');
      client.pipe(upstream);
      upstream.on('data', (bytes) => client.write(change(bytes.toString('latin1')), 'latin1'));
      for (const [one, other] of [[client, upstream], [upstream, client]]) {
        one.on('error', () => {});
        one.on('close', () => other.destroy());
      }
    });
    await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
    t.after(() => server.close());
    return { url: `redis://127.0.0.1:${port}` };
  }

  it('a clock far off, either way', async (t) => {
    for (const [off, words] of [[-3600, /60 min behind/], [3600, /ahead of/]]) {
      const liar = await startLiar(t, (text) =>
        text.replace(/(\*2\r\n\$10\r\n)(\d{10})\r/, (_, head, time) => `${head}${Number(time) + off}\r`));
      assert.match((await onlyFinding('clock', 1, [], liar)).text, words);
    }
  });

  it('a Redis before 7', async (t) => {
    const liar = await startLiar(t, (text) => text.replace(/redis_version:\d/, 'redis_version:6'));
    assert.match((await onlyFinding('version', 2, [], liar)).fix, /Redis 7/);
  });
});

describe('rights', () => {
  /** All that a node and a publisher need, as cluster/README.md lists them. */
  const NEEDED = [...new Set([
    ...PUBLISH_RIGHTS, ...ONCE_RIGHTS, ...OPEN_RIGHTS,
    ...['fcall_ro', 'function|load', 'multi', 'exec', 'xrange', 'xrevrange', 'subscribe', 'unsubscribe'],
  ])];
  const USEFUL = ['ping', 'client|setname', 'info', 'role'];
  /** For check's own questions, so that nothing else is found. */
  const ASKED = ['config|get', 'acl|whoami', 'pubsub|numsub'];

  async function checkAs(rights, patterns = ['~freshet:*', '&freshet:*']) {
    const commands = [...rights, ...ASKED].map((right) => `+${right}`);
    await redis.call('ACL', 'SETUSER', 'node', 'reset', 'on', '>x', '-@all', ...patterns, ...commands);
    return check(['--redis', `redis://node:x@127.0.0.1:${redis.port}`]);
  }

  it('the least rights of the README are enough', async () => {
    assert.deepEqual((await checkAs([...NEEDED, ...USEFUL])).found, []);
  });

  for (const right of NEEDED) {
    it(`without ${right}: broken, and the fix mends it`, async () => {
      const { code, found } = await checkAs([...NEEDED, ...USEFUL].filter((other) => other !== right));
      assert.equal(code, 2);
      assert.ok(found.every(({ subject }) => subject === `right to ${right}`), JSON.stringify(found));
      assert.equal(found[0].fix, `ACL SETUSER node +${right}`);
      await redis.call(...found[0].fix.split(' '));
      assert.deepEqual((await check(['--redis', `redis://node:x@127.0.0.1:${redis.port}`])).found, []);
    });
  }

  for (const right of USEFUL) {
    it(`without ${right}: a warning`, async () => {
      const { code, found } = await checkAs([...NEEDED, ...USEFUL].filter((other) => other !== right));
      assert.equal(code, 1);
      assert.ok(found.some(({ subject }) => subject === `right to ${right}`), JSON.stringify(found));
    });
  }

  it('without its keys or its channels', async () => {
    const rights = [...NEEDED, ...USEFUL];
    const keys = await checkAs(rights, ['~other:*', '&freshet:*']);
    assert.ok(keys.found.length > 5 && keys.found.every(({ fix }) => fix === 'ACL SETUSER node ~freshet:*'));
    const channels = await checkAs(rights, ['~freshet:*', '&other:*']);
    assert.equal(channels.code, 2);
    assert.deepEqual([...new Set(channels.found.map(({ fix }) => fix))], ['ACL SETUSER node &freshet:*']);
  });

  it('never shows a password', async () => {
    await redis.call('ACL', 'SETUSER', 'node', 'reset', 'on', '>geheim', '+ping');
    const args = ['check', '--redis', `redis://node:geheim@127.0.0.1:${redis.port}`];
    for (const more of [[], ['--json']]) {
      const { stdout, stderr } = await runTool([...args, ...more]);
      assert.doesNotMatch(stdout + stderr, /geheim/);
    }
  });
});

describe('channels', () => {
  /** A channel of three messages, after `harm`; the only finding. */
  async function findingAfter(harm, code = 1) {
    const name = channelName();
    const channel = new Channel(redis, name);
    const ids = [];
    for (const data of ['1', '2', '3']) ids.push(await channel.publish(data));
    await harm(channel, ids);
    return onlyFinding(name, code, [name]);
  }

  it('one that agrees is fine, also over epochs, pages and settings', async () => {
    const name = channelName();
    const channel = new Channel(redis, name);
    await redis.call('HSET', channel.hash, 'history', 500);
    await runTool(['publish', name, '-', '--lines'], { redis, input: Array.from({ length: 200 }, (_, i) => i).join('\n') });
    await redis.call('HSET', channel.hash, 'writer', 'another');
    await channel.publish('1');
    const opened = channelName();
    await new Channel(redis, opened).open();
    const { code, found, all } = await check([name, opened]);
    assert.deepEqual([code, found], [0, []]);
    assert.ok(all.some(({ subject }) => subject === name));
  });

  const HARMED = {
    'Redis knows nothing of it': [/knows nothing/, (channel) => channel.delete()],
    'the HASH is gone': [/no counter/, (channel) => channel.delete(channel.hash)],
    'the log is gone': [/before its time/, (channel) => channel.delete(channel.log)],
    'an old HASH was restored': [/ahead of the counter/, (channel) => redis.call('HSET', channel.hash, 'version', 1)],
    'an old log was restored': [/ahead of the log/, (channel) => redis.call('HSET', channel.hash, 'version', 9)],
    'the newest message was deleted': [/newest messages/, (channel, ids) => redis.call('XDEL', channel.log, ids[2])],
    'a message in the middle was deleted': [/1 hole, the first between \d+-1 and \d+-3/, (channel, ids) => redis.call('XDEL', channel.log, ids[1])],
    'the fork is another one': [/fork/, (channel) => redis.call('HSET', channel.hash, 'fork', '5-5')],
    'the log never expires': [/never expires/, (channel) => redis.call('PERSIST', channel.log)],
    'the log expires at another time': [/another time/, (channel) => redis.call('EXPIRE', channel.log, 30)],
    'the counter never expires': [/counter never/, (channel) => redis.call('PERSIST', channel.hash)],
  };
  for (const [what, [expected, harm]] of Object.entries(HARMED)) {
    it(what, async () => assert.match((await findingAfter(harm)).text, expected));
  }

  it('a key of another kind, and a log that holds no messages: broken', async () => {
    const kind = await findingAfter(async (channel) => {
      await channel.delete();
      await redis.call('SET', channel.log, 'x');
    }, 2);
    assert.match(kind.text, /WRONGTYPE/);
    const alien = await findingAfter(async (channel) => {
      await channel.delete();
      await redis.call('HSET', channel.hash, 'epoch', 5, 'version', 0);
      await redis.call('EXPIRE', channel.hash, 100);
      await redis.call('XADD', channel.log, '5-0', 'data', 'x');
      await redis.call('EXPIRE', channel.log, 100);
    }, 2);
    assert.match(alien.text, /no messages/);
  });

  it('a name that is none: exit 2 before Redis is asked', async () => {
    const { code, stderr } = await runTool(['check', 'a b'], { redis });
    assert.equal(code, 2);
    assert.match(stderr, /no channel/);
  });
});
