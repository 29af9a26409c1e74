/** Tokens on a WebSocket: shown in the handshake or by `auth`, exchanged, and their end. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { startNode } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { publish, story } from '../support/story.js';
import { KEY, bearer, inSeconds, mint } from '../support/token.js';
import { JSON_PROTOCOL, MSGPACK_PROTOCOL, WsClient, openWs } from '../support/ws.js';

const APP = 'https://app.example.com';
const redis = await startRedis();
const args = ['--auth-key', KEY, '--anonymous', 'public*', '--origin', APP];
const node = await startNode({ redis, args });
after(async () => {
  await node.stop();
  await redis.stop();
});

/** The status of a handshake's answer, and its problem. */
async function handshake(t, options) {
  const client = new WsClient(node.url, { protocol: JSON_PROTOCOL, ...options });
  t.after(() => client.close());
  const { status, headers, text } = await client.head();
  return { status, headers, code: status === 101 ? undefined : JSON.parse(text).code };
}

const subscribe = (channel, more = {}) => ({ type: 'subscribe', channel, ...more });

/** The `ok` of a channel of the URL: what is published from now on will come. */
const live = (client, channel) =>
  client.waitFor((object) => object.type === 'ok' && object.channel === channel);

async function assertRefused(client, command, code) {
  const answer = await client.ask(command);
  assert.equal(answer.type, 'error');
  assert.equal(answer.code, code);
  assert.equal(answer.retry, false);
  return answer;
}

story('a page of another origin gets no handshake', async (t) => {
  for (const origin of [
    'https://app.example.com.evil.test',
    'https://evilapp.example.com',
    'https://APP.example.com',
    'https://app.example.com:8443',
    'http://app.example.com',
    'null',
  ]) {
    const { status, code } = await handshake(t, { headers: { Origin: origin } });
    assert.deepEqual([status, code], [403, 'origin'], origin);
  }
  for (const origin of [APP, node.url]) {
    assert.equal((await handshake(t, { headers: { Origin: origin } })).status, 101);
  }
});

story('channels in the URL need their right before the handshake', async (t) => {
  const headers = bearer(mint({ subscribe: 'a' }));
  const without = await handshake(t, { channels: ['a'] });
  assert.deepEqual([without.status, without.code], [401, 'token']);
  assert.equal(without.headers['www-authenticate'], 'Bearer');
  const other = await handshake(t, { channels: ['a', 'b'], headers });
  assert.deepEqual([other.status, other.code], [403, 'forbidden']);
  const raw = await handshake(t, { channels: ['a'], protocol: undefined });
  assert.deepEqual([raw.status, raw.code], [401, 'token']);
  assert.equal((await handshake(t, { channels: ['a', 'public1'], headers })).status, 101);
});

story('a cookie counts with an allowed origin alone', async (t) => {
  const Cookie = `freshet=${mint({ subscribe: 'a' })}`;
  const channels = ['a'];
  assert.equal((await handshake(t, { channels, headers: { Cookie } })).status, 401);
  assert.equal((await handshake(t, { channels, headers: { Cookie, Origin: APP } })).status, 101);
});

for (const protocol of [JSON_PROTOCOL, MSGPACK_PROTOCOL]) {
  story(`${protocol}: each command needs its right, and auth brings it`, async (t) => {
    const client = await openWs(t, node.url, { protocol });
    const post = (channel) => ({ type: 'publish', channel, data: '1' });
    await assertRefused(client, subscribe('a'), 'token');
    await assertRefused(client, post('a'), 'token');
    await assertRefused(client, { type: 'history', channel: 'a' }, 'token');
    assert.equal((await client.ask(subscribe('public1'))).type, 'ok');
    const forged = mint({ subscribe: '*' }, { key: 'x'.repeat(40) });
    await assertRefused(client, { type: 'auth', token: forged }, 'token');
    const token = mint({ subscribe: 'a', publish: ['b'] });
    assert.equal((await client.ask({ type: 'auth', token })).type, 'ok');
    assert.equal((await client.ask(subscribe('a'))).type, 'ok');
    assert.equal((await client.ask({ type: 'history', channel: 'a' })).type, 'ok');
    assert.equal((await client.ask(post('b'))).type, 'ok');
    const { message } = await assertRefused(client, subscribe('b'), 'forbidden');
    assert.match(message, /"subscribe".*\bb$/);
    await assertRefused(client, post('a'), 'forbidden');
  });
}

