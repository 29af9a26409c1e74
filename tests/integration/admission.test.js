/** Admission: caps for each address and each user, the accept rate, and nobody else notices. */
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import EventSource from 'eventsource2';
import { SseClient, StreamClient, assertProblem, poll, postJson } from '../support/clients.js';
import { Connection, request } from '../support/http.js';
import { channelName, startFileCluster, story } from '../support/story.js';
import { KEY, bearer, mint } from '../support/token.js';
import { eventually, within } from '../support/wait.js';
import { JSON_PROTOCOL, WsClient, openWs } from '../support/ws.js';

const cluster = await startFileCluster({ nodes: 0 });
const { publish } = cluster;

/** A node that has forgotten whoever asked it whether it was ready. */
async function start(...args) {
  const node = await cluster.startNode(['--workers', '2', '--retry', '100ms', ...args]);
  await assertNothingIsLeft(node);
  return node;
}

const forwarded = (address) => ({ 'X-Forwarded-For': address });
const refused = async (node, reason) =>
  (await node.metrics()).get('freshet_refused_total', { reason });

/** Addresses and users that hold something: nobody, once all clients have left. */
async function assertNothingIsLeft(node) {
  await eventually('nothing is counted any more', async () => {
    const metrics = await node.metrics();
    return (
      metrics.get('freshet_counted_ips') === 0 &&
      metrics.get('freshet_counted_users') === 0 &&
      metrics.get('freshet_sockets') === 1 // this scrape's own
    );
  });
}

/** A request from any address of this machine; its answer's `body` grows until `ended` resolves. */
async function ask(node, path, { from = '127.0.0.1', headers, method, body } = {}) {
  const client = httpRequest(`${node.url}${path}`, {
    localAddress: from,
    agent: false,
    headers: { ...headers, ...(body && { 'Content-Length': Buffer.byteLength(body) }) },
    method,
  });
  client.on('error', () => {}); // its own end is told below
  client.end(body);
  const response = await within(
    new Promise((resolve, reject) => {
      client.once('response', resolve);
      client.once('upgrade', resolve);
      client.once('error', reject);
    }),
    `the answer to ${path} from ${from}`,
  );
  const answer = { status: response.statusCode, headers: response.headers, body: '' };
  answer.ended = new Promise((resolve) => response.once('close', resolve));
  response.on('data', (bytes) => (answer.body += bytes));
  response.on('error', () => {});
  answer.close = () => client.destroy();
  return answer;
}

/** What an EventSource hears that should come back: 200, `retry` within the spread, the end. */
async function assertComesBack(answer, { least = 100, most = 500 } = {}) {
  assert.equal(answer.status, 200);
  assert.match(answer.headers['content-type'], /^text\/event-stream\b/);
  await within(answer.ended, 'the end of the stream');
  const [, retry] = /^retry: (\d+)\n\n$/.exec(answer.body) ?? assert.fail(answer.body);
  assert.ok(least <= retry && retry <= most, `retry: ${retry}`);
}

async function assertTooMany(answer) {
  await within(answer.ended, 'the end of the answer');
  const told = {
    status: answer.status,
    text: answer.body,
    json: JSON.parse(answer.body),
    header: (name) => answer.headers[name],
  };
  assertProblem(told, 429, 'too-many');
  assert.match(answer.headers['retry-after'], /^[1-9]\d*$/);
}

const HANDSHAKE = {
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Protocol': JSON_PROTOCOL,
};

story('an address holds as many connections as it may, on all workers together', async (t) => {
  const node = await start('--connections-per-ip', '4');
  const channel = channelName();
  const path = `/sse?channel=${channel}`;
  const held = [];
  t.after(() => held.forEach((one) => one.close()));
  for (let n = 0; n < 4; n += 1) held.push(await ask(node, path, { from: '127.0.0.2' }));
  for (const one of held) await eventually('hello', () => one.body.includes('event: hello'));

  const from = '127.0.0.2';
  const json = JSON.stringify({ channels: { [channel]: '' } });
  await assertComesBack(await ask(node, path, { from }));
  await assertComesBack(await ask(node, '/sse', { from, method: 'POST', body: json }));
  await assertTooMany(await ask(node, `/stream?channel=${channel}`, { from }));
  await assertTooMany(await ask(node, `/poll?channel=${channel}`, { from }));
  await assertTooMany(await ask(node, '/poll', { from, method: 'POST', body: json }));
  await assertTooMany(await ask(node, '/ws', { from, headers: HANDSHAKE }));
  // Nobody has made this one a trusted proxy.
  await assertTooMany(await ask(node, '/poll', { from, headers: forwarded('192.0.2.1') }));
  assert.equal(await refused(node, 'per_ip'), 7);
  for (const health of ['/healthz', '/readyz']) {
    assert.equal((await ask(node, health, { from })).status, 200, 'its balancer may be there too');
  }

  const other = await ask(node, path, { from: '127.0.0.3' });
  held.push(other);
  await eventually('hello', () => other.body.includes('event: hello'));
  assert.equal((await node.metrics()).get('freshet_counted_ips'), 2);
  await publish(channel, '"news"');
  for (const one of held) await eventually('the news', () => one.body.includes('data: "news"'));

  held[0].close();
  await eventually('room again', async () => {
    const answer = await ask(node, path, { from });
    held.push(answer);
    return eventually('hello', () => answer.body.includes('event: hello'), { deadline: 300 });
  });
  for (const one of held) one.close();
  await assertNothingIsLeft(node);
});

