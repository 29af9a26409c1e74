/** The life of a WebSocket: heartbeats, dead peers, slow readers, eager writers, drains, failures. */
import assert from 'node:assert/strict';
import { open } from '../support/readers.js';
import { channelName, startCluster, startFileCluster, story, versionOf } from '../support/story.js';
import { eventually, pause, within } from '../support/wait.js';
import { JSON_PROTOCOL, MSGPACK_PROTOCOL, OPCODE, WsClient, frame, openWs } from '../support/ws.js';

const cluster = await startFileCluster({
  nodes: 2,
  args: ['--ws-ping', '500ms', '--ws-pong', '1s', '--stall', '3s'],
});
const { publish } = cluster;
const [node, other] = cluster.nodes;
const closedAs = async (reason, of = node) =>
  (await of.metrics()).get('freshet_closed_total', { reason });
const openCount = async (of) =>
  (await of.metrics()).get('freshet_connections', { transport: 'ws' });

story('the server speaks as often as its hello says, and answered pings keep it', async (t) => {
  const ws = await openWs(t, node.url);
  assert.equal(ws.greeting.heartbeat, 500);
  const begin = Date.now();
  for (let n = 1; n <= 6; n += 1) {
    await ws.pings.next({ deadline: 3000 });
    assert.ok(Date.now() - begin <= n * 500 + 1000, `ping ${n} after ${Date.now() - begin} ms`);
  }
  assert.equal((await ws.ask({ type: 'ping' })).type, 'ok');
});

story('who does not answer pings is closed, counted, and leaves nothing', async (t) => {
  const before = await closedAs('dead_peer');
  const channel = channelName();
  const ws = await openWs(t, node.url, { pongs: false, channels: [channel] });
  const begin = Date.now();
  const { code } = await ws.end();
  assert.equal(code, 4408);
  assert.ok(Date.now() - begin >= 1000, 'closed before its time');
  await eventually('it is counted', async () => (await closedAs('dead_peer')) === before + 1);
  await eventually('nobody is left', async () => (await openCount(node)) === 0);
});

story('a ping on its way to a slow client, which moves, is waited for', async (t) => {
  const patient = await cluster.startNode(['--ws-ping', '200ms', '--ws-pong', '1s']);
  const channel = channelName();
  const count = 30;
  const body = JSON.stringify('x'.repeat(50_000));
  const ws = await openWs(t, patient.url, { channels: [channel] });
  await ws.next();
  ws.socket.pause();
  for (let n = 0; n < count; n += 1) await publish(channel, body);
  const begin = Date.now();
  ws.socket.on('data', () => ws.socket.pause());
  const reading = setInterval(() => ws.socket.resume(), 150);
  t.after(() => clearInterval(reading));
  for (let n = 0; n < count; n += 1) assert.equal((await ws.next()).data.length, 50_000);
  assert.ok(Date.now() - begin > 2000, 'it was not slow enough to need patience');
  assert.equal((await ws.ask({ type: 'ping' })).type, 'ok');
});

story('a client that was stopped like a dead one is closed too', async (t) => {
  const before = await closedAs('dead_peer');
  const ws = await openWs(t, node.url);
  ws.socket.pause();
  await eventually('it is closed', async () => (await closedAs('dead_peer')) === before + 1);
  await eventually('and gone', async () => (await openCount(node)) === 0);
});

story('a slow reader lags, hurts nobody, and gets everything when it reads again', async (t) => {
  const channel = channelName();
  const count = 300;
  const body = JSON.stringify('x'.repeat(30_000));
  const slow = await openWs(t, node.url, { channels: [channel] });
  const quick = await openWs(t, node.url, { channels: [channel], protocol: MSGPACK_PROTOCOL });
  const start = await slow.next();
  await quick.next();
  slow.socket.pause();
  const rss = async () => (await node.metrics()).get('freshet_backlog_bytes');
  for (let n = 0; n < count; n += 1) {
    await publish(channel, body);
    await quick.next(); // in time, whatever the slow one does
    if (n % 100 === 99) assert.ok((await rss()) < 64e6, 'the backlog grows with a slow reader');
    if (n % 20 === 19) {
      slow.socket.resume(); // so slow that it is behind, and not so slow that it is cut
      await pause(1);
      slow.socket.pause();
    }
  }
  slow.socket.resume();
  const begun = versionOf(start.position);
  for (let n = 1; n <= count; n += 1) {
    const message = await slow.next();
    assert.equal(message.type, undefined, JSON.stringify(message).slice(0, 200));
    assert.equal(versionOf(message.id), begun + n);
  }
});

