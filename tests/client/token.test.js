/** Grants: when the application is asked for a token, and where it goes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Token, renewIn } from '../../client-js/src/token.js';
import { listen, live, missing as skip, open } from '../support/client.js';
import { story } from '../support/story.js';
import { eventually } from '../support/wait.js';
import { startScript } from '../support/ws_faults.js';

const E = '1795375878745123';
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const tokenUntil = (exp, more = '') => `${encode({})}.${encode({ exp, more })}.signature`;

test('a token is renewed when 80 % of what is left have gone, if it says when it ends', () => {
  assert.equal(renewIn(tokenUntil(2000), 1_000_000), 800_000);
  assert.equal(renewIn(tokenUntil(2000, 'ÿ??~~'), 1_000_000), 800_000, 'base64url with - and _');
  for (const other of [
    undefined,
    '',
    'opaque',
    'a.b.c',
    `${encode({})}.${encode({})}.x`,
    tokenUntil(1),
  ]) {
    assert.equal(renewIn(other, 1_000_000), undefined, String(other));
  }
  assert.ok(renewIn(tokenUntil(9e9), 0) < 2 ** 31, 'within what a timer can do');
});

test('who asks together shares one answer; a refused one is asked for once more', async () => {
  let count = 0;
  const token = new Token(async () => `t${++count}`);
  assert.deepEqual(await Promise.all([token.get(), token.get()]), ['t1', 't1']);
  await Promise.all([token.refuse('t1'), token.refuse('t1')]);
  assert.deepEqual(await Promise.all([token.get(), token.get()]), ['t2', 't2']);
  await token.refuse('t1');
  assert.equal(await token.get(), 't2', 'an old refusal says nothing about it');
});

test('a function that fails is asked again next time', async () => {
  let count = 0;
  const token = new Token(() => {
    if (++count === 1) throw new Error('not now');
    return 't';
  });
  await assert.rejects(token.get(), { code: 'token', retry: true });
  assert.equal(await token.get(), 't');
});

const page = { cursor: `${E}-1`, messages: [] };
const unauthorized = { status: 401, code: 'token', detail: 'the token has expired' };

story('HTTP: in a header, never in a URL; a 401 renews it at once', { skip }, async (t) => {
  const good = new Set(['Bearer t1']);
  const script = await startScript(t, {
    '/poll': (_, { headers }) => (good.has(headers.authorization) ? page : unauthorized),
  });
  let count = 0;
  const token = async () => `t${++count}`;
  const { client, states } = open(t, script.url, { transports: ['poll'], pollInterval: 20, token });
  await live(listen(client.subscribe('a')));
  good.clear();
  good.add('Bearer t2');
  await eventually(
    'the new one is used',
    () =>
      script.requests.seen.filter(({ request }) => request.headers.authorization === 'Bearer t2')
        .length > 2,
  );
  assert.equal(count, 2);
  assert.ok(script.requests.seen.every(({ url }) => !/t1|t2|token/.test(url.search)));
  assert.ok(
    states.every(({ state }) => state !== 'waiting'),
    'no connection was lost for it',
  );
});

story('a string that is refused ends the subscription with the reason', { skip }, async (t) => {
  const script = await startScript(t, { '/poll': () => unauthorized });
  const { client } = open(t, script.url, { transports: ['poll'], token: 'old' });
  const subscription = client.subscribe('a');
  await eventually('the end', () => subscription.state === 'ended');
  assert.deepEqual([subscription.error.code, subscription.error.status], ['token', 401]);
  await assert.rejects(
    async () => {
      for await (const message of subscription) void message;
    },
    { status: 401 },
  );
});

story('a function that has no token is no reason to try for ever', { skip }, async (t) => {
  const script = await startScript(t, { '/poll': () => unauthorized });
  const { client } = open(t, script.url, { transports: ['poll'], token: () => undefined });
  const subscription = client.subscribe('a');
  await eventually('the end', () => subscription.state === 'ended');
  assert.equal(subscription.error.status, 401);
});

story(
  'a function whose tokens are refused is asked again, later and later',
  { skip },
  async (t) => {
    const script = await startScript(t, { '/poll': () => unauthorized });
    let count = 0;
    const token = () => `t${++count}`;
    const { client, states } = open(t, script.url, {
      transports: ['poll'],
      token,
      random: () => 0.3,
    });
    const subscription = client.subscribe('a');
    await eventually(
      'two waits',
      () => states.filter(({ state }) => state === 'waiting').length === 2,
    );
    assert.equal(subscription.state, 'joining');
    assert.equal(count, 4, 'twice a try');
    const [first, second] = states.filter(({ state }) => state === 'waiting');
    assert.deepEqual([first.error.status, first.retry], [401, 300]);
    assert.ok(second.retry > 1000);
  },
);

story('WebSocket: a token that cannot be had is no fault of the transport', { skip }, async (t) => {
  const script = await startScript(t, { '/poll': () => page });
  let isBroken = true;
  const token = () => {
    if (isBroken) throw new Error('no session');
    return 't';
  };
  const { client, states } = open(t, script.url, {
    transports: ['websocket', 'poll'],
    token,
    random: () => 0,
  });
  client.subscribe('a');
  for (let n = 1; n <= 2; n += 1) {
    (await script.peers.next()).hello();
    await eventually(
      'a wait',
      () => states.filter(({ state }) => state === 'waiting').length === n,
    );
  }
  isBroken = false;
  const peer = await script.peers.next();
  peer.hello();
  assert.equal((await peer.next('auth')).token, 't');
  const waits = states.filter(({ state }) => state === 'waiting');
  assert.equal(waits[0].error.code, 'token');
  assert.ok(states.every(({ transport }) => transport !== 'poll'));
});

story('Retry-After is kept, and stretched so that not all come at once', { skip }, async (t) => {
  const busy = { status: 503, code: 'overloaded', headers: { 'Retry-After': '1' } };
  let count = 0;
  const script = await startScript(t, { '/poll': () => (++count === 1 ? busy : page) });
  const { client, states } = open(t, script.url, { transports: ['poll'], random: () => 0.5 });
  await live(listen(client.subscribe('a')));
  const [wait] = states.filter(({ state }) => state === 'waiting');
  assert.deepEqual([wait.retry, wait.error.status, wait.error.code], [1250, 503, 'overloaded']);
});
