/**
 * Holds the include order of DESIGN.md section 3: every file of cluster/ and node/ may include only
 * what lies below it, no two headers need each other, and each foreign library has its one place.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const FOLDERS = ['cluster', 'node'];

/** From below to above; a file belongs to the first tier whose pattern its path matches. */
const TIERS = [
  ['base', /^cluster\/base\//],
  ['message.h', /^cluster\/message\.[ch]$/],
  ['cluster.h', /^cluster\/cluster\.h$/],
  ['inner cluster', /^cluster\//],
  ['foundation', /^node\/(limits|config|metrics|version)(_\w+)?\./],
  ['net', /^node\/net\//],
  ['http', /^node\/http\//],
  ['auth', /^node\/auth\//],
  ['hub', /^node\/hub\//],
  ['transport', /^node\/transport\//],
  ['api', /^node\/(api\/|health(_\w+)?\.)/],
  ['worker', /^node\/worker(_\w+)?\./],
  ['server', /^node\/server(_\w+)?\./],
  ['main', /^node\/main\.c$/],
];

/** Each with its files. A long poll is a poll that waits: one URL, one answer. */
const TRANSPORTS = [
  ['poll', 'poll_start', 'long_poll'],
  ['sse'],
  ['http_stream'],
  [
    ...['websocket', 'websocket_call', 'websocket_channel', 'websocket_command'],
    ...['websocket_grant', 'websocket_ping'],
    ...['ws_command', 'ws_deflate', 'ws_frame', 'ws_handshake'],
  ],
];

/** What lies below but is out of reach all the same: [who, what, why]. */
const FORBIDDEN = [
  [/^node\//, /^cluster\/(?!base\/|message\.h$|cluster\.h$)/, 'the door is cluster.h'],
  [/^node\/hub\//, /^node\/(http|auth)\//, 'the hub knows no HTTP'],
  [
    /^node\/hub\//,
    /^(node\/net\/(conn|listener)\.h|(sys\/socket|netinet\/.*|arpa\/.*)\.h)$/,
    'the hub knows no socket',
  ],
  [/^(node\/|cluster\/base\/)/, /^(hiredis|msgpack)\b/, 'hiredis and msgpack belong to cluster/'],
  [/^cluster\//, /^(llhttp|zlib)\b/, 'llhttp and zlib belong to node/'],
];

const tierOf = (file) => TIERS.findIndex(([, pattern]) => pattern.test(file));
const transportOf = (file) =>
  TRANSPORTS.find((stems) =>
    stems.some((stem) => /^node\/transport\/(\w+)\.[ch]$/.exec(file)?.[1] === stem),
  );

function sourceFiles(root) {
  const walk = (folder) =>
    readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const file = `${folder}/${entry.name}`;
      return entry.isDirectory() ? walk(file) : /\.[ch]$/.test(file) ? [file] : [];
    });
  return FOLDERS.flatMap(walk);
}

/** @returns {Map<string, { name: string, quoted: boolean }[]>} */
function readIncludes(root) {
  const directive = /^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]/gm;
  return new Map(
    sourceFiles(root).map((file) => {
      const text = readFileSync(path.join(root, file), 'utf8');
      const found = [...text.matchAll(directive)];
      return [file, found.map(([, quote, name]) => ({ name, quoted: quote === '"' }))];
    }),
  );
}

/** Why this file may not include that one; '' when it may. */
function objection(file, { name, quoted }) {
  const rule = FORBIDDEN.find(([who, what]) => who.test(file) && what.test(name));
  if (rule) return rule[2];
  const isOurs = FOLDERS.some((folder) => name.startsWith(`${folder}/`));
  if (!isOurs) return quoted ? 'quoted names are paths from the root' : '';
  if (tierOf(name) < 0) return 'that file has no tier';
  // Inside cluster/ the files behind the door know each other; the order holds for what is below.
  if (tierOf(name) > tierOf(file)) {
    return `${TIERS[tierOf(name)][0]} lies above ${TIERS[tierOf(file)][0]}`;
  }
  const [from, to] = [transportOf(file), transportOf(name)];
  if (from && to && from !== to) return 'transports never include each other';
  return '';
}

/** One line for each ring of files that include each other. */
function findCycles(includes) {
  const cycles = [];
  const done = new Set();
  const visit = (file, trail) => {
    if (trail.includes(file)) {
      cycles.push(`cycle: ${[...trail.slice(trail.indexOf(file)), file].join(' > ')}`);
      return;
    }
    if (done.has(file)) return;
    for (const { name } of includes.get(file) ?? []) visit(name, [...trail, file]);
    done.add(file);
  };
  for (const file of includes.keys()) visit(file, []);
  return cycles;
}

/** Every breach of the rules in the tree at root, one line each. */
function breaches(root) {
  const includes = readIncludes(root);
  const lines = [];
  for (const [file, names] of includes) {
    if (tierOf(file) < 0) lines.push(`${file}: has no tier: give it one`);
    for (const include of names) {
      const why = objection(file, include);
      if (why) lines.push(`${file} includes ${include.name}: ${why}`);
    }
  }
  return [...lines, ...findCycles(includes)];
}

/** Writes { path: [includes] } as a tree of its own and judges it. */
function judgePlanted(t, files) {
  const root = mkdtempSync(path.join(os.tmpdir(), 'freshet-architecture-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const folder of FOLDERS) mkdirSync(path.join(root, folder));
  for (const [file, names] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    const lines = names.map((name) => `#include ${name.startsWith('<') ? name : `"${name}"`}\n`);
    writeFileSync(path.join(root, file), lines.join(''));
  }
  return breaches(root);
}

test('no file of cluster/ or node/ includes what lies above it, and no headers form a ring', () => {
  assert.ok(sourceFiles(ROOT).length > 0, 'there are sources to look at');
  assert.deepEqual(breaches(ROOT), []);
});

test('a tree that keeps to the order is let through', (t) => {
  const found = judgePlanted(t, {
    'cluster/base/slice.h': ['<stddef.h>'],
    'cluster/message.h': ['cluster/base/slice.h'],
    'cluster/cluster.h': ['cluster/message.h'],
    'cluster/envelope.c': ['<msgpack.h>', 'cluster/cluster.h', 'cluster/keys.h'],
    'cluster/keys.h': ['cluster/base/slice.h'],
    'node/config.h': ['node/limits.h'],
    'node/limits.h': [],
    'node/net/conn.h': ['<uv.h>', 'node/config.h'],
    'node/http/parser.c': ['<llhttp.h>', 'node/net/conn.h'],
    'node/transport/transport.h': ['node/http/parser.h'],
    'node/transport/long_poll.c': ['node/transport/poll.h'],
    'node/transport/sse.c': ['node/transport/sse.h', 'node/transport/transport.h'],
    'node/main.c': ['node/server.h', 'cluster/cluster.h'],
  });
  assert.deepEqual(found, []);
});

const planted = [
  ['base knows nothing above it', 'cluster/base/list.h', 'cluster/message.h'],
  ['message.h does not know the door', 'cluster/message.h', 'cluster/cluster.h'],
  ['the door does not show what is behind it', 'cluster/cluster.h', 'cluster/redis_conn.h'],
  ['cluster does not know the node', 'cluster/publish.c', 'node/config.h'],
  ['the node enters cluster only by the door', 'node/hub/hub.c', 'cluster/redis_conn.h'],
  ['not even main goes round the door', 'node/main.c', 'cluster/keys.h'],
  ['net knows no HTTP', 'node/net/conn.c', 'node/http/parser.h'],
  ['the hub knows no HTTP', 'node/hub/hub.c', 'node/http/response.h'],
  ['the hub knows no connection', 'node/hub/hub.c', 'node/net/conn.h'],
  ['the hub knows no socket', 'node/hub/hub.c', '<sys/socket.h>'],
  ['the hub knows no transport', 'node/hub/subscriber.h', 'node/transport/transport.h'],
  ['transports do not know each other', 'node/transport/sse.c', 'node/transport/poll.h'],
  ['not even their inner files', 'node/transport/http_stream.c', 'node/transport/ws_frame.h'],
  ['configuration knows no worker', 'node/config.c', 'node/worker.h'],
  ['the node speaks no RESP', 'node/api/publish.c', '<hiredis/read.h>'],
  ['the node packs nothing', 'node/transport/websocket.c', '<msgpack.h>'],
  ['base speaks no RESP', 'cluster/base/mem.c', '<hiredis/hiredis.h>'],
  ['cluster speaks no HTTP', 'cluster/redis_conn.c', '<llhttp.h>'],
  ['cluster compresses nothing', 'cluster/envelope.c', '<zlib.h>'],
  ['a quoted name is a path from the root', 'node/hub/hub.c', 'subscriber.h'],
];
for (const [rule, file, include] of planted) {
  test(`the check fails where it must: ${rule}`, (t) => {
    const found = judgePlanted(t, { [file]: [include] });
    assert.equal(found.length, 1, found.join('\n'));
    assert.ok(found[0].startsWith(`${file} includes ${include.replace(/[<>]/g, '')}: `), found[0]);
  });
}

test('the check fails where it must: a ring of headers', (t) => {
  const found = judgePlanted(t, {
    'node/hub/hub.h': ['node/hub/channel.h'],
    'node/hub/channel.h': ['node/hub/backlog.h'],
    'node/hub/backlog.h': ['node/hub/hub.h'],
  });
  assert.deepEqual(found, [
    'cycle: node/hub/backlog.h > node/hub/hub.h > node/hub/channel.h > node/hub/backlog.h',
  ]);
});

test('the check fails where it must: a file that nobody gave a place', (t) => {
  const [found] = judgePlanted(t, { 'node/helpers.c': [] });
  assert.match(found, /^node\/helpers\.c: has no tier/);
});
