/**
 * The checker, checked: for each invariant a history by hand that must fail, and one beside it, as
 * close as can be, that must pass.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Checker } from './checker.js';

const E = 1_795_375_878_745_123;
const F = E + 1_000_000; // a later epoch
const G = F + 1_000_000;

const at = (epoch, version) => `${epoch}-${version}`;

/** A history in the making: each call is one event, 10 ms after the one before. */
class Story {
  constructor(run = {}) {
    this.t = 1000;
    this.events = [];
    this.sequence = 0;
    const channels = [{ name: 'news', history: 1000 }];
    this.add('run', { channels, clean: true, lossy: false, settle: 10_000, ...run });
  }

  add(e, details = {}) {
    this.t += 10;
    this.events.push({ t: this.t, e, ...details });
    return this;
  }

  wait(ms) {
    this.t += ms;
    return this;
  }

  /** Published and acknowledged; the sequence number is the payload's name. */
  publish(id, { ack = true, w } = {}) {
    this.sequence += 1;
    const n = this.sequence;
    this.add('pub', { p: 0, n, ch: 0, h: `h${n}` });
    if (ack) this.add('ack', { p: 0, n, id, w });
    return n;
  }

  start(c, id) {
    return this.add('open', { c, node: 0 }).add('start', { c, ch: 0, id });
  }

  message(c, id, n, more = {}) {
    return this.add('m', { c, ch: 0, id, p: 0, n, h: `h${n}`, ...more });
  }

  reset(c, from, to, why) {
    return this.add('reset', { c, ch: 0, from, to, why });
  }

  head(id) {
    return this.add('head', { ch: 0, id });
  }

  get result() {
    const checker = new Checker();
    for (const event of this.events) checker.feed(event);
    return checker.finish();
  }
}

/** Positions 1..count of epoch E, all published; and a client that stands at E-0. */
function begun(count, run) {
  const story = new Story(run).start(7, at(E, 0));
  for (let version = 1; version <= count; version += 1) story.publish(at(E, version));
  return story;
}

const receive = (story, c, ...versions) => {
  for (const version of versions) story.message(c, at(E, version), version);
  return story;
};

/** Whether exactly these invariants are broken. */
function expect(story, ...invariants) {
  const { broken, violations } = story.result;
  const said = violations.map(({ invariant, text }) => `${invariant}: ${text}`).join('\n');
  assert.deepEqual(Object.keys(broken).sort(), [...invariants].sort(), said);
  return story.result;
}

test('I1: a gap without a reset is a loss', () => {
  const result = expect(receive(begun(3), 7, 1, 3).head(at(E, 3)), 'I1', 'I6');
  assert.equal(result.row.lost, 1);
  expect(receive(begun(3), 7, 1, 2, 3).head(at(E, 3)));
});

test('I1: a gap under a reset is none, as far as the reset reaches', () => {
  const story = () => receive(begun(3, { channels: [{ name: 'news', history: 1 }] }), 7, 1);
  const covered = story().reset(7, at(E, 1), at(E, 2), 'expired');
  const { row } = expect(receive(covered, 7, 3).head(at(E, 3)));
  assert.equal(row.covered, 1);
  assert.equal(row.lost, 0);
  const short = story().reset(7, at(E, 1), at(E, 1), 'expired');
  expect(receive(short, 7, 3).head(at(E, 3)), 'I1', 'I6', 'I12');
});

test('I1: a new epoch that does not continue ours needs a reset', () => {
  const jump = () => receive(begun(2), 7, 1, 2);
  const lost = jump();
  const n = lost.publish(at(F, 1));
  lost.message(7, at(F, 1), n, { f: at(E, 2) });
  expect(lost.head(at(F, 1)));
  const unforked = jump();
  unforked.publish(at(F, 1));
  unforked.message(7, at(F, 1), 3);
  assert.ok(unforked.head(at(F, 1)).result.broken.I1);
});

