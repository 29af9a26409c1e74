/** A real browser's own EventSource and fetch, in headless Chromium. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { after } from 'node:test';
import { query } from '../support/clients.js';
import { startNode } from '../support/node.js';
import { channelName, startFileCluster, story } from '../support/story.js';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const skip = existsSync(CHROMIUM) ? false : `no Chromium at ${CHROMIUM}`;
const ARGUMENTS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

let browser;
const cluster = skip ? null : await startFileCluster({ nodes: 1 });
if (!skip) {
  const { chromium } = await import('playwright-core');
  browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
  after(() => browser.close());
}

/** A page at this URL, where `follow(url)` collects what an EventSource says. */
async function openPage(t, url) {
  const page = await browser.newPage();
  t.after(() => page.close());
  await page.goto(url);
  await page.evaluate(() => {
    globalThis.follow = (target) => {
      const source = new EventSource(target);
      globalThis.source = source;
      globalThis.events = [];
      for (const type of ['hello', 'message', 'tick', 'reset']) {
        source.addEventListener(type, ({ data, lastEventId }) => {
          globalThis.events.push({ type, data, lastEventId });
        });
      }
    };
  });
  return page;
}

/** Waits in the page until so many events of these types came, and returns all of them. */
async function eventsOf(page, count, types = ['message', 'tick', 'reset']) {
  await page.waitForFunction(
    ([due, kinds]) => globalThis.events.filter((e) => kinds.includes(e.type)).length >= due,
    [count, types],
    { timeout: 20_000 },
  );
  const events = await page.evaluate(() => globalThis.events);
  return events.filter((event) => types.includes(event.type));
}

async function follow(page, url) {
  await page.evaluate((target) => globalThis.follow(target), url);
  await eventsOf(page, 1, ['hello']);
}

story('Chromium: messages, named events, hard texts and ids', { skip }, async (t) => {
  const channel = channelName();
  const [node] = cluster.nodes;
  const page = await openPage(t, `${node.url}/healthz`);
  await follow(page, `/sse?channel=${channel}`);
  const texts = ['one\r\ntwo\rthree\n', '\n\nid: 9\n\n', ' leading', '', '\ufeffBOM', '😀\u2028'];
  const one = await cluster.publish(channel, '{"n": 1}');
  const two = await cluster.publish(channel, 'tock', 'TYPE', 'text', 'EVENT', 'tick');
  for (const text of texts) await cluster.publish(channel, text, 'TYPE', 'text');
  const events = await eventsOf(page, 2 + texts.length);
  assert.deepEqual(events.slice(0, 2), [
    { type: 'message', data: '{"n": 1}', lastEventId: one },
    { type: 'tick', data: 'tock', lastEventId: two },
  ]);
  assert.deepEqual(
    events.slice(2).map((event) => event.data),
    texts.map((text) => text.replace(/\r\n?/g, '\n')),
  );
  assert.equal(new Set(events.map((event) => event.lastEventId)).size, events.length);
});

story(
  'Chromium: the node dies and comes back; it goes on by itself, nothing lost',
  { skip },
  async (t) => {
    const channels = [channelName(), channelName()];
    const node = await cluster.startNode();
    const page = await openPage(t, `${node.url}/healthz`);
    const before = await cluster.publish(channels[0], '"before"');
    await follow(page, `/sse?${query(channels, { since: '0,0' })}`);
    await eventsOf(page, 1);
    await node.kill('SIGKILL');
    const missed = await cluster.publish(channels[1], '"missed"');
    await cluster.startNode([], { port: node.port });
    const events = await eventsOf(page, 2);
    assert.deepEqual(
      events.map((event) => [
        event.type,
        JSON.parse(event.data).data,
        event.lastEventId.split(',')[0],
      ]),
      [
        ['message', 'before', before],
        ['message', 'missed', before],
      ],
    );
    assert.equal(events[1].lastEventId, `${before},${missed}`);
  },
);

story(
  'Chromium: SIGTERM ends the stream politely; it comes back elsewhere',
  { skip },
  async (t) => {
    const channel = channelName();
    const node = await cluster.startNode();
    const page = await openPage(t, `${node.url}/healthz`);
    await follow(page, `/sse?channel=${channel}`);
    await node.stop();
    const missed = await cluster.publish(channel, '"missed"');
    await cluster.startNode([], { port: node.port });
    const [event] = await eventsOf(page, 1);
    assert.deepEqual(event, { type: 'message', data: '"missed"', lastEventId: missed });
  },
);

/** A page of another origin. */
async function startSite(t) {
  const server = http.createServer((_, response) => {
    response.setHeader('Content-Type', 'text/html');
    response.end('<!doctype html><title>an application</title>');
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

story(
  'Chromium: a page of an allowed origin reads; one of another gets nothing',
  { skip },
  async (t) => {
    const [allowed, other] = [await startSite(t), await startSite(t)];
    const args = ['--anonymous', '*', '--anonymous-publish', '*', '--origin', allowed];
    const node = await startNode({ redis: cluster.redis, args });
    t.after(() => node.stop());
    const channel = channelName();
    const id = await cluster.publish(channel, '{"n":1}');

    const page = await openPage(t, allowed);
    await follow(page, `${node.url}/sse?channel=${channel}&since=0`);
    assert.equal((await eventsOf(page, 1))[0].lastEventId, id);
    const polled = await page.evaluate(async (target) => {
      const response = await fetch(target, {
        headers: { 'If-None-Match': '"x"', Prefer: 'wait=1' },
      });
      return { tag: response.headers.get('etag'), body: await response.json() };
    }, `${node.url}/poll?channel=${channel}&since=0`);
    assert.equal(polled.tag, `"${id}"`, 'ETag is exposed');
    assert.equal(polled.body.messages.length, 1);
    const position = await page.evaluate(
      async (target) => {
        const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': 'k' };
        const response = await fetch(target.url, { method: 'POST', headers, body: target.body });
        return (await response.json()).position;
      },
      { url: `${node.url}/publish`, body: JSON.stringify({ channel, data: 2 }) },
    );
    assert.equal((await eventsOf(page, 2))[1].lastEventId, position);

    const stranger = await openPage(t, other);
    const readyState = await stranger.evaluate(
      (target) =>
        new Promise((resolve) => {
          const source = new EventSource(target);
          source.onopen = () => resolve('open');
          source.onerror = () => resolve(source.readyState);
        }),
      `${node.url}/sse?channel=${channel}&since=0`,
    );
    assert.equal(readyState, 2, 'closed for good');
    const failed = await stranger.evaluate(
      (target) =>
        fetch(target).then(
          () => 'read',
          () => 'refused',
        ),
      `${node.url}/poll?channel=${channel}&since=0`,
    );
    assert.equal(failed, 'refused');
  },
);

story('Chromium: fetch reads a stream line by line', { skip }, async (t) => {
  const channel = channelName();
  const [node] = cluster.nodes;
  await cluster.publish(channel, '"first"');
  const page = await openPage(t, `${node.url}/healthz`);
  const lines = await page.evaluate(async (target) => {
    const response = await fetch(target);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (text.split('\n').filter(Boolean).length < 3) text += (await reader.read()).value;
    reader.cancel();
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }, `/stream?channel=${channel}&since=0`);
  assert.deepEqual([lines[0].type, lines[1].type, lines[2].data], ['hello', 'ok', 'first']);
});