story('behind a trusted proxy streams, held polls and sockets count by client', async (t) => {
  const node = await start('--connections-per-ip', '3', '--trusted-proxy', '127.0.0.1');
  const channel = channelName();
  const clients = [];
  t.after(() => clients.forEach((client) => client.close()));
  const add = (client) => clients.push(client) && client;
  const headers = forwarded('203.0.113.9, 192.0.2.1'); // the first is the client's invention

  await add(new SseClient(node.url, [channel], { headers })).hello();
  await add(new StreamClient(node.url, [channel], { headers })).started;
  const ws = await openWs(t, node.url, { channels: [channel], headers });
  assert.equal((await node.metrics()).get('freshet_counted_ips'), 1);

  const held = { ...headers, Prefer: 'wait=20' };
  await assertComesBack(await ask(node, `/sse?channel=${channel}`, { headers }));
  await assertTooMany(await ask(node, `/stream?channel=${channel}`, { headers }));
  await assertTooMany(await ask(node, `/poll?channel=${channel}`, { headers: held }));
  await assertTooMany(await ask(node, '/ws', { headers: { ...headers, ...HANDSHAKE } }));
  assert.equal(await refused(node, 'per_ip'), 4);
  const plain = await poll(node.url, [channel], { headers });
  assert.equal(plain.status, 200, 'what is answered at once holds nothing');

  // Others come through the same proxy: of IPv6 those of one /64 count as one, and who is
  // forwarded for no address at all counts as the proxy itself.
  const others = ['192.0.2.2', '2001:db8::1', '2001:db8::2:2', '[2001:db8::3]:80', 'unknown'];
  for (const address of others) {
    await add(new SseClient(node.url, [channel], { headers: forwarded(address) })).hello();
  }
  await add(new SseClient(node.url, [channel])).hello();
  assert.equal((await node.metrics()).get('freshet_counted_ips'), 4);
  await assertComesBack(
    await ask(node, `/sse?channel=${channel}`, { headers: forwarded('2001:db8::4') }),
  );
  await add(new SseClient(node.url, [channel], { headers: forwarded('2001:db8:0:1::') })).hello();

  const id = await publish(channel, '1');
  assert.equal((await clients[0].next()).id, id);
  assert.equal((await ws.waitFor((object) => object.id === id)).channel, channel);
  ws.close();
  await eventually('room for a held poll', async () => {
    const answer = await poll(node.url, [channel], { headers, since: 0, wait: 1 });
    return answer.status === 200 && answer.json.messages.length === 1;
  });
  for (const client of clients) client.close();
  await assertNothingIsLeft(node);
});

story('a connection that a proxy uses again holds nothing between its requests', async (t) => {
  const node = await start('--connections-per-ip', '1', '--trusted-proxy', '127.0.0.0/8');
  const channel = channelName();
  const id = await publish(channel, '1');
  const proxy = new Connection(node.url);
  t.after(() => proxy.close());
  const next = async (path, address, method = 'GET') => {
    await proxy.request(path, { method, headers: forwarded(address) });
    return proxy.response();
  };
  const held = new SseClient(node.url, [channel], { headers: forwarded('192.0.2.1') });
  t.after(() => held.close());
  await held.hello();
  for (let n = 0; n < 3; n += 1) {
    for (const address of ['192.0.2.2', '192.0.2.3']) {
      const answer = await next(`/poll?channel=${channel}&since=0&wait=20`, address);
      assert.equal(answer.json.messages[0].id, id);
      const head = await next(`/sse?channel=${channel}`, address, 'HEAD');
      assert.equal(head.status, 200);
    }
    const refusal = await next(`/poll?channel=${channel}&wait=20`, '192.0.2.1');
    assertProblem(refusal, 429, 'too-many');
  }
  held.close();
  proxy.close();
  await assertNothingIsLeft(node);
});

