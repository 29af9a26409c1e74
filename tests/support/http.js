/**
 * A small strict HTTP/1.1 client over a raw socket. Strict on purpose: it refuses answers that
 * lenient clients forgive (bad header bytes, two framings, bytes after the end), and it can send
 * what no polite client would.
 */
import net from 'node:net';
import { Queue, within } from './wait.js';

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const CRLF = Buffer.from('\r\n');

/** One response head and, as it comes, its body. */
class Response {
  constructor(version, status, reason, fields) {
    this.version = version;
    this.status = status;
    this.reason = reason;
    /** [name, value] as sent */
    this.fields = fields;
    /** lower-case name → value; a repeated field is joined with ", " */
    this.headers = {};
    for (const [name, value] of fields) {
      const key = name.toLowerCase();
      this.headers[key] = key in this.headers ? `${this.headers[key]}, ${value}` : value;
    }
    this.chunks = [];
    /** sizes of the chunks of a chunked body, without the last, empty one */
    this.framing = 'none';
    this.onData = null;
    this.complete = false;
    this.done = new Promise((resolve, reject) => {
      this.finish = () => {
        this.complete = true;
        resolve(this);
      };
      this.abort = reject;
    });
    this.done.catch(() => {});
  }

  get body() {
    return Buffer.concat(this.chunks);
  }

  get text() {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.body);
  }

  get json() {
    return JSON.parse(this.text);
  }

  /** A header of this name, or undefined */
  header(name) {
    return this.headers[name.toLowerCase()];
  }

  /** @param {Buffer} bytes */
  take(bytes) {
    if (this.onData) this.onData(bytes);
    else this.chunks.push(bytes);
  }

  /** From now on the body goes to `sink`, what came so far first. */
  stream(sink) {
    this.onData = sink;
    for (const bytes of this.chunks.splice(0)) sink(bytes);
  }
}

/** Splits what a server sends into responses. Throws at the first thing RFC 9112 forbids. */
export class ResponseParser {
  /**
   * @param {(response: Response) => void} onHead
   * @param {() => string} methodOf the method of the request that the next response answers
   */
  constructor(onHead, methodOf) {
    this.onHead = onHead;
    this.methodOf = methodOf;
    this.buffer = Buffer.alloc(0);
    this.current = null;
    this.step = this.#head;
  }

  /** @param {Buffer} bytes */
  feed(bytes) {
    this.buffer = this.buffer.length === 0 ? bytes : Buffer.concat([this.buffer, bytes]);
    while (this.buffer.length > 0 && this.step.call(this));
  }

  /** The server closed its side. */
  end() {
    if (!this.current) return;
    if (this.current.framing === 'close') this.current.finish();
    else this.current.abort(new Error('connection closed in the middle of a response'));
    this.current = null;
  }

  #line() {
    const at = this.buffer.indexOf(CRLF);
    if (at < 0) return null;
    const line = this.buffer.subarray(0, at).toString('latin1');
    this.buffer = this.buffer.subarray(at + 2);
    if (/[\r\n\0]/.test(line)) throw new Error(`control character in a line: ${line}`);
    return line;
  }

  #head() {
    const at = this.buffer.indexOf('\r\n\r\n');
    if (at < 0) return false;
    const lines = this.buffer.subarray(0, at).toString('latin1').split('\r\n');
    this.buffer = this.buffer.subarray(at + 4);
    const first = /^HTTP\/(1\.[01]) (\d{3}) ([\x20-\x7e]*)$/.exec(lines[0]);
    if (!first) throw new Error(`no status line: ${JSON.stringify(lines[0])}`);
    const fields = lines.slice(1).map((line) => {
      const colon = line.indexOf(':');
      const name = line.slice(0, colon);
      if (colon < 1 || !TOKEN.test(name)) throw new Error(`bad field: ${JSON.stringify(line)}`);
      if (/[\x00-\x08\x0a-\x1f\x7f]/.test(line)) throw new Error(`control character: ${line}`);
      return [name, line.slice(colon + 1).trim()];
    });
    const response = new Response(first[1], Number(first[2]), first[3], fields);
    if (response.status >= 100 && response.status < 200) {
      response.finish();
      this.onHead(response);
      return true;
    }
    this.current = response;
    this.#frame(response);
    this.onHead(response);
    if (response.framing === 'none') this.#finish();
    return true;
  }

  #frame(response) {
    const length = response.headers['content-length'];
    const coding = response.headers['transfer-encoding'];
    if (length !== undefined && coding !== undefined) throw new Error('two framings');
    if (length !== undefined && !/^\d+$/.test(length)) throw new Error(`length ${length}`);
    const bodiless =
      response.status === 204 || response.status === 304 || this.methodOf() === 'HEAD';
    if (bodiless || length === '0') {
      response.framing = 'none';
    } else if (length !== undefined) {
      response.framing = 'length';
      this.left = Number(length);
      this.step = this.#length;
    } else if (coding !== undefined) {
      if (coding.toLowerCase() !== 'chunked') throw new Error(`transfer coding ${coding}`);
      response.framing = 'chunked';
      this.step = this.#chunkHead;
    } else {
      response.framing = 'close';
      this.step = this.#untilClose;
    }
  }

  #finish() {
    const response = this.current;
    this.current = null;
    this.step = this.#head;
    response.finish();
    return true;
  }

  #length() {
    const part = this.buffer.subarray(0, this.left);
    this.buffer = this.buffer.subarray(part.length);
    this.left -= part.length;
    this.current.take(part);
    return this.left === 0 ? this.#finish() : false;
  }

  #untilClose() {
    this.current.take(this.buffer);
    this.buffer = Buffer.alloc(0);
    return false;
  }

  #chunkHead() {
    const line = this.#line();
    if (line === null) return false;
    if (!/^[0-9A-Fa-f]+$/.test(line)) throw new Error(`bad chunk size: ${JSON.stringify(line)}`);
    this.left = parseInt(line, 16);
    this.step = this.left === 0 ? this.#trailer : this.#chunkData;
    return true;
  }

  #chunkData() {
    if (this.left > 0) {
      const part = this.buffer.subarray(0, this.left);
      this.buffer = this.buffer.subarray(part.length);
      this.left -= part.length;
      this.current.take(part);
      return this.buffer.length > 0;
    }
    if (this.buffer.length < 2) return false;
    if (this.#line() !== '') throw new Error('no CRLF after a chunk');
    this.step = this.#chunkHead;
    return true;
  }

  #trailer() {
    const line = this.#line();
    if (line === null) return false;
    return line === '' ? this.#finish() : true;
  }
}

