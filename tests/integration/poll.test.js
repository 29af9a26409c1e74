/** Polling and long polling: what is answered, when, and how much of it. */
import assert from 'node:assert/strict';
import { POSITION, assertProblem, poll, postJson, query } from '../support/clients.js';
import { Connection } from '../support/http.js';
import { channelName, epochOf, publishUnheard } from '../support/story.js';
import { startFileCluster, story, versionOf } from '../support/story.js';
import { pause } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 2 });
const { publish, redis } = cluster;
const [first, second] = cluster.nodes;
const url = first.url;

/** Publishes 1 … count and returns the ids. */
async function publishMany(channel, count, ...words) {
  const ids = [];
  for (let n = 1; n <= count; n += 1) ids.push(await publish(channel, String(n), ...words));
  return ids;
}

const idsOf = (answer) => answer.json.messages.map((message) => message.id);

story('a plain poll without since stands at the head and brings nothing', async () => {
  const channel = channelName();
  const [, last] = await publishMany(channel, 2);
  const answer = await poll(url, [channel]);
  assert.equal(answer.status, 200);
  assert.match(answer.header('content-type'), /^application\/json\b/);
  assert.deepEqual(answer.json, { cursor: last, messages: [] });
});

story('a channel nobody published to has a position as well', async () => {
  const channel = channelName();
  const answer = await poll(url, [channel]);
  assert.match(answer.json.cursor, POSITION);
  assert.equal(versionOf(answer.json.cursor), 0);
  const elsewhere = await poll(second.url, [channel]);
  assert.equal(elsewhere.json.cursor, answer.json.cursor, 'every node tells the same position');
  const id = await publish(channel, '1');
  assert.equal(id, `${epochOf(answer.json.cursor)}-1`, 'the first publication is in that epoch');
});

story('since brings what came after, and only that', async () => {
  const channel = channelName();
  const ids = await publishMany(channel, 5);
  const answer = await poll(second.url, [channel], { since: ids[1] });
  assert.deepEqual(idsOf(answer), ids.slice(2));
  assert.equal(answer.json.cursor, ids[4]);
  assert.equal('resets' in answer.json, false, 'no empty list of resets');
  assert.equal('more' in answer.json, false, 'no "more": false');
  const nothing = await poll(url, [channel], { since: ids[4] });
  assert.deepEqual(nothing.json, { cursor: ids[4], messages: [] });
});

story('since=0 brings the oldest kept, without a reset', async () => {
  const channel = channelName();
  const ids = await publishMany(channel, 6, 'HISTORY', '3');
  const kept = (await redis.call('XRANGE', `freshet:{${channel}}:log`, '-', '+')).map(([id]) => id);
  assert.ok(kept.length < ids.length, 'the log was trimmed');
  const answer = await poll(url, [channel], { since: '0' });
  assert.deepEqual(idsOf(answer), kept);
  assert.equal(answer.json.resets, undefined);
});

story('an empty item of since is the head', async () => {
  const [a, b] = [channelName(), channelName()];
  const [a1] = await publishMany(a, 1);
  const [b1] = await publishMany(b, 1);
  const answer = await poll(url, [a, b], { since: ',0' });
  assert.deepEqual(idsOf(answer), [b1]);
  assert.equal(answer.json.cursor, `${a1},${b1}`);
  const heads = await poll(url, [a], { since: '' });
  assert.deepEqual(heads.json, { cursor: a1, messages: [] });
});

story('rewind brings the last N of each channel', async () => {
  const [a, b] = [channelName(), channelName()];
  const inA = await publishMany(a, 5);
  const inB = await publishMany(b, 1);
  const answer = await poll(url, [a, b], { rewind: 2 });
  assert.deepEqual(idsOf(answer), [...inA.slice(-2), ...inB]);
  assert.equal(answer.json.resets, undefined);
  assert.deepEqual(idsOf(await poll(url, [a], { rewind: 0 })), []);
  assert.deepEqual(idsOf(await poll(url, [a], { rewind: 99_999 })), inA, 'clamped, not refused');
});

