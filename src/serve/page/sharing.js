// What the members of a family have in common, as a heat map, and what of it the disk shares.

import { post } from './api.js';
import { showError } from './ask.js';
import { attribute, byId, el, renew, text } from './dom.js';
import { count, exact, percent, size } from './format.js';
import { figures } from './parts.js';
import { state, watch } from './state.js';

const family = byId('family');
const table = byId('matrix');

// From this percent on a cell is so strong that its letters turn; see --hot in the style sheet.
const STRONG = 66;

// The members on show, so that they are compared again when others come or go.
let shown = '';
let asking = null;

function render() {
  if (!state.families) return;
  const chosen = family.value;
  renew(family, state.families, options);
  family.disabled = state.families.length === 0;
  const [first] = state.families;
  family.value = state.families.some(({ name }) => name === chosen) ? chosen : (first?.name ?? '');
  if (family.disabled) text(byId('no-matrix'), 'There are no two models here that are worth comparing.');
  choose();
}

// Nobody waits for what nobody looks at.
const isOpen = () => state.families && location.hash === '#sharing';

function options(families) {
  if (!families.length) return el('option', { value: '' }, 'No family');
  return families.map(({ name, members }) => el('option', { value: name }, `${name} (${members.length})`));
}

async function choose() {
  if (!isOpen()) return;
  const models = state.families.find(({ name }) => name === family.value)?.members ?? [];
  if (models.join('\n') === shown) return;
  shown = models.join('\n');
  asking?.abort();
  if (!models.length) return show(null);
  asking = new AbortController();
  text(byId('sharing-status'), `Comparing ${count(models.length, 'model')}…`);
  attribute(byId('matrix-view'), 'aria-busy', 'true');
  try {
    show(await post('/sharing/matrix', { models }, asking.signal));
  } catch (error) {
    if (error.name === 'AbortError') return;
    shown = '';
    show(null);
    showError(error);
  }
}

function show(matrix) {
  byId('matrix-view').hidden = !matrix;
  byId('no-matrix').hidden = matrix !== null;
  attribute(byId('matrix-view'), 'aria-busy', null);
  text(byId('sharing-status'), matrix ? count(matrix.members.length, 'member') : '');
  if (!matrix) return;
  renew(byId('sharing-figures'), matrix, sums);
  renew(table, matrix, rows);
  text(byId('cell-detail'), 'Point at a cell for its bytes.');
}

function sums({ bytes, unique, physical }) {
  const saved = Math.max(0, bytes - physical);
  const meter = (value) => {
    const fill = el('div', { class: 'fill' });
    fill.style.width = `${percent(value, bytes)}%`;
    return el('div', { class: 'bar thin', 'aria-hidden': 'true' }, fill);
  };
  return figures(
    [
      ['bytes', 'All members', bytes, 'each kept whole'],
      ['unique', 'Unique', unique, 'with nothing kept twice'],
      ['physical', 'Physical', physical, 'what they take on this disk'],
      ['saved', 'Saved', saved, `${percent(saved, bytes)} %, by sharing`],
    ],
    meter,
  );
}

// How much of all names is the same, up to the last mark between words. Members differ in the rest.
function commonLength(names) {
  let length = 0;
  while (length < names[0].length && names.every((name) => name[length] === names[0][length])) length++;
  return names[0].slice(0, length).search(/[^-/@._]*$/);
}

// A revision is said only of models that are there in several.
function labels(members) {
  const models = members.map(({ name }) => name.split('@')[0]);
  const isOne = (model) => models.indexOf(model) === models.lastIndexOf(model);
  return members.map(({ name }, index) => (isOne(models[index]) ? models[index] : name));
}

function rows({ members, equal }) {
  const labelled = labels(members);
  const common = commonLength(labelled);
  const end = (index) => el('bdi', {}, labelled[index].slice(common));
  const columns = members.map(({ name }, index) => heading({ title: name }, el('span', {}, end(index))));
  const head = el('tr', {}, el('td'), ...columns, heading({ class: 'num' }, 'Size'), heading({ class: 'num' }, 'Exclusive'));
  const body = members.map(({ name, bytes, exclusive }, row) => {
    const start = el('span', { class: 'common' }, labelled[row].slice(0, common));
    const cells = members.map((_, column) => cell(members, equal[row][column], row, column));
    const title = el('th', { scope: 'row', title: name }, start, end(row));
    return el('tr', { 'data-member': name }, title, ...cells, bytesCell(bytes), bytesCell(exclusive));
  });
  return [el('thead', {}, head), el('tbody', {}, ...body)];
}

const heading = (props, words) => el('th', { scope: 'col', ...props }, words);
const bytesCell = (bytes) => el('td', { class: 'num', title: exact(bytes) }, size(bytes));

function cell(members, bytes, row, column) {
  const share = percent(bytes, members[row].bytes);
  const [a, b] = [members[row].name, members[column].name];
  const words = row === column ? `${a}: ${exact(bytes)}` : `${share} %: ${exact(bytes)} of ${a} are in ${b}, too`;
  const props = { class: share < STRONG ? 'heat' : 'heat strong', 'data-row': row, 'data-column': column, 'data-share': share };
  const node = el('td', { ...props, title: words, 'aria-label': words, tabindex: row || column ? -1 : 0 }, row === column ? '–' : String(share));
  node.style.setProperty('--share', `${share}%`);
  return node;
}

function tell({ target }) {
  if (target.matches('.heat')) text(byId('cell-detail'), target.title);
}

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

// One cell is in the tab order; the arrows go from there.
function move(event) {
  const { key, target } = event;
  if (!MOVES[key] || !target.matches('.heat')) return;
  event.preventDefault();
  const [row, column] = [Number(target.dataset.row) + MOVES[key][0], Number(target.dataset.column) + MOVES[key][1]];
  const next = table.querySelector(`[data-row="${row}"][data-column="${column}"]`);
  if (!next) return;
  target.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

family.addEventListener('change', choose);
addEventListener('hashchange', choose);
table.addEventListener('mouseover', tell);
table.addEventListener('focusin', tell);
table.addEventListener('keydown', move);
watch(['families'], render);