test('I2: the same position twice is a duplicate', () => {
  const result = expect(receive(begun(2), 7, 1, 2, 2).head(at(E, 2)), 'I2');
  assert.equal(result.row.duplicated, 1);
});

test('I2: after a reset to an older position the same may come again', () => {
  const story = receive(begun(2), 7, 1, 2).reset(7, at(E, 2), at(E, 1), 'lost');
  story.events[0].clean = false;
  expect(receive(story, 7, 2).head(at(E, 2)));
  const twice = receive(begun(3), 7, 1, 2).reset(7, at(E, 2), at(E, 1), 'lost');
  twice.events[0].clean = false;
  expect(receive(twice, 7, 2, 2, 3).head(at(E, 3)), 'I2');
});

test('I2: a duplicate is one across connections too', () => {
  const story = receive(begun(2), 7, 1, 2).add('shut', { c: 7 }).start(7, at(E, 2));
  expect(receive(story, 7, 2).head(at(E, 2)), 'I2');
});

test('I2: one publication at two positions of the log, by a retry', () => {
  const story = receive(begun(2), 7, 1, 2);
  story.add('ack', { p: 0, n: 2, id: at(E, 3) });
  story.message(7, at(E, 3), 2);
  expect(story.head(at(E, 3)), 'I2');
  const same = receive(begun(2), 7, 1, 2).add('ack', { p: 0, n: 2, id: at(E, 2) });
  expect(same.head(at(E, 2)));
});

test('I3: positions rise: two that changed places', () => {
  const result = receive(begun(3), 7, 1, 3, 2).head(at(E, 3)).result;
  assert.equal(result.row.reordered, 1);
  assert.equal(result.row.lost, 0);
  assert.ok(result.broken.I3);
});

test('I3: an epoch that was left does not return without a reset', () => {
  const story = (reset) => {
    const one = receive(begun(2, { clean: false, lossy: true }), 7, 1, 2);
    const forked = one.publish(at(F, 1));
    one.message(7, at(F, 1), forked, { f: at(E, 2) });
    if (reset) one.reset(7, at(F, 1), at(E, 2), 'lost');
    const n = one.publish(at(E, 3));
    return one.message(7, at(E, 3), n).head(at(E, 3));
  };
  expect(story(false), 'I3');
  expect(story(true));
});

test('I3: a fork below our position needs a reset', () => {
  const story = (told) => {
    const one = receive(begun(3, { lossy: true }), 7, 1, 2, 3);
    if (told) one.reset(7, at(E, 3), at(F, 0), 'lost');
    const n = one.publish(at(F, 1));
    return one.message(7, at(F, 1), n, { f: at(E, 2) }).head(at(F, 1));
  };
  expect(story(false), 'I3');
  const { row } = expect(story(true));
  assert.equal(row.rolledBack, 1);
  assert.equal(row.needless, 0);
});

test('I3: a connection resumes where the client stood', () => {
  expect(receive(begun(2), 7, 1).start(7, at(E, 2)).head(at(E, 2)), 'I3', 'I7');
  const story = receive(begun(2), 7, 1).start(7, at(E, 1));
  expect(receive(story, 7, 2).head(at(E, 2)));
});

test('I4: one position has one payload', () => {
  const story = receive(begun(2), 7, 1, 2).start(8, at(E, 1));
  story.publish(at(E, 3), { ack: false });
  story.message(8, at(E, 2), 3);
  const { row, broken } = story.head(at(E, 2)).result;
  assert.equal(row.reused, 1);
  assert.equal(broken.I4, 1);
  expect(receive(receive(begun(2), 7, 1, 2).start(8, at(E, 1)), 8, 2).head(at(E, 2)));
});

test('I4: what was acknowledged stands where it was acknowledged', () => {
  const story = begun(1);
  story.publish(at(E, 2), { ack: false });
  story.publish(at(E, 2));
  receive(story, 7, 1).message(7, at(E, 2), 2);
  assert.equal(story.head(at(E, 2)).result.broken.I4, 1);
});

