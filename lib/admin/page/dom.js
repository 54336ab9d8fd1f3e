/** Building and changing the document. Everything goes in as text; what cannot be seen is made visible first. */

const SVG = 'http://www.w3.org/2000/svg';

/** Control characters, and those that turn the direction of text or take no room: a name must look like what it is. */
const UNSEEN = /[\p{Cc}\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu;

export function seen(text) {
  return String(text).replace(UNSEEN, character => {
    const code = character.codePointAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}

/** An element with attributes (null leaves one out) and children: elements, or text. */
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) put(element, name, value);
  element.append(...children.map(child => (child instanceof Node ? child : seen(child))));
  return element;
}

/** Sets an attribute, or takes it away for null; touches the document only where something changes. */
export function put(element, name, value) {
  if (value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, seen(value));
}

export function say(element, text) {
  const wanted = seen(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

const partsOf = new WeakMap();

/**
 * Makes `parent` hold one part for each item, in their order: parts of items that stay are updated where they are,
 * so that the focus and an open menu outlive it. `create(item)` gives `{ element, update(item) }`.
 */
export function each(parent, items, keyOf, create) {
  const parts = partsOf.get(parent) ?? new Map();
  partsOf.set(parent, parts);
  const wanted = new Map(items.map(item => [keyOf(item), item]));
  for (const [key, part] of parts) {
    if (wanted.has(key)) continue;
    part.element.remove();
    parts.delete(key);
  }
  let at = 0;
  for (const [key, item] of wanted) {
    let part = parts.get(key);
    if (part === undefined) {
      part = create(item);
      parts.set(key, part);
    }
    if (parent.children[at] !== part.element) parent.insertBefore(part.element, parent.children[at] ?? null);
    part.update(item);
    at++;
  }
}

const SHAPES = {
  ok: ['M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z', 'M5.2 8.2l2 2 3.6-4'],
  note: ['M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z', 'M5.2 8h5.6'],
  warn: ['M8 1.5 15 14H1z', 'M8 6v4M8 12v.3'],
  soon: ['M8 1.5 15 14H1z', 'M8 6v4M8 12v.3'],
  full: ['M8 1 15 8 8 15 1 8z', 'M8 4.8v4M8 11v.3'],
  bad: ['M5 1.5h6L14.5 5v6L11 14.5H5L1.5 11V5z', 'M5.5 5.5l5 5m0-5-5 5'],
  drain: ['M8 2a6 6 0 1 1 0 12A6 6 0 0 1 8 2z', 'M8 4.6v5.6M5.6 8.4 8 10.8l2.4-2.4'],
  maint: ['M3 2h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1V3a1 1 0 0 1 1-1z', 'M6 5.2v5.6M10 5.2v5.6'],
};

/** A small sign; its form alone tells the levels apart. The word beside it is what is read out. */
export function sign() {
  const body = svg('path', { class: 'sign-body' });
  const mark = svg('path', { class: 'sign-mark' });
  const element = svg('svg', { class: 'sign', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, body, mark);
  return {
    element,
    update(level) {
      put(element, 'data-level', level);
      const [outline, drawing] = SHAPES[level];
      put(body, 'd', outline);
      put(mark, 'd', drawing);
    },
  };
}

/** A sign and a word. */
export function chip() {
  const mark = sign();
  const word = h('span', { class: 'word' });
  const element = h('span', { class: 'chip' }, mark.element, word);
  return {
    element,
    update(level, text) {
      put(element, 'data-level', level);
      mark.update(level);
      say(word, text);
    },
  };
}

/** How much of a bound is used. Beyond the bound it is simply full; without one it is not shown. */
export function bar() {
  const used = svg('rect', { class: 'bar-used', height: 4, width: 0, rx: 2 });
  const element = svg(
    'svg',
    { class: 'bar', viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('rect', { class: 'bar-all', width: 100, height: 4, rx: 2 }),
    used,
  );
  return {
    element,
    update(count, limit) {
      put(
        element,
        'data-bound',
        limit === null
          ? 'none'
          : limit > 0 && count >= limit
            ? 'full'
            : count >= limit * 0.8
              ? 'near'
              : 'free',
      );
      put(used, 'width', limit === null || limit === 0 ? 0 : Math.min(100, (100 * count) / limit).toFixed(1));
    },
  };
}
