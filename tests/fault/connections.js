/**
 * One connection of a client, on any of the six transports, with one face: what it brings goes to
 * the handlers of `Sink`. The parsers are those of tests/support; its readers are not used here,
 * because they keep all that they ever saw, which 3,600 messages a second do not allow.
 */
import { randomBytes } from 'node:crypto';
import net from 'node:net';
import { decode } from '@msgpack/msgpack';
import { query } from '../support/clients.js';
import { ResponseParser } from '../support/http.js';
import { EventStreamParser } from '../support/sse.js';
import { FrameParser, JSON_PROTOCOL, MSGPACK_PROTOCOL, OPCODE, frame } from '../support/ws.js';

export const TRANSPORTS = ['poll', 'long-poll', 'sse', 'stream', 'ws', 'ws-msgpack'];

/** An address that nobody has any more does not refuse: it says nothing. */
const CONNECT_MS = 1000;
const POLL_EVERY_MS = 400;
const POLL_TIMEOUT_MS = 5000;
const SLOW_BYTES = 65_536; // a slow reader takes as much a second

/**
 * @typedef {object} Sink
 * @property {string | undefined} cursor where to go on; undefined: at the head
 * @property {(node: string | undefined) => void} opened the server has answered
 * @property {(channel: string, position: string) => void} starts a channel stands here now
 * @property {(message: any) => void} message
 * @property {(reset: any) => void} reset
 * @property {(seconds: number) => void} stale
 * @property {(wait: number, took: number) => void} held a long poll took longer than it may
 * @property {(what: string) => void} wrong an answer that the contract does not allow
 * @property {(why: string, details?: { polite?: boolean, retry?: number }) => void} ended
 */

/** What all have: a socket to one port, closed once, and the end told once. */
class Connection {
  /**
   * @param {{ address: { host: string, port: number }, channels: string[], sink: Sink,
   *   slow?: boolean }} options
   */
  constructor({ address, channels, sink, slow = false }) {
    this.channels = channels;
    this.sink = sink;
    this.slow = slow;
    this.isOver = false;
    this.lastByteAt = performance.now();
    this.host = `${address.host}:${address.port}`;
    this.socket = net.connect({ ...address, noDelay: true });
    this.connecting = setTimeout(() => this.end('no connection'), CONNECT_MS);
    this.socket.on('connect', () => clearTimeout(this.connecting));
    this.socket.on('data', (bytes) => this.#onBytes(bytes));
    this.socket.on('error', (error) => this.end(error.code ?? error.message));
    this.socket.on('close', () => this.end('closed'));
  }

  #onBytes(bytes) {
    if (this.isOver) return;
    this.lastByteAt = performance.now();
    try {
      this.onBytes(bytes);
    } catch (error) {
      this.sink.wrong(error.message);
      this.end(`broken: ${error.message}`);
    }
    if (this.slow) this.#slowDown(bytes.length);
  }

  #slowDown(bytes) {
    this.socket.pause();
    setTimeout(() => this.socket.resume(), (bytes / SLOW_BYTES) * 1000);
  }

  /** The server's doing. */
  end(why, details) {
    if (this.isOver) return;
    this.close();
    this.sink.ended(why, details);
  }

  /** The client's own wish: nothing that comes is looked at any more. */
  close() {
    this.isOver = true;
    clearTimeout(this.connecting);
    this.onClose?.();
    this.socket.destroy();
  }

  /** Milliseconds without a byte, where the server has promised to speak. */
  get silence() {
    return this.slow ? 0 : performance.now() - this.lastByteAt;
  }

  get(path, headers = {}) {
    const fields = Object.entries({ Host: this.host, ...headers });
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  }

  /** What is the same in a stream's line, a WebSocket's frame and an event's data. */
  take(object) {
    const { sink } = this;
    switch (object.type) {
      case undefined:
        return sink.message(object);
      case 'hello':
        return sink.opened(object.node);
      case 'ok':
        return sink.starts(object.channel, object.position);
      case 'reset':
        return sink.reset(object);
      case 'stale':
        return sink.stale(object.seconds);
      case 'bye':
        this.bye = object;
        return undefined;
      default:
        throw new Error(`unknown type ${object.type}`);
    }
  }
}

/** Polls, plain or long, one after the other on one connection. */
class PollConnection extends Connection {
  constructor(options) {
    super(options);
    this.wait = options.wait;
    this.parser = new ResponseParser(
      (response) =>
        response.done.then(
          () => this.#answered(response),
          () => {},
        ),
      () => 'GET',
    );
    this.#ask();
  }

  onBytes(bytes) {
    this.parser.feed(bytes);
  }

  onClose() {
    clearTimeout(this.timer);
    clearTimeout(this.deadline);
  }

