// Requests to the server, and what its errors mean.

const BASE = '/api/tonnage/v1';
const TOKEN = 'tonnage-token';

// What went wrong, in words: `message`, and `hint` when there is something to do about it.
export class ApiError extends Error {
  constructor({ kind, message, hint }) {
    super(message);
    this.kind = kind;
    this.hint = hint ?? null;
  }
}

const UNREACHABLE = {
  kind: 'unreachable',
  message: 'The server does not answer.',
  hint: 'Is tonnage serve still running?',
};

let askForToken = async () => {};
let asking = null;

// `ask(again)` gets a token from the user; `again` when the last one was refused.
export function onTokenWanted(ask) {
  askForToken = ask;
}

export const get = (path, signal) => json('GET', path, undefined, signal);
export const post = (path, body, signal) => json('POST', path, body, signal);
export const put = (path, body) => json('PUT', path, body);
export const del = (path) => json('DELETE', path);

// A spec as one segment of a path.
export const segment = encodeURIComponent;

async function json(method, path, body, signal) {
  const response = await send(method, path, body, signal);
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

// The raw answer, after asking for a token as often as the server wants one.
export async function send(method, path, body, signal) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const response = await attempt(method, path, body, signal, token);
    if (response.status !== 401) return response;
    // Another request may have got a new one meanwhile.
    if (token === sessionStorage.getItem(TOKEN)) await newToken(token !== null);
  }
}

async function attempt(method, path, body, signal, token) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (method !== 'GET') headers['X-Tonnage'] = '1';
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  try {
    return await fetch(BASE + path, { method, headers, body: JSON.stringify(body), signal, cache: 'no-store' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(UNREACHABLE);
  }
}

// However many requests were refused, one question.
async function newToken(again) {
  asking ??= askForToken(again).finally(() => (asking = null));
  const token = await asking;
  if (token) sessionStorage.setItem(TOKEN, token);
}

async function failure(response) {
  const body = await response.json().catch(() => null);
  const message = `The server answered ${response.status} ${response.statusText}`.trim();
  return new ApiError(body?.error ?? { kind: 'failure', message });
}
