/** Browsers: which origins may read, and what a preflight is told. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { SseClient, assertProblem, query } from '../support/clients.js';
import { Connection, request } from '../support/http.js';
import { startNode } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { channelName, publish, story } from '../support/story.js';

const APP = 'https://app.example.com';
const OTHERS = [
  'https://app.example.com.evil.test',
  'https://evilapp.example.com',
  'http://app.example.com',
  'https://app.example.com:8443',
  'https://example.com',
  'null',
];

const redis = await startRedis();
after(() => redis.stop());

async function start(t, ...origins) {
  const args = ['--anonymous', '*', '--anonymous-publish', '*', '--publish-bytes', '1k'];
  for (const origin of origins) args.push('--origin', origin);
  const node = await startNode({ redis, args });
  t.after(() => node.stop());
  return node;
}

const TARGETS = ['/poll', '/history', '/sse', '/stream'];

/** The answer to a read with this Origin; streams are cut after their head. */
async function read(node, target, origin) {
  const channel = channelName();
  await publish(redis, channel, '1');
  const headers = { Origin: origin };
  if (target !== '/sse' && target !== '/stream') {
    return request(node.url, `${target}?${query([channel], { since: '0' })}`, { headers });
  }
  const connection = new Connection(node.url);
  try {
    await connection.request(`${target}?${query([channel])}`, { headers });
    const response = await connection.head();
    if (response.status !== 200) await response.done;
    return response;
  } finally {
    connection.close();
  }
}

function assertNoCors(response) {
  for (const [name] of response.fields) {
    assert.doesNotMatch(name, /^access-control-/i, `${response.status}`);
  }
}

story('without --origin only a page of the node itself may read', async (t) => {
  const node = await start(t);
  for (const target of TARGETS) {
    assert.equal((await read(node, target, node.url)).status, 200, target);
    for (const origin of [APP, ...OTHERS]) {
      const response = await read(node, target, origin);
      assertProblem(response, 403, 'origin');
      assertNoCors(response);
    }
  }
});

story('an origin that is listed may read, exactly as it is written', async (t) => {
  const node = await start(t, APP, 'http://localhost:3000');
  for (const target of TARGETS) {
    const response = await read(node, target, APP);
    assert.equal(response.status, 200, target);
    assert.equal(response.header('access-control-allow-origin'), APP);
    assert.match(response.header('vary') ?? '', /\borigin\b/i);
    const exposed = (response.header('access-control-expose-headers') ?? '').toLowerCase();
    for (const name of ['etag', 'freshet-stale', 'retry-after']) {
      assert.ok(exposed.split(/\s*,\s*/).includes(name), `${target} exposes ${name}`);
    }
    assert.equal((await read(node, target, 'http://localhost:3000')).status, 200);
    for (const origin of OTHERS) {
      const refused = await read(node, target, origin);
      assertProblem(refused, 403, 'origin');
      assertNoCors(refused);
    }
  }
});

story('* lets everybody read, never with credentials', async (t) => {
  const node = await start(t, '*');
  for (const target of TARGETS) {
    for (const origin of [APP, 'null']) {
      const response = await read(node, target, origin);
      assert.equal(response.status, 200);
      assert.ok(['*', origin].includes(response.header('access-control-allow-origin')));
      assert.equal(response.header('access-control-allow-credentials'), undefined);
    }
  }
});

story('errors can be read by an allowed origin too', async (t) => {
  const node = await start(t, APP);
  const response = await request(node.url, '/poll?channel=', { headers: { Origin: APP } });
  assertProblem(response, 400);
  assert.equal(response.header('access-control-allow-origin'), APP);
});

/** A POST that announces more than --publish-bytes: refused as soon as its head is there. */
async function tooLarge(node, headers) {
  const connection = new Connection(node.url);
  try {
    await connection.request('/publish?channel=a', {
      method: 'POST',
      headers: { ...headers, 'Content-Length': '1025' },
    });
    return await connection.response();
  } finally {
    connection.close();
  }
}

