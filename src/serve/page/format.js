// Sizes, times and counts as people read them, in the words of the command line.

const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

// Decimal units: `664 B`, `1.1 MB`, `123 GB`.
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  let value = bytes;
  let unit = 'B';
  for (const next of UNITS) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  return `${value.toFixed(value < 99.95 ? 1 : 0)} ${unit}`;
}

// Every byte of it, in groups of three: `4 920 734 272 bytes`.
export function exact(bytes) {
  const digits = String(bytes).replace(/\B(?=(\d{3})+$)/g, '\u202f');
  return `${digits} ${bytes === 1 ? 'byte' : 'bytes'}`;
}

// Whole percent, rounded down, so that only all is 100.
export function percent(part, all) {
  return part >= all ? 100 : Math.floor((part / all) * 100);
}

// `1 file`, `2 files`.
export function count(number, what) {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

const now = () => Date.now() / 1000;

// How long ago.
export function age(then) {
  const seconds = now() - then;
  if (seconds < 60) return 'just now';
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  const days = Math.floor(seconds / 86_400);
  if (days < 60) return `${days} d ago`;
  return days < 730 ? `${Math.floor(days / 30)} mo ago` : `${Math.floor(days / 365)} y ago`;
}

// How far ahead.
export function until(then) {
  const seconds = then - now();
  if (seconds < 60) return 'soon';
  if (seconds < 3600) return `in ${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `in ${Math.floor(seconds / 3600)} h`;
  return `in ${Math.floor(seconds / 86_400)} d`;
}

// What is left to wait: `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

// A moment in the reader's own zone and words, for titles.
export function moment(seconds) {
  return new Date(seconds * 1000).toLocaleString();
}

// As much of a revision as tells it from others.
export function short(revision) {
  return revision.slice(0, 12);
}

// The name that the API knows a revision by.
export function specOf({ model, revision }) {
  return `${model}@${revision}`;
}
