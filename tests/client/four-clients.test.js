/**
 * Four different clients on three nodes: each loses its node by kill -9 while messages are
 * published, and goes on elsewhere, by another transport, with nothing but its last position.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { launch, noChromium } from '../support/browser.js';
import { query } from '../support/clients.js';
import { spawnChild } from '../support/node.js';
import { open } from '../support/readers.js';
import { channelName, startCluster, story, versionOf } from '../support/story.js';
import { DEADLINE_MS, eventually, pause, within } from '../support/wait.js';

/** How many messages each client gets between two kills, and misses while it moves. */
const BETWEEN = 40;
const MISSED = 10;

/** A client of tests/support, with a new reader for each place. */
class ReaderClient {
  told = [];

  constructor(name, channel) {
    this.name = name;
    this.channel = channel;
  }

  async join({ node, transport, since }) {
    this.reader = open({ transport, url: node.url, channels: [this.channel], since });
    await this.reader.ready();
    this.ended = this.#read(this.reader, node);
  }

  /** Resolves when the death of the node ends it; with an error when something else does. */
  async #read(reader, node) {
    for (;;) {
      try {
        const { id } = await reader.next({ deadline: DEADLINE_MS * 2 });
        this.told.push(id);
      } catch (error) {
        return node.child.killed ? undefined : error;
      }
    }
  }

  /** What came from the node before it died is told; then the position. */
  async lost() {
    const error = await within(this.ended, `${this.name} notices that its node is gone`);
    if (error) throw error;
    this.#close();
    return this.reader.cursor;
  }

  async ids() {
    return this.told;
  }

  #close() {
    this.reader.close();
    assert.deepEqual([...this.reader.resets, ...this.reader.stale], []);
  }

  async leave() {
    if (this.reader) this.#close();
  }
}

/** curl, as in the README: what it prints, line by line. Elsewhere it is another client. */
class CurlClient extends ReaderClient {
  async join(place) {
    if (place.transport !== 'curl') return super.join(place);
    const url = `${place.node.url}/stream?${query([this.channel], { since: place.since })}`;
    this.curl = spawnChild('curl', ['-sSN', url]);
    this.closed = once(this.curl, 'close');
    this.lines = '';
    this.curl.stdout.setEncoding('utf8').on('data', (text) => this.#print(text));
    await eventually('curl prints where it starts', () => this.position !== undefined);
  }

  #print(text) {
    const lines = (this.lines + text).split('\n');
    this.lines = lines.pop();
    for (const line of lines.filter((one) => one !== '')) {
      const { type, id, position } = JSON.parse(line);
      if (type === 'ok') this.position = position;
      if (type === 'reset') this.reset = line;
      if (type !== undefined) continue;
      this.told.push(id);
      this.position = id;
    }
  }

  async lost() {
    if (this.reader) return super.lost();
    const [code] = await within(this.closed, 'curl ends with its node');
    assert.notEqual(code, 0, 'curl takes the end for a good one');
    assert.equal(this.reset, undefined);
    return this.position;
  }

  async leave() {
    this.curl?.kill('SIGKILL');
    await super.leave();
  }
}

/**
 * The client that a node serves, in a document that a node serves. Not its page at /: that one's
 * policy allows it no HTTP to other nodes.
 */
class ChromiumClient {
  name = 'Chromium';

  constructor(page, channel) {
    this.page = page;
    this.channel = channel;
  }

  async load(node) {
    await this.page.goto(`${node.url}/readyz`);
    await this.page.evaluate(async () => {
      globalThis.freshet = await import('/client.js');
      globalThis.told = [];
      globalThis.resets = [];
    });
  }

  async join({ node, transport, since }) {
    const joined = this.page.evaluate(
      async ([url, name, way, from]) => {
        const client = globalThis.freshet.connect(url, { transports: [way] });
        const subscription = client.subscribe(name, { since: from });
        subscription.addEventListener('message', ({ id }) => globalThis.told.push(id));
        subscription.addEventListener('reset', ({ reason }) => globalThis.resets.push(reason));
        Object.assign(globalThis, { client, subscription });
        await new Promise((resolve) => {
          subscription.addEventListener('state', ({ state }) => state === 'live' && resolve());
        });
        return client.transport;
      },
      [node.url, this.channel, transport, since],
    );
    assert.equal(await within(joined, `Chromium reads by ${transport}`), transport);
  }

