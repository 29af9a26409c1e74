/**
 * A TCP proxy that does to a link what networks do: delay, small pieces, freeze, reset, half-close,
 * a black hole in one direction or both, refusal; and heals. In userspace, because not every kernel
 * has netem; it knows no protocol but for one thing: which links of a node subscribe, so that the
 * pub/sub link of a node can be hit and its command link spared.
 *
 * A black hole reads and forgets: both ends see an open connection. A link that lost bytes can never
 * go on, so heal() resets those. A freeze reads nothing and forgets nothing: heal() lets all through.
 */
import net from 'node:net';

/** The first bytes of a link are looked at for this long, until it has subscribed. */
const SNIFF_BYTES = 4096;
const SUBSCRIBE = Buffer.from('SUBSCRIBE');
const KINDS = ['command', 'pubsub'];
const NOTHING = Object.freeze({});

/**
 * @typedef {object} Fault
 * @property {number} [delay] ms each way
 * @property {number} [slice] bytes of a piece: written one by one
 * @property {boolean} [freeze] nothing is read, nothing is lost
 * @property {'both' | 'up' | 'down'} [hole] bytes vanish; `up` is towards the server
 * @property {boolean} [refuse] new connections are reset; those for pub/sub when they subscribe
 */

/** Pieces on their way, each written when it is due, in the order in which they came. */
class Late {
  #pieces = [];
  #timer = null;
  #due = 0;

  constructor(write) {
    this.write = write;
    this.atEnd = undefined;
  }

  /** @param {Buffer} bytes  @param {Fault} fault */
  push(bytes, { delay = 0, slice }) {
    if (delay === 0 && !slice && this.#pieces.length === 0) return this.write(bytes);
    for (const piece of slice ? cut(bytes, slice) : [bytes]) {
      this.#due = Math.max(this.#due + (slice ? 1 : 0), performance.now() + delay);
      this.#pieces.push({ piece, due: this.#due, slice: Boolean(slice) });
    }
    return this.#wait();
  }

  end(atEnd) {
    this.atEnd = atEnd;
    this.#wait();
  }

  #wait() {
    if (this.#timer) return;
    const [next] = this.#pieces;
    if (!next) return void this.atEnd?.();
    this.#timer = setTimeout(() => this.#flush(), Math.max(0, next.due - performance.now()));
  }

  #flush() {
    this.#timer = null;
    let slice = false; // one a turn, however late: together the kernel would join them again
    while (!slice && this.#pieces[0]?.due <= performance.now()) {
      const next = this.#pieces.shift();
      slice = next.slice;
      this.write(next.piece);
    }
    this.#wait();
  }
}

/** One connection through the proxy. */
class Link {
  constructor(proxy, client) {
    this.proxy = proxy;
    this.client = client;
    this.server = net.connect({ ...proxy.target, noDelay: true, allowHalfOpen: true });
    this.kind = 'command';
    this.sniffed = 0;
    this.hasLost = false;
    this.isAnswered = false;
    this.isEnding = false;
    this.#carry(client, this.server, 'up');
    this.#carry(this.server, client, 'down');
  }

  /** @param {net.Socket} from  @param {net.Socket} to  @param {'up' | 'down'} direction */
  #carry(from, to, direction) {
    const late = new Late((bytes) => {
      if (to.destroyed || !to.writable) return;
      if (direction === 'down') this.isAnswered = true;
      if (!to.write(bytes)) {
        from.pause();
        to.once('drain', () => this.#resume(from));
      }
    });
    const isHole = () => this.fault.hole === 'both' || this.fault.hole === direction;
    from.on('data', (bytes) => {
      if (direction === 'up') this.#sniff(bytes);
      if (this.isEnding && this.fault.refuse) return;
      if (isHole()) this.hasLost = true;
      else late.push(bytes, this.fault);
    });
    from.on('end', () => {
      this.isEnding = true;
      if (isHole()) this.hasLost = true;
      else late.end(() => to.end());
    });
    from.on('error', () => this.reset());
    from.on('close', () => this.#closed());
    if (this.fault.freeze) from.pause();
  }

  #resume(socket) {
    if (!this.fault.freeze) socket.resume();
  }

  #sniff(bytes) {
    if (this.kind === 'pubsub' || this.sniffed > SNIFF_BYTES) return;
    this.sniffed += bytes.length;
    if (!bytes.includes(SUBSCRIBE)) return;
    this.kind = 'pubsub';
    if (this.fault.refuse) this.reset();
  }

  get fault() {
    return this.proxy.faults[this.kind] ?? NOTHING;
  }

  /** The fault has changed. */
  apply() {
    for (const socket of [this.client, this.server]) {
      if (this.fault.freeze) socket.pause();
      else socket.resume();
    }
    if (this.hasLost && !this.fault.hole) this.reset();
  }

  /** An RST to both ends, as far as they are there. */
  reset() {
    this.isEnding = true;
    for (const socket of [this.client, this.server]) {
      if (!socket.destroyed) socket.resetAndDestroy();
    }
  }

  halfClose() {
    this.isEnding = true;
    this.client.end();
  }

  /** When one side is gone for good the other one need not stay, once it has what was sent. */
  #closed() {
    if (this.client.destroyed && this.server.destroyed) {
      this.proxy.links.delete(this);
    } else if (!this.fault.hole && !this.fault.freeze) {
      setTimeout(() => {
        for (const socket of [this.client, this.server]) socket.destroy();
      }, 100).unref();
    }
  }
}

function cut(bytes, size) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

export class Proxy {
  #server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    if (this.faults.command?.refuse) return socket.resetAndDestroy();
    this.onLink?.();
    return this.links.add(new Link(this, socket));
  });

  /** @param {{ host: string, port: number }} target */
  constructor(target) {
    this.target = target;
    /** @type {Set<Link>} */
    this.links = new Set();
    /** @type {{ command?: Fault, pubsub?: Fault }} */
    this.faults = {};
    /** @type {(() => void) | undefined} somebody dials */
    this.onLink = undefined;
  }

  async listen(port = 0) {
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, '127.0.0.1', () => resolve(undefined));
    });
    this.port = /** @type {net.AddressInfo} */ (this.#server.address()).port;
    return this;
  }

  /** Links of these kinds; a link is a command link until it subscribes. */
  #of(kinds) {
    return [...this.links].filter((link) => kinds.includes(link.kind));
  }

  /** Whether there are links of both kinds that the server has answered. */
  get isUp() {
    return KINDS.every((kind) =>
      this.#of([kind]).some((link) => link.isAnswered && !link.isEnding),
    );
  }

  /** @param {Fault} fault  @param {string[]} [kinds] */
  set(fault, kinds = KINDS) {
    for (const kind of kinds) this.faults[kind] = fault;
    for (const link of this.#of(kinds)) link.apply();
  }

  heal() {
    this.faults = {};
    for (const link of [...this.links]) link.apply();
  }

  reset(kinds = KINDS) {
    for (const link of this.#of(kinds)) link.reset();
  }

  halfClose(kinds = KINDS) {
    for (const link of this.#of(kinds)) link.halfClose();
  }

  close() {
    this.#server.close();
    for (const link of [...this.links]) {
      link.client.destroy();
      link.server.destroy();
    }
  }
}

/** @param {{ host?: string, port: number }} target */
export function startProxy({ host = '127.0.0.1', port }) {
  return new Proxy({ host, port }).listen();
}
