// Pieces that several views are made of.

import { attribute, el, text } from './dom.js';
import { age, exact, moment, short, size } from './format.js';

// `org/name`, the part that tells it from its neighbours being the stronger one. `bdi`, so that a
// name with letters of the other direction does not turn what stands beside it.
export function modelName(model) {
  const slash = model.lastIndexOf('/') + 1;
  return el('bdi', { class: 'name' }, el('span', {}, model.slice(0, slash)), model.slice(slash));
}

export function revisionMark(revision) {
  return el('span', { class: 'revision', title: revision }, short(revision));
}

export function showBytes(node, bytes) {
  text(node, size(bytes));
  attribute(node, 'title', exact(bytes));
}

// Goes on by itself: app.js tells all times again now and then.
export function showAge(node, then) {
  node.dataset.age = then;
  attribute(node, 'title', moment(then));
  text(node, age(then));
}

// An error or a problem in words, and what to do about it. Long addresses stand in the title only.
export function problem({ message, hint }) {
  const words = message.replace(LONG_ADDRESS, '$1…');
  const title = words !== message && message;
  return el('p', { class: 'problem', title }, words, hint && el('span', { class: 'hint' }, hint));
}

// What follows the host of an address, where it is no name of a file that people know.
const LONG_ADDRESS = /(https?:\/\/[^/\s]+\/)[^\s]{40,}?(?=:?(\s|$))/g;

// Some numbers side by side: `[key, name, bytes, about]`.
export function figures(rows, more = () => null) {
  return rows.map(([key, name, bytes, about]) => {
    const value = el('dd', { title: exact(bytes) }, size(bytes), about && el('small', {}, about), more(bytes));
    return el('div', { 'data-figure': key }, el('dt', {}, name), value);
  });
}

// A role=progressbar. `update(part, words)` takes null for "nobody knows yet".
export function progressBar(label) {
  const fill = el('div', { class: 'fill' });
  const props = { class: 'bar', role: 'progressbar', 'aria-label': label, 'aria-valuemin': 0, 'aria-valuemax': 100 };
  const node = el('div', props, fill);
  const update = (part, words) => {
    attribute(node, 'aria-valuenow', part);
    attribute(node, 'aria-valuetext', words);
    node.classList.toggle('unknown', part == null);
    fill.style.width = part == null ? '' : `${part}%`;
  };
  return { node, update };
}

// The models that a plan takes, and how large each is.
export function goingList(models) {
  const items = models.map(({ model, revision, size: bytes }) =>
    el('li', { 'data-model': model }, el('span', {}, modelName(model), revisionMark(revision)), el('span', { class: 'num' }, size(bytes))),
  );
  return items.length > 0 && el('ul', { class: 'going' }, ...items);
}

// The models that stay, and why.
export function keptList(kept) {
  const items = kept.map(({ model, revision, why }) => el('li', {}, modelName(model), revisionMark(revision), ` stays: ${why}`));
  return items.length > 0 && el('ul', { class: 'kept' }, ...items);
}
