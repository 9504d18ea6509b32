// Making room in the store.

import { get, post } from './api.js';
import { confirm, onClick, toast } from './ask.js';
import { attribute, byId, el, text } from './dom.js';
import { count, size, specOf } from './format.js';
import { toastWithUndo } from './models.js';
import { goingList, keptList, problem } from './parts.js';
import { state, watch } from './state.js';

// What a plan removes and what it keeps. `goal` is what the store was to take at most.
export function planDetails({ evicted, kept, freed_bytes, before, after }, goal) {
  const what = evicted.length ? `${count(evicted.length, 'model')} would go` : 'What is in the trash would go for good';
  const change = freed_bytes ? `${what}, ${size(freed_bytes)} come back: the store goes from ${size(before)} to ${size(after)}.` : `${what}.`;
  const missed = after > goal && { message: `That is still more than ${size(goal)}, because of what has to stay.` };
  return [
    el('p', {}, evicted.length || freed_bytes ? change : 'Nothing would be removed.'),
    missed && problem(missed),
    goingList(evicted),
    (missed || goal === undefined) && keptList(kept),
  ];
}

const outcome = ({ evicted, freed_bytes }) => `${count(evicted.length, 'model')} went, ${size(freed_bytes)} came back.`;

async function optimize() {
  const { max_bytes } = state.space.limit;
  const plan = await post('/space/plan', { max_bytes });
  const goes = plan.before > max_bytes && plan.freed_bytes > 0;
  const title = goes ? `Evict to fit ${size(max_bytes)}?` : 'Nothing to evict';
  const forGood = goes && el('p', { class: 'summary' }, 'What is evicted is gone, not in the trash.');
  const body = [...planDetails(plan, max_bytes), forGood];
  if (!(await confirm({ title, body, yes: goes ? 'Evict' : null }))) return;
  const done = await post('/space/evict', { max_bytes });
  toast(outcome(done));
}

async function clear() {
  const plan = await post('/space/clear', { dry_run: true });
  const goes = plan.evicted.length > 0 || plan.freed_bytes > 0;
  const title = goes ? 'Clear the store?' : 'Nothing to clear';
  if (!(await confirm({ title, body: planDetails(plan), yes: goes ? 'Clear' : null }))) return;
  const done = await post('/space/clear', { dry_run: false });
  // What went to the trash can still be brought back, and its bytes come back later.
  const inTrash = new Set((await get('/trash')).trashed.map(specOf));
  const back = done.evicted.map(specOf).filter((spec) => inTrash.has(spec));
  toastWithUndo(back.length ? `${count(back.length, 'model')} went to the trash.` : outcome(done), back);
}

function render() {
  const limit = state.space?.limit.max_bytes ?? null;
  attribute(byId('optimize-button'), 'aria-disabled', limit === null && 'true');
  const what = `Evicts the least recently used models until the store fits its limit of ${size(limit ?? 0)}.`;
  text(byId('optimize-words'), limit === null ? 'There is no limit to fit. Set one above.' : what);
}

onClick(byId('optimize-button'), optimize);
onClick(byId('clear-button'), clear);
watch(['space'], render);
