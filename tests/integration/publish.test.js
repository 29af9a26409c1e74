/** POST /publish on the client port (with --anonymous-publish) and on the admin port. */
import assert from 'node:assert/strict';
import {
  POSITION,
  StreamClient,
  assertProblem,
  history,
  poll,
  postJson,
  query,
} from '../support/clients.js';
import { request } from '../support/http.js';
import { startNode } from '../support/node.js';
import { channelName, publish, startFileCluster, story } from '../support/story.js';
import { openWs } from '../support/ws.js';

const cluster = await startFileCluster({ nodes: 1 });
const { redis } = cluster;
const [node] = cluster.nodes;
const { url, adminUrl } = node;

const post = (body, headers) => postJson(url, '/publish', body, headers);

function postRaw(channel, body, { headers, ...params } = {}) {
  const path = `/publish?${query([channel], params)}`;
  return request(url, path, { method: 'POST', headers, body });
}

/** An empty array in so many others less one. */
const nested = (depth) => `${'['.repeat(depth)}${']'.repeat(depth)}`;

/** All messages of the channel. */
async function kept(channel) {
  return (await history(url, channel)).json.messages;
}

for (const [port, base] of [
  ['client', url],
  ['admin', adminUrl],
]) {
  story(`an object on the ${port} port is published and answered with its position`, async () => {
    const channel = channelName();
    const answer = await postJson(base, '/publish', { channel, data: { a: [1] }, event: 'note' });
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.header('content-type'), /^application\/json\b/);
    assert.deepEqual(Object.keys(answer.json), ['position']);
    assert.match(answer.json.position, POSITION);
    const [message] = await kept(channel);
    assert.equal(message.id, answer.json.position);
    assert.deepEqual([message.data, message.event], [{ a: [1] }, 'note']);
  });
}

story('the types: json by default, text and binary from strings', async () => {
  const channel = channelName();
  for (const body of [
    { channel, data: 'a string' },
    { channel, data: null },
    { channel, data: [1], type: 'json' },
    { channel, data: 'text\r\n', type: 'text' },
    { channel, data: 'AP8=', type: 'binary' },
  ]) {
    assert.equal((await post(body)).status, 200, JSON.stringify(body));
  }
  const messages = await kept(channel);
  assert.deepEqual(
    messages.map(({ data, encoding }) => [data, encoding]),
    [
      ['a string', undefined],
      [null, undefined],
      [[1], undefined],
      ['text\r\n', undefined],
      ['AP8=', 'base64'],
    ],
  );
  const stored = await redis.call('XRANGE', `freshet:{${channel}}:log`, '-', '+');
  const types = stored.map(([, fields]) => fields[fields.indexOf('type') + 1]);
  assert.deepEqual(types, ['json', 'json', 'json', 'text', 'binary']);
});

story('JSON data inside an object goes through byte for byte', async () => {
  const channel = channelName();
  const data = '{"big" : 12345678901234567890123, "k":1,"k":2, "e":1E+2}';
  const answer = await post(`{"channel":"${channel}", "data" : ${data} , "event":"x"}`);
  assert.equal(answer.status, 200, answer.text);
  const { text } = await history(url, channel);
  assert.ok(text.includes(`"data":${data}`), text);
});

story('a raw body with the channel in the URL', async () => {
  const channel = channelName();
  const bytes = Buffer.from([0, 1, 2, 255, 13, 10]);
  const text = await postRaw(channel, 'plain täxt', { type: 'text', event: 'said' });
  assert.equal(text.status, 200, text.text);
  assert.match(text.json.position, POSITION);
  assert.equal((await postRaw(channel, bytes, { type: 'binary' })).status, 200);
  assert.equal((await postRaw(channel, ' {"a" :1} ', { type: 'json' })).status, 200);
  assert.equal((await postRaw(channel, '{"by":"default json"}')).status, 200);
  const messages = await kept(channel);
  assert.deepEqual(
    messages.map((message) => message.data),
    ['plain täxt', bytes.toString('base64'), { a: 1 }, { by: 'default json' }],
  );
  assert.equal(messages[0].event, 'said');
  assert.ok((await history(url, channel)).text.includes('"data": {"a" :1} '));
});

