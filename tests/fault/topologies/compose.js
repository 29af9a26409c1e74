/**
 * The cluster of docker-compose.yml as it is, but for a few times of its nodes (NODE_OPTIONS): three
 * nodes, found by HAProxy through DNS, and one Redis, all hit by Docker's own means. Clients reach
 * nodes and Redis at their addresses on the cluster's network, HAProxy where it is published.
 *
 * run.sh has made the images, and names the project and the compose command.
 */
import { appendFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { openProject } from '../../compose/docker.js';
import { request } from '../../support/http.js';
import { parseMetrics } from '../../support/metrics.js';
import { spawnChild } from '../../support/node.js';
import { eventually } from '../../support/wait.js';
import { scratch } from '../processes.js';
import { startProxy } from '../proxy.js';
import { withCalls } from '../redis_calls.js';
import { NODES, NODE_OPTIONS, Topology } from '../topology.js';

const PORT = 8080;
const ADMIN_PORT = 8081;
const REDIS_PORT = 6379;
const SQUATTERS_MAX = 8;
const UP = { deadline: 60_000, every: 20 };

/** A second file for docker-compose (JSON is YAML, too): what differs from docker-compose.yml. */
function writeOverride() {
  const environment = Object.fromEntries(
    Object.entries(NODE_OPTIONS).map(([name, value]) => [
      `FRESHET_${name.replaceAll('-', '_').toUpperCase()}`,
      value,
    ]),
  );
  const file = path.join(scratch, 'compose.json');
  writeFileSync(file, JSON.stringify({ services: { node: { environment } } }));
  return file;
}

class Container {
  constructor(project, container) {
    this.project = project;
    this.container = container;
    this.host = '';
    this.pid = 0;
    this.isPaused = false;
  }

  /** Its address may be another one each time that it starts or joins the network. */
  async locate() {
    const { State, NetworkSettings } = await this.project.inspect(this.container);
    const [network] = Object.values(NetworkSettings.Networks);
    this.host = network?.IPAddress;
    this.pid = State.Pid;
    return this;
  }

  async start() {
    await this.project.docker('start', this.container);
    await this.locate();
  }

  /** Returns when it has ended. */
  async kill(signal = 'KILL') {
    if (this.isPaused) await this.resume();
    await this.signal(signal);
    await this.project.docker('wait', this.container);
  }

  signal(signal) {
    return this.project.docker('kill', '--signal', signal, this.container);
  }

  async pause() {
    await this.project.docker('pause', this.container);
    this.isPaused = true;
  }

  async resume() {
    await this.project.docker('unpause', this.container);
    this.isPaused = false;
  }
}

class NodeContainer extends Container {
  /** ends that somebody wanted, and the engine has not told yet */
  expected = 0;

  constructor(project, container, index) {
    super(project, container);
    this.index = index;
  }

  get address() {
    return { host: this.host, port: PORT };
  }

  get adminUrl() {
    return `http://${this.host}:${ADMIN_PORT}`;
  }

  /** A node takes a new name each time that it starts. */
  async meet() {
    await this.locate();
    const ask = async () => (await request(this.adminUrl, '/readyz')).json.node;
    this.id = await eventually('a node says its name', ask, UP);
    return this;
  }

  async start() {
    await super.start();
    await this.meet();
    await this.ready(UP.deadline);
  }

  async end(signal) {
    this.expected += 1;
    if (signal === 'SIGKILL') await this.kill();
    else await this.project.docker('stop', this.container); // it has the file's stop_grace_period
  }

  ready(deadline) {
    const urls = [this.adminUrl, `http://${this.host}:${PORT}`];
    const isReady = async (url) => (await request(url, '/readyz')).status === 200;
    const areReady = async () => (await Promise.all(urls.map(isReady))).every(Boolean);
    return eventually(`${this.id} is ready on both ports`, areReady, { deadline });
  }

  /** Asked inside of its container: there it answers also when it is cut off. */
  async isReady() {
    const ask =
      `exec 3<>/dev/tcp/127.0.0.1/${ADMIN_PORT}; printf 'GET /readyz HTTP/1.0\\r\\n\\r\\n' >&3; ` +
      'read -r _ status _ <&3; echo "$status"';
    return (await this.project.shell(this.container, ask)) === '200';
  }

  async metrics() {
    return parseMetrics((await request(this.adminUrl, '/metrics')).text);
  }

  async usage() {
    const ask =
      'files=(/proc/1/fd/*); echo "${#files[@]}"; ' +
      'while read -r name kib _; do [[ $name != VmRSS: ]] || echo "$kib"; done </proc/1/status';
    const [descriptors, kib] = (await this.project.shell(this.container, ask)).split('\n');
    return { descriptors: Number(descriptors), residentMiB: Number(kib) / 1024 };
  }

  /** Away from the network: nobody resets its connections, and its name is gone from DNS. */
  async cutOff() {
    const { docker, name } = this.project;
    await docker('network', 'disconnect', `${name}_default`, this.container);
  }

  /** Back, at another address: the one that it had, somebody else has taken meanwhile. */
  async rejoin() {
    const { docker, name, inspect } = this.project;
    const network = `${name}_default`;
    const { Image } = await inspect(this.container);
    const squat = ['run', '--rm', '-d', '--network', network, '--entrypoint', 'sleep', Image, '60'];
    const before = this.host;
    const squatters = [];
    while (squatters.at(-1)?.host !== before && squatters.length < SQUATTERS_MAX) {
      squatters.push(await new Container(this.project, await docker(...squat)).locate());
    }
    await docker('network', 'connect', '--alias', 'node', network, this.container);
    await docker('rm', '--force', ...squatters.map(({ container }) => container));
    await this.locate();
    if (this.host === before) throw new Error(`a node came back at ${before}, where it was before`);
  }

  async keepLog() {
    this.log = await this.project.logs(this.container);
  }

  writeLog(directory) {
    appendFileSync(path.join(directory, `node${this.index}.log`), this.log);
  }

  async saveLog(directory) {
    await this.keepLog();
    this.writeLog(directory);
  }
}

class RedisContainer extends withCalls(Container) {
  get address() {
    return { host: this.host, port: REDIS_PORT };
  }

  /**
   * What a killed process wrote is with the kernel: with `everysec` Redis may hold writes back for up
   * to 2 s, and a kill would lose what it acknowledged.
   */
  async settle() {
    await eventually('Redis answers', () => this.isUp(), UP);
    await this.call('CONFIG', 'SET', 'appendfsync', 'no', 'auto-aof-rewrite-percentage', 0);
  }

  async start() {
    await super.start();
    await this.settle();
  }

  async kill() {
    await super.kill();
    this.hangUp();
  }

  /** In a container of its own on the same volume: this one is down. */
  async #inData(script) {
    const { docker, inspect, name } = this.project;
    const { Image } = await inspect(this.container);
    const volume = `${name}_redis-data:/data`;
    await docker('run', '--rm', '-v', volume, '--entrypoint', 'sh', Image, '-c', script);
  }

  wipe() {
    return this.#inData('rm -rf /data/*');
  }

  async saveSnapshot() {
    await this.project.shell(this.container, 'cp -a /data/appendonlydir /data/old');
  }

  async startFromSnapshot() {
    await this.#inData('cd /data && rm -rf appendonlydir && mv old appendonlydir');
    await this.start();
  }
}

