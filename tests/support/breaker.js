/**
 * A node that dies in the middle of every request, again and again: it is ready, takes each request
 * whole, remembers it, and closes without an answer. No real node can be made to die at that moment.
 */
import http from 'node:http';
import { freePort } from './node.js';

/** @param {{ after: (fn: () => Promise<void>) => void }} owner */
export async function startBreaker(owner) {
  const port = await freePort();
  const breaker = { url: `http://127.0.0.1:${port}`, requests: [] };
  const server = http.createServer((request, response) => {
    if (request.url === '/readyz') {
      response.end();
      return;
    }
    const { method, url, headers } = request;
    request.resume();
    request.once('end', () => {
      breaker.requests.push({ method, url, headers });
      request.socket.destroy();
    });
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  owner.after(async () => {
    server.closeAllConnections?.();
    await new Promise((resolve) => server.close(resolve));
  });
  /** What it got of this method and path, without the query. */
  breaker.got = (method, path) =>
    breaker.requests.filter((r) => r.method === method && r.url.split('?')[0] === path);
  return breaker;
}
