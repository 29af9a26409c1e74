/** What a run prints: a row per fault, the times, and each violation with its context. */

const COLUMNS = [
  ['fault', (result) => result.run.fault],
  ['checked', ({ row }) => row.deliveries],
  ['lost', ({ row }) => row.lost + row.lostAcknowledged],
  ['twice', ({ row }) => row.duplicated],
  ['reordered', ({ row }) => row.reordered],
  ['reused', ({ row }) => row.reused],
  ['resets', ({ row }) => row.resets],
  ['covered', ({ row }) => row.covered],
  ['needless', ({ row }) => row.needless],
  ['rolled back', ({ row }) => row.rolledBack],
  ['consistent after: p50 / p99 / max', (result) => consistent(result)],
  ['verdict', (result) => (result.ok ? 'ok' : `FAILED ${Object.keys(result.broken).join(' ')}`)],
];

const ms = (value) => (Number.isFinite(value) ? `${Math.round(value)}` : 'never');

function consistent({ times }) {
  return times
    .map(({ p50, p99, max, what }) => `${ms(p50)} / ${ms(p99)} / ${ms(max)} ms (${what})`)
    .join('; ');
}

/** The table, in Markdown, so that it may be pasted. */
export function table(results) {
  const rows = results.map((result) => COLUMNS.map(([, cell]) => String(cell(result))));
  const sum = (name) => results.reduce((total, { row }) => total + row[name], 0);
  const names = ['deliveries', 'lost', 'duplicated', 'reordered', 'reused', 'resets', 'covered'];
  const sums = [...names, 'needless', 'rolledBack'].map((name) => String(sum(name)));
  if (results.length > 1) rows.push(['all', ...sums, '', '']);
  const heads = COLUMNS.map(([name]) => name);
  const lines = [heads, heads.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const seconds = (from, t) => `${((t - from) / 1000).toFixed(2)} s`;

/** All about one fault. */
export function printResult(result, print = console.log) {
  const { run, row, resets, times, measures, violations, broken, windows, closes, late } = result;
  const begin = windows[0].from;
  print(`\n${run.fault}, seed ${run.seed}: ${result.ok ? 'ok' : 'FAILED'}`);
  const counts = Object.entries(row).map(([name, count]) => `${name} ${count}`);
  print(`  ${counts.join(', ')}`);
  const reasons = Object.entries(resets).map(([reason, count]) => `${reason} ${count}`);
  if (reasons.length > 0) print(`  resets: ${reasons.join(', ')}`);
  const closed = Object.entries(closes).filter(([, count]) => count > 0);
  print(`  closed by nodes: ${closed.map(([reason, n]) => `${reason} ${n}`).join(', ') || 'none'}`);
  if (late.times > 0) {
    print(
      `  the kit itself was late ${late.times} times, by up to ${late.most} ms: a busy machine`,
    );
  }
  for (const window of windows) {
    const { name, on, from, to, deliveries, resets: told, violations: wrong } = window;
    const phase = `${name}${on ? '' : ' (off)'}`.padEnd(28);
    const span = `${seconds(begin, from)} to ${seconds(begin, to)}`.padEnd(22);
    print(`  ${phase} ${span} ${deliveries} deliveries, ${told} resets, ${wrong} violations`);
  }
  for (const { what, clients, never, p50, p99, max, limits } of times) {
    const bounds = Object.entries(limits).map(([name, limit]) => `${name} <= ${limit}`);
    const numbers = `p50 ${ms(p50)}, p99 ${ms(p99)}, max ${ms(max)} ms`;
    const late = never > 0 ? `, ${never} never` : '';
    print(`  ${what}: ${clients} clients, ${numbers}${late}  [${bounds.join(', ') || 'no bound'}]`);
  }
  for (const { what, ms: took, limit } of measures) {
    print(
      `  ${what}: ${Math.round(took)} ms  [${limit === undefined ? 'no bound' : `<= ${limit}`}]`,
    );
  }
  for (const { invariant, text, at, during } of violations) {
    print(`  ${invariant} at ${seconds(begin, at)}, ${during}: ${text}`);
  }
  for (const [invariant, count] of Object.entries(broken)) {
    const shown = violations.filter((violation) => violation.invariant === invariant).length;
    if (count > shown) print(`  ${invariant}: ${count} in all`);
  }
}