story('an array: one result or problem each, in order', async () => {
  const [a, b] = [channelName(), channelName()];
  const answer = await post([
    { channel: a, data: 1 },
    { channel: 'bad name', data: 2 },
    { channel: b, data: 3, if: '1000000000000000-1' },
    { channel: a, data: 4, event: 'reset' },
    { channel: a, data: 5 },
  ]);
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.length, 5);
  const [one, two, three, four, five] = answer.json;
  assert.match(one.position, POSITION);
  assert.equal(two.status, 400);
  assert.equal(typeof two.code, 'string');
  assert.equal(three.status, 412);
  assert.equal(four.status, 400);
  assert.match(five.position, POSITION);
  assert.deepEqual(
    (await kept(a)).map(({ id, data }) => [id, data]),
    [
      [one.position, 1],
      [five.position, 5],
    ],
  );
});

story('an array of 1,000 is taken, in order; one of 1,001 is refused whole', async () => {
  const channel = channelName();
  const of = (count) => Array.from({ length: count }, (_, n) => ({ channel, data: n }));
  assertProblem(await post(of(1001)), 400);
  assert.deepEqual(await kept(channel), []);
  const answer = await post(of(1000));
  assert.equal(answer.status, 200);
  const positions = answer.json.map((result) => result.position);
  const messages = await kept(channel);
  assert.deepEqual(
    messages.map(({ id, data }) => [id, data]),
    positions.map((position, n) => [position, n]),
  );
});

story('once: a retry gets the first position and publishes nothing', async () => {
  const channel = channelName();
  const body = { channel, data: 1, once: 'order 17' };
  const first = await post(body);
  const again = await post({ ...body, data: 2 });
  const raw = await postRaw(channel, '3', { headers: { 'Idempotency-Key': 'order 17' } });
  const header = await post({ channel, data: 4 }, { 'Idempotency-Key': 'order 17' });
  for (const answer of [again, raw, header]) {
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.position, first.json.position);
  }
  const other = await post({ channel, data: 5 }, { 'Idempotency-Key': 'order 18' });
  assert.notEqual(other.json.position, first.json.position);
  assert.deepEqual(
    (await kept(channel)).map((message) => message.data),
    [1, 5],
  );
});

story('Idempotency-Key with an array is refused', async () => {
  const channel = channelName();
  assertProblem(await post([{ channel, data: 1 }], { 'Idempotency-Key': 'k' }), 400);
  assert.deepEqual(await kept(channel), []);
});

story('if: published only at that head, else 412 with the head', async () => {
  const channel = channelName();
  const first = await post({ channel, data: 1, if: 'none' });
  assert.equal(first.status, 200, first.text);
  const head = first.json.position;
  const refused = await post({ channel, data: 2, if: 'none' });
  assert.equal(assertProblem(refused, 412).head, head);
  const second = await post({ channel, data: 3, if: head });
  assert.equal(second.status, 200);
  assert.equal(
    assertProblem(await post({ channel, data: 4, if: head }), 412).head,
    second.json.position,
  );
  const unknown = await post({ channel: channelName(), data: 5, if: head });
  assert.equal(assertProblem(unknown, 412).head, 'none');
  assert.deepEqual(
    (await kept(channel)).map((message) => message.data),
    [1, 3],
  );
});

story('if at a channel that is open and empty: none and E-0 both match', async () => {
  for (const at of [0, 1]) {
    const channel = channelName();
    const { cursor } = (await poll(url, [channel])).json;
    const answer = await post({ channel, data: 1, if: ['none', cursor][at] });
    assert.equal(answer.status, 200, answer.text);
  }
});