test('I4: a publication stands where the publisher was told', () => {
  const story = (run) => {
    const one = begun(1, run);
    const n = one.publish(at(F, 1)); // the position of a server that did not wait for Redis
    return receive(one, 7, 1).message(7, at(E, 2), n).head(at(E, 2));
  };
  expect(story({}), 'I4');
  expect(story({ lossy: true })); // there it may have been lost, and come again by a retry
});

test('I5: what nobody published', () => {
  const story = receive(begun(1), 7, 1).message(7, at(E, 2), 99);
  expect(story.head(at(E, 2)), 'I5');
});

test('I5: other bytes than were published', () => {
  const story = begun(1).message(7, at(E, 1), 1, { h: 'other' });
  assert.equal(story.head(at(E, 1)).result.broken.I5, 1);
});

test('I5: what was refused does not come; what was not answered may', () => {
  const story = (e) => {
    const one = receive(begun(1), 7, 1);
    const n = one.publish(at(E, 2), { ack: false });
    return one.add(e, { p: 0, n }).message(7, at(E, 2), n).head(at(E, 2));
  };
  expect(story('no'), 'I5');
  expect(story('maybe'));
  const both = receive(begun(1), 7, 1);
  const n = both.publish(at(E, 2), { ack: false });
  both.add('maybe', { p: 0, n }).add('no', { p: 0, n }).message(7, at(E, 2), n);
  expect(both.head(at(E, 2)));
});

test('I6: an acknowledged publication that is gone, where nothing can be lost', () => {
  const story = (run, ack) => {
    const one = receive(begun(1, run), 7, 1);
    one.publish(at(E, 2), ack);
    const n = one.publish(at(F, 1));
    return one.message(7, at(F, 1), n, { f: at(E, 1) }).head(at(F, 1));
  };
  expect(story({ lossy: false }), 'I6');
  const { row } = expect(story({ lossy: true }));
  assert.equal(row.rolledBack, 1);
  expect(story({ lossy: true }, { w: 1 }), 'I6'); // confirmed by a replica
  expect(story({ lossy: false }, { ack: false }));
});

test('I6: an acknowledged message that neither came nor was covered', () => {
  const story = receive(begun(2), 7, 1);
  story.start(7, at(E, 2)); // the server pretends
  story.events.pop();
  const n = story.publish(at(F, 1));
  story.message(7, at(F, 1), n, { f: at(E, 2) });
  const { broken, row } = story.head(at(F, 1)).result;
  assert.equal(broken.I6, 1);
  assert.equal(row.lostAcknowledged, 1);
});

test('I7: everybody is at the head in the end', () => {
  expect(receive(begun(2), 7, 1).head(at(E, 2)), 'I7');
  expect(receive(begun(2), 7, 1, 2).head(at(E, 2)));
});

test('I8: versions rise in the order of acknowledgement', () => {
  const story = new Story();
  story.publish(at(E, 5));
  story.publish(at(E, 4)); // begun after E-5 was acknowledged
  expect(story, 'I8');
  const racing = new Story();
  racing.add('pub', { p: 0, n: 1, ch: 0, h: 'h1' }).add('pub', { p: 0, n: 2, ch: 0, h: 'h2' });
  racing.add('ack', { p: 0, n: 2, id: at(E, 2) }).add('ack', { p: 0, n: 1, id: at(E, 1) });
  expect(racing);
  const acrossEpochs = new Story({ lossy: true });
  acrossEpochs.publish(at(F, 5));
  acrossEpochs.publish(at(G, 1));
  expect(acrossEpochs);
});

/** A look at node 0, 6 s into a calm run, for position E-2, which was acknowledged. */
function looking(look, fault) {
  const story = receive(begun(2), 7, 1, 2).wait(6000);
  if (fault) story.add('fault', { name: fault, on: true });
  return story.add('look', { node: 0, ch: 0, id: at(E, 2), status: 200, ...look }).head(at(E, 2));
}

