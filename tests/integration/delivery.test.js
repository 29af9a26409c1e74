/** What is published by one Redis command is received, once, as published, on every transport. */
import assert from 'node:assert/strict';
import { POSITION, SseClient, StreamClient, poll } from '../support/clients.js';
import { TRANSPORTS } from '../support/clients.js';
import { envelope } from '../support/envelope.js';
import { open } from '../support/readers.js';
import { channelName, epochOf, publishUnheard } from '../support/story.js';
import { startFileCluster, story, versionOf } from '../support/story.js';
import { eventually } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 2 });
const { redis, publish } = cluster;
const [first, second] = cluster.nodes;

/** A reader of each transport on each node, all standing at the head. */
async function everyReader(channels) {
  const readers = cluster.nodes.flatMap((node) =>
    TRANSPORTS.map((transport) => open({ transport, url: node.url, channels })),
  );
  await Promise.all(readers.map((reader) => reader.ready()));
  return readers;
}

const closeAll = (readers) => readers.forEach((reader) => reader.close());

story('each transport on each node gets each publication once, under the same id', async (t) => {
  const channel = channelName('once');
  const readers = await everyReader([channel]);
  t.after(() => closeAll(readers));
  const ids = [];
  for (let n = 1; n <= 20; n += 1) ids.push(await publish(channel, `{"n":${n}}`));

  for (const reader of readers) {
    const messages = await reader.take(ids.length);
    assert.deepEqual(
      messages.map((message) => message.id),
      ids,
      reader.name,
    );
    assert.deepEqual(
      messages.map((message) => message.data.n),
      ids.map((_, at) => at + 1),
    );
    assert.equal(reader.cursor, ids[ids.length - 1]);
    assert.deepEqual(reader.resets, []);
  }
  assert.deepEqual(
    ids.map(versionOf),
    ids.map((_, at) => at + 1),
    'versions are dense',
  );
  assert.equal(new Set(ids.map(epochOf)).size, 1);
  assert.match(ids[0], POSITION);
});

story('nothing comes twice: what follows the last publication is the next one', async (t) => {
  const channel = channelName('no-double');
  const readers = await everyReader([channel]);
  t.after(() => closeAll(readers));
  for (let round = 1; round <= 5; round += 1) {
    const id = await publish(channel, String(round));
    for (const reader of readers) assert.equal((await reader.next()).id, id, reader.name);
  }
});

story('json, text and binary arrive as what they are, with event and time', async (t) => {
  const channel = channelName('types');
  const other = channelName('types');
  const readers = await everyReader([channel, other]);
  t.after(() => closeAll(readers));
  const bytes = Buffer.from([0x00, 0xff, 0x0a, 0x0d, 0x80]);
  const before = Date.now();
  await publish(channel, '{"json":[1,2]}', 'EVENT', 'made of json');
  await publish(channel, 'täxt\u0007\u2028"\\', 'TYPE', 'text', 'EVENT', 'note');
  await publish(other, bytes, 'TYPE', 'binary');
  const after = Date.now();

  for (const reader of readers) {
    // There is an order within a channel, none between channels.
    const messages = await reader.take(3);
    const [json, text] = messages.filter((message) => message.channel === channel);
    const [binary] = messages.filter((message) => message.channel === other);
    assert.deepEqual(json.data, { json: [1, 2] }, reader.name);
    assert.equal(json.event, 'made of json');
    assert.equal(text.data, 'täxt\u0007\u2028"\\');
    assert.equal(text.event, 'note');
    assert.equal(binary.encoding, 'base64');
    assert.equal(binary.data, bytes.toString('base64'));
    assert.equal(binary.event, undefined);
    for (const message of [json, text, binary]) {
      assert.ok(message.time >= before - 1 && message.time <= after + 1, String(message.time));
    }
    assert.equal('encoding' in json || 'encoding' in text, false);
  }
});

