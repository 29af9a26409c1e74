/** The HTTP stream: one JSON object a line. */
import assert from 'node:assert/strict';
import { StreamClient } from '../support/clients.js';
import { channelName, epochOf, startFileCluster, story } from '../support/story.js';

const cluster = await startFileCluster({ nodes: 2 });
const { publish } = cluster;
const [first, second] = cluster.nodes;

function listen(t, channels, options = {}, node = first) {
  const client = new StreamClient(node.url, channels, options);
  t.after(() => client.close());
  return client;
}

const bare = ({ text, ...line }) => line;

story('a chunked response of application/x-ndjson', async (t) => {
  const stream = listen(t, [channelName()]);
  const response = await stream.started;
  assert.match(response.header('content-type'), /^application\/x-ndjson\b/);
  assert.equal(response.header('transfer-encoding'), 'chunked');
  assert.match(response.header('cache-control') ?? '', /no-store|no-cache/);
});

story('hello, then ok with the position of each channel, then messages', async (t) => {
  const [a, b] = [channelName(), channelName()];
  const a1 = await publish(a, '1');
  const b1 = await publish(b, '1');
  const stream = listen(t, [a, b]);
  const hello = await stream.next();
  assert.equal(hello.type, 'hello');
  assert.equal(hello.heartbeat, 15_000);
  assert.equal(typeof hello.node, 'string');
  const oks = [bare(await stream.next()), bare(await stream.next())];
  for (const [channel, position] of [
    [a, a1],
    [b, b1],
  ]) {
    const ok = oks.find((line) => line.channel === channel);
    assert.equal(ok?.type, 'ok');
    assert.equal(ok.position, position);
    assert.equal('ref' in ok, false);
  }
  const b2 = await publish(b, '{"x": [1]}', 'EVENT', 'note');
  const { time, ...message } = bare(await stream.next());
  assert.deepEqual(message, { channel: b, id: b2, event: 'note', data: { x: [1] } });
  assert.ok(Math.abs(Date.now() - time) < 60_000);
});

story('ok tells the position asked for; 0 and rewind: the one before what follows', async (t) => {
  const channel = channelName();
  const ids = [];
  for (let n = 1; n <= 4; n += 1) ids.push(await publish(channel, String(n)));
  const epoch = epochOf(ids[0]);
  for (const [params, position, count] of [
    [{}, ids[3], 0],
    [{ since: ids[1] }, ids[1], 2],
    [{ since: '0' }, `${epoch}-0`, 4],
    [{ rewind: 3 }, ids[0], 3],
  ]) {
    const stream = listen(t, [channel], params, second);
    const ok = await stream.waitFor((line) => line.type === 'ok');
    assert.equal(ok.position, position, JSON.stringify(params));
    for (const id of ids.slice(4 - count)) assert.equal((await stream.next()).id, id);
  }
});

story('Last-Event-ID is a cursor here as well', async (t) => {
  const channel = channelName();
  const ids = [await publish(channel, '1'), await publish(channel, '2')];
  const headers = { 'Last-Event-ID': ids[0] };
  const stream = listen(t, [channel], { since: '0', headers });
  assert.equal((await stream.waitFor((line) => line.type === 'ok')).position, ids[0]);
  assert.equal((await stream.next()).id, ids[1]);
});

story('a reset comes between ok and the messages', async (t) => {
  const channel = channelName();
  const id = await publish(channel, '1');
  const foreign = '1000000000000000-7';
  const stream = listen(t, [channel], { since: foreign });
  assert.equal((await stream.next()).type, 'hello');
  const ok = await stream.next();
  assert.deepEqual([ok.type, ok.position], ['ok', foreign]);
  const { spread, ...reset } = bare(await stream.next());
  const to = `${epochOf(id)}-0`;
  assert.deepEqual(reset, { type: 'reset', channel, from: foreign, to, reason: 'foreign' });
  assert.equal(typeof spread, 'number');
  assert.equal((await stream.next()).id, id);
});

story('binary, text and ephemeral messages', async (t) => {
  const channel = channelName();
  const stream = listen(t, [channel]);
  await stream.waitFor((line) => line.type === 'ok');
  await publish(channel, Buffer.from([0, 255]), 'TYPE', 'binary');
  await publish(channel, 'a\r\nb\u2028c', 'TYPE', 'text');
  await cluster.redis.call('PUBLISH', `freshet:{${channel}}:now`, 'now');
  const binary = await stream.next();
  assert.deepEqual([binary.encoding, binary.data], ['base64', 'AP8=']);
  assert.equal((await stream.next()).data, 'a\r\nb\u2028c');
  const ephemeral = await stream.next();
  assert.equal(ephemeral.data, 'now');
  assert.equal('id' in ephemeral, false);
});

story('CR and LF between JSON tokens become spaces; a message stays one line', async (t) => {
  const channel = channelName();
  const stream = listen(t, [channel]);
  await stream.waitFor((line) => line.type === 'ok');
  await publish(channel, '\n{"a"\r:\r\n"escaped\\n",\n"b":[\n]}\r\n');
  const line = await stream.next();
  assert.deepEqual(line.data, { a: 'escaped\n', b: [] });
  assert.match(line.text, /"data": \{"a" : {1,2}"escaped\\n", "b":\[ \]\} {1,2}/);
});

story('empty lines are the heartbeat', async (t) => {
  const node = await cluster.startNode(['--heartbeat', '200ms']);
  const channel = channelName();
  const stream = listen(t, [channel], {}, node);
  assert.equal((await stream.next()).heartbeat, 200);
  const began = Date.now();
  await stream.heartbeats.take(5);
  const took = Date.now() - began;
  assert.ok(took >= 400 && took < 5_000, `${took} ms for five heartbeats`);
  const id = await publish(channel, '1');
  assert.equal((await stream.waitFor((line) => line.id !== undefined)).id, id);
});

story('POST takes the channels as an object', async (t) => {
  const [a, b] = [channelName(), channelName()];
  const a1 = await publish(a, '1');
  const stream = listen(t, [], {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ channels: { [a]: '0', [b]: '' } }),
  });
  assert.equal((await stream.next()).type, 'hello');
  const due = new Set([a, b]);
  let message;
  while (due.size > 0 || !message) {
    const line = await stream.next();
    if (line.type === 'ok') due.delete(line.channel);
    else message = line;
  }
  assert.equal(message.id, a1);
});
