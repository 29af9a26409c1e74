/**
 * Stories about the cluster of docker-compose.yml, which run.sh has taken up: three nodes behind
 * HAProxy. It is reached as users reach it, through HAProxy and by docker's own commands.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, noChromium } from '../support/browser.js';
import { SseClient, TRANSPORTS } from '../support/clients.js';
import { request } from '../support/http.js';
import { open } from '../support/readers.js';
import { eventually, within } from '../support/wait.js';
import { openProject } from './docker.js';

const { FRESHET_URL: url, FRESHET_PROJECT: project, FRESHET_COMPOSE } = process.env;
assert.ok(url && project && FRESHET_COMPOSE, 'tests/compose/run.sh runs this file');
const [command, ...words] = FRESHET_COMPOSE.split(' ');
const { docker, compose, containers, inspect, shell } = openProject(project, FRESHET_COMPOSE);
const SCREENSHOTS = fileURLToPath(new URL('../../build/screenshots', import.meta.url));

/** The command that docker-compose.yml and README.md tell everybody. */
function publish(channel) {
  const call = ['FCALL', 'freshet_publish', '1', channel, '{"hello":"world"}'];
  return compose('exec', '-T', 'redis', 'redis-cli', ...call);
}

/** The ids by which nodes introduced themselves to clients of HAProxy; each process has its own. */
const met = new Set();

async function meetNodes() {
  const streams = Array.from({ length: 6 }, () => new SseClient(url, ['hello']));
  try {
    const hellos = await Promise.all(streams.map((stream) => stream.hello()));
    hellos.forEach((hello) => met.add(hello.json.node));
  } finally {
    streams.forEach((stream) => stream.close());
  }
}

/** So many node processes have served clients: who is new has the fewest, and gets the next. */
function serve(count) {
  const enough = async () => {
    await meetNodes();
    return met.size >= count;
  };
  return eventually(`${count} nodes have served`, enough, { deadline: 30_000 });
}

test('a publication by redis-cli comes through HAProxy on every transport', async (t) => {
  const channel = `news-${process.pid}`;
  const readers = TRANSPORTS.map((transport) => open({ transport, url, channels: [channel] }));
  t.after(() => readers.forEach((reader) => reader.close()));
  await Promise.all(readers.map((reader) => reader.ready()));
  const id = await publish(channel);

  for (const reader of readers) {
    const message = await reader.next();
    assert.equal(message.id, id, reader.name);
    assert.deepEqual(message.data, { hello: 'world' }, reader.name);
  }
});

test('the page shows what is published', { skip: noChromium }, async (t) => {
  const browser = await launch();
  t.after(() => browser.close());
  const page = await browser.newPage();
  await page.goto(`${url}/`);
  const channel = page.locator('#channels li', { hasText: 'news' });
  await channel.locator('small', { hasText: 'live' }).waitFor();
  await publish('news');
  await page.locator('#log li', { hasText: '"hello"' }).waitFor();
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: path.join(SCREENSHOTS, 'compose.png') });
});

test('clients are spread over all three nodes', () => serve(3));

test('nodes run as nobody special, on a file system that they cannot write', async () => {
  const nodes = await containers('node');
  assert.equal(nodes.length, 3);
  for (const id of nodes) {
    const { Config, HostConfig } = await inspect(id);
    assert.equal(Config.User, '10001:10001');
    assert.equal(Config.StopSignal, 'SIGTERM');
    assert.equal(HostConfig.ReadonlyRootfs, true);
    const status = await shell(id, 'while read -r line; do echo "$line"; done </proc/1/status');
    assert.match(status, /^Uid:\s+10001\s+10001\s+10001\s+10001$/m);
    assert.match(status, /^CapEff:\s+0+$/m);
    assert.match(status, /^CapBnd:\s+0+$/m);
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    await assert.rejects(shell(id, ': >/tmp/file'), /Read-only file system/);
  }
});

test('nodes and Redis become healthy, and only HAProxy has a port on the host', async () => {
  for (const id of [...(await containers('node')), ...(await containers('redis'))]) {
    await eventually('healthy', async () => (await inspect(id)).State.Health.Status === 'healthy');
    const { Ports } = (await inspect(id)).NetworkSettings;
    assert.deepEqual(Object.values(Ports).filter(Boolean), []);
  }
});

test('an admin port is open to the network of the cluster, not to clients', async () => {
  const [node] = await containers('node');
  const ask =
    'exec 3<>/dev/tcp/node/8081; printf "GET /metrics HTTP/1.0\\r\\n\\r\\n" >&3; ' +
    'while read -r line; do echo "$line"; done <&3';
  assert.match(await shell(node, ask), /^freshet_ready 1$/m);
  assert.equal((await request(url, '/metrics')).status, 404);
});

/** Clients of each transport. */
const EACH = 40;