test('I9: a poll with min has it, or says 503', () => {
  expect(looking({ min: true, cursor: at(E, 1) }), 'I9');
  expect(looking({ min: true, status: 304, cursor: at(E, 1) }, 'link cut'), 'I9');
  expect(looking({ min: true, cursor: at(E, 2) }));
  expect(looking({ min: true, status: 503 }, 'link cut'));
  expect(looking({ min: true, status: 503 }), 'I9');
});

test('I9: a poll without min knows it within 50 ms, or 4 s when a fault is on', () => {
  expect(looking({ cursor: at(E, 1), age: 60 }), 'I9');
  expect(looking({ cursor: at(E, 1), age: 40 }));
  expect(looking({ cursor: at(E, 2), age: 60 }));
  expect(looking({ cursor: at(E, 1), age: 60 }, 'black hole'));
  expect(looking({ cursor: at(E, 1), status: 304, age: 4100 }, 'black hole'), 'I9');
  expect(looking({ cursor: at(E, 1), age: 4100, stale: 3 }, 'black hole'));
});

test('I9: a poll that began in a fault is judged as one in a fault', () => {
  const told = (took) =>
    new Story()
      .add('fault', { name: 'scaled', on: true })
      .add('fault', { name: 'scaled', on: false })
      .wait(7000)
      .add('look', { node: 3, ch: 0, id: at(E, 1), status: 0, age: 60, took });
  expect(told(1000), 'I9');
  expect(told(6000));
});

test('I9: who says Freshet-Stale does not say 304', () => {
  const stale = { cursor: at(E, 1), age: 60, stale: 3 };
  expect(looking({ ...stale, status: 304 }, 'black hole'), 'I9');
  expect(looking({ ...stale, status: 200 }, 'black hole'));
});

test('I10: a long poll ends in time', () => {
  expect(new Story().add('held', { c: 7, node: 0, wait: 5000, took: 6100 }), 'I10');
  expect(new Story().add('held', { c: 7, node: 0, wait: 5000, took: 5900 }));
});

test('I10: a stopped node excuses its own clients, a deaf one nobody', () => {
  const held = (nodes, node) =>
    new Story()
      .add('fault', { name: 'stopped', on: true, nodes })
      .wait(6000)
      .add('held', { c: 7, node, wait: 5000, took: 9000 });
  expect(held([0], 0));
  expect(held([1], 0), 'I10');
  expect(held([], 0), 'I10');
});

test('I10: heartbeats come', () => {
  const quiet = { c: 7, node: 0, tr: 'sse', gap: 4600, heartbeat: 3000 };
  expect(new Story().add('quiet', quiet), 'I10');
  const stopped = new Story().add('fault', { name: 'stopped', on: true, nodes: [0] }).wait(4700);
  expect(stopped.add('quiet', quiet));
});

test('I10: who reads slowly is excused by what hit its node since it is connected', () => {
  const quiet = (slow, node) =>
    new Story()
      .add('client', { c: 7, slow })
      .add('open', { c: 7, node })
      .add('fault', { name: 'scaled', on: true, nodes: [3] })
      .add('fault', { name: 'scaled', on: false })
      .wait(15_000)
      .add('quiet', { c: 7, node, tr: 'ws', gap: 4600, heartbeat: 3000 });
  expect(quiet(true, 3));
  expect(quiet(true, 0), 'I10');
  expect(quiet(false, 3), 'I10');
});

test('I11: what is left behind', () => {
  const residue = { node: 0, what: 'descriptors', before: 20, most: 22 };
  expect(new Story().add('residue', { ...residue, after: 23 }), 'I11');
  expect(new Story().add('residue', { ...residue, after: 21 }));
});