story('what is not accepted is refused in the same words, and changes nothing', async (t) => {
  const client = await openWs(t, node.url, { headers: bearer(mint({ subscribe: 'a' })) });
  const claims = { subscribe: '*' };
  const messages = new Set();
  for (const token of [
    'nonsense',
    mint(claims, { header: { alg: 'none' } }),
    mint(claims, { key: 'another key' }),
    mint({ ...claims, exp: 1 }),
    mint({ ...claims, nbf: inSeconds(60) }),
    mint(claims).slice(0, -2),
  ]) {
    messages.add((await assertRefused(client, { type: 'auth', token }, 'token')).message);
  }
  assert.equal(messages.size, 1, [...messages].join());
  assert.equal((await client.ask(subscribe('a'))).type, 'ok');
  await assertRefused(client, subscribe('b'), 'forbidden');
});

story('the end of its token closes who reads by it, with 4401', async (t) => {
  const exp = inSeconds(1.5);
  const headers = bearer(mint({ subscribe: 'a', exp }));
  const client = await openWs(t, node.url, { channels: ['a'], headers });
  const raw = await openWs(t, node.url, { channels: ['a'], headers, protocol: undefined });
  const bye = await client.waitFor((object) => object.type === 'bye');
  assert.equal(bye.reason, 'token');
  assert.ok(bye.retry > 0);
  for (const one of [client, raw]) {
    assert.deepEqual((await one.end()).code, 4401);
  }
  assert.ok(Date.now() / 1000 >= exp - 0.01 && Date.now() / 1000 < exp + 5);
});

story('who reads nothing by it stays, with what everybody may', async (t) => {
  const token = mint({ subscribe: '*', exp: inSeconds(1) });
  const client = await openWs(t, node.url, { channels: ['public2'], headers: bearer(token) });
  await live(client, 'public2');
  assert.equal((await client.ask(subscribe('short'))).type, 'ok');
  assert.equal((await client.ask({ type: 'unsubscribe', channel: 'short' })).type, 'ok');
  let answer;
  do {
    answer = await client.ask({ type: 'history', channel: 'a' });
  } while (answer.type === 'ok');
  assert.equal(answer.code, 'token');
  const position = await publish(redis, 'public2', '1');
  assert.equal((await client.waitFor((object) => object.type === undefined)).id, position);
});

story('a new token in time keeps all going, nothing lost or double', async (t) => {
  const client = await openWs(t, node.url, {
    channels: ['kept'],
    headers: bearer(mint({ subscribe: 'kept', exp: inSeconds(1.5) })),
  });
  await live(client, 'kept');
  const end = inSeconds(4);
  let sent = 0;
  for (let renewals = 0; Date.now() / 1000 < end; renewals += 1) {
    const token = mint({ subscribe: 'kept', exp: inSeconds(1.5) });
    assert.equal((await client.ask({ type: 'auth', token })).type, 'ok', `renewal ${renewals}`);
    sent += 1;
    await publish(redis, 'kept', String(sent));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await client.waitFor((object) => object.data === sent);
  const data = client.objects.seen.filter(({ type }) => type === undefined).map((one) => one.data);
  assert.deepEqual(
    data,
    Array.from({ length: sent }, (_, at) => at + 1),
  );
});

story('a narrower token ends the channels that it leaves out', async (t) => {
  const client = await openWs(t, node.url, {
    channels: ['a', 'b', 'public3'],
    headers: bearer(mint({ subscribe: ['a', 'b'] })),
  });
  await live(client, 'b');
  const token = mint({ subscribe: 'b' });
  assert.equal((await client.ask({ type: 'auth', token })).type, 'ok');
  const gone = await client.waitFor((object) => object.type === 'error');
  assert.deepEqual([gone.channel, gone.code], ['a', 'forbidden']);
  await publish(redis, 'a', '"not for it"');
  await publish(redis, 'b', '"for it"');
  assert.equal((await client.waitFor((object) => object.type === undefined)).data, 'for it');
});
