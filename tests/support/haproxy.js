/** Debian's HAProxy with deploy/haproxy/haproxy.cfg, and nodes in a second file, as users run it. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { deployPath, deployText, edited, findProgram } from './balancer.js';
import { makeCertificate, makeDirectory, runProgram, startProxy } from './balancer.js';
import { freePort } from './node.js';

const BINARY = findProgram('HAPROXY_BINARY', ['/usr/sbin/haproxy', '/usr/local/sbin/haproxy']);
const FILE = 'haproxy/haproxy.cfg';
const LIVENESS = '    http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host freshet';
const TLS_LINE = '# bind :8443 ssl crt /etc/haproxy/freshet.pem';

/** Why tests with HAProxy are skipped, or false. */
export const haproxyIsMissing = BINARY ? false : 'haproxy is not installed';

export const haproxyText = () => deployText(FILE);

/** The second file, for nodes at these URLs; @returns {string} where it is */
export function writeNodes(directory, urls) {
  const file = path.join(directory, 'nodes.cfg');
  const servers = urls.map((url, at) => `    server node${at + 1} ${new URL(url).host}`);
  const lines = ['backend nodes', ...servers, 'backend living', LIVENESS, ...servers];
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

/**
 * @param {{ after: (fn: () => Promise<void>) => void }} owner
 * @param {string[]} urls of the nodes
 * @param {{ tls?: boolean, files?: number }} [options] tls: the line for TLS is no comment,
 *   `secureUrl` is there; files: how many it may open
 */
export async function startHaproxy(owner, urls, { tls = false, files } = {}) {
  const directory = makeDirectory();
  const port = await freePort();
  const securePort = await freePort();
  let file = deployPath(FILE);
  if (tls) {
    const { certificate, key } = makeCertificate(directory);
    const both = path.join(directory, 'both.pem');
    writeFileSync(both, Buffer.concat([certificate, key].map((pem) => readFileSync(pem))));
    file = path.join(directory, 'haproxy.cfg');
    const line = `bind 127.0.0.1:${securePort} ssl crt ${both}`;
    writeFileSync(file, edited(haproxyText(), TLS_LINE, line));
  }
  const args = ['-db', '-f', file, '-f', writeNodes(directory, urls)];
  const proxy = await startProxy(owner, {
    command: files ? 'prlimit' : BINARY,
    args: files ? [`--nofile=${files}`, '--', BINARY, ...args] : args,
    env: { BALANCER_LISTEN: `127.0.0.1:${port}` },
    url: `http://127.0.0.1:${port}`,
    directory,
  });
  return Object.assign(proxy, { secureUrl: `https://127.0.0.1:${securePort}` });
}

/** `haproxy -c`, warnings being errors: { status, output }. */
export function checkHaproxy(env = {}) {
  const args = (directory) => {
    const nodes = writeNodes(directory, ['http://127.0.0.1:8081']);
    return ['-c', '-dW', '-f', deployPath(FILE), '-f', nodes];
  };
  return runProgram(BINARY, args, env);
}