/** One connection: send anything, read responses in order. */
export class Connection {
  /** @param {string} url of a node; only host and port are used */
  constructor(url) {
    const { hostname, port } = new URL(url);
    this.host = `${hostname}:${port}`;
    this.methods = [];
    this.responses = new Queue(`connection to ${this.host}`);
    this.socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
    const parser = new ResponseParser(
      (response) => {
        if (response.status >= 200) this.methods.shift();
        this.latest = response;
        this.responses.push(response);
      },
      () => this.methods[0] ?? 'GET',
    );
    this.connected = new Promise((resolve, reject) => {
      this.socket.once('connect', resolve);
      this.socket.once('error', reject);
    });
    this.connected.catch(() => {});
    /** Resolves when the connection is gone, with 'end' (politely) or an error code. */
    this.closed = new Promise((resolve) => {
      let how = 'end';
      this.socket.on('error', (error) => (how = error.code ?? error.message));
      this.socket.on('close', () => {
        parser.end();
        this.responses.fail(new Error(`connection closed (${how})`));
        resolve(how);
      });
    });
    this.socket.on('data', (bytes) => {
      try {
        parser.feed(bytes);
      } catch (error) {
        parser.current?.abort(error);
        this.responses.fail(error);
        this.socket.destroy();
      }
    });
  }

  /** Raw bytes, as they are. `methods`: the methods of the requests that they hold. */
  async send(bytes, methods = ['GET']) {
    await within(this.connected, `connect to ${this.host}`);
    this.methods.push(...methods);
    this.socket.write(bytes);
  }

  /** One well-formed request. */
  async request(path, { method = 'GET', headers = {}, body } = {}) {
    const payload = body === undefined ? null : Buffer.from(body);
    const all = { Host: this.host, ...headers };
    if (payload && !('Content-Length' in all)) all['Content-Length'] = String(payload.length);
    const lines = [`${method} ${path} HTTP/1.1`];
    for (const [name, value] of Object.entries(all)) {
      for (const one of [value].flat()) lines.push(`${name}: ${one}`);
    }
    const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'utf8');
    await this.send(payload ? Buffer.concat([head, payload]) : head, [method]);
  }

  /** The next response's head; its body may still be coming. */
  head(options) {
    return this.responses.next({ what: 'a response head', ...options });
  }

  /** The next response, complete. */
  async response(options = {}) {
    const response = await this.head(options);
    return within(response.done, `the end of the ${response.status} response`, options.deadline);
  }

  close() {
    this.socket.destroy();
  }
}

/** One request on a connection of its own; the complete response. */
export async function request(url, path, { deadline, ...options } = {}) {
  const connection = new Connection(url);
  try {
    await connection.request(path, options);
    return await connection.response({ deadline });
  } finally {
    connection.close();
  }
}

/**
 * Sends raw bytes and returns { status, response, closed }: `closed` is a promise that resolves
 * when the server has ended the connection.
 */
export async function exchange(url, bytes, { deadline } = {}) {
  const connection = new Connection(url);
  await connection.send(bytes);
  const response = await connection.response({ deadline });
  return { connection, response, status: response.status, closed: connection.closed };
}