story('who takes no byte for `stall` is cut', async (t) => {
  const channel = channelName();
  const before = await closedAs('stall');
  const ws = await openWs(t, node.url, { channels: [channel] });
  await ws.next();
  ws.socket.pause();
  const body = JSON.stringify('x'.repeat(500_000));
  let isOn = true;
  t.after(() => (isOn = false));
  const publishing = (async () => {
    while (isOn) {
      await publish(channel, body, 'HISTORY', 10);
      await pause(10);
    }
  })();
  await eventually('it is cut', async () => (await closedAs('stall')) === before + 1);
  isOn = false;
  await publishing;
  await eventually('nobody is left', async () => (await openCount(node)) === 0);
});

story(
  'a client that sends faster than it reads is not answered faster than it reads',
  async (t) => {
    const channel = channelName();
    for (let n = 0; n < 40; n += 1) {
      await publish(channel, JSON.stringify('x'.repeat(20_000)));
    }
    const ws = await openWs(t, node.url);
    ws.socket.pause();
    let refs = 0;
    const history = () =>
      frame(OPCODE.text, `{"ref":${(refs += 1)},"type":"history","channel":"${channel}"}`);
    const batch = () => Buffer.concat(Array.from({ length: 500 }, history));
    // Each answer is 800 KB: what it has asked for by the end is 400 MB and more.
    while (refs < 500 || ws.socket.writableLength < 256 * 1024) {
      ws.send(batch());
      await pause(5);
      assert.ok(refs < 200_000, 'the server reads on and on');
    }
    const waiting = ws.socket.writableLength;
    await pause(300);
    assert.equal(ws.socket.writableLength, waiting, 'it went on reading');
    const quick = await openWs(t, node.url);
    assert.equal((await quick.ask({ type: 'ping' })).type, 'ok');
    ws.socket.resume();
    for (let ref = 1; ref <= 20; ref += 1) {
      const answer = await ws.next();
      assert.deepEqual([answer.ref, answer.messages?.length], [ref, 40]);
    }
  },
);

story(
  'many publishes at once: all answered, in order, and the channel has them in order',
  async (t) => {
    const channel = channelName();
    const ws = await openWs(t, node.url);
    const count = 2000;
    const frames = Array.from({ length: count }, (_, n) =>
      frame(
        OPCODE.text,
        JSON.stringify({ ref: n + 1, type: 'publish', channel, data: { n: n + 1 } }),
      ),
    );
    ws.send(Buffer.concat(frames));
    for (let n = 1; n <= count; n += 1) {
      const answer = await ws.next();
      assert.deepEqual([answer.type, answer.ref], ['ok', n]);
      assert.equal(versionOf(answer.position), n);
    }
  },
);

story('a client that leaves in the middle of its publishes and reads harms nothing', async (t) => {
  const channel = channelName();
  for (let n = 0; n < 50; n += 1) {
    const ws = await openWs(t, node.url);
    const commands = [
      { type: 'subscribe', channel },
      { type: 'publish', channel, data: n },
      { type: 'history', channel },
      { type: 'history', channel: channelName() },
    ];
    for (const command of commands) ws.command(command);
    if (n % 2 === 0) await ws.next();
    if (n % 3 === 0) ws.socket.resetAndDestroy?.();
    ws.close();
  }
  await eventually('nobody is left', async () => (await openCount(node)) === 0);
});

story('10,000 pings are answered, and nobody else waits for it', async (t) => {
  const ws = await openWs(t, node.url);
  const quick = await openWs(t, node.url);
  ws.send(Buffer.concat(Array.from({ length: 10_000 }, () => frame(OPCODE.ping, 'p'))));
  const begin = Date.now();
  await quick.ask({ type: 'ping' });
  assert.ok(Date.now() - begin < 1000, `${Date.now() - begin} ms`);
  await ws.pongsSeen.take(10_000);
});

