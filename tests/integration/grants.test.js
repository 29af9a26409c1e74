/** Tokens: who may read and publish what, until when, and what those hear who may not. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import {
  SseClient,
  StreamClient,
  assertProblem,
  history,
  poll,
  postJson,
  query,
} from '../support/clients.js';
import { Connection, request } from '../support/http.js';
import { runNode, startNode } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { channelName, publish, story } from '../support/story.js';
import { KEY, bearer, inSeconds, mint } from '../support/token.js';
import { within } from '../support/wait.js';

const APP = 'https://app.example.com';
const redis = await startRedis();
const args = ['--auth-key', KEY, '--anonymous', 'public*', '--anonymous-publish', 'box*'];
const node = await startNode({ redis, args: [...args, '--origin', APP, '--log-level', 'debug'] });
after(async () => {
  await node.stop();
  await redis.stop();
});

const TARGETS = ['/poll', '/history', '/sse', '/stream'];

/** The answer to a read; streams are cut after their head. */
async function read(target, channel, headers = {}, url = node.url) {
  const since = target === '/poll' ? { since: [channel].flat().map(() => '0').join() } : {};
  const connection = new Connection(url);
  try {
    await connection.request(`${target}?${query([channel].flat(), since)}`, { headers });
    const response = await connection.head();
    const isStream = response.status === 200 && /^\/(sse|stream)$/.test(target);
    if (!isStream) await response.done;
    return response;
  } finally {
    connection.close();
  }
}

const raw = (channel, headers = {}, url = node.url) =>
  request(url, `/publish?channel=${encodeURIComponent(channel)}`, {
    method: 'POST',
    headers: { 'Content-Type': 'text/plain', ...headers },
    body: 'text',
  });

story('who has no token is asked for one, on every transport', async () => {
  for (const target of TARGETS) {
    const response = await read(target, 'secret');
    assert.match(assertProblem(response, 401, 'token').detail, /"subscribe".*\bsecret$/);
    assert.equal(response.header('www-authenticate'), 'Bearer');
    assert.equal(response.header('cache-control'), 'no-store');
  }
  const response = await raw('secret');
  assert.match(assertProblem(response, 401, 'token').detail, /"publish".*\bsecret$/);
  assert.equal(response.header('www-authenticate'), 'Bearer');
  assert.equal(await redis.call('EXISTS', 'freshet:{secret}'), 0);
});

story('a token opens its channels beside those that are open to all, and no others', async () => {
  const exp = inSeconds(60);
  const token = mint({ sub: 'ann', subscribe: ['news.*', 'a'], publish: 'desk', exp });
  for (const target of TARGETS) {
    for (const channel of ['news.x', 'a', 'public1']) {
      assert.equal((await read(target, channel, bearer(token))).status, 200, channel);
    }
    const response = await read(target, 'desk', bearer(token));
    assert.match(assertProblem(response, 403, 'forbidden').detail, /"subscribe".*\bdesk$/);
  }
  assertProblem(await read('/poll', ['a', 'desk'], bearer(token)), 403, 'forbidden');
  assert.equal((await raw('desk', bearer(token))).status, 200);
  assert.equal((await raw('box', bearer(token))).status, 200);
  assertProblem(await raw('a', bearer(token)), 403, 'forbidden');
});

story('patterns are literal but for the star, and none reaches Redis', async () => {
  const token = mint({ subscribe: 'news.a' });
  const wide = mint({ subscribe: ['news[ab]', 'n?ws', 'x.*'] });
  for (const channel of ['news.*', 'news[ab]', 'news.?', '?', 'news.ab', 'News.a', 'news.b']) {
    for (const target of TARGETS) {
      assertProblem(await read(target, channel, bearer(token)), 403, 'forbidden');
    }
  }
  for (const channel of ['newsa', 'news', 'n1ws', 'xx', 'x']) {
    assertProblem(await read('/poll', channel, bearer(wide)), 403, 'forbidden');
  }
  for (const channel of ['news[ab]', 'n?ws', 'x.', 'x.*']) {
    const sse = new SseClient(node.url, [channel], { headers: bearer(wide) });
    await sse.hello();
    sse.close();
  }
  assert.equal(await redis.call('PUBSUB', 'NUMPAT'), 0);
});

