import { svg } from "./dom.js";

const SHAPES = {
  play: [["path", { d: "M8 5.5v13l10.5-6.5Z" }]],
  pause: [["path", { d: "M7 5.5h3.5v13H7Zm6.5 0H17v13h-3.5Z" }]],
  sound: [["path", { d: "M4 9.5h3.5L12 5.5v13l-4.5-4H4Z" }], ["path", { class: "line", d: "M15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11" }]],
  muted: [["path", { d: "M4 9.5h3.5L12 5.5v13l-4.5-4H4Z" }], ["path", { class: "line", d: "m16 9.5 5 5m0-5-5 5" }]],
  full: [["path", { class: "line", d: "M5 9.5V5h4.5M14.5 5H19v4.5M19 14.5V19h-4.5M9.5 19H5v-4.5" }]],
  small: [["path", { class: "line", d: "M9.5 5v4.5H5M19 9.5h-4.5V5M14.5 19v-4.5H19M5 14.5h4.5V19" }]],
};

/** Puts the icon `name` into `button` and names it for those who do not see it. */
export function setIcon(button, name, label) {
  if (button.dataset.icon !== name) {
    const shapes = SHAPES[name].map(([tag, attributes]) => svg(tag, attributes));
    button.replaceChildren(svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, ...shapes));
    button.dataset.icon = name;
  }
  button.setAttribute("aria-label", label);
}
