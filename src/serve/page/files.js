// The details of a model: its files, their hashes, and which other models have them, too.

import { get, segment } from './api.js';
import { showError } from './ask.js';
import { el, renew } from './dom.js';
import { count, exact, size } from './format.js';

// A second row for the model's `tbody`, asked for when it is opened, and again while it is open
// and the store changes.
export function modelFiles(spec) {
  const cell = el('td', { colspan: 7 }, el('p', { class: 'summary' }, 'Loading…'));
  const node = el('tr', { class: 'details', 'data-details': spec }, cell);
  const update = async () => {
    if (!node.isConnected) return;
    try {
      renew(cell, await get(`/models/${segment(spec)}`), content);
    } catch (error) {
      showError(error);
    }
  };
  const toggle = (body) => {
    if (node.isConnected) node.remove();
    else body.append(node);
    update();
    return node.isConnected;
  };
  return { toggle, update };
}

function content({ revision, files, shared, file_list }) {
  const facts = `${count(files, 'file')}, ${size(shared)} shared with other models. Revision ${revision}`;
  return [el('p', { class: 'summary' }, facts), el('ul', { class: 'files' }, ...file_list.map(item))];
}

function item({ path, size: bytes, blob, sha256, shared_with }) {
  return el(
    'li',
    { 'data-file': path },
    el('bdi', { class: 'path' }, path),
    el('span', { class: 'num', title: exact(bytes) }, size(bytes)),
    hash('BLAKE3', blob),
    sha256 ? hash('SHA-256', sha256) : el('span'),
    shared_with.length > 0 && sharers(shared_with),
  );
}

// Cut off on screen, and whole for whoever copies it.
function hash(kind, digits) {
  return el('span', { class: 'hash', title: `${kind} ${digits}` }, el('small', {}, kind), ' ', el('code', {}, digits));
}

function sharers(specs) {
  const all = el('ul', {}, ...specs.map((spec) => el('li', {}, el('bdi', {}, spec))));
  return el('details', { class: 'sharers' }, el('summary', {}, `also in ${count(specs.length, 'model')}`), all);
}