/** What nobody should believe. */
function forgedTokens() {
  const claims = { sub: 'mallory', subscribe: '*', publish: '*' };
  const good = mint(claims);
  const [head, body, signature] = good.split('.');
  const flipped = `${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`;
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' });
  const rsText = mint(claims, { header: { alg: 'RS256' } }).split('.').slice(0, 2).join('.');
  const rs = `${rsText}.${sign('sha256', Buffer.from(rsText), privateKey).toString('base64url')}`;
  const by = (header, key = KEY) => mint(claims, { header, key });
  return {
    none: by({ alg: 'none' }),
    None: by({ alg: 'None' }),
    NONE: by({ alg: 'NONE' }),
    nOnE: by({ alg: 'nOnE' }),
    'none, unsigned': `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`,
    'an RSA public key': by({ alg: 'HS256' }, pem),
    'an RSA public key as RS256': by({ alg: 'RS256' }, pem),
    'a true RS256': rs,
    'empty signature': `${head}.${body}.`,
    'no signature': `${head}.${body}`,
    'flipped signature': `${head}.${body}.${flipped}`,
    'other claims': `${head}.${mint({ ...claims, sub: 'ann' }).split('.')[1]}.${signature}`,
    expired: mint({ ...claims, exp: inSeconds(-1) }),
    'not yet': mint({ ...claims, nbf: inSeconds(60) }),
    'for another audience': mint({ ...claims, aud: 'another' }),
    'kid as a path': by({ alg: 'HS256', kid: '../../dev/null' }, ''),
    'kid as SQL': by({ alg: 'HS256', kid: "x' UNION SELECT 'key" }, 'key'),
    'its own jwk': by({ alg: 'HS256', jwk: { kty: 'oct', k: 'a2V5' } }, 'key'),
    jku: by({ alg: 'HS256', jku: 'http://127.0.0.1:1/keys' }, 'key'),
    'alg twice': by('{"alg":"HS256","alg":"HS256"}'),
    crit: by({ alg: 'HS256', crit: ['exp'] }),
    'exp as text': mint({ ...claims, exp: '9999999999' }),
    'exp: null': mint({ ...claims, exp: null }),
    'padded base64': `${good}=`,
    '9 KiB': mint({ ...claims, x: 'x'.repeat(9 * 1024) }),
    nonsense: 'nonsense',
  };
}

story('what is not accepted is refused in the same words, whatever is wrong with it', async () => {
  const answers = new Map();
  for (const [what, token] of Object.entries(forgedTokens())) {
    for (const target of TARGETS) {
      const response = await read(target, 'secret', bearer(token));
      assertProblem(response, 401, 'token');
      assert.equal(response.header('www-authenticate'), 'Bearer');
      answers.set(response.text, [...(answers.get(response.text) ?? []), what]);
    }
    assertProblem(await raw('secret', bearer(token)), 401, 'token');
    assert.ok(!node.log.includes(token), `${what}: not in the log`);
  }
  assert.equal(answers.size, 1, JSON.stringify([...answers]));
  assert.ok(!node.log.includes(KEY), 'nor is the key');
  const large = mint({ x: 'x'.repeat(75 * 1024) });
  assert.equal((await read('/poll', 'secret', bearer(large))).status, 431);
});

story('a token that is not accepted takes nothing away from what is open to all', async () => {
  const channel = channelName('public');
  for (const target of TARGETS) {
    assert.equal((await read(target, channel, bearer('nonsense'))).status, 200);
  }
});

story('what kid, jku and jwk say does not matter to a true signature', async () => {
  const header = { alg: 'HS256', kid: '../../dev/null', jku: 'http://127.0.0.1:1/', jwk: {} };
  const token = mint({ subscribe: 'a' }, { header });
  assert.equal((await read('/poll', 'a', bearer(token))).status, 200);
});

const cookie = (token, name = 'freshet') => ({ Cookie: `theme=dark; ${name}=${token}; x=y` });

