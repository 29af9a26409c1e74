/** What is run where: the table of faults, and what the command line makes of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS, TOPOLOGIES, topologiesOf } from './nemesis.js';
import { Misuse, list, plan } from './plan.js';
import { createRandom } from './random.js';

const planned = (wanted) =>
  plan({ fault: [], minutes: '2', cycle: '20', ...wanted }, createRandom(1));
const namesOf = (wanted) => planned(wanted).map(({ fault }) => fault.name);
const refusal = (wanted, pattern) =>
  assert.throws(
    () => planned(wanted),
    (error) => error instanceof Misuse && pattern.test(error.message),
  );

test('every fault can be had somewhere, and --list says where', () => {
  for (const name of Object.keys(FAULTS)) {
    assert.ok(topologiesOf(name).length > 0, name);
    assert.ok(
      topologiesOf(name).every((topology) => TOPOLOGIES.includes(topology)),
      name,
    );
    assert.match(list(), new RegExp(`^${name} +${topologiesOf(name).join(' ')}$`, 'm'));
  }
});

test('a fault runs in the first topology that it can be had in; with --compose, there', () => {
  const [kill, failover] = planned({ fault: ['node-kill', 'failover'] });
  assert.equal(kill.fault.topology, 'standalone');
  assert.equal(failover.fault.topology, 'sentinel');
  assert.equal(planned({ fault: ['node-kill'], compose: true })[0].fault.topology, 'compose');
});

test('a fault that cannot be had is refused by name', () => {
  refusal({ fault: ['link-cut'], compose: true }, /^link-cut cannot be had .* only in standalone$/);
  refusal({ fault: ['failover'], compose: true }, /^failover cannot be had .* only in sentinel$/);
  refusal({ fault: ['node-kill+clock-node'], compose: true }, /^clock-node cannot be had/);
  refusal({ fault: ['node-scale'] }, /^node-scale can be had with --compose only$/);
  refusal({ fault: ['link-cut+failover'] }, /^no topology has all of link-cut\+failover$/);
  refusal({ fault: ['node-kil'] }, /^no fault node-kil;/);
  refusal({}, /^which fault\?/);
});

test('--all is all that can be had: each fault in one of the two', () => {
  const local = namesOf({ all: true });
  const compose = namesOf({ all: true, compose: true });
  assert.ok(local.includes('failover') && !local.includes('node-cut-off'));
  assert.ok(compose.includes('node-cut-off') && !compose.includes('failover'));
  assert.deepEqual(new Set([...local, ...compose]), new Set(Object.keys(FAULTS)));
});

test('--short is eight faults on either, on for 12 s each', () => {
  for (const compose of [false, true]) {
    const short = planned({ short: true, compose });
    assert.equal(short.length, 8);
    assert.ok(short.every(({ minutes, cycleMs }) => minutes === 0 && cycleMs === 12_000));
  }
});

test('a pair is promised what both are, and may follow what one of them allows', () => {
  const [{ fault }] = planned({ fault: ['node-kill+redis-empty'] });
  assert.deepEqual([fault.clean, fault.lossy, fault.mustRedial], [false, true, false]);
});

test('pairs are about different things, and never about two topologies', () => {
  for (const compose of [false, true]) {
    const names = namesOf({ pairs: true, compose });
    assert.ok(names.includes('node-kill+redis-stop') || names.includes('redis-stop+node-kill'));
    assert.ok(!names.some((name) => /none|failover|redis-\S*\+redis-/.test(name)));
    assert.equal(
      names.some((name) => /node-cut-off/.test(name)),
      compose,
    );
    assert.equal(
      names.some((name) => /link-cut/.test(name)),
      !compose,
    );
  }
});
