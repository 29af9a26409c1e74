/** What reading a log costs Redis: about what is delivered, whatever the size of its messages. */
import assert from 'node:assert/strict';
import { history, poll } from '../support/clients.js';
import { channelName, startFileCluster, story } from '../support/story.js';

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

story('small messages behind large ones, and large ones behind small ones', async () => {
  const channel = channelName();
  await fill(channel, 5, 1024 * KIB);
  await fill(channel, 300, KIB);
  await fill(channel, 5, 1024 * KIB);
  const { result } = await cost(() => readAll(nodes[0], channel));
  assert.equal(result, 310);
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