story('a cookie does on GET; on POST only with an allowed origin', async (t) => {
  const token = mint({ subscribe: 'a', publish: 'a' });
  for (const target of TARGETS) {
    assert.equal((await read(target, 'a', cookie(token))).status, 200);
    const response = await read(target, 'a', { ...cookie(token), Origin: APP });
    assert.equal(response.status, 200);
    assert.equal(response.header('access-control-allow-credentials'), 'true');
    const foreign = await read(target, 'a', { ...cookie(token), Origin: 'https://evil.test' });
    assertProblem(foreign, 403, 'origin');
  }
  const body = { channels: { a: '' } };
  assertProblem(await raw('a', cookie(token)), 401, 'token');
  assertProblem(await postJson(node.url, '/poll', body, cookie(token)), 401, 'token');
  for (const origin of [APP, node.url]) {
    const headers = { ...cookie(token), Origin: origin };
    assert.equal((await raw('a', headers)).status, 200);
    assert.equal((await postJson(node.url, '/poll', body, headers)).status, 200);
  }
  const other = await startNode({
    redis,
    args: [...args, '--origin', '*', '--auth-cookie', 'session'],
  });
  t.after(() => other.stop());
  assert.equal((await read('/poll', 'a', cookie(token, 'session'), other.url)).status, 200);
  assertProblem(await read('/poll', 'a', cookie(token), other.url), 401, 'token');
  for (const origin of [APP, 'null']) {
    const headers = { ...cookie(token, 'session'), Origin: origin };
    const response = await read('/poll', 'a', headers, other.url);
    assertProblem(response, 401, 'token');
    assert.equal(response.header('access-control-allow-origin'), '*');
    assertProblem(await raw('a', headers, other.url), 401, 'token');
    const token2 = { ...bearer(token), Origin: origin };
    assert.equal((await read('/poll', 'a', token2, other.url)).status, 200);
  }
});

story('a preflight of the application lets it send its token', async () => {
  const response = await request(node.url, '/poll?channel=a', {
    method: 'OPTIONS',
    headers: {
      Origin: APP,
      'Access-Control-Request-Method': 'GET',
      'Access-Control-Request-Headers': 'authorization',
    },
  });
  assert.equal(response.status, 204);
  assert.match(response.header('access-control-allow-headers'), /\bAuthorization\b/i);
  assert.equal(response.header('access-control-allow-credentials'), 'true');
  assert.equal(response.header('access-control-allow-origin'), APP);
});

story('no page of another origin reaches the trusted port', async () => {
  const response = await raw('a', { Origin: APP }, node.adminUrl);
  assertProblem(response, 403, 'origin');
  assert.equal((await raw('a', {}, node.adminUrl)).status, 200);
});

story('shared caches keep what is open to all, and nothing else', async () => {
  const headers = bearer(mint({ subscribe: '*' }));
  const first = await publish(redis, 'public-cached', '1');
  const second = await publish(redis, 'private-cached', '1');
  const open = await poll(node.url, ['public-cached'], { since: first, headers });
  assert.equal(open.header('cache-control'), 'public, no-cache');
  const closed = await poll(node.url, ['private-cached'], { since: second, headers });
  assert.equal(closed.header('cache-control'), 'private, no-cache');
  const both = await poll(node.url, ['public-cached', 'private-cached'], {
    since: `${first},${second}`,
    headers,
  });
  assert.equal(both.header('cache-control'), 'private, no-cache');
  // Whoever knows the tag but has no right is told nothing.
  const tag = { 'If-None-Match': closed.header('etag') };
  const asked = await poll(node.url, ['private-cached'], { since: second, headers: tag });
  assertProblem(asked, 401, 'token');
});

story('each publication of an array is judged by itself', async () => {
  const token = mint({ publish: 'desk:*' });
  const channels = ['desk:1', 'other', 'box1', 'desk:2'];
  const response = await postJson(
    node.url,
    '/publish',
    channels.map((channel) => ({ channel, data: 1 })),
    bearer(token),
  );
  assert.equal(response.status, 200);
  assert.deepEqual(
    response.json.map((result) => result.code ?? typeof result.position),
    ['string', 'forbidden', 'string', 'string'],
  );
  assert.equal(await redis.call('EXISTS', 'freshet:{other}'), 0);
});

/** The end of what a queue holds; fails when it does not come. */
const ended = (queue) => assert.rejects(queue.waitFor(() => false), /the stream has ended/);

