/** What clients may ask for on /ws, in JSON and in msgpack. */
import assert from 'node:assert/strict';
import { POSITION } from '../support/clients.js';
import { channelName, startFileCluster, story, versionOf } from '../support/story.js';
import { eventually } from '../support/wait.js';
import { JSON_PROTOCOL, MSGPACK_PROTOCOL, OPCODE, frame, openWs } from '../support/ws.js';

const cluster = await startFileCluster({
  nodes: 1,
  args: ['--channels-per-connection', '20', '--linger', '1s'],
});
const { publish, redis } = cluster;
const [node] = cluster.nodes;

/** The same story in both languages. */
function inBoth(name, body) {
  for (const protocol of [JSON_PROTOCOL, MSGPACK_PROTOCOL]) {
    story(`${protocol}: ${name}`, async (t) => body(t, await openWs(t, node.url, { protocol })));
  }
}

const isMsgpack = (ws) => ws.protocol === MSGPACK_PROTOCOL;
/** A message's JSON data in either language. */
const dataOf = (ws, message) => (isMsgpack(ws) ? JSON.parse(message.data) : message.data);

inBoth('hello first, then each command has its answer with its ref', async (t, ws) => {
  const { greeting } = ws;
  assert.deepEqual(Object.keys(greeting), ['type', 'node', 'heartbeat']);
  assert.equal(greeting.heartbeat, 25_000);
  assert.deepEqual(await ws.ask({ type: 'ping' }), { ref: 1, type: 'ok' });
  assert.deepEqual(await ws.ask({ ref: 'abc-7', type: 'ping' }), { ref: 'abc-7', type: 'ok' });
  ws.command({ type: 'ping' });
  assert.deepEqual(await ws.next(), { type: 'ok' }, 'without a ref: an answer without a ref');
});

inBoth('subscribe, messages, unsubscribe, silence', async (t, ws) => {
  const channel = channelName();
  const ok = await ws.ask({ type: 'subscribe', channel });
  assert.deepEqual(Object.keys(ok).sort(), ['channel', 'position', 'ref', 'type']);
  assert.match(ok.position, POSITION);
  const position = await publish(channel, '{"n":1}', 'EVENT', 'tick');
  const message = await ws.next();
  assert.equal(message.type, undefined);
  assert.equal(message.channel, channel);
  assert.equal(message.id, position);
  assert.equal(message.event, 'tick');
  assert.deepEqual(dataOf(ws, message), { n: 1 });
  assert.ok(Math.abs(Number(message.time) - Date.now()) < 60_000);
  assert.deepEqual(await ws.ask({ type: 'unsubscribe', channel }), {
    ref: 2,
    type: 'ok',
    channel,
  });
  await publish(channel, '{"n":2}');
  await ws.ask({ type: 'ping' });
  assert.deepEqual(ws.objects.items, [], 'a message after unsubscribe');
  const again = await ws.ask({ type: 'subscribe', channel, since: position });
  assert.equal(again.position, position, 'ok tells the position asked for');
  assert.deepEqual(dataOf(ws, await ws.next()), { n: 2 });
});

inBoth('since 0, since a position, rewind', async (t, ws) => {
  const channel = channelName();
  const positions = [];
  for (let n = 1; n <= 5; n += 1) positions.push(await publish(channel, `{"n":${n}}`));
  const starts = [
    [{ since: '0' }, [1, 2, 3, 4, 5]],
    [{ since: 0 }, [1, 2, 3, 4, 5]],
    [{ since: positions[2] }, [4, 5]],
    [{ rewind: 2 }, [4, 5]],
    [{ rewind: 100 }, [1, 2, 3, 4, 5]],
    [{ since: '', rewind: 1 }, [5]],
    [{ since: null }, []],
  ];
  for (const [start, due] of starts) {
    const ok = await ws.ask({ type: 'subscribe', channel, ...start });
    assert.equal(ok.type, 'ok', JSON.stringify([start, ok]));
    assert.equal(versionOf(ok.position), due.length > 0 ? due[0] - 1 : 5, JSON.stringify(start));
    for (const n of due) assert.deepEqual(dataOf(ws, await ws.next()), { n });
    await ws.ask({ type: 'unsubscribe', channel });
    assert.deepEqual(ws.objects.items, []);
  }
});