/** 200 clients and a publisher, in a container beside the cluster, until told to stop. */
class Load {
  constructor() {
    this.tally = `tally-${process.pid}`;
    const where = '--node haproxy:8080 --redis redis:6379';
    const clients = ['poll', 'long-poll', 'sse', 'stream', 'ws'].map((kind) => `--${kind} ${EACH}`);
    // So few channels that each node holds each: while Redis restarts, a node that does not hold a
    // channel can only answer a poll with 503.
    const how = '--channels 5 --rate 100 --seconds 600 --reconnects --notes --view none';
    const args = `run --rm -T load ${where} ${clients.join(' ')} ${how} --tally ${this.tally}`;
    this.child = spawn(command, [...words, ...args.split(' ')]);
    this.child.stdin.on('error', () => {});
    this.output = '';
    for (const out of [this.child.stdout, this.child.stderr]) {
      out.setEncoding('utf8').on('data', (text) => (this.output += text));
    }
    this.ended = new Promise((resolve) => this.child.once('close', resolve));
    this.code = null;
    this.ended.then((code) => (this.code = code));
  }

  /** What the load says of itself each second, through the cluster that it tests. */
  poll() {
    assert.equal(this.code, null, `the load ended early:\n${this.output}`);
    return request(url, `/poll?channel=${this.tally}&rewind=1`);
  }

  /** All clients are connected, and that was said after this was asked. */
  flows() {
    let from;
    const isFlowing = async () => {
      const snapshot = (await this.poll()).json.messages[0]?.data;
      if (snapshot?.phase !== 'publishing') return false;
      from ??= snapshot.second;
      const connected = snapshot.transports.map((transport) => transport.connected);
      return snapshot.second > from + 1 && connected.every((count) => count === EACH);
    };
    return eventually('200 clients are connected', isFlowing, { deadline: 60_000, every: 100 });
  }

  note(text) {
    this.child.stdin.write(`${text}\n`);
  }

  async verdict() {
    const [id] = await this.#container();
    await docker('kill', '--signal', 'TERM', id);
    return within(this.ended, () => `the verdict; so far:\n${this.output}`, 90_000);
  }

  async #container() {
    const labels = [`project=${project}`, 'service=load', 'oneoff=True'];
    const filters = labels.flatMap((label) => ['--filter', `label=com.docker.compose.${label}`]);
    return (await docker('ps', '-q', ...filters)).split('\n').filter(Boolean);
  }

  async end() {
    const ids = this.code === null ? await this.#container() : [];
    if (ids.length > 0) await docker('rm', '-f', ...ids);
    this.child.kill();
  }
}

async function timed(action) {
  const start = Date.now();
  await action();
  return Date.now() - start;
}

const scale = (count) => compose('up', '-d', '--scale', `node=${count}`);

/** A rolling restart's step: the node drains, ends with 0 in time, and serves again. */
async function restartByDrain(id, served) {
  const ms = await timed(() => docker('stop', '--time', '45', id));
  assert.equal((await inspect(id)).State.ExitCode, 0, 'a node that is stopped ends with 0');
  assert.ok(ms < 30_000, `a drain of 3 s and 10 s took ${ms} ms`);
  await docker('start', id);
  await serve(served);
}

test('nothing is lost while nodes are killed, stopped and scaled, and Redis restarts', async (t) => {
  const load = new Load();
  t.after(() => load.end());
  await load.flows();
  /** A fault, and then all clients again: else one fault could hide the next. */
  const fault = async (name, action) => {
    load.note(name);
    const ms = await timed(action);
    const back = await timed(() => load.flows());
    t.diagnostic(`${name}: ${ms} ms, all clients connected ${back} ms later`);
  };

  const nodes = await containers('node');
  await fault('a node is killed (-9)', async () => {
    await docker('kill', '--signal', 'KILL', nodes[0]);
    assert.equal((await inspect(nodes[0])).State.ExitCode, 137);
  });
  await fault('it comes back', async () => {
    await docker('start', nodes[0]);
    await serve(4);
  });
  for (const [at, id] of nodes.entries()) {
    await fault(`node ${at + 1} of 3 is restarted`, () => restartByDrain(id, 5 + at));
  }
  await fault('scaled to 5', async () => {
    await scale(5);
    await serve(9);
  });
  await fault('Redis is restarted with its data', () => compose('restart', 'redis'));
  await fault('scaled to 2', () => scale(2));
  assert.equal((await containers('node', 'status=running')).length, 2);

  const code = await load.verdict();
  load.output.split(/[\r\n]+/).forEach((line) => t.diagnostic(line));
  assert.equal(code, 0, load.output);
});

test('while no node hears Redis, HAProxy goes on asking those that live', async (t) => {
  const channel = `away-${process.pid}`;
  // So many that each node has some: it answers from memory what it delivered itself.
  const options = { transport: 'sse', url, channels: [channel] };
  const readers = Array.from({ length: 6 }, () => open(options));
  t.after(() => readers.forEach((reader) => reader.close()));
  const [start] = await Promise.all(readers.map((reader) => reader.ready()));
  const first = await publish(channel);
  for (const reader of readers) assert.equal((await reader.next()).id, first);

  await compose('stop', 'redis');
  t.after(() => compose('start', 'redis'));
  const answers = [];
  await eventually('polls are answered from memory', async () => {
    const answer = await request(url, `/poll?channel=${channel}&since=${start}`);
    answers.push(answer.status);
    return Number(answer.header('freshet-stale')) >= 3 && answer.json.messages[0].id === first;
  });
  assert.deepEqual([...new Set(answers)], [200]);
  await compose('start', 'redis');

  const second = await eventually('Redis answers', () => publish(channel));
  for (const reader of readers) {
    assert.equal((await reader.next()).id, second);
    assert.deepEqual(reader.resets, []);
  }
});
