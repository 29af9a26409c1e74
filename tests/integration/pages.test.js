/** What reading a log costs Redis: about what is delivered, whatever the size of its messages. */
import assert from 'node:assert/strict';
import { StreamClient, history, poll } from '../support/clients.js';
import {
  channelName,
  epochOf,
  publishUnheard,
  startFileCluster,
  story,
  versionOf,
} from '../support/story.js';

const { redis, nodes, publish } = await startFileCluster({ nodes: 2 });

const KIB = 1024;

async function infoNumber(section, name) {
  const text = String(await redis.call('INFO', section));
  return Number(new RegExp(`^${name}[:=](\\d+)`, 'm').exec(text)?.[1] ?? 0);
}

/** Bytes that Redis sends and XRANGEs that it runs while `act` runs. Echoes are in it, and small. */
async function cost(act) {
  const sent = await infoNumber('stats', 'total_net_output_bytes');
  const reads = await infoNumber('commandstats', 'cmdstat_xrange:calls');
  const result = await act();
  return {
    result,
    bytes: (await infoNumber('stats', 'total_net_output_bytes')) - sent,
    reads: (await infoNumber('commandstats', 'cmdstat_xrange:calls')) - reads,
  };
}

async function fill(channel, count, bytes) {
  const text = JSON.stringify('x'.repeat(bytes - 2));
  for (let i = 0; i < count; i++) await publish(channel, text);
}

async function readAll(node, channel) {
  let since = '0';
  let count = 0;
  for (let more = true; more; ) {
    const { json } = await poll(node.url, [channel], { since });
    count += json.messages.length;
    since = json.cursor;
    more = json.more === true;
  }
  return count;
}

for (const [count, kib] of [
  [12, 1024],
  [50, 256],
  [200, 64],
  [900, 1],
]) {
  story(`a log of ${count} messages of ${kib} KiB is read at its price`, async () => {
    const channel = channelName();
    await fill(channel, count, kib * KIB);
    const { result, bytes, reads } = await cost(() => readAll(nodes[0], channel));
    assert.equal(result, count);
    // Beside the messages: the last entry with each page, and of a page what no longer fits.
    const fair = 4 * count * kib * KIB + 64 * KIB;
    assert.ok(bytes < fair, `${bytes} bytes in ${reads} reads`);
    assert.ok(reads < 40, `${reads} reads`);
  });
}

/** A megabyte each behind one byte each: more than a reply may hold, were pages to grow blindly. */
async function fillUnevenly(channel) {
  const large = JSON.stringify('x'.repeat(1000 * KIB));
  for (let i = 0; i < 400; i++) await publish(channel, '1', 'HISTORY', 2000);
  for (let i = 0; i < 110; i++) await publish(channel, large, 'HISTORY', 2000);
}

const reconnects = async (node) =>
  (await node.metrics()).get('freshet_redis_reconnects_total', { link: 'command' });

story('large messages behind small ones are read, and the link stands', async () => {
  const channel = channelName();
  await fillUnevenly(channel);
  assert.equal(await readAll(nodes[0], channel), 510);
  assert.equal(await reconnects(nodes[0]), 0);
  await redis.call('DEL', `freshet:{${channel}}`, `freshet:{${channel}}:log`);
});

story('a hole of small messages and large ones is filled, and the link stands', async (t) => {
  const channel = channelName();
  const stream = new StreamClient(nodes[1].url, [channel]);
  t.after(() => stream.close());
  const epoch = epochOf(await publish(channel, '1'));
  await stream.waitFor((line) => line.type === 'ok');
  for (let version = 2; version <= 510; version++) {
    const text = version <= 400 ? '1' : JSON.stringify('x'.repeat(1000 * KIB));
    await publishUnheard(redis, channel, text, `${epoch}-${version}`);
  }
  const last = await publish(channel, '1', 'HISTORY', 2000);
  assert.equal(last, `${epoch}-511`);
  await stream.waitFor((line) => line.id === last, { deadline: 40_000 });
  assert.ok(!stream.lines.seen.some((line) => line.type === 'reset'));
  const ids = stream.lines.seen.filter((line) => line.id).map((line) => versionOf(line.id));
  assert.deepEqual(ids, Array.from({ length: 511 }, (_, i) => i + 1).slice(-ids.length));
  assert.ok(ids.length >= 510, 'all but what came before it was there');
  assert.equal(await reconnects(nodes[1]), 0);
  await redis.call('DEL', `freshet:{${channel}}`, `freshet:{${channel}}:log`);
});

story('rewind reads what is wanted, not a page', async () => {
  const channel = channelName();
  await fill(channel, 12, 1024 * KIB);
  const { result, bytes } = await cost(() => poll(nodes[1].url, [channel], { rewind: 1 }));
  assert.equal(result.json.messages.length, 1);
  assert.ok(bytes < 8 * 1024 * KIB, `${bytes} bytes`);
});

story('history reads what was asked for', async () => {
  const channel = channelName();
  await fill(channel, 12, 1024 * KIB);
  const ask = () => history(nodes[1].url, [channel], { since: '0', limit: 1 });
  const { result, bytes } = await cost(ask);
  assert.equal(result.json.messages.length, 1);
  assert.ok(bytes < 8 * 1024 * KIB, `${bytes} bytes`);
});