inBoth('publish as json, text and binary; once; if', async (t, ws) => {
  const channel = channelName();
  const bytes = Buffer.from([0, 255, 128, 10]);
  const binary = isMsgpack(ws) ? bytes : bytes.toString('base64');
  const json = isMsgpack(ws) ? '{"a": [1]}' : { a: [1] };
  await ws.ask({ type: 'subscribe', channel });
  const answers = [
    await ws.ask({ type: 'publish', channel, data: json }),
    await ws.ask({ type: 'publish', channel, data: 'hé "so"', as: 'text', event: 'greet' }),
    await ws.ask({ type: 'publish', channel, data: binary, as: 'binary' }),
  ];
  const messages = [];
  while (messages.length < 3) messages.push(await ws.next());
  assert.deepEqual(
    answers.map((answer) => [answer.type, answer.position]),
    messages.map((message) => ['ok', message.id]),
  );
  assert.deepEqual(dataOf(ws, messages[0]), { a: [1] });
  assert.equal(messages[1].data, 'hé "so"');
  assert.equal(messages[1].event, 'greet');
  if (isMsgpack(ws)) assert.deepEqual(Buffer.from(messages[2].data), bytes);
  else assert.deepEqual([messages[2].data, messages[2].encoding], [binary, 'base64']);
  assert.equal(messages[0].encoding, isMsgpack(ws) ? 'json' : undefined);

  const once = await ws.ask({ type: 'publish', channel, data: '1', once: 'k' });
  const twice = await ws.ask({ type: 'publish', channel, data: '2', once: 'k' });
  assert.equal(once.position, twice.position);
  const wrong = await ws.ask({ type: 'publish', channel, data: '3', if: answers[0].position });
  assert.equal(wrong.code, 'conflict');
  assert.equal(wrong.retry, false);
  assert.equal(wrong.head, once.position);
  const right = await ws.ask({ type: 'publish', channel, data: '4', if: wrong.head });
  assert.equal(right.type, 'ok');
});

inBoth('history in pages, of an unknown channel, of the head', async (t, ws) => {
  const channel = channelName();
  const unknown = await ws.ask({ type: 'history', channel });
  assert.equal(unknown.type, 'ok', JSON.stringify(unknown));
  assert.deepEqual(unknown.messages, []);
  assert.match(unknown.cursor, POSITION, 'a cursor to go on from');
  for (let n = 1; n <= 5; n += 1) await publish(channel, `{"n":${n}}`);
  const first = await ws.ask({ type: 'history', channel, since: unknown.cursor, limit: 3 });
  assert.deepEqual(
    first.messages.map((message) => dataOf(ws, message).n),
    [1, 2, 3],
  );
  assert.equal(first.more, true);
  assert.equal(first.cursor, first.messages[2].id);
  const rest = await ws.ask({ type: 'history', channel, since: first.cursor });
  assert.deepEqual(
    rest.messages.map((message) => dataOf(ws, message).n),
    [4, 5],
  );
  assert.equal(rest.more, undefined);
  const head = await ws.ask({ type: 'history', channel, since: '' });
  assert.deepEqual([head.cursor, head.messages], [rest.cursor, []]);
  const foreign = await ws.ask({ type: 'history', channel, since: '1000000000000000-7' });
  assert.equal(foreign.resets[0].reason, 'foreign');
  assert.equal(foreign.resets[0].to, unknown.cursor);
  assert.equal(foreign.messages.length, 5);
});

