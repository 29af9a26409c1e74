/**
 * Independent clients of the HTTP contract: poll, server-sent events, NDJSON stream. Strict: what
 * the contract does not allow is an error here, not something to be forgiven.
 *
 * `open()` puts one face on all of them, so that a test of recovery is written once:
 *   next()      the next message: { channel, id, event, data, cursor }
 *   nextReset() the next thing must be a reset
 *   cursor      where the reader stands after what was taken by next() and nextReset()
 *   resets      all resets taken
 *   ready()     the start is known: what is published from now on will come
 *   close()     cuts the connection, without a word
 */
import assert from 'node:assert/strict';
import { Connection, request } from './http.js';
import { EventStreamParser } from './sse.js';
import { Queue, pause, within } from './wait.js';

export const TRANSPORTS = ['poll', 'long-poll', 'sse', 'stream', 'ws', 'ws-msgpack'];

export const POSITION = /^[1-9]\d{15}-\d+$/;

/** `channel=a&channel=b&since=…`; parameters that are undefined are left out. */
export function query(channels, params = {}) {
  const pairs = channels.map((channel) => ['channel', channel]);
  for (const [name, value] of Object.entries(params)) {
    if (value !== undefined) pairs.push([name, value]);
  }
  return pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
}

/** One poll. Returns the response: status, headers, text, json. */
export function poll(url, channels, { headers, deadline, ...params } = {}) {
  return request(url, `/poll?${query(channels, params)}`, { headers, deadline });
}

/** One read of the history. */
export function history(url, channels, { headers, ...params } = {}) {
  return request(url, `/history?${query([channels].flat(), params)}`, { headers });
}

/** POST with a JSON body. */
export function postJson(url, path, body, headers = {}) {
  return request(url, path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

/** What every refusal looks like: RFC 9457 with our `code`. */
export function assertProblem(response, status, code) {
  const said = `${response.status} ${response.text}`;
  assert.equal(response.status, status, said);
  assert.match(response.header('content-type') ?? '', /^application\/problem\+json\b/, said);
  assert.equal(typeof response.json.code, 'string', said);
  if (response.json.status !== undefined) assert.equal(response.json.status, status);
  if (code !== undefined) assert.equal(response.json.code, code, said);
  return response.json;
}

/** A stream of server-sent events, as it is: every event, comment and field. */
export class SseClient {
  constructor(url, channels, { headers = {}, method = 'GET', body, ...params } = {}) {
    this.events = new Queue('SSE');
    this.comments = new Queue('SSE comments');
    this.parser = new EventStreamParser((event) => this.events.push(event));
    this.parser.onComment = (text) => this.comments.push(text);
    this.raw = '';
    this.connection = new Connection(url);
    const path = channels.length > 0 ? `/sse?${query(channels, params)}` : '/sse';
    this.started = this.#start(path, { method, headers, body });
    this.started.catch((error) => this.events.fail(error));
  }

  async #start(path, options) {
    await this.connection.request(path, {
      ...options,
      headers: { Accept: 'text/event-stream', ...options.headers },
    });
    const response = await this.connection.head();
    this.response = response;
    if (response.status !== 200) {
      await response.done;
      throw new Error(`SSE: ${response.status} ${response.text}`);
    }
    response.stream((bytes) => {
      this.raw += bytes.toString('latin1');
      try {
        this.parser.feed(bytes);
      } catch (error) {
        this.events.fail(error);
        this.close();
      }
    });
    response.done.then(
      () => this.events.fail(new Error('the stream has ended')),
      (error) => this.events.fail(error),
    );
    return response;
  }

  get retry() {
    return this.parser.retry;
  }

  /** The hello, which must be the first event unless Redis is away. */
  async hello() {
    await within(this.started, 'the head of an event stream');
    let event;
    do event = await this.events.next({ what: 'the hello event' });
    while (event.event === 'stale');
    assert.equal(event.event, 'hello', `first event: ${JSON.stringify(event)}`);
    return { ...event, json: JSON.parse(event.data) };
  }

  next(options) {
    return this.events.next(options);
  }

  waitFor(predicate, options) {
    return this.events.waitFor(predicate, options);
  }

  close() {
    this.connection.close();
  }
}

/** An NDJSON stream: each line an object, with its text beside it. */
export class StreamClient {
  constructor(url, channels, { headers = {}, method = 'GET', body, ...params } = {}) {
    this.lines = new Queue('stream');
    this.heartbeats = new Queue('stream heartbeats');
    this.decoder = new TextDecoder('utf-8', { fatal: true });
    this.rest = '';
    this.connection = new Connection(url);
    const path = channels.length > 0 ? `/stream?${query(channels, params)}` : '/stream';
    this.started = this.#start(path, { method, headers, body });
    this.started.catch((error) => this.lines.fail(error));
  }

  async #start(path, options) {
    await this.connection.request(path, options);
    const response = await this.connection.head();
    this.response = response;
    if (response.status !== 200) {
      await response.done;
      throw new Error(`stream: ${response.status} ${response.text}`);
    }
    response.stream((bytes) => {
      try {
        this.#feed(bytes);
      } catch (error) {
        this.lines.fail(error);
        this.close();
      }
    });
    response.done.then(
      () => this.lines.fail(new Error('the stream has ended')),
      (error) => this.lines.fail(error),
    );
    return response;
  }

  #feed(bytes) {
    this.rest += this.decoder.decode(bytes, { stream: true });
    const lines = this.rest.split('\n');
    this.rest = lines.pop();
    for (const text of lines) {
      if (text.includes('\r')) throw new Error(`CR in a line: ${JSON.stringify(text)}`);
      if (text === '') this.heartbeats.push(Date.now());
      else this.lines.push({ ...JSON.parse(text), text });
    }
  }

  next(options) {
    return this.lines.next(options);
  }

  waitFor(predicate, options) {
    return this.lines.waitFor(predicate, options);
  }

  close() {
    this.connection.close();
  }
}
