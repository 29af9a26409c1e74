/**
 * Continuity is broken: each reason, computed from what Redis really holds, on each transport. What
 * CONTRACT.md calls c is `since` here; N is the first message that comes after the reset.
 */
import assert from 'node:assert/strict';
import { TRANSPORTS, history, poll } from '../support/clients.js';
import { open } from '../support/readers.js';
import { channelName, epochOf, startCluster, startFileCluster, story } from '../support/story.js';
import { versionOf } from '../support/story.js';
import { eventually } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 2 });
const { publish, redis } = cluster;
const [first, second] = cluster.nodes;

const FOREIGN = '1000000000000000';
const FUTURE = '8999999999999999';

const keyOf = (channel) => `freshet:{${channel}}`;
const logOf = (channel) => `freshet:{${channel}}:log`;

async function publishMany(channel, count, ...words) {
  const ids = [];
  for (let n = 1; n <= count; n += 1) ids.push(await publish(channel, String(n), ...words));
  return ids;
}

async function keptIds(channel) {
  return (await redis.call('XRANGE', logOf(channel), '-', '+')).map(([id]) => id);
}

/** A copy of the library that begins now is another writer: its epochs fork from what it finds. */
async function changeWriter() {
  const [[...info]] = await redis.call('FUNCTION', 'LIST', 'LIBRARYNAME', 'freshet', 'WITHCODE');
  const code = info[info.indexOf('library_code') + 1];
  await redis.call('FUNCTION', 'LOAD', 'REPLACE', code);
}

/** Publishes in another epoch; the position must be version 1. */
async function publishAsNewWriter(channel, data) {
  await changeWriter();
  const id = await publish(channel, data);
  assert.equal(versionOf(id), 1);
  return id;
}

/**
 * Resumes at `since` on every transport, both nodes in turn, and compares.
 * @param {{ to: string, reason: string } | null} reset
 * @param {string[]} ids the messages that follow
 */
async function assertResume(t, channel, since, reset, ids) {
  for (const [at, transport] of TRANSPORTS.entries()) {
    const { url } = cluster.nodes[at % 2];
    const reader = open({ transport, url, channels: [channel], since });
    t.after(() => reader.close());
    if (reset) {
      const told = await reader.nextReset();
      const { type, from, to, reason } = told;
      assert.deepEqual(
        { type, channel: told.channel, from, to, reason },
        { type: 'reset', channel, from: since, ...reset },
        transport,
      );
      assert.ok(Number.isInteger(told.spread) && told.spread >= 0, `spread ${told.spread}`);
    }
    const messages = await reader.take(ids.length);
    assert.deepEqual(
      messages.map((message) => message.id),
      ids,
      transport,
    );
    assert.equal(reader.resets.length, reset ? 1 : 0, transport);
  }
  const { json } = await history(second.url, channel, { since });
  assert.equal(json.resets?.length ?? 0, reset ? 1 : 0, 'history');
  if (reset) await assertValidCursor(channel, reset.to, ids);
}

/** `to` is a cursor like any other: whoever stands there gets what follows, without a reset. */
async function assertValidCursor(channel, to, ids) {
  for (const node of cluster.nodes) {
    const { json } = await poll(node.url, [channel], { since: to });
    assert.equal(json.resets, undefined, `reset at "to" ${to}`);
    assert.deepEqual(
      json.messages.map((message) => message.id),
      ids,
    );
  }
}

story('expired: the history was trimmed past the cursor', async (t) => {
  const channel = channelName('trimmed');
  const ids = await publishMany(channel, 20, 'HISTORY', '5');
  const kept = await keptIds(channel);
  const before = `${epochOf(kept[0])}-${versionOf(kept[0]) - 1}`;
  assert.ok(versionOf(before) > 2, 'trimmed indeed');
  await assertResume(t, channel, ids[0], { to: before, reason: 'expired' }, kept);
  await assertResume(t, channel, before, null, kept);
  await assertResume(t, channel, `${epochOf(ids[0])}-0`, { to: before, reason: 'expired' }, kept);
});

story('lost: the cursor is above the head in its epoch', async (t) => {
  const channel = channelName('above');
  const ids = await publishMany(channel, 4);
  await assertResume(t, channel, `${epochOf(ids[0])}-9`, { to: ids[3], reason: 'lost' }, []);
});

story('foreign: nothing here knows the epoch, be it older or newer', async (t) => {
  const channel = channelName('foreign');
  const ids = await publishMany(channel, 3);
  const reset = { to: `${epochOf(ids[0])}-0`, reason: 'foreign' };
  await assertResume(t, channel, `${FOREIGN}-2`, reset, ids);
  await assertResume(t, channel, `${FUTURE}-2`, reset, ids);
  await assertResume(t, channel, `${FOREIGN}-0`, reset, ids);
});

story('foreign on a channel that was opened and never published', async (t) => {
  const channel = channelName('opened');
  const head = await redis.call('FCALL', 'freshet_open', 2, keyOf(channel), logOf(channel));
  await assertResume(t, channel, `${FOREIGN}-2`, { to: head, reason: 'foreign' }, []);
  await assertResume(t, channel, head, null, []);
});

