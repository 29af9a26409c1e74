/**
 * What goes wrong with WebSockets between a client and a node, with real sockets.
 *
 * `startProxy()` stands before a node and lets everything through but the upgrade, to which it does
 * what firewalls and appliances do: refuse it, never answer it, answer 101 and swallow the frames,
 * or answer 101 and cut the connection. It can also lose the whole way, or lead to another node.
 *
 * `startScript()` is a server that speaks the contract's frames (freshet.v1) as a test tells it to,
 * for what no healthy node does: leave a message out, repeat one, say bye, fall silent.
 */
import { createHash } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { loadWs } from './client.js';
import { Queue } from './wait.js';

export const FAULTS = ['refuse', 'hang', 'mute', 'die'];

const DIE_AFTER_MS = 200;
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

const acceptOf = (key) =>
  createHash('sha1')
    .update(key + WEBSOCKET_GUID)
    .digest('base64');

/** The head of an answer that switches protocols, to this request head. */
function switching(head) {
  const [, key] = /^sec-websocket-key: *(.*?) *$/im.exec(head) ?? [];
  return [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptOf(key)}`,
    'Sec-WebSocket-Protocol: freshet.v1',
    '\r\n',
  ].join('\r\n');
}

class Proxy {
  /** What happens to upgrades: one of FAULTS, or 'pass'. */
  upgrades = 'pass';
  /** When each upgrade came, in ms. */
  upgradeTimes = [];
  /** Requests like this one are never answered. @type {RegExp | undefined} */
  hold;
  /** Connections are cut as they come. */
  isDown = false;
  sockets = new Set();

  constructor(target) {
    this.target = new URL(target);
    this.server = net.createServer((socket) => this.#accept(socket));
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** From now on to this node; connections that are open stay where they are. */
  lead(target) {
    this.target = new URL(target);
  }

  /** Cuts all that is open. */
  cut() {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Half-open: what is open stays open, and nothing more passes. */
  stall() {
    for (const socket of this.sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  async close() {
    this.server.close();
    this.cut();
  }

  #keep(socket) {
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.sockets.delete(socket));
  }

  #accept(socket) {
    this.#keep(socket);
    if (this.isDown) return socket.destroy();
    let head = Buffer.alloc(0);
    const onData = (bytes) => {
      head = Buffer.concat([head, bytes]);
      if (!head.includes('\r\n\r\n')) return;
      socket.off('data', onData);
      const isUpgrade = /^upgrade: *websocket/im.test(head.toString('latin1'));
      if (isUpgrade) this.upgradeTimes.push(Date.now());
      if (this.hold?.test(head.toString('latin1'))) return;
      if (isUpgrade && this.upgrades !== 'pass') this.#harm(socket, head.toString('latin1'));
      else this.#pass(socket, head);
    };
    socket.on('data', onData);
  }

  #harm(socket, head) {
    socket.resume();
    if (this.upgrades === 'refuse') {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    } else if (this.upgrades === 'mute') {
      socket.write(switching(head));
    } else if (this.upgrades === 'die') {
      socket.write(switching(head));
      setTimeout(() => socket.destroy(), DIE_AFTER_MS);
    }
  }

  #pass(socket, head) {
    const upstream = net.connect(Number(this.target.port), this.target.hostname);
    this.#keep(upstream);
    upstream.write(head);
    socket.pipe(upstream);
    upstream.pipe(socket);
    socket.on('close', () => upstream.destroy());
    upstream.on('close', () => socket.destroy());
  }
}

/** @param {{ after: Function }} t  @param {string} target the URL of a node */
export async function startProxy(t, target) {
  const proxy = new Proxy(target);
  await new Promise((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
  t.after(() => proxy.close());
  return proxy;
}

/** One client of a script: its commands in order, and what the test answers. */
class Peer {
  constructor(socket) {
    this.socket = socket;
    this.commands = new Queue('commands');
    this.closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('message', (data) => this.#onCommand(JSON.parse(String(data))));
  }

  #onCommand(command) {
    // Nothing is told by a ping but that the server lives.
    if (command.type === 'ping') this.send({ ref: command.ref, type: 'ok' });
    else this.commands.push(command);
  }

  send(...frames) {
    for (const frame of frames) this.socket.send(JSON.stringify(frame));
  }

  hello(more = {}) {
    this.send({ type: 'hello', node: 'script', heartbeat: 25_000, ...more });
  }

  /** The next command, which must be of this type. */
  async next(type) {
    const command = await this.commands.next({ what: type });
    if (command.type !== type) throw new Error(`${type} was due: ${JSON.stringify(command)}`);
    return command;
  }

  /** Answers the next subscribe. @param {string} position */
  async joins(position) {
    const command = await this.next('subscribe');
    this.send({ ref: command.ref, type: 'ok', position });
    return command;
  }

  cut() {
    this.socket.terminate();
  }
}

/**
 * `peers` gives one Peer for each connection; `answers` are those to HTTP requests, by path: a
 * function of the URL and the request that gives an object, or { status, headers?, ... } for a
 * problem.
 */
export async function startScript(t, answers = {}) {
  const { WebSocketServer } = loadWs();
  const peers = new Queue('connections');
  const requests = new Queue('requests');
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://script');
    requests.push({ url, request });
    const answer = answers[url.pathname]?.(url, request) ?? { status: 404, code: 'not-found' };
    const type = answer.status ? 'application/problem+json' : 'application/json';
    response.writeHead(answer.status ?? 200, { 'Content-Type': type, ...answer.headers });
    response.end(JSON.stringify(answer));
  });
  const sockets = new WebSocketServer({ server, path: '/ws' });
  sockets.on('connection', (socket) => peers.push(new Peer(socket)));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate();
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${server.address().port}`, peers, requests };
}
