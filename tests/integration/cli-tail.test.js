/** freshet tail: each message once and in order, through whatever happens to Redis. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { envelope } from '../support/envelope.js';
import { Channel } from '../support/functions.js';
import { startRedis } from '../support/redis.js';
import { channelName, publish, versionOf } from '../support/story.js';
import { objects, runTool, Tool } from '../support/tool.js';
import { eventually } from '../support/wait.js';

/** @type {any} */
let redis;
before(async () => (redis = await startRedis({ functions: true, appendonly: true })));
after(() => redis?.stop());

/** Starts one and waits until it is subscribed; `on` is another Redis. */
async function startTail(t, channels, args = [], on = redis) {
  const tool = new Tool(['tail', ...channels, '--json', ...args], { redis: on });
  t.after(() => tool.child.kill('SIGKILL'));
  await subscribed(channels, on);
  return tool;
}

async function subscribed(channels, on = redis) {
  await eventually('tail is subscribed and stands at the head', async () => {
    const names = channels.map((channel) => new Channel(on, channel).now);
    const counts = await on.call('PUBSUB', 'NUMSUB', ...names);
    // The head is asked for behind the last acknowledgement, and opens what is unknown.
    const known = await on.call('EXISTS', ...channels.map((name) => new Channel(on, name).hash));
    return names.every((_, i) => counts[2 * i + 1] >= 1) && known === channels.length;
  });
}

const take = (tool, count) =>
  Promise.all(Array.from({ length: count }, () => 0)).then(async () => {
    const taken = [];
    while (taken.length < count) taken.push(await tool.next());
    return taken;
  });

