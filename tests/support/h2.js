/** Clients of HTTP/2, on Node's own, for what stands in front of the nodes with TLS. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { query } from './clients.js';
import { EventStreamParser } from './sse.js';
import { Queue, within } from './wait.js';

/** One connection to an https URL, whoever signed its certificate. */
export async function connectH2(url) {
  const session = http2.connect(url, { rejectUnauthorized: false });
  const failed = new Promise((_, reject) => session.once('error', reject));
  const connected = new Promise((resolve) => session.once('connect', resolve));
  await within(Promise.race([connected, failed]), `HTTP/2 with ${url}`);
  assert.equal(session.alpnProtocol, 'h2');
  return session;
}

/** One request; { status, headers, text }. */
export function requestH2(session, path, { method = 'GET', headers = {}, body } = {}) {
  const stream = session.request({ ':method': method, ':path': path, ...headers });
  stream.end(body);
  const answer = new Promise((resolve, reject) => {
    const chunks = [];
    stream.once('error', reject);
    stream.once('response', (fields) => {
      stream.on('data', (bytes) => chunks.push(bytes));
      stream.once('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: fields[':status'], headers: fields, text });
      });
    });
  });
  return within(answer, `${method} ${path} over HTTP/2`);
}

/** Server-sent events on one stream of the connection: `events`. */
export function openSseH2(session, channel) {
  const stream = session.request({ ':path': `/sse?${query([channel])}` });
  const events = new Queue(`SSE of ${channel} over HTTP/2`);
  const parser = new EventStreamParser((event) => events.push(event));
  stream.once('response', (fields) => {
    if (fields[':status'] !== 200) events.fail(new Error(`status ${fields[':status']}`));
  });
  stream.on('data', (bytes) => parser.feed(bytes));
  stream.once('error', (error) => events.fail(error));
  stream.once('end', () => events.fail(new Error('the stream has ended')));
  return events;
}
