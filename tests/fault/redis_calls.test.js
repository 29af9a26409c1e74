/** What CLIENT LIST tells about the links of a node. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { areLinked } from './redis_calls.js';

const link = (node, flags) =>
  `id=7 addr=172.18.0.3:4 name=freshet:${node} age=1 flags=${flags} db=0`;
const linked = (...lines) => areLinked(`${lines.join('\n')}\n`, 'node1');

test('a node is linked when it has a command link and a pub/sub link', () => {
  assert.equal(linked(link('node1', 'N'), link('node1', 'P')), true);
  assert.equal(linked(link('node1', 'P'), link('node2', 'N'), link('node1', 'Nx')), true);
});

test('it is not with one of them, before it has subscribed, or by the links of others', () => {
  assert.equal(linked(), false);
  assert.equal(linked(link('node1', 'P')), false);
  assert.equal(linked(link('node1', 'N'), link('node1', 'N')), false);
  assert.equal(linked(link('node1', 'N'), link('node12', 'P'), link('node12', 'N')), false);
  assert.equal(linked(link('node2', 'N'), link('node2', 'P')), false);
});
