/**
 * What every load balancer in front of nodes must be good for, told of one of them. Each of
 * integration/balancer-*.test.js calls this, and adds what only its balancer has.
 */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { EventSource } from 'eventsource3';
import { startBreaker } from './breaker.js';
import { SseClient, assertProblem, poll, postJson } from './clients.js';
import { TRANSPORTS } from './clients.js';
import { connectH2, openSseH2, requestH2 } from './h2.js';
import { request } from './http.js';
import { open } from './readers.js';
import { channelName, publish, startFileCluster, story, versionOf } from './story.js';
import { Traffic } from './traffic.js';
import { eventually, pause, within } from './wait.js';

/** Long enough for a balancer's checks to notice that a node drains, as the default of 5 s is. */
const GRACE_MS = 3_000;
const NODE_ARGS = ['--workers', '1', '--drain-grace', `${GRACE_MS}ms`, '--drain-window', '500ms'];

const idsOf = (answer) => answer.json.messages.map((message) => message.id);

/**
 * @typedef {object} Balancer
 * @property {string | false} missing why all of it is skipped
 * @property {(owner: object, urls: string[]) => Promise<{ url: string, secureUrl: string }>} start
 * @property {boolean} asksReadiness a node that is not ready gets nothing new
 * @property {boolean} repeatsPostedReads POST /poll that a node did not answer goes to another one
 */

/** @param {Balancer} balancer */
export async function tellBalancerStories({ missing: skip, start, ...abilities }) {
  const cluster = skip ? null : await startFileCluster({ nodes: 3, args: NODE_ARGS });
  const urls = cluster?.nodes.map((node) => node.url);
  const front = skip ? null : await start({ after }, urls);
  const stage = { skip, start, cluster, front, ...abilities };
  tellOfEveryDay(stage);
  tellOfLimits(stage);
  tellOfUnanswered(stage);
  tellOfNodesThatGo(stage);
  tellOfNoNode(stage);
}

function tellOfEveryDay({ skip, cluster, front }) {
  for (const transport of TRANSPORTS) {
    story(`${transport}: each message comes when it is published`, { skip }, async (t) => {
      const channel = channelName();
      const reader = open({ transport, url: front.url, channels: [channel] });
      t.after(() => reader.close());
      await reader.ready();
      for (let n = 0; n < 5; n += 1) {
        const began = Date.now();
        const id = await cluster.publish(channel, String(n));
        // The next one is published when this one is here: nothing can be waiting for more bytes.
        assert.equal((await reader.next()).id, id);
        assert.ok(Date.now() - began < 2_000, `${Date.now() - began} ms`);
      }
    });
  }

  story('polls: the ETag, 304, and the wait', { skip }, async () => {
    const channel = channelName();
    const id = await cluster.publish(channel, '1');
    const first = await poll(front.url, [channel], { since: '0', min: id });
    assert.deepEqual(idsOf(first), [id]);
    assert.equal(first.header('etag'), `"${id}"`);
    const headers = { 'If-None-Match': `"${id}"` };
    for (let n = 0; n < 6; n += 1) {
      const same = await poll(front.url, [channel], { since: id, min: id, headers });
      assert.equal(same.status, 304);
    }
    const empty = await poll(front.url, [channel], { since: id, wait: 2 });
    assert.deepEqual(empty.json, { cursor: id, messages: [] });
    const held = poll(front.url, [channel], { since: id, wait: 50 });
    await pause(300);
    const next = await cluster.publish(channel, '2');
    assert.deepEqual(idsOf(await held), [next]);
  });

  story('publications over HTTP, and refusals, pass as they are', { skip }, async () => {
    const channel = channelName();
    const reader = open({ transport: 'sse', url: front.url, channels: [channel] });
    await reader.ready();
    const answer = await postJson(front.url, '/publish', { channel, data: { n: 1 } });
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await reader.next()).id, answer.json.position);
    reader.close();
    assertProblem(await postJson(front.url, '/publish', '{'), 400);
    const conflict = { channel, data: 2, if: 'none' };
    const refused = await postJson(front.url, '/publish', conflict);
    assert.equal(assertProblem(refused, 412).head, answer.json.position);
  });

  story('an Origin equal to the Host is the own page, another is foreign', { skip }, async () => {
    const channel = channelName();
    const own = await poll(front.url, [channel], { headers: { Origin: front.url } });
    assert.equal(own.status, 200);
    const foreign = { headers: { Origin: 'https://elsewhere.example' } };
    assertProblem(await poll(front.url, [channel], foreign), 403, 'origin');
  });

  story('who leaves takes held polls and streams along', { skip }, async () => {
    const channel = channelName();
    const kinds = ['long-poll', 'sse', 'stream', 'ws'];
    const count = () => openOn(cluster.nodes, ['long_poll', 'sse', 'stream', 'ws']);
    await eventually('none at first', async () => (await count()) === 0);
    const readers = kinds.map((transport) =>
      open({ transport, url: front.url, channels: [channel] }),
    );
    await Promise.all(readers.map((reader) => reader.ready()));
    await eventually('all are there', async () => (await count()) === kinds.length);
    for (const reader of readers) reader.close();
    // Sooner than by a heartbeat that nobody takes, or by the end of a wait.
    await eventually('all have gone', async () => (await count()) === 0, { deadline: 8_000 });
  });

  story('HTTP/2: one connection carries many streams', { skip }, async (t) => {
    const channels = Array.from({ length: 12 }, () => channelName());
    const session = await connectH2(front.secureUrl);
    t.after(() => session.destroy());
    const streams = channels.map((channel) => openSseH2(session, channel));
    for (const events of streams) assert.equal((await events.next()).event, 'hello');
    for (let n = 0; n < 3; n += 1) {
      for (const [at, channel] of channels.entries()) {
        const id = await cluster.publish(channel, String(n));
        assert.equal((await streams[at].next()).id, id);
      }
    }
    const since = encodeURIComponent('0');
    const answer = await requestH2(session, `/poll?channel=${channels[0]}&since=${since}`);
    assert.equal(JSON.parse(answer.text).messages.length, 3);
  });
}

