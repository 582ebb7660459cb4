// Small helpers to build the document. Text always goes in as text, never as markup.

export const $ = (id) => document.getElementById(id);

/** el("button", { class: "x", onclick }, "text", child) */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** An SVG element; the same rules as `el`. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Writes only what changed: assigning equal text would still make screen readers speak. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Replaces the children of `parent` unless `signature` is the one shown already, so that focus survives. */
export function redraw(parent, signature, draw) {
  const key = JSON.stringify(signature);
  if (parent.dataset.drawn === key) return;
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  parent.replaceChildren(...[draw()].flat());
  parent.dataset.drawn = key;
  if (focused) parent.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

/** A button that copies what `text()` returns and says so for a moment. */
export function copyButton(label, text) {
  const button = el("button", { type: "button", class: "button quiet" }, label);
  onCopy(button, text);
  return button;
}

export function onCopy(button, text) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const copied = await copy(text());
    button.textContent = copied ? "Copied" : "Select and copy by hand";
    setTimeout(() => (button.textContent = label), 1600);
  });
}

/** `navigator.clipboard` exists on https and loopback only; elsewhere the old way. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { readonly: true, class: "offscreen" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
