// The form for a new download, and the plan that it shows first.

import { post } from './api.js';
import { announce, onClick } from './ask.js';
import { attribute, byId, el, list, renew, text } from './dom.js';
import { count, percent, size } from './format.js';
import { figures, modelName, problem, revisionMark, showBytes } from './parts.js';

// What the plan on show was made from; the download asks for the same.
let request = null;
let planning = null;

const patterns = (id) => byId(id).value.split(/[\s,]+/).filter(Boolean);

async function askForPlan(event) {
  event.preventDefault();
  planning?.abort();
  const mine = (planning = new AbortController());
  const wanted = { model: byId('model-name').value.trim(), include: patterns('include'), exclude: patterns('exclude') };
  attribute(byId('plan-button'), 'aria-busy', 'true');
  showProblem(null);
  try {
    const plan = await post('/plan', wanted, mine.signal);
    request = wanted;
    show(plan);
  } catch (error) {
    if (error.name === 'AbortError') return;
    close();
    showProblem(error);
  } finally {
    if (mine === planning) attribute(byId('plan-button'), 'aria-busy', null);
  }
}

function showProblem(error) {
  byId('plan-error').hidden = !error;
  byId('plan-error').replaceChildren(error ? problem(error) : '');
}

function show(plan) {
  byId('plan').hidden = false;
  byId('plan-title').replaceChildren(modelName(plan.model), revisionMark(plan.commit));
  const [kind, words] = verdict(plan);
  byId('plan-verdict').className = `verdict ${kind}`;
  byId('plan-verdict').dataset.fits = plan.fits;
  text(byId('plan-verdict'), words);
  renew(byId('plan-figures'), plan, planFigures);
  list(byId('plan-files').tBodies[0], plan.files, (file) => file.path, fileRow);
  const button = byId('download-button');
  text(button, plan.new_bytes > 0 ? `Download ${size(plan.new_bytes)}` : 'Download');
  const nothing = plan.is_here || plan.fits === 'no' || plan.files.length === 0;
  attribute(button, 'aria-disabled', nothing && 'true');
}

function verdict({ is_here, files, fits, new_bytes, free_bytes, evictable_bytes }) {
  if (is_here) return ['good', 'Everything is here already.'];
  if (files.length === 0) return ['bad', 'No file matches.'];
  if (fits === 'yes') return ['good', 'It fits.'];
  const lacking = size(Math.max(0, new_bytes - free_bytes));
  if (fits === 'evicting') return ['warn', `It fits when the least recently used models make room for ${lacking}.`];
  return ['bad', `It does not fit: it needs ${lacking} more, and ${size(evictable_bytes)} could be evicted.`];
}

function planFigures(plan) {
  return figures([
    ['total', 'In all', plan.total_bytes, count(plan.files.length, 'file')],
    ['have', 'Here already', plan.have_bytes],
    ['new', 'To download', plan.new_bytes],
    ['free', 'Free', plan.free_bytes],
    ['evictable', 'Could be evicted', plan.evictable_bytes],
  ]);
}

function fileRow({ path }) {
  const bytes = el('td', { class: 'num' });
  const here = el('td');
  const node = el('tr', { 'data-file': path }, el('th', { scope: 'row', class: 'path' }, el('bdi', {}, path)), bytes, here);
  const update = (file) => {
    node.dataset.state = file.state;
    showBytes(bytes, file.size);
    text(here, hereWords(file));
  };
  return { node, update };
}

function hereWords({ state, have, size: all }) {
  if (state === 'here') return '✓ all';
  return state === 'partial' ? `${percent(have, all)} %` : '–';
}

async function download() {
  const { model } = await post('/downloads', request);
  announce(`Download of ${model} is on its way.`);
  byId('model-name').value = '';
  close();
}

function close() {
  byId('plan').hidden = true;
  byId('model-name').focus();
}

byId('plan-form').addEventListener('submit', askForPlan);
onClick(byId('download-button'), download);
onClick(byId('plan-close'), close);