story(
  'the first message of an epoch has no fork when Redis knew nothing of the channel',
  async () => {
    const channel = channelName('fork');
    const id = await publish(channel, '1');
    const answer = await poll(first.url, [channel], { since: '0' });
    assert.deepEqual(Object.keys(answer.json.messages[0]).sort(), [
      'channel',
      'data',
      'id',
      'time',
    ]);
    assert.equal(answer.json.messages[0].id, id);
  },
);

/** Odd but valid JSON. Whoever parses and prints it again changes every one of them. */
const ODD_JSON = [
  '{"a" :  1,\t"b":[ 1 , 2 ]}',
  '12345678901234567890123',
  '{"k":1,"k":2}',
  '1.0',
  '1E+2',
  '-0',
  '"\\u00e9\\/\\ud83d\\ude00"',
  '"é😀\u007f\u2028"',
  ' {"spaces":"around"} ',
  'null',
  '[]',
  '{"":{"":[[[]]]}}',
  '0.1e-7',
];

story('JSON arrives byte for byte on poll and stream and as the data of SSE', async (t) => {
  const channel = channelName('bytes');
  const sse = new SseClient(first.url, [channel]);
  const stream = new StreamClient(second.url, [channel]);
  t.after(() => [sse, stream].forEach((client) => client.close()));
  await sse.hello();
  await stream.waitFor((line) => line.type === 'ok');
  let min;
  for (const json of ODD_JSON) min = await publish(channel, json);

  const answer = await poll(second.url, [channel], { since: '0', min });
  for (const json of ODD_JSON) {
    assert.equal((await sse.next()).data, json);
    assert.ok((await stream.next()).text.includes(`"data":${json}`), `stream: ${json}`);
    assert.ok(answer.text.includes(`"data":${json}`), `poll: ${json}`);
  }
});

story(
  'line ends between JSON tokens: kept in a poll, data lines in SSE, spaces in a stream',
  async (t) => {
    const channel = channelName('lines');
    const sse = new SseClient(first.url, [channel]);
    const several = new SseClient(first.url, [channel, channelName('lines')]);
    const stream = new StreamClient(first.url, [channel]);
    t.after(() => [sse, several, stream].forEach((client) => client.close()));
    await Promise.all([sse.hello(), several.hello()]);
    await stream.waitFor((line) => line.type === 'ok');
    const json = '{\r\n"a":\n[1,\r2]\n}';
    const id = await publish(channel, json);

    const answer = await poll(first.url, [channel], { since: '0', min: id });
    assert.ok(answer.text.includes(`"data":${json}`));
    assert.equal((await sse.next()).data, '{\n"a":\n[1,\n2]\n}');
    assert.match((await stream.next()).text, /"data":\{ {1,2}"a": \[1, 2\] \}/);
    const message = JSON.parse((await several.next()).data);
    assert.deepEqual(message.data, { a: [1, 2] });
    assert.equal(message.id, id);
  },
);

/** Texts that have broken SSE servers. */
const HARD_TEXTS = [
  'one\r\ntwo\rthree\nfour',
  'ends with a line end\n',
  '\nbegins with one',
  '\n\nid: 9\ndata: forged\n\n',
  '\r\rretry: 1\r\r',
  ' leading space',
  '\ufeffBOM',
  ': a comment?',
  '',
  '\n',
  'nul \u0000 in it',
  'x'.repeat(300_000),
];

story('any text is exactly one SSE event: newlines normalised, no field forged', async (t) => {
  const channel = channelName('text');
  const sse = new SseClient(first.url, [channel]);
  const enveloped = new SseClient(first.url, [channel], { envelope: 1 });
  t.after(() => [sse, enveloped].forEach((client) => client.close()));
  await Promise.all([sse.hello(), enveloped.hello()]);
  const { retry } = sse;
  for (const text of HARD_TEXTS) {
    const id = await publish(channel, text, 'TYPE', 'text');
    const event = await sse.next();
    assert.equal(event.data, text.replace(/\r\n?/g, '\n'));
    assert.equal(event.id, id);
    assert.equal(event.event, 'message');
    const message = JSON.parse((await enveloped.next()).data);
    assert.equal(message.data, text, 'the message object keeps the text as it was');
  }
  assert.equal(sse.retry, retry, 'no text changes the retry time');
});

