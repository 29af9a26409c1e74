/**
 * Reads a history once, and says what in it breaks the promises: I1 to I12 of README.md.
 *
 * I1-I5, I8 and I10 are judged line by line; what needs to know how it ended (which branch of a
 * channel's log Redis kept: I6, I7, I9, I12) in verdict.js, called by finish(). It knows no process
 * and no socket: `node tests/fault/checker.js FILE` judges a history of any day again.
 */
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { readHistory } from './history.js';
import { Lineage, formatPosition, parsePosition } from './lineage.js';
import { Marks } from './marks.js';
import { Stream } from './stream.js';
import { judge } from './verdict.js';

const VIOLATIONS_KEPT = 50; // with their text; beyond, they are counted

/** How long after a fault its traces are still excused: I9's 50 ms and I10 hold only beyond. */
export const SETTLE_MS = 5000;

/** Closes that the client or its request asked for; all others are the node's own doing. */
const CLOSES_OF_CLIENTS = ['client', 'done', 'idle'];

export class Checker {
  constructor() {
    this.run = { channels: [], settle: 10_000 };
    this.now = 0;
    this.violations = [];
    /** invariant → how often it was broken */
    this.broken = {};
    this.faults = new Map();
    /** on and off: { name, on, from, to, deliveries, resets, violations } */
    this.windows = [];
    /** when a fault that touches clients or nodes was on: excuses for I10 */
    this.touched = [];
    this.calmSince = 0;
    this.lineages = new Map();
    this.heads = new Map();
    this.publications = new Map();
    this.acknowledged = new Map();
    this.clients = new Map();
    this.looks = [];
    this.marks = new Marks(this);
    this.measures = [];
    this.closes = {};
    this.redials = 0;
    this.deliveries = 0;
    this.failedRequests = 0;
    this.staleNotices = 0;
    this.late = { times: 0, most: 0 };
    this.reused = 0;
    this.#window('before');
  }