inBoth('what cannot be done is said, and the connection lives on', async (t, ws) => {
  const channel = channelName();
  await ws.ask({ type: 'subscribe', channel });
  const refused = {
    subscribed: { type: 'subscribe', channel },
    'not-subscribed': { type: 'unsubscribe', channel: channelName() },
    unsupported: { type: 'presence', channel },
    'bad-request': { type: 'dance' },
  };
  for (const [code, command] of Object.entries(refused)) {
    const answer = await ws.ask(command);
    assert.deepEqual([answer.type, answer.code, answer.retry], ['error', code, false]);
    assert.equal(typeof answer.message, 'string');
  }
  for (const command of [
    {},
    { type: 7 },
    { type: 'subscribe' },
    { type: 'subscribe', channel: 'a b' },
    { type: 'subscribe', channel: 'x'.repeat(201) },
    { type: 'subscribe', channel: 'c', since: '12' },
    { type: 'subscribe', channel: 'c', since: 12 },
    { type: 'subscribe', channel: 'c', rewind: -1 },
    { type: 'subscribe', channel: 'c', rewind: 'all' },
    { type: 'subscribe', channel: 'c', sinse: '0' },
    { type: 'subscribe', channel: 'c', data: 1 },
    { type: 'publish', channel: 'c' },
    { type: 'publish', channel: 'c', data: 1, as: 'xml' },
    { type: 'publish', channel: 'c', data: 1, as: 'text' },
    { type: 'publish', channel: 'c', data: 'no base64!', as: 'binary' },
    { type: 'publish', channel: 'c', data: '1', event: 'reset' },
    { type: 'publish', channel: 'c', data: '1', once: 'k'.repeat(201) },
    { type: 'publish', channel: 'c', data: '1', if: 'never' },
    { type: 'history', channel: 'c', limit: 'many' },
    { type: 'auth' },
  ]) {
    const answer = await ws.ask(command);
    assert.deepEqual(
      [answer.type, answer.code],
      ['error', 'bad-request'],
      JSON.stringify([command, answer]),
    );
  }
  const opcode = isMsgpack(ws) ? OPCODE.binary : OPCODE.text;
  for (const [payload, code] of isMsgpack(ws)
    ? [
        [[0xc1], 'msgpack'],
        [[], 'msgpack'],
        [[0xdf, 255, 255, 255, 255], 'msgpack'],
        [[0x81, 0xa4, 0x74, 0x79], 'msgpack'],
        [[0x80, 0x80], 'msgpack'],
        [[0x91, 1], 'bad-request'],
        [[0x81, 0xa3, 0x72, 0x65, 0x66, 0x91, 1], 'bad-request'],
      ]
    : [
        ['', 'json'],
        ['{"type":"ping"', 'json'],
        ['[]', 'bad-request'],
        ['{"type":"ping","type":"ping"}', 'bad-request'],
        ['{"ref":{},"type":"ping"}', 'bad-request'],
        ['{"ref":1.5,"type":"ping"}', 'bad-request'],
        ['{"type":"\\ud800"}', 'bad-request'],
      ]) {
    ws.send(frame(opcode, payload));
    const answer = await ws.next();
    assert.deepEqual([answer.type, answer.code], ['error', code], JSON.stringify(answer));
  }
  assert.equal((await ws.ask({ type: 'ping' })).type, 'ok');
});

inBoth('many channels, no more than are allowed, changed while it is open', async (t, ws) => {
  const channels = Array.from({ length: 20 }, () => channelName('many'));
  for (const channel of channels) {
    assert.equal((await ws.ask({ type: 'subscribe', channel })).type, 'ok');
  }
  const beyond = await ws.ask({ type: 'subscribe', channel: channelName('many') });
  assert.deepEqual([beyond.code, beyond.retry], ['too-many-channels', false]);
  await ws.ask({ type: 'unsubscribe', channel: channels[7] });
  const late = channelName('many');
  assert.equal((await ws.ask({ type: 'subscribe', channel: late })).type, 'ok');
  const live = [...channels.filter((_, at) => at !== 7), late];
  for (const channel of [...channels, late]) await publish(channel, `{"c":"${channel}"}`);
  const seen = [];
  while (seen.length < live.length) seen.push((await ws.next()).channel);
  assert.deepEqual(seen.sort(), live.sort());
});

