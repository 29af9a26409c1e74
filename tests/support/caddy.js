/** Debian's Caddy with deploy/caddy/Caddyfile, told by its variables where it listens. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { deployPath, findProgram, makeDirectory, runProgram, startProxy } from './balancer.js';
import { freePort } from './node.js';

const BINARY = findProgram('CADDY_BINARY', ['/usr/bin/caddy', '/usr/local/bin/caddy']);
const FILE = deployPath('caddy/Caddyfile');

/** Why tests with Caddy are skipped, or false. */
export const caddyIsMissing = BINARY ? false : 'caddy is not installed';

/**
 * `url` without TLS, `secureUrl` with a certificate of Caddy's own authority.
 * @param {{ after: (fn: () => Promise<void>) => void }} owner
 * @param {string[]} urls of the nodes
 */
export async function startCaddy(owner, urls) {
  const directory = makeDirectory();
  const port = await freePort();
  const securePort = await freePort();
  // What a machine with one Caddy does not need to say.
  const file = path.join(directory, 'Caddyfile');
  writeFileSync(
    file,
    `{
\tadmin off
\tauto_https disable_redirects
\tskip_install_trust
\tdefault_sni 127.0.0.1
}
import ${FILE}
`,
  );
  const url = `http://127.0.0.1:${port}`;
  const secureUrl = `https://127.0.0.1:${securePort}`;
  const proxy = await startProxy(owner, {
    command: BINARY,
    args: ['run', '--config', file, '--adapter', 'caddyfile'],
    env: {
      HOME: directory,
      XDG_DATA_HOME: directory,
      XDG_CONFIG_HOME: directory,
      FRESHET_SITE: `${url}, ${secureUrl}`,
      FRESHET_NODES: urls.map((node) => new URL(node).host).join(' '),
    },
    url,
    directory,
  });
  return Object.assign(proxy, { secureUrl });
}

/** `caddy validate` of the file as it is: { status, output }. */
export function checkCaddy() {
  return runProgram(BINARY, () => ['validate', '--config', FILE, '--adapter', 'caddyfile']);
}

/** `caddy fmt`: the file as it should look. */
export function formatCaddyfile() {
  return runProgram(BINARY, () => ['fmt', FILE]);
}