story(
  'limit holds for the whole answer, channels in cursor order; the rest is "more"',
  async () => {
    const [a, b] = [channelName(), channelName()];
    const inA = await publishMany(a, 4);
    const inB = await publishMany(b, 4);
    const page = await poll(url, [b, a], { since: '0,0', limit: 6 });
    assert.deepEqual(idsOf(page), [...inB, ...inA.slice(0, 2)]);
    assert.equal(page.json.more, true);
    assert.equal(page.json.cursor, `${inB[3]},${inA[1]}`);
    const rest = await poll(url, [b, a], { since: page.json.cursor, limit: 6 });
    assert.deepEqual(idsOf(rest), inA.slice(2));
    assert.equal(rest.json.more, undefined);
  },
);

story('a page that ends inside the first channel leaves the second where it was', async () => {
  const [a, b] = [channelName(), channelName()];
  const inA = await publishMany(a, 3);
  const inB = await publishMany(b, 3);
  const page = await poll(url, [a, b], { since: `0,${inB[0]}`, limit: 2 });
  assert.deepEqual(idsOf(page), inA.slice(0, 2));
  assert.equal(page.json.cursor, `${inA[1]},${inB[0]}`);
  assert.equal(page.json.more, true);
  const fromZero = await poll(url, [a, b], { since: '0,0', limit: 2 });
  const rest = await poll(url, [a, b], { since: fromZero.json.cursor });
  assert.deepEqual(idsOf(rest), [inA[2], ...inB], 'an item that was 0 loses nothing either');
  assert.equal(rest.json.resets, undefined);
});

story('pages follow one another to the end of a long history', async () => {
  const channel = channelName();
  const ids = await publishMany(channel, 300);
  const seen = [];
  let since = '0';
  for (let pages = 0; pages < 20; pages += 1) {
    const page = await poll(cluster.nodes[pages % 2].url, [channel], { since, limit: 37 });
    seen.push(...idsOf(page));
    since = page.json.cursor;
    assert.equal(page.json.resets, undefined);
    if (!page.json.more) break;
  }
  assert.deepEqual(seen, ids);
});

story('an answer holds about 1 MiB at most, and at least one message', async () => {
  const channel = channelName();
  const big = JSON.stringify('x'.repeat(400_000));
  for (let n = 0; n < 5; n += 1) await publish(channel, big);
  let since = '0';
  let count = 0;
  for (let more = true; more;) {
    const page = await poll(url, [channel], { since });
    assert.ok(page.json.messages.length > 0 && page.json.messages.length <= 3, 'too much');
    count += page.json.messages.length;
    more = page.json.more === true;
    since = page.json.cursor;
  }
  assert.equal(count, 5);
  const largest = JSON.stringify('y'.repeat(1024 * 1024 - 2));
  await publish(channel, largest);
  assert.equal((await poll(url, [channel], { since, wait: 10 })).json.messages.length, 1);
});

story('a long poll answers at the first message past the cursor', async () => {
  const channel = channelName();
  const [id] = await publishMany(channel, 1);
  const held = poll(url, [channel], { since: id, wait: 30 });
  await pause(300);
  const began = Date.now();
  const next = await publish(channel, '2');
  const answer = await held;
  assert.deepEqual(idsOf(answer), [next]);
  assert.ok(Date.now() - began < 2_000, 'at once, not at the end of the wait');
  assert.equal(answer.header('preference-applied'), undefined, 'wait in the URL is no preference');
});

story('a long poll that has something to read does not wait', async () => {
  const channel = channelName();
  const ids = await publishMany(channel, 2);
  const began = Date.now();
  const answer = await poll(url, [channel], { since: ids[0], wait: 30 });
  assert.deepEqual(idsOf(answer), [ids[1]]);
  assert.ok(Date.now() - began < 2_000);
});

story('a long poll without since waits for the first message from now on', async () => {
  const channel = channelName();
  await publishMany(channel, 1);
  const held = poll(url, [channel], { wait: 30 });
  let isHeld = true;
  held.catch(() => {}).then(() => (isHeld = false));
  // Nothing tells from outside when it is held: the first one published after that ends it.
  for (let n = 2; isHeld; n += 1) {
    await publish(channel, String(n));
    await pause(50);
  }
  const answer = await held;
  assert.ok(answer.json.messages.length >= 1);
  assert.equal(answer.json.cursor, idsOf(answer).pop());
  assert.equal(answer.header('cache-control'), 'no-store');
});

