/**
 * A strict WebSocket client on a raw socket (RFC 6455). It refuses what a server must not send, and
 * it can send what no polite client would: every bit of a frame is the test's to choose.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import net from 'node:net';
import { decode, encode } from '@msgpack/msgpack';
import { query } from './clients.js';
import { DEADLINE_MS, Queue, within } from './wait.js';

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };
export const JSON_PROTOCOL = 'freshet.v1';
export const MSGPACK_PROTOCOL = 'freshet.v1.msgpack';

/** One frame, right in all that is not chosen otherwise. `length` lies about the payload's. */
export function frame(opcode, payload = '', { fin = true, rsv = 0, masked = true, length } = {}) {
  const body = Buffer.from(payload);
  const size = BigInt(length ?? body.length);
  const head = [(fin ? 0x80 : 0) | (rsv << 4) | opcode];
  const bit = masked ? 0x80 : 0;
  if (size < 126n) head.push(bit | Number(size));
  else if (size < 65536n) head.push(bit | 126, Number(size >> 8n), Number(size & 255n));
  else {
    head.push(bit | 127);
    for (let shift = 56n; shift >= 0n; shift -= 8n) head.push(Number((size >> shift) & 255n));
  }
  if (!masked) return Buffer.concat([Buffer.from(head), body]);
  const mask = randomBytes(4);
  for (let at = 0; at < body.length; at += 1) body[at] ^= mask[at & 3];
  return Buffer.concat([Buffer.from(head), mask, body]);
}

/** The payload of a close frame. */
export function closeBody(code, reason = '') {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(code);
  return Buffer.concat([head, Buffer.from(reason)]);
}

/** Splits what a server sends into frames. Throws at the first thing RFC 6455 forbids a server. */
export class FrameParser {
  constructor(onFrame) {
    this.onFrame = onFrame;
    this.buffer = Buffer.alloc(0);
  }

  /** @param {Buffer} bytes */
  feed(bytes) {
    this.buffer = this.buffer.length === 0 ? bytes : Buffer.concat([this.buffer, bytes]);
    while (this.#frame());
  }

  #frame() {
    const { buffer } = this;
    if (buffer.length < 2) return false;
    const opcode = buffer[0] & 15;
    assert.equal(buffer[0] & 0x70, 0, 'RSV bits without an extension');
    assert.equal(buffer[1] & 0x80, 0, 'a masked frame from the server');
    assert.equal(buffer[0] & 0x80, 0x80, 'this server does not fragment');
    assert.ok(opcode !== 0 && Object.values(OPCODE).includes(opcode), `opcode ${opcode}`);
    const short = buffer[1] & 127;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    if (buffer.length < 2 + lengthBytes) return false;
    let length = short;
    if (lengthBytes === 2) length = buffer.readUInt16BE(2);
    if (lengthBytes === 8) length = Number(buffer.readBigUInt64BE(2));
    assert.ok(lengthBytes === 0 || length > (lengthBytes === 2 ? 125 : 65535), 'length: too long');
    assert.ok(opcode < 8 || length <= 125, 'a control frame of more than 125 bytes');
    const end = 2 + lengthBytes + length;
    if (buffer.length < end) return false;
    this.buffer = buffer.subarray(end);
    this.onFrame({ opcode, payload: buffer.subarray(2 + lengthBytes, end) });
    return true;
  }
}

/** The head of an answer: status, and fields by lower-case name. */
function parseHead(text) {
  const [first, ...lines] = text.split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf(':');
      return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
    }),
  );
  return { status: Number(first.split(' ')[1]), headers };
}

