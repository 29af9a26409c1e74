/** freshet: help, wrong use, colours; info, install and token. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Channel } from '../support/functions.js';
import { freePort } from '../support/node.js';
import { functionsSource, startRedis } from '../support/redis.js';
import { channelName } from '../support/story.js';
import { objects, runTool } from '../support/tool.js';

const COMMANDS = ['publish', 'tail', 'info', 'token', 'install', 'check'];
const OLDER = functionsSource().replace(/local VERSION = \d+/, 'local VERSION = 0');
const NEWER = functionsSource().replace(/local VERSION = \d+/, 'local VERSION = 9999');

let redis;
before(async () => (redis = await startRedis()));
after(() => redis?.stop());

describe('the command line', () => {
  it('--help names every command, and exits 0', async () => {
    const { code, stdout, stderr } = await runTool(['--help']);
    assert.deepEqual([code, stderr], [0, '']);
    for (const command of COMMANDS) assert.match(stdout, new RegExp(`^  ${command} `, 'm'));
  });

  for (const command of COMMANDS) {
    it(`${command} --help shows usage and examples, on lines that fit`, async () => {
      const { code, stdout } = await runTool([command, '--help']);
      assert.equal(code, 0);
      assert.deepEqual(await runTool(['help', command]), await runTool([command, '-h']));
      assert.match(stdout, new RegExp(`usage: freshet ${command} `));
      assert.match(stdout, /\nExamples\n  /);
      for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
    });
  }

  it('--version', async () => {
    assert.match((await runTool(['--version'])).stdout, /^freshet \d+\.\d+\.\d+\n$/);
  });

  it('wrong use exits 2: no command, an unknown one, an unknown option', async () => {
    const none = await runTool([]);
    assert.equal(none.code, 2);
    assert.match(none.stderr, /usage:/);
    for (const args of [['pubish', 'a', '1'], ['--jsn'], ['info', '--replace', 'a'], ['info']]) {
      const { code, stdout, stderr } = await runTool(args);
      assert.deepEqual([code, stdout], [2, ''], args.join(' '));
      assert.match(stderr, /^freshet: .*--help\n$/);
    }
  });

  it('options may stand before the command', async () => {
    const name = channelName();
    const { code } = await runTool(['--redis', redis.url, '--json', 'publish', name, '1']);
    assert.equal(code, 0);
  });

  it('Redis that is not there: exit 3 from every command that needs it', async () => {
    const env = { FRESHET_REDIS: `redis://127.0.0.1:${await freePort()}` };
    for (const args of [['publish', 'a', '1'], ['tail', 'a'], ['info', 'a'], ['install'], ['check']]) {
      const { code, stdout, stderr } = await runTool(args, { env });
      assert.deepEqual([code, stdout], [3, ''], args.join(' '));
      assert.match(stderr, /^freshet: no Redis at [^\n]*\n$/, args.join(' '));
    }
  });

  it('colours on a terminal alone, and none with NO_COLOR or TERM=dumb', async () => {
    const name = channelName();
    await runTool(['publish', name, '1'], { redis });
    const shown = (options) => runTool(['info', name], { redis, ...options });
    assert.match((await shown({ terminal: true })).stdout, /\x1b\[/);
    assert.doesNotMatch((await shown()).stdout, /\x1b/);
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      assert.doesNotMatch((await shown({ terminal: true, env })).stdout, /\x1b/);
    }
  });

  it('a password is asked for by Redis, given in the URL, over a unix socket too', async (t) => {
    const locked = await startRedis({ password: 'p@ss/w:rd', functions: true, t });
    assert.equal((await runTool(['publish', 'a', '1'], { redis: locked })).code, 0);
    const unix = await startRedis({ unix: true, functions: true, t });
    assert.equal((await runTool(['publish', 'a', '1'], { redis: unix })).code, 0);
    const other = await runTool(['publish', 'a', '1', '--redis', `${unix.url}?db=3`]);
    assert.equal(other.code, 0);
    assert.match(await unix.call('INFO', 'keyspace'), /db3:keys=2/);
  });
});

describe('freshet info', () => {
  it('shows what Redis holds, as text and as JSON', async () => {
    const name = channelName();
    const channel = new Channel(redis, name);
    await runTool(['publish', name, '1'], { redis });
    await redis.call('HSET', channel.hash, 'writer', 'other', 'history', 7);
    await runTool(['publish', name, '2'], { redis });
    const record = await channel.record();
    const [info] = objects(await runTool(['info', name, '--json'], { redis }));
    const [first, last] = await channel.entries();
    assert.deepEqual(
      { ...info, bytes: info.bytes > 100, log_expires_ms: info.log_expires_ms > 3_590_000 },
      {
        channel: name,
        head: last.id,
        epoch: Number(record.epoch),
        version: 1,
        writer: record.writer,
        fork: first.id,
        length: 2,
        bytes: true,
        first: first.id,
        first_time: Number(first.time),
        last: last.id,
        last_time: Number(last.time),
        history: 7,
        ttl: null,
        log_expires_ms: true,
        hash_expires_ms: null,
        subscribers: 0,
      },
    );
    const { code, stdout } = await runTool(['info', name], { redis });
    assert.equal(code, 0);
    for (const row of [`head        ${last.id}`, `fork        ${first.id}`, 'history     7',
      'log         2 messages', 'counter never']) {
      assert.ok(stdout.includes(row), `${row} in\n${stdout}`);
    }
    assert.match(stdout, /last {8}\d+-1 {2}\d+ m?s ago/);
  });

  it('counts subscribers', async () => {
    const name = channelName();
    await runTool(['publish', name, '1'], { redis });
    const connection = await redis.connect();
    await connection.subscribe(new Channel(redis, name).now);
    const [info] = objects(await runTool(['info', name, '--json'], { redis }));
    assert.equal(info.subscribers, 1);
    connection.close();
  });

  it('a channel that Redis does not know: exit 1, and the others are shown', async () => {
    const name = channelName();
    await runTool(['publish', name, '1'], { redis });
    const result = await runTool(['info', 'nobody', name, '--json'], { redis });
    assert.equal(result.code, 1);
    assert.match(result.stderr, /nothing of nobody/);
    assert.deepEqual(objects(result).map(({ channel }) => channel), [name]);
  });

  it('nothing a channel holds can drive the terminal', async () => {
    const channel = new Channel(redis, channelName());
    await redis.call('HSET', channel.hash, 'epoch', 5, 'version', 1, 'writer', '\x1b]0;x\x07');
    const name = channel.hash.slice('freshet:{'.length, -1);
    const { stdout } = await runTool(['info', name], { redis });
    assert.doesNotMatch(stdout, /[\x1b\x07]/);
    assert.match(stdout, /\\x1b\]0;x\\x07/);
  });
});

describe('freshet install', () => {
  const install = async (...args) => {
    const result = await runTool(['install', '--json', ...args], { redis });
    assert.equal(result.code, 0, result.stderr);
    return objects(result)[0];
  };
  const version = () => redis.call('FCALL_RO', 'freshet_version', 0);

  it('where there is none', async () => {
    await redis.call('FUNCTION', 'FLUSH');
    const now = { found: null, installed: 1, changed: true };
    assert.deepEqual(await install(), { ...now, installed: await version() });
  });

  it('leaves the same version, and replaces it when told to', async () => {
    const own = await version();
    assert.deepEqual(await install(), { found: own, installed: own, changed: false });
    assert.deepEqual(await install('--replace'), { found: own, installed: own, changed: true });
  });

  it('replaces an older version, leaves a newer one, and replaces that when told to', async () => {
    const own = await version();
    await redis.call('FUNCTION', 'LOAD', 'REPLACE', NEWER);
    assert.deepEqual(await install(), { found: 9999, installed: 9999, changed: false });
    assert.deepEqual(await install('--replace'), { found: 9999, installed: own, changed: true });
    await redis.call('FUNCTION', 'LOAD', 'REPLACE', OLDER);
    assert.equal((await install()).changed, true);
    assert.equal(await version(), own);
  });

  it('says what it did, in words', async () => {
    await redis.call('FUNCTION', 'FLUSH');
    const first = await runTool(['install'], { redis });
    assert.match(first.stdout, /^version \d+ installed; there was none\n$/);
    assert.match((await runTool(['install'], { redis })).stdout, /nothing to do/);
  });

  it('without the right to load: exit 1', async () => {
    await redis.call('FUNCTION', 'FLUSH');
    await redis.call('ACL', 'SETUSER', 'reader', 'reset', 'on', '>x', '+ping', '+fcall_ro');
    const env = { FRESHET_REDIS: `redis://reader:x@127.0.0.1:${redis.port}` };
    const { code, stderr } = await runTool(['install'], { env });
    assert.equal(code, 1);
    assert.match(stderr, /NOPERM/);
  });
});

describe('freshet token', () => {
  const KEY = 'a key of thirty-two bytes, or more!';
  const GRANT = ['--sub', 'ada', '--subscribe', 'news*', '--subscribe', 'é', '--publish', 'chat:1'];
  const directory = mkdtempSync(path.join(os.tmpdir(), 'freshet-token-'));
  after(() => rmSync(directory, { recursive: true, force: true }));

  /** The claims, once the signature is proven with Node's own crypto. */
  function verify(token, key = KEY) {
    const [head, claims, signature] = token.trim().split('.');
    const expected = createHmac('sha256', key).update(`${head}.${claims}`).digest('base64url');
    assert.equal(signature, expected);
    const parse = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());
    assert.deepEqual(parse(head), { alg: 'HS256', typ: 'JWT' });
    return parse(claims);
  }

  it('signs sub, exp and the patterns; without --expires for an hour', async () => {
    const { code, stdout, stderr } = await runTool(['token', ...GRANT, '--key', KEY]);
    assert.deepEqual([code, stderr], [0, '']);
    const { exp, ...claims } = verify(stdout);
    assert.deepEqual(claims, { sub: 'ada', subscribe: ['news*', 'é'], publish: ['chat:1'] });
    assert.ok(Math.abs(exp - Date.now() / 1000 - 3600) < 30);
  });

  it('--expires, --presence and --json', async () => {
    const args = ['token', '--sub', 'b', '--presence', '*', '--expires', '15m', '--json'];
    const [{ token, exp }] = objects(await runTool([...args, '--key', KEY]));
    assert.deepEqual(verify(token), { sub: 'b', exp, presence: ['*'] });
    assert.ok(Math.abs(exp - Date.now() / 1000 - 900) < 30);
  });

  it('the key from the first line of a file, or from the environment', async () => {
    const file = path.join(directory, 'auth.key');
    writeFileSync(file, `\r\n${KEY}\r\nan older key that nodes believe as well\n`);
    verify((await runTool(['token', ...GRANT, '--key', `@${file}`])).stdout);
    verify((await runTool(['token', ...GRANT], { env: { FRESHET_AUTH_KEY: KEY } })).stdout);
    verify((await runTool(['token', ...GRANT], { env: { FRESHET_AUTH_KEY: `@${file}` } })).stdout);
  });

  it('each length of the last block of base64', async () => {
    for (const sub of ['a', 'ab', 'abc', '???>>>', 'ÿÿÿ']) {
      assert.equal(verify((await runTool(['token', '--sub', sub, '--key', KEY])).stdout).sub, sub);
    }
  });

  const WRONG = {
    'no key': [['--sub', 'a'], /FRESHET_AUTH_KEY/],
    'a short key': [['--sub', 'a', '--key', 'geheim'], /32/],
    'a file that is not there': [['--sub', 'a', '--key', '@/no/such/file'], /no\/such\/file/],
    'no sub': [['--key', KEY], /--sub/],
    'an empty sub': [['--sub', '', '--key', KEY], /--sub/],
    'a pattern that is none': [['--sub', 'a', '--subscribe', 'a b', '--key', KEY], /--subscribe/],
    'an expiry that is none': [['--sub', 'a', '--expires', '0s', '--key', KEY], /--expires/],
    'a key with a tab in it': [['--sub', 'a', '--key', `${KEY}\t`], /one line/],
    'too many patterns': [['--sub', 'a', '--key', KEY, ...Array(101).fill('--publish=a')], /100/],
    'a token too long': [['--sub', 'a', '--key', KEY, ...Array(40).fill(`--publish=${'x'.repeat(200)}`)], /8192/],
    'a word': [['ada', '--key', KEY], /"ada"/],
  };
  for (const [what, [args, expected]] of Object.entries(WRONG)) {
    it(`refuses ${what}, exits 2 and shows no key`, async () => {
      const { code, stdout, stderr } = await runTool(['token', ...args]);
      assert.deepEqual([code, stdout], [2, '']);
      assert.match(stderr, expected);
      assert.doesNotMatch(stderr, /geheim|thirty-two/);
    });
  }
});