story('another writer took over and nothing was lost: nobody notices', async (t) => {
  const channel = channelName('take-over');
  const ids = await publishMany(channel, 3);
  const next = await publishAsNewWriter(channel, '4');
  assert.ok(epochOf(next) > epochOf(ids[0]));
  await assertResume(t, channel, ids[2], null, [next]);
  await assertResume(t, channel, ids[0], null, [ids[1], ids[2], next]);
  const { json } = await poll(first.url, [channel], { since: ids[2] });
  assert.equal(json.messages[0].fork, ids[2], 'the message carries the fork point');
});

story('lost: the fork point is below the cursor', async (t) => {
  const channel = channelName('beyond-fork');
  const ids = await publishMany(channel, 3);
  const next = await publishAsNewWriter(channel, '4');
  const reset = { to: `${epochOf(next)}-0`, reason: 'lost' };
  await assertResume(t, channel, `${epochOf(ids[0])}-5`, reset, [next]);
});

story('expired: what lay before the fork was trimmed', async (t) => {
  const channel = channelName('before-fork');
  const ids = await publishMany(channel, 3);
  const next = await publishAsNewWriter(channel, '4');
  await redis.call('XTRIM', logOf(channel), 'MINID', next);
  assert.deepEqual(await keptIds(channel), [next]);
  const reset = { to: `${epochOf(next)}-0`, reason: 'expired' };
  await assertResume(t, channel, ids[0], reset, [next]);
  await assertResume(t, channel, ids[2], null, [next]);
});

story('expired: the whole log is gone, the HASH remembers', async (t) => {
  const channel = channelName('no-log');
  const ids = await publishMany(channel, 5);
  await redis.call('DEL', logOf(channel));
  await assertResume(t, channel, ids[2], { to: ids[4], reason: 'expired' }, []);
  await assertResume(t, channel, ids[4], null, []);
  await assertResume(t, channel, `${epochOf(ids[0])}-8`, { to: ids[4], reason: 'lost' }, []);
});

story('expired: only the fork in the HASH knows the epoch', async (t) => {
  const channel = channelName('hash-fork');
  const ids = await publishMany(channel, 3);
  const next = await publishAsNewWriter(channel, '4');
  await redis.call('DEL', logOf(channel));
  await assertResume(t, channel, ids[1], { to: next, reason: 'expired' }, []);
});

story('a log that expired in time is begun anew in the same epoch', async (t) => {
  const channel = channelName('ttl');
  const ids = await publishMany(channel, 3, 'TTL', '1');
  await eventually('the log expires', async () => {
    return (await redis.call('EXISTS', logOf(channel))) === 0;
  });
  const next = await publish(channel, '4');
  assert.equal(next, `${epochOf(ids[0])}-4`);
  await assertResume(t, channel, ids[2], null, [next]);
  await assertResume(t, channel, ids[0], { to: ids[2], reason: 'expired' }, [next]);
});

story('the log was deleted: another epoch, forked at the head', async (t) => {
  const channel = channelName('del-log');
  const ids = await publishMany(channel, 5);
  await redis.call('DEL', logOf(channel));
  const next = await publish(channel, '6');
  assert.equal(versionOf(next), 1);
  await assertResume(t, channel, ids[4], null, [next]);
  const to = `${epochOf(next)}-0`;
  await assertResume(t, channel, ids[2], { to, reason: 'expired' }, [next]);
});

story('both keys were deleted: a channel that Redis knew nothing of', async (t) => {
  const channel = channelName('del-both');
  const ids = await publishMany(channel, 5);
  await redis.call('DEL', keyOf(channel), logOf(channel));
  const next = await publish(channel, '6');
  const reset = { to: `${epochOf(next)}-0`, reason: 'foreign' };
  await assertResume(t, channel, ids[4], reset, [next]);
  await assertResume(t, channel, ids[1], reset, [next]);
});

/** Readers of every transport at both nodes that have heard the last publication. */
async function liveReaders(t, channels, nodes = cluster.nodes) {
  const readers = nodes.flatMap((node) =>
    TRANSPORTS.map((transport) => open({ transport, url: node.url, channels })),
  );
  t.after(() => readers.forEach((reader) => reader.close()));
  await Promise.all(readers.map((reader) => reader.ready()));
  return readers;
}

story('live: keys deleted under the readers; one reset each, then the new epoch', async (t) => {
  const channel = channelName('live-del');
  await publishMany(channel, 2);
  const readers = await liveReaders(t, [channel]);
  const last = await publish(channel, '3');
  for (const reader of readers) await reader.next();
  await redis.call('DEL', keyOf(channel), logOf(channel));
  const next = await publish(channel, '4');
  for (const reader of readers) {
    const reset = await reader.nextReset();
    assert.deepEqual(
      [reset.from, reset.to, reset.reason],
      [last, `${epochOf(next)}-0`, 'foreign'],
      reader.name,
    );
    assert.equal((await reader.next()).id, next);
    assert.equal(reader.resets.length, 1);
  }
});

