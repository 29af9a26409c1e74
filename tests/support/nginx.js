/** Debian's nginx as a cache in front of nodes: own configuration, own directory, one process. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { request } from './http.js';
import { freePort, spawnChild } from './node.js';
import { eventually } from './wait.js';

const BINARY = ['/usr/sbin/nginx', '/usr/local/sbin/nginx'].find((file) => existsSync(file));

/** Why tests with nginx are skipped, or false. */
export const nginxIsMissing = BINARY ? false : 'nginx is not installed';

/**
 * It caches whatever it may, errors included, serves concurrent misses by one request, and spreads
 * its own requests over all nodes. The cache is asked for every request; X-Cache tells what it did.
 */
function configuration(directory, port, upstreams) {
  const servers = upstreams.map((url) => `server ${new URL(url).host} max_fails=0;`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${directory}/${kind};`)
    .join('\n  ');
  return `
pid ${directory}/nginx.pid;
error_log stderr warn;
daemon off;
master_process off;
events { worker_connections 1024; }
http {
  access_log off;
  ${temporary}
  proxy_cache_path ${directory}/cache keys_zone=all:1m;
  upstream nodes { ${servers.join(' ')} keepalive 8; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://nodes;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      # With a cache nginx keeps these to itself, and a poller without since= would lose messages.
      proxy_set_header If-None-Match $http_if_none_match;
      proxy_read_timeout 60s;
      proxy_next_upstream off;
      proxy_cache all;
      proxy_cache_key $request_uri;
      proxy_cache_methods GET HEAD POST;
      proxy_cache_valid any 60s;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 60s;
      add_header X-Cache $upstream_cache_status always;
    }
  }
}
`;
}

/** @param {{ after: (fn: () => Promise<void>) => void }} owner  @param {string[]} upstreams */
export async function startNginx(owner, upstreams) {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'freshet-nginx-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = path.join(directory, 'nginx.conf');
  writeFileSync(file, configuration(directory, port, upstreams));
  const child = spawnChild(BINARY, ['-p', directory, '-c', file, '-e', 'stderr']);
  const ended = new Promise((resolve) => child.on('close', resolve));
  let log = '';
  child.stderr.on('data', (bytes) => (log += bytes));
  owner.after(async () => {
    child.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  });
  try {
    await eventually('nginx answers', async () => (await request(url, '/healthz')).status > 0);
  } catch (error) {
    throw new Error(`${error.message}\n${log}`);
  }
  return { url };
}
