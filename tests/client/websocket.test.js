/**
 * The WebSocket transport against a server that speaks the contract's frames and does what no
 * healthy node does.
 */
import assert from 'node:assert/strict';
import { listen, live, missing as skip, open } from '../support/client.js';
import { story } from '../support/story.js';
import { eventually } from '../support/wait.js';
import { startScript } from '../support/ws_faults.js';

const E = '1795375878745123';
const F = '1795375878999999';
const message = (version, epoch = E, more = {}) => ({
  channel: 'a',
  id: `${epoch}-${version}`,
  time: 1795375878745,
  data: version,
  ...more,
});

/** A client by WebSocket on a script, with channel `a` live at E-1. */
async function joined(t, answers = {}, options = {}) {
  const script = await startScript(t, answers);
  const { client, states } = open(t, script.url, {
    transports: ['websocket'],
    random: () => 0,
    ...options,
  });
  const listened = listen(client.subscribe('a'));
  const peer = await script.peers.next();
  peer.hello();
  const command = await peer.joins(`${E}-1`);
  await live(listened);
  return { script, client, path: states, peer, command, ...listened };
}

story('a subscribe at the head has no since; ok, messages, state', { skip }, async (t) => {
  const { client, peer, command, messages } = await joined(t);
  assert.deepEqual({ ...command, ref: 0 }, { ref: 0, type: 'subscribe', channel: 'a' });
  assert.equal(typeof command.ref, 'number');
  assert.deepEqual([client.node, client.transport], ['script', 'websocket']);
  await eventually('the answer to a ping', () => client.latency !== undefined);
  peer.send(message(2), message(3));
  assert.deepEqual(
    (await messages.take(2)).map(({ data }) => data),
    [2, 3],
  );
});

story('channels are added and removed without a new connection', { skip }, async (t) => {
  const { client, peer, subscription, script } = await joined(t);
  const other = listen(client.subscribe('b', { since: `${E}-5` }));
  assert.equal((await peer.joins(`${E}-5`)).since, `${E}-5`);
  await live(other);
  subscription.close();
  assert.equal((await peer.next('unsubscribe')).channel, 'a');
  peer.send(message(2), message(6, E, { channel: 'b' }));
  assert.equal((await other.messages.next()).data, 6);
  other.subscription.close();
  await peer.closed;
  assert.equal(client.state, 'idle');
  assert.equal(script.peers.seen.length, 1);
});

story('doubles are dropped, a fork is followed', { skip }, async (t) => {
  const { peer, messages, resets } = await joined(t);
  peer.send(message(2), message(2), message(1), message(3));
  peer.send(message(1, F, { fork: `${E}-3` }), message(3), message(2, F));
  peer.send({ channel: 'a', time: 1, data: 'ephemeral' });
  await messages.waitFor(({ data }) => data === 'ephemeral');
  assert.deepEqual(
    messages.seen.map(({ id }) => id),
    [`${E}-2`, `${E}-3`, `${F}-1`, `${F}-2`, undefined],
  );
  assert.equal(resets.seen.length, 0);
});

story('a frame left out is read from /poll, and told in its place', { skip }, async (t) => {
  const asked = [];
  const poll = (url) => {
    asked.push(url.search);
    return { cursor: `${E}-4`, messages: [message(3), message(4)] };
  };
  const { peer, messages, resets } = await joined(t, { '/poll': poll });
  peer.send(message(2), message(4), message(5));
  assert.deepEqual(
    (await messages.take(4)).map(({ data }) => data),
    [2, 3, 4, 5],
  );
  assert.equal(resets.seen.length, 0);
  assert.deepEqual(asked, [`?channel=a&since=${E}-2&min=${E}-4`]);
});

story('a reset is told as it came, and continuity goes on behind it', { skip }, async (t) => {
  const { peer, messages, resets, subscription } = await joined(t);
  const reset = { channel: 'a', from: `${E}-1`, to: `${F}-4`, reason: 'lost', spread: 2000 };
  peer.send({ type: 'reset', ...reset }, message(5, F));
  const { channel, from, to, reason, spread } = await resets.next();
  assert.deepEqual({ channel, from, to, reason, spread }, reset);
  assert.deepEqual((await messages.next()).reset, reset);
  assert.equal(subscription.position, `${F}-5`);
});

story('cut: it comes back with its cursor', { skip }, async (t) => {
  const { peer, script, messages } = await joined(t);
  peer.send(message(2));
  await messages.next();
  peer.cut();
  const again = await script.peers.next();
  again.hello();
  assert.equal((await again.joins(`${E}-2`)).since, `${E}-2`);
  again.send(message(3));
  assert.equal((await messages.next()).data, 3);
});

