/**
 * The matrix: begin on one transport at one node, be cut, go on with the cursor on another one
 * at the other node, while publishers go on. Every version once, in order, and no reset.
 */
import assert from 'node:assert/strict';
import { TRANSPORTS } from '../support/clients.js';
import { open } from '../support/readers.js';
import { channelName, startFileCluster, story, versionOf } from '../support/story.js';
import { eventually, pause } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 2 });
const [first, second] = cluster.nodes;

/** Publishes 1, 2, 3 … to each channel until stop(), which returns how many. */
function publishOn(channels) {
  let running = true;
  let count = 0;
  const done = (async () => {
    while (running) {
      count += 1;
      for (const channel of channels) await cluster.publish(channel, `{"n":${count}}`);
      await pause(2);
    }
    return count;
  })();
  return {
    /** Resolves when `more` further rounds were published. */
    async rounds(more) {
      const goal = count + more;
      await eventually(`${more} more publications`, () => count >= goal);
    },
    stop() {
      running = false;
      return done;
    },
  };
}

/** Every version from where the reader began to the last, once, in order, channel by channel. */
function assertComplete(channels, start, messages, last) {
  channels.forEach((channel, at) => {
    const begun = versionOf(start.split(',')[at]);
    const got = messages.filter((message) => message.channel === channel);
    const due = Array.from({ length: last - begun }, (_, n) => begun + n + 1);
    assert.deepEqual(
      got.map((message) => versionOf(message.id)),
      due,
      channel,
    );
    assert.deepEqual(
      got.map((message) => message.data.n),
      due,
      `${channel}: data`,
    );
  });
}

/** Takes until all channels were seen at `last`. */
async function takeAll(reader, channels, last) {
  const missing = new Set(channels);
  const isAtEnd = (position) => versionOf(position) >= last;
  reader.cursor?.split(',').forEach((position, at) => {
    if (isAtEnd(position)) missing.delete(channels[at]);
  });
  const taken = [];
  while (missing.size > 0) {
    const message = await reader.next();
    taken.push(message);
    if (isAtEnd(message.id)) missing.delete(message.channel);
  }
  return taken;
}

async function changeTransport(t, { from, to, channels }) {
  const publisher = publishOn(channels);
  const before = open({ transport: from, url: first.url, channels });
  let after;
  t.after(async () => {
    before.close();
    after?.close();
    await publisher.stop();
  });
  const start = await before.ready();
  const messages = await before.take(15 * channels.length);
  const { cursor } = before;
  before.close();
  await publisher.rounds(10);
  after = open({ transport: to, url: second.url, channels, since: cursor });
  assert.equal((await after.ready()).split(',').length, channels.length);
  messages.push(...(await after.take(15 * channels.length)));
  const last = await publisher.stop();
  messages.push(...(await takeAll(after, channels, last)));
  assertComplete(channels, start, messages, last);
  assert.deepEqual([...before.resets, ...after.resets], []);
}

for (const from of TRANSPORTS) {
  for (const to of TRANSPORTS) {
    story(`from ${from} at node 1 to ${to} at node 2`, async (t) => {
      await changeTransport(t, { from, to, channels: [channelName('matrix')] });
    });
    story(`from ${from} to ${to} with three channels and one cursor`, async (t) => {
      const channels = [1, 2, 3].map(() => channelName('matrix'));
      await changeTransport(t, { from, to, channels });
    });
  }
}

story('a walk of forty cuts over all transports and both nodes', async (t) => {
  const channels = [channelName('walk'), channelName('walk')];
  const publisher = publishOn(channels);
  let reader = open({ transport: 'sse', url: first.url, channels });
  t.after(async () => {
    reader.close();
    await publisher.stop();
  });
  const start = await reader.ready();
  const messages = [];
  for (let hop = 0; hop < 40; hop += 1) {
    // A few messages each, so that cuts fall inside answers as well as between them.
    messages.push(...(await reader.take(1 + (hop % 5))));
    const { cursor, resets } = reader;
    reader.close();
    assert.deepEqual(resets, []);
    const transport = TRANSPORTS[(hop * 3 + (hop >> 2)) % TRANSPORTS.length];
    reader = open({ transport, url: cluster.nodes[hop % 2].url, channels, since: cursor });
  }
  const last = await publisher.stop();
  messages.push(...(await takeAll(reader, channels, last)));
  assertComplete(channels, start, messages, last);
  assert.deepEqual(reader.resets, []);
});

story('from 0 every transport begins with the oldest kept message, without a reset', async (t) => {
  const channel = channelName('zero');
  for (let n = 1; n <= 50; n += 1) await cluster.publish(channel, `{"n":${n}}`);
  for (const transport of TRANSPORTS) {
    const reader = open({ transport, url: second.url, channels: [channel], since: '0' });
    t.after(() => reader.close());
    const messages = await reader.take(50);
    assert.deepEqual(
      messages.map((message) => versionOf(message.id)),
      Array.from({ length: 50 }, (_, n) => n + 1),
      transport,
    );
    assert.deepEqual(reader.resets, []);
  }
});

story('a node is killed with -9: its readers go on elsewhere with their cursors', async (t) => {
  const doomed = await cluster.startNode();
  const channel = channelName('killed');
  const publisher = publishOn([channel]);
  const readers = TRANSPORTS.map((transport) =>
    open({ transport, url: doomed.url, channels: [channel] }),
  );
  const opened = [...readers];
  t.after(async () => {
    opened.forEach((reader) => reader.close());
    await publisher.stop();
  });
  const starts = await Promise.all(readers.map((reader) => reader.ready()));
  const taken = await Promise.all(readers.map((reader) => reader.take(5)));
  await doomed.kill('SIGKILL');
  await publisher.rounds(5);
  const later = readers.map((reader, at) =>
    open({ transport: TRANSPORTS[at], url: first.url, channels: [channel], since: reader.cursor }),
  );
  opened.push(...later);
  const last = await publisher.stop();
  for (const [at, reader] of later.entries()) {
    taken[at].push(...(await takeAll(reader, [channel], last)));
    assertComplete([channel], starts[at], taken[at], last);
    assert.deepEqual(reader.resets, [], reader.name);
  }
});
