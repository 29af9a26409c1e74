/** The rule of continuity, and what a reader makes of what comes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { before, covers, isPosition, judge } from '../../client-js/src/continuity.js';
import { Reader } from '../../client-js/src/reader.js';
import { eventually } from '../support/wait.js';

const E = '1795375878745123';
const F = '1795375878999999';

test('next, double and hole', () => {
  for (const [cursor, message, verdict] of [
    [`${E}-1`, { id: `${E}-2` }, 'next'],
    [`${E}-0`, { id: `${E}-1`, fork: `${F}-9` }, 'next'],
    [`${E}-9`, { id: `${E}-10` }, 'next'],
    [`${E}-10`, { id: `${E}-10` }, 'double'],
    [`${E}-10`, { id: `${E}-9` }, 'double'],
    [`${E}-1`, { id: `${E}-3` }, 'hole'],
    [`${E}-7`, { id: `${F}-1`, fork: `${E}-7` }, 'next'],
    [`${E}-8`, { id: `${F}-1`, fork: `${E}-7` }, 'hole'],
    [`${E}-7`, { id: `${F}-1` }, 'hole'],
    [`${E}-7`, { id: `${F}-1`, fork: null }, 'hole'],
    [`${E}-7`, { id: `${F}-2`, fork: `${E}-7` }, 'hole'],
    [`${F}-7`, { id: `${E}-8` }, 'hole'],
  ]) {
    assert.equal(judge(cursor, message), verdict, `${cursor}, then ${JSON.stringify(message)}`);
  }
});

test('positions, the one before, and what is covered', () => {
  assert.ok(isPosition(`${E}-0`));
  for (const other of ['', '0', `${E}`, `${E}-`, `-1`, `${E}-1,${E}-2`, ` ${E}-1`, undefined, 5]) {
    assert.equal(isPosition(other), false, String(other));
  }
  assert.equal(before(`${E}-1`), `${E}-0`);
  assert.equal(covers(`${E}-10`, `${E}-9`), true);
  assert.equal(covers(`${E}-9`, `${E}-10`), false);
  assert.equal(covers(`${F}-9`, `${E}-1`), false);
});

const at = (epoch, version, fork) => ({
  channel: 'a',
  id: `${epoch}-${version}`,
  time: 0,
  data: version,
  ...(fork && { fork }),
});

/** A reader whose reads are answered by `pages`, a page or an error each. */
function reader(start, pages = []) {
  const told = [];
  const questions = [];
  const owner = {
    onMessage: (message) => told.push(message.id ?? 'ephemeral'),
    onReset: (reset) => told.push(`reset ${reset.reason} ${reset.to}`),
    onState: (state) => (owner.state = state),
    onEnd: (error) => told.push(`end ${error.message}`),
    read: async (question) => {
      questions.push(question);
      const page = pages.shift();
      if (page === undefined) return new Promise(() => {});
      const answer = typeof page === 'function' ? await page() : page;
      if (answer instanceof Error) throw answer;
      return answer;
    },
    reconnect: () => told.push('reconnect'),
    random: () => 0,
  };
  const one = new Reader({ since: '', rewind: 0, ...start }, owner);
  return { one, told, questions, owner };
}

test('a reader at the head takes the position it is given and what follows, each once', () => {
  const { one, told } = reader({});
  one.onJoined('', `${E}-3`);
  for (const version of [4, 5, 5, 4, 6]) one.onMessage(at(E, version));
  one.onMessage(at(F, 1, `${E}-6`));
  assert.deepEqual(told, [`${E}-4`, `${E}-5`, `${E}-6`, `${F}-1`]);
  assert.equal(one.cursor, `${F}-1`);
});

test('a hole is read from the cursor; what comes meanwhile waits and is told once', async () => {
  let answer;
  const { one, told, questions, owner } = reader({}, [
    () => new Promise((resolve) => (answer = resolve)),
  ]);
  one.onJoined('', `${E}-1`);
  one.onMessage(at(E, 4));
  one.onMessage(at(E, 5));
  one.onMessage({ channel: 'a', time: 0, data: 'now' });
  assert.deepEqual(told, ['ephemeral'], 'which waits for nothing');
  assert.equal(owner.state, 'reading');
  assert.deepEqual(questions, [{ since: `${E}-1`, rewind: undefined, min: `${E}-4` }]);
  answer({ cursor: `${E}-4`, messages: [at(E, 2), at(E, 3), at(E, 4)] });
  await eventually('live again', () => owner.state === 'live');
  assert.deepEqual(
    told.slice(1),
    [2, 3, 4, 5].map((version) => `${E}-${version}`),
  );
});