test('I12: no reset where nothing was missed', () => {
  const reset = (run, to, why, versions) => {
    const story = receive(begun(3, run), 7, 1, 2).reset(7, at(E, 2), at(E, to), why);
    return receive(story, 7, ...versions).head(at(E, 3));
  };
  expect(reset({}, 2, 'expired', [3]), 'I12'); // nothing was skipped
  expect(reset({}, 3, 'expired', []), 'I12'); // skipped what the log still had
  expect(reset({ channels: [{ name: 'news', history: 1 }] }, 3, 'expired', []));
  const { row } = expect(reset({ clean: false }, 3, 'expired', []));
  assert.equal(row.needless, 1);
});

test('I12: a client ahead is not reset by one behind', () => {
  const story = receive(begun(3), 7, 1, 2, 3).reset(7, at(E, 3), at(E, 1), 'lost');
  expect(receive(story, 7, 2, 3).head(at(E, 3)), 'I12');
});

test('bounds: marks measure until the last channel of each client has come as far', () => {
  const story = receive(begun(2), 7, 1).wait(100);
  const mark = { what: 'healed', heads: { 0: at(E, 2) } };
  story.add('mark', { ...mark, limits: { p50: 500 } }).wait(390);
  const { times } = expect(receive(story, 7, 2).head(at(E, 2)));
  assert.equal(times[0].p50, 400);
  assert.equal(times[0].never, 0);
  const late = receive(begun(2), 7, 1)
    .add('mark', { ...mark, limits: { p50: 300 } })
    .wait(390);
  expect(receive(late, 7, 2).head(at(E, 2)), 'bound');
  const never = receive(begun(2), 7, 1).add('mark', { ...mark, limits: { max: 300 } });
  expect(never.head(at(E, 2)), 'I7', 'bound');
});

test('bounds: slow readers are not measured, and killed nodes until the client is back', () => {
  const mark = { what: 'killed', heads: { 0: at(E, 2) }, limits: { max: 100 }, reattach: true };
  const slow = receive(begun(2).add('client', { c: 7, slow: true }), 7, 1);
  const { times } = expect(receive(slow.add('mark', mark).wait(390), 7, 2).head(at(E, 2)));
  assert.equal(times[0].clients, 0);
  const gone = receive(begun(2), 7, 1, 2).add('mark', mark);
  expect(gone.head(at(E, 2)), 'bound'); // at the head, but never seen again
  const back = receive(begun(2), 7, 1, 2).add('mark', mark).add('open', { c: 7, node: 1 });
  expect(back.head(at(E, 2)));
});

test('bounds: what was measured once is held to its limit', () => {
  const measure = { what: 'deaf node unready', limit: 4000 };
  expect(new Story().add('measure', { ...measure, ms: 4100 }), 'bound');
  expect(new Story().add('measure', { ...measure, ms: 3900 }));
});

test('contract and crash: nonsense is told, and the end of a node', () => {
  expect(new Story().add('wrong', { c: 7, what: 'ws: unknown type' }), 'contract');
  expect(new Story().add('crash', { node: 0, log: 'check failed' }), 'crash');
});

test('kit: a fault that does nothing proves nothing', () => {
  const closed = (redials) =>
    new Story({ mustRedial: true }).add('closed', { node: 0, reasons: {}, redials });
  expect(closed(0), 'kit');
  expect(closed(1));
});

test('bounds: nothing is closed by a node in a Redis fault', () => {
  const closed = (reasons, keepsClients) =>
    new Story({ keepsClients }).add('closed', { node: 0, reasons });
  expect(closed({ stall: 1 }, true), 'bound');
  expect(closed({ client: 9, stall: 0 }, true));
  expect(closed({ drain: 9 }, false));
});

test('bounds: a rolling restart fails no request', () => {
  const shut = (noFailures) =>
    new Story({ noFailures }).start(7, at(E, 0)).add('failed', { what: 'sse: ECONNRESET' });
  expect(shut(true), 'bound');
  expect(shut(false));
});