story('history and ttl hold for this publication', async () => {
  const channel = channelName();
  for (let n = 0; n < 6; n += 1) await post({ channel, data: n, history: 2, ttl: 100 });
  const messages = await kept(channel);
  assert.deepEqual(
    messages.map((message) => message.data),
    [4, 5],
  );
  const ttl = await redis.call('TTL', `freshet:{${channel}}:log`);
  assert.ok(ttl > 85 && ttl <= 100, String(ttl));
});

const BAD_PUBLICATIONS = {
  'no channel': { data: 1 },
  'no data': { channel: 'a' },
  'a channel that is a number': { channel: 1, data: 1 },
  'a channel with a space': { channel: 'a b', data: 1 },
  'a channel with a brace': { channel: 'a}', data: 1 },
  'a channel with NUL': { channel: 'a\u0000', data: 1 },
  'an empty channel': { channel: '', data: 1 },
  'a channel of 201 bytes': { channel: 'x'.repeat(201), data: 1 },
  'a type nobody knows': { channel: 'a', data: 1, type: 'xml' },
  'text that is no string': { channel: 'a', data: 1, type: 'text' },
  'binary that is no base64': { channel: 'a', data: '***', type: 'binary' },
  'an empty event': { channel: 'a', data: 1, event: '' },
  'an event with a line end': { channel: 'a', data: 1, event: 'a\nid: 9' },
  'an event with CR': { channel: 'a', data: 1, event: 'a\r' },
  'an event beyond ASCII': { channel: 'a', data: 1, event: 'é' },
  'an event of 65 bytes': { channel: 'a', data: 1, event: 'e'.repeat(65) },
  'a once of 201 bytes': { channel: 'a', data: 1, once: 'k'.repeat(201) },
  'an if that is none': { channel: 'a', data: 1, if: 'x' },
  'a history of 0': { channel: 'a', data: 1, history: 0 },
  'a history of 100,001': { channel: 'a', data: 1, history: 100_001 },
  'a ttl of 0': { channel: 'a', data: 1, ttl: 0 },
  'a ttl of 31 days': { channel: 'a', data: 1, ttl: 31 * 86_400 },
};

for (const [what, body] of Object.entries(BAD_PUBLICATIONS)) {
  story(`refused: ${what}`, async () => {
    assertProblem(await post(body), 400);
    const answer = await post([body]);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json[0].status, 400);
  });
}

story('refused: the events that Freshet itself sends', async () => {
  const channel = channelName();
  const reserved = ['open', 'error', 'message', 'hello', 'reset', 'bye', 'ok', 'join', 'leave'];
  for (const event of [...reserved, 'stale']) {
    assertProblem(await post({ channel, data: 1, event }), 400);
    assertProblem(await postRaw(channel, '1', { event }), 400);
  }
  assert.deepEqual(await kept(channel), []);
});

story('refused: bodies that are no publication', async () => {
  for (const body of ['', '{', 'null', '1', '"x"', '{"channel":"a","data":1} x', '[1]x']) {
    assertProblem(await post(body), 400);
  }
});

story('JSON that Redis refuses is 400 with the code "json"', async () => {
  const channel = channelName();
  for (const data of ['{bad', '[1,]', '{"a"}', 'tru', '']) {
    assertProblem(await postRaw(channel, data, { type: 'json' }), 400, 'json');
  }
  for (const depth of [1_001, 2_000]) {
    const raw = await postRaw(channel, nested(depth), { type: 'json' });
    assert.match(assertProblem(raw, 400, 'json').detail, /100[01]/, 'it names the limit');
    const inside = await post(`{"channel":"${channel}","data":${nested(depth)}}`);
    assert.match(assertProblem(inside, 400, 'json').detail, /100[01]/, 'it names the limit');
  }
  assert.deepEqual(await kept(channel), []);
});

