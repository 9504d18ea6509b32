// The models of the store: a table to sort, filter and open, with a pin and a delete on each row.

import { del, post, segment } from './api.js';
import { button, confirm, onClick, toast } from './ask.js';
import { attribute, byId, el, list, text } from './dom.js';
import { modelFiles } from './files.js';
import { count, moment, size, specOf } from './format.js';
import { keptList, modelName, revisionMark, showAge, showBytes } from './parts.js';
import { state, watch } from './state.js';

let sortBy = 'model';
let descending = false;

const letters = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

function compare(a, b) {
  const [x, y] = [a[sortBy], b[sortBy]];
  const order = typeof x === 'string' ? letters.compare(x, y) : x - y;
  return (descending ? -order : order) || letters.compare(specOf(a), specOf(b));
}

function matches(model, words) {
  const names = `${specOf(model)} ${model.refs.join(' ')}`.toLowerCase();
  return words.every((word) => names.includes(word));
}

function render() {
  const { models, physical } = state;
  if (!models) return;
  const filter = byId('model-filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = models.filter((model) => matches(model, filter)).sort(compare);
  list(byId('models'), shown, specOf, row);
  byId('no-models').hidden = shown.length > 0;
  text(byId('no-models'), models.length ? 'No model has that in its name.' : 'There are no models yet.');
  text(byId('filter-count'), filter.length ? `${shown.length} of ${count(models.length, 'model')}` : '');
  text(byId('cache-size'), `${size(physical)} on disk, ${count(models.length, 'model')}`);
}

// A row and its details are a `tbody`, so that they stay together when the order changes.
function row({ model, revision, refs }) {
  const spec = specOf({ model, revision });
  const details = modelFiles(spec);
  const open = el('button', { type: 'button', class: 'open', 'data-action': 'details', 'aria-expanded': 'false' }, modelName(model));
  const damaged = el('span', { class: 'chip bad' }, 'damaged');
  const bytes = cell('Size', 'num');
  const exclusive = cell('Exclusive', 'num');
  const used = el('time');
  const pin = button('', { role: 'switch', class: 'switch', 'data-action': 'pin', 'aria-label': `Pin ${model}` }, () => turn(pin, spec));
  const remove = { class: 'quiet', 'data-action': 'delete', 'data-writes': true, 'aria-label': `Delete ${model}` };
  const node = el(
    'tbody',
    { 'data-model': model, 'data-revision': revision },
    el(
      'tr',
      {},
      el('th', { scope: 'row', class: 'model' }, open, damaged),
      cell('Revision', 'rev', revisionMark(revision), refs.map((ref) => el('span', { class: 'tag', title: ref }, ref))),
      bytes,
      exclusive,
      cell('Last use', 'used', used),
      cell('Pin', 'pinned', pin),
      cell('', 'acts', button('Delete', remove, () => askToDelete(spec, model))),
    ),
  );
  open.addEventListener('click', () => attribute(open, 'aria-expanded', String(details.toggle(node))));
  const update = (now) => {
    damaged.hidden = !now.degraded && !wasFoundDamaged(spec);
    showBytes(bytes, now.size);
    showBytes(exclusive, now.exclusive);
    showAge(used, now.last_used);
    attribute(pin, 'aria-checked', String(now.pinned));
    attribute(pin, 'aria-disabled', !state.status.writable && 'true');
    details.update();
  };
  return { node, update };
}

// What the last verification found is not in quarantine, or put right, yet.
function wasFoundDamaged(spec) {
  return state.verify?.damaged?.some((found) => specOf(found) === spec) ?? false;
}

// The label names the value where the table has no columns, on narrow screens.
function cell(label, name, ...children) {
  return el('td', { class: name, 'data-label': label }, ...children);
}

async function turn(pin, spec) {
  const pinned = pin.getAttribute('aria-checked') !== 'true';
  await post(`/models/${segment(spec)}/pin`, { pinned });
}

async function askToDelete(spec, model) {
  const path = `/models/${segment(spec)}`;
  const plan = await del(`${path}?dry_run=true`);
  const goes = plan.removed.length > 0;
  const title = goes ? `Delete ${model}?` : `${model} cannot be deleted now`;
  const body = [goes && el('p', {}, whatItFrees(plan)), keptList(plan.kept)];
  if (!(await confirm({ title, body, yes: goes ? 'Delete' : null }))) return;
  const done = await del(`${path}?dry_run=false`);
  toastWithUndo(`${model} was deleted.`, done.until == null ? [] : done.removed);
}

function whatItFrees({ freed_bytes, later_bytes, until }) {
  if (until == null) return `This frees ${size(freed_bytes)}. It cannot be undone.`;
  const now = freed_bytes ? `This frees ${size(freed_bytes)} now. ` : '';
  const later = `It goes to the trash, from where it can be restored until ${moment(until)}.`;
  return `${now}${later} Then ${size(later_bytes)} come back.`;
}

// `specs` are in the trash and can be brought back.
export function toastWithUndo(message, specs) {
  const run = async () => {
    for (const spec of specs) await post(`/trash/${segment(spec)}/restore`);
    toast(specs.length === 1 ? `${specs[0].split('@')[0]} is back.` : `${specs.length} models are back.`);
  };
  toast(message, specs.length ? { action: { label: 'Undo', run } } : {});
}

const headers = document.querySelectorAll('#models th[data-sort]');

// A second click on a column turns it round. Numbers begin with the largest.
function sort(key) {
  descending = key === sortBy ? !descending : !['model', 'revision'].includes(key);
  sortBy = key;
  for (const header of headers) {
    const order = descending ? 'descending' : 'ascending';
    attribute(header, 'aria-sort', header.dataset.sort === key && order);
  }
  render();
}

for (const { firstElementChild, dataset } of headers) onClick(firstElementChild, () => sort(dataset.sort));
byId('model-filter').addEventListener('input', render);
watch(['models', 'verify'], render);
