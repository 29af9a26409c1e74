/** HTTP/1.1 as it comes over the wire: split, pipelined, wrong, hostile. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { assertProblem, poll, query } from '../support/clients.js';
import { Connection, exchange, request } from '../support/http.js';
import { channelName, startFileCluster, story } from '../support/story.js';
import { pause, within } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 1 });
const [node] = cluster.nodes;
const { url } = node;
const HOST = `Host: 127.0.0.1:${node.port}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const NEXT = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`;

function connect(t, to = url) {
  const connection = new Connection(to);
  t.after(() => connection.close());
  return connection;
}

/** Sends it with another request behind it: refused with one of the codes, closed, and no more. */
async function assertRefused(bytes, ...statuses) {
  const { connection, response, closed } = await exchange(url, bytes);
  try {
    const said = `${response.status} to ${JSON.stringify(String(bytes).slice(0, 120))}`;
    assert.ok(statuses.includes(response.status), said);
    assertProblem(response, response.status);
    assert.match(response.header('connection') ?? '', /^close$/i, said);
    await within(closed, `the connection closed after ${said}`, 5_000);
    assert.equal(connection.responses.seen.length, 1, `one answer only, ${said}`);
  } finally {
    connection.close();
  }
  assert.equal((await request(url, '/healthz')).status, 200, 'and the node lives on');
}

story('one connection serves one request after another', async (t) => {
  const connection = connect(t);
  for (const path of ['/healthz', '/readyz', '/poll', '/nowhere', '/healthz']) {
    await connection.request(path);
    await connection.response();
  }
  const statuses = connection.responses.seen.map((response) => response.status);
  assert.deepEqual(statuses, [200, 200, 400, 404, 200]);
});

story('pipelined requests are answered in order, a held one first', async (t) => {
  const channel = channelName();
  const id = await cluster.publish(channel, '1');
  const connection = connect(t);
  await connection.request(`/poll?${query([channel], { since: id, wait: 1 })}`);
  await connection.request(`/poll?${query([channel], { since: '0' })}`);
  await connection.request('/nowhere');
  assert.deepEqual((await connection.response()).json.messages, []);
  assert.equal((await connection.response()).json.messages.length, 1);
  assert.equal((await connection.response()).status, 404);
});

story('a hundred requests in one segment', async (t) => {
  const connection = connect(t);
  await connection.send(NEXT.repeat(100), Array(100).fill('GET'));
  for (let n = 0; n < 100; n += 1) assert.equal((await connection.response()).status, 200);
});

story('a request that comes byte by byte is a request', async (t) => {
  const channel = channelName();
  const connection = connect(t);
  const body = JSON.stringify({ channels: { [channel]: '' } });
  const text =
    `GET /poll?${query([channel])} HTTP/1.1\r\n${HOST}\r\n` +
    `POST /poll HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n\r\n${body}`;
  for (const [at, byte] of Buffer.from(text).entries()) {
    await connection.send(Buffer.from([byte]), at === 0 ? ['GET', 'POST'] : []);
    await new Promise(setImmediate);
  }
  assert.match((await connection.response()).json.cursor, /-0$/);
  assert.match((await connection.response()).json.cursor[channel], /-0$/);
});

story('an empty line before a request is ignored, the first of a connection or not', async (t) => {
  const connection = connect(t);
  await connection.send(`\r\n${NEXT}\r\n${NEXT}`, ['GET', 'GET']);
  await connection.send('\r\n', []);
  await connection.send(NEXT);
  for (let n = 0; n < 3; n += 1) assert.equal((await connection.response()).status, 200);
});

story('a chunked body, cut anywhere, is a body', async (t) => {
  const connection = connect(t);
  const channel = channelName();
  const body = JSON.stringify({ channels: { [channel]: '' } });
  const chunks = [...body].map((character) => `1\r\n${character}\r\n`).join('');
  const head = `POST /poll HTTP/1.1\r\n${HOST}${CHUNKED}\r\n`;
  for (const piece of `${head}${chunks}0\r\n\r\n${NEXT}`.match(/[^]{1,7}/g)) {
    await connection.send(piece, []);
  }
  assert.equal((await connection.response()).status, 200);
  assert.equal((await connection.response()).status, 200);
});

story('Connection: close and HTTP/1.0 end with the answer', async (t) => {
  for (const bytes of [
    `GET /healthz HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`,
    `GET /healthz HTTP/1.0\r\n\r\n`,
  ]) {
    const { connection, status, closed } = await exchange(url, bytes);
    t.after(() => connection.close());
    assert.equal(status, 200);
    assert.equal(await within(closed, 'closed', 5_000), 'end');
  }
});

