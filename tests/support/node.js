/**
 * Starts real freshet-node processes on free ports, and leaves none behind.
 *
 * The binary is $FRESHET_NODE, else build/release/freshet-node. It may be built with sanitizers:
 * every story asks each node's log for their reports, and so does stop().
 */
import { spawn } from 'node:child_process';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from './http.js';
import { parseMetrics } from './metrics.js';
import { eventually, within } from './wait.js';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const SANITIZER = /ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:/;

export const BINARY = path.resolve(ROOT, process.env.FRESHET_NODE ?? 'build/release/freshet-node');

/** Nodes of this process, for what to print when a story fails. */
export const nodes = new Set();
const children = new Set();

process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** A child that dies with this process at the latest, also when this one is killed. */
export function spawnChild(command, args, options) {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  });
  children.add(child);
  child.on('close', () => children.delete(child));
  return child;
}

/**
 * A port that nobody has now. Below the ephemeral range, so that no outgoing connection takes it
 * before the program does.
 */
export async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    const server = net.createServer();
    const free = await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** The environment without the FRESHET_* of whoever runs the tests: the node would read them. */
function cleanEnvironment(env) {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('FRESHET_')),
  );
  const sanitizers = {
    ASAN_OPTIONS: process.env.ASAN_OPTIONS ?? 'detect_leaks=1',
    UBSAN_OPTIONS: process.env.UBSAN_OPTIONS ?? 'print_stacktrace=1:halt_on_error=1',
  };
  return { ...clean, ...sanitizers, ...env };
}

/** Runs the program to its end; for --help, --check-config and wrong options. */
export async function runNode(args, { env = {}, deadline = 10_000 } = {}) {
  const child = spawnChild(BINARY, args, { env: cleanEnvironment(env) });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (bytes) => (stdout += bytes));
  child.stderr.on('data', (bytes) => (stderr += bytes));
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  try {
    const { code, signal } = await within(ended, `freshet-node ${args.join(' ')} ends`, deadline);
    return { code, signal, stdout, stderr };
  } finally {
    child.kill('SIGKILL');
  }
}

class NodeProcess {
  constructor({ port, adminPort, args, env, name }) {
    this.name = name;
    this.port = port;
    this.adminPort = adminPort;
    this.url = `http://127.0.0.1:${port}`;
    this.adminUrl = `http://127.0.0.1:${adminPort}`;
    this.log = '';
    this.running = true;
    this.child = spawnChild(BINARY, args, { env: cleanEnvironment(env) });
    this.child.stdout.on('data', (bytes) => (this.log += bytes));
    this.child.stderr.on('data', (bytes) => (this.log += bytes));
    /** Resolves with { code, signal } when the process is gone and its log complete. */
    this.exited = new Promise((resolve) => {
      this.child.on('error', (error) => {
        this.log += String(error);
        this.running = false;
        resolve({ code: null, signal: null, error });
      });
      this.child.on('close', (code, signal) => {
        this.running = false;
        resolve({ code, signal });
      });
    });
    nodes.add(this);
  }

  get pid() {
    return this.child.pid;
  }

  /** @param {NodeJS.Signals} signal */
  kill(signal = 'SIGKILL') {
    this.child.kill(signal);
    return this.exited;
  }

  /** GET on the admin port */
  admin(path, options) {
    return request(this.adminUrl, path, options);
  }

  /** The metrics now; see metrics.js. */
  async metrics() {
    const response = await this.admin('/metrics');
    if (response.status !== 200) throw new Error(`/metrics: ${response.status}`);
    return parseMetrics(response.text);
  }

  async ready(deadline = 20_000) {
    await eventually(
      `${this.name} ready on both ports`,
      async () => {
        if (!this.running) return true;
        const answers = [request(this.adminUrl, '/readyz'), request(this.url, '/readyz')];
        return (await Promise.all(answers)).every((answer) => answer.status === 200);
      },
      { deadline },
    );
    if (!this.running) throw new Error(`${this.name} has ended instead of becoming ready`);
  }

  /** Throws when a sanitizer has something to say. */
  checkLog() {
    const at = this.log.search(SANITIZER);
    if (at >= 0) throw new Error(`${this.name}: ${this.log.slice(at, at + 4000)}`);
  }

  /** SIGTERM, and the exit that the contract promises. */
  async stop() {
    if (this.running) {
      this.child.kill('SIGCONT');
      this.child.kill('SIGTERM');
      try {
        const { code, signal } = await within(this.exited, `${this.name} ends on SIGTERM`);
        if (code !== 0) throw new Error(`${this.name} ended with ${code ?? signal}, not with 0`);
      } catch (error) {
        await this.kill('SIGKILL');
        throw error;
      }
    }
    this.checkLog();
    nodes.delete(this);
  }
}

/** Given as flags, as --listen, --admin and --redis are, unless the test gives its own. */
const DEFAULTS = { '--drain-grace': '50ms', '--drain-window': '200ms' };
let counter = 0;

/**
 * Starts one node and waits until it is ready on both ports (`ready: false`: only starts it).
 * @param {{ redis: string | { url: string }, args?: string[], env?: Record<string, string>,
 *   ready?: boolean, port?: number, adminPort?: number, flags?: Record<string, string> }} options
 *   `flags`: {} when all that startNode() gives as flags is in `env`
 */
export async function startNode({ redis, args = [], env = {}, ready = true, ...more }) {
  const port = more.port ?? (await freePort());
  const adminPort = more.adminPort ?? (await freePort());
  const flags = more.flags ?? {
    ...DEFAULTS,
    '--listen': `127.0.0.1:${port}`,
    '--admin': `127.0.0.1:${adminPort}`,
    '--redis': typeof redis === 'string' ? redis : redis.url,
  };
  const given = Object.entries(flags).filter(([flag]) => !args.includes(flag));
  counter += 1;
  const node = new NodeProcess({
    port,
    adminPort,
    args: [...given.flat(), ...args],
    env,
    name: `node ${counter}`,
  });
  if (!ready) return node;
  try {
    await node.ready();
  } catch (error) {
    await node.kill();
    nodes.delete(node);
    throw new Error(`${error.message}\n${BINARY}: its log:\n${node.log.slice(-4000)}`);
  }
  return node;
}