describe('freshet tail', () => {
  it('prints message objects of the contract as they come', async (t) => {
    const name = channelName();
    const tool = await startTail(t, [name]);
    const first = await publish(redis, name, '{"a": 1,\n "b":2}', 'EVENT', 'tick');
    const message = await tool.next();
    assert.deepEqual(Object.keys(message), ['channel', 'id', 'time', 'event', 'data']);
    assert.deepEqual(
      { ...message, time: Math.abs(message.time - Date.now()) < 60_000 },
      { channel: name, id: first, time: true, event: 'tick', data: { a: 1, b: 2 } },
    );
    await publish(redis, name, 'line\nbreak', 'TYPE', 'text');
    assert.equal((await tool.next()).data, 'line\nbreak');
    await publish(redis, name, Buffer.from([0, 255]), 'TYPE', 'binary');
    const { data, encoding } = await tool.next();
    assert.deepEqual([data, encoding], ['AP8=', 'base64']);
  });

  it('Ctrl-C and SIGTERM end it with 0', async (t) => {
    for (const signal of ['SIGINT', 'SIGTERM']) {
      const tool = await startTail(t, [channelName()]);
      const { code, stderr } = await tool.stop(signal);
      assert.deepEqual([code, stderr], [0, '']);
    }
  });

  it('ends when whoever reads its output has gone', async (t) => {
    const tool = await startTail(t, [channelName()]);
    tool.child.stdout.destroy();
    assert.equal((await tool.ended()).code, 0);
  });

  it('--limit ends it, --since begins behind a position, 0 at the oldest', async () => {
    const name = channelName();
    const ids = [];
    for (const data of ['1', '2', '3', '4']) ids.push(await publish(redis, name, data));
    const tail = async (...args) => {
      const result = await runTool(['tail', name, '--json', ...args], { redis });
      assert.equal(result.code, 0, result.stderr);
      return objects(result).map(({ id }) => id);
    };
    assert.deepEqual(await tail('--since', '0', '--limit', '3'), ids.slice(0, 3));
    assert.deepEqual(await tail('--since', ids[1], '--limit', '2'), ids.slice(2));
    assert.deepEqual(await tail('--rewind', '2', '--limit', '2'), ids.slice(2));
    assert.deepEqual(await tail('--rewind', '100', '--limit', '4'), ids);
  });

  it('reads and counts back over pages, without a hole', async () => {
    const name = channelName();
    const input = Array.from({ length: 1000 }, (_, i) => i).join('\n');
    await runTool(['publish', name, '-', '--lines'], { redis, input });
    const result = await runTool(['tail', name, '--rewind', '700', '--limit', '700', '--json'], { redis });
    assert.deepEqual(objects(result).map(({ data }) => data), Array.from({ length: 700 }, (_, i) => i + 300));
    const all = await runTool(['tail', name, '--since', '0', '--limit', '1000', '--json'], { redis });
    assert.deepEqual(objects(all).map(({ data }) => data), Array.from({ length: 1000 }, (_, i) => i));
  });

  it('several channels, each with its own begin', async (t) => {
    const [a, b] = [channelName(), channelName()];
    const first = await publish(redis, a, '1');
    await publish(redis, a, '2');
    await publish(redis, b, '"old"');
    const tool = await startTail(t, [a, b], ['--since', `${first},`]);
    assert.equal((await tool.next()).data, 2);
    await publish(redis, b, '"new"');
    const message = await tool.next();
    assert.deepEqual([message.channel, message.data], [b, 'new']);
  });

  it('text for people: columns, no control characters, the cursor at the end', async (t) => {
    const name = channelName();
    const tool = new Tool(['tail', name], { redis, terminal: true, input: null });
    t.after(() => tool.child.kill('SIGKILL'));
    await subscribed([name]);
    const id = await publish(redis, name, '\x1b[31mred\x07\n', 'TYPE', 'text', 'EVENT', 'tick');
    const plain = (await tool.lines.next()).replaceAll(/\x1b\[\d*m/g, '').trimEnd();
    assert.match(plain, new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{3}  ${name}  ${id} +tick  `));
    assert.ok(plain.endsWith('\\x1b[31mred\\x07\\n'), plain);
    tool.write('\x03');
    assert.match(await tool.lines.next(), new RegExp(`--since ${id}`));
  });

  it('ephemeral messages have no id; what is no envelope is left out', async (t) => {
    const name = channelName();
    const tool = await startTail(t, [name]);
    const { now } = new Channel(redis, name);
    await redis.call('PUBLISH', now, envelope([1, 2]));
    await redis.call('PUBLISH', now, Buffer.from([0xff, 0xfe]));
    await redis.call('PUBLISH', now, 'hello');
    const message = await tool.next();
    assert.deepEqual(Object.keys(message), ['channel', 'time', 'data']);
    assert.equal(message.data, 'hello');
  });

  it('forged envelopes move no cursor', async (t) => {
    const name = channelName();
    const tool = await startTail(t, [name]);
    await publish(redis, name, '1');
    const epoch = Number((await tool.next()).id.split('-')[0]);
    const { now } = new Channel(redis, name);
    await redis.call('PUBLISH', now, envelope([1, epoch, 9, null, 'json', null, 1, '"forged"']));
    await redis.call('PUBLISH', now, envelope([1, epoch, 1, null, 'json', null, 1, '"double"']));
    await redis.call('PUBLISH', now, envelope([1, epoch + 7, 1, null, 'json', null, 1, '"other"']));
    await publish(redis, name, '2');
    assert.equal((await tool.next()).data, 2);
  });

  it('what pub/sub lost is read from the log, in order', async (t) => {
    const name = channelName();
    const tool = await startTail(t, [name]);
    const { log, hash } = new Channel(redis, name);
    await publish(redis, name, '1');
    await tool.next();
    const { epoch } = await new Channel(redis, name).record();
    for (const version of [2, 3]) {
      await redis.call('XADD', log, `${epoch}-${version}`, 'type', 'json', 'data', version, 'time', 1);
    }
    await redis.call('HSET', hash, 'version', 3);
    await publish(redis, name, '4');
    assert.deepEqual((await take(tool, 3)).map(({ data }) => data), [2, 3, 4]);
  });

  it('pub/sub connections killed again and again: every version once', { timeout: 60_000 }, async (t) => {
    const name = channelName();
    const tool = await startTail(t, [name]);
    const total = 300;
    for (let i = 1; i <= total; i++) {
      await publish(redis, name, String(i));
      if (i % 60 === 0) await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
    assert.deepEqual((await take(tool, total)).map(({ data }) => data), Array.from({ length: total }, (_, i) => i + 1));
    await tool.stop();
    assert.equal(tool.lines.items.length, 0);
    assert.match(tool.stderr, /lost Redis: .*; trying again\n/);
  });

  it('a restart of Redis: every message once, the new epoch names its fork', { timeout: 60_000 }, async (t) => {
    const own = await startRedis({ functions: true, appendonly: true, t });
    const name = channelName();
    const tool = await startTail(t, [name], [], own);
    const ids = [await publish(own, name, '1'), await publish(own, name, '2')];
    assert.deepEqual((await take(tool, 2)).map(({ id }) => id), ids);
    await own.restart();
    const third = await publish(own, name, '3');
    await publish(own, name, '4');
    const [fork, last] = await take(tool, 2);
    assert.deepEqual([fork.id, fork.fork, fork.data], [third, ids[1], 3]);
    assert.equal(last.data, 4);
    assert.equal((await tool.stop()).code, 0);
  });

  describe('resets', () => {
    it('expired: the log no longer reaches back', async () => {
      const name = channelName();
      const ids = [];
      for (const data of ['1', '2', '3', '4']) ids.push(await publish(redis, name, data, 'HISTORY', 2));
      const result = await runTool(['tail', name, '--since', ids[0], '--limit', '2', '--json'], { redis });
      const [reset, ...messages] = objects(result);
      assert.deepEqual(reset, { type: 'reset', channel: name, from: ids[0], to: ids[1], reason: 'expired', spread: 0 });
      assert.deepEqual(messages.map(({ id }) => id), ids.slice(2));
    });

    it('foreign: a position of elsewhere goes on at the oldest', async () => {
      const name = channelName();
      const id = await publish(redis, name, '1');
      const result = await runTool(['tail', name, '--since', '77-5', '--limit', '1', '--json'], { redis });
      const [reset, message] = objects(result);
      assert.deepEqual([reset.from, reset.reason, versionOf(reset.to)], ['77-5', 'foreign', 0]);
      assert.equal(message.id, id);
    });

    it('lost: what was seen is gone when Redis comes back older', async (t) => {
      const name = channelName();
      const tool = await startTail(t, [name]);
      const { log, hash } = new Channel(redis, name);
      await publish(redis, name, '1');
      const kept = await publish(redis, name, '2');
      const older = await redis.callBytes('DUMP', log);
      const seen = await publish(redis, name, '3');
      await take(tool, 3);
      await redis.call('RESTORE', log, 0, older, 'REPLACE');
      await redis.call('HSET', hash, 'version', 2, 'writer', 'another');
      const next = await publish(redis, name, '"new"');
      const [reset, message] = await take(tool, 2);
      assert.deepEqual([reset.from, reset.reason], [seen, 'lost']);
      assert.deepEqual([message.id, message.fork], [next, kept]);
    });

    it('a Redis that comes back empty is noticed by the sweep', { timeout: 60_000 }, async (t) => {
      const name = channelName();
      const tool = await startTail(t, [name]);
      await publish(redis, name, '1');
      const { id } = await tool.next();
      await new Channel(redis, name).delete();
      const reset = JSON.parse(await tool.lines.next({ deadline: 30_000 }));
      assert.deepEqual([reset.type, reset.from, reset.to], ['reset', id, null]);
      await publish(redis, name, '2');
      assert.equal((await tool.next()).data, 2);
    });
  });

  it('a user who may only read follows too, also a channel that nobody knows', async (t) => {
    const rights = ['+multi', '+exec', '+hmget', '+xrange', '+xrevrange', '+subscribe', '+ping'];
    await redis.call('ACL', 'SETUSER', 'reader', 'reset', 'on', '>x', '~freshet:*', '&freshet:*', ...rights);
    const name = channelName();
    const url = `redis://reader:x@127.0.0.1:${redis.port}`;
    const tool = new Tool(['tail', name, '--json'], { redis: { url } });
    t.after(() => tool.child.kill('SIGKILL'));
    await eventually('it is subscribed', async () => (await redis.call('PUBSUB', 'NUMSUB', new Channel(redis, name).now))[1] === 1);
    await publish(redis, name, '1');
    assert.equal((await tool.next()).data, 1);
  });

  it('without the right to subscribe it ends with 1; a key of another kind too', async () => {
    await redis.call('ACL', 'SETUSER', 'deaf', 'reset', 'on', '>x', '~freshet:*', '+@all', 'resetchannels');
    const env = { FRESHET_REDIS: `redis://deaf:x@127.0.0.1:${redis.port}` };
    const deaf = await runTool(['tail', 'a'], { env });
    assert.equal(deaf.code, 1);
    assert.match(deaf.stderr, /NOPERM/);
    await redis.call('SET', 'freshet:{odd}:log', 'x');
    const odd = await runTool(['tail', 'odd'], { redis });
    assert.equal(odd.code, 1);
    assert.match(odd.stderr, /WRONGTYPE/);
    await redis.call('DEL', 'freshet:{odd}:log');
    await redis.call('XADD', 'freshet:{odd}:log', '5-0', 'data', 'x');
    const alien = await runTool(['tail', 'odd', '--since', '0'], { redis });
    assert.equal(alien.code, 1);
    assert.match(alien.stderr, /no messages/);
  });

  const WRONG = {
    'no channel': [[], /channel/],
    'a channel twice': [['a', 'a'], /twice/],
    'a position that is none': [['a', '--since', '5'], /--since "5"/],
    'too few positions': [['a', 'b', '--since', '0'], /2 channels/],
    'too many positions': [['a', '--since', '0,0'], /1 channel/],
    'both starts': [['a', '--since', '0', '--rewind', '1'], /--rewind/],
    'a limit of nothing': [['a', '--limit', '0'], /--limit/],
  };
  for (const [what, [args, expected]] of Object.entries(WRONG)) {
    it(`refuses ${what} with exit 2`, async () => {
      const { code, stderr } = await runTool(['tail', ...args], { redis });
      assert.equal(code, 2);
      assert.match(stderr, expected);
    });
  }
});
