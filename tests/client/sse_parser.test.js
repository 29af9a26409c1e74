/** The event stream parser: every split of the input gives the same events. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SseParser } from '../../client-js/src/sse_parser.js';

function parse(pieces) {
  const said = [];
  const parser = new SseParser(
    ({ event, data }) => said.push([event, data]),
    (ms) => said.push(['retry', ms]),
  );
  for (const piece of pieces) parser.feed(piece);
  return said;
}

const cases = [
  ['a message', 'data: one\n\n', [['message', 'one']]],
  ['an event and several lines', 'event: tick\ndata: a\ndata:b\n\n', [['tick', 'a\nb']]],
  ['only the first space goes', 'data:  x \n\n', [['message', ' x ']]],
  [
    'an empty line of data',
    'data\n\ndata:\n\n',
    [
      ['message', ''],
      ['message', ''],
    ],
  ],
  ['nothing without data', 'event: x\nid: 7\n\ndata: y\n\n', [['message', 'y']]],
  ['comments and unknown fields', ': beat\n\n:\nfoo: 1\ndata: y\n\n', [['message', 'y']]],
  ['retry', 'retry: 3000\n\nretry: 3s\nretry: \n', [['retry', 3000]]],
  [
    'CR, LF and CRLF',
    'data: a\r\rdata: b\r\n\r\ndata: c\n\n',
    [
      ['message', 'a'],
      ['message', 'b'],
      ['message', 'c'],
    ],
  ],
  ['colons in data', 'data: {"a":": "}\n\n', [['message', '{"a":": "}']]],
  ['a mark of byte order', '\ufeffdata: a\n\n', [['message', 'a']]],
  ['U+2028 is no line end', 'data: a\u2028b\n\n', [['message', 'a\u2028b']]],
  ['what is cut off is not told', 'data: a\n\ndata: b\n', [['message', 'a']]],
];

for (const [name, text, expected] of cases) {
  test(name, () => {
    assert.deepEqual(parse([text]), expected, 'in one piece');
    assert.deepEqual(parse([...text]), expected, 'character by character');
    for (let cut = 1; cut < text.length; cut += 1) {
      assert.deepEqual(parse([text.slice(0, cut), text.slice(cut)]), expected, `cut at ${cut}`);
    }
  });
}
