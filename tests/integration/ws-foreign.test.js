/** WebSocket clients that nobody here wrote: npm ws, Python's websockets, Chromium. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { decode, encode } from '@msgpack/msgpack';
import WebSocket from 'ws';
import { query } from '../support/clients.js';
import { spawnChild } from '../support/node.js';
import { channelName, startFileCluster, story } from '../support/story.js';
import { Queue, eventually, within } from '../support/wait.js';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const noChromium = existsSync(CHROMIUM) ? false : `no Chromium at ${CHROMIUM}`;
const PYTHON = process.env.PYTHON ?? '/usr/bin/python3';
const noPython = (() => {
  try {
    execFileSync(PYTHON, ['-c', 'import websockets'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'Python has no websockets module (apt: python3-websockets)';
  }
})();

const cluster = await startFileCluster({
  nodes: 3,
  args: ['--ws-ping', '300ms', '--ws-pong', '2s'],
});
const { publish } = cluster;
const [first, second, third] = cluster.nodes;
const wsUrl = (node, channels = [], params = {}) =>
  `${node.url.replace('http', 'ws')}/ws?${query(channels, params)}`;

/** npm ws; `objects` are decoded as the subprotocol says. */
function openNpm(t, node, protocols, channels, params) {
  const socket = new WebSocket(wsUrl(node, channels, params), protocols);
  t.after(() => socket.terminate());
  socket.objects = new Queue('npm ws');
  socket.on('message', (data, isBinary) => {
    if (socket.protocol === 'freshet.v1.msgpack') socket.objects.push(decode(data));
    else if (socket.protocol === '') socket.objects.push({ data, isBinary });
    else socket.objects.push(JSON.parse(data));
  });
  socket.on('error', (error) => socket.objects.fail(error));
  socket.ended = new Promise((resolve) => {
    socket.on('close', (code, reason) => {
      socket.objects.fail(new Error(`closed: ${code}`));
      resolve({ code, reason: String(reason) });
    });
  });
  return socket;
}

story('npm ws: JSON, msgpack and raw hear the same; permessage-deflate declined', async (t) => {
  const channel = channelName();
  const json = openNpm(t, first, ['freshet.v1', 'freshet.v1.msgpack'], [channel]);
  const msgpack = openNpm(t, second, 'freshet.v1.msgpack', [channel]);
  const raw = openNpm(t, third, undefined, [channel]);
  for (const socket of [json, msgpack]) {
    assert.equal((await socket.objects.next()).type, 'hello');
    assert.equal((await socket.objects.next()).type, 'ok');
    assert.equal(socket.extensions, '');
  }
  await eventually('the raw one is open', () => raw.readyState === WebSocket.OPEN);
  json.send(
    JSON.stringify({ ref: 1, type: 'publish', channel, data: { big: 'x'.repeat(20_000) } }),
  );
  const answer = await json.objects.waitFor((object) => object.ref === 1 || object.id);
  const position = answer.position ?? answer.id;
  const message = await msgpack.objects.next();
  assert.equal(message.id, position);
  assert.equal(JSON.parse(message.data).big.length, 20_000);
  assert.equal(JSON.parse((await raw.objects.next()).data).big.length, 20_000);
  msgpack.send(encode({ ref: 2, type: 'publish', channel, data: new Uint8Array([0, 255]) }));
  const binary = await raw.objects.next();
  assert.deepEqual([binary.isBinary, [...binary.data]], [true, [0, 255]]);
  const pings = new Queue('pings');
  raw.on('ping', () => pings.push(1));
  await pings.take(2);
  for (const socket of [json, msgpack, raw]) {
    socket.close(4000, 'enough');
    assert.deepEqual((await within(socket.ended, 'the close handshake')).code, 4000);
  }
});

story('npm ws in fragments, and a clean end with each code', async (t) => {
  const socket = openNpm(t, first, 'freshet.v1');
  await socket.objects.next();
  const command = '{"ref":"frag","type":"ping"}';
  for (const [at, letter] of [...command].entries()) {
    socket.send(letter, { fin: at === command.length - 1 });
  }
  assert.deepEqual(await socket.objects.next(), { ref: 'frag', type: 'ok' });
  socket.close();
  assert.equal((await within(socket.ended, 'the close handshake')).code, 1005);
});