story('binary on a one-channel SSE stream is base64', async (t) => {
  const channel = channelName('binary');
  const sse = new SseClient(first.url, [channel]);
  t.after(() => sse.close());
  await sse.hello();
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  await publish(channel, bytes, 'TYPE', 'binary');
  assert.equal((await sse.next()).data, bytes.toString('base64'));
});

story('a plain PUBLISH is an ephemeral message: no position, the cursor stays', async (t) => {
  const channel = channelName('ephemeral');
  const id = await publish(channel, '1');
  const readers = cluster.nodes.flatMap((node) =>
    ['long-poll', 'sse', 'stream'].map((transport) =>
      open({ transport, url: node.url, channels: [channel], since: id }),
    ),
  );
  t.after(() => closeAll(readers));
  await Promise.all(readers.filter((r) => r.name !== 'long-poll').map((r) => r.ready()));
  await eventually('both nodes subscribed', async () => {
    const [, count] = await redis.call('PUBSUB', 'NUMSUB', `freshet:{${channel}}:now`);
    return Number(count) === 2;
  });
  // A poll may be held a moment later than its node has subscribed: publish until it was heard.
  const polls = readers.filter((reader) => reader.name === 'long-poll');
  await eventually('the held polls heard it', async () => {
    await redis.call('PUBLISH', `freshet:{${channel}}:now`, 'who is there?');
    return polls.every((reader) => reader.untaken.length > 0);
  });
  for (const reader of readers) {
    const message = await reader.next();
    assert.equal(message.data, 'who is there?', reader.name);
    assert.equal(message.id, undefined);
    assert.equal(reader.cursor, id, 'an ephemeral message never moves a cursor');
  }
  const next = await publish(channel, '2');
  for (const reader of readers) {
    const messages = await reader.takeUntil((message) => message.id !== undefined);
    assert.equal(messages[messages.length - 1].id, next, reader.name);
    assert.deepEqual(reader.resets, []);
  }
});

const GOOD = [1, 1795375878745123, 5, null, 'json', null, Date.now(), '{}'];
const changed = (at, value) => GOOD.map((item, index) => (index === at ? value : item));
const BROKEN = [
  Buffer.from([0x98]),
  Buffer.from([0x90]),
  Buffer.from([0x80]),
  Buffer.from([0xa5, 0x68, 0x65]),
  envelope(GOOD).subarray(0, 20),
  Buffer.concat([envelope(GOOD), Buffer.from([0xc0])]),
  envelope(GOOD.slice(0, 7)),
  envelope([...GOOD, 1]),
  envelope(changed(0, 2)),
  envelope(changed(1, 'x')),
  envelope(changed(1, -1)),
  envelope(changed(2, 0)),
  envelope(changed(3, 7)),
  envelope(changed(4, 'xml')),
  envelope(changed(5, 'bad\nevent')),
  envelope(changed(6, 'now')),
  envelope(changed(7, 7)),
  Buffer.concat([Buffer.from([0x98]), Buffer.alloc(40, 0x91)]),
];
const NOT_UTF8 = [Buffer.from([0xff, 0xfe]), Buffer.from([0x61, 0xc0, 0xaf])];

story('a broken envelope is counted and dropped; the next good one arrives', async (t) => {
  const channel = channelName('broken');
  await publish(channel, '1');
  const readers = await everyReader([channel]);
  t.after(() => closeAll(readers));
  const refused = async (node) =>
    (await node.metrics()).get('freshet_envelopes_refused_total') ?? 0;
  const before = await Promise.all(cluster.nodes.map(refused));
  for (const bytes of [...BROKEN, ...NOT_UTF8]) {
    await redis.call('PUBLISH', `freshet:{${channel}}:now`, bytes);
  }
  const id = await publish(channel, '2');
  for (const reader of readers) {
    assert.equal((await reader.next()).id, id, reader.name);
    assert.deepEqual(reader.resets, []);
  }
  const counted = (await Promise.all(cluster.nodes.map(refused))).map((n, at) => n - before[at]);
  for (const count of counted) {
    assert.ok(count >= BROKEN.length && count <= BROKEN.length + NOT_UTF8.length, String(count));
  }
});

