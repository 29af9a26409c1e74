/**
 * WebSockets that are refused, hang, swallow frames or die: the client in Node goes on by another
 * transport. Times are printed, from connect() to the first message.
 */
import assert from 'node:assert/strict';
import { listen, live, missing as skip, open } from '../support/client.js';
import { channelName, startFileCluster, story } from '../support/story.js';
import { eventually } from '../support/wait.js';
import { FAULTS, startProxy } from '../support/ws_faults.js';

const FALLBACK_MS_MAX = 4_000;
const cluster = await startFileCluster({ nodes: 2 });
const [first, second] = cluster.nodes;

for (const fault of FAULTS) {
  story(
    `a WebSocket that is there but does not work (${fault}): SSE within 4 s`,
    { skip },
    async (t) => {
      const channel = channelName();
      const id = await cluster.publish(channel, '"kept"');
      const proxy = await startProxy(t, first.url);
      proxy.upgrades = fault;
      const start = Date.now();
      const { client } = open(t, proxy.url);
      const { messages, resets } = listen(client.subscribe(channel, { since: '0' }));
      assert.equal((await messages.next()).id, id);
      const took = Date.now() - start;
      t.diagnostic(
        `fallback from ${fault}: ${took} ms, ${proxy.upgradeTimes.length} upgrades tried`,
      );
      assert.equal(client.transport, 'sse');
      assert.ok(took < FALLBACK_MS_MAX, `${took} ms`);
      await cluster.publish(channel, '"live"');
      assert.equal((await messages.next()).data, 'live');
      assert.equal(resets.seen.length, 0);
      assert.ok(proxy.upgradeTimes.length <= 2);
    },
  );
}

story('all of HTTP but polls is mute: long poll within 8 s', { skip }, async (t) => {
  const channel = channelName();
  const proxy = await startProxy(t, first.url);
  proxy.upgrades = 'hang';
  proxy.hold = /^(GET|POST) \/sse/;
  const start = Date.now();
  const { client } = open(t, proxy.url);
  await live(listen(client.subscribe(channel)));
  t.diagnostic(`past WebSocket and SSE: ${Date.now() - start} ms`);
  assert.equal(client.transport, 'long-poll');
  assert.ok(Date.now() - start < 8_000);
});

story(
  'an outage is no fault of a transport: a few quick tries, then the same one',
  { skip },
  async (t) => {
    const channel = channelName();
    const proxy = await startProxy(t, first.url);
    const { client, states } = open(t, proxy.url, { transports: ['sse', 'long-poll', 'poll'] });
    const { messages } = await live(listen(client.subscribe(channel)));
    proxy.isDown = true;
    proxy.cut();
    await eventually(
      'a second wait',
      () => states.filter(({ state }) => state === 'waiting').length > 1,
    );
    const id = await cluster.publish(channel, '"missed"');
    proxy.lead(second.url);
    proxy.isDown = false;
    assert.equal((await messages.next({ deadline: 20_000 })).id, id);
    assert.equal(client.transport, 'sse');
  },
);

story(
  'a connection that goes silent is given up after heartbeat and grace',
  { skip },
  async (t) => {
    const node = await cluster.startNode(['--heartbeat', '300ms']);
    const channel = channelName();
    const proxy = await startProxy(t, node.url);
    const { client } = open(t, proxy.url, { transports: ['sse'], grace: 300 });
    const { messages, states } = await live(listen(client.subscribe(channel)));
    proxy.stall();
    const start = Date.now();
    const id = await cluster.publish(channel, '1');
    await states.waitFor(({ state }) => state === 'waiting', { what: 'silence noticed' });
    const took = Date.now() - start;
    t.diagnostic(`silence noticed after ${took} ms`);
    assert.ok(took < 3_000);
    assert.equal((await messages.next()).id, id);
  },
);

story(
  'SIGTERM: the stream ends politely, the client waits as it was told and goes on',
  { skip },
  async (t) => {
    const node = await cluster.startNode();
    const channel = channelName();
    const proxy = await startProxy(t, node.url);
    const { client, states } = open(t, proxy.url, { transports: ['sse'] });
    const { messages, resets } = await live(listen(client.subscribe(channel)));
    proxy.lead(second.url);
    await node.stop();
    const id = await cluster.publish(channel, '1');
    assert.equal((await messages.next()).id, id);
    assert.equal(resets.seen.length, 0);
    const [wait] = states.filter(({ state }) => state === 'waiting');
    t.diagnostic(`asked to wait ${wait.retry} ms`);
    assert.equal(wait.error, undefined, 'that was no error');
  },
);
