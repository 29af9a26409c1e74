/**
 * Runs the command-line tool: to its end, or for as long as a test wants to watch it.
 *
 * The binary is $FRESHET_TOOL, else `freshet` beside the node's binary. A sanitizer's report fails
 * whatever ran it.
 */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BINARY, spawnChild } from './node.js';
import { Queue, within } from './wait.js';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const SANITIZER = /ERROR: \w*Sanitizer|runtime error:/;

export const TOOL = process.env.FRESHET_TOOL
  ? path.resolve(ROOT, process.env.FRESHET_TOOL)
  : path.join(path.dirname(BINARY), 'freshet');

/** The environment without what the tool would read of whoever runs the tests. */
function environment(env) {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('FRESHET_') && name !== 'NO_COLOR',
  );
  return { ...Object.fromEntries(kept), TERM: 'xterm', ASAN_OPTIONS: 'detect_leaks=1', ...env };
}

/** One running `freshet`: what it prints, line by line, and how it ended. */
export class Tool {
  /**
   * @param {string[]} args
   * @param {{ redis?: { url: string }, env?: Record<string, string>, terminal?: boolean,
   *   input?: string | Buffer | null }} [options]
   *   terminal: stdout and stderr are one; input: null leaves stdin open for write()
   */
  constructor(args, { redis, env = {}, terminal = false, input = '' } = {}) {
    const all = redis ? { FRESHET_REDIS: redis.url, ...env } : env;
    const quoted = [TOOL, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    const [command, ...words] = terminal
      ? ['script', '-qec', quoted, '/dev/null']
      : [TOOL, ...args];
    this.name = `freshet ${args.join(' ')}`;
    this.stdout = '';
    this.stderr = '';
    this.lines = new Queue(this.name);
    this.child = spawnChild(command, words, { env: environment(all), stdio: 'pipe' });
    this.child.stdin.on('error', () => {}); // it need not read what it is given
    if (input !== null) this.child.stdin.end(input);
    let rest = '';
    this.child.stdout.setEncoding('utf8').on('data', (text) => {
      this.stdout += text;
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) this.lines.push(line);
    });
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.stderr += text));
    this.exited = new Promise((resolve, reject) => {
      this.child.on('error', reject);
      this.child.on('close', (code, signal) => resolve({ code, signal }));
    });
    this.exited.then(
      ({ code, signal }) => this.lines.fail(new Error(`ended with ${code ?? signal}`)),
      (error) => this.lines.fail(error),
    );
  }

  write(text) {
    this.child.stdin.write(text);
  }

  /** The next line as JSON. */
  async next(options) {
    return JSON.parse(await this.lines.next(options));
  }

  /** Waits for its end. */
  async ended(deadline = 20_000) {
    try {
      const { code, signal } = await within(this.exited, `${this.name} ends`, deadline);
      const { stdout, stderr } = this;
      if (SANITIZER.test(stderr)) throw new Error(`${this.name}: ${stderr}`);
      return { code, signal, stdout, stderr };
    } finally {
      this.child.kill('SIGKILL');
    }
  }

  stop(signal = 'SIGINT') {
    this.child.kill(signal);
    return this.ended();
  }
}

/** Runs it to its end. */
export function runTool(args, options) {
  return new Tool(args, options).ended();
}

/** The objects it printed with --json. */
export const objects = ({ stdout }) => stdout.split('\n').filter(Boolean).map(JSON.parse);
