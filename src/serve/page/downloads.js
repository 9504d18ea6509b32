// The list of downloads, as the events tell it.

import { del, post } from './api.js';
import { announce, button } from './ask.js';
import { byId, el, list, renew, text } from './dom.js';
import { count, duration, percent, size } from './format.js';
import { modelName, problem, progressBar } from './parts.js';
import { state, watch } from './state.js';

const STATES = {
  waiting: 'Waiting',
  running: 'Downloading',
  paused: 'Paused',
  done: 'Done',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

// What can be done in which state.
const ACTIONS = [
  ['pause', 'Pause', ['waiting', 'running']],
  ['resume', 'Resume', ['paused']],
  ['retry', 'Retry', ['failed']],
  ['cancel', 'Cancel', ['waiting', 'running', 'paused']],
  ['dismiss', 'Dismiss', ['done', 'failed', 'cancelled']],
];

// The states of before, by id, to tell when one ends.
let before = new Map();

function render() {
  const { downloads } = state;
  const newestFirst = [...downloads].sort((a, b) => b.id - a.id);
  list(byId('downloads'), newestFirst, (one) => one.id, card);
  byId('no-downloads').hidden = downloads.length > 0;
  const active = downloads.filter((one) => one.state === 'running' || one.state === 'waiting').length;
  text(byId('active-downloads'), active ? String(active) : '');
  downloads.forEach(tellEnd);
  before = new Map(downloads.map((one) => [one.id, one.state]));
}

function tellEnd({ id, model, state: now, error }) {
  if (!before.has(id) || before.get(id) === now) return;
  if (now === 'done') announce(`Download of ${model} is done.`);
  if (now === 'failed') announce(`Download of ${model} failed. ${error?.message ?? ''}`);
}

function card({ id, model, revision }) {
  const chip = el('span', { class: 'chip' });
  const bar = progressBar(`Download of ${model}`);
  // Each fact keeps its place while the others come and go.
  const facts = ['percent', 'bytes', 'speed', 'eta'].map((name) => el('span', { 'data-fact': name }));
  const file = el('p', { class: 'file', 'data-fact': 'file' });
  const error = el('div');
  const actions = ACTIONS.map((action) => actionButton(id, model, ...action));
  const node = el(
    'li',
    { class: 'card download', 'data-download': id, 'data-model': model },
    el('h3', {}, modelName(model), el('span', { class: 'revision' }, revision)),
    chip,
    bar.node,
    el('p', { class: 'facts' }, facts),
    file,
    error,
    el('div', { class: 'actions' }, ...actions.map((action) => action.node)),
  );
  const update = (download) => {
    node.dataset.state = download.state;
    text(chip, STATES[download.state]);
    const told = progress(download);
    bar.update(told.part, told.facts[1]);
    facts.forEach((fact, index) => text(fact, told.facts[index]));
    text(file, fileWords(download));
    renew(error, download.error, (error) => error && problem(error));
    offer(actions, download.state);
  };
  return { node, update };
}

// The bar's part and the facts' words. Before the hub has told how much it is, nobody knows.
function progress({ state: now, bytes, total_bytes, bytes_per_second, eta_seconds }) {
  const running = now === 'running';
  if (!total_bytes) return { part: running ? null : 0, facts: ['', running ? 'Asking the hub…' : '', '', ''] };
  const part = percent(bytes, total_bytes);
  const speed = running ? `${size(bytes_per_second)}/s` : '';
  const eta = running && eta_seconds != null ? `${duration(eta_seconds)} left` : '';
  return { part, facts: [`${part} %`, `${size(bytes)} of ${size(total_bytes)}`, speed, eta] };
}

function fileWords({ files, total_files, current_file }) {
  const counted = total_files ? `${files} of ${count(total_files, 'file')}` : '';
  return [counted, current_file].filter(Boolean).join(' · ');
}

function actionButton(id, model, action, label, states) {
  const props = { 'data-action': action, 'data-writes': true, 'aria-label': `${label} download of ${model}` };
  const run = () => (action === 'dismiss' ? del(`/downloads/${id}`) : post(`/downloads/${id}/${action}`));
  return { node: button(label, props, run), states };
}

// The keyboard stays in the card when the button under it goes.
function offer(actions, now) {
  const focused = actions.find(({ node }) => node === document.activeElement);
  for (const { node, states } of actions) node.hidden = !states.includes(now);
  if (focused?.node.hidden) actions.find(({ node }) => !node.hidden)?.node.focus();
}

watch(['downloads'], render);
