/**
 * One face on all transports; see clients.js for what each speaks. A reader's items are
 * { kind: 'message' | 'reset' | 'stale', cursor, ... } in the order in which they came; the cursor
 * moves when an item is taken, as an application's would, not when it arrives.
 */
import assert from 'node:assert/strict';
import { POSITION, SseClient, StreamClient, query } from './clients.js';
import { Connection } from './http.js';
import { DEADLINE_MS, Queue, pause, within } from './wait.js';
import { JSON_PROTOCOL, MSGPACK_PROTOCOL, WsClient } from './ws.js';

/** JSON where it is JSON, else the text: on a bare SSE stream nothing says which it is. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  parts.promise.catch(() => {});
  return parts;
}

class Reader {
  constructor(name, { url, channels, since, rewind, headers = {} }) {
    this.name = name;
    this.url = url;
    this.channels = channels;
    this.start = { since, rewind };
    this.headers = headers;
    this.cursor = since;
    this.resets = [];
    this.stale = [];
    this.items = new Queue(`${name} of ${channels.join(',')}`);
    this.begun = deferred();
    this.closed = false;
  }

  ready(deadline = DEADLINE_MS) {
    return within(this.begun.promise, () => `${this.name}: the start known`, deadline);
  }

  /** The start is known; `cursor` stands for it unless something was taken already. */
  begin(cursor) {
    if (this.cursor === this.start.since) this.cursor = cursor;
    this.begun.resolve(cursor);
  }

  fail(error) {
    this.begun.reject(error);
    this.items.fail(error);
  }

  async step(options) {
    const item = await this.items.next(options);
    if (item.cursor !== undefined) this.cursor = item.cursor;
    if (item.kind === 'reset') this.resets.push(item);
    if (item.kind === 'stale') this.stale.push(item);
    return item;
  }

  async next(options = {}) {
    for (;;) {
      const item = await this.step({ what: 'a message', ...options });
      if (item.kind === 'message') return item;
    }
  }

  async nextReset(options = {}) {
    const item = await this.step({ what: 'a reset', ...options });
    assert.equal(item.kind, 'reset', `${this.name}: a reset was due, not ${JSON.stringify(item)}`);
    return item;
  }

  /** @param {number} count */
  async take(count, options) {
    const taken = [];
    while (taken.length < count) taken.push(await this.next(options));
    return taken;
  }

  /** Takes messages up to the one that the predicate likes, and returns all of them. */
  async takeUntil(predicate, options) {
    const taken = [];
    do taken.push(await this.next(options));
    while (!predicate(taken[taken.length - 1]));
    return taken;
  }

  /** All that came by the time that a publication of a moment later is here. */
  get untaken() {
    return this.items.items;
  }
}

/** Polling, plain or long: asks again and again with the cursor of the last answer. */
class PollReader extends Reader {
  constructor(options) {
    super(options.wait ? 'long-poll' : 'poll', options);
    this.wait = options.wait;
    this.connection = new Connection(this.url);
    this.#run().catch((error) => this.fail(error));
  }

  async #run() {
    let { since, rewind } = this.start;
    while (!this.closed) {
      // The first answer of a reader without a cursor tells where it stands: not to be waited for.
      const wait = since === undefined ? undefined : this.wait;
      const answer = await this.#ask({ since, rewind, wait });
      this.#check(answer, since);
      this.#hand(answer, since);
      since = answer.cursor;
      rewind = undefined;
      if (this.wait === undefined && !answer.more) await pause(20);
    }
  }

  async #ask(params) {
    const path = `/poll?${query(this.channels, params)}`;
    await this.connection.request(path, { headers: this.headers });
    const response = await this.connection.response({ deadline: 30_000 });
    if (response.status !== 200) {
      throw new Error(`${path}: ${response.status} ${response.text}`);
    }
    return response.json;
  }

  /** The cursor says exactly what the messages and resets say, channel by channel. */
  #check(answer, since) {
    const items = answer.cursor.split(',');
    assert.equal(items.length, this.channels.length, `cursor ${answer.cursor}`);
    const before = since === undefined ? [] : since.split(',');
    this.channels.forEach((channel, at) => {
      const last = [...(answer.resets ?? []), ...answer.messages]
        .filter((item) => item.channel === channel && (item.type === 'reset' || item.id))
        .pop();
      assert.match(items[at], POSITION);
      if (last) assert.equal(items[at], last.type === 'reset' ? last.to : last.id);
      else if (POSITION.test(before[at] ?? '')) assert.equal(items[at], before[at]);
    });
  }

  #hand(answer, since) {
    const moving = since === undefined ? answer.cursor.split(',') : since.split(',');
    const advance = (channel, position) => {
      if (position !== undefined) moving[this.channels.indexOf(channel)] = position;
      return moving.join(',');
    };
    const resets = answer.resets ?? [];
    for (const reset of resets) {
      this.items.push({ kind: 'reset', ...reset, cursor: advance(reset.channel, reset.to) });
    }
    answer.messages.forEach((message, at) => {
      const composed = advance(message.channel, message.id);
      const cursor = at === answer.messages.length - 1 ? answer.cursor : composed;
      this.items.push({ kind: 'message', ...message, cursor });
    });
    if (resets.length + answer.messages.length === 0) this.begin(answer.cursor);
    else this.begun.resolve(answer.cursor);
  }

  close() {
    this.closed = true;
    this.connection.close();
  }
}

