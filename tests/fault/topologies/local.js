/** Nodes that are processes of this machine, and HAProxy and the clients' proxy in front of them. */
import { appendFileSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { nodes as started, freePort, startNode } from '../../support/node.js';
import { pause } from '../../support/wait.js';
import { HaproxyProcess, fakeClock } from '../processes.js';
import { startProxy } from '../proxy.js';
import { NODES, NODE_OPTIONS, Topology } from '../topology.js';

/** Shorter than docker-compose.yml has them: HAProxy asks these nodes as often, and nothing else. */
const DRAIN = { 'drain-grace': '2500ms', 'drain-window': '4000ms' };

const OPTIONS = { workers: 2, anonymous: '*', 'anonymous-publish': '*', ...NODE_OPTIONS, ...DRAIN };
const NODE_ARGS = Object.entries(OPTIONS).flatMap(([name, value]) => [`--${name}`, `${value}`]);

/** One node, started again on the same ports after it was killed. */
class LocalNode {
  constructor(index, redis, onCrash) {
    this.index = index;
    this.redis = redis;
    this.onCrash = onCrash;
    this.id = `node${index}`;
    this.clock = fakeClock(this.id);
    this.logs = '';
  }

  get address() {
    return { host: '127.0.0.1', port: this.port };
  }

  get pid() {
    return this.process.pid;
  }

  async start({ ready = true } = {}) {
    this.port ??= await freePort();
    this.adminPort ??= await freePort();
    const { port, adminPort, clock } = this;
    const flags = {
      '--listen': `127.0.0.1:${port}`,
      '--admin': `127.0.0.1:${adminPort}`,
      '--redis': this.redis,
      '--node-id': this.id,
    };
    this.process = await startNode({
      ...{ redis: this.redis, port, adminPort, flags, args: NODE_ARGS, ready },
      env: clock.env,
    });
    const { process: mine } = this;
    mine.exited.then(() => {
      if (!this.isEnding) this.#crashed(mine);
    });
  }

  async pause() {
    this.process.child.kill('SIGSTOP');
  }

  async resume() {
    this.process.child.kill('SIGCONT');
  }

  /** Ends it, with SIGKILL or with what SIGTERM promises. */
  async end(signal) {
    this.isEnding = true;
    this.process.child.kill('SIGCONT');
    await this.process.kill(signal);
    this.isEnding = false;
    this.logs += this.process.log;
    started.delete(this.process);
    this.process.checkLog();
  }

  /** It has ended by itself: that is told, and it is started again, as a supervisor would. */
  async #crashed(process) {
    this.logs += process.log;
    started.delete(process);
    this.onCrash(this, process.log.slice(-500));
    await pause(500);
    await this.start({ ready: false });
  }

  ready(deadline) {
    return this.process.ready(deadline);
  }

  async isReady() {
    return (await this.process.admin('/readyz')).status === 200;
  }

  metrics() {
    return this.process.metrics();
  }

  async usage() {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const residentMiB = Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
    return { descriptors: readdirSync(`/proc/${this.pid}/fd`).length, residentMiB };
  }

  async saveLog(directory) {
    const log = this.logs + (this.process?.log ?? '');
    appendFileSync(path.join(directory, `${this.id}.log`), log);
  }
}

export class LocalTopology extends Topology {
  /** @param {(index: number) => string} redisOf where each node finds Redis */
  async startNodes(redisOf) {
    const onCrash = (node, log) => this.onCrash(node, log);
    this.nodes = Array.from(
      { length: NODES },
      (_, index) => new LocalNode(index, redisOf(index), onCrash),
    );
    await Promise.all(this.nodes.map((node) => node.start()));
    this.haproxy = new HaproxyProcess();
    await this.haproxy.start(this.nodes.map((node) => node.port));
    this.clientProxy = await startProxy(this.haproxy.address);
  }

  async stop() {
    await Promise.allSettled(this.nodes.map((node) => node.end('SIGKILL')));
    const rest = [this.haproxy, ...this.sentinels, ...this.redises];
    await Promise.allSettled(rest.map((child) => child?.kill()));
    await super.stop();
  }
}
