/** What a fault may do and ask: nodes by chance, marks and measures, the end of the fault. */
import { SseClient } from '../support/clients.js';
import { eventually, pause } from '../support/wait.js';
import { now } from './history.js';
import { FAULTS } from './nemesis.js';
import { TIMES } from './topology.js';

const ASK_EVERY_MS = 50;
const RESIDENT_MIB_MAX = 256;
const HALF_OPEN_MS = 90_000; // an idle one ends with `keep-alive`, 75 s; the others sooner
const LOOK_EVERY_MS = 2;
const READY_MS = 10_000;
const SWITCH = { deadline: 60_000, every: 20 };

export class Context {
  constructor({ topology, load, history, random, isPair = false }) {
    this.topology = topology;
    this.load = load;
    this.history = history;
    this.random = random;
    this.isPair = isPair;
    /** nodes that a fault is busy with */
    this.taken = new Set();
    /** nodes whose links are waited for, and by whom */
    this.waiting = new Map();
    /** what each node's process had closed when it was last asked */
    this.closed = new Map();
    /** what each node had before there was any load */
    this.before = new Map();
    /** nodes with connections whose other end they can never hear of again */
    this.halfOpen = new Set();
  }

  get redis() {
    return this.topology.redises[0];
  }

  /** One fault, on for its time and off again. Each gets a view of its own on this context. */
  async cycle(name, cycleMs, delayMs) {
    const fault = FAULTS[name];
    const view = Object.assign(Object.create(this), { isOn: true, node: null, wakes: new Set() });
    await pause(delayMs);
    const free = this.topology.nodes.filter((node) => !this.taken.has(node));
    view.node = this.random.pick(free);
    this.taken.add(view.node);
    this.#tell(fault, view, name, true);
    const acting = fault.on(view);
    acting.catch(() => {}); // awaited below
    await Promise.race([
      pause(fault.onMs ?? cycleMs),
      acting.then(
        () => pause(1e9),
        () => {},
      ),
    ]);
    view.isOn = false;
    for (const wake of view.wakes) wake();
    await acting;
    await fault.off?.(view);
    this.taken.delete(view.node);
    this.#tell(fault, view, name, false);
  }

