/** freshet publish: what arrives in Redis, what is printed, and what is refused. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { Channel } from '../support/functions.js';
import { freePort } from '../support/node.js';
import { startRedis } from '../support/redis.js';
import { channelName } from '../support/story.js';
import { objects, runTool, Tool } from '../support/tool.js';

const POSITION = /^\d{16}-\d+$/;

describe('freshet publish', () => {
  let redis;
  before(async () => (redis = await startRedis()));
  after(() => redis?.stop());

  const publish = (args, options) => runTool(['publish', ...args], { redis, ...options });
  const channelFor = (name) => new Channel(redis, name);

  it('loads the library where it is absent and prints the position', async () => {
    await redis.call('FUNCTION', 'FLUSH');
    const name = channelName();
    const { code, stdout, stderr } = await publish([name, '{"hello":"world"}']);
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^\d{16}-1\n$/);
    const [entry] = await channelFor(name).entries();
    assert.equal(`${entry.id}\n`, stdout);
    assert.deepEqual([entry.type, entry.data], ['json', '{"hello":"world"}']);
  });

  it('--json prints an object', async () => {
    const name = channelName();
    const [answer] = objects(await publish([name, '1', '--json']));
    assert.deepEqual(Object.keys(answer), ['channel', 'position']);
    assert.equal(answer.channel, name);
    assert.match(answer.position, POSITION);
  });

  it('passes type, event, history and ttl on, in either form of an option', async () => {
    const name = channelName();
    const words = ['--type=text', '--event', 'tick', '--history=2', '--ttl', '2m'];
    for (const data of ['a', 'b', 'c']) assert.equal((await publish([name, data, ...words])).code, 0);
    const entries = await channelFor(name).entries();
    assert.deepEqual(entries.map(({ data }) => data), ['b', 'c']);
    assert.deepEqual([entries[0].type, entries[0].event], ['text', 'tick']);
    const ttl = await redis.call('PTTL', channelFor(name).log);
    assert.ok(ttl > 100_000 && ttl <= 120_000, String(ttl));
  });

  it('- reads all of stdin, byte for byte', async () => {
    const name = channelName();
    const bytes = randomBytes(300_000);
    const { code } = await publish([name, '-', '--type', 'binary'], { input: bytes });
    assert.equal(code, 0);
    const [[, fields]] = await redis.callBytes('XRANGE', channelFor(name).log, '-', '+');
    const at = fields.findIndex((field) => String(field) === 'data');
    assert.ok(fields[at + 1].equals(bytes));
  });

  it('a negative number is data, and words behind -- are', async () => {
    const name = channelName();
    assert.equal((await publish([name, '-5'])).code, 0);
    assert.equal((await publish(['--type', 'text', '--', name, '--help'])).code, 0);
    const entries = await channelFor(name).entries();
    assert.deepEqual(entries.map(({ data }) => data), ['-5', '--help']);
  });

  it('--once gives the first position again and publishes nothing', async () => {
    const name = channelName();
    const args = [name, '1', '--once', 'k', '--for', '1d'];
    const first = await publish(args);
    assert.deepEqual(await publish(args), first);
    assert.equal((await channelFor(name).entries()).length, 1);
    assert.ok((await redis.call('TTL', channelFor(name).onceKey('k'))) > 86_000);
  });

  it('--if publishes at that head alone; elsewhere it exits 1 and names the head', async () => {
    const name = channelName();
    const { stdout } = await publish([name, '1', '--if', 'none']);
    const head = stdout.trim();
    const conflict = await publish([name, '2', '--if', 'none', '--json']);
    assert.equal(conflict.code, 1);
    assert.equal(objects(conflict)[0].head, head);
    assert.ok(conflict.stderr.includes(head), conflict.stderr);
    assert.equal((await publish([name, '2', '--if', head])).code, 0);
    assert.equal((await channelFor(name).entries()).length, 2);
  });

  it('another prefix, from the option or the environment', async () => {
    const name = channelName();
    await publish([name, '1', '--prefix', 'other']);
    await publish([name, '2'], { env: { FRESHET_PREFIX: 'other' } });
    assert.equal((await new Channel(redis, name, 'other').entries()).length, 2);
  });

  const WRONG = {
    'no DATA': [['a'], /DATA/],
    'no JSON': [['a', 'hello'], /--type text/],
    'a bad channel': [['a b', '1'], /channel/],
    'a type nobody knows': [['a', '1', '--type', 'xml'], /--type "xml"/],
    'a reserved event': [['a', '1', '--event', 'reset'], /--event/],
    'a position that is none': [['a', '1', '--if', 'first'], /--if/],
    'a ttl that is none': [['a', '1', '--ttl', 'soon'], /--ttl "soon"/],
    'a ttl too long': [['a', '1', '--ttl', '31d'], /--ttl/],
    'a history too long': [['a', '1', '--history', '100001'], /--history/],
    '--for alone': [['a', '1', '--for', '5m'], /--once/],
    '--lines without stdin': [['a', '1', '--lines'], /stdin/],
    '--lines with --if': [['a', '-', '--lines', '--if', 'none'], /--if/],
    'a word too many': [['a', '1', '2'], /"2"/],
    'an option nobody knows': [['a', '1', '--evnt', 'x'], /--evnt/],
    'an option without its value': [['a', '1', '--event'], /--event/],
    'a bad prefix': [['a', '1', '--prefix', 'a:b'], /--prefix/],
    'a URL that is none': [['a', '1', '--redis', 'http://x'], /redis:\/\//],
    'too much': [['a', '-', '--type', 'text'], /1 MiB/, 'x'.repeat(1_048_577)],
    'text that is no UTF-8': [['a', '-', '--type', 'text'], /binary/, Buffer.from([0xff])],
  };
  for (const [what, [args, expected, input]] of Object.entries(WRONG)) {
    it(`refuses ${what} with one line and exit 2`, async () => {
      const { code, stdout, stderr } = await publish(args, { input });
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.match(stderr, expected);
      assert.match(stderr, /^freshet: [^\n]+\n$/);
    });
  }

  it('what Redis refuses exits 1, and no control character reaches the terminal', async () => {
    await redis.call('ACL', 'SETUSER', 'weak', 'reset', 'on', '>geheim', '~*', '&*', '+ping');
    const url = `redis://weak:geheim@127.0.0.1:${redis.port}`;
    const { code, stderr } = await publish(['a', '1', '--redis', url]);
    assert.equal(code, 1);
    assert.match(stderr, /NOPERM.*freshet check/);
    assert.doesNotMatch(stderr, /geheim/);
  });

  it('without Redis it exits 3 and shows no password', async () => {
    const url = `redis://app:geheim@127.0.0.1:${await freePort()}/2`;
    const { code, stdout, stderr } = await publish(['a', '1', '--redis', url]);
    assert.deepEqual([code, stdout], [3, '']);
    assert.match(stderr, /^freshet: no Redis at redis:\/\/127\.0\.0\.1:\d+\/2: .*--redis.*\n$/);
    assert.doesNotMatch(stderr, /geheim/);
  });

  it('a wrong password exits 3 and is not shown', async () => {
    const { code, stderr } = await publish(['a', '1', '--redis', `redis://a:geheim@127.0.0.1:${redis.port}`]);
    assert.equal(code, 3);
    assert.match(stderr, /WRONGPASS/);
    assert.doesNotMatch(stderr, /geheim/);
  });

  it('a Redis that stands still is given up, with what is not known', async (t) => {
    const stuck = await startRedis({ functions: true, t });
    await stuck.kill('SIGSTOP');
    const { code, stderr } = await runTool(['publish', 'a', '1'], { redis: stuck });
    assert.equal(code, 3);
    assert.match(stderr, /does not answer/);
  });

  describe('--lines', () => {
    it('publishes 20,000 lines in order, each once, and prints each position', async () => {
      const name = channelName();
      const lines = Array.from({ length: 20_000 }, (_, i) => JSON.stringify({ i }));
      const { code, stdout } = await publish([name, '-', '--lines', '--history', '100000'], {
        input: lines.join('\n'),
      });
      assert.equal(code, 0);
      const entries = await channelFor(name).entries();
      assert.deepEqual(entries.map(({ data }) => data), lines);
      assert.deepEqual(stdout.trim().split('\n'), entries.map(({ id }) => id));
    });

    it('publishes what trickles in at once, without waiting for the end', async () => {
      const name = channelName();
      const tool = new Tool(['publish', name, '-', '--lines'], { redis, input: null });
      for (const data of ['1', '2', '3']) {
        tool.write(`${data}\n`);
        assert.match(await tool.lines.next(), POSITION);
      }
      tool.child.stdin.end('4');
      assert.match(await tool.lines.next(), POSITION);
      assert.equal((await tool.ended()).code, 0);
      assert.equal((await channelFor(name).entries()).length, 4);
    });

    it('tells each line that is refused, publishes the others, and exits 1', async () => {
      const name = channelName();
      const input = `1\nno json\n\n"${'x'.repeat(2_000_000)}"\n2\n`;
      const result = await publish([name, '-', '--lines', '--json'], { input });
      assert.equal(result.code, 1);
      assert.match(result.stderr, /line 2 was not published: not JSON/);
      assert.match(result.stderr, /line 4 was not published: larger/);
      const answers = objects(result);
      assert.deepEqual(answers.filter(({ error }) => error).map(({ line }) => line), [2, 4]);
      assert.deepEqual(answers.filter(({ position }) => position).map(({ line }) => line), [1, 5]);
      assert.equal((await channelFor(name).entries()).length, 2);
    });

    it('with --once each line has its own key: the same file again publishes nothing', async () => {
      const name = channelName();
      const args = [name, '-', '--lines', '--once', 'file'];
      const first = await publish(args, { input: '1\n2\n3\n' });
      assert.deepEqual(await publish(args, { input: '1\n2\n3\n' }), first);
      assert.equal((await channelFor(name).entries()).length, 3);
    });

    it('text keeps empty lines, JSON leaves them out', async () => {
      const [text, json] = [channelName(), channelName()];
      await publish([text, '-', '--lines', '--type', 'text'], { input: 'a\n\nb\n' });
      await publish([json, '-', '--lines'], { input: '1\n\n2\n' });
      assert.deepEqual((await channelFor(text).entries()).map(({ data }) => data), ['a', '', 'b']);
      assert.equal((await channelFor(json).entries()).length, 2);
    });

    it('Redis gone half-way: exit 3, and which lines are not known', async (t) => {
      const own = await startRedis({ t });
      const tool = new Tool(['publish', 'a', '-', '--lines'], { redis: own, input: null });
      tool.write('1\n');
      await tool.lines.next();
      await own.kill('SIGSTOP');
      tool.write('2\n3\n');
      const { code, stderr } = await tool.ended();
      assert.equal(code, 3);
      assert.match(stderr, /lines 2 to 3/);
    });
  });
});
