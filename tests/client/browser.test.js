/** The client in Chromium: each transport alone, each fault of WebSocket, the file, the page. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { concatenate, launch, noChromium, noCmake, startSite } from '../support/browser.js';
import { speaksWebSocket } from '../support/client.js';
import { channelName, startFileCluster, story, versionOf } from '../support/story.js';
import { eventually } from '../support/wait.js';
import { FAULTS, startProxy } from '../support/ws_faults.js';

const skip = noChromium;
const SCREENSHOTS = process.env.SCREENSHOTS
  ? path.resolve(process.env.SCREENSHOTS)
  : path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../build/screenshots');
const FALLBACK_MS_MAX = 4_000;

let browser;
const cluster = skip ? null : await startFileCluster({ nodes: 2 });
const first = cluster?.nodes[0];
if (!skip) {
  browser = await launch();
  after(() => browser.close());
}
const skipWebSocket = skip || ((await speaksWebSocket(first.url)) ? false : 'this node has no /ws');

/** A page that has the client's module as `freshet`; nothing may go wrong in it unseen. */
async function openPage(t, { node, file = '/src/index.js', clientFile, at = '/blank', fault }) {
  let site = await startSite(t, { node, clientFile });
  let proxy;
  if (fault) {
    proxy = await startProxy(t, site);
    proxy.upgrades = fault;
    site = proxy.url;
  }
  const page = await browser.newPage();
  const errors = [];
  const requests = [];
  page.on('pageerror', (error) => errors.push(error));
  page.on('request', (request) => requests.push(request.url()));
  t.after(async () => {
    await page.close();
    assert.deepEqual(errors, [], 'no errors in the page');
  });
  await page.goto(site + at);
  if (at === '/blank') {
    await page.evaluate(async (source) => {
      globalThis.freshet = await import(source);
    }, file);
  }
  return { page, site, requests, proxy };
}

/** In the page: subscribes and collects. @returns {Promise<void>} when it is live */
function follow(page, { channel, options, since }) {
  return page.evaluate(
    async ([name, more, from]) => {
      globalThis.started = performance.now();
      globalThis.client = globalThis.freshet.connect(undefined, more);
      const subscription = globalThis.client.subscribe(name, { since: from });
      globalThis.told = [];
      globalThis.resets = [];
      subscription.addEventListener('message', ({ id, data }) => {
        globalThis.told.push({ id, data, ms: performance.now() - globalThis.started });
      });
      subscription.addEventListener('reset', ({ reason }) => globalThis.resets.push(reason));
      if (from !== undefined) return;
      await new Promise((resolve) => {
        subscription.addEventListener('state', ({ state }) => state === 'live' && resolve());
      });
    },
    [channel, options, since],
  );
}

/** Of the page at /: the channel is subscribed and its start known. */
function isLive(page, channel) {
  const chip = page.locator('#channels li', { hasText: channel });
  return chip.locator('small', { hasText: 'live' }).waitFor();
}

async function told(page, count) {
  await page.waitForFunction((due) => globalThis.told.length >= due, count, { timeout: 20_000 });
  return page.evaluate(() => globalThis.told);
}

for (const transport of ['websocket', 'sse', 'long-poll', 'poll']) {
  const without = transport === 'websocket' ? skipWebSocket : skip;
  story(
    `Chromium, ${transport} alone: the node is killed meanwhile; nothing lost or double`,
    { skip: without },
    async (t) => {
      const channel = channelName();
      const [victim, refuge] = [await cluster.startNode(), await cluster.startNode()];
      let node = victim;
      const { page } = await openPage(t, { node: () => node.url });
      await follow(page, { channel, options: { transports: [transport], pollInterval: 50 } });
      assert.equal(await page.evaluate(() => globalThis.client.transport), transport);
      const publishing = (async () => {
        for (let n = 1; n <= 300; n += 1) await cluster.publish(channel, String(n));
      })();
      await told(page, 50);
      node = refuge;
      await victim.kill('SIGKILL');
      await publishing;
      const messages = await told(page, 300);
      assert.deepEqual(
        messages.map(({ id }) => versionOf(id)),
        Array.from({ length: 300 }, (_, at) => at + 1),
      );
      assert.deepEqual(await page.evaluate(() => globalThis.resets), []);
    },
  );
}

for (const fault of FAULTS) {
  story(`Chromium: a WebSocket that is there but does not work (${fault})`, { skip }, async (t) => {
    const channel = channelName();
    await cluster.publish(channel, '"kept"');
    const { page } = await openPage(t, { node: () => first.url, fault });
    await follow(page, { channel, since: '0' });
    const [{ data, ms }] = await told(page, 1);
    assert.equal(data, 'kept');
    assert.equal(await page.evaluate(() => globalThis.client.transport), 'sse');
    t.diagnostic(`Chromium, fallback from ${fault}: ${Math.round(ms)} ms`);
    assert.ok(ms < FALLBACK_MS_MAX, `${ms} ms`);
    await cluster.publish(channel, '"live"');
    assert.equal((await told(page, 2))[1].data, 'live');
  });
}

