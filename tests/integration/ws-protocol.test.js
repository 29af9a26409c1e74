/**
 * RFC 6455 from outside: the handshake, and every rule that a client can break. The codec's own
 * tests, byte by byte, are tests/unit/test_ws_frame.c.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { POSITION, assertProblem } from '../support/clients.js';
import { exchange, request } from '../support/http.js';
import { channelName, startFileCluster, story } from '../support/story.js';
import { JSON_PROTOCOL, MSGPACK_PROTOCOL, OPCODE, WsClient } from '../support/ws.js';
import { closeBody, frame, openWs } from '../support/ws.js';
import { eventually } from '../support/wait.js';

const cluster = await startFileCluster({ nodes: 1 });
const { publish } = cluster;
const [node] = cluster.nodes;
const { text, binary, continuation, ping, pong, close } = OPCODE;

const PING_COMMAND = '{"ref":1,"type":"ping"}';

// ---- The handshake ---------------------------------------------------------------------------------

/** A handshake that should be refused: its answer, which must be a problem. */
async function refusal(t, headers, options = {}) {
  const client = new WsClient(node.url, { protocol: JSON_PROTOCOL, headers, ...options });
  t.after(() => client.close());
  const response = await client.head();
  return { ...response, json: JSON.parse(response.text) };
}

const key = (bytes) => ({ 'Sec-WebSocket-Key': randomBytes(bytes).toString('base64') });

for (const [name, headers, status] of [
  ['no key', { 'Sec-WebSocket-Key': undefined }, 400],
  ['a key of 15 bytes', key(15), 400],
  ['a key of 17 bytes', key(17), 400],
  ['a key that is no base64', { 'Sec-WebSocket-Key': '!!!!!!!!!!!!!!!!!!!!!!==' }, 400],
  ['two keys', { 'sec-websocket-key': 'AQIDBAUGBwgJCgsMDQ4PEA==' }, 400],
  ['version 12', { 'Sec-WebSocket-Version': '12' }, 426],
  ['version 130', { 'Sec-WebSocket-Version': '130' }, 426],
  ['no version', { 'Sec-WebSocket-Version': undefined }, 426],
  ['no Upgrade', { Upgrade: undefined }, 426],
  ['another Upgrade', { Upgrade: 'h2c' }, 426],
  ['no upgrade token in Connection', { Connection: 'keep-alive' }, 426],
  ['an unknown subprotocol', { 'Sec-WebSocket-Protocol': 'mqtt' }, 400],
  ['only unknown subprotocols', { 'Sec-WebSocket-Protocol': 'mqtt, freshet.v2, FRESHET.V1' }, 400],
  ['an empty list of subprotocols', { 'Sec-WebSocket-Protocol': '' }, 400],
  ['spaces for a subprotocol', { 'Sec-WebSocket-Protocol': ' '.repeat(8000) }, 400],
  [
    '2,000 header fields',
    Object.fromEntries(Array.from({ length: 2000 }, (_, n) => [`x${n}`, 'y'])),
    431,
  ],
]) {
  story(`the handshake with ${name}: ${status}`, async (t) => {
    const response = await refusal(t, headers);
    assert.equal(response.status, status, response.text);
    assert.match(response.headers['content-type'], /problem\+json/);
    assert.equal(response.json.status, status);
    if (status === 426) {
      assert.equal(response.headers['sec-websocket-version'], '13');
      assert.equal(response.headers.upgrade, 'websocket');
    }
    assert.equal((await request(node.url, '/healthz')).status, 200);
  });
}

story('the handshake by POST, HEAD, HTTP/1.0, and a plain GET', async () => {
  assert.equal((await request(node.url, '/ws', { method: 'POST', body: 'x' })).status, 405);
  assert.equal((await request(node.url, '/ws', { method: 'HEAD' })).status, 400);
  assertProblem(await request(node.url, '/ws?channel=a'), 426, 'upgrade-required');
  const lines = [
    ...['GET /ws HTTP/1.0', 'Host: a', 'Upgrade: websocket', 'Connection: Upgrade'],
    ...['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==', '', ''],
  ];
  const old = await exchange(node.url, lines.join('\r\n'));
  assertProblem(old.response, 400, 'handshake');
});