story('bye: it comes back when it was asked to, and that is no strike', { skip }, async (t) => {
  let { peer, script, path } = await joined(t);
  for (let n = 0; n < 3; n += 1) {
    const start = Date.now();
    peer.send({ type: 'bye', reason: 'drain', retry: 300 });
    peer = await script.peers.next();
    assert.ok(Date.now() - start >= 290, `${Date.now() - start} ms`);
    peer.hello();
    await peer.joins(`${E}-1`);
  }
  const waits = path.filter(({ state }) => state === 'waiting');
  assert.deepEqual(
    waits.map(({ retry }) => retry),
    [300, 300, 300],
  );
});

story(
  'silence: it pings with each heartbeat, and comes back when nothing is heard',
  { skip },
  async (t) => {
    const script = await startScript(t);
    const { client } = open(t, script.url, {
      transports: ['websocket'],
      grace: 200,
      random: () => 0,
    });
    client.subscribe('a');
    const peer = await script.peers.next();
    peer.hello({ heartbeat: 200 });
    await peer.joins(`${E}-1`);
    await new Promise((resolve) => setTimeout(resolve, 1000)); // five heartbeats, all answered
    assert.equal(script.peers.seen.length, 1);
    peer.socket.removeAllListeners('message');
    const start = Date.now();
    await script.peers.next();
    t.diagnostic(`silence of WebSocket noticed after ${Date.now() - start} ms of 400`);
    assert.ok(Date.now() - start < 1500);
  },
);

story(
  'a channel that is refused ends with the reason; what may work later is repeated',
  { skip },
  async (t) => {
    const { client, peer } = await joined(t);
    const bad = listen(client.subscribe('b'));
    const late = listen(client.subscribe('c'));
    const refused = await peer.next('subscribe');
    peer.send({ ref: refused.ref, type: 'error', code: 'forbidden', message: 'no', retry: false });
    const delayed = await peer.next('subscribe');
    peer.send({
      ref: delayed.ref,
      type: 'error',
      code: 'overloaded',
      message: 'later',
      retry: true,
    });
    await eventually('the end', () => bad.subscription.state === 'ended');
    assert.deepEqual(
      [bad.subscription.error.code, bad.subscription.error.message],
      ['forbidden', 'no'],
    );
    assert.equal((await peer.next('unsubscribe')).channel, 'b');
    await peer.joins(`${E}-7`);
    await live(late);
  },
);

story('the token is shown first; refused, it is asked for again', { skip }, async (t) => {
  const script = await startScript(t);
  let count = 0;
  const { client } = open(t, script.url, {
    transports: ['websocket'],
    token: async () => `token ${++count}`,
  });
  const listened = listen(client.subscribe('a'));
  const peer = await script.peers.next();
  peer.hello();
  const stale = await peer.next('auth');
  assert.equal(stale.token, 'token 1');
  peer.send({
    ref: stale.ref,
    type: 'error',
    code: 'token',
    message: 'expired',
    retry: false,
  });
  const fresh = await peer.next('auth');
  assert.equal(fresh.token, 'token 2');
  peer.send({ ref: fresh.ref, type: 'ok' });
  await peer.joins(`${E}-1`);
  await live(listened);
  peer.socket.close(4401, 'expired');
  const again = await script.peers.next();
  again.hello();
  assert.equal((await again.next('auth')).token, 'token 3');
});

story(
  'a subscribe for which the token is too old is repeated with a new one',
  { skip },
  async (t) => {
    const script = await startScript(t);
    let count = 0;
    const { client } = open(t, script.url, {
      transports: ['websocket'],
      token: () => `token ${++count}`,
    });
    const [one, other] = [listen(client.subscribe('a')), listen(client.subscribe('b'))];
    const peer = await script.peers.next();
    const refuse = ({ ref }) =>
      peer.send({ ref, type: 'error', code: 'token', message: 'needed', retry: false });
    const accept = async () => peer.send({ ref: (await peer.next('auth')).ref, type: 'ok' });
    peer.hello();
    await accept();
    refuse(await peer.next('subscribe'));
    refuse(await peer.next('subscribe'));
    await accept();
    await peer.joins(`${E}-1`);
    await peer.joins(`${E}-1`);
    await live(one);
    await live(other);
    assert.deepEqual([script.peers.seen.length, count], [1, 2]);
  },
);