story('an HTTP/1.0 client is never sent chunks', async (t) => {
  const connection = connect(t);
  await connection.send(`GET /stream?channel=${channelName()} HTTP/1.0\r\n${HOST}\r\n`);
  const response = await connection.head();
  assert.equal(response.header('transfer-encoding'), undefined);
});

story('a target in absolute form', async () => {
  const { connection, status } = await exchange(
    url,
    `GET http://127.0.0.1:${node.port}/healthz HTTP/1.1\r\n${HOST}\r\n`,
  );
  connection.close();
  assert.equal(status, 200);
});

story('a path nobody knows is 404, with a problem', async () => {
  for (const path of ['/nowhere', '/poll/', '/POLL', '/../etc/passwd', '//', '/%00']) {
    const response = await request(url, path);
    assert.ok([400, 404].includes(response.status), `${path}: ${response.status}`);
    assertProblem(response, response.status);
  }
  assertProblem(await request(url, '/nowhere'), 404);
});

story('a method that does not fit is 405 with Allow', async () => {
  for (const [method, path, allowed] of [
    ['PUT', '/poll', ['GET', 'POST']],
    ['DELETE', '/sse', ['GET', 'POST']],
    ['PATCH', '/stream', ['GET', 'POST']],
    ['POST', '/history', ['GET']],
    ['GET', '/publish', ['POST']],
    ['POST', '/healthz', ['GET']],
  ]) {
    const response = await request(url, path, { method });
    assertProblem(response, 405);
    const allow = (response.header('allow') ?? '').split(/\s*,\s*/);
    for (const name of allowed) assert.ok(allow.includes(name), `${path}: Allow ${allow}`);
    assert.equal(allow.includes(method), false);
  }
});

story('HEAD never brings a body', async (t) => {
  const connection = connect(t);
  for (const path of ['/healthz', '/nowhere', '/poll?channel=a&since=0']) {
    await connection.request(path, { method: 'HEAD' });
    const response = await connection.response();
    assert.ok([200, 404, 405].includes(response.status), `${path}: ${response.status}`);
    if (response.status === 405) assert.ok(response.header('allow'));
  }
  await connection.request('/healthz');
  assert.equal((await connection.response()).status, 200, 'the next answer is in its place');
});

story('OPTIONS and CONNECT harm nobody', async () => {
  const options = await request(url, '/poll', { method: 'OPTIONS' });
  assert.ok([200, 204, 405].includes(options.status), String(options.status));
  const { connection, status } = await exchange(url, `CONNECT 127.0.0.1:1 HTTP/1.1\r\n${HOST}\r\n`);
  connection.close();
  assert.ok([400, 404, 405, 501].includes(status), `no tunnel: ${status}`);
});

const lengths = ['5, 5', '5, 6', '+5', '-1', '0x5', '5 5', '18446744073709551616', '', 'five'];

for (const length of lengths) {
  story(`Content-Length: ${JSON.stringify(length)} is refused`, async () => {
    await assertRefused(
      `POST /publish?channel=a HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\n\r\nhello${NEXT}`,
      400,
    );
  });
}

story('two Content-Length fields that differ', async () => {
  const fields = 'Content-Length: 5\r\nContent-Length: 6\r\n';
  await assertRefused(`POST /publish?channel=a HTTP/1.1\r\n${HOST}${fields}\r\nhello${NEXT}`, 400);
});

story(
  'Transfer-Encoding with Content-Length: the request behind it is never answered',
  async () => {
    const chunked = '5\r\nhello\r\n0\r\n\r\n';
    for (const fields of [
      'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
      'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n',
      'Transfer-Encoding: chunked\r\nContent-Length: 0\r\n',
    ]) {
      const head = `POST /publish?channel=a HTTP/1.1\r\n${HOST}${fields}\r\n`;
      await assertRefused(`${head}${chunked}${NEXT}`, 400);
    }
  },
);

const codings = [
  'Transfer-Encoding: xchunked',
  'Transfer-Encoding: identity, chunked, identity',
  'Transfer-Encoding: chunked\x0b',
  'Transfer-Encoding : chunked',
  'Transfer-Encoding:\r\n chunked',
  'Transfer-Encoding: chunked, chunked',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity',
  'Transfer-Encoding: "chunked"',
];

for (const field of codings) {
  story(`${JSON.stringify(field)} is refused`, async () => {
    const head = `POST /publish?channel=a HTTP/1.1\r\n${HOST}${field}\r\n\r\n`;
    await assertRefused(`${head}5\r\nhello\r\n0\r\n\r\n${NEXT}`, 400, 501);
  });
}