story('channels in the URL are subscribed at once, with since and rewind', async (t) => {
  const [a, b] = [channelName('url'), channelName('url')];
  const first = await publish(a, '{"n":1}');
  await publish(a, '{"n":2}');
  await publish(b, '{"n":3}');
  const ws = await openWs(t, node.url, { channels: [a, b], since: `${first},0` });
  const seen = new Map([
    [a, []],
    [b, []],
  ]);
  for (let n = 0; n < 4; n += 1) {
    const object = await ws.next();
    assert.equal(object.ref, undefined);
    seen.get(object.channel).push(object.type ?? object.data.n);
    if (object.channel === a && object.type === 'ok') assert.equal(object.position, first);
  }
  assert.deepEqual(
    [seen.get(a), seen.get(b)],
    [
      ['ok', 2],
      ['ok', 3],
    ],
  );
  const rewound = await openWs(t, node.url, { channels: [a], rewind: 1 });
  assert.equal((await rewound.next()).position, first);
  assert.deepEqual((await rewound.next()).data, { n: 2 });
});

story('a reset is told, and what follows it comes', async (t) => {
  const channel = channelName();
  const ws = await openWs(t, node.url);
  const position = await publish(channel, '{"n":1}');
  const epoch = Number(position.split('-')[0]);
  const from = `${epoch - 1000}-9`;
  const ok = await ws.ask({ type: 'subscribe', channel, since: from });
  assert.equal(ok.position, from);
  const { type, spread, ...reset } = await ws.next();
  assert.equal(type, 'reset');
  assert.ok(spread >= 0);
  assert.deepEqual(reset, { channel, from, to: `${epoch}-0`, reason: 'foreign' });
  assert.equal((await ws.next()).id, position);
  const metrics = await node.metrics();
  assert.ok(metrics.get('freshet_resets_total', { reason: 'foreign' }) > 0);
});

story('ephemeral messages come without id', async (t) => {
  const channel = channelName();
  const ws = await openWs(t, node.url, { channels: [channel] });
  await ws.next({ what: 'ok' });
  await redis.call('PUBLISH', `freshet:{${channel}}:now`, 'blink');
  const message = await ws.next();
  assert.deepEqual([message.channel, message.data, message.id], [channel, 'blink', undefined]);
});

story('each message is encoded once per language, whatever the number of readers', async (t) => {
  const alone = await cluster.startNode(['--workers', '1']);
  const channel = channelName();
  const opened = [];
  for (const protocol of [JSON_PROTOCOL, MSGPACK_PROTOCOL, undefined]) {
    for (let n = 0; n < 3; n += 1) {
      opened.push(await openWs(t, alone.url, { protocol, channels: [channel] }));
    }
  }
  for (const ws of opened) if (ws.protocol) await ws.next({ what: 'ok' });
  for (let n = 1; n <= 2; n += 1) {
    await publish(channel, `{"n":${n}}`);
    for (const ws of opened) await ws.next();
    const metrics = await alone.metrics();
    for (const kind of ['ws_json', 'ws_msgpack', 'ws_raw']) {
      assert.equal(metrics.get('freshet_frames_encoded_total', { kind }), n, kind);
    }
  }
});

story('connections, subscribers and deliveries are counted, and uncounted', async (t) => {
  const gauge = async (name) => (await node.metrics()).get(name, { transport: 'ws' });
  await eventually('the others are gone', async () => (await gauge('freshet_connections')) === 0);
  const channel = channelName();
  const delivered = await gauge('freshet_deliveries_total');
  const ws = await openWs(t, node.url, { channels: [channel] });
  await ws.next({ what: 'ok' });
  assert.equal(await gauge('freshet_connections'), 1);
  assert.equal(await gauge('freshet_subscribers'), 1);
  await publish(channel, '1');
  await ws.next();
  assert.equal(await gauge('freshet_deliveries_total'), delivered + 1);
  ws.close();
  await eventually('it is gone', async () => (await gauge('freshet_connections')) === 0);
  assert.equal(await gauge('freshet_subscribers'), 0);
  const held = async () => (await node.metrics()).get('freshet_channels');
  await eventually('nothing is subscribed in Redis', async () => (await held()) === 0);
});
