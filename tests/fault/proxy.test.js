/** What each fault of the proxy does to two real sockets. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { eventually, pause } from '../support/wait.js';
import { startProxy } from './proxy.js';

/** A pair of sockets with a proxy between them; what each got, and how it ended. */
async function pair(t) {
  const server = net.createServer({ allowHalfOpen: true });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(undefined)));
  const proxy = await startProxy({ port: server.address().port });
  const watch = (socket) => {
    const end = { socket, text: '', pieces: 0, ended: false, error: null, closed: false };
    socket.on('data', (bytes) => {
      end.text += bytes;
      end.pieces += 1;
    });
    socket.on('end', () => (end.ended = true));
    socket.on('error', (error) => (end.error = error.code));
    socket.on('close', () => (end.closed = true));
    return end;
  };
  t.after(() => {
    proxy.close();
    server.close();
  });
  const connect = async () => {
    const accepted = new Promise((resolve) => server.once('connection', resolve));
    const client = watch(net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true }));
    const peer = watch(await accepted);
    t.after(() => [client, peer].forEach(({ socket }) => socket.destroy()));
    return { client, peer };
  };
  return { proxy, connect };
}

const got = (end, text) => eventually(`${text} has come`, () => end.text === text);

test('bytes go both ways, in order', async (t) => {
  const { connect } = await pair(t);
  const { client, peer } = await connect();
  client.socket.write('there');
  peer.socket.write('and back');
  await got(peer, 'there');
  await got(client, 'and back');
});

test('delay holds each byte for as long, and keeps the order', async (t) => {
  const { proxy, connect } = await pair(t);
  const { client, peer } = await connect();
  proxy.set({ delay: 150 });
  const start = Date.now();
  client.socket.write('a');
  setTimeout(() => client.socket.write('b'), 20);
  await got(peer, 'ab');
  assert.ok(Date.now() - start >= 145);
});

test('slices come one by one', async (t) => {
  const { proxy, connect } = await pair(t);
  const { client, peer } = await connect();
  proxy.set({ slice: 2 });
  client.socket.write('abcdefgh');
  await got(peer, 'abcdefgh');
  assert.ok(peer.pieces >= 3, `${peer.pieces} pieces`);
});

test('a freeze loses nothing', async (t) => {
  const { proxy, connect } = await pair(t);
  const { client, peer } = await connect();
  client.socket.write('a');
  await got(peer, 'a');
  proxy.set({ freeze: true });
  client.socket.write('b');
  await pause(100);
  assert.equal(peer.text, 'a');
  proxy.heal();
  await got(peer, 'ab');
});

test('a black hole is silent, also one way, and its links do not survive healing', async (t) => {
  const { proxy, connect } = await pair(t);
  const { client, peer } = await connect();
  proxy.set({ hole: 'up' });
  client.socket.write('a');
  peer.socket.write('b');
  await got(client, 'b');
  await pause(50);
  assert.equal(peer.text, '');
  assert.ok(!client.closed && !peer.closed);
  proxy.heal();
  await eventually('both were reset', () => client.closed && peer.closed);
});

test('reset is an RST', async (t) => {
  const { proxy, connect } = await pair(t);
  const { client, peer } = await connect();
  client.socket.write('a');
  await got(peer, 'a');
  proxy.reset();
  await eventually('the client was reset', () => client.error === 'ECONNRESET');
});

test('half-close ends one direction', async (t) => {
  const { proxy, connect } = await pair(t);
  const { client, peer } = await connect();
  client.socket.write('a');
  await got(peer, 'a');
  proxy.halfClose();
  await eventually('the client sees the end', () => client.ended);
  client.socket.write('b');
  await got(peer, 'ab');
});

test('refuse resets new connections and leaves the old', async (t) => {
  const { proxy, connect } = await pair(t);
  const { client, peer } = await connect();
  proxy.set({ refuse: true });
  const second = net.connect({ port: proxy.port, host: '127.0.0.1' });
  const error = await new Promise((resolve) => second.once('error', resolve));
  assert.equal(error.code, 'ECONNRESET');
  client.socket.write('a');
  await got(peer, 'a');
});

test('the link that subscribes can be hit alone', async (t) => {
  const { proxy, connect } = await pair(t);
  const command = await connect();
  const pubsub = await connect();
  command.client.socket.write('ping');
  command.peer.socket.write('pong');
  await got(command.client, 'pong');
  assert.ok(!proxy.isUp);
  pubsub.client.socket.write('*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n');
  pubsub.peer.socket.write('ack');
  await got(pubsub.client, 'ack');
  assert.ok(proxy.isUp);
  proxy.set({ hole: 'both' }, ['pubsub']);
  pubsub.peer.socket.write('deaf');
  command.peer.socket.write('heard');
  await got(command.client, 'pongheard');
  assert.equal(pubsub.client.text, 'ack');
  proxy.reset(['pubsub']);
  await eventually('it was cut', () => pubsub.client.closed);
  assert.ok(!command.client.closed);
});