story('an EventSource that was told to come back gets in when there is room', async (t) => {
  const node = await start('--connections-per-ip', '1', '--trusted-proxy', '127.0.0.1');
  const channel = channelName();
  const headers = forwarded('192.0.2.1');
  const first = new SseClient(node.url, [channel], { headers });
  t.after(() => first.close());
  await first.hello();
  const source = new EventSource(`${node.url}/sse?channel=${channel}`, { headers });
  t.after(() => source.close());
  let hello = false;
  source.addEventListener('hello', () => (hello = true));
  await eventually('it came in vain, twice', async () => (await refused(node, 'per_ip')) >= 2);
  assert.equal(hello, false);
  first.close();
  await eventually('it is in', () => hello);
  source.close();
  await assertNothingIsLeft(node);
});

story('a user holds as many streams, held polls and sockets as it may', async (t) => {
  const node = await start('--connections-per-user', '3', '--auth-key', KEY);
  const channel = channelName();
  const headersOf = (sub) => bearer(mint({ sub, subscribe: '*' }));
  const headers = headersOf('ann');
  const clients = [];
  t.after(() => clients.forEach((client) => client.close()));
  const add = (client) => clients.push(client) && client;

  const sse = add(new SseClient(node.url, [channel], { headers }));
  await sse.hello();
  await openWs(t, node.url, { channels: [channel], headers }).then(add);
  await add(new StreamClient(node.url, [channel], { headers })).started;
  const body = JSON.stringify({ channels: { [channel]: '' } });
  await assertComesBack(await ask(node, `/sse?channel=${channel}`, { headers }));
  await assertComesBack(await ask(node, '/sse', { headers, method: 'POST', body }));
  await assertTooMany(await ask(node, `/stream?channel=${channel}`, { headers }));
  await assertTooMany(await ask(node, `/poll?channel=${channel}&wait=20`, { headers }));
  await assertTooMany(await ask(node, '/ws', { headers: { ...headers, ...HANDSHAKE } }));
  assert.equal(await refused(node, 'per_user'), 5);
  assert.equal((await poll(node.url, [channel], { headers })).status, 200, 'a plain poll');
  const published = await postJson(node.url, '/publish', { channel, data: 1 }, headers);
  assert.equal(published.status, 200);
  assert.equal((await sse.next()).id, published.json.position);

  // Another user, tokens without a user, nobody: none of them is counted for ann.
  const others = [headersOf('bob'), bearer(mint({ subscribe: '*' })), {}];
  for (const other of [...others, ...others]) {
    await add(new SseClient(node.url, [channel], { headers: other })).hello();
  }
  assert.equal((await node.metrics()).get('freshet_counted_users'), 2);
  sse.close();
  await eventually('room again', async () => {
    const again = add(new SseClient(node.url, [channel], { headers }));
    return again.hello();
  });
  for (const client of clients) client.close();
  await assertNothingIsLeft(node);
});

story('a token shown on a WebSocket counts from then on', async (t) => {
  const node = await start('--connections-per-user', '1', '--auth-key', KEY);
  const token = (sub, more) => mint({ sub, subscribe: '*', ...more });
  const auth = (sub) => ({ type: 'auth', token: token(sub) });
  const counted = async () => (await node.metrics()).get('freshet_counted_users');
  const first = await openWs(t, node.url);
  assert.equal(await counted(), 0);
  assert.equal((await first.ask(auth('ann'))).type, 'ok');
  assert.equal((await first.ask(auth('ann'))).type, 'ok', 'a new one of the same user');
  assert.equal(await counted(), 1);

  const second = await openWs(t, node.url);
  const answer = await second.ask(auth('ann'));
  assert.deepEqual([answer.type, answer.code, answer.retry], ['error', 'too-many', true]);
  const bye = await second.next();
  assert.deepEqual([bye.type, bye.reason, bye.retry > 0], ['bye', 'too-many', true]);
  second.send(Buffer.from([0x88, 0x80, 0, 0, 0, 0])); // the client's own close frame
  assert.deepEqual((await second.end()).code, 4429);
  assert.equal(await refused(node, 'per_user'), 1);
  assert.equal((await node.metrics()).get('freshet_closed_total', { reason: 'too_many' }), 1);

  assert.equal((await first.ask(auth('bob'))).type, 'ok', 'another user on the same socket');
  const third = await openWs(t, node.url);
  assert.equal((await third.ask(auth('ann'))).type, 'ok', 'who left room');
  assert.equal(await counted(), 2);
  assert.equal((await first.ask({ type: 'auth', token: 'forged' })).code, 'token');
  assert.equal(await counted(), 2, 'one that is not accepted changes nothing');
  first.close();
  third.close();
  await assertNothingIsLeft(node);
});

