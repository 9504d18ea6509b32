// What the views need of the DOM. Everything that the server says becomes a text node or an
// attribute's value, never markup: names are other people's.

export const byId = (id) => document.getElementById(id);

// An element. Functions among `props` are listeners (`onclick`), the others attributes; children
// that are null or false are left out.
export function el(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === 'function') node.addEventListener(key.slice(2), value);
    else attribute(node, key, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

// Sets only what changes, so that a live page disturbs neither a selection nor a screen reader.
export function text(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

export function attribute(node, key, value) {
  if (value == null || value === false) node.removeAttribute(key);
  else if (node.getAttribute(key) !== String(value)) node.setAttribute(key, value === true ? '' : value);
}

const renewed = new WeakMap();

// Makes `node`'s children anew, with `make`, when `value` is not what it was at the last time.
export function renew(node, value, make) {
  const told = JSON.stringify(value);
  if (renewed.get(node) === told) return;
  renewed.set(node, told);
  node.replaceChildren(...[make(value)].flat().filter(Boolean));
}

const kept = new WeakMap();

// Makes `parent`'s children those of `items`, keeping the nodes whose keys stay, and with them
// focus, open details and running transitions. `make` gives `{ node, update }`.
export function list(parent, items, keyOf, make) {
  const before = kept.get(parent) ?? new Map();
  const after = new Map(items.map((item) => [keyOf(item), null]));
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  for (const [key, { node }] of before) if (!after.has(key)) node.remove();
  let last = parent.tHead ?? null;
  for (const item of items) {
    const entry = before.get(keyOf(item)) ?? make(item);
    entry.update(item);
    after.set(keyOf(item), entry);
    const next = last ? last.nextSibling : parent.firstChild;
    if (next !== entry.node) parent.insertBefore(entry.node, next);
    last = entry.node;
  }
  kept.set(parent, after);
  keepFocus(parent, focused);
}

// A node that was moved loses the focus; one that was removed leaves it to the view's heading.
function keepFocus(parent, focused) {
  if (!focused || document.activeElement === focused) return;
  const next = focused.isConnected ? focused : parent.closest('main > section').querySelector('h1');
  next.focus({ preventScroll: true });
}
