/** The client in Node against real nodes: each transport alone, and nodes that die. */
import assert from 'node:assert/strict';
import { listen, live, missing, open, speaksWebSocket } from '../support/client.js';
import { startNode } from '../support/node.js';
import { channelName, epochOf, startFileCluster, story, versionOf } from '../support/story.js';
import { startProxy } from '../support/ws_faults.js';
import { eventually } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 2 });
const { publish } = cluster;
const [first, second] = cluster.nodes;
const skipWebSocket =
  missing || ((await speaksWebSocket(first.url)) ? false : 'this node has no /ws');

const TRANSPORTS = ['websocket', 'sse', 'long-poll', 'poll'];
const skipOf = (transport) => (transport === 'websocket' ? skipWebSocket : false);

/** A client by this transport alone. */
const openBy = (t, transport, url = first.url, options = {}) =>
  open(t, url, { transports: [transport], pollInterval: 50, ...options });

for (const transport of TRANSPORTS) {
  const skip = skipOf(transport);

  story(`${transport} alone: from now, several channels, types, events`, { skip }, async (t) => {
    const [a, b] = [channelName(), channelName()];
    await publish(a, '"before"');
    const { client } = openBy(t, transport);
    const one = await live(listen(client.subscribe(a)));
    const other = await live(listen(client.subscribe(b)));
    assert.deepEqual([client.state, client.transport], ['open', transport]);
    assert.ok(client.latency >= 0 && client.latency < 5000, String(client.latency));
    const a2 = await publish(a, '{"n": [2]}', 'EVENT', 'tick');
    await publish(b, 'line\r\n\u2028 😀', 'TYPE', 'text');
    await publish(b, Buffer.from([0, 255]), 'TYPE', 'binary');
    const message = await one.messages.next();
    assert.deepEqual(
      [message.type, message.channel, message.id, message.event, message.data],
      ['message', a, a2, 'tick', { n: [2] }],
    );
    assert.equal(one.subscription.position, a2);
    assert.ok(Math.abs(Date.now() - message.time) < 60_000);
    assert.equal((await other.messages.next()).data, 'line\r\n\u2028 😀');
    assert.deepEqual((await other.messages.next()).data, new Uint8Array([0, 255]));
  });

  story(`${transport} alone: since a position, since 0, rewind`, { skip }, async (t) => {
    const channel = channelName();
    const ids = [];
    for (let n = 1; n <= 4; n += 1) ids.push(await publish(channel, String(n)));
    for (const [options, due] of [
      [{ since: ids[1] }, ids.slice(2)],
      [{ since: '0' }, ids],
      [{ rewind: 2 }, ids.slice(2)],
      [{ rewind: 50 }, ids],
    ]) {
      const { client } = openBy(t, transport, second.url);
      const { messages, resets } = listen(client.subscribe(channel, options));
      const told = await messages.take(due.length);
      assert.deepEqual(
        told.map(({ id }) => id),
        due,
        JSON.stringify(options),
      );
      assert.equal(resets.seen.length, 0);
      client.close();
    }
  });

  story(
    `${transport} alone: several readers of one channel, each from its own start`,
    { skip },
    async (t) => {
      const channel = channelName();
      const ids = [];
      for (let n = 1; n <= 3; n += 1) ids.push(await publish(channel, String(n)));
      const { client } = openBy(t, transport);
      const head = await live(listen(client.subscribe(channel)));
      const all = listen(client.subscribe(channel, { since: '0' }));
      const last = listen(client.subscribe(channel, { rewind: 1 }));
      await all.messages.take(3);
      await last.messages.take(1);
      ids.push(await publish(channel, '4'));
      for (const [listened, due] of [
        [head, ids.slice(3)],
        [all, ids],
        [last, ids.slice(2)],
      ]) {
        await eventually('all are told', () => listened.messages.seen.length >= due.length);
        assert.deepEqual(
          listened.messages.seen.map(({ id }) => id),
          due,
        );
      }
    },
  );

  story(`${transport} alone: a reset is told, with what follows`, { skip }, async (t) => {
    const channel = channelName();
    const id = await publish(channel, '1');
    const foreign = '1000000000000000-7';
    const { client } = openBy(t, transport);
    const { messages, resets } = listen(client.subscribe(channel, { since: foreign }));
    const { reason, from, to, spread, type } = await resets.next();
    assert.deepEqual([type, reason, from, to], ['reset', 'foreign', foreign, `${epochOf(id)}-0`]);
    assert.equal(typeof spread, 'number');
    const message = await messages.next();
    assert.equal(message.id, id);
    assert.equal(message.reset.reason, 'foreign', 'for those who only iterate');
  });

  story(`${transport} alone: a thousand messages, in order, each once`, { skip }, async (t) => {
    const channel = channelName();
    const { client } = openBy(t, transport);
    const { messages } = await live(listen(client.subscribe(channel)));
    for (let n = 0; n < 1000; n += 50) {
      const batch = Array.from({ length: 50 }, (_, at) => publish(channel, String(n + at)));
      await Promise.all(batch);
    }
    await eventually('the last', () => messages.seen.some(({ id }) => versionOf(id) === 1000));
    assert.deepEqual(
      messages.seen.map(({ id }) => versionOf(id)),
      Array.from({ length: 1000 }, (_, at) => at + 1),
    );
  });

  story(
    `${transport} alone: a node is killed while it sends; on from another, nothing lost or double`,
    { skip },
    async (t) => {
      const channel = channelName();
      const [victim, refuge] = [await cluster.startNode(), await cluster.startNode()];
      const proxy = await startProxy(t, victim.url);
      const { client, states } = openBy(t, transport, proxy.url);
      const { messages, resets } = await live(listen(client.subscribe(channel)));
      const publishing = (async () => {
        for (let n = 1; n <= 300; n += 1) await publish(channel, String(n));
      })();
      await eventually('messages come', () => messages.seen.length > 50);
      proxy.lead(refuge.url);
      await victim.kill('SIGKILL');
      const died = Date.now();
      await publishing;
      await eventually('the last', () => messages.seen.at(-1)?.data === 300);
      assert.deepEqual(
        messages.seen.map(({ id }) => versionOf(id)),
        Array.from({ length: 300 }, (_, at) => at + 1),
      );
      assert.equal(resets.seen.length, 0);
      const back = states.find(({ state, time }) => state === 'open' && time > died);
      if (back) t.diagnostic(`${transport}: open again ${back.time - died} ms after the kill`);
    },
  );
}

