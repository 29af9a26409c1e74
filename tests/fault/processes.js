/**
 * Redis, Sentinel and HAProxy as the fault kit needs them: started again with other data, other
 * arguments or another clock, stopped, killed, reloaded. (tests/support starts them once and for
 * all, with the same arguments after a restart.) All die with this process.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { writeFileSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeNodes } from '../support/haproxy.js';
import { freePort, spawnChild } from '../support/node.js';
import { eventually } from '../support/wait.js';
import { withCalls } from './redis_calls.js';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const LOG_CHARS_MAX = 100_000;

/** One folder for all that a run writes beside its history; gone with this process. */
export const scratch = mkdtempSync(path.join(os.tmpdir(), 'freshet-fault-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

let clockLibrary;

/** clock.c, compiled once a run. */
function compileClock() {
  clockLibrary = path.join(scratch, 'clock.so');
  const source = fileURLToPath(new URL('clock.c', import.meta.url));
  execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', clockLibrary, source]);
}

/**
 * A wall clock of a process's own: `env` is for the process, `set` moves it, also while it runs. The
 * monotonic clock stays.
 */
export function fakeClock(name) {
  if (!clockLibrary) compileClock();
  const file = path.join(scratch, `clock-${name}`);
  const bytes = Buffer.alloc(8);
  writeFileSync(file, bytes);
  const fd = openSync(file, 'r+');
  const set = (seconds) => {
    bytes.writeBigInt64LE(BigInt(Math.round(seconds * 1e6)));
    writeSync(fd, bytes, 0, 8, 0); // in place: it is mapped
  };
  return { env: { LD_PRELOAD: clockLibrary, FAULT_CLOCK: file }, set };
}

class Child {
  constructor(name) {
    this.name = name;
    this.log = '';
    this.isRunning = false;
  }

  spawn(command, args, env = {}) {
    const child = spawnChild(command, args, { env: { ...process.env, ...env } });
    const keep = (bytes) => (this.log = (this.log + bytes).slice(-LOG_CHARS_MAX));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    this.child = child;
    this.isRunning = true;
    this.exited = new Promise((resolve) => {
      child.on('error', (error) => {
        keep(String(error));
        this.isRunning = false;
        resolve(undefined);
      });
      child.on('close', () => {
        this.isRunning = false;
        resolve(undefined);
      });
    });
  }

  signal(signal) {
    this.child.kill(signal);
  }

  async pause() {
    this.signal('SIGSTOP');
  }

  async resume() {
    this.signal('SIGCONT');
  }

  async kill(signal = 'SIGKILL') {
    this.child?.kill('SIGCONT');
    this.child?.kill(signal);
    await this.exited;
  }

  async answers(what, probe) {
    await eventually(`${this.name} ${what}`, async () => !this.isRunning || (await probe()), {
      deadline: 30_000,
      every: 5,
    });
    if (!this.isRunning) throw new Error(`${this.name} has ended:\n${this.log.slice(-3000)}`);
  }
}

/**
 * A Redis whose log is a file. `appendfsync no`: what a killed process wrote is with the kernel, and
 * nothing waits for the disk; with `everysec` Redis may hold writes back for up to 2 s.
 */
export class RedisProcess extends withCalls(Child) {
  /** @param {string} name  @param {string[]} [args] */
  constructor(name, args = []) {
    super(name);
    this.args = args;
    this.dir = path.join(scratch, name);
    this.wipe();
    this.port = 0;
    this.clock = fakeClock(name);
  }

  get address() {
    return { host: '127.0.0.1', port: this.port };
  }

  /** @param {{ args?: string[], appendonly?: boolean, wait?: boolean }} [options] */
  async start({ args = [], appendonly = true, wait = true } = {}) {
    this.port ||= await freePort();
    this.spawn(
      'redis-server',
      [
        ...['--bind', '127.0.0.1', '--port', String(this.port), '--dir', this.dir, '--save', ''],
        ...['--appendonly', appendonly ? 'yes' : 'no', '--appendfsync', 'no'],
        ...['--client-output-buffer-limit', 'pubsub 256mb 64mb 60', ...this.args, ...args],
      ],
      this.clock.env,
    );
    if (wait) await this.answers('answers', () => this.isUp());
  }

  async kill(signal = 'SIGKILL') {
    await super.kill(signal);
    this.hangUp();
  }

  wipe() {
    rmSync(this.dir, { recursive: true, force: true });
    mkdirSync(this.dir);
  }

  async saveSnapshot() {
    await this.ask('SAVE');
    copyFileSync(path.join(this.dir, 'dump.rdb'), path.join(this.dir, 'old.rdb'));
  }

  async startFromSnapshot() {
    rmSync(path.join(this.dir, 'appendonlydir'), { recursive: true, force: true });
    copyFileSync(path.join(this.dir, 'old.rdb'), path.join(this.dir, 'dump.rdb'));
    await this.start({ appendonly: false });
    await this.ask('CONFIG', 'SET', 'appendonly', 'yes');
  }
}

/** Debian's HAProxy with deploy/haproxy/haproxy.cfg, in master-worker mode, so that it reloads. */
export class HaproxyProcess extends Child {
  constructor() {
    super('haproxy');
  }

  get address() {
    return { host: '127.0.0.1', port: this.port };
  }

  /** @param {number[]} ports of the nodes */
  async start(ports) {
    this.port = await freePort();
    const urls = ports.map((port) => `http://127.0.0.1:${port}`);
    const nodes = writeNodes(scratch, urls);
    const file = path.join(ROOT, 'deploy/haproxy/haproxy.cfg');
    this.spawn('haproxy', ['-W', '-f', file, '-f', nodes], {
      BALANCER_LISTEN: `127.0.0.1:${this.port}`,
    });
    const url = `http://127.0.0.1:${this.port}/healthz`;
    await this.answers('gives requests to nodes', async () => (await fetch(url)).ok);
  }

  async reload() {
    this.signal('SIGUSR2');
  }
}