story('streams end with their token, and not before', async (t) => {
  const exp = inSeconds(2);
  const headers = bearer(mint({ subscribe: 'a', exp }));
  const sse = new SseClient(node.url, ['a'], { headers });
  const stream = new StreamClient(node.url, ['a'], { headers });
  const open = new SseClient(node.url, ['public-open'], { headers });
  for (const client of [sse, stream, open]) t.after(() => client.close());
  await Promise.all([sse.hello(), open.hello(), stream.waitFor((line) => line.type === 'ok')]);
  await publish(redis, 'a', '"before"');
  assert.equal((await sse.next()).data, '"before"');
  const bye = await stream.waitFor((line) => line.type === 'bye');
  assert.ok(Date.now() / 1000 >= exp - 0.01, 'not early');
  assert.ok(Date.now() / 1000 < exp + 5, 'not late');
  assert.equal(bye.reason, 'token');
  assert.ok(bye.retry > 0);
  await ended(stream.lines);
  await ended(sse.events);
  assert.ok(sse.parser.retry > 0);
  assertProblem(await read('/sse', 'a', headers), 401, 'token');
  // What needs no token does not end with it.
  const position = await publish(redis, 'public-open', '1');
  assert.equal((await open.next()).id, position);
});

story('a held long poll ends with its token', async () => {
  const exp = inSeconds(1.5);
  const headers = bearer(mint({ subscribe: 'a', exp }));
  const response = await within(poll(node.url, ['a'], { wait: 30, headers }), 'an answer');
  assertProblem(response, 401, 'token');
  assert.ok(Date.now() / 1000 >= exp - 0.01 && Date.now() / 1000 < exp + 5);
  const open = poll(node.url, ['public-held'], { wait: 3, headers: bearer(mint({ exp })) });
  assert.equal((await open).status, 200);
});

story('history is read by the same right', async () => {
  const channel = channelName('kept');
  await publish(redis, channel, '1');
  const headers = bearer(mint({ subscribe: channel }));
  assert.equal((await history(node.url, channel, { headers })).json.messages.length, 1);
});

story('what was refused is counted', async () => {
  const before = await node.metrics();
  await read('/poll', 'secret');
  await raw('secret');
  await read('/poll', 'secret', bearer(mint({})));
  await read('/poll', 'secret', { Origin: 'https://evil.test' });
  const now = await node.metrics();
  const counted = (reason) =>
    now.get('freshet_refused_total', { reason }) -
    before.get('freshet_refused_total', { reason });
  assert.deepEqual(['token', 'forbidden', 'origin'].map(counted), [2, 1, 1]);
});

story('keys are changed by giving two; a file holds one a line', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'freshet-keys-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'keys');
  const [first, second, third] = ['first', 'second', 'third'].map((word) => word.padEnd(40, '.'));
  writeFileSync(file, `${first}\n${second}\n`);
  const other = await startNode({ redis, args: ['--auth-key', `@${file}`, '--auth-key', third] });
  t.after(() => other.stop());
  for (const key of [first, second, third]) {
    const headers = bearer(mint({ subscribe: 'a' }, { key }));
    assert.equal((await read('/poll', 'a', headers, other.url)).status, 200);
  }
  const headers = bearer(mint({ subscribe: 'a' }));
  assertProblem(await read('/poll', 'a', headers, other.url), 401, 'token');
});

story('a key that is too short, or not there, is one clear line and no secret', async () => {
  for (const [value, says] of [
    ['s3cret', /^freshet-node: --auth-key: .*32 bytes.*\n$/],
    ['@/nonexistent/key', /^freshet-node: --auth-key: .*\/nonexistent\/key.*\n$/],
  ]) {
    const { code, stderr } = await runNode(['--auth-key', value]);
    assert.equal(code, 2);
    assert.match(stderr, says);
    assert.doesNotMatch(stderr, /s3cret/);
  }
  const { stdout } = await runNode(['--auth-key', KEY, '--check-config']);
  assert.match(stdout, /^auth-key = \*\*\*$/m);
  assert.ok(!stdout.includes(KEY));
});

story('without a key and open channels nobody may do anything', async (t) => {
  const closed = await startNode({ redis });
  t.after(() => closed.stop());
  for (const target of TARGETS) {
    const response = await read(target, 'a', bearer(mint({ subscribe: '*' })), closed.url);
    assertProblem(response, 403, 'forbidden');
  }
  assertProblem(await raw('a', bearer(mint({ publish: '*' })), closed.url), 403, 'forbidden');
});
