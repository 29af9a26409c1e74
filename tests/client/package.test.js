/** What users get: the npm package, the one file, its size, its types. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { concatenate, noCmake } from '../support/browser.js';
import { CLIENT } from '../support/client.js';

const GZIP_MAX = 12_000;
const PUBLIC = ['Client', 'FreshetError', 'Subscription', 'connect'];
const tsc = path.join(CLIENT, 'node_modules/.bin/tsc');
const noTypescript = existsSync(tsc) ? false : 'npm ci has not run in client-js';

const read = (file) => readFileSync(file, 'utf8');

/** All modules, from src/. */
const modules = readdirSync(path.join(CLIENT, 'src'), { recursive: true })
  .map(String)
  .filter((name) => name.endsWith('.js'))
  .sort();

test(
  'the one file imports, exports the public names, and its size',
  { skip: noCmake },
  async (t) => {
    const file = concatenate(t);
    const text = read(file);
    const gzip = gzipSync(text, { level: 9 }).length;
    t.diagnostic(`client.js: ${text.length} bytes, ${gzip} gzipped`);
    assert.ok(gzip < GZIP_MAX, `${gzip} bytes gzipped`);
    assert.deepEqual(Object.keys(await import(pathToFileURL(file).href)), PUBLIC);
    assert.doesNotMatch(text, /^import |\/\*\*|^ *\/\/ /m);
    assert.match(text, /^\/\*! freshet-client \d+\.\d+\.\d+/);
  },
);

test('modules.cmake has each module once, after what it imports', () => {
  const [, list] = /FRESHET_CLIENT_MODULES\n([^)]*)\)/.exec(
    read(path.join(CLIENT, 'modules.cmake')),
  );
  const listed = list.split(/\s+/).filter(Boolean);
  assert.deepEqual([...listed].sort(), modules);
  for (const [at, name] of listed.entries()) {
    const folder = path.dirname(name);
    for (const [, target] of read(path.join(CLIENT, 'src', name)).matchAll(
      /^import [^;]* from '(.*)';$/gm,
    )) {
      const imported = listed.indexOf(path.normalize(path.join(folder, target)));
      assert.ok(imported >= 0 && imported < at, `${name} imports ${target}`);
    }
  }
});

test('types are right: tsc --checkJs --strict', { skip: noTypescript }, () => {
  const { status, stdout } = spawnSync(tsc, ['-p', CLIENT], { encoding: 'utf8' });
  assert.equal(status, 0, stdout);
});

test(
  'npm pack: only what is needed; imports; its types serve a user',
  { skip: noTypescript },
  async (t) => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'freshet-pack-'));
    t.after(() => rmSync(directory, { recursive: true, force: true }));
    const npm = (...args) =>
      execFileSync('npm', args, { cwd: CLIENT, encoding: 'utf8', stdio: 'pipe' });
    const [{ filename, files, size }] = JSON.parse(
      npm('pack', '--json', '--pack-destination', directory),
    );
    t.diagnostic(`${filename}: ${size} bytes, ${files.length} files`);
    const names = files.map((file) => file.path).sort();
    const types = modules.map((name) => `types/${name.replace(/\.js$/, '.d.ts')}`);
    const due = [
      'LICENSE',
      'README.md',
      'package.json',
      ...modules.map((name) => `src/${name}`),
      ...types,
    ];
    assert.deepEqual(names, due.sort());

    const home = path.join(directory, 'node_modules/freshet-client');
    mkdirSync(home, { recursive: true });
    execFileSync('tar', [
      '-xzf',
      path.join(directory, filename),
      '--strip-components=1',
      '-C',
      home,
    ]);
    const application = `
    import { connect, type FreshetError } from 'freshet-client';
    const client = connect('http://localhost', { token: async () => 'x', transports: ['sse'] });
    client.addEventListener('state', ({ state, latency }) => {
      const ms: number | undefined = latency;
      if (state === 'waiting') console.log(ms);
      // @ts-expect-error no such state
      if (state === 'lost') console.log(ms);
    });
    const news = client.subscribe('news', { rewind: 2, signal: new AbortController().signal });
    news.addEventListener('message', ({ data, id, time }) => {
      console.log(data, id?.length, time.toFixed());
    });
    news.addEventListener('reset', ({ reason }) => {
      // @ts-expect-error no such reason
      if (reason === 'bored') return;
    });
    async function all() {
      for await (const { channel } of news) console.log(channel.length);
      const position: string = await client.publish('news', {}, { if: 'none' });
      return position;
    }
    all().catch((error: FreshetError) => console.log(error.code, error.head));
    // @ts-expect-error no such option
    client.subscribe('news', { from: 1 });
  `;
    writeFileSync(path.join(directory, 'application.mts'), application);
    const options = [
      '--strict',
      '--noEmit',
      '--module',
      'nodenext',
      '--target',
      'es2022',
      '--lib',
      'es2022,dom',
    ];
    const checked = spawnSync(tsc, [...options, 'application.mts'], {
      cwd: directory,
      encoding: 'utf8',
    });
    assert.equal(checked.status, 0, checked.stdout);

    const script = "import('freshet-client').then((all) => console.log(Object.keys(all).join()))";
    const said = execFileSync('node', ['--input-type=module', '-e', script], {
      cwd: directory,
      encoding: 'utf8',
    });
    assert.equal(said.trim(), PUBLIC.join());
  },
);

test('the lock file names no registry', () => {
  assert.doesNotMatch(read(path.join(CLIENT, 'package-lock.json')), /"resolved"/);
});
