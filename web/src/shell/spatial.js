// Arrow keys move the focus to what lies next in their direction: a television's remote has no others.

import { nearest } from "./nearest.js";

const FOCUSABLE = "a[href], button:not(:disabled), input:not(:disabled), summary, [tabindex='0']";
const DIRECTIONS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

export function followArrows(event) {
  const direction = DIRECTIONS[event.key];
  if (!direction || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const active = document.activeElement;
  if (keepsArrows(active, direction)) return;
  const scope = document.querySelector("dialog[open], [role=menu]") ?? document.fullscreenElement ?? document;
  const places = [...scope.querySelectorAll(FOCUSABLE)].filter((element) => element !== active && isShown(element) && !(active?.contains(element) && direction !== "down"));
  if (!places.length) return;
  event.preventDefault();
  const from = active && active !== document.body && isShown(active) ? active.getBoundingClientRect() : { left: 0, right: innerWidth, top: -1, bottom: -1 };
  const found = places[nearest(from, places.map((place) => place.getBoundingClientRect()), direction)];
  found?.focus();
  found?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** Text has a cursor to move, and a slider its value; sideways only, so that nobody is caught in it. */
function keepsArrows(element, direction) {
  if (element?.matches("textarea, [contenteditable]")) return true;
  return Boolean(element?.matches("input")) && (direction === "left" || direction === "right") && (element.type === "range" || element.value !== "");
}

function isShown(element) {
  return element.checkVisibility?.({ visibilityProperty: true }) ?? element.offsetParent !== null;
}
