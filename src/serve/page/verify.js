// Looking whether the store's bytes are still what they were.

import { post } from './api.js';
import { announce, button, onClick } from './ask.js';
import { byId, el, renew, text } from './dom.js';
import { age, count, moment, percent, size, specOf } from './format.js';
import { modelName, problem, progressBar, revisionMark, showAge } from './parts.js';
import { state, watch } from './state.js';

const bar = progressBar('Verifying');
const facts = el('p', { class: 'facts' });
byId('verify-progress').append(bar.node, facts);
let before = null;

function render() {
  const { running, checked_bytes, total_bytes, checked_files, damaged, ...more } = state.verify;
  const part = total_bytes ? percent(checked_bytes, total_bytes) : null;
  const bytes = `${size(checked_bytes)} of ${size(total_bytes)}`;
  byId('verify-progress').hidden = !running;
  byId('verify-button').hidden = running;
  byId('verify-cancel').hidden = !running;
  bar.update(part, bytes);
  text(facts, `${part ?? 0} %, ${bytes}, ${count(checked_files, 'file')}`);
  const node = byId('verify-result');
  node.dataset.damaged = damaged.length;
  const checked = `${count(checked_files, 'file')}, ${size(checked_bytes)}`;
  renew(node, running ? { damaged } : { damaged, checked, ...more }, result);
  // One may begin and end between two events, so what is told is that there is news.
  const now = JSON.stringify(state.verify);
  if (before !== null && !running && now !== before) announce(node.textContent);
  before = now;
}

function result({ damaged, mended = [], repair, checked, finished, error }) {
  if (error) return [problem(error), damageList(damaged)];
  const when = el('time');
  if (finished) showAge(when, finished);
  const good = mended.length > 0 && el('p', { 'data-mended': mended.length }, `✓ Mended: ${mended.map(({ path }) => path).join(', ')}.`);
  if (!damaged.length) return finished ? [good, el('p', {}, `✓ No ${good ? 'other ' : ''}damage in ${checked}, `, when)] : [];
  const one = damaged.length === 1;
  const message = `${count(damaged.length, 'file')} ${one ? 'is' : 'are'} damaged.`;
  const hint = repair
    ? `${one ? 'It' : 'They'} could not be mended, so nobody is given ${one ? 'it' : 'them'}. Download or add the model again.`
    : 'Mending takes what is wrong from other copies here, or from the hub.';
  const mend = button('Mend', { id: 'mend-button', 'data-writes': true }, () => askToMend(damaged));
  return [good, problem({ message, hint }), damageList(damaged), !repair && el('div', { class: 'actions' }, mend), finished && el('p', { class: 'summary' }, `Of ${checked}, `, when)];
}

// Read again: what was damaged may be another file by now.
function askToMend(damaged) {
  const models = [...new Set(damaged.map(specOf))];
  return post('/verify', { models, full: true, repair: true });
}

function damageList(damaged) {
  const items = damaged.map(({ model, revision, path, why }) =>
    el('li', { 'data-damaged': path }, modelName(model), revisionMark(revision), el('br'), el('bdi', { class: 'path', title: why }, path), `: ${inWords(why)}`),
  );
  return el('ul', { class: 'kept' }, ...items);
}

// A whole second hash says nothing to a person.
const inWords = (why) => (why.includes('hash to') ? 'its bytes are not its own' : why);

function showScrub() {
  const { oldest_verified, never_verified } = state.space ?? {};
  const words = [];
  if (oldest_verified != null) words.push(`The file that was not read for longest was read ${age(oldest_verified)}.`);
  if (never_verified) words.push('Some were never read since they came.');
  byId('last-scrub').title = oldest_verified == null ? '' : moment(oldest_verified);
  text(byId('last-scrub'), words.join(' '));
}

onClick(byId('verify-button'), () => post('/verify', { models: null, full: byId('verify-full').checked }));
onClick(byId('verify-cancel'), () => post('/verify/cancel'));
watch(['space'], showScrub);
watch(['verify'], render);