class HaproxyContainer extends Container {
  /** Where docker-compose.yml publishes it: the same also after it was started again. */
  get address() {
    return { host: '127.0.0.1', port: Number(process.env.FRESHET_PORT) };
  }

  async answers() {
    const { host, port } = this.address;
    const isFine = async () => (await request(`http://${host}:${port}`, '/readyz')).status === 200;
    await eventually('HAProxy gives requests to nodes', isFine, UP);
  }

  reload() {
    return this.signal('USR2');
  }

  async restart() {
    await this.project.docker('restart', this.container);
    await this.answers();
  }
}

export class Compose extends Topology {
  /** Nodes that were scaled away. */
  gone = [];

  async start() {
    const { FRESHET_PROJECT: name, FRESHET_COMPOSE: command } = process.env;
    if (!name || !command) throw new Error('run it by tests/fault/run.sh --compose');
    this.project = openProject(name, `${command} -f ${writeOverride()}`);
    await this.project.compose('up', '-d', '--scale', `node=${NODES}`);
    const [redis] = await this.project.containers('redis');
    const [haproxy] = await this.project.containers('haproxy');
    this.redises = [await new RedisContainer(this.project, redis).locate()];
    await this.redises[0].settle();
    await this.#meetNodes();
    this.#watchForCrashes();
    this.haproxy = new HaproxyContainer(this.project, haproxy);
    await this.haproxy.answers();
    this.clientProxy = await startProxy(this.haproxy.address);
  }

  /** Those that are there and not yet known; they are ready when this returns. */
  async #meetNodes() {
    const known = new Set(this.nodes.map(({ container }) => container));
    const found = await this.project.containers('node', 'status=running');
    const added = found.filter((container) => !known.has(container));
    const first = this.nodes.length;
    const nodes = added.map((id, at) => new NodeContainer(this.project, id, first + at));
    await Promise.all(nodes.map((node) => node.meet().then(() => node.ready(UP.deadline))));
    this.nodes.push(...nodes);
  }

  /**
   * Nodes that were added last leave first, drained; their clients must find another one. A log goes
   * with its container, so it is kept as far as it came until now.
   */
  async scaleTo(count) {
    const leaving = this.nodes.slice(count);
    for (const node of leaving) {
      node.expected += 1;
      await node.keepLog();
    }
    await this.project.compose('up', '-d', '--no-recreate', '--scale', `node=${count}`);
    const left = new Set(await this.project.containers('node', 'status=running'));
    const wrong = leaving.filter(({ container }) => left.has(container));
    if (wrong.length > 0) throw new Error(`docker-compose did not stop node ${wrong[0].index}`);
    this.gone.push(...this.nodes.splice(count));
    await this.#meetNodes();
  }

  async saveLogs(directory) {
    await super.saveLogs(directory);
    for (const node of this.gone) node.writeLog(directory);
  }

  /** A container that ends by itself is started again by the engine, but that is no excuse. */
  #watchForCrashes() {
    const labels = [`project=${this.project.name}`, 'service=node'];
    const filters = ['event=die', ...labels.map((label) => `label=com.docker.compose.${label}`)];
    const args = ['events', '--format', '{{.ID}}', ...filters.flatMap((one) => ['--filter', one])];
    this.events = spawnChild('docker', args);
    createInterface({ input: this.events.stdout }).on('line', (container) => {
      const node = this.nodes.find((one) => container.startsWith(one.container));
      if (!node) return;
      if (node.expected > 0) node.expected -= 1;
      else this.#crashed(node).catch(() => {}); // waitUntilReady() tells that it is not back
    });
  }

  async #crashed(node) {
    this.onCrash(node, (await this.project.logs(node.container)).slice(-500));
    await eventually('it runs again', async () => (await node.locate()).pid !== 0, UP);
    await node.meet();
  }

  async stop() {
    this.events?.kill();
    await super.stop();
    await this.project?.compose('down', '--volumes', '--remove-orphans', '--timeout', '1');
  }
}