story('after the wait a long poll brings an empty list and the same cursor', async () => {
  const channel = channelName();
  const [id] = await publishMany(channel, 1);
  const began = Date.now();
  const answer = await poll(url, [channel], { since: id, wait: 1 });
  const took = Date.now() - began;
  assert.deepEqual(answer.json, { cursor: id, messages: [] });
  assert.ok(took >= 900 && took < 2_500, `waited ${took} ms`);
});

story('Prefer: wait asks for a long poll and is confirmed', async () => {
  const channel = channelName();
  const [id] = await publishMany(channel, 1);
  const began = Date.now();
  const headers = { Prefer: 'respond-async, wait=1' };
  const answer = await poll(url, [channel], { since: id, headers });
  assert.ok(Date.now() - began >= 900);
  assert.match(answer.header('preference-applied') ?? '', /^wait=1$/);
  assert.deepEqual(answer.json.messages, []);
  const plain = await poll(url, [channel], { since: id });
  assert.equal(plain.header('preference-applied'), undefined);
});

story(
  'wait=0 is a plain poll; more than 60 s is clamped; a message ends it all the same',
  async () => {
    const channel = channelName();
    const [id] = await publishMany(channel, 1);
    const began = Date.now();
    assert.equal((await poll(url, [channel], { since: id, wait: 0 })).status, 200);
    assert.ok(Date.now() - began < 1_000);
    const held = poll(url, [channel], { since: id, wait: 100_000 });
    await pause(100);
    const next = await publish(channel, '2');
    assert.deepEqual(idsOf(await held), [next]);
  },
);

story('a held poll of several channels ends at the first message of any', async () => {
  const [a, b] = [channelName(), channelName()];
  const { cursor } = (await poll(url, [a, b])).json;
  const held = poll(second.url, [a, b], { since: cursor, wait: 30 });
  await pause(200);
  const id = await publish(b, '1');
  const answer = await held;
  assert.deepEqual(idsOf(answer), [id]);
  assert.equal(answer.json.messages[0].channel, b);
  assert.equal(answer.json.cursor, `${cursor.split(',')[0]},${id}`);
});

story('min: the answer shows the write that the client knows of', async () => {
  const [a, b] = [channelName(), channelName()];
  const [a1] = await publishMany(a, 1);
  for (let n = 0; n < 20; n += 1) {
    const id = await publish(a, '2');
    const answer = await poll(cluster.nodes[n % 2].url, [a, b], { since: `${a1},`, min: `${id},` });
    assert.equal(answer.status, 200);
    assert.equal(answer.json.cursor.split(',')[0], id);
    assert.equal(idsOf(answer).pop(), id);
  }
});

story('min: what a read for another client has seen is not taken for an answer', async () => {
  const channel = channelName();
  const id = await publish(channel, '1');
  assert.equal((await poll(url, [channel], { since: '0', min: id })).json.cursor, id);
  const next = `${epochOf(id)}-2`;
  await publishUnheard(redis, channel, '2', next); // only Redis knows of it, until the sweep
  const headers = { 'If-None-Match': `"${id}"` };
  for (let n = 0; n < 3; n += 1) {
    const answer = await poll(url, [channel], { since: id, min: next, headers });
    assert.equal(answer.status, 200, `poll ${n + 1}`);
    assert.deepEqual(idsOf(answer), [next]);
  }
});

story('min that is not reached: 503 "behind" after a second, or after the wait', async () => {
  const channel = channelName();
  const [id] = await publishMany(channel, 1);
  const future = `${epochOf(id)}-99`;
  const began = Date.now();
  const answer = await poll(url, [channel], { since: id, min: future });
  assertProblem(answer, 503, 'behind');
  assert.equal(answer.header('retry-after'), '1');
  assert.ok(Date.now() - began < 4_000);
  assert.equal(answer.header('cache-control'), 'no-store');
});

