/**
 * Positions when the process changes: restarts with and without data, failovers back and forth.
 * One position never names two payloads, and a quiet channel is no exception.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Channel, epochOf, versionOf } from '../support/functions.js';
import { loadFunctions, startRedis } from '../support/redis.js';
import { eventually } from '../support/wait.js';

const NO_DELAY = ['--repl-diskless-sync-delay', '0', '--repl-ping-replica-period', '1'];

/** What each position named; a second payload for one is the failure these tests are about. */
class Ledger {
  #payloads = new Map();

  async publish(channel, payload) {
    const position = await channel.publish(JSON.stringify(payload));
    const key = `${channel.hash} ${position}`;
    const earlier = this.#payloads.get(key);
    assert.equal(earlier, undefined, `${key} names "${earlier}" and now "${payload}"`);
    this.#payloads.set(key, payload);
    return position;
  }
}

async function field(redis, section, name) {
  const info = await redis.call('INFO', section);
  return new RegExp(`^${name}:(.*)\\r$`, 'm').exec(info)?.[1];
}

/** Makes `replica` follow `master` and waits until it holds everything. */
async function follow(replica, master) {
  await replica.call('REPLICAOF', '127.0.0.1', master.port);
  await caughtUp(replica, master);
}

async function caughtUp(replica, master) {
  await eventually('the replica has caught up', async () => {
    const offset = await field(master, 'replication', 'master_repl_offset');
    return (
      (await field(replica, 'replication', 'master_link_status')) === 'up' &&
      (await field(replica, 'replication', 'slave_repl_offset')) === offset
    );
  });
}

async function forkOf(channel, position) {
  return (await channel.entries()).find(({ id }) => id === position).fork;
}

async function assertTakesOver(channel, position, head) {
  assert.ok(epochOf(position) > epochOf(head));
  assert.deepEqual([versionOf(position), await forkOf(channel, position)], [1, head]);
}