  #ask() {
    if (this.isOver) return;
    const since = this.sink.cursor;
    const wait = since === undefined ? undefined : this.wait;
    const headers = since === undefined ? {} : { 'If-None-Match': `"${since}"` };
    this.askedAt = performance.now();
    this.since = since;
    this.wasSlow = this.slow;
    const timeout = (this.slow ? 8 : 1) * POLL_TIMEOUT_MS + (wait ?? 0) * 1000;
    this.deadline = setTimeout(() => this.end('no answer to a poll'), timeout);
    this.get(`/poll?${query(this.channels, { since, wait })}`, headers);
  }

  #answered(response) {
    clearTimeout(this.deadline);
    if (this.isOver) return;
    const took = performance.now() - this.askedAt;
    if (this.wait && !this.wasSlow && took > this.wait * 1000 + 1000) {
      this.sink.held(this.wait * 1000, took);
    }
    if (response.status === 503) {
      const retry = Number(response.header('retry-after') ?? 1) * 1000;
      this.end('503', { retry });
    } else if (response.status === 200) {
      this.sink.opened(undefined);
      this.#hand(response.json);
    } else if (response.status !== 304) {
      this.end(`status ${response.status}: ${response.text.slice(0, 200)}`);
    } else if (response.header('freshet-stale') !== undefined) {
      this.sink.wrong(`304 with Freshet-Stale: ${response.header('freshet-stale')}`);
    }
    if (response.header('connection')?.toLowerCase() === 'close') {
      this.end('a poll answered with close', { polite: true });
    }
    const again = this.wait || this.more ? 0 : POLL_EVERY_MS * (this.slow ? 6 : 1);
    this.timer = setTimeout(() => this.#ask(), again);
  }

  #hand({ cursor, messages, resets = [], more = false }) {
    this.more = more;
    const items = cursor.split(',');
    if (this.since === undefined) {
      this.channels.forEach((channel, at) => this.sink.starts(channel, items[at]));
    }
    for (const reset of resets) this.sink.reset(reset);
    for (const message of messages) this.sink.message(message);
    // The answer's cursor must be what the answer's messages and resets say.
    if (this.sink.cursor !== cursor) {
      this.channels.forEach((channel, at) => this.sink.starts(channel, items[at]));
    }
  }

  get silence() {
    return 0; // a held poll is silent; its deadline is its own
  }
}

/** A response without an end: SSE and stream. */
class BodyConnection extends Connection {
  constructor(options, path, accept) {
    super(options);
    this.parser = new ResponseParser(
      (response) => this.#onHead(response),
      () => 'GET',
    );
    const since = this.sink.cursor;
    this.get(`${path}?${query(this.channels, { since })}`, { Accept: accept });
  }

  onBytes(bytes) {
    this.parser.feed(bytes);
  }

  #onHead(response) {
    if (response.status !== 200) {
      const retry = Number(response.header('retry-after') ?? 0) * 1000;
      this.end(`status ${response.status}`, { retry });
      return;
    }
    this.sink.opened(undefined);
    response.stream((bytes) => this.onBody(bytes));
    response.done.then(
      () => this.end('the response has ended', { polite: true, retry: this.retry }),
      () => {},
    );
  }
}

class SseConnection extends BodyConnection {
  constructor(options) {
    super(options, '/sse', 'text/event-stream');
    this.events = new EventStreamParser((event) => this.#onEvent(event));
    this.events.onComment = () => (this.events.comments.length = 0);
  }

  get retry() {
    return this.events.retry;
  }

  onBody(bytes) {
    this.events.feed(bytes);
  }

  #onEvent({ event, data, id }) {
    const object = JSON.parse(data);
    if (event === 'hello') {
      const items = object.cursor.split(',');
      this.sink.opened(object.node);
      this.channels.forEach((channel, at) => this.sink.starts(channel, items[at]));
    } else if (event === 'stale') {
      this.sink.stale(object.seconds);
    } else {
      if (event === 'reset') this.sink.reset(object);
      else this.sink.message(object);
      // What the browser would come back with must be where the client stands.
      if (id !== undefined && id !== this.sink.cursor) {
        throw new Error(`id: ${id}, but the client stands at ${this.sink.cursor}`);
      }
    }
  }
}

class StreamConnection extends BodyConnection {
  constructor(options) {
    super(options, '/stream', '*/*');
    this.decoder = new TextDecoder('utf-8', { fatal: true });
    this.rest = '';
  }

  get retry() {
    return this.bye?.retry;
  }

  onBody(bytes) {
    this.rest += this.decoder.decode(bytes, { stream: true });
    const lines = this.rest.split('\n');
    this.rest = lines.pop();
    for (const line of lines) {
      if (line !== '' && !this.isOver) this.take(JSON.parse(line));
    }
  }
}

class WebSocketConnection extends Connection {
  constructor(options) {
    super(options);
    this.isText = options.protocol === JSON_PROTOCOL;
    this.head = Buffer.alloc(0);
    const since = this.sink.cursor;
    this.get(`/ws?${query(this.channels, { since })}`, {
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
      'Sec-WebSocket-Protocol': options.protocol,
    });
  }

  onBytes(bytes) {
    if (this.frames) return this.frames.feed(bytes);
    this.head = Buffer.concat([this.head, bytes]);
    const end = this.head.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const status = Number(this.head.toString('latin1', 9, 12));
    if (status !== 101) return this.end(`status ${status}`);
    this.sink.opened(undefined);
    this.frames = new FrameParser((one) => this.#onFrame(one));
    return this.frames.feed(this.head.subarray(end + 4));
  }

  #onFrame({ opcode, payload }) {
    if (this.isOver) return;
    if (opcode === OPCODE.ping) {
      this.socket.write(frame(OPCODE.pong, payload));
    } else if (opcode === OPCODE.close) {
      const code = payload.length > 1 ? payload.readUInt16BE(0) : 1005;
      this.end(`close ${code}`, { polite: this.bye !== undefined, retry: this.bye?.retry });
    } else if (opcode !== OPCODE.pong) {
      this.take(this.isText ? JSON.parse(payload.toString()) : decode(payload));
    }
  }
}

/** @param {string} transport  @param {ConstructorParameters<typeof Connection>[0]} options */
export function openConnection(transport, options) {
  switch (transport) {
    case 'poll':
      return new PollConnection(options);
    case 'long-poll':
      return new PollConnection({ ...options, wait: 5 });
    case 'sse':
      return new SseConnection(options);
    case 'stream':
      return new StreamConnection(options);
    case 'ws':
      return new WebSocketConnection({ ...options, protocol: JSON_PROTOCOL });
    case 'ws-msgpack':
      return new WebSocketConnection({ ...options, protocol: MSGPACK_PROTOCOL });
    default:
      throw new Error(`no transport ${transport}`);
  }
}
