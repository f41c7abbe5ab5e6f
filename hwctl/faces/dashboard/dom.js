// Small functions around the DOM. Text is always set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (`text`, `on`, `testid` are special) and children. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "testid") element.dataset.testid = value;
    else if (name === "on") {
      for (const [kind, listener] of Object.entries(value)) element.addEventListener(kind, listener);
    } else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Changes the text only if it differs: the page is told four times a second. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

export function setAttribute(element, name, value) {
  if (value === null || value === undefined) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

/** 0..1 as a custom property, for bars. Unknown takes it away. */
export function setRatio(element, name, ratio) {
  if (ratio === null) element.style.removeProperty(name);
  else element.style.setProperty(name, Math.min(1, Math.max(0, ratio)).toFixed(4));
}

/** Keeps one view for each id, in the given order; views have `root` and `update(state)`. */
export function reconcile(parent, views, states, make) {
  const seen = new Set();
  states.forEach((state, index) => {
    seen.add(state.id);
    let view = views.get(state.id);
    if (!view) views.set(state.id, (view = make(state)));
    if (parent.children[index] !== view.root) parent.insertBefore(view.root, parent.children[index] ?? null);
    view.update(state);
  });
  for (const [id, view] of views) {
    if (!seen.has(id)) {
      view.root.remove();
      views.delete(id);
    }
  }
}