story('a user whose token has ended is nobody, and leaves room', async (t) => {
  const node = await start('--connections-per-user', '1', '--auth-key', KEY);
  const channel = channelName(); // --anonymous '*': it may read on without its token
  const exp = Date.now() / 1000 + 1;
  const ws = await openWs(t, node.url, {
    channels: [channel],
    headers: bearer(mint({ sub: 'ann', subscribe: '*', exp })),
  });
  assert.equal((await node.metrics()).get('freshet_counted_users'), 1);
  await eventually('nobody is counted', async () => {
    return (await node.metrics()).get('freshet_counted_users') === 0;
  });
  const id = await publish(channel, '1');
  await ws.waitFor((object) => object.id === id);
});

story('more connections a second than --accept-rate are told so, those before stay', async (t) => {
  const node = await start('--accept-rate', '40', '--retry', '1s');
  const channel = channelName();
  const before = Array.from({ length: 20 }, () => new SseClient(node.url, [channel]));
  t.after(() => before.forEach((client) => client.close()));
  await Promise.all(before.map((client) => client.hello()));

  const began = Date.now();
  const bursts = Array.from({ length: 500 }, (_, n) =>
    n % 2 === 0 ? ask(node, `/poll?channel=${channel}`) : ask(node, `/sse?channel=${channel}`),
  );
  const health = [ask(node, '/healthz'), ask(node, '/readyz')];
  const answers = await Promise.all(bursts);
  t.after(() => answers.forEach((answer) => answer.close()));
  const seconds = (Date.now() - began) / 1000;
  for (const answer of await Promise.all(health)) assert.equal(answer.status, 200);

  const polls = answers.filter((_, n) => n % 2 === 0);
  const turnedAway = polls.filter((answer) => answer.status !== 200);
  for (const answer of turnedAway) {
    assert.equal(answer.status, 503);
    await within(answer.ended, 'the end of the answer');
    assert.equal(JSON.parse(answer.body).code, 'overloaded');
    assert.match(answer.headers['retry-after'], /^[1-5]$/);
  }
  const streams = answers.filter((_, n) => n % 2 === 1);
  const told = streams.filter((answer) => answer.headers['content-length'] !== undefined);
  for (const answer of told) await assertComesBack(answer, { least: 1000, most: 5000 });
  const retries = told.map((answer) => Number(/\d+/.exec(answer.body)[0]));
  assert.ok(Math.max(...retries) - Math.min(...retries) > 1000, 'they come back spread');

  const count = turnedAway.length + told.length;
  assert.ok(500 - count <= 40 + 40 * (seconds + 1), `${500 - count} got in within ${seconds} s`);
  assert.ok((await refused(node, 'accept_rate')) >= count);
  assert.equal(await refused(node, 'connections'), 0);
  const id = await publish(channel, '1');
  for (const client of before) assert.equal((await client.next()).id, id);
  await eventually('later it is served', async () => {
    return (await request(node.url, `/poll?channel=${channel}`)).status === 200;
  });
});

story('a full node tells an EventSource by POST to come back as well', async (t) => {
  const node = await start('--connections', '2');
  const channel = channelName();
  const held = [new SseClient(node.url, [channel]), new SseClient(node.url, [channel])];
  t.after(() => held.forEach((client) => client.close()));
  await Promise.all(held.map((client) => client.hello()));
  const body = JSON.stringify({ channels: { [channel]: '' } });
  await assertComesBack(await ask(node, '/sse', { method: 'POST', body }));
  await assertComesBack(await ask(node, `/sse?channel=${channel}`));
  const refusal = await request(node.url, '/poll', { method: 'POST', body });
  assertProblem(refusal, 503, 'overloaded');
  const ws = new WsClient(node.url, { protocol: JSON_PROTOCOL });
  t.after(() => ws.close());
  assert.equal((await ws.head()).status, 503);
});

story('who is refused sends no body: it takes nothing from those who got in', async (t) => {
  const node = await start('--connections-per-ip', '1', '--publish-bytes', '1m');
  const first = new SseClient(node.url, [channelName()]);
  t.after(() => first.close());
  await first.hello();
  const connection = new Connection(node.url);
  t.after(() => connection.close());
  const head = ['POST /publish HTTP/1.1', 'Host: freshet', 'Content-Length: 1000000', '', '{"ch'];
  await connection.send(head.join('\r\n'), ['POST']);
  assertProblem(await connection.response(), 429, 'too-many');
  await within(connection.closed, 'the end of a connection whose body is not waited for');
});