const chunks = {
  'a size with 0x': '0x5\r\nhello\r\n0\r\n\r\n',
  'a negative size': '-1\r\nhello\r\n0\r\n\r\n',
  'a size of 17 digits': '10000000000000005\r\nhello\r\n0\r\n\r\n',
  'a bare LF': '5\nhello\n0\n\n',
  'no CRLF after the data': '5\r\nhelloXX0\r\n\r\n',
  'an empty size': '\r\nhello\r\n0\r\n\r\n',
};

for (const [what, body] of Object.entries(chunks)) {
  story(`a chunked body with ${what} is refused`, async () => {
    const head = `POST /publish?channel=a&type=text HTTP/1.1\r\n${HOST}`;
    await assertRefused(`${head}${CHUNKED}\r\n${body}${NEXT}`, 400, 413);
  });
}

story('a chunk extension of 64 KiB is refused', async () => {
  const head = `POST /publish?channel=a&type=text HTTP/1.1\r\n${HOST}${CHUNKED}`;
  await assertRefused(`${head}\r\n5;x=${'y'.repeat(65_536)}\r\nhello\r\n0\r\n\r\n`, 400, 413, 431);
});

const heads = {
  'HTTP/2.0 as version': `GET /healthz HTTP/2.0\r\n${HOST}\r\n`,
  'HTTP/9.9 as version': `GET /healthz HTTP/9.9\r\n${HOST}\r\n`,
  'no version': 'GET /healthz\r\n\r\n',
  'two Host fields': `GET /healthz HTTP/1.1\r\n${HOST}${HOST}\r\n`,
  'two different Hosts': `GET /healthz HTTP/1.1\r\n${HOST}Host: other\r\n\r\n`,
  'no Host': 'GET /healthz HTTP/1.1\r\n\r\n',
  'an empty Host': 'GET /healthz HTTP/1.1\r\nHost:\r\n\r\n',
  'a Host with a space': 'GET /healthz HTTP/1.1\r\nHost: bad host\r\n\r\n',
  'chunked on HTTP/1.0': `POST /publish?channel=a HTTP/1.0\r\n${HOST}${CHUNKED}\r\n0\r\n\r\n`,
  'a space before the colon': `GET /healthz HTTP/1.1\r\n${HOST}X : y\r\n\r\n`,
  'a folded field': `GET /healthz HTTP/1.1\r\n${HOST}X: y\r\n z\r\n\r\n`,
  'a field without a name': `GET /healthz HTTP/1.1\r\n${HOST}: y\r\n\r\n`,
  'NUL in a field': `GET /healthz HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`,
  'a bare CR in a field': `GET /healthz HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`,
  'a space in the target': `GET /health z HTTP/1.1\r\n${HOST}\r\n`,
  'no HTTP at all': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  'a TLS hello': Buffer.from('1603010200010001fc0303', 'hex'),
};

for (const [what, bytes] of Object.entries(heads)) {
  story(`a request with ${what} is refused`, async () => {
    const all = Buffer.concat([Buffer.from(bytes), Buffer.from(NEXT)]);
    await assertRefused(all, 400, ...(/version/.test(what) ? [505] : []));
  });
}

story('a method that nobody knows is 400 or 501', async () => {
  for (const method of ['get', 'BREW']) {
    await assertRefused(`${method} /healthz HTTP/1.1\r\n${HOST}\r\n${NEXT}`, 400, 501);
  }
});

story('a head of more than 16 KiB is 431, whichever part of it is long', async () => {
  const long = 'x'.repeat(17_000);
  await assertRefused(`GET /healthz HTTP/1.1\r\n${HOST}X: ${long}\r\n\r\n`, 431);
  await assertRefused(`GET /poll?channel=a&x=${long} HTTP/1.1\r\n${HOST}\r\n`, 431, 414);
  const some = 'X-Field: some value of some length\r\n'.repeat(60);
  assert.ok(some.length < 16_000);
  const { connection, status } = await exchange(url, `GET /healthz HTTP/1.1\r\n${HOST}${some}\r\n`);
  connection.close();
  assert.equal(status, 200, '61 fields in 2 KiB are fine');
});

story('more than 64 header fields are 431', async () => {
  for (const count of [64, 2000]) {
    const fields = Array.from({ length: count }, (_, n) => `X${n}: y\r\n`).join('');
    await assertRefused(`GET /healthz HTTP/1.1\r\n${HOST}${fields}\r\n`, 431);
  }
});

story('a head that never ends is 431, not memory', async (t) => {
  const connection = connect(t);
  await connection.send(`GET /healthz HTTP/1.1\r\n${HOST}`);
  for (let n = 0; n < 40; n += 1) {
    await connection.send(`X-${n}: ${'y'.repeat(1000)}\r\n`, []).catch(() => {});
    await pause(5);
    if (connection.latest) break;
  }
  assert.equal((await connection.response()).status, 431);
});