story('a drain says bye with a delay, and closes with 1001', async (t) => {
  const drained = await cluster.startNode(['--drain-grace', '10ms', '--drain-window', '10s']);
  const channel = channelName();
  const options = [JSON_PROTOCOL, MSGPACK_PROTOCOL, undefined].map((protocol) => ({
    protocol,
    channels: [channel],
  }));
  const opened = await Promise.all(options.map((one) => openWs(t, drained.url, one)));
  const silent = await openWs(t, drained.url);
  silent.pongs = false; // nor will it answer the close frame
  const stopped = drained.stop();
  for (const ws of opened) {
    if (ws.protocol) {
      assert.equal((await ws.next()).type, 'ok');
      const { type, reason, retry } = await ws.next();
      assert.deepEqual([type, reason], ['bye', 'drain']);
      assert.ok(Number(retry) >= 1 && Number(retry) <= 10_000, String(retry));
    }
    await eventually('the close frame', () => ws.closeFrame);
    ws.send(frame(OPCODE.close, Buffer.from([1001 >> 8, 1001 & 255])));
    assert.equal((await ws.end()).code, 1001);
  }
  assert.equal((await silent.end({ deadline: 5000 })).code, 1001);
  await within(stopped, 'the node has ended');
});

story(
  'a node is killed: a ws client goes on elsewhere by another transport, and back',
  async (t) => {
    const doomed = await cluster.startNode();
    const channel = channelName();
    const ws = await openWs(t, doomed.url, { channels: [channel] });
    const start = await ws.next();
    for (let n = 1; n <= 5; n += 1) await publish(channel, `{"n":${n}}`);
    let cursor;
    for (let n = 1; n <= 3; n += 1) cursor = (await ws.next()).id;
    await doomed.kill('SIGKILL');
    for (let n = 6; n <= 10; n += 1) await publish(channel, `{"n":${n}}`);
    const seen = [];
    for (const transport of ['sse', 'ws-msgpack', 'long-poll', 'ws']) {
      const reader = open({ transport, url: other.url, channels: [channel], since: cursor });
      t.after(() => reader.close());
      const message = await reader.next();
      seen.push(message.data.n);
      cursor = reader.cursor;
      reader.close();
      assert.deepEqual(reader.resets, []);
    }
    assert.deepEqual(seen, [4, 5, 6, 7]);
    assert.equal(versionOf(cursor), versionOf(start.position) + 7);
  },
);

story('Redis is away: stale, commands are told, and all goes on', async (t) => {
  const own = await startCluster(t, {
    nodes: 1,
    args: ['--ws-ping', '500ms'],
    redis: { appendonly: true },
  });
  const [alone] = own.nodes;
  const channel = channelName();
  const ws = await openWs(t, alone.url, { channels: [channel] });
  await ws.next();
  await own.redis.kill('SIGSTOP');
  const stale = await ws.next({ deadline: 10_000 });
  assert.equal(stale.type, 'stale');
  assert.ok(stale.seconds >= 3);
  const later = await ws.next();
  assert.ok(later.type === 'stale' && later.seconds >= stale.seconds, JSON.stringify(later));
  ws.command({ ref: 'late', type: 'publish', channel, data: 1 });
  const answer = await ws.waitFor((object) => object.ref === 'late');
  assert.deepEqual([answer.type, answer.retry], ['error', true]);
  assert.ok(['unknown', 'unavailable'].includes(answer.code), answer.code);
  ws.command({ ref: 'page', type: 'history', channel });
  const page = await ws.waitFor((object) => object.ref === 'page', { deadline: 20_000 });
  assert.deepEqual([page.type, page.code, page.retry], ['error', 'unavailable', true]);
  const raw = new WsClient(alone.url, { channels: [channelName()] });
  t.after(() => raw.close());
  const refused = await raw.head();
  assert.equal(refused.status, 503, refused.text);
  assert.equal(refused.headers['retry-after'], '1');
  ws.command({ ref: 'join', type: 'subscribe', channel: channelName() });
  await own.redis.kill('SIGCONT');
  const isOver = (object) => object.type === 'stale' && Number(object.seconds) === 0;
  const isJoined = (object) => object.type === 'ok' && object.ref === 'join';
  await eventually('stale is over, and the join is done', () =>
    [isOver, isJoined].every((is) => ws.objects.seen.some(is)),
  );
  await own.publish(channel, '"after"');
  await ws.waitFor((object) => object.data === 'after');
});