story('what is refused before its body has come can be read as well', async (t) => {
  const node = await start(t, APP);
  const response = await tooLarge(node, { Origin: APP });
  assertProblem(response, 413, 'too-large');
  assert.equal(response.header('access-control-allow-origin'), APP);
  for (const answer of [response, await tooLarge(node, {})]) {
    assertProblem(answer, 413, 'too-large');
    assert.match(answer.header('vary') ?? '', /\borigin\b/i);
    assert.equal(answer.header('cache-control'), 'no-store');
  }
  const foreign = await tooLarge(node, { Origin: 'https://evil.test' });
  assertProblem(foreign, 403, 'origin');
  assertNoCors(foreign);
});

story('the own host may be told with the port of its scheme, as proxies do', async (t) => {
  const node = await start(t);
  const ask = (Host, Origin) => request(node.url, '/poll?channel=a', { headers: { Host, Origin } });
  assert.equal((await ask('h.example:443', 'https://h.example')).status, 200);
  assert.equal((await ask('h.example:80', 'http://h.example')).status, 200);
  assertProblem(await ask('h.example:80', 'https://h.example'), 403, 'origin');
  assertProblem(await ask('h.example:443', 'https://h.example.evil.test'), 403, 'origin');
});

story('no page may use the admin port, whatever name it has bound to it', async (t) => {
  const node = await start(t, APP, '*');
  const channel = channelName();
  const rebound = {
    Host: `evil.test:${node.adminPort}`,
    Origin: `http://evil.test:${node.adminPort}`,
  };
  for (const headers of [rebound, { Origin: node.adminUrl }, { Origin: APP }, { Origin: 'null' }]) {
    for (const [method, path] of [
      ['POST', `/publish?channel=${channel}`],
      ['POST', '/drain'],
      ['GET', '/metrics'],
      ['OPTIONS', '/publish'],
    ]) {
      const preflight = { 'Access-Control-Request-Method': 'POST' };
      const refused = await node.admin(path, {
        method,
        headers: { ...headers, ...(method === 'OPTIONS' && preflight) },
        body: method === 'POST' ? '1' : undefined,
      });
      assertProblem(refused, 403, 'origin');
      assertNoCors(refused);
    }
  }
  assert.equal(await redis.call('EXISTS', `freshet:{${channel}}`), 0);
  assert.equal((await node.admin('/readyz')).status, 200, 'it does not drain');
  const own = { method: 'POST', body: '1' };
  assert.equal((await node.admin(`/publish?channel=${channel}`, own)).status, 200);
});

story('a publication from another origin is refused before it is one', async (t) => {
  const node = await start(t, APP);
  const channel = channelName();
  const publishFrom = (origin) =>
    request(node.url, `/publish?channel=${channel}`, {
      method: 'POST',
      headers: { Origin: origin, 'Content-Type': 'text/plain' },
      body: '1',
    });
  assertProblem(await publishFrom('https://evil.test'), 403, 'origin');
  assert.equal(await redis.call('EXISTS', `freshet:{${channel}}`), 0);
  assert.equal((await publishFrom(APP)).status, 200);
});

const preflight = (node, target, origin) =>
  request(node.url, target, {
    method: 'OPTIONS',
    headers: {
      Origin: origin,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type,idempotency-key',
    },
  });

story('preflights are answered for allowed origins, for ten minutes', async (t) => {
  const node = await start(t, APP);
  for (const target of [...TARGETS, '/publish']) {
    const response = await preflight(node, target, APP);
    assert.ok([200, 204].includes(response.status), `${target}: ${response.status}`);
    assert.equal(response.header('access-control-allow-origin'), APP);
    assert.equal(response.header('access-control-max-age'), '600');
    const allowed = response
      .header('access-control-allow-headers')
      .toLowerCase()
      .split(/\s*,\s*/);
    const due = 'authorization content-type idempotency-key if-none-match last-event-id prefer';
    for (const name of due.split(' ')) assert.ok(allowed.includes(name), name);
    assert.match(response.header('access-control-allow-methods') ?? '', /\bPOST\b/);
    const refused = await preflight(node, target, 'https://evil.test');
    assert.equal(refused.status, 403);
    assertNoCors(refused);
  }
});

story('a client that sends no Origin is no browser, and reads', async (t) => {
  const node = await start(t, APP);
  const sse = new SseClient(node.url, [channelName()]);
  t.after(() => sse.close());
  await sse.hello();
  assertNoCors(sse.response);
});
