/** docker's own commands, and docker-compose's for one project: how a cluster is reached from outside. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const LOG_BYTES_MAX = 64 << 20;

/**
 * @param {string} name of the project
 * @param {string} command docker-compose with its files, words with a space between them
 */
export function openProject(name, command) {
  const [program, ...words] = command.split(' ');
  const docker = async (...args) => (await run('docker', args)).stdout.trim();
  return {
    name,
    docker,
    compose: async (...args) => (await run(program, [...words, ...args])).stdout.trim(),
    /** The containers of a service, running or not, oldest first. */
    async containers(service, ...filters) {
      const labels = [`project=${name}`, `service=${service}`, 'oneoff=False'];
      const args = [...labels.map((label) => `label=com.docker.compose.${label}`), ...filters];
      const ids = await docker('ps', '-aq', ...args.flatMap((filter) => ['--filter', filter]));
      return ids.split('\n').filter(Boolean).reverse();
    },
    inspect: async (id) => JSON.parse(await docker('inspect', id))[0],
    /** What a node's own bash says: the image has nothing else to ask with. */
    shell: (id, script) => docker('exec', id, 'bash', '-c', script),
    /** All that a container ever wrote, over its restarts. */
    async logs(id) {
      const { stdout, stderr } = await run('docker', ['logs', id], { maxBuffer: LOG_BYTES_MAX });
      return stdout + stderr;
    },
  };
}
