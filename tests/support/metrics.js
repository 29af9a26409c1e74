/**
 * Reads the Prometheus text format, strictly: each sample belongs to a declared family, no sample
 * comes twice.
 */
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/y;

function parseLabels(text) {
  const labels = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const at = LABEL.lastIndex;
    const match = LABEL.exec(text);
    if (!match) throw new Error(`bad labels: ${text.slice(at)}`);
    labels[match[1]] = match[2];
  }
  return labels;
}

/** @param {string} text the answer of /metrics */
export function parseMetrics(text) {
  const types = new Map();
  const samples = [];
  const seen = new Set();
  if (!text.endsWith('\n')) throw new Error('/metrics does not end with a line end');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    if (line.startsWith('#')) {
      const [, kind, name, rest] = line.split(' ');
      if (kind === 'TYPE') types.set(name, rest);
      continue;
    }
    const match = SAMPLE.exec(line);
    if (!match) throw new Error(`bad line in /metrics: ${line}`);
    const [, name, labelText = '', value] = match;
    const key = `${name}{${labelText}}`;
    if (seen.has(key)) throw new Error(`twice in /metrics: ${key}`);
    seen.add(key);
    const family = types.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
    if (!types.has(family)) throw new Error(`/metrics: no TYPE for ${name}`);
    samples.push({ name, labels: parseLabels(labelText), value: Number(value) });
  }
  return {
    types,
    samples,
    /** The sum of all samples of this name with these labels; undefined when there is none. */
    get(name, labels = {}) {
      const matching = samples.filter(
        (sample) =>
          sample.name === name &&
          Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
      );
      if (matching.length === 0) return undefined;
      return matching.reduce((sum, sample) => sum + sample.value, 0);
    },
  };
}
