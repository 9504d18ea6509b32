// The page: which view is shown, and what stands above all of them.

import { attribute, byId, text } from './dom.js';
import { age, until } from './format.js';
import { start, state, watch } from './state.js';
import './download.js';
import './downloads.js';
import './models.js';
import './trash.js';
import './storage.js';
import './limit.js';
import './upkeep.js';
import './verify.js';
import './sharing.js';

const VIEWS = ['download', 'models', 'storage', 'sharing'];

function route() {
  const wanted = location.hash.slice(1);
  const view = VIEWS.includes(wanted) ? wanted : VIEWS[0];
  for (const name of VIEWS) {
    byId(`view-${name}`).hidden = name !== view;
    attribute(document.querySelector(`[data-tab="${name}"]`), 'aria-current', name === view && 'page');
  }
  document.title = `${view[0].toUpperCase()}${view.slice(1)} – tonnage`;
  scrollTo(0, 0);
}

function showConnection() {
  const node = byId('connection');
  node.dataset.state = state.connected ? 'live' : 'lost';
  text(node, state.connected ? 'Live' : 'Connection lost, trying again…');
}

function showStatus() {
  if (!state.status) return;
  const { store, version, writable, offline } = state.status;
  text(byId('store-path'), store);
  byId('store-path').title = `tonnage ${version}, store at ${store}`;
  document.body.classList.toggle('read-only', !writable);
  const notices = [];
  if (!writable) notices.push('This store can only be looked at here.');
  if (offline) notices.push('Offline: nothing is fetched from the hub.');
  showNotice(notices.join(' '));
}

function showTrouble() {
  if (state.trouble) showNotice([state.trouble.message, state.trouble.hint].filter(Boolean).join(' '));
}

function showNotice(words) {
  byId('notice').hidden = !words;
  text(byId('notice'), words);
}

// Times are told from now, so they go on while nothing happens.
function tick() {
  for (const node of document.querySelectorAll('time[data-age]')) text(node, age(Number(node.dataset.age)));
  for (const node of document.querySelectorAll('time[data-until]')) text(node, until(Number(node.dataset.until)));
}

addEventListener('hashchange', route);
setInterval(tick, 30_000);
watch(['connected'], showConnection);
watch(['status'], showStatus);
watch(['trouble'], showTrouble);
route();
start();