story('JSON of 1,000 levels, all that Redis takes, goes through in every form', async (t) => {
  const channel = channelName();
  const stream = new StreamClient(url, [channel]);
  t.after(() => stream.close());
  await stream.waitFor((line) => line.type === 'ok');
  const ws = await openWs(t, url);
  for (const depth of [126, 200, 998, 1_000]) {
    const data = nested(depth);
    assert.equal((await postRaw(channel, data, { type: 'json' })).status, 200);
    const object = `{"channel":"${channel}","data":${data}}`;
    assert.equal((await post(object)).status, 200, `an object with ${depth} levels`);
    const [result] = (await post(`[${object}]`)).json;
    assert.match(result.position ?? '', POSITION, `an array with ${depth} levels`);
    const ok = await ws.ask({ type: 'publish', channel, data: JSON.parse(data) });
    assert.equal(ok.type, 'ok', `a WebSocket's command with ${depth} levels`);
    await publish(redis, channel, data);
    for (let n = 0; n < 5; n += 1) {
      const line = await stream.waitFor((each) => each.type === undefined);
      assert.ok(line.text.includes(`"data":${data}`), `delivered with ${depth} levels`);
    }
  }
  assert.equal((await kept(channel)).length, 20);
  const bodies = (await poll(url, [channel], { since: '0' })).json.messages;
  assert.ok(bodies.every((message) => Array.isArray(message.data)));
});

story('data of 1 MiB is taken, a byte more is 413, and so is a body above the limit', async () => {
  const channel = channelName();
  const MIB = 1024 * 1024;
  assert.equal((await postRaw(channel, Buffer.alloc(MIB, 0x61), { type: 'text' })).status, 200);
  const above = await postRaw(channel, Buffer.alloc(MIB + 1, 0x61), { type: 'text' });
  assertProblem(above, 413);
  assertProblem(await postRaw(channel, Buffer.alloc(9 * MIB, 0x61), { type: 'text' }), 413);
  assert.equal((await kept(channel)).length, 1);
});

story(
  'closed by default: nobody may publish on the client port, the admin port is trusted',
  async (t) => {
    const closed = await startNode({ redis, args: ['--anonymous', '*'] });
    t.after(() => closed.stop());
    const channel = channelName();
    assertProblem(await postJson(closed.url, '/publish', { channel, data: 1 }), 403);
    const raw = await request(closed.url, `/publish?channel=${channel}`, {
      method: 'POST',
      body: '1',
    });
    assertProblem(raw, 403);
    assert.deepEqual(await kept(channel), []);
    const trusted = await postJson(closed.adminUrl, '/publish', { channel, data: 2 });
    assert.equal(trusted.status, 200);
  },
);

story('a pattern opens what it matches, and is literal but for its stars', async (t) => {
  const patterns = [
    '--anonymous',
    '*',
    '--anonymous-publish',
    'chat.*',
    '--anonymous-publish',
    'a?',
  ];
  const some = await startNode({ redis, args: patterns });
  t.after(() => some.stop());
  const status = async (channel) =>
    (await postJson(some.url, '/publish', { channel, data: 1 })).status;
  assert.equal(await status('chat.room'), 200);
  assert.equal(await status('chat.'), 200);
  assert.equal(await status('a?'), 200);
  for (const channel of ['ab', 'chat', 'chatXroom', 'my.chat.room']) {
    assert.equal(await status(channel), 403, channel);
  }
  const mixed = await postJson(some.url, '/publish', [
    { channel: 'chat.x', data: 1 },
    { channel: 'other', data: 1 },
  ]);
  assert.match(mixed.json[0].position, POSITION);
  assert.equal(mixed.json[1].status, 403);
});

story('publications are counted by result', async () => {
  const before = (await node.metrics()).get('freshet_publishes_total') ?? 0;
  await post({ channel: channelName(), data: 1 });
  await post({ channel: channelName(), data: 1 });
  assert.ok((await node.metrics()).get('freshet_publishes_total') >= before + 2);
});