  #tell({ touches }, view, name, on) {
    const all = this.topology.nodes.map(({ index }) => index);
    const nodes = { node: [view.node.index], nodes: all }[touches] ?? touches?.nodes;
    this.history.write('fault', { name, on, nodes, clients: touches === 'clients' || undefined });
  }

  /** The node of this fault. */
  pickNode() {
    return this.node;
  }

  /** Until then, or until the fault is to end. */
  async sleep(ms) {
    await Promise.race([pause(ms), new Promise((resolve) => this.wakes.add(resolve))]);
  }

  heads() {
    return eventually('Redis says where channels stand', () => this.load.scribe.heads());
  }

  /** From now on: how long do clients need to where the channels stand now? */
  async mark(what, limits, { nodes, reattach } = {}) {
    const at = now();
    const heads = await this.heads();
    this.writeMark({ what, limits, at, heads, nodes, reattach });
  }

  /**
   * The same for a Redis that has just come back: to where the channels stand once all of them have
   * a head and the busy one moves again. Before that there is nothing to be behind of.
   */
  async markOnceMoving(what, limits) {
    const at = now();
    const first = (await this.heads())[0];
    const heads = await eventually('publications go on', async () => {
      const found = await this.heads();
      return found[0] !== first && Object.keys(found).length === this.load.channels.length && found;
    });
    this.writeMark({ what, limits, at, heads });
  }

  /** Bounds are promised of one fault at a time. */
  writeMark({ limits, ...mark }) {
    this.history.write('mark', { ...mark, limits: this.isPair ? {} : limits });
  }

  writeMeasure(what, ms, limit) {
    this.history.write('measure', { what, ms, limit: this.isPair ? undefined : limit });
  }

  /**
   * As soon as both of a node's links are back, one of them subscribed: how long do its clients
   * need? Nothing is measured unless they are seen to be down before.
   */
  async markWhenBack(node, what, limits) {
    const self = {};
    this.waiting.set(node, self);
    let wasDown = false;
    while (this.waiting.get(node) === self) {
      const isUp = await this.topology.isLinked(node).catch(() => false);
      wasDown ||= !isUp;
      if (wasDown && isUp) {
        this.waiting.delete(node);
        await this.mark(what, limits, { nodes: [node.index] }).catch(() => {}); // Redis is gone again
      }
      await pause(LOOK_EVERY_MS);
    }
  }

  /** The fault is over: all nodes say so, in time. */
  async waitUntilReady() {
    const from = now();
    const ready = this.topology.nodes.map((node) => node.ready(2 * READY_MS));
    await Promise.allSettled(ready);
    const ms = now() - from;
    this.history.write('measure', { what: 'all nodes ready again', ms, limit: READY_MS });
  }

  /** How long until a node that hears nothing of Redis says that it is not ready. */
  async measureUnready(node, limit) {
    const from = now();
    await eventually('a deaf node is unready', async () => !(await node.isReady()), {
      deadline: 15_000,
      every: ASK_EVERY_MS,
    });
    this.writeMeasure('deaf node unready', now() - from, limit);
  }

  /** The same, and how long until it has cut its link: it dials again. */
  async measureDeafness(node, limit) {
    const proxy = this.topology.redisProxies[node.index];
    const from = now();
    let cut;
    proxy.onLink = () => (cut ??= now() - from);
    await this.measureUnready(node, limit);
    await eventually('a deaf link is cut', () => cut !== undefined, { every: 10 });
    proxy.onLink = undefined;
    this.writeMeasure('deaf link cut', cut, limit);
  }

  /** Until HAProxy gives this node clients: it has the fewest, and so it is the next. */
  async waitUntilServed(node) {
    const { host, port } = this.topology.haproxy.address;
    await eventually(`HAProxy gives ${node.id} clients`, async () => {
      const stream = new SseClient(`http://${host}:${port}`, ['hello']);
      try {
        return (await stream.hello()).json.node === node.id;
      } finally {
        stream.close();
      }
    });
  }

  /**
   * Makes a failover happen by `act`, and measures how long after the first +switch-master each node
   * has both its links with the new master.
   */
  async failover(act, limit, { isQuiet = false } = {}) {
    const { sentinels, redises } = this.topology;
    const heard = await Promise.all(sentinels.map((sentinel) => sentinel.connect()));
    await Promise.all(heard.map((connection) => connection.subscribe('+switch-master')));
    const switched = Promise.any(heard.map((connection) => connection.messages.next(SWITCH)));
    await act();
    const { payload } = await switched;
    const at = now();
    for (const connection of heard) connection.close();
    const master = redises.find(({ port }) => port === Number(String(payload).split(' ').at(-1)));
    for (const node of this.topology.nodes) {
      const isThere = () => master.holdsLinksOf(node);
      await eventually(`${node.id} is on the new master`, isThere, SWITCH);
      this.writeMeasure('node on the new master', now() - at, limit);
    }
    if (isQuiet) await this.mark('failed over', {});
    else await this.markOnceMoving('failed over', {});
  }

  /** The other one follows this master and has all of it. */
  async inStep(master) {
    const replica = this.topology.redises.find((redis) => redis !== master);
    const offset = (text, name) => new RegExp(`${name}:(\\d+)`).exec(text)?.[1];
    await eventually(
      'the replica is in step',
      async () => {
        const text = await replica.call('INFO', 'replication');
        const its = await master.call('INFO', 'replication');
        const behind = offset(its, 'master_repl_offset') - offset(text, 'slave_repl_offset');
        return text.includes('master_link_status:up') && behind < 1e6;
      },
      { deadline: 60_000 },
    );
    // The Sentinels must have seen it too, or they refuse the next failover.
    await eventually(
      'Sentinel has seen the replica',
      async () => {
        const [fields] = await this.topology.sentinels[0].call('SENTINEL', 'REPLICAS', 'main');
        const of = (name) => fields[fields.indexOf(name) + 1];
        return of('master-link-status') === 'ok' && of('flags') === 'slave';
      },
      { deadline: 60_000 },
    );
  }

  /** What the nodes have before there is any load. */
  async baseline() {
    for (const node of this.topology.nodes) this.before.set(node, await node.usage());
    await this.countCloses();
  }

  /** What nodes have closed since the last time, and how often they dialled Redis again. */
  async countCloses() {
    for (const node of this.topology.nodes) {
      const metrics = await node.metrics();
      const last = this.closed.get(node);
      // A process that is new begins at 0.
      const before = last?.pid === node.pid ? last : { reasons: {}, redials: 0 };
      const totals = metrics.samples
        .filter(({ name }) => name === 'freshet_closed_total')
        .map(({ labels, value }) => [labels.reason, value]);
      const reasons = Object.fromEntries(
        totals.map(([reason, value]) => [reason, value - (before.reasons[reason] ?? 0)]),
      );
      const redials = metrics.get('freshet_redis_reconnects_total');
      const details = { node: node.index, reasons, redials: redials - before.redials };
      this.history.write('closed', details);
      this.closed.set(node, { pid: node.pid, reasons: Object.fromEntries(totals), redials });
    }
  }

  /** When everybody has gone and the channels' linger is over: what did stay? */
  async residue() {
    const { nodes, haproxy } = this.topology;
    this.waiting.clear();
    await haproxy.kill(); // it keeps connections for later
    const ask = async (node, name) => (await node.metrics()).get(name);
    const write = (node, what, before, after, most) =>
      this.history.write('residue', { node: node.index, what, before, after, most });
    for (const node of nodes) {
      for (const name of ['freshet_worker_channels', 'freshet_channels', 'freshet_backlog_bytes']) {
        const isEmpty = async () => (await ask(node, name)) === 0;
        await eventually('nothing is left', isEmpty, { deadline: TIMES.linger * 4 }).catch(
          () => {},
        );
        write(node, name, 0, await ask(node, name), 0);
      }
      const before = this.before.get(node).descriptors;
      const isBack = async () => (await node.usage()).descriptors <= before + 2;
      const deadline = this.halfOpen.has(node) ? HALF_OPEN_MS : undefined;
      await eventually('descriptors are back', isBack, { deadline }).catch(() => {});
      const { descriptors, residentMiB } = await node.usage();
      write(node, 'descriptors', before, descriptors, before + 2);
      write(node, 'resident MiB', 0, Math.round(residentMiB), RESIDENT_MIB_MAX);
    }
  }
}