story('tokens in any case, lists of tokens, the order of subprotocols', async (t) => {
  const headers = { Upgrade: 'h2c, WebSocket', Connection: 'keep-alive, UPGRADE' };
  await openWs(t, node.url, { headers });
  const offers = { 'Sec-WebSocket-Protocol': 'mqtt, freshet.v1.msgpack, freshet.v1' };
  const client = new WsClient(node.url, { protocol: MSGPACK_PROTOCOL, headers: offers });
  t.after(() => client.close());
  assert.equal((await client.hello()).type, 'hello');
});

story('extensions are declined, however many and odd', async (t) => {
  const many = Array.from({ length: 500 }, (_, n) => `p${n}=${n}`).join('; ');
  for (const extensions of [
    'permessage-deflate; client_max_window_bits',
    'permessage-deflate; server_max_window_bits=99',
    `x; ${many}`,
  ]) {
    const headers = { 'Sec-WebSocket-Extensions': extensions };
    const ws = await openWs(t, node.url, { headers });
    assert.equal((await ws.ask({ type: 'ping' })).type, 'ok');
  }
});

story('channels in the URL that are none, or too many, are refused before the 101', async (t) => {
  const cases = [
    [{ channels: ['a b'] }, 400],
    [{ channels: ['a', 'a'] }, 400],
    [{ channels: Array.from({ length: 65 }, (_, n) => `c${n}`) }, 400],
    [{ channels: ['a'], since: 'x' }, 400],
    [{ channels: ['a'], since: '0,0' }, 400],
    [{ channels: ['a'], rewind: '-1' }, 400],
    [{ protocol: undefined, channels: ['a', 'b'] }, 400],
    [{ protocol: undefined }, 400],
  ];
  for (const [options, status] of cases) {
    const response = await refusal(t, {}, options);
    assert.equal(response.status, status, JSON.stringify(options));
  }
});

story('frames in the same segment as the request are handled once, in order', async (t) => {
  const commands = [1, 2, 3].map((ref) => frame(text, `{"ref":${ref},"type":"ping"}`));
  const ws = await openWs(t, node.url, { early: Buffer.concat(commands) });
  for (const ref of [1, 2, 3]) assert.deepEqual(await ws.next(), { ref, type: 'ok' });
  assert.equal((await ws.ask({ ref: 4, type: 'ping' })).type, 'ok');
  assert.deepEqual(ws.objects.items, []);
});

// ---- Rules -----------------------------------------------------------------------------------------

const fails = {
  'an unmasked frame': [[frame(text, PING_COMMAND, { masked: false })], 1002],
  RSV1: [[frame(text, PING_COMMAND, { rsv: 4 })], 1002],
  RSV2: [[frame(text, PING_COMMAND, { rsv: 2 })], 1002],
  'RSV3 on a ping': [[frame(ping, '', { rsv: 1 })], 1002],
  'opcode 3': [[frame(3, 'x')], 1002],
  'opcode 11': [[frame(11, 'x')], 1002],
  'a ping of 126 bytes': [[frame(ping, 'x'.repeat(126))], 1002],
  'a fragmented ping': [[frame(ping, 'x', { fin: false })], 1002],
  'a continuation of nothing': [[frame(continuation, 'x')], 1002],
  'a new message inside one': [[frame(text, 'x', { fin: false }), frame(text, 'y')], 1002],
  'a close frame of 1 byte': [[frame(close, 'x')], 1002],
  'a close reason that is no UTF-8': [[frame(close, closeBody(1000, Buffer.from([0xff])))], 1007],
  'a length that needs no 8 bytes': [
    [Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4])],
    1002,
  ],
  'the top bit of a length': [[Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0])], 1002],
  'text that is no UTF-8': [[frame(text, Buffer.from([0x22, 0xc0, 0xaf, 0x22]))], 1007],
  'UTF-8 that goes wrong in the second fragment': [
    [frame(text, Buffer.from([0xe2, 0x82]), { fin: false }), frame(continuation, '(')],
    1007,
  ],
  'UTF-8 that is cut at the end': [[frame(text, Buffer.from([0xe2, 0x82]))], 1007],
  'a message of 64 KiB + 1': [[frame(text, '', { length: 65537 })], 1009],
  'a message of 2^63 - 1 bytes': [[frame(text, '', { length: 2n ** 63n - 1n })], 1009],
  'fragments that are too big together': [
    [frame(text, 'x'.repeat(60_000), { fin: false }), frame(continuation, '', { length: 6000 })],
    1009,
  ],
  'binary on freshet.v1': [[frame(binary, PING_COMMAND)], 1003],
};
for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) {
  fails[`close code ${code}`] = [[frame(close, closeBody(code))], 1002];
}