const PYTHON_CLIENT = `
import asyncio, json, sys, websockets

async def main():
    url = sys.argv[1]
    async with websockets.connect(url, subprotocols=["freshet.v1"], ping_interval=0.2) as ws:
        print(ws.subprotocol, flush=True)
        async for text in ws:
            print(text, flush=True)
            if json.loads(text).get("data") == "end":
                break
        await ws.send(json.dumps({"ref": 9, "type": "unsubscribe", "channel": sys.argv[2]}))
        print(await ws.recv(), flush=True)
        await ws.ping()
    print("closed", ws.close_code, flush=True)

asyncio.run(main())
`;

story("Python's websockets", { skip: noPython }, async (t) => {
  const channel = channelName();
  const child = spawnChild(PYTHON, ['-c', PYTHON_CLIENT, wsUrl(second, [channel]), channel]);
  t.after(() => child.kill('SIGKILL'));
  const lines = new Queue('Python');
  let rest = '';
  let errors = '';
  child.stderr.on('data', (bytes) => (errors += bytes));
  child.stdout.on('data', (bytes) => {
    const parts = (rest + bytes).split('\n');
    rest = parts.pop();
    for (const line of parts) lines.push(line);
  });
  child.on('close', () => lines.fail(new Error(`Python has ended: ${errors}`)));
  assert.equal(await lines.next(), 'freshet.v1');
  assert.equal(JSON.parse(await lines.next()).type, 'hello');
  assert.equal(JSON.parse(await lines.next()).type, 'ok');
  const position = await publish(channel, '{"ü": 1}');
  assert.deepEqual(JSON.parse(await lines.next()).id, position);
  await publish(channel, 'end', 'TYPE', 'text');
  assert.equal(JSON.parse(await lines.next()).data, 'end');
  assert.deepEqual(JSON.parse(await lines.next()), { ref: 9, type: 'ok', channel });
  assert.equal(await lines.next(), 'closed 1000');
});

story(
  'Chromium: JSON, msgpack, raw; drain and reset codes are seen',
  { skip: noChromium },
  async (t) => {
    const { chromium } = await import('playwright-core');
    const args = ['--no-sandbox', '--disable-gpu', '--no-first-run'];
    const browser = await chromium.launch({ executablePath: CHROMIUM, args });
    t.after(() => browser.close());
    const page = await browser.newPage();
    const drained = await cluster.startNode(['--drain-grace', '10ms', '--drain-window', '1s']);
    await page.goto(`${drained.url}/healthz`);
    await page.evaluate(() => {
      globalThis.seen = {};
      globalThis.listen = (name, url, protocol) => {
        const socket = protocol ? new WebSocket(url, protocol) : new WebSocket(url);
        socket.binaryType = 'arraybuffer';
        const items = (globalThis.seen[name] = []);
        socket.onopen = () => items.push({ open: socket.protocol, extensions: socket.extensions });
        socket.onmessage = ({ data }) =>
          items.push(typeof data === 'string' ? data : [...new Uint8Array(data)]);
        socket.onclose = ({ code, reason, wasClean }) => items.push({ code, reason, wasClean });
      };
    });
    const channel = channelName();
    const itemsOf = async (name, count) => {
      await page.waitForFunction(([of, due]) => globalThis.seen[of].length >= due, [name, count], {
        timeout: 20_000,
      });
      return page.evaluate((of) => globalThis.seen[of], name);
    };
    const listen = (...words) => page.evaluate((all) => globalThis.listen(...all), words);
    const url = wsUrl(drained, [channel]);
    await listen('json', url, 'freshet.v1');
    await listen('msgpack', url, 'freshet.v1.msgpack');
    await listen('raw', url);
    await itemsOf('json', 3);
    await itemsOf('msgpack', 3);
    await itemsOf('raw', 1);
    const position = await publish(channel, '"hé"');
    const epoch = Number(position.split('-')[0]);
    const json = await itemsOf('json', 4);
    assert.deepEqual(json[0], { open: 'freshet.v1', extensions: '' });
    assert.equal(JSON.parse(json[1]).type, 'hello');
    assert.equal(JSON.parse(json[3]).id, position);
    const msgpack = await itemsOf('msgpack', 4);
    assert.equal(decode(Uint8Array.from(msgpack[3])).id, position);
    assert.equal((await itemsOf('raw', 2))[1], '"hé"');
    await listen('reset', wsUrl(drained, [channel], { since: `${epoch - 7}-3` }));
    assert.deepEqual((await itemsOf('reset', 2))[1], {
      code: 4409,
      reason: `${epoch}-0`,
      wasClean: true,
    });
    await drained.stop();
    const bye = await itemsOf('json', 6);
    assert.equal(JSON.parse(bye[4]).type, 'bye');
    assert.deepEqual(bye[5], { code: 1001, reason: 'drain', wasClean: true });
  },
);
