/**
 * Who looks on: the scribe copies the logs of Redis into the history as they grow, so that the
 * checker knows every branch, also those that Redis loses later; the prober polls nodes for what was
 * just acknowledged (I9).
 */
import http from 'node:http';
import { query } from '../support/clients.js';
import { now } from './history.js';
import { readPayloadHead } from './payload.js';

const SCRIBE_MS = 400;
const PROBE_MS = 150;
const SOON_MS = 60; // after the acknowledgement: fault-free 50 ms are allowed
const LATE_MS = 4100; // under a fault 4 s are
const LOG_MAX = 20_000;

export class Scribe {
  constructor(load) {
    this.load = load;
    this.last = load.channels.map(() => '-');
  }

  start() {
    this.timer = setTimeout(() => this.#round(), SCRIBE_MS);
  }

  stop() {
    clearTimeout(this.timer);
    this.isOver = true;
    this.connection?.close();
  }

  async #round() {
    try {
      await this.copy();
    } catch {
      this.connection?.close(); // Redis is away, or another one is the master
    }
    if (!this.isOver) this.start();
  }

  /** All that is new since the last time. */
  async copy() {
    if (!this.connection?.isOpen) this.connection = await this.load.openMaster();
    const late = setTimeout(() => this.connection.close(), 2000);
    try {
      await Promise.all(this.load.channels.map((_, ch) => this.#copyLog(ch)));
    } finally {
      clearTimeout(late);
    }
  }

  async #copyLog(ch) {
    const key = `freshet:{${this.load.channels[ch].name}}:log`;
    const range = (from) => this.connection.call('XRANGE', key, from, '+', 'COUNT', LOG_MAX);
    let entries = await range(this.last[ch]);
    // The last one that was seen comes first again, unless it was trimmed or lost.
    if (entries[0]?.[0] === this.last[ch]) entries.shift();
    else if (this.last[ch] !== '-') entries = await range('-');
    for (const [id, fields] of entries) {
      const of = (name) => fields[fields.indexOf(name) + 1];
      const f = fields.includes('fork') ? of('fork') : undefined;
      this.load.history.write('entry', { ch, id, ...readPayloadHead(of('data')), f });
      this.last[ch] = id;
    }
  }

  /** Where each channel stands: { channel: position }. */
  async heads() {
    const connection = await this.load.openMaster();
    try {
      const heads = {};
      await Promise.all(
        this.load.channels.map(async ({ name }, ch) => {
          const key = `freshet:{${name}}`;
          const [epoch, version] = await connection.call('HMGET', key, 'epoch', 'version');
          if (epoch) heads[ch] = `${epoch}-${version}`;
        }),
      );
      return heads;
    } finally {
      connection.close();
    }
  }
}

export class Prober {
  constructor(load, random) {
    this.load = load;
    this.random = random;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
    this.candidate = null;
  }

  start() {
    this.timer = setInterval(() => this.#probe(), PROBE_MS);
  }

  stop() {
    clearInterval(this.timer);
    this.isOver = true;
    this.agent.destroy();
  }

  /** A publication that was acknowledged now. */
  offer(acknowledged) {
    this.candidate = { ...acknowledged, at: now() };
  }

  #probe() {
    const { candidate } = this;
    if (!candidate) return;
    this.candidate = null;
    const node = this.random.pick(this.load.nodes);
    this.#look(candidate, node, true);
    setTimeout(() => this.#look(candidate, node, false), SOON_MS);
    if (this.random.chance(0.3)) setTimeout(() => this.#look(candidate, node, false), LATE_MS);
  }

  #look({ ch, id, at }, node, min) {
    if (this.isOver) return;
    const [epoch, version] = id.split('-');
    const since = `${epoch}-${Number(version) - 1}`;
    const params = { since, min: min ? id : undefined };
    const begun = now();
    const age = begun - at;
    const request = http.get({
      ...{ ...node.address, agent: this.agent },
      path: `/poll?${query([this.load.channels[ch].name], params)}`,
      headers: { 'If-None-Match': `"${since}"` },
      timeout: 8000,
    });
    const write = (status, cursor, stale) => {
      if (this.isOver) return;
      this.load.history.write('look', {
        node: node.index,
        ch,
        id,
        min: min || undefined,
        age,
        took: now() - begun,
        status,
        cursor,
        stale,
      });
    };
    request.on('timeout', () => request.destroy());
    request.on('error', () => write(0));
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part) => (text += part));
      response.on('error', () => write(0));
      response.on('end', () => {
        const { statusCode: status, headers } = response;
        const cursor = status === 200 ? JSON.parse(text).cursor : undefined;
        write(status, cursor ?? (status === 304 ? since : undefined), headers['freshet-stale']);
      });
    });
  }
}