for (const [from, to] of [
  ['sse', 'long-poll'],
  ['poll', 'sse'],
  ['long-poll', 'websocket'],
  ['websocket', 'sse'],
]) {
  const skip = skipOf(from) || skipOf(to);
  story(`a position from ${from} is good on ${to}, on another node`, { skip }, async (t) => {
    const channel = channelName();
    const left = openBy(t, from).client;
    const before = await live(listen(left.subscribe(channel)));
    await publish(channel, '1');
    await before.messages.next();
    left.close();
    const id = await publish(channel, '2');
    const right = openBy(t, to, second.url).client;
    const after = listen(right.subscribe(channel, { since: before.subscription.position }));
    assert.equal((await after.messages.next()).id, id);
    assert.equal(after.resets.seen.length, 0);
  });
}

for (const transport of ['websocket', 'sse']) {
  story(
    `${transport}: a thousand channels, and not one more`,
    { skip: skipOf(transport) },
    async (t) => {
      const prefix = channelName('thousand');
      const { client } = openBy(t, transport);
      const names = Array.from({ length: 1000 }, (_, n) => `${prefix}.${n}`);
      await Promise.all(names.map((name, n) => publish(name, String(n))));
      const all = names.map((name) => listen(client.subscribe(name, { since: '0' })));
      assert.throws(() => client.subscribe('one more'), RangeError);
      for (const [n, { messages }] of all.entries()) assert.equal((await messages.next()).data, n);
      await Promise.all(names.map((name) => publish(name, '"live"')));
      for (const { messages } of all) assert.equal((await messages.next()).data, 'live');
    },
  );
}