describe('another process', () => {
  it('a restart with its data (AOF): the library is there, epochs fork at the heads', async (t) => {
    const redis = await startRedis({ appendonly: true, functions: true, t });
    const ledger = new Ledger();
    const channel = new Channel(redis, 'a');
    const opened = new Channel(redis, 'b');
    await ledger.publish(channel, 'one');
    const head = await ledger.publish(channel, 'two');
    const zero = await opened.open();
    redis.options.functions = false; // the AOF brings the library back
    await redis.restart();
    assert.equal(await channel.open(), head);
    await assertTakesOver(channel, await ledger.publish(channel, 'three'), head);
    await assertTakesOver(opened, await ledger.publish(opened, 'first'), zero);
    assert.equal((await channel.entries()).length, 3);
  });

  it('a restart without data: no fork, and no position of before', async (t) => {
    const redis = await startRedis({ appendonly: true, functions: true, t });
    const ledger = new Ledger();
    const channel = new Channel(redis, 'a');
    for (const payload of ['one', 'two']) await ledger.publish(channel, payload);
    await redis.restart({ flush: true });
    const position = await ledger.publish(channel, 'other one');
    await ledger.publish(channel, 'other two');
    assert.equal(await forkOf(channel, position), undefined);
  });

  it('a kill -9 that loses the tail: what comes next is another epoch', async (t) => {
    const args = ['--appendfsync', 'always'];
    const redis = await startRedis({ appendonly: true, functions: true, args, t });
    const ledger = new Ledger();
    const channel = new Channel(redis, 'a');
    const head = await ledger.publish(channel, 'kept');
    await redis.call('CONFIG', 'SET', 'appendonly', 'no'); // from here on nothing is kept
    await ledger.publish(channel, 'lost');
    await redis.kill('SIGKILL');
    redis.options.functions = false;
    await redis.start();
    await assertTakesOver(channel, await ledger.publish(channel, 'after'), head);
  });

  it('two failovers in a row: the master that comes back empty-handed repeats nothing', async (t) => {
    const a = await startRedis({ functions: true, args: NO_DELAY, t });
    const b = await startRedis({ args: NO_DELAY, t });
    const ledger = new Ledger();
    const names = ['busy', 'quiet', 'quiet-on-b'];
    const onA = Object.fromEntries(names.map((name) => [name, new Channel(a, name)]));
    const onB = Object.fromEntries(names.map((name) => [name, new Channel(b, name)]));
    const heads = {};
    for (const name of names) heads[name] = await ledger.publish(onA[name], `${name} 1`);
    const runId = await field(a, 'server', 'run_id');
    await follow(b, a);

    // First failover, unclean: the old master takes writes that the new one never sees.
    await b.call('REPLICAOF', 'NO', 'ONE');
    for (const name of names) await ledger.publish(onA[name], `${name} lost with a`);
    const busy = await ledger.publish(onB.busy, 'busy on b');
    await assertTakesOver(onB.busy, busy, heads.busy);
    await follow(a, b);
    assert.equal(await field(b, 'stats', 'sync_full'), '1', 'a was fully resynced');

    // Second failover, at once back to a. Nobody published to the quiet channels meanwhile: their
    // HASHes still name a's writer of before the resync.
    await a.call('REPLICAOF', 'NO', 'ONE');
    assert.equal(await field(a, 'server', 'run_id'), runId, 'a is the same process');
    for (const name of ['quiet', 'quiet-on-b']) {
      assert.equal((await onA[name].positions()).at(-1), heads[name]);
      const position = await ledger.publish(onA[name], `${name} on a again`);
      await assertTakesOver(onA[name], position, heads[name]);
    }
    await assertTakesOver(onA.busy, await ledger.publish(onA.busy, 'busy on a again'), busy);
    for (const name of names) await ledger.publish(onA[name], `${name} goes on`);
  });

  it('a clean failover and back, by partial resync, keeps the copy and its epochs', async (t) => {
    const args = [...NO_DELAY, '--repl-backlog-size', '1mb'];
    const a = await startRedis({ functions: true, args, t });
    const b = await startRedis({ args, t });
    const ledger = new Ledger();
    const quiet = new Channel(a, 'quiet');
    const busy = { a: new Channel(a, 'busy'), b: new Channel(b, 'busy') };
    await follow(b, a);
    const quietHead = await ledger.publish(quiet, 'one');
    const busyHead = await ledger.publish(busy.a, 'one');

    const handOver = async (from, to) => {
      await caughtUp(to, from);
      await from.call('FAILOVER', 'TO', '127.0.0.1', to.port, 'TIMEOUT', 10_000);
      await eventually('the roles are swapped', async () => {
        return (await to.call('ROLE'))[0] === 'master' && (await from.call('ROLE'))[0] === 'slave';
      });
      await caughtUp(from, to);
    };
    await handOver(a, b);
    const onB = await ledger.publish(busy.b, 'two');
    await assertTakesOver(busy.b, onB, busyHead);
    await handOver(b, a);
    assert.equal(await field(b, 'stats', 'sync_full'), '0', 'a was not fully resynced');

    assert.equal(await ledger.publish(quiet, 'two'), `${epochOf(quietHead)}-2`);
    await assertTakesOver(busy.a, await ledger.publish(busy.a, 'three'), onB);
  });

  it('a replica refuses both functions and answers freshet_version', async (t) => {
    const a = await startRedis({ functions: true, t });
    const b = await startRedis({ args: NO_DELAY, t });
    await a.call('CONFIG', 'SET', 'repl-diskless-sync-delay', 0);
    await follow(b, a);
    const channel = new Channel(b, 'a');
    await assert.rejects(channel.publish('1'), { code: 'READONLY' });
    await assert.rejects(channel.open(), { code: 'READONLY' });
    assert.ok((await b.call('FCALL_RO', 'freshet_version', 0)) >= 1);
  });

  it('the library loaded anew into a process whose data stayed', async (t) => {
    const redis = await startRedis({ functions: true, t });
    const ledger = new Ledger();
    const channel = new Channel(redis, 'a');
    const head = await ledger.publish(channel, 'one');
    await redis.call('FUNCTION', 'FLUSH');
    await assert.rejects(channel.publish('1'), /Function not found/);
    await loadFunctions(redis);
    await assertTakesOver(channel, await ledger.publish(channel, 'two'), head);
  });
});