story('Chromium: back online it does not wait any longer', { skip }, async (t) => {
  const channel = channelName();
  const { page, proxy } = await openPage(t, { node: () => first.url, fault: 'pass' });
  await follow(page, { channel, options: { transports: ['sse'] } });
  await page.evaluate(() => {
    globalThis.client.addEventListener('state', ({ state, retry }) => {
      if (state === 'waiting') globalThis.retry = retry;
    });
  });
  await page.context().setOffline(true);
  proxy.cut();
  await page.waitForFunction(() => globalThis.retry > 1500);
  const id = await cluster.publish(channel, '1');
  const start = Date.now();
  await page.context().setOffline(false);
  assert.equal((await told(page, 1))[0].id, id);
  t.diagnostic(`Chromium: ${Date.now() - start} ms after it is online`);
  assert.ok(Date.now() - start < 2_000);
});

story('Chromium: the one file does what the modules do', { skip: skip || noCmake }, async (t) => {
  const channel = channelName();
  const clientFile = concatenate(t);
  const { page } = await openPage(t, { node: () => first.url, file: '/client.js', clientFile });
  const names = await page.evaluate(() => Object.keys(globalThis.freshet));
  assert.deepEqual(names, ['Client', 'FreshetError', 'Subscription', 'connect']);
  await follow(page, { channel });
  const position = await page.evaluate(
    (name) => globalThis.client.publish(name, { n: 1 }),
    channel,
  );
  assert.deepEqual(
    (await told(page, 1)).map(({ id, data }) => ({ id, data })),
    [{ id: position, data: { n: 1 } }],
  );
});

story(
  'Chromium: the page subscribes, publishes and shows what comes',
  { skip: skip || noCmake },
  async (t) => {
    const channel = channelName('page');
    const { page, site, requests } = await openPage(t, {
      node: () => first.url,
      clientFile: concatenate(t),
      at: `/#${channel}`,
    });
    await isLive(page, channel);
    await page.locator('#publish textarea').fill('{"hello": "Höhenrain"}');
    await page.getByRole('button', { name: 'Publish' }).click();
    await page.locator('#log li', { hasText: 'Höhenrain' }).waitFor();
    await cluster.publish(channel, 'plain text from Redis', 'TYPE', 'text', 'EVENT', 'note');
    await page.locator('#log li', { hasText: 'plain text from Redis' }).waitFor();
    const [newest] = await page.locator('#log li').allInnerTexts();
    assert.match(newest, /version 2[^]*note[^]*by (websocket|sse)[^]*node \w+[^]*\d+ ms/);
    assert.match(await page.locator('#published').innerText(), /^Version 1, in [\d.]+ ms\.$/);
    assert.equal(await page.locator('#state').innerText(), 'open');

    mkdirSync(SCREENSHOTS, { recursive: true });
    for (const [name, width, colorScheme] of [
      ['light', 1100, 'light'],
      ['dark', 1100, 'dark'],
      ['phone', 360, 'light'],
    ]) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${name}: ${wide} px too wide`);
      await page.screenshot({ path: path.join(SCREENSHOTS, `page-${name}.png`), fullPage: true });
    }
    t.diagnostic(`screenshots: ${SCREENSHOTS}`);

    for (const url of requests) assert.ok(url.startsWith(site) || url.startsWith('data:'), url);
    const unlabelled = await page.evaluate(
      () =>
        [...document.querySelectorAll('input, select, textarea')].filter(
          (one) => one.labels.length === 0,
        ).length,
    );
    assert.equal(unlabelled, 0);
    await page.getByRole('button', { name: `Stop ${channel}` }).click();
    await eventually(
      'no channel left',
      async () => (await page.locator('#channels li').count()) === 0,
    );
    await page.locator('#subscribe input').fill('a{b');
    await page.getByRole('button', { name: 'Subscribe' }).click();
    await page.locator('#subscribed.bad').waitFor();
  },
);

story('Chromium: a node’s page follows news at once, and draws a tally', { skip }, async (t) => {
  const page = await browser.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  t.after(() => page.close());
  await page.goto(first.url);
  await isLive(page, 'news');
  await cluster.publish('news', '{"hello":"world"}');
  await page.locator('#log li', { hasText: '"hello"' }).waitFor();
  assert.equal(await page.locator('#demo').isVisible(), false);

  const row = { clients: 40, connected: 39, delivered: 1234, double: 0, resets: 0, other: 0 };
  const tally = {
    ...{ second: 3, seconds: 20, rate: 200, published: 600, verdict: null },
    transports: [
      { ...row, name: 'sse', lost: 0, reconnects: 13, p99_ms: 4.1 },
      { ...row, name: 'poll', lost: 2, reconnects: 0, p99_ms: 412.3 },
    ],
    notes: [{ second: 2, text: 'node 2 killed (-9)' }],
  };
  await cluster.publish('news', JSON.stringify(tally), 'EVENT', 'tally');
  await page.locator('#tally tr', { hasText: 'server-sent' }).waitFor();
  assert.deepEqual(await page.locator('#tally tr').allInnerTexts(), [
    'server-sent events\t39 of 40\t1,234\t0\t0\t0\t0\t13\t4.1 ms',
    'polling\t39 of 40\t1,234\t2\t0\t0\t0\t0\t412 ms',
  ]);
  assert.equal(await page.locator('#tally td.bad').count(), 1);
  assert.match(await page.locator('#notes').innerText(), /^second 2: node 2 killed \(-9\)$/);
  assert.equal(await page.locator('#log li').count(), 1, 'a tally is no row among the messages');
  assert.deepEqual(errors, []);
});