  async lost() {
    await this.page.waitForFunction(() => globalThis.client.state === 'waiting');
    const { position, resets } = await this.page.evaluate(() => {
      globalThis.client.close();
      return { position: globalThis.subscription.position, resets: globalThis.resets };
    });
    assert.deepEqual(resets, []);
    return position;
  }

  ids() {
    return this.page.evaluate(() => globalThis.told);
  }

  async leave() {
    assert.deepEqual(await this.page.evaluate(() => globalThis.resets), []);
    await this.page.close();
  }
}

/** Publishes until it is told to stop. */
function publishOn(cluster, channel) {
  const stream = { count: 0, stopped: false };
  const run = async () => {
    while (!stream.stopped) {
      stream.count = versionOf(await cluster.publish(channel, '"more"'));
      await pause(2);
    }
  };
  const running = run();
  running.catch(() => {});
  stream.stop = () => {
    stream.stopped = true;
    return running;
  };
  return stream;
}

async function toldBy(client, count) {
  await eventually(
    `${client.name} has ${count} messages`,
    async () => (await client.ids()).length >= count,
  );
}

story(
  'four clients get one publication, and lose nothing when their nodes are killed',
  { skip: noChromium, deadline: 90_000 },
  async (t) => {
    const channel = channelName();
    const cluster = await startCluster(t, { nodes: 3, args: ['--origin', '*'] });
    const [one, two, three] = cluster.nodes;
    const browser = await launch();
    t.after(() => browser.close());

    const json = new ReaderClient('ws JSON', channel);
    const msgpack = new ReaderClient('ws msgpack', channel);
    const curl = new CurlClient('curl', channel);
    const chromium = new ChromiumClient(await browser.newPage(), channel);
    const clients = [json, msgpack, curl, chromium];
    await chromium.load(three);
    await Promise.all([
      json.join({ node: one, transport: 'ws' }),
      msgpack.join({ node: two, transport: 'ws-msgpack' }),
      curl.join({ node: one, transport: 'curl' }),
      chromium.join({ node: three, transport: 'websocket' }),
    ]);

    const id = await cluster.publish(channel, '"first"');
    for (const client of clients) {
      await toldBy(client, 1);
      assert.deepEqual(await client.ids(), [id], client.name);
    }

    const stream = publishOn(cluster, channel);
    t.after(() => (stream.stopped = true));
    /** Everybody is reading; then the node is gone, and each client on it moves. */
    const kill = async (victim, moves) => {
      const due = stream.count + BETWEEN;
      await Promise.all(clients.map((client) => toldBy(client, due)));
      await victim.kill('SIGKILL');
      await Promise.all(
        moves.map(async ([client, node, transport]) => {
          const since = await client.lost();
          await eventually('it has missed some', () => stream.count >= versionOf(since) + MISSED);
          await client.join({ node, transport, since });
        }),
      );
    };
    await kill(one, [
      [json, two, 'sse'],
      [curl, three, 'poll'],
    ]);
    const four = await cluster.startNode();
    await kill(two, [
      [json, four, 'stream'],
      [msgpack, three, 'long-poll'],
    ]);
    await kill(three, [
      [msgpack, four, 'stream'],
      [curl, four, 'ws'],
      [chromium, four, 'sse'],
    ]);
    const due = stream.count + BETWEEN;
    await Promise.all(clients.map((client) => toldBy(client, due)));
    await stream.stop();

    const versions = Array.from({ length: stream.count }, (_, at) => at + 1);
    for (const client of clients) {
      await toldBy(client, stream.count);
      assert.deepEqual((await client.ids()).map(versionOf), versions, client.name);
    }
    await Promise.all(clients.map((client) => client.leave()));
    t.diagnostic(`${stream.count} messages, 3 nodes killed, 7 moves`);
  },
);