story('channels come and go while the stream is open', async (t) => {
  const names = Array.from({ length: 12 }, () => channelName());
  const { client } = openBy(t, 'sse');
  const all = names.map((name) => listen(client.subscribe(name)));
  await Promise.all(all.map(live));
  for (const { subscription } of all.slice(0, 6)) subscription.close();
  const late = await live(listen(client.subscribe(names[0])));
  for (const name of names) await publish(name, `"${name}"`);
  for (const { messages } of all.slice(6)) await messages.next();
  assert.equal((await late.messages.next()).data, names[0]);
  for (const { messages } of all.slice(0, 6)) assert.equal(messages.seen.length, 0);
});

story('an application iterates; leaving the loop ends the subscription', async (t) => {
  const channel = channelName();
  const { client } = openBy(t, 'sse');
  const subscription = client.subscribe(channel, { since: '0' });
  for (let n = 1; n <= 5; n += 1) await publish(channel, String(n));
  const told = [];
  for await (const message of subscription) {
    told.push(message.data);
    if (told.length === 3) break;
  }
  assert.deepEqual(told, [1, 2, 3]);
  assert.equal(subscription.state, 'ended');
  await eventually('the client rests', () => client.state === 'idle');
});

story('a signal ends a subscription and its loop, without an error', async (t) => {
  const { client } = openBy(t, 'sse');
  const controller = new AbortController();
  const subscription = client.subscribe(channelName(), { signal: controller.signal });
  const loop = (async () => {
    for await (const message of subscription) assert.fail(message.id);
  })();
  await eventually('live', () => subscription.state === 'live');
  controller.abort();
  await loop;
  assert.equal(subscription.state, 'ended');
  assert.equal(client.subscribe(channelName(), { signal: controller.signal }).state, 'ended');
});

story('a loop that lags by more than its buffer gets an error, not a hole', async (t) => {
  const channel = channelName();
  const { client } = openBy(t, 'sse');
  const subscription = client.subscribe(channel, { since: '0', buffer: 5 });
  for (let n = 1; n <= 20; n += 1) await publish(channel, String(n));
  await eventually('all came', () => versionOf(subscription.position ?? '0-0') === 20);
  await assert.rejects(
    async () => {
      for await (const message of subscription) void message;
    },
    { code: 'overflow' },
  );
});

story('publishing: position, once, if, errors', async (t) => {
  const channel = channelName();
  const { client } = openBy(t, 'sse');
  const one = await client.publish(channel, { n: 1 }, { once: 'k', event: 'tick' });
  assert.equal(await client.publish(channel, { n: 9 }, { once: 'k' }), one);
  await client.publish(channel, 'text', { type: 'text', if: one });
  const two = await client.publish(channel, new Uint8Array([1, 2]).buffer);
  assert.equal(versionOf(two), 3);
  await assert.rejects(client.publish(channel, 1, { if: 'none' }), {
    status: 412,
    head: two,
    retry: false,
  });
  await assert.rejects(client.publish('a b', 1), { status: 400 });
  await assert.rejects(client.publish(channel, undefined), TypeError);
  const { messages } = listen(client.subscribe(channel, { since: '0' }));
  const told = await messages.take(3);
  assert.deepEqual(
    told.map(({ data }) => data),
    [{ n: 1 }, 'text', new Uint8Array([1, 2])],
  );
});

story('a channel that may not be read ends its subscription, and no other', async (t) => {
  const node = await startNode({ redis: cluster.redis, args: ['--anonymous', 'public.*'] });
  t.after(() => node.stop());
  const { client } = openBy(t, 'sse', node.url);
  const secret = `secret.${channelName()}`;
  const channel = `public.${channelName()}`;
  const good = listen(client.subscribe(channel));
  const bad = listen(client.subscribe(secret));
  await eventually('the end of the other', () => bad.subscription.state === 'ended');
  await live(good);
  assert.ok([401, 403].includes(bad.subscription.error.status), String(bad.subscription.error));
  const id = await publish(channel, '1');
  assert.equal((await good.messages.next()).id, id);
});

story('close() is final', async (t) => {
  const { client, states } = openBy(t, 'sse');
  const { subscription } = await live(listen(client.subscribe(channelName())));
  client.close();
  client.close();
  assert.deepEqual([client.state, subscription.state], ['closed', 'ended']);
  assert.throws(() => client.subscribe('a'), { code: 'closed' });
  await assert.rejects(client.publish('a', 1), { code: 'closed' });
  assert.equal(states.filter(({ state }) => state === 'closed').length, 1);
});
