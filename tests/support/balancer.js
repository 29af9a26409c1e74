/**
 * Runs a real load balancer or cache, with a directory of its own, and ends it with its owner.
 * haproxy.js, nginx.js and caddy.js say how each is started.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from './http.js';
import { spawnChild } from './node.js';
import { eventually } from './wait.js';

const DEPLOY = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../deploy');

/** The configuration that users get. @param {string} file below deploy/ */
export const deployPath = (file) => path.join(DEPLOY, file);
export const deployText = (file) => readFileSync(deployPath(file), 'utf8');

/** The program's path, or undefined. `variable` of the environment may name another one. */
export function findProgram(variable, candidates) {
  return process.env[variable] ?? candidates.find((file) => existsSync(file));
}

/** `text` with `from` replaced, which must be there. */
export function edited(text, from, to) {
  if (!text.includes(from)) throw new Error(`not in the configuration: ${from}`);
  return text.replaceAll(from, to);
}

export function makeDirectory() {
  return mkdtempSync(path.join(os.tmpdir(), 'freshet-balancer-'));
}

const remove = (directory) => rmSync(directory, { recursive: true, force: true });

/**
 * Runs a program to its end, as for a check of its configuration: { status, output }.
 * @param {string} command
 * @param {(directory: string) => string[]} argsIn makes files in the directory, returns arguments
 */
export function runProgram(command, argsIn, env = {}) {
  const directory = makeDirectory();
  try {
    const { status, stdout, stderr } = spawnSync(command, argsIn(directory), {
      encoding: 'utf8',
      env: { ...process.env, ...env },
      timeout: 20_000,
    });
    return { status, output: `${stdout}${stderr}` };
  } finally {
    remove(directory);
  }
}

/** A certificate for 127.0.0.1 that nobody signed: { certificate, key }, paths of PEM files. */
export function makeCertificate(directory) {
  const certificate = path.join(directory, 'certificate.pem');
  const key = path.join(directory, 'key.pem');
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const files = ['-days', '1', '-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', ...kind, ...subject, ...files], { stdio: 'ignore' });
  return { certificate, key };
}

/**
 * Starts it and waits until it answers on `url`, whatever that is. Its directory goes with it.
 * @param {{ after: (fn: () => Promise<void>) => void }} owner
 * @param {{ command: string, args: string[], env?: Record<string, string>, url: string,
 *   directory: string }} options
 */
export async function startProxy(owner, { command, args, env = {}, url, directory }) {
  const child = spawnChild(command, args, { env: { ...process.env, ...env } });
  const proxy = { url, log: '', running: true };
  child.stdout.on('data', (bytes) => (proxy.log += bytes));
  child.stderr.on('data', (bytes) => (proxy.log += bytes));
  const ended = new Promise((resolve) => {
    child.on('error', (error) => {
      proxy.log += String(error);
      resolve();
    });
    child.on('close', resolve);
  }).then(() => (proxy.running = false));
  owner.after(async () => {
    child.kill('SIGKILL');
    await ended;
    remove(directory);
  });
  try {
    await eventually(`${command} answers`, async () => {
      if (!proxy.running) return true;
      return (await request(url, '/healthz')).status > 0;
    });
    if (!proxy.running) throw new Error(`${command} has ended`);
  } catch (error) {
    throw new Error(`${error.message}\n${proxy.log.slice(-4000)}`);
  }
  return proxy;
}