test('held doubles from before a fork that the read went over are dropped', async () => {
  let answer;
  const { one, told, questions, owner } = reader({}, [
    () => new Promise((resolve) => (answer = resolve)),
  ]);
  one.onJoined('', `${E}-1`);
  one.onMessage(at(E, 3));
  one.onMessage(at(F, 1, `${E}-3`));
  one.onMessage(at(F, 2));
  answer({ cursor: `${F}-1`, messages: [at(E, 2), at(E, 3), at(F, 1, `${E}-3`)] });
  await eventually('live again', () => owner.state === 'live');
  assert.deepEqual(told, [`${E}-2`, `${E}-3`, `${F}-1`, `${F}-2`]);
  assert.equal(questions.length, 1);
});

test('pages are read to the end', async () => {
  const { one, told, questions, owner } = reader({}, [
    { cursor: `${E}-2`, messages: [at(E, 2)], more: true },
    { cursor: `${E}-3`, messages: [at(E, 3)] },
  ]);
  one.onJoined('', `${E}-1`);
  one.onMessage(at(E, 3));
  await eventually('live again', () => owner.state === 'live');
  assert.deepEqual(told, [`${E}-2`, `${E}-3`]);
  assert.equal(questions[1].since, `${E}-2`);
});

test('a reset found by the read is told before what follows it', async () => {
  const reset = { channel: 'a', from: `${E}-1`, to: `${F}-6`, reason: 'expired', spread: 5 };
  const { one, told, owner } = reader({}, [
    { cursor: `${F}-7`, messages: [at(F, 7)], resets: [reset] },
  ]);
  one.onJoined('', `${E}-1`);
  one.onMessage(at(F, 7));
  one.onReset(reset); // and once more by the wire
  await eventually('live again', () => owner.state === 'live');
  assert.deepEqual(told, [`reset expired ${F}-6`, `${F}-7`]);
});

test('a read that is not continuous itself is never passed over in silence', async () => {
  const { one, told, owner } = reader({}, [{ cursor: `${F}-9`, messages: [at(F, 9)] }]);
  one.onJoined('', `${E}-1`);
  one.onMessage(at(F, 9));
  await eventually('live again', () => owner.state === 'live');
  assert.deepEqual(told, [`reset expired ${F}-8`, `${F}-9`]);
});

test('when reads do not find what the wire told, the wire begins anew at the cursor', async () => {
  const nothing = { cursor: `${E}-1`, messages: [] };
  const { one, told, questions } = reader({}, [nothing, nothing, nothing]);
  one.onJoined('', `${E}-1`);
  one.onMessage(at(E, 3));
  await eventually('reconnect', () => told.includes('reconnect'));
  assert.equal(one.since, `${E}-1`);
  assert.deepEqual(
    questions.map(({ min }) => min),
    [`${E}-3`, undefined, undefined],
  );
});

test('a read that is refused ends the reader; one that fails is repeated', async () => {
  const { one, told, owner } = reader({}, [
    Object.assign(new Error('later'), { retry: true }),
    { cursor: `${E}-3`, messages: [at(E, 2), at(E, 3)] },
    Object.assign(new Error('forbidden'), { status: 403 }),
  ]);
  one.onJoined('', `${E}-1`);
  one.onMessage(at(E, 3));
  await eventually('live again', () => owner.state === 'live');
  one.onMessage(at(E, 9));
  await eventually('the end', () => told.includes('end forbidden'));
  assert.deepEqual(told, [`${E}-2`, `${E}-3`, 'end forbidden']);
});

test('a second reader of a joined channel reads what it wants beside', async () => {
  const { one, told, questions, owner } = reader({ rewind: 2 }, [
    { cursor: `${E}-5`, messages: [at(E, 4), at(E, 5)] },
  ]);
  assert.equal(one.since, '', 'the wire need not know');
  one.onJoined(undefined, '');
  await eventually('live', () => owner.state === 'live');
  assert.deepEqual(told, [`${E}-4`, `${E}-5`]);
  assert.deepEqual(questions, [{ since: undefined, rewind: 2, min: undefined }]);
});

test('a wire that began anew during a read, beyond it, is followed by another read', async () => {
  let answer;
  const { one, told, owner } = reader({}, [
    () => new Promise((resolve) => (answer = resolve)),
    { cursor: `${E}-4`, messages: [at(E, 4)] },
  ]);
  one.onJoined('', `${E}-1`);
  one.onMessage(at(E, 3));
  one.onDown();
  one.onJoined(`${E}-4`, `${E}-4`);
  answer({ cursor: `${E}-3`, messages: [at(E, 2), at(E, 3)] });
  await eventually('live', () => owner.state === 'live');
  assert.deepEqual(
    told,
    [2, 3, 4].map((version) => `${E}-${version}`),
  );
});

test('a flood during a read costs bounded memory, and another read', async () => {
  let answer;
  const versions = Array.from({ length: 1500 }, (_, n) => n + 2);
  const { one, told, owner } = reader({}, [
    () => new Promise((resolve) => (answer = resolve)),
    { cursor: `${E}-1501`, messages: versions.slice(1).map((version) => at(E, version)) },
  ]);
  one.onJoined('', `${E}-1`);
  for (const version of versions.slice(1)) one.onMessage(at(E, version));
  answer({ cursor: `${E}-2`, messages: [at(E, 2)] });
  await eventually('live', () => owner.state === 'live');
  assert.deepEqual(
    told,
    versions.map((version) => `${E}-${version}`),
  );
});