story('live: another writer, nothing lost; no reader is disturbed', async (t) => {
  const channel = channelName('live-writer');
  const [id] = await publishMany(channel, 1);
  const readers = await liveReaders(t, [channel]);
  const next = await publishAsNewWriter(channel, '2');
  const after = await publish(channel, '3');
  for (const reader of readers) {
    const messages = await reader.take(2);
    assert.deepEqual(
      messages.map((message) => message.id),
      [next, after],
      reader.name,
    );
    if (reader.name !== 'sse') assert.equal(messages[0].fork, id);
    assert.deepEqual(reader.resets, []);
  }
});

/** Takes both keys back to what they were, like a Redis that lost its last writes. */
async function restorable(channel) {
  const keys = [keyOf(channel), logOf(channel)];
  const dumps = await Promise.all(keys.map((key) => redis.callBytes('DUMP', key)));
  return (connection) =>
    keys.map((key, at) => connection.call('RESTORE', key, 3_600_000, dumps[at], 'REPLACE'));
}

story('live: Redis lost what the readers saw; each is told, and goes on', async (t) => {
  const [channel, other] = [channelName('live-lost'), channelName('unharmed')];
  const kept = await publishMany(channel, 3);
  const [unharmed] = await publishMany(other, 1);
  const restore = await restorable(channel);
  const readers = await liveReaders(t, [channel, other]);
  await publish(channel, '4');
  const seen = await publish(channel, '5');
  for (const reader of readers) await reader.take(2);
  await changeWriter();
  const connection = await redis.connect();
  t.after(() => connection.close());
  // At once, so that no sweep looks in between.
  const replies = [connection.call('MULTI'), ...restore(connection)];
  replies.push(
    connection.call('FCALL', 'freshet_publish', 2, keyOf(channel), logOf(channel), '6'),
    connection.call('EXEC'),
  );
  const next = (await Promise.all(replies)).pop().pop();
  for (const reader of readers) {
    const reset = await reader.nextReset();
    assert.deepEqual(
      [reset.channel, reset.from, reset.to, reset.reason],
      [channel, seen, `${epochOf(next)}-0`, 'lost'],
      reader.name,
    );
    assert.equal(reader.cursor, `${epochOf(next)}-0,${unharmed}`);
    const message = await reader.next();
    assert.equal(message.id, next);
    if (reader.name !== 'sse') assert.equal(message.fork, kept[2]);
    assert.equal(reader.resets.length, 1);
  }
});

async function assertEmptied(readers, before, publishNext) {
  const tos = new Set();
  for (const reader of readers) {
    const reset = await reader.nextReset({ deadline: 30_000 });
    assert.deepEqual([reset.from, reset.reason], [before, 'foreign'], reader.name);
    assert.equal(versionOf(reset.to), 0);
    assert.notEqual(epochOf(reset.to), epochOf(before));
    tos.add(reset.to);
  }
  assert.equal(tos.size, 1, `all are told the same position: ${[...tos]}`);
  const next = await publishNext();
  assert.equal(next, `${epochOf([...tos][0])}-1`);
  for (const reader of readers) {
    assert.equal((await reader.next()).id, next, reader.name);
    assert.equal(reader.resets.length, 1, reader.name);
  }
}

story('live: FLUSHALL, and nobody publishes: every reader is told', async (t) => {
  const own = await startCluster(t, { nodes: 2 });
  const channel = channelName('flushed');
  const id = await own.publish(channel, '1');
  const readers = await liveReaders(t, [channel], own.nodes);
  await own.redis.call('FLUSHALL');
  await assertEmptied(readers, id, () => own.publish(channel, '2'));
});

story('live: Redis comes back without its data: every reader is told', async (t) => {
  const own = await startCluster(t, { nodes: 2 });
  const channel = channelName('emptied');
  const id = await own.publish(channel, '1');
  const sse = own.nodes.map((node) =>
    open({ transport: 'sse', url: node.url, channels: [channel] }),
  );
  t.after(() => sse.forEach((reader) => reader.close()));
  await Promise.all(sse.map((reader) => reader.ready()));
  await own.redis.restart({ flush: true });
  await assertEmptied(sse, id, () =>
    eventually('the library is loaded again', () => own.publish(channel, '2')),
  );
});

story('resets are counted by reason', async () => {
  const channel = channelName('counted');
  const [id] = await publishMany(channel, 1);
  const count = async (reason) =>
    (await first.metrics()).get('freshet_resets_total', { reason }) ?? 0;
  for (const [reason, since] of [
    ['foreign', `${FOREIGN}-1`],
    ['lost', `${epochOf(id)}-7`],
  ]) {
    const before = await count(reason);
    assert.equal((await poll(first.url, [channel], { since })).json.resets[0].reason, reason);
    assert.equal(await count(reason), before + 1, reason);
  }
});
