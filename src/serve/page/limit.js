// The limit of the store: a slider and a field for one number, and what that would remove.

import { post, put } from './api.js';
import { announce, onClick, showError, toast } from './ask.js';
import { attribute, byId, el, renew, text } from './dom.js';
import { count, size } from './format.js';
import { state, watch } from './state.js';
import { markLimit } from './storage.js';
import { planDetails } from './upkeep.js';

const GB = 1e9;
// About how many places the slider has, and for how many milliseconds it rests before it asks.
const PLACES = 500;
const REST = 250;

const slider = byId('limit-slider');
const field = byId('limit-number');
const none = byId('limit-none');

// What the form says, in bytes: null is no limit, undefined that nobody touched it.
let wanted;
// The plan for `wanted`, once it is here.
let plan = null;
let asking = null;
let timer = null;

const inEffect = () => state.space.limit.max_bytes;
const changed = () => wanted !== undefined && wanted !== inEffect();

// The next number that is 1, 2 or 5 and zeros.
function round(bytes) {
  const power = 10 ** Math.floor(Math.log10(bytes));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= bytes);
}

function render() {
  if (!state.space) return;
  const total = state.space.disk_total;
  slider.step = round(Math.max(total / PLACES, 1));
  slider.max = Math.ceil(total / slider.step) * slider.step;
  if (!changed()) wanted = undefined;
  showValue();
  askSoon();
}

// Does not write into the field that the user is in.
function showValue() {
  const value = changed() ? wanted : inEffect();
  const drawn = value ?? state.space.physical;
  none.checked = slider.disabled = field.disabled = value === null;
  slider.value = drawn;
  attribute(slider, 'aria-valuetext', value === null ? 'No limit' : size(drawn));
  if (value === null) field.value = '';
  else if (document.activeElement !== field) field.value = Number((drawn / GB).toFixed(1));
  markLimit(value);
}

function want(bytes) {
  wanted = bytes;
  plan = null;
  showValue();
  askSoon();
}

function askSoon() {
  clearTimeout(timer);
  asking?.abort();
  if (!changed() || wanted === null) plan = null;
  else timer = setTimeout(askForPlan, REST);
  showOutcome();
}

async function askForPlan() {
  asking = new AbortController();
  try {
    plan = await post('/space/plan', { max_bytes: wanted }, asking.signal);
    showOutcome();
    announce(byId('limit-plan').firstChild.textContent);
  } catch (error) {
    showError(error);
  }
}

function showOutcome() {
  const removes = plan?.evicted.length ?? 0;
  const ready = changed() && (wanted === null || plan !== null);
  const apply = byId('limit-apply');
  attribute(apply, 'aria-disabled', !ready && 'true');
  attribute(byId('limit-reset'), 'aria-disabled', !changed() && 'true');
  text(apply, removes ? `Apply and remove ${count(removes, 'model')}` : 'Apply');
  apply.classList.toggle('danger', removes > 0);
  renew(byId('limit-plan'), [changed(), wanted, inEffect(), plan], outcome);
}

function outcome() {
  if (!changed()) return el('p', {}, inEffect() === null ? 'There is no limit.' : `The limit is ${size(inEffect())}.`);
  if (wanted === null) return el('p', {}, 'Without a limit nothing would be removed.');
  return plan ? planDetails(plan, wanted) : el('p', {}, 'Looking what would go…');
}

async function apply() {
  const max_bytes = wanted;
  const evict = max_bytes !== null && plan.before > max_bytes;
  await put('/space/limit', { max_bytes });
  const done = evict ? await post('/space/evict', { max_bytes }) : { evicted: [] };
  const limit = max_bytes === null ? 'There is no limit now.' : `The limit is ${size(max_bytes)} now.`;
  const gone = done.evicted.length ? ` ${count(done.evicted.length, 'model')} went, ${size(done.freed_bytes)} came back.` : '';
  toast(limit + gone);
}

slider.addEventListener('input', () => want(Number(slider.value)));
field.addEventListener('input', () => {
  if (field.value !== '' && field.validity.valid) want(Math.round(Number(field.value) * GB));
});
none.addEventListener('change', () => want(none.checked ? null : (inEffect() ?? Number(slider.max))));
byId('limit-form').addEventListener('submit', (event) => event.preventDefault());
onClick(byId('limit-apply'), apply);
onClick(byId('limit-reset'), () => {
  wanted = undefined;
  render();
});
watch(['space'], render);