story('a refusal while a large body is unread: nothing of it is taken for a request', async (t) => {
  const connection = connect(t);
  const length = NEXT.length * 20_000;
  const head = `POST /nowhere HTTP/1.1\r\n${HOST}Content-Length: ${length}\r\n\r\n`;
  await connection.send(head, ['POST']);
  connection.socket.write(NEXT.repeat(20_000));
  const response = await connection.response();
  assert.ok([404, 413].includes(response.status), String(response.status));
  if (/close/i.test(response.header('connection') ?? '')) {
    await within(connection.closed, 'closed', 10_000);
    assert.equal(connection.responses.seen.length, 1);
  } else {
    await connection.request('/readyz');
    assert.equal((await connection.response()).status, 200);
    assert.equal(connection.responses.seen.length, 2, 'the body was read and thrown away');
  }
});

story('Expect: 100-continue is answered by 100, too large a body by 413 without it', async (t) => {
  const connection = connect(t);
  const path = `/publish?channel=${channelName()}`;
  const expect = { Expect: '100-continue', 'Content-Length': '1' };
  await connection.request(path, { method: 'POST', headers: expect });
  assert.equal((await connection.head()).status, 100);
  await connection.send('1', []);
  assert.equal((await connection.response()).status, 200);
  const huge = { Expect: '100-continue', 'Content-Length': String(100 * 1024 * 1024) };
  await connection.request(path, { method: 'POST', headers: huge });
  assert.equal((await connection.head()).status, 413);
});

story('an expectation that nobody knows is 417', async (t) => {
  const connection = connect(t);
  await connection.request('/healthz', { headers: { Expect: 'the-unexpected' } });
  assert.equal((await connection.head()).status, 417);
});

story('a channel name in a URL never becomes a header field', async () => {
  const response = await request(url, '/poll?channel=a%0d%0aSet-Cookie:%20x=1');
  assert.equal(response.status, 400);
  assert.equal(response.header('set-cookie'), undefined);
});

story('every error code with a status is in the table of node/README.md', async () => {
  const folder = new URL('../../node/', import.meta.url);
  const read = (file) => readFileSync(new URL(file, folder), 'utf8');
  const files = ['http/', 'auth/', 'transport/', 'api/'].flatMap((name) =>
    readdirSync(new URL(name, folder)).map((file) => `${name}${file}`),
  );
  const sent = files.flatMap((file) => [...read(file).matchAll(/\b[45]\d\d,\s*"([a-z-]+)"/g)]);
  const codes = new Set(sent.map(([, code]) => code));
  assert.ok(codes.size > 20, `${codes.size} codes found`);
  const table = read('README.md')
    .split('\n## ')
    .find((section) => section.startsWith('Errors\n'));
  const untold = [...codes].filter((code) => !table.includes(`\`${code}\``));
  assert.deepEqual(untold, []);
});

story('a slow head and an idle connection are ended in time', async (t) => {
  const strict = await cluster.startNode(['--header-timeout', '1s', '--keep-alive', '1s']);
  const slow = connect(t, strict.url);
  await slow.send('GET /healthz HTT');
  const idle = connect(t, strict.url);
  await idle.request('/healthz');
  await idle.response();
  const dripping = connect(t, strict.url);
  const drip = setInterval(() => dripping.send('X', []).catch(() => {}), 200);
  t.after(() => clearInterval(drip));
  await Promise.all([
    within(slow.closed, 'the slow one closed', 6_000),
    within(idle.closed, 'the idle one closed', 6_000),
    within(dripping.closed, 'the one that drips closed', 6_000),
  ]);
  for (const response of slow.responses.seen) assert.equal(response.status, 408);
});

story('half a request and a disconnect, many times, leave no connection behind', async () => {
  const count = async () => (await node.metrics()).get('freshet_connections') ?? 0;
  for (let n = 0; n < 50; n += 1) {
    const connection = new Connection(url);
    await connection.send('GET /sse?channel=a HTTP/1.1\r\nHo'.slice(0, 1 + (n % 30)));
    connection.close();
    await connection.closed;
  }
  const channel = channelName();
  const held = Array.from({ length: 20 }, () => new Connection(url));
  for (const connection of held) {
    await connection.request(`/poll?${query([channel], { wait: 50 })}`);
  }
  await pause(100);
  for (const connection of held) connection.close();
  const end = Date.now() + 10_000;
  while ((await count()) > 2 && Date.now() < end) await pause(50);
  assert.ok((await count()) <= 2, `${await count()} connections`);
  const id = await cluster.publish(channel, '1');
  assert.equal((await poll(url, [channel], { since: '0' })).json.cursor, id);
});
