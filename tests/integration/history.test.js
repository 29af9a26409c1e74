/** GET /history: what Redis keeps of a channel. */
import assert from 'node:assert/strict';
import { assertProblem, history, poll } from '../support/clients.js';
import { request } from '../support/http.js';
import { channelName, epochOf, startFileCluster, story } from '../support/story.js';
import { openWs } from '../support/ws.js';

const cluster = await startFileCluster({ nodes: 1 });
const { publish, redis } = cluster;
const { url } = cluster.nodes[0];

const idsOf = (answer) => answer.json.messages.map((message) => message.id);

async function publishMany(channel, count, ...words) {
  const ids = [];
  for (let n = 1; n <= count; n += 1) ids.push(await publish(channel, String(n), ...words));
  return ids;
}

story('without since it begins with the oldest kept, without a reset', async () => {
  const channel = channelName();
  const ids = await publishMany(channel, 8, 'HISTORY', '3');
  const kept = (await redis.call('XRANGE', `freshet:{${channel}}:log`, '-', '+')).map(([id]) => id);
  const answer = await history(url, channel);
  assert.equal(answer.status, 200);
  assert.match(answer.header('content-type'), /^application\/json\b/);
  assert.deepEqual(idsOf(answer), kept);
  assert.equal(answer.json.cursor, ids[7]);
  assert.equal('resets' in answer.json || 'more' in answer.json, false);
});

story('since and limit make pages', async () => {
  const channel = channelName();
  const ids = await publishMany(channel, 5);
  const page = await history(url, channel, { since: ids[0], limit: 2 });
  assert.deepEqual(idsOf(page), [ids[1], ids[2]]);
  assert.equal(page.json.cursor, ids[2]);
  assert.equal(page.json.more, true);
  const rest = await history(url, channel, { since: page.json.cursor, limit: 2 });
  assert.deepEqual(idsOf(rest), [ids[3], ids[4]]);
  assert.equal(rest.json.more, undefined);
  assert.deepEqual(idsOf(await history(url, channel, { limit: 100_000 })), ids, 'clamped');
});

story('limit=0 asks whether there is more, here and at /poll', async (t) => {
  const channel = channelName();
  const ids = await publishMany(channel, 3);
  const base = `${epochOf(ids[0])}-0`;
  const ws = await openWs(t, url);
  const commands = async (name, { since }) => {
    const { messages, cursor, more } = await ws.ask({
      type: 'history',
      channel: name,
      since,
      limit: 0,
    });
    return { json: { messages, cursor, more } };
  };
  for (const read of [
    history,
    (_, name, params) => poll(url, [name], params),
    (_, ...rest) => commands(...rest),
  ]) {
    const ask = async (since) => {
      const { messages, cursor, more } = (await read(url, channel, { since, limit: 0 })).json;
      assert.deepEqual(messages, []);
      return [cursor, more];
    };
    assert.deepEqual(await ask('0'), [base, true]);
    assert.deepEqual(await ask(ids[1]), [ids[1], true]);
    assert.deepEqual(await ask(ids[2]), [ids[2], undefined]);
  }
  const rewound = await history(url, channel, { rewind: 2, limit: 0 });
  assert.deepEqual([rewound.json.cursor, rewound.json.more], [ids[0], true]);
  const unknown = await history(url, channelName(), { limit: 0 });
  assert.deepEqual([unknown.json.messages, unknown.json.more], [[], undefined]);
});

story('messages are complete: event, time, JSON byte for byte, base64, fork', async () => {
  const channel = channelName();
  await publish(channel, '{"a" : [1 ]}', 'EVENT', 'note');
  await publish(channel, Buffer.from([0, 255]), 'TYPE', 'binary');
  await publish(channel, 'text', 'TYPE', 'text');
  const answer = await history(url, channel);
  assert.ok(answer.text.includes('"data":{"a" : [1 ]}'));
  const [json, binary, text] = answer.json.messages;
  assert.deepEqual([json.channel, json.event], [channel, 'note']);
  assert.deepEqual([binary.data, binary.encoding], ['AP8=', 'base64']);
  assert.equal(text.data, 'text');
  assert.equal(typeof text.time, 'number');
});

story('a cursor from nowhere gets a reset', async () => {
  const channel = channelName();
  const ids = await publishMany(channel, 2);
  const answer = await history(url, channel, { since: '1000000000000000-1' });
  assert.equal(answer.json.resets.length, 1);
  assert.equal(answer.json.resets[0].reason, 'foreign');
  assert.equal(answer.json.resets[0].to, `${epochOf(ids[0])}-0`);
  assert.deepEqual(idsOf(answer), ids);
});

story('a channel that nobody published to has an empty history', async () => {
  const answer = await history(url, channelName());
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json.messages, []);
  assert.match(answer.json.cursor, /^\d{16}-0$/);
});

story('bad questions are refused', async () => {
  for (const target of ['/history', '/history?channel=a%20b', '/history?channel=a&since=x']) {
    assertProblem(await request(url, target), 400);
  }
});
