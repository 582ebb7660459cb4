// Tiles are taken by their head, with a mouse by the whole picture, and swap with the one they are put on.

const FROM_PX = 10;

/** @param {{enabled: () => boolean, move: (x: number, y: number) => void, drop: (slot: number | null) => void}} drag */
export function draggable(node, drag) {
  let began = null;
  let dragging = false;

  const down = (event) => {
    if (!event.isPrimary || event.button !== 0 || !drag.enabled()) return;
    if (event.target.closest("button, input, [role=menu]")) return;
    if (event.pointerType === "touch" && !event.target.closest("[data-drag]")) return;
    began = { x: event.clientX, y: event.clientY, id: event.pointerId };
  };
  const move = (event) => {
    if (began?.id !== event.pointerId) return;
    const [x, y] = [event.clientX - began.x, event.clientY - began.y];
    if (!dragging && Math.hypot(x, y) < FROM_PX) return;
    if (!dragging) node.setPointerCapture(began.id);
    dragging = true;
    drag.move(x, y);
  };
  const end = (event) => {
    if (began?.id !== event.pointerId) return;
    const dropped = dragging;
    began = null;
    dragging = false;
    if (!dropped) return;
    const below = document.elementsFromPoint(event.clientX, event.clientY).map((element) => element.closest("[data-slot]"));
    const target = event.type === "pointerup" ? below.find((tile) => tile && tile !== node) : undefined;
    drag.drop(target ? Number(target.dataset.slot) : null);
    // The click that ends it is not meant for the picture.
    const swallow = (click) => click.stopPropagation();
    addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => removeEventListener("click", swallow, { capture: true }), 0);
  };

  node.addEventListener("pointerdown", down);
  node.addEventListener("pointermove", move);
  node.addEventListener("pointerup", end);
  node.addEventListener("pointercancel", end);
}