story('a forged envelope ahead of the log is not delivered, and resets nobody', async (t) => {
  const channel = channelName('forged');
  const id = await publish(channel, '1');
  const readers = await everyReader([channel]);
  t.after(() => closeAll(readers));
  const forged = envelope([1, Number(epochOf(id)), 9, null, 'json', null, Date.now(), '"forged"']);
  await redis.call('PUBLISH', `freshet:{${channel}}:now`, forged);
  const next = await publish(channel, '"real"');
  for (const reader of readers) {
    const message = await reader.next();
    assert.equal(message.data, 'real', reader.name);
    assert.equal(message.id, next);
    assert.deepEqual(reader.resets, []);
  }
});

story('a hole in the versions is filled from the log, in order', async (t) => {
  const channel = channelName('hole');
  const id = await publish(channel, '1');
  const readers = await everyReader([channel]);
  t.after(() => closeAll(readers));
  await publishUnheard(redis, channel, '2', `${epochOf(id)}-2`);
  await publishUnheard(redis, channel, '3', `${epochOf(id)}-3`);
  await publish(channel, '4');
  for (const reader of readers) {
    const messages = await reader.take(3);
    assert.deepEqual(
      messages.map((message) => message.data),
      [2, 3, 4],
      reader.name,
    );
    assert.deepEqual(reader.resets, []);
  }
  assert.ok((await first.metrics()).get('freshet_gaps_total') >= 1);
  assert.ok((await first.metrics()).get('freshet_gap_messages_total') >= 2);
});

story('a lost last message is found without any other publication', async (t) => {
  const channel = channelName('tail');
  const id = await publish(channel, '1');
  const readers = await everyReader([channel]);
  t.after(() => closeAll(readers));
  await publishUnheard(redis, channel, '2', `${epochOf(id)}-2`);
  for (const reader of readers) {
    assert.equal((await reader.next({ deadline: 30_000 })).data, 2, reader.name);
    assert.deepEqual(reader.resets, []);
  }
});

/** What cjson lets pass and RFC 8259 does not. */
const NOT_JSON = ['NaN', '0x10', '"raw\nnewline"', '[1,Infinity]'];

story('what is typed json and is not arrives as text, and is counted', async (t) => {
  const channel = channelName('not-json');
  const sse = new SseClient(first.url, [channel], { envelope: 1 });
  const stream = new StreamClient(first.url, [channel]);
  t.after(() => [sse, stream].forEach((client) => client.close()));
  await sse.hello();
  await stream.waitFor((line) => line.type === 'ok');
  const count = async () =>
    (await first.metrics()).samples
      .filter(({ name, labels }) => /json/.test(`${name} ${Object.values(labels)}`))
      .reduce((sum, sample) => sum + sample.value, 0);
  const before = await count();
  const published = [];
  for (const text of NOT_JSON) {
    // Should a library refuse one of them, that is as good; then it must not arrive either.
    const position = await publish(channel, text).catch(() => null);
    if (position) published.push(text);
  }
  assert.ok(published.length > 0, 'cjson takes at least one of them');
  const answer = await poll(second.url, [channel], { since: '0' });
  assert.deepEqual(
    answer.json.messages.map((message) => message.data),
    published,
  );
  for (const text of published) {
    assert.equal(JSON.parse((await sse.next()).data).data, text);
    assert.equal((await stream.next()).data, text);
  }
  assert.ok((await count()) > before, 'no counter with "json" in its name or labels has moved');
});
