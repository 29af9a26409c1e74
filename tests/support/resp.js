/**
 * Redis in raw commands: a RESP2 parser that knows no socket, and a connection that knows no more
 * than commands in order and their replies in order. Tests speak through it, so that nothing of a
 * client library (retries, transformed replies) stands between them and Redis.
 */
import net from 'node:net';
import { Queue, within } from './wait.js';

/** An error reply; `code` is its first word. */
export class RedisError extends Error {
  constructor(message) {
    super(message);
    this.name = 'RedisError';
    this.code = message.split(' ', 1)[0];
  }
}

/**
 * Bytes in, replies out. Strings are Buffers, integers numbers, nil null, errors RedisError (as
 * values: one may be an element of EXEC's array).
 */
export class RespParser {
  #buffer = Buffer.alloc(0);
  #at = 0;

  /** @param {Buffer} bytes  @returns {unknown[]} the replies that are complete now */
  feed(bytes) {
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
    const replies = [];
    for (;;) {
      this.#at = 0;
      const reply = this.#value();
      if (reply === undefined) return replies;
      replies.push(reply);
      this.#buffer = this.#buffer.subarray(this.#at);
    }
  }

  /** The line at hand, without its end; undefined when it has none yet. */
  #line() {
    const end = this.#buffer.indexOf('\r\n', this.#at);
    if (end < 0) return undefined;
    const line = this.#buffer.toString('utf8', this.#at, end);
    this.#at = end + 2;
    return line;
  }

  #value() {
    const line = this.#line();
    if (line === undefined) return undefined;
    const rest = line.slice(1);
    switch (line[0]) {
      case '+':
        return Buffer.from(rest);
      case '-':
        return new RedisError(rest);
      case ':':
        return Number(rest);
      case '$':
        return this.#bulk(Number(rest));
      case '*':
        return this.#array(Number(rest));
      default:
        throw new Error(`not RESP2: ${line.slice(0, 40)}`);
    }
  }

  #bulk(length) {
    if (length < 0) return null;
    const end = this.#at + length;
    if (this.#buffer.length < end + 2) return undefined;
    const bytes = this.#buffer.subarray(this.#at, end);
    this.#at = end + 2;
    return bytes;
  }

  #array(length) {
    if (length < 0) return null;
    const items = [];
    for (let i = 0; i < length; i++) {
      const item = this.#value();
      if (item === undefined) return undefined;
      items.push(item);
    }
    return items;
  }
}

/** @param {(string | number | Buffer)[]} args */
export function encodeCommand(args) {
  const parts = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = Buffer.isBuffer(arg) ? arg : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/** The reply with strings for Buffers. */
function toText(reply) {
  if (Buffer.isBuffer(reply)) return reply.toString();
  return Array.isArray(reply) ? reply.map(toText) : reply;
}

const PUSHES = ['message', 'pmessage', 'smessage'];

export class RedisConnection {
  #parser = new RespParser();
  #waiting = [];

  /** @param {net.Socket} socket */
  constructor(socket) {
    this.socket = socket;
    /** What came on subscribed channels: { channel, payload: Buffer }, in order. */
    this.messages = new Queue('redis subscription');
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      for (const reply of this.#parser.feed(bytes)) this.#onReply(reply);
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the connection to redis is closed')));
  }

  /** @param {net.NetConnectOpts} where */
  static async open(where) {
    const socket = net.connect(where);
    const connected = new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    try {
      await within(connected, 'a connection to redis');
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return new RedisConnection(socket);
  }

  get isOpen() {
    return !this.socket.destroyed;
  }

  #onReply(reply) {
    if (Array.isArray(reply) && Buffer.isBuffer(reply[0]) && PUSHES.includes(String(reply[0]))) {
      this.messages.push({ channel: String(reply.at(-2)), payload: reply.at(-1) });
    } else {
      this.#waiting.shift()?.resolve(reply);
    }
  }

  #fail(error) {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.messages.fail(error);
  }

  /** Sends one command and returns its reply with Buffers for strings; throws error replies. */
  async callBytes(...args) {
    if (!this.isOpen) throw new Error('the connection to redis is closed');
    const replied = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    this.socket.write(encodeCommand(args));
    const reply = await within(replied, () => `a reply to ${args.join(' ').slice(0, 80)}`);
    if (reply instanceof RedisError) throw reply;
    return reply;
  }

  /** The same with text for strings. Calls may be made without waiting: they are pipelined. */
  async call(...args) {
    return toText(await this.callBytes(...args));
  }

  /** Returns once Redis has acknowledged; what is published then goes to `messages`. */
  async subscribe(channel) {
    await this.call('SUBSCRIBE', channel);
  }

  close() {
    this.socket.destroy();
  }
}