class SseReader extends Reader {
  constructor(options) {
    super('sse', options);
    const { headers, channels } = this;
    this.client = new SseClient(this.url, channels, { headers, ...this.start });
    this.#run().catch((error) => this.fail(error));
  }

  async #run() {
    const hello = await this.client.hello();
    assert.equal(hello.id, hello.json.cursor);
    this.begin(hello.json.cursor);
    while (!this.closed) this.#hand(await this.client.next({ deadline: 120_000 }));
  }

  #hand({ id, event, data }) {
    if (event === 'reset') {
      assert.ok(id, 'a reset without id:');
      this.items.push({ kind: 'reset', ...JSON.parse(data), cursor: id });
    } else if (event === 'stale') {
      assert.equal(id, undefined, 'a stale event moves the cursor');
      this.items.push({ kind: 'stale', ...JSON.parse(data) });
    } else if (this.channels.length === 1) {
      const message = { channel: this.channels[0], id, data: parsed(data), text: data };
      if (event !== 'message') message.event = event;
      this.items.push({ kind: 'message', ...message, cursor: id });
    } else {
      const message = JSON.parse(data);
      assert.equal(event, message.event ?? 'message');
      if (id) assert.equal(id.split(',')[this.channels.indexOf(message.channel)], message.id);
      this.items.push({ kind: 'message', ...message, cursor: id });
    }
  }

  close() {
    this.closed = true;
    this.client.close();
  }
}

/** Objects, one after the other: of a stream, or of a WebSocket. */
class ObjectReader extends Reader {
  constructor(name, options, openClient) {
    super(name, options);
    const { headers, channels } = this;
    const items = this.start.since?.split(',') ?? this.channels.map(() => '');
    this.positions = new Map(this.channels.map((channel, at) => [channel, items[at]]));
    this.joined = new Set();
    this.client = openClient(this.url, channels, { headers, ...this.start });
    this.#run().catch((error) => this.fail(error));
  }

  async #run() {
    const hello = await this.client.next({ what: 'hello' });
    assert.equal(hello.type, 'hello', `first: ${JSON.stringify(hello)}`);
    while (!this.closed) this.#hand(await this.client.next({ deadline: 120_000 }));
  }

  get #composed() {
    return this.channels.map((channel) => this.positions.get(channel)).join(',');
  }

  #hand(line) {
    const { type, channel } = line;
    if (type === 'ok') {
      assert.match(line.position, POSITION);
      assert.ok(this.channels.includes(channel), `ok for ${channel}`);
      assert.ok(!this.joined.has(channel), `a second ok for ${channel}`);
      this.joined.add(channel);
      this.positions.set(channel, line.position);
      if (this.joined.size === this.channels.length) this.begin(this.#composed);
      return;
    }
    if (type === 'bye') {
      this.fail(new Error(`bye: ${JSON.stringify(line)}`));
      return;
    }
    if (type === 'stale') {
      this.items.push({ kind: 'stale', ...line });
      return;
    }
    assert.ok(this.joined.has(channel), `before its ok: ${JSON.stringify(line)}`);
    assert.ok(type === undefined || type === 'reset', `unknown line: ${JSON.stringify(line)}`);
    const position = type === 'reset' ? line.to : line.id;
    if (position !== undefined) this.positions.set(channel, position);
    this.items.push({ kind: type ?? 'message', ...line, cursor: this.#composed });
  }

  close() {
    this.closed = true;
    this.client.close();
  }
}

const openStream = (url, channels, options) => new StreamClient(url, channels, options);

/** A message from msgpack, as JSON would have said it. */
function asJson(object) {
  const { encoding, data, ...rest } = object;
  if (encoding === 'json') return { ...rest, data: JSON.parse(data) };
  if (!(data instanceof Uint8Array)) return object;
  return { ...rest, data: Buffer.from(data).toString('base64'), encoding: 'base64' };
}

function openSocket(protocol) {
  return (url, channels, options) => {
    const client = new WsClient(url, { channels, protocol, ...options });
    const next = client.next.bind(client);
    client.next = async (wish) => asJson(await next(wish));
    return client;
  };
}

/**
 * @param {{ transport: string, url: string, channels: string[], since?: string, rewind?: number,
 *   headers?: Record<string, string> }} options
 */
export function open({ transport, ...options }) {
  switch (transport) {
    case 'poll':
      return new PollReader(options);
    case 'long-poll':
      return new PollReader({ ...options, wait: 20 });
    case 'sse':
      return new SseReader(options);
    case 'stream':
      return new ObjectReader('stream', options, openStream);
    case 'ws':
      return new ObjectReader('ws', options, openSocket(JSON_PROTOCOL));
    case 'ws-msgpack':
      return new ObjectReader('ws-msgpack', options, openSocket(MSGPACK_PROTOCOL));
    default:
      throw new Error(`no transport ${transport}`);
  }
}