story('min that is reached while the poll waits is answered then', async () => {
  const channel = channelName();
  const [id] = await publishMany(channel, 1);
  const min = `${epochOf(id)}-2`;
  const held = poll(url, [channel], { since: id, min, wait: 20 });
  await pause(200);
  assert.equal(await publish(channel, '2'), min);
  const answer = await held;
  // A proven master that does not know the position may have refused it at once, as is its right.
  if (answer.status === 503) assertProblem(answer, 503, 'behind');
  else assert.equal(answer.json.cursor, min);
});

story('POST takes channels as an object and answers with one', async () => {
  const [a, b] = [channelName(), channelName()];
  const inA = await publishMany(a, 3);
  const inB = await publishMany(b, 1);
  const answer = await postJson(url, '/poll', { channels: { [a]: inA[0], [b]: '' }, limit: 1 });
  assert.equal(answer.status, 200);
  assert.deepEqual(idsOf(answer), [inA[1]]);
  assert.deepEqual(answer.json.cursor, { [a]: inA[1], [b]: inB[0] });
  assert.equal(answer.json.more, true);
  assert.equal(answer.header('cache-control'), 'no-store');
  assert.equal(answer.header('etag'), undefined);
});

story('POST waits, rewinds and knows min like GET', async () => {
  const [a, b] = [channelName(), channelName()];
  const [a1] = await publishMany(a, 1);
  const rewound = await postJson(url, '/poll', { channels: { [a]: '', [b]: '' }, rewind: 1 });
  assert.deepEqual(idsOf(rewound), [a1]);
  const { cursor } = rewound.json;
  const held = postJson(url, '/poll', { channels: cursor, wait: 20 });
  await pause(200);
  const b1 = await publish(b, '1');
  assert.deepEqual((await held).json.cursor, { [a]: a1, [b]: b1 });
  const behind = await postJson(url, '/poll', {
    channels: cursor,
    min: { [a]: `${epochOf(a1)}-77` },
  });
  assertProblem(behind, 503, 'behind');
  const seen = await postJson(url, '/poll', { channels: cursor, min: { [b]: b1 } });
  assert.deepEqual(idsOf(seen), [b1]);
});

story('POST takes 1,000 channels and refuses 1,001', async () => {
  const prefix = channelName('many');
  const names = Array.from({ length: 1001 }, (_, n) => `${prefix}.${n}`);
  // Known to Redis, so that none has to be opened: a node may open 200 new channels a second.
  await Promise.all(names.map((name) => publish(name, '1')));
  const of = (list, position) => Object.fromEntries(list.map((name) => [name, position]));
  const body = { channels: of(names.slice(0, 1000), '0') };
  const answer = await postJson(url, '/poll', body);
  assert.equal(answer.status, 200, answer.text.slice(0, 300));
  assert.equal(answer.json.messages.length, 1000);
  assert.equal(Object.keys(answer.json.cursor).length, 1000);
  assertProblem(await postJson(url, '/poll', { channels: of(names, '0') }), 400);
});

story('64 channels fit in a URL, 65 do not', async () => {
  const prefix = channelName('sixty-four');
  const names = Array.from({ length: 65 }, (_, n) => `${prefix}.${n}`);
  const answer = await poll(url, names.slice(0, 64));
  assert.equal(answer.status, 200);
  assert.equal(answer.json.cursor.split(',').length, 64);
  assertProblem(await poll(url, names), 400);
});

story('one poll after another on one connection, and pipelined', async (t) => {
  const channel = channelName();
  const ids = await publishMany(channel, 3);
  const connection = new Connection(url);
  t.after(() => connection.close());
  for (const id of ids) {
    await connection.request(`/poll?${query([channel], { since: id })}`);
    assert.equal((await connection.response()).json.cursor, ids[2]);
  }
  for (const id of ids) await connection.request(`/poll?${query([channel], { since: id })}`);
  for (const at of ids.keys()) {
    assert.deepEqual(idsOf(await connection.response()), ids.slice(at + 1));
  }
});

story('a limit above 1,000 is 1,000', async () => {
  const channel = channelName();
  const calls = Array.from({ length: 1005 }, (_, n) =>
    publish(channel, String(n), 'HISTORY', 5000),
  );
  const ids = await Promise.all(calls);
  const answer = await poll(url, [channel], { since: '0', limit: 5000 });
  assert.deepEqual(idsOf(answer), ids.slice(0, 1000));
  assert.equal(answer.json.more, true);
});
