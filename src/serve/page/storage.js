// What takes the disk, as a bar, a legend and a sentence.

import { byId, el, list, text } from './dom.js';
import { percent, size } from './format.js';
import { showBytes } from './parts.js';
import { state, watch } from './state.js';

const PARTS = [
  ['exclusive', 'Exclusive', 'needed by one model'],
  ['shared', 'Shared', 'needed by several, kept once'],
  ['trash', 'Trash', 'can be restored'],
  ['other', 'Other', 'index, partial downloads'],
  ['others', 'Not the store', 'other files on this disk'],
  ['free', 'Free', 'of the disk'],
];

// The bytes of each part, and what of that is drawn. Parts of the store count whole files; what
// these share below the file is on the disk once, so they are drawn to the store's true width.
function measure({ physical, exclusive, shared, trashed, shared_physical, disk_total, disk_free }) {
  const other = Math.max(0, physical + shared_physical - exclusive - shared - trashed);
  const scale = physical / (exclusive + shared + trashed + other || 1);
  const others = Math.max(0, disk_total - disk_free - physical);
  const bytes = { exclusive, shared, trash: trashed, other, others, free: disk_free };
  const drawn = (key) => bytes[key] * (key === 'others' || key === 'free' ? 1 : scale);
  return PARTS.map(([key, name, about]) => ({ key, name, about, bytes: bytes[key], drawn: drawn(key) / disk_total }));
}

function render() {
  const { space } = state;
  if (!space) return;
  const parts = measure(space);
  list(byId('disk-parts'), parts, (part) => part.key, segment);
  list(byId('disk-legend'), parts, (part) => part.key, entry);
  text(byId('disk-words'), sentence(space));
  text(byId('storage-summary'), `${size(space.physical)} on disk`);
  const { min_free_bytes } = space.limit;
  text(byId('min-free'), min_free_bytes ? `At least ${size(min_free_bytes)} of the disk stay free in any case.` : '');
}

function segment({ key, name }) {
  const node = el('div', { class: `part ${key}`, 'data-part': key });
  const update = ({ bytes, drawn }) => {
    node.style.flexGrow = drawn;
    node.hidden = bytes === 0;
    node.title = `${name}: ${size(bytes)}`;
  };
  return { node, update };
}

function entry({ key, name, about }) {
  const value = el('dd');
  const node = el('div', { 'data-legend': key }, el('dt', {}, el('span', { class: `swatch ${key}` }), name), value, el('dd', { class: 'about' }, about));
  return { node, update: ({ bytes }) => showBytes(value, bytes) };
}

// Where a limit stands on the bar.
export function markLimit(bytes) {
  const mark = byId('limit-mark');
  mark.hidden = bytes === null || bytes > state.space.disk_total;
  mark.style.left = `${(100 * bytes) / state.space.disk_total}%`;
}

function sentence({ physical, disk_total, disk_free, apparent, shared_physical }) {
  const words = `The store takes ${size(physical)} of a disk of ${size(disk_total)}, of which ${size(disk_free)} are free.`;
  const saved = apparent - physical;
  if (saved <= 0) return words;
  const below = shared_physical > 0 ? `, ${size(shared_physical)} by sharing parts of files that differ` : '';
  return `${words} Each kept whole, its models would take ${size(apparent)}: ${percent(saved, apparent)} % are saved${below}.`;
}

watch(['space'], render);
