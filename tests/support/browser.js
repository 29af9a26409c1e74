/** Chromium for tests of the client: pages of a small site, next to the node or in front of it. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { CLIENT } from './client.js';

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const ARGUMENTS = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
];

export const noChromium = existsSync(CHROMIUM) ? false : `no Chromium at ${CHROMIUM}`;
export const noCmake =
  spawnSync('cmake', ['--version']).status === 0 ? false : 'no cmake to make the one file';

export async function launch() {
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS });
}

/** The client as one file, as the node's build makes it. @returns {string} its path */
export function concatenate(t) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'freshet-client-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'client.mjs');
  const args = [`-DOUTPUT=${file}`, '-P', path.join(CLIENT, 'concat.cmake')];
  const { status, stderr } = spawnSync('cmake', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`concat.cmake: ${stderr}`);
  return file;
}

const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.html': 'text/html' };

/**
 * A site: /blank, the client's modules at /src/, the one file at /client.js, the page at /. What is
 * none of these goes to the node, so that site and node are one origin, as they are on a node.
 */
export async function startSite(t, { node, clientFile }) {
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    const file = fileOf(pathname, clientFile);
    if (file !== undefined && existsSync(file)) {
      response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] });
      response.end(readFileSync(file));
    } else if (pathname === '/blank') {
      response.writeHead(200, { 'Content-Type': 'text/html' });
      response.end('<!doctype html><title>blank</title>');
    } else {
      forward(node(), request, response);
    }
  });
  server.on('upgrade', (request, socket, head) => tunnel(node(), request, socket, head));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

function fileOf(pathname, clientFile) {
  if (pathname === '/') return path.join(CLIENT, 'page/index.html');
  if (pathname === '/client.js') return clientFile;
  if (/^\/src\/[\w/]+\.js$/.test(pathname)) return path.join(CLIENT, pathname);
  return undefined;
}

/** The request with its Host: the node compares it with the Origin. */
function forward(target, request, response) {
  const { hostname, port } = new URL(target);
  const { method, headers, url } = request;
  const upstream = http.request({ hostname, port, method, headers, path: url }, (answer) => {
    response.writeHead(answer.statusCode, answer.headers);
    response.flushHeaders();
    answer.pipe(response);
    answer.on('error', () => response.destroy());
    answer.on('aborted', () => response.destroy());
  });
  upstream.on('error', () => response.destroy());
  response.on('close', () => upstream.destroy());
  request.pipe(upstream);
}

function tunnel(target, request, socket, head) {
  const { hostname, port } = new URL(target);
  const { method, headers, url } = request;
  const upstream = http.request({ hostname, port, method, headers, path: url });
  const lines = (answer) => {
    const all = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
    for (let at = 0; at < answer.rawHeaders.length; at += 2) {
      all.push(`${answer.rawHeaders[at]}: ${answer.rawHeaders[at + 1]}`);
    }
    return `${all.join('\r\n')}\r\n\r\n`;
  };
  upstream.on('upgrade', (answer, other, first) => {
    socket.write(lines(answer));
    socket.write(first);
    other.write(head);
    socket.pipe(other).pipe(socket);
    other.on('error', () => socket.destroy());
    other.on('close', () => socket.destroy());
    socket.on('close', () => other.destroy());
  });
  upstream.on('response', (answer) => {
    socket.write(lines(answer));
    answer.on('data', (bytes) => socket.write(bytes)).on('end', () => socket.end());
  });
  upstream.on('error', () => socket.destroy());
  socket.on('error', () => upstream.destroy());
  upstream.end();
}