story(
  'without a token, or with a string, such a channel is refused for good',
  { skip },
  async (t) => {
    const { client, peer } = await joined(t);
    const { subscription } = listen(client.subscribe('b'));
    const { ref } = await peer.next('subscribe');
    peer.send({ ref, type: 'error', code: 'token', message: 'a token is needed', retry: false });
    await eventually('the end', () => subscription.state === 'ended');
    assert.equal(subscription.error.message, 'a token is needed');
    assert.equal(client.state, 'open');
  },
);

story(
  'a token that says when it ends is renewed before, on the same connection',
  { skip },
  async (t) => {
    const script = await startScript(t);
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    let count = 0;
    const token = async () => {
      count += 1;
      return `${encode({})}.${encode({ exp: Date.now() / 1000 + 1 })}.x`;
    };
    const { client } = open(t, script.url, { transports: ['websocket'], token });
    client.subscribe('a');
    const peer = await script.peers.next();
    peer.hello();
    const first = await peer.next('auth');
    peer.send({ ref: first.ref, type: 'ok' });
    await peer.joins(`${E}-1`);
    const second = await peer.next('auth');
    assert.notEqual(second.token, first.token);
    assert.deepEqual([script.peers.seen.length, count], [1, 2]);
  },
);

story(
  'publish is a command; an answer that never came is repeated with its once',
  { skip },
  async (t) => {
    const { client, peer } = await joined(t, { '/publish': () => ({ position: `${E}-3` }) });
    const published = client.publish('a', { n: 1 }, { event: 'tick', if: `${E}-1` });
    const { ref, ...command } = await peer.next('publish');
    assert.deepEqual(command, {
      type: 'publish',
      as: 'json',
      channel: 'a',
      data: { n: 1 },
      event: 'tick',
      if: `${E}-1`,
    });
    peer.send({ ref, type: 'ok', position: `${E}-2` });
    assert.equal(await published, `${E}-2`);

    const open1 = assert.rejects(client.publish('a', 2), { code: 'unknown', retry: true });
    const repeated = client.publish('a', 3, { once: 'k' });
    await peer.next('publish');
    await peer.next('publish');
    peer.cut();
    await open1;
    assert.equal(await repeated, `${E}-3`, 'by HTTP, which works already');
  },
);

story('a lower transport is left when the better one works again', { skip }, async (t) => {
  const poll = () => ({ cursor: `${E}-1`, messages: [] });
  const script = await startScript(t, { '/poll': poll });
  const { client, states } = open(t, script.url, {
    transports: ['websocket', 'poll'],
    reprobe: [500],
    pollInterval: 50,
  });
  const listened = listen(client.subscribe('a'));
  (await script.peers.next()).cut();
  await live(listened);
  assert.equal(client.transport, 'poll');
  const peer = await script.peers.next();
  assert.equal(client.transport, 'poll', 'in use until the other has spoken');
  peer.hello();
  assert.equal((await peer.joins(`${E}-1`)).since, `${E}-1`);
  await eventually('climbed', () => client.transport === 'websocket');
  peer.send(message(2));
  assert.equal((await listened.messages.next()).data, 2);
  const after = states.slice(states.findIndex(({ state }) => state === 'open'));
  assert.ok(
    after.every(({ state }) => state === 'open'),
    'never without a connection',
  );
});

story('one that dies young twice is left; back on trial it has one chance', { skip }, async (t) => {
  const poll = () => ({ cursor: `${E}-1`, messages: [] });
  const script = await startScript(t, { '/poll': poll });
  const { client } = open(t, script.url, {
    transports: ['websocket', 'poll'],
    reprobe: [700, 600_000],
    pollInterval: 50,
    random: () => 0.1,
  });
  client.subscribe('a');
  for (let n = 0; n < 2; n += 1) {
    const peer = await script.peers.next();
    peer.hello();
    await peer.next('subscribe');
    peer.cut();
  }
  await eventually('on poll', () => client.transport === 'poll');
  const peer = await script.peers.next();
  peer.hello();
  await peer.next('subscribe');
  assert.equal(client.transport, 'websocket');
  peer.cut();
  await eventually('on poll again', () => client.transport === 'poll');
  assert.equal(script.peers.seen.length, 3);
});

story('frames that are no JSON, or unknown, do no harm', { skip }, async (t) => {
  const { peer, script, messages } = await joined(t);
  peer.send(
    { type: 'join', channel: 'a', member: 1 },
    { type: 'something new' },
    { ref: 99, type: 'ok' },
  );
  peer.send(message(2));
  assert.equal((await messages.next()).data, 2);
  peer.socket.send('{"half');
  const again = await script.peers.next();
  again.hello();
  assert.equal((await again.joins(`${E}-2`)).since, `${E}-2`);
});