  #window(name, on = false) {
    const previous = this.windows.at(-1);
    if (previous) previous.to = this.now;
    this.window = { name, on, from: this.now, deliveries: 0, resets: 0, violations: 0 };
    this.windows.push(this.window);
  }

  /** @param {string} invariant  @param {string} text */
  violate(invariant, text, at = this.now) {
    this.broken[invariant] = (this.broken[invariant] ?? 0) + 1;
    this.window.violations += 1;
    const kept = this.broken[invariant] <= VIOLATIONS_KEPT;
    if (kept) this.violations.push({ invariant, text, at, during: this.faultAt(at) });
  }

  faultAt(at) {
    const window = this.windows.findLast(({ from }) => from <= at);
    return window ? `${window.name}${window.on ? '' : ' (off)'}` : '';
  }

  /** No fault is on, and the last one had been over for a while then. */
  wasCalmAt(t) {
    return this.faults.size === 0 && t - this.calmSince >= SETTLE_MS;
  }

  lineage(channel) {
    let lineage = this.lineages.get(channel);
    if (!lineage) this.lineages.set(channel, (lineage = new Lineage()));
    return lineage;
  }

  channelName(channel) {
    return this.run.channels[channel]?.name ?? `channel ${channel}`;
  }

  getClient(number) {
    let client = this.clients.get(number);
    if (!client) this.clients.set(number, (client = { number, streams: new Map(), node: null }));
    return client;
  }

  #stream(number, channel) {
    const { streams } = this.getClient(number);
    let stream = streams.get(channel);
    if (!stream) {
      stream = new Stream((invariant, text) =>
        this.violate(invariant, `client ${number}, ${this.channelName(channel)}: ${text}`),
      );
      stream.channel = channel;
      stream.client = number;
      streams.set(channel, stream);
    }
    return stream;
  }

  /** All streams, for what is judged at the end. */
  *streams() {
    for (const client of this.clients.values()) yield* client.streams.values();
  }

  /** @param {{ t: number, e: string, [detail: string]: any }} event */
  feed(event) {
    this.now = event.t;
    if (event.e === 'run') this.window.from = event.t;
    const handle = HANDLERS[event.e];
    if (handle) handle.call(this, event);
  }

  /** Who stands at a position, and what it says: agreed by everybody, for ever (I4). */
  sight(channel, position, payload, where, fork) {
    const lineage = this.lineage(channel);
    const id = formatPosition(position);
    lineage.sight(position);
    const other = lineage.record(id, payload);
    if (other !== undefined) {
      this.reused += 1;
      this.violate('I4', `${where}, ${this.channelName(channel)} ${id}: ${payload}, but ${other}`);
    }
    if (position[1] !== 1) return;
    const otherFork = lineage.recordFork(position[0], fork ?? null);
    if (otherFork !== undefined) {
      this.violate('I4', `${where}: ${id} forks from ${fork ?? 'nothing'}, but ${otherFork}`);
    }
  }

  onMessage({ c, ch, id, p, n, h, f }) {
    const position = parsePosition(id);
    const fork = f === undefined ? undefined : parsePosition(f);
    this.deliveries += 1;
    this.window.deliveries += 1;
    this.sight(ch, position, `${p}/${n}/${h}`, `client ${c}`, fork);
    const publication = this.publications.get(`${p}/${n}`);
    if (!publication || publication.ch !== ch) {
      this.violate('I5', `client ${c}, ${this.channelName(ch)} ${id}: ${p}/${n} was not published`);
    } else {
      if (publication.h !== h) {
        this.violate('I5', `client ${c}, ${this.channelName(ch)} ${id}: other bytes of ${p}/${n}`);
      }
      publication.positions.add(id);
      publication.seen = true;
    }
    const stream = this.#stream(c, ch);
    stream.message(position, fork);
    this.marks.advance(stream);
  }

  onReset({ c, ch, from, to, why }) {
    const reset = { from: parsePosition(from), to: parsePosition(to), why, at: this.now };
    this.window.resets += 1;
    this.lineage(ch).sight(reset.to);
    const known = this.acknowledged.get(ch);
    reset.newest = known && { ...known };
    const stream = this.#stream(c, ch);
    reset.fault = this.faultAt(this.now);
    stream.reset(reset);
    this.marks.advance(stream);
  }

  onStart({ c, ch, id }) {
    const position = parsePosition(id);
    this.lineage(ch).sight(position);
    const stream = this.#stream(c, ch);
    stream.open(position);
    this.marks.advance(stream);
  }

  onOpen({ c, node = null }) {
    const client = this.getClient(c);
    client.node = node;
    client.openedAt = this.now;
    this.marks.opened(client);
  }

  onShut({ c }) {
    this.getClient(c).node = null;
  }

  /** A request through HAProxy that did not get what it asked for. */
  onFailed({ what }) {
    this.failedRequests += 1;
    if (this.run.noFailures) this.violate('bound', `a request failed: ${what}`);
  }

  onPublish({ p, n, ch, h }) {
    const newest = this.acknowledged.get(ch);
    this.publications.set(`${p}/${n}`, {
      ...{
        p,
        n,
        ch,
        h,
        at: this.now,
        positions: new Set(),
        answers: new Set(),
        outcome: 'open',
        seen: false,
      },
      floor: newest && { ...newest },
    });
  }

  onAcknowledge({ p, n, id, w = 0 }) {
    const publication = this.publications.get(`${p}/${n}`);
    if (!publication) return this.violate('I5', `${p}/${n} was acknowledged and never published`);
    const { ch, floor } = publication;
    const position = parsePosition(id);
    const [epoch, version] = position;
    const where = `publisher ${p}`;
    const lineage = this.lineage(ch);
    lineage.sight(position);
    const payload = `${p}/${n}/${publication.h}`;
    const other = lineage.record(id, payload);
    if (other !== undefined) {
      this.reused += 1;
      this.violate('I4', `${where}, ${this.channelName(ch)} ${id}: ${payload}, but ${other}`);
    }
    publication.outcome = 'acknowledged';
    publication.acknowledgedAt ??= this.now;
    publication.positions.add(id);
    publication.answers.add(id);
    publication.confirmed = Math.max(publication.confirmed ?? 0, w);
    if (floor && floor.epoch === epoch && version <= floor.version) {
      const before = `${floor.epoch}-${floor.version}`;
      this.violate('I8', `${where}, ${this.channelName(ch)}: ${id}, begun after ${before} was out`);
    }
    const newest = this.acknowledged.get(ch);
    if (!newest || newest.epoch !== epoch) this.acknowledged.set(ch, { epoch, version });
    else newest.version = Math.max(newest.version, version);
    return undefined;
  }

  /** A definite no; where an attempt before it went unanswered, that one may have been carried out. */
  onRefused({ p, n }) {
    const publication = this.publications.get(`${p}/${n}`);
    if (publication?.outcome === 'open') publication.outcome = 'refused';
  }

  onMaybe({ p, n }) {
    const publication = this.publications.get(`${p}/${n}`);
    if (publication?.outcome === 'open') publication.outcome = 'maybe';
  }

  /** An entry of the log, as Redis itself has it. */
  onEntry({ ch, id, p, n, h, f }) {
    const fork = f === undefined ? undefined : parsePosition(f);
    this.sight(ch, parsePosition(id), `${p}/${n}/${h}`, 'the log', fork);
    this.publications.get(`${p}/${n}`)?.positions.add(id);
  }

  onHead({ ch, id }) {
    const position = parsePosition(id);
    this.lineage(ch).sight(position);
    this.heads.set(ch, position);
  }

  onFault({ name, on, nodes = [], clients = false }) {
    if (on) {
      this.faults.set(name, true);
      if (nodes.length > 0 || clients) {
        this.touched.push({ name, from: this.now, to: Infinity, nodes, clients });
      }
    } else {
      this.faults.delete(name);
      this.calmSince = this.now;
      for (const touch of this.touched) {
        if (touch.name === name && touch.to === Infinity) touch.to = this.now + SETTLE_MS;
      }
    }
    const names = [...this.faults.keys()].join('+');
    this.#window(names || name, this.faults.size > 0);
  }

  /** Whether the client's way to its node was itself broken at some time in between. */
  #isExcused(from, node) {
    return this.touched.some(
      (touch) =>
        touch.from <= this.now &&
        touch.to >= from &&
        (touch.clients || node === null || node === undefined || touch.nodes.includes(node)),
    );
  }

  onHeld({ c, node, wait, took }) {
    if (took <= wait + 1000 || this.#isExcused(this.now - took, node)) return;
    this.violate('I10', `client ${c}: a poll with wait ${wait} ms took ${Math.round(took)} ms`);
  }

  /** What a client could not make sense of, or should never have been sent. */
  onWrong({ c, what }) {
    this.violate('contract', `client ${c}, ${what}`);
  }

  onCrash({ node, log }) {
    this.violate('crash', `node ${node} has ended by itself: ${log}`);
  }

  onQuiet({ c, node, tr, gap, heartbeat }) {
    const { isSlow, openedAt } = this.getClient(c);
    // Who reads slowly is late: what it waits for may have been lost with its node long before.
    const since = isSlow ? Math.min(openedAt ?? Infinity, this.now - gap) : this.now - gap;
    if (this.#isExcused(since, node)) return;
    const silence = `silent for ${Math.round(gap)} ms, the heartbeat is ${heartbeat} ms`;
    this.violate('I10', `client ${c}, ${tr}: ${silence}`);
  }

  onLook(look) {
    this.looks.push({ ...look, isCalm: this.wasCalmAt(this.now - (look.took ?? 0)) });
  }

  onClosed({ node, reasons, redials = 0 }) {
    this.redials += redials;
    for (const [reason, count] of Object.entries(reasons)) {
      this.closes[reason] = (this.closes[reason] ?? 0) + count;
      if (CLOSES_OF_CLIENTS.includes(reason) || !this.run.keepsClients || count === 0) continue;
      this.violate('bound', `node ${node} closed ${count} connections: ${reason}`);
    }
  }

  onResidue({ node, what, before, after, most }) {
    if (after <= most) return;
    this.violate('I11', `node ${node}: ${what} ${before} before, ${after} after, at most ${most}`);
  }

  onMeasure({ what, ms, limit }) {
    this.measures.push({ what, ms, limit });
    if (ms > limit) this.violate('bound', `${what}: ${Math.round(ms)} ms, at most ${limit} ms`);
  }

  /** @returns {import('./verdict.js').Result} */
  finish() {
    this.window.to = this.now;
    return judge(this);
  }
}

const HANDLERS = {
  run(event) {
    this.run = { settle: 10_000, ...event };
  },
  pub: Checker.prototype.onPublish,
  ack: Checker.prototype.onAcknowledge,
  no: Checker.prototype.onRefused,
  maybe: Checker.prototype.onMaybe,
  m: Checker.prototype.onMessage,
  reset: Checker.prototype.onReset,
  start: Checker.prototype.onStart,
  open: Checker.prototype.onOpen,
  client({ c, slow }) {
    this.getClient(c).isSlow = slow;
  },
  shut: Checker.prototype.onShut,
  failed: Checker.prototype.onFailed,
  stale() {
    this.staleNotices += 1;
  },
  late({ ms }) {
    this.late.times += 1;
    this.late.most = Math.max(this.late.most, ms);
  },
  entry: Checker.prototype.onEntry,
  head: Checker.prototype.onHead,
  mark(event) {
    this.marks.make(event);
  },
  fault: Checker.prototype.onFault,
  held: Checker.prototype.onHeld,
  wrong: Checker.prototype.onWrong,
  crash: Checker.prototype.onCrash,
  quiet: Checker.prototype.onQuiet,
  look: Checker.prototype.onLook,
  closed: Checker.prototype.onClosed,
  residue: Checker.prototype.onResidue,
  measure: Checker.prototype.onMeasure,
};

/** @param {string} file */
export async function checkFile(file) {
  const checker = new Checker();
  await readHistory(file, (event) => checker.feed(event));
  return checker.finish();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { printResult } = await import('./report.js');
  for (const file of process.argv.slice(2)) printResult(await checkFile(file));
}
