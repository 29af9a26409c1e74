/**
 * Debian's nginx, one process: with deploy/nginx/freshet.conf as a load balancer, and with a
 * configuration of its own as a cache that keeps all it may.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { deployText, edited, findProgram } from './balancer.js';
import { makeCertificate, makeDirectory, runProgram, startProxy } from './balancer.js';
import { freePort } from './node.js';

const BINARY = findProgram('NGINX_BINARY', ['/usr/sbin/nginx', '/usr/local/sbin/nginx']);

/** Why tests with nginx are skipped, or false. */
export const nginxIsMissing = BINARY ? false : 'nginx is not installed';

export const nginxText = () => deployText('nginx/freshet.conf');

/** nginx.conf around what belongs into http{}; nothing outside `directory` is written to. */
function wrapped(directory, http) {
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
  ${temporary}
  ${http}
}
`;
}

/** The arguments that run this configuration. */
function write(directory, text) {
  const file = path.join(directory, 'nginx.conf');
  writeFileSync(file, text);
  return ['-p', directory, '-c', file, '-e', 'stderr'];
}

/**
 * It caches whatever it may, errors included, serves concurrent misses by one request, and spreads
 * its own requests over all nodes. The cache is asked for every request; X-Cache tells what it did.
 */
function cache(directory, port, upstreams) {
  const servers = upstreams.map((url) => `server ${new URL(url).host} max_fails=0;`);
  return `
  access_log off;
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
`;
}

/** @param {{ after: (fn: () => Promise<void>) => void }} owner  @param {string[]} upstreams */
export async function startNginx(owner, upstreams) {
  const directory = makeDirectory();
  const port = await freePort();
  const args = write(directory, wrapped(directory, cache(directory, port, upstreams)));
  return startProxy(owner, { command: BINARY, args, url: `http://127.0.0.1:${port}`, directory });
}

/** What a user edits: nodes, ports, certificate, log. */
function balancer(directory, urls, port, securePort) {
  const { certificate, key } = makeCertificate(directory);
  const nodes = urls.map((url) => `server ${new URL(url).host} max_fails=1 fail_timeout=1s;`);
  const edits = [
    ['    server 127.0.0.1:8081 max_fails=1 fail_timeout=1s;\n', nodes.join('\n')],
    ['    server 127.0.0.1:8082 max_fails=1 fail_timeout=1s;\n', ''],
    ['    server 127.0.0.1:8083 max_fails=1 fail_timeout=1s;\n', ''],
    [' listen 8080;', ` listen 127.0.0.1:${port};`],
    [' # listen 8443 ssl http2;', ` listen 127.0.0.1:${securePort} ssl http2;`],
    ['# ssl_certificate /etc/nginx/freshet.crt;', `ssl_certificate ${certificate};`],
    ['# ssl_certificate_key /etc/nginx/freshet.key;', `ssl_certificate_key ${key};`],
    ['/var/log/nginx/freshet.log', `${directory}/access.log`],
  ];
  return edits.reduce((text, [from, to]) => edited(text, from, to), nginxText());
}

/**
 * @param {{ after: (fn: () => Promise<void>) => void }} owner
 * @param {string[]} urls of the nodes
 */
export async function startNginxBalancer(owner, urls) {
  const directory = makeDirectory();
  const port = await freePort();
  const securePort = await freePort();
  const args = write(directory, wrapped(directory, balancer(directory, urls, port, securePort)));
  const url = `http://127.0.0.1:${port}`;
  const proxy = await startProxy(owner, { command: BINARY, args, url, directory });
  return Object.assign(proxy, { secureUrl: `https://127.0.0.1:${securePort}` });
}

/** `nginx -t` of the file as it is, but for where it logs: { status, output }. */
export function checkNginx() {
  return runProgram(BINARY, (directory) => {
    const text = edited(nginxText(), '/var/log/nginx/', `${directory}/`);
    return ['-t', ...write(directory, wrapped(directory, text))];
  });
}