/** How many connections of these kinds the nodes have. */
async function openOn(nodes, transports) {
  const all = await Promise.all(nodes.map((node) => node.metrics()));
  const counts = all.flatMap((metrics) =>
    transports.map((transport) => metrics.get('freshet_connections', { transport }) ?? 0),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

function tellOfLimits({ skip, front }) {
  story('the limits are those of the nodes', { skip }, async () => {
    const path = `/poll?channel=${channelName()}`;
    const filled = (bytes) =>
      request(front.url, path, { headers: { 'X-Fill': 'x'.repeat(bytes) } });
    assert.equal((await filled(15_000)).status, 200);
    assertProblem(await filled(17_000), 431, 'head-too-large');
    const channel = channelName();
    const data = 'x'.repeat(900_000);
    const batch = Array.from({ length: 5 }, () => ({ channel, data, type: 'text' }));
    const answer = await postJson(front.url, '/publish', batch);
    assert.equal(answer.status, 200, answer.text.slice(0, 200));
    assert.equal(answer.json.length, 5);
  });
}

/** Asks until `isEnough`; every answer is judged, also those of before. */
async function askUntil(isEnough, ask, judge) {
  const answers = [];
  await eventually(`enough: ${isEnough}`, async () => {
    answers.push(await ask());
    return isEnough();
  });
  answers.forEach(judge);
}

function tellOfUnanswered({ skip, start, cluster, repeatsPostedReads }) {
  story(
    'what a node did not answer: reads are repeated, publications never',
    { skip },
    async (t) => {
      const breaker = await startBreaker(t);
      const front = await start(t, [breaker.url, cluster.nodes[0].url]);
      const channel = channelName();
      const answers = [];
      await askUntil(
        () => breaker.got('POST', '/publish').length >= 2,
        () => postJson(front.url, '/publish', { channel, data: answers.length }),
        (answer) => answers.push(answer),
      );
      const failed = answers.filter((answer) => answer.status !== 200);
      for (const answer of failed) assertProblem(answer, 504, 'unknown');
      assert.equal(breaker.got('POST', '/publish').length, failed.length, 'each was sent once');
      const since = {
        since: '0',
        min: answers.find((answer) => answer.status === 200)?.json.position,
      };
      const log = await poll(cluster.nodes[0].url, [channel], since);
      assert.equal(log.json.messages.length, answers.length - failed.length);

      await askUntil(
        () => breaker.got('GET', '/poll').length >= 2,
        () => poll(front.url, [channel], since),
        (answer) => assert.equal(answer.status, 200, answer.text),
      );
      if (!repeatsPostedReads) return;
      await askUntil(
        () => breaker.got('POST', '/poll').length >= 2,
        () => postJson(front.url, '/poll', { channels: { [channel]: '0' } }),
        (answer) => assert.equal(answer.status, 200, answer.text),
      );
    },
  );

  story('when no node answers at all', { skip }, async (t) => {
    const breaker = await startBreaker(t);
    const front = await start(t, [breaker.url]);
    const headers = { 'X-Forwarded-For': '192.0.2.1', 'If-None-Match': '"1"', Host: '127.0.0.1:9' };
    await askUntil(
      () => breaker.got('GET', '/poll').length > 0,
      () => request(front.url, '/poll?channel=a', { headers }),
      (answer) => assertProblem(answer, 503, 'unavailable'),
    );
    const [first] = breaker.got('GET', '/poll');
    assert.equal(first.headers['x-forwarded-for'], '127.0.0.1', 'who says so is not believed');
    assert.equal(first.headers['x-forwarded-proto'], 'http');
    assert.equal(first.headers['if-none-match'], '"1"');
    assert.equal(first.headers.host, '127.0.0.1:9');
    await askUntil(
      () => breaker.got('GET', '/sse').length > 0,
      () => request(front.url, '/sse?channel=a'),
      assertComeBack,
    );
    await askUntil(
      () => breaker.got('POST', '/sse').length > 0,
      () => postJson(front.url, '/sse', { channels: { a: '' } }),
      assertComeBack,
    );
  });
}

/** What tells an EventSource to try again: any status but 200 would end it for good. */
function assertComeBack(response) {
  assert.equal(response.status, 200, response.text);
  assert.match(response.header('content-type'), /^text\/event-stream\b/);
  assert.equal(response.header('cache-control'), 'no-store');
  assert.equal(response.header('retry-after'), undefined);
  assert.match(response.text, /^retry: [2-4]\d{3}\n\n$/);
}

/** Publishes each 50 ms until stop(), which returns all positions. */
function startPublishing(cluster, channel) {
  const ids = [];
  let stopped = false;
  const ended = (async () => {
    while (!stopped) {
      ids.push(await cluster.publish(channel, String(ids.length)));
      await pause(50);
    }
  })();
  return {
    stop: async () => {
      stopped = true;
      await ended;
      return ids;
    },
  };
}

/** The node's place is taken by a new one on the same port, and the balancer sends clients there. */
async function replaceNode(cluster, front, node) {
  const fresh = await cluster.startNode([], { port: node.port });
  cluster.nodes[cluster.nodes.indexOf(node)] = fresh;
  const nodeId = await nodeIdAt(fresh.url);
  const clients = [];
  await eventually('it is served again', async () => {
    const client = new SseClient(front.url, [channelName()]);
    clients.push(client);
    return (await client.hello()).json.node === nodeId;
  });
  for (const client of clients) client.close();
}

function tellOfNodesThatGo({ skip, cluster, front, asksReadiness }) {
  story('kill -9 of two nodes of three: every poll is answered', { skip }, async () => {
    const [busy, quiet] = [channelName(), channelName()];
    const since = await cluster.publish(busy, '0');
    const still = await cluster.publish(quiet, '0');
    const publishing = startPublishing(cluster, busy);
    const traffic = new Traffic(front.url)
      .poll(6, busy, since)
      .poll(6, busy, since, { wait: 2 })
      .poll(9, quiet, still, { wait: 2 });
    const victims = cluster.nodes.slice(1);
    await traffic.answered(1);
    for (const victim of victims) {
      await eventually('it holds some', () => openOn([victim], ['long_poll']));
    }
    await Promise.all(victims.map((victim) => victim.kill('SIGKILL')));
    await traffic.answered(2);
    for (const victim of victims) await replaceNode(cluster, front, victim);
    await traffic.answered(1);
    const ids = await publishing.stop();
    const readers = traffic.readers.filter((reader) => reader.channel === busy);
    await eventually('all have the last', () =>
      readers.every((reader) => reader.ids[reader.ids.length - 1] === ids[ids.length - 1]),
    );
    assert.deepEqual(await traffic.stop(), []);
    for (const reader of readers) assert.deepEqual(reader.ids, ids, 'each once, in order');
  });

  story('drain of a node: no request fails, no stream is cut early', { skip }, async (t) => {
    const [busy, quiet] = [channelName(), channelName()];
    const since = await cluster.publish(busy, '0');
    const still = await cluster.publish(quiet, '0');
    const positions = [];
    const traffic = new Traffic(front.url)
      .poll(6, busy, since)
      .poll(6, busy, since, { wait: 2 })
      .poll(6, quiet, still, { wait: 2 })
      .publish(3, busy, positions);
    const victim = cluster.nodes[2];
    const stream = await openStreamOn(t, front, victim);
    await traffic.answered(1);

    const began = Date.now();
    victim.child.kill('SIGTERM');
    if (asksReadiness) {
      await eventually('it gets nothing new', () => isAvoided(front, stream.nodeId));
      assert.equal(stream.response.complete, false, 'noticed while it still took connections');
    }
    await within(stream.response.done, 'the end of its streams');
    const took = Date.now() - began;
    assert.ok(took >= GRACE_MS, `a stream of the node that drains was cut after ${took} ms`);
    assert.deepEqual(await within(victim.exited, 'its end'), { code: 0, signal: null });
    await traffic.answered(2);
    await replaceNode(cluster, front, victim);
    await traffic.answered(1);
    assert.deepEqual(await traffic.stop(), []);
    const log = await poll(cluster.nodes[0].url, [busy], { since, wait: 1 });
    positions.sort((a, b) => versionOf(a) - versionOf(b));
    assert.deepEqual(positions, idsOf(log), 'each publication once');
  });
}

/** What a node calls itself. */
async function nodeIdAt(url) {
  const client = new SseClient(url, [channelName()]);
  const { json } = await client.hello();
  client.close();
  return json.node;
}

/** Server-sent events through the balancer, which happen to come from this node. */
async function openStreamOn(t, front, node) {
  const nodeId = await nodeIdAt(node.url);
  return eventually('a stream on that node', async () => {
    const client = new SseClient(front.url, [channelName()]);
    t.after(() => client.close());
    return (await client.hello()).json.node === nodeId && Object.assign(client, { nodeId });
  });
}

/** None of a dozen clients that come together is sent to that node. */
async function isAvoided(front, nodeId) {
  const clients = Array.from({ length: 12 }, () => new SseClient(front.url, [channelName()]));
  const hellos = await Promise.all(clients.map((client) => client.hello()));
  for (const client of clients) client.close();
  return hellos.every(({ json }) => json.node !== nodeId);
}

function tellOfNoNode({ skip, start, cluster }) {
  story('no node is up: EventSources come back, others get a problem', { skip }, async (t) => {
    const node = await cluster.startNode();
    const front = await start(t, [node.url]);
    const channel = channelName();
    const id = await publish(cluster.redis, channel, '1');
    await eventually('served', async () => (await poll(front.url, [channel])).status === 200);
    await node.kill('SIGKILL');
    // First the balancer finds out, then it knows: both in these three seconds.
    for (const end = Date.now() + 3_000; Date.now() < end;) {
      assertComeBack(await request(front.url, `/sse?channel=${channel}`));
      assertComeBack(await postJson(front.url, '/sse', { channels: { [channel]: '' } }));
      const refused = [
        await poll(front.url, [channel]),
        await postJson(front.url, '/poll', { channels: { [channel]: '' } }),
        await postJson(front.url, '/publish', { channel, data: 1 }),
        await request(front.url, `/ws?channel=${channel}`),
      ];
      for (const response of refused) {
        assertProblem(response, 503, 'unavailable');
        assert.equal(response.header('retry-after'), '1');
        assert.equal(response.header('cache-control'), 'no-store');
      }
      await pause(100);
    }
    const source = new EventSource(`${front.url}/sse?channel=${channel}&since=0`);
    t.after(() => source.close());
    const came = new Promise((resolve) => {
      source.addEventListener('message', (event) => resolve(event.lastEventId));
    });
    await new Promise((resolve) => source.addEventListener('error', resolve, { once: true }));
    await cluster.startNode([], { port: node.port });
    assert.equal(await within(came, 'an EventSource that was told to come back'), id);
  });
}
