// What was removed and can be brought back.

import { post, segment } from './api.js';
import { button, toast } from './ask.js';
import { byId, el, list, text } from './dom.js';
import { count, moment, size, specOf, until } from './format.js';
import { modelName, revisionMark } from './parts.js';
import { state, watch } from './state.js';

function render() {
  if (!state.trash) return;
  byId('trash-section').hidden = state.trash.length === 0;
  list(byId('trash'), state.trash, specOf, item);
}

function item(one) {
  const facts = el('span', { class: 'num' });
  const gone = el('time');
  const node = el(
    'li',
    { 'data-trashed': specOf(one), 'data-model': one.model },
    el('span', {}, modelName(one.model), revisionMark(one.revision)),
    facts,
    el('span', { class: 'summary' }, 'goes ', gone),
    button('Restore', { 'data-action': 'restore', 'data-writes': true, 'aria-label': `Restore ${one.model}` }, () => restore(one)),
  );
  const update = (now) => {
    text(facts, `${size(now.size)}, ${count(now.files, 'file')}`);
    gone.dataset.until = now.until;
    gone.title = moment(now.until);
    text(gone, until(now.until));
  };
  return { node, update };
}

async function restore(one) {
  const { refs } = await post(`/trash/${segment(specOf(one))}/restore`);
  toast(refs.length ? `${one.model} is back as ${refs.join(', ')}.` : `${one.model} is back.`);
}

watch(['trash'], render);
