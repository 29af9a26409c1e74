/** /metrics and /channels: the contract's names are all there, and they move. */
import assert from 'node:assert/strict';
import { SseClient, poll } from '../support/clients.js';
import { request } from '../support/http.js';
import { open } from '../support/readers.js';
import { channelName, startFileCluster, story } from '../support/story.js';
import { eventually } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 1, args: ['--workers', '3'] });
const { publish } = cluster;
const [node] = cluster.nodes;

/** name → type, and the labels that the contract gives. */
const NAMES = {
  freshet_ready: ['gauge'],
  freshet_connections: ['gauge', 'transport'],
  freshet_channels: ['gauge'],
  freshet_subscribers: ['gauge', 'transport'],
  freshet_messages_received_total: ['counter'],
  freshet_deliveries_total: ['counter', 'transport'],
  freshet_delivery_lag_seconds: ['histogram'],
  freshet_resets_total: ['counter', 'reason'],
  freshet_gaps_total: ['counter'],
  freshet_gap_messages_total: ['counter'],
  freshet_publishes_total: ['counter', 'result'],
  freshet_envelopes_refused_total: ['counter', 'reason'],
  freshet_frames_encoded_total: ['counter', 'kind'],
  freshet_backlog_bytes: ['gauge'],
  freshet_slow_subscribers: ['gauge'],
  freshet_closed_total: ['counter', 'reason'],
  freshet_refused_total: ['counter', 'reason'],
  freshet_redis_up: ['gauge', 'link'],
  freshet_redis_reconnects_total: ['counter', 'link'],
  freshet_redis_commands_total: ['counter'],
  freshet_echo_age_seconds: ['gauge', 'link'],
  freshet_history_window_seconds: ['gauge'],
};

/** The sum over all labels, 0 when there is no sample yet. */
const total = (metrics, name, labels) => metrics.get(name, labels) ?? 0;

story('every name of the contract is declared, with its type', async () => {
  const { types, samples } = await node.metrics();
  for (const [name, [type, label]] of Object.entries(NAMES)) {
    assert.equal(types.get(name), type, name);
    for (const sample of samples.filter((one) => one.name === name)) {
      if (label) assert.ok(label in sample.labels, `${name} without ${label}`);
    }
  }
});

story('the format is the one that Prometheus reads', async () => {
  const response = await node.admin('/metrics');
  assert.match(response.header('content-type'), /^text\/plain; *version=0\.0\.4/);
  const { samples } = await node.metrics();
  for (const { name, value } of samples) {
    assert.ok(Number.isFinite(value) || /window/.test(name), `${name} ${value}`);
  }
});

story('a message is received once per host and encoded once per kind and worker', async (t) => {
  const channel = channelName();
  const clients = Array.from({ length: 30 }, () => new SseClient(node.url, [channel]));
  t.after(() => clients.forEach((client) => client.close()));
  await Promise.all(clients.map((client) => client.hello()));
  const before = await node.metrics();
  for (let n = 0; n < 10; n += 1) await publish(channel, String(n));
  for (const client of clients) await client.events.take(10);
  const after = await eventually('the deliveries are counted', async () => {
    const metrics = await node.metrics();
    const sse = { transport: 'sse' };
    const delivered =
      total(metrics, 'freshet_deliveries_total', sse) -
      total(before, 'freshet_deliveries_total', sse);
    assert.ok(delivered <= 300, `${delivered} deliveries`);
    return delivered === 300 && metrics;
  });
  const moved = (name, labels) => total(after, name, labels) - total(before, name, labels);
  assert.equal(moved('freshet_messages_received_total'), 10);
  const encoded = moved('freshet_frames_encoded_total');
  assert.ok(encoded >= 10 && encoded <= 30, `${encoded} frames for 3 workers`);
  assert.ok(moved('freshet_delivery_lag_seconds_count') >= 10);
});

story('gauges follow the clients', async () => {
  const channel = channelName();
  const sse = () =>
    node.metrics().then((m) => total(m, 'freshet_subscribers', { transport: 'sse' }));
  const connections = () =>
    node.metrics().then((m) => total(m, 'freshet_connections', { transport: 'sse' }));
  await eventually('none at first', async () => (await sse()) === 0);
  const clients = Array.from(
    { length: 7 },
    () => new SseClient(node.url, [channel, `${channel}b`]),
  );
  await Promise.all(clients.map((client) => client.hello()));
  assert.equal(await sse(), 14);
  assert.equal(await connections(), 7);
  clients.forEach((client) => client.close());
  await eventually('none at last', async () => (await sse()) === 0 && (await connections()) === 0);
});

story('links are up, echoes are young, commands are counted', async () => {
  const metrics = await node.metrics();
  assert.equal(metrics.get('freshet_ready'), 1);
  const links = metrics.samples.filter((sample) => sample.name === 'freshet_redis_up');
  assert.ok(links.length >= 2, 'a command link and a pub/sub link');
  for (const link of links) assert.equal(link.value, 1, link.labels.link);
  for (const echo of metrics.samples.filter((s) => s.name === 'freshet_echo_age_seconds')) {
    assert.ok(echo.value >= 0 && echo.value < 3, `${echo.labels.link}: ${echo.value}`);
  }
  assert.ok(metrics.get('freshet_redis_commands_total') > 0);
});

story('a poll of a live channel costs Redis nothing', async (t) => {
  const channel = channelName();
  const id = await publish(channel, '1');
  const reader = open({ transport: 'sse', url: node.url, channels: [channel] });
  t.after(() => reader.close());
  await reader.ready();
  // Each worker has to hold the channel once.
  for (let n = 0; n < 20; n += 1) await poll(node.url, [channel], { since: id });
  const reads = async () =>
    (await cluster.redis.call('INFO', 'commandstats'))
      .split('\r\n')
      .filter((line) => /cmdstat_(xrange|xrevrange|hmget|hgetall|fcall|evalsha)/.test(line))
      .reduce((sum, line) => sum + Number(/calls=(\d+)/.exec(line)[1]), 0);
  const before = await reads();
  for (let n = 0; n < 200; n += 1) await poll(node.url, [channel], { since: id });
  // What is left is the echo's question for the library's version, and a sweep.
  assert.ok((await reads()) - before < 40, `${(await reads()) - before} reads for 200 polls`);
});

story('refusals are counted by reason', async () => {
  const before = total(await node.metrics(), 'freshet_refused_total');
  assert.equal((await poll(node.url, ['a'], { min: '8999999999999999-1' })).status, 503);
  assert.ok(total(await node.metrics(), 'freshet_refused_total') > before);
});

story('/channels lists what is live here', async (t) => {
  const channel = channelName('listed');
  const sse = new SseClient(node.url, [channel]);
  t.after(() => sse.close());
  await sse.hello();
  const response = await node.admin('/channels');
  assert.equal(response.status, 200);
  assert.match(response.header('content-type'), /^application\/json\b/);
  assert.ok(response.text.includes(JSON.stringify(channel)), response.text.slice(0, 500));
});

story('the admin paths are not on the client port', async () => {
  for (const path of ['/metrics', '/channels', '/nodes', '/drain', '/disconnect']) {
    assert.equal((await request(node.url, path)).status, 404, path);
  }
});