test('a hole after a reset is one, also where another epoch once forked off behind it', () => {
  const { one, told, questions } = reader({ since: `${E}-5` });
  one.onJoined(`${E}-5`, `${E}-5`);
  one.onMessage(at(F, 1, `${E}-5`));
  one.onReset({ channel: 'a', from: `${F}-1`, to: `${E}-0`, reason: 'foreign', spread: 0 });
  one.onMessage(at(E, 2));
  assert.deepEqual(told, [`${F}-1`, `reset foreign ${E}-0`]);
  assert.equal(questions.length, 1, 'it is read');
});

const lost = (from, to) => ({ channel: 'a', from, to, reason: 'lost', spread: 0 });

/** A reader that has had five messages, of which Redis lost the last three. */
function fallenBack(pages) {
  const all = reader({ since: `${E}-5` }, pages);
  all.one.onJoined(`${E}-5`, `${E}-5`);
  all.one.onReset(lost(`${E}-5`, `${E}-2`));
  assert.deepEqual(all.told.splice(0), [`reset lost ${E}-2`]);
  return all;
}

test('what was lost is not told again, whoever brings it; what follows the fork is', () => {
  const { one, told, questions } = fallenBack();
  for (const bring of [
    () => one.onMessage(at(E, 3)),
    () => one.onMessage(at(E, 5)),
    () => one.onReset({ ...lost(`${E}-2`, `${E}-4`), reason: 'expired' }),
  ]) {
    bring();
    assert.deepEqual(told.splice(0), ['reconnect']);
    assert.equal(one.since, `${E}-2`);
  }
  one.onMessage(at(E, 2));
  one.onReset(lost(`${E}-5`, `${E}-2`)); // of the wire, which had gone on without us
  one.onMessage({ channel: 'a', time: 0, data: 'now' });
  one.onMessage(at(F, 1, `${E}-2`));
  one.onMessage(at(F, 2));
  assert.deepEqual(told, ['ephemeral', `${F}-1`, `${F}-2`]);
  assert.deepEqual(questions, []);
});

test('a reset `lost` to the beginning of another epoch forbids nothing', () => {
  const { one, told } = reader({ since: `${E}-5` });
  one.onJoined(`${E}-5`, `${E}-5`);
  one.onReset(lost(`${E}-5`, `${F}-0`));
  one.onMessage(at(F, 1, `${E}-2`));
  assert.deepEqual(told, [`reset lost ${F}-0`, `${F}-1`]);
});

test('a second loss is told like the first', () => {
  const { one, told } = fallenBack();
  for (const message of [at(F, 1, `${E}-2`), at(F, 2), at(F, 3)]) one.onMessage(message);
  one.onReset(lost(`${F}-3`, `${F}-1`));
  one.onMessage(at(F, 2));
  assert.deepEqual(told.slice(3), [`reset lost ${F}-1`, 'reconnect']);
});

test('a read from a node that is behind is dropped whole, and repeated', async () => {
  const { one, told, questions, owner } = fallenBack([
    { cursor: `${E}-5`, messages: [at(E, 3), at(E, 4), at(E, 5)] },
    { cursor: `${F}-2`, messages: [at(F, 1, `${E}-2`), at(F, 2)] },
  ]);
  one.onMessage(at(F, 2));
  await eventually('live again', () => owner.state === 'live');
  assert.deepEqual(told, [`${F}-1`, `${F}-2`]);
  assert.equal(questions[1].since, `${E}-2`);
});

test('what came before the read that found the loss is dropped with it', async () => {
  let answer;
  const { one, told, owner } = reader({ since: `${E}-5` }, [
    () => new Promise((resolve) => (answer = resolve)),
  ]);
  one.onJoined(`${E}-5`, `${E}-5`);
  one.onMessage(at(E, 7));
  one.onMessage(at(E, 8));
  one.onReset(lost(`${E}-8`, `${E}-2`));
  one.onMessage(at(F, 1, `${E}-2`));
  answer({ cursor: `${E}-2`, messages: [], resets: [lost(`${E}-5`, `${E}-2`)] });
  await eventually('live again', () => owner.state === 'live');
  assert.deepEqual(told, [`reset lost ${E}-2`, `${F}-1`]);
});

test('a Redis that was given back what it lost is believed in the end', () => {
  const { one, told } = fallenBack();
  let tries = 0;
  for (; told.every((item) => item === 'reconnect'); tries += 1) {
    assert.ok(tries < 100, 'it waits for ever');
    one.onMessage(at(E, 3));
  }
  assert.ok(tries > 10, `after ${tries} tries`);
  one.onMessage(at(E, 4));
  assert.deepEqual(told.slice(-2), [`${E}-3`, `${E}-4`]);
});