export class WsClient {
  /**
   * @param {string} url of a node
   * @param {{ channels?: string[], protocol?: string, headers?: Record<string, string | undefined>,
   *   early?: Buffer, pongs?: boolean, [parameter: string]: any }} [options] `early`: bytes in the
   *   same segment as the request; `pongs: false`: pings are not answered; others: the query's
   */
  constructor(url, options = {}) {
    const { channels = [], protocol, headers = {}, early, pongs = true, ...params } = options;
    const { hostname, port } = new URL(url);
    this.protocol = protocol;
    this.pongs = pongs;
    /** text and binary frames, decoded where the subprotocol says how */
    this.objects = new Queue('WebSocket');
    this.pings = new Queue('pings');
    this.pongsSeen = new Queue('pongs');
    this.closeFrame = undefined;
    this.key = randomBytes(16).toString('base64');
    this.socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
    this.opened = new Promise((resolve, reject) => {
      this.onHead = resolve;
      this.onFailure = reject;
    });
    this.opened.catch(() => {});
    this.closed = new Promise((resolve) => {
      let how = 'end';
      this.socket.on('error', (error) => (how = error.code ?? error.message));
      this.socket.on('close', () => {
        this.onFailure(new Error(`closed before the handshake (${how})`));
        const { code, reason } = this.closeFrame ?? {};
        this.objects.fail(new Error(`closed: ${code ?? how} ${reason ?? ''}`));
        resolve({ how, code, reason });
      });
    });
    this.#handshake(`${hostname}:${port}`, `/ws?${query(channels, params)}`, headers, early);
    this.socket.on('data', (bytes) => this.#onData(bytes));
  }

  #handshake(host, path, headers, early = Buffer.alloc(0)) {
    const fields = {
      Host: host,
      Upgrade: 'websocket',
      Connection: 'Upgrade',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': this.key,
      'Sec-WebSocket-Protocol': this.protocol,
      ...headers,
    };
    const lines = [`GET ${path.replace(/\?$/, '')} HTTP/1.1`];
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined) lines.push(`${name}: ${value}`);
    }
    this.socket.write(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), early]));
  }

  #onData(bytes) {
    try {
      if (this.parser) this.parser.feed(bytes);
      else this.#onHeadBytes(bytes);
    } catch (error) {
      this.onFailure(error);
      this.objects.fail(error);
      this.socket.destroy();
    }
  }

  #onHeadBytes(bytes) {
    this.headBytes = this.headBytes ? Buffer.concat([this.headBytes, bytes]) : bytes;
    const end = this.headBytes.indexOf('\r\n\r\n');
    if (end < 0) return;
    this.response = parseHead(this.headBytes.subarray(0, end).toString('latin1'));
    const rest = this.headBytes.subarray(end + 4);
    if (this.response.status !== 101) {
      this.response.text = rest.toString();
      this.onHead(this.response);
      return;
    }
    const { headers } = this.response;
    const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    const accept = createHash('sha1')
      .update(this.key + guid)
      .digest('base64');
    assert.equal(headers['sec-websocket-accept'], accept);
    assert.equal(headers.upgrade.toLowerCase(), 'websocket');
    assert.match(headers.connection, /upgrade/i);
    assert.equal(headers['sec-websocket-extensions'], undefined, 'no extension was offered');
    assert.equal(headers['sec-websocket-protocol'], this.protocol?.split(/, */)[0]);
    this.parser = new FrameParser((one) => this.#onFrame(one));
    this.onHead(this.response);
    if (rest.length > 0) this.parser.feed(rest);
  }

  #onFrame({ opcode, payload }) {
    assert.equal(this.closeFrame, undefined, 'a frame behind the close frame');
    if (opcode === OPCODE.ping) {
      this.pings.push(payload);
      if (this.pongs) this.send(frame(OPCODE.pong, payload));
    } else if (opcode === OPCODE.pong) {
      this.pongsSeen.push(payload);
    } else if (opcode === OPCODE.close) {
      assert.notEqual(payload.length, 1, 'a close frame with half a code');
      const code = payload.length > 0 ? payload.readUInt16BE(0) : 1005;
      this.closeFrame = { code, reason: payload.subarray(2).toString() };
      this.objects.fail(new Error(`close frame: ${code} ${this.closeFrame.reason}`));
    } else {
      this.objects.push(this.#decode(opcode, payload));
    }
  }

  #decode(opcode, payload) {
    if (this.protocol === undefined) {
      const isText = opcode === OPCODE.text;
      const text = isText ? new TextDecoder('utf-8', { fatal: true }).decode(payload) : undefined;
      return { opcode, payload: Buffer.from(payload), text };
    }
    if (this.protocol.startsWith(MSGPACK_PROTOCOL)) {
      assert.equal(opcode, OPCODE.binary);
      return decode(payload);
    }
    assert.equal(opcode, OPCODE.text);
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  }

  /** The head of the answer, whatever its status. */
  head() {
    return within(this.opened, 'the answer to a handshake');
  }

  /** The answer was 101, and its first object, unless raw, a hello. */
  async hello() {
    const { status, text } = await this.head();
    assert.equal(status, 101, `${status} ${text}`);
    if (this.protocol === undefined) return undefined;
    const hello = await this.next({ what: 'hello' });
    assert.equal(hello.type, 'hello', JSON.stringify(hello));
    return hello;
  }

  /** @param {Buffer} bytes as they are */
  send(bytes) {
    if (this.socket.writable) this.socket.write(bytes);
  }

  /** One command, in the language of the subprotocol. */
  command(object) {
    const isMsgpack = this.protocol?.startsWith(MSGPACK_PROTOCOL);
    if (isMsgpack) this.send(frame(OPCODE.binary, encode(object)));
    else this.send(frame(OPCODE.text, JSON.stringify(object)));
  }

  /** One command and its answer; what comes before that stays in the queue, in order. */
  async ask(command) {
    this.refs = (this.refs ?? 0) + 1;
    const ref = command.ref ?? this.refs;
    this.command({ ref, ...command });
    const isAnswer = (object) => object.ref === ref;
    const passed = [];
    for (;;) {
      const object = await this.next({ what: `the answer to ${JSON.stringify(command)}` });
      if (isAnswer(object)) {
        this.objects.items.unshift(...passed);
        return object;
      }
      passed.push(object);
    }
  }

  next(options) {
    return this.objects.next(options);
  }

  waitFor(predicate, options) {
    return this.objects.waitFor(predicate, options);
  }

  /** How it ended: { code, reason } of the server's close frame, once the connection is closed. */
  end({ deadline = DEADLINE_MS } = {}) {
    return within(this.closed, 'the end of the WebSocket', deadline);
  }

  /** Cuts the connection. */
  close() {
    this.socket.destroy();
  }
}

/** A client that is open, and closed with the test. */
export async function openWs(t, url, options = {}) {
  const client = new WsClient(url, { protocol: JSON_PROTOCOL, ...options });
  t.after(() => client.close());
  client.greeting = await client.hello();
  return client;
}
