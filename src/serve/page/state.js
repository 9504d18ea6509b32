// What the page knows of the store. It is what the server said last, never what a click hopes for,
// so two tabs that are open show the same.

import { get } from './api.js';
import { follow } from './events.js';

export const state = {
  connected: null,
  trouble: null,
  status: null,
  models: null,
  physical: 0,
  trash: null,
  space: null,
  downloads: null,
  verify: null,
  families: null,
};

const watchers = [];

// Calls `render` whenever one of `keys` was told anew.
export function watch(keys, render) {
  watchers.push({ keys, render });
}

function tell(changes) {
  Object.assign(state, changes);
  for (const { keys, render } of watchers) {
    if (keys.some((key) => key in changes)) render();
  }
}

// Many changes in a row are asked about once, and again when there was one while asking.
const BETWEEN = 500;
let running = null;
let again = false;

// Asks for everything that a `store` event may have changed; resolves when the answer is shown.
function refresh() {
  if (running) again = true;
  running ??= ask().finally(() => (running = null));
  return running;
}

async function ask() {
  do {
    again = false;
    try {
      const [status, models, trash, space, sharing] = await Promise.all(
        ['/status', '/models', '/trash', '/space', '/sharing'].map((path) => get(path)),
      );
      const { families } = sharing;
      tell({ status, ...models, trash: trash.trashed, space, families, trouble: null });
    } catch (error) {
      tell({ trouble: error });
    }
    if (again) await new Promise((resolve) => setTimeout(resolve, BETWEEN));
  } while (again);
}

export function start() {
  follow(
    (event, data) => {
      if (event === 'downloads') tell(data);
      else if (event === 'verify') tell({ verify: data });
      else if (event === 'store') refresh();
    },
    (connected) => {
      tell({ connected });
      if (connected) refresh();
    },
  );
}