for (const [name, [bytes, code]] of Object.entries(fails)) {
  story(`${name}: ${code}`, async (t) => {
    const ws = await openWs(t, node.url);
    ws.send(Buffer.concat([...bytes, frame(text, PING_COMMAND)]));
    const end = await ws.end();
    assert.equal(end.code, code, JSON.stringify(end));
    assert.ok(!ws.objects.seen.some((object) => object.ref === 1), 'went on after the failure');
    assert.equal(end.how, 'end', 'reset instead of closed');
  });
}

story('bad UTF-8 fails as soon as the bad octet is there', async (t) => {
  const ws = await openWs(t, node.url);
  const whole = frame(text, Buffer.concat([Buffer.from([0x61, 0xf8]), Buffer.alloc(1000, 0x61)]));
  ws.send(whole.subarray(0, 10)); // 990 bytes never come
  assert.equal((await ws.end()).code, 1007);
});

for (const code of [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999]) {
  story(`close code ${code} is answered with the same`, async (t) => {
    const ws = await openWs(t, node.url);
    ws.send(frame(close, closeBody(code, 'bye')));
    assert.equal((await ws.end({ deadline: 1500 })).code, code);
  });
}

story('a close frame without a code is answered by one without', async (t) => {
  const ws = await openWs(t, node.url);
  ws.send(Buffer.concat([frame(close), frame(text, PING_COMMAND)]));
  assert.equal((await ws.end({ deadline: 1500 })).code, 1005);
  assert.deepEqual(ws.objects.items, []);
});

story('fragments make one message, with control frames between them', async (t) => {
  const ws = await openWs(t, node.url);
  const parts = [...PING_COMMAND].map((letter, at, all) =>
    frame(at === 0 ? text : continuation, letter, { fin: at === all.length - 1 }),
  );
  for (const part of parts) ws.send(Buffer.concat([part, frame(ping, 'between')]));
  assert.deepEqual(await ws.next(), { ref: 1, type: 'ok' });
  for (const _ of parts) assert.equal(String(await ws.pongsSeen.next()), 'between');
});

story(
  'pings of 0 to 125 bytes are answered alike; pongs nobody asked for are ignored',
  async (t) => {
    const ws = await openWs(t, node.url);
    for (let length = 0; length <= 125; length += 1) {
      const payload = randomBytes(length);
      ws.send(Buffer.concat([frame(pong, 'unasked'), frame(ping, payload)]));
      assert.deepEqual(await ws.pongsSeen.next(), payload);
    }
  },
);

