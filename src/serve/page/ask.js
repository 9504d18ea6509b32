// Talking with the user: toasts, questions, and buttons that do one thing at a time.

import { onTokenWanted } from './api.js';
import { attribute, byId, el, text } from './dom.js';

// How long a toast stays, in milliseconds; longer when there is something to do about it.
const SHOWN = 6000;
const SHOWN_LONG = 15_000;

const box = byId('toast');
let timer = null;

// A line at the bottom for a while. `action` is `{ label, run }`.
export function toast(message, { action = null, hint = null, bad = false } = {}) {
  const act = action && button(action.label, { id: 'toast-action', class: 'quiet' }, () => (hideToast(), action.run()));
  const close = el('button', { class: 'quiet', 'data-action': 'dismiss-toast', 'aria-label': 'Dismiss', onclick: hideToast }, '×');
  box.replaceChildren(el('p', {}, message, hint && el('span', { class: 'hint' }, hint)), act ?? '', close);
  box.className = bad ? 'bad' : '';
  box.dataset.shown = action || bad ? SHOWN_LONG : SHOWN;
  wait();
}

function hideToast() {
  hold();
  box.replaceChildren();
  delete box.dataset.shown;
}

function wait() {
  hold();
  if (box.dataset.shown) timer = setTimeout(hideToast, box.dataset.shown);
}

function hold() {
  clearTimeout(timer);
}

// Nobody should have to hurry who reads it or is on the way to its button.
for (const event of ['mouseenter', 'focusin']) box.addEventListener(event, hold);
for (const event of ['mouseleave', 'focusout']) box.addEventListener(event, wait);

// For those who do not see the page.
export function announce(message) {
  text(byId('announcer'), message);
}

export function showError(error) {
  if (error.name !== 'AbortError') toast(error.message, { hint: error.hint, bad: true });
}

// Runs `work` on a click, unless it still runs, and says what went wrong. The button stays
// focusable meanwhile, so that the keyboard does not lose its place.
export function onClick(node, work) {
  node.addEventListener('click', async () => {
    if (node.hasAttribute('aria-busy') || node.hasAttribute('aria-disabled')) return;
    attribute(node, 'aria-busy', 'true');
    try {
      await work();
    } catch (error) {
      showError(error);
    } finally {
      attribute(node, 'aria-busy', null);
    }
  });
  return node;
}

export function button(label, props, work) {
  return onClick(el('button', { type: 'button', ...props }, label), work);
}

// Asks, and resolves to whether the answer was `yes`. Without `yes` there is only something to
// read.
export function confirm({ title, body, yes = null }) {
  const dialog = byId('confirm');
  text(byId('confirm-title'), title);
  byId('confirm-body').replaceChildren(...body.filter(Boolean));
  byId('confirm-yes').hidden = yes === null;
  text(byId('confirm-yes'), yes ?? '');
  text(byId('confirm-no'), yes ? 'Cancel' : 'Close');
  return new Promise((resolve) => {
    open(dialog, () => resolve(dialog.returnValue === 'yes'));
  });
}

function open(dialog, closed) {
  dialog.returnValue = '';
  dialog.addEventListener('close', closed, { once: true });
  dialog.showModal();
}

onTokenWanted((again) => {
  byId('token-refused').hidden = !again;
  byId('token').value = '';
  return new Promise((resolve) => {
    open(byId('token-dialog'), () => resolve(byId('token').value.trim()));
  });
});
