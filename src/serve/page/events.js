// The server's events, for as long as the page is open. Read with fetch, because EventSource
// cannot send a token.

import { send } from './api.js';

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 30_000;
// Comments keep the stream alive; one that is silent for so long is dead, whatever TCP says.
const SILENCE = 60_000;

// Calls `heard(event, data)` for each event, and `connected(true | false)` as the stream comes and
// goes.
export async function follow(heard, connected) {
  for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    const started = () => {
      wait = FIRST_WAIT;
      connected(true);
    };
    await once(heard, started).catch(() => {});
    connected(false);
    await pause(wait * (0.75 + Math.random() / 2));
  }
}

async function once(heard, started) {
  const abort = new AbortController();
  let watchdog = setTimeout(() => abort.abort(), SILENCE);
  try {
    const response = await send('GET', '/events', undefined, abort.signal);
    if (!response.ok) return;
    started();
    let rest = '';
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(), SILENCE);
      const blocks = (rest + part.value).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) tell(block, heard);
    }
  } finally {
    clearTimeout(watchdog);
  }
}

function tell(block, heard) {
  const fields = { event: '', data: '' };
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trim();
  }
  if (fields.event) heard(fields.event, JSON.parse(fields.data));
}

// Shorter when the network comes back.
function pause(milliseconds) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    addEventListener('online', resolve, { once: true });
  });
}