story('frames byte by byte', async (t) => {
  const ws = await openWs(t, node.url);
  const bytes = Buffer.concat([
    frame(text, PING_COMMAND.slice(0, 9), { fin: false }),
    frame(ping, 'p'),
    frame(continuation, PING_COMMAND.slice(9)),
    frame(text, `{"ref":"${'é'.repeat(30)}","type":"ping"}`),
  ]);
  for (const byte of bytes) {
    ws.send(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(await ws.next(), { ref: 1, type: 'ok' });
  assert.deepEqual(await ws.next(), { ref: 'é'.repeat(30), type: 'ok' });
  assert.equal(String(await ws.pongsSeen.next()), 'p');
});

story('20,000 fragments without an end: 1008', async (t) => {
  for (const payload of ['', 'x']) {
    const ws = await openWs(t, node.url);
    const one = frame(continuation, payload, { fin: false });
    ws.send(Buffer.concat([frame(text, 'x', { fin: false }), ...Array(20_000).fill(one)]));
    assert.equal((await ws.end()).code, 1008);
  }
});

story('the largest message is taken, and --frame-bytes moves the limit', async (t) => {
  const largest = (bytes) => PING_COMMAND.padEnd(bytes, ' ');
  const ws = await openWs(t, node.url);
  ws.send(frame(text, largest(65536)));
  assert.deepEqual(await ws.next(), { ref: 1, type: 'ok' });
  const small = await cluster.startNode(['--frame-bytes', '2k']);
  const other = await openWs(t, small.url);
  other.send(frame(text, largest(2048)));
  assert.deepEqual(await other.next(), { ref: 1, type: 'ok' });
  other.send(frame(text, largest(2049)));
  assert.equal((await other.end()).code, 1009);
  // Counted when the connection is over, a moment after the client has seen its end.
  await eventually('the close is counted', async () => {
    const metrics = await small.metrics();
    return metrics.get('freshet_closed_total', { reason: 'protocol' }) === 1;
  });
});

story('text on freshet.v1.msgpack, and anything on a raw one: 1003', async (t) => {
  const msgpack = await openWs(t, node.url, { protocol: MSGPACK_PROTOCOL });
  msgpack.send(frame(text, 'x'));
  assert.equal((await msgpack.end()).code, 1003);
  const raw = await openWs(t, node.url, { protocol: undefined, channels: [channelName()] });
  raw.send(frame(text, 'x'));
  assert.equal((await raw.end()).code, 1003);
});

// ---- Raw -------------------------------------------------------------------------------------------

story(
  'raw: Freshet-Cursor, then payloads as they are; text for text, binary for binary',
  async (t) => {
    const channel = channelName();
    const first = await publish(channel, '{ "n": 1 }');
    const early = [frame(ping, 'early')];
    const ws = await openWs(t, node.url, {
      protocol: undefined,
      channels: [channel],
      early: Buffer.concat(early),
    });
    assert.equal(ws.response.headers['freshet-cursor'], first);
    assert.equal(String(await ws.pongsSeen.next()), 'early');
    const bytes = Buffer.from([0, 255, 1]);
    await publish(channel, '{ "n": 2 }');
    await publish(channel, 'tëxt\n', 'TYPE', 'text');
    await publish(channel, bytes, 'TYPE', 'binary');
    await publish(channel, '', 'TYPE', 'text');
    assert.equal((await ws.next()).text, '{ "n": 2 }');
    assert.equal((await ws.next()).text, 'tëxt\n');
    assert.deepEqual((await ws.next()).payload, bytes);
    assert.equal((await ws.next()).text, '');
    const again = await openWs(t, node.url, {
      protocol: undefined,
      channels: [channel],
      since: '0',
    });
    assert.match(again.response.headers['freshet-cursor'], POSITION);
    assert.equal((await again.next()).text, '{ "n": 1 }');
  },
);

story('raw: a reset closes with 4409 and the position to go on from', async (t) => {
  const channel = channelName();
  const position = await publish(channel, '1');
  const epoch = Number(position.split('-')[0]);
  const options = { protocol: undefined, channels: [channel], since: `${epoch - 5}-1` };
  const ws = await openWs(t, node.url, options);
  assert.equal(ws.response.headers['freshet-cursor'], options.since);
  const { code, reason } = await ws.end();
  assert.deepEqual([code, reason], [4409, `${epoch}-0`]);
  const next = await openWs(t, node.url, { ...options, since: reason });
  assert.equal((await next.next()).text, '1');
});
