/** Each seeded bug must still find its place in the product's sources. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

test('there are thirteen mutants, and each patch applies', async () => {
  const patches = readdirSync(here('mutants')).filter((name) => name.endsWith('.patch'));
  assert.equal(patches.length, 13);
  const { stdout } = await run(here('mutants.sh'), ['--check']);
  for (const patch of patches) assert.ok(stdout.includes(`applies: ${patch}`), stdout);
});
